//! Waiting for the threads that share the work of an output.

use std::panic::resume_unwind;
use std::thread::ScopedJoinHandle;

/// What the thread made; where it panicked, this one goes on with that panic.
pub(crate) fn joined<T>(thread: ScopedJoinHandle<'_, T>) -> T {
    thread.join().unwrap_or_else(|panic| resume_unwind(panic))
}
