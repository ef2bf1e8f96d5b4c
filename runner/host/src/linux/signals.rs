//! Signals of the command turned into bytes that can be waited for like any input.

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, IntoRawFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicI32, Ordering};

use super::check;

/// While it lives, the given signals do not act: each arrives as one byte, its number, on the descriptor.
#[derive(Debug)]
pub struct SignalPipe {
    reader: UnixStream,
    old: Vec<(i32, libc::sighandler_t)>,
}

/// Where the handler writes; -1 while nothing is caught.
static WRITER: AtomicI32 = AtomicI32::new(-1);

extern "C" fn note(signal: libc::c_int) {
    let byte = signal as u8;
    // SAFETY: write is allowed in signal handlers; the descriptor is never closed once it was published.
    // The error number is put back, since the interrupted code may be about to read it.
    unsafe {
        let saved = *libc::__errno_location();
        libc::write(WRITER.load(Ordering::Relaxed), (&raw const byte).cast(), 1);
        *libc::__errno_location() = saved;
    }
}

impl SignalPipe {
    /// Starts to catch these signals. One at a time may live in a process.
    pub fn catch(signals: &[i32]) -> io::Result<Self> {
        let (reader, writer) = UnixStream::pair()?;
        reader.set_nonblocking(true)?;
        writer.set_nonblocking(true)?;
        // The writing end is left open for ever: a handler on another thread may be about to use it.
        WRITER.store(writer.into_raw_fd(), Ordering::Relaxed);
        let mut old = Vec::new();
        for &signal in signals {
            // SAFETY: the handler only does what a handler may do.
            let before = unsafe { libc::signal(signal, note as extern "C" fn(libc::c_int) as libc::sighandler_t) };
            old.push((signal, before));
        }
        Ok(Self { reader, old })
    }

    /// The number of the next signal that came, if any.
    pub fn next(&self) -> Option<i32> {
        let mut byte = [0u8; 1];
        // SAFETY: pointer and length describe the same live buffer.
        let read = unsafe { libc::read(self.reader.as_raw_fd(), byte.as_mut_ptr().cast(), 1) };
        (read == 1).then_some(i32::from(byte[0]))
    }
}

impl AsFd for SignalPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.reader.as_fd()
    }
}

impl Drop for SignalPipe {
    fn drop(&mut self) {
        for &(signal, before) in &self.old {
            // SAFETY: it puts back what `signal` gave before.
            unsafe { libc::signal(signal, before) };
        }
    }
}

/// Gives every signal its default action and unblocks all, for a program about to be started.
pub fn reset_signals() -> io::Result<()> {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL is always a valid action; the kernel refuses the signals that cannot be changed.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    // SAFETY: an all-zero signal set is the empty one on Linux.
    let empty: libc::sigset_t = unsafe { std::mem::zeroed() };
    // SAFETY: `empty` outlives the call; the old mask is not asked for.
    check(unsafe { libc::sigprocmask(libc::SIG_SETMASK, &raw const empty, std::ptr::null_mut()) }.into()).map(drop)
}
