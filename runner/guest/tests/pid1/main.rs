//! The guest run for real, as PID 1 of a pid namespace.

mod channel;
mod exec;
mod services;
mod support;
