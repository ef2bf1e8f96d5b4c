//! What each operating system can do, by the same names on each: one file or folder per system.
//!
//! This is the only crate beside the guest that may use `unsafe`. It decides nothing: every function
//! is one request to the kernel with plain arguments and an `io::Error` for an answer.

#[cfg(target_os = "linux")]
mod linux;
#[cfg(target_os = "linux")]
pub use linux::*;

#[cfg(target_os = "macos")]
mod macos;
#[cfg(target_os = "macos")]
pub use macos::*;

#[cfg(windows)]
mod windows;
#[cfg(windows)]
pub use windows::*;

/// Whether containers can be started by this crate's calls on this operating system.
pub const CAN_CONTAIN: bool = cfg!(target_os = "linux");
