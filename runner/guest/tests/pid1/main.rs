//! The guest run for real, as PID 1 of a pid namespace.

mod channel;
mod exec;
mod files;
mod memory;
mod services;
mod support;
