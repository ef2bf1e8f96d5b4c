//! The contract between the compiler and the runner: what a bundle holds and what an appliance asks of its host.
//!
//! Everything here is plain data with a stable JSON form. The compiler writes it, the runner and the
//! guest read it, and neither half knows anything else of the other.

pub mod boot;
pub mod capability;
pub mod channel;
pub mod guest;
pub mod manifest;
pub mod plan;
pub mod sha256;
pub mod wire;
