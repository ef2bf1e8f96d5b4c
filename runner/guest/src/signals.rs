//! Signals and ended processes, as values that the loop can read.

use std::os::fd::{AsFd, BorrowedFd};

use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use nix::unistd::Pid;

/// The signals that the guest takes; all others have their usual effect.
const TAKEN: [Signal; 9] = [
    Signal::SIGCHLD,
    Signal::SIGTERM,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGHUP,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGWINCH,
    // The host joined or left the port that carries the guest channel.
    Signal::SIGIO,
];

/// The signals that arrived.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// From here on the signals wait to be read.
    pub fn take() -> nix::Result<Self> {
        let set: SigSet = TAKEN.into_iter().collect();
        set.thread_block()?;
        SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK).map(Self)
    }

    /// The file descriptor to wait for.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// All signals that wait.
    pub fn read(&self) -> Vec<Signal> {
        let mut signals = Vec::new();
        while let Ok(Some(info)) = self.0.read_signal() {
            signals.extend(i32::try_from(info.ssi_signo).ok().and_then(|number| Signal::try_from(number).ok()));
        }
        signals
    }
}

/// A reader that is gone is an error of the write, not the end of this program, and neither is a host that comes before
/// [`Signals::take`]: after it the signal is seen all the same.
pub fn ignore_those_of_descriptors() {
    for signal in [libc::SIGPIPE, libc::SIGIO] {
        // SAFETY: to ignore a signal installs no handler.
        unsafe { libc::signal(signal, libc::SIG_IGN) };
    }
}

/// Sends a signal to a process group; one that is gone already is fine.
pub fn send_to_group(pid: u32, signal: Signal) {
    // A group number of 0 or 1 would mean oneself or everyone.
    if let Some(pid) = i32::try_from(pid).ok().filter(|pid| *pid > 1) {
        let _ = kill(Pid::from_raw(-pid), signal);
    }
}

/// Sends a signal to every process but this one, which must be the first of its namespace: else it would reach strangers.
pub fn send_to_all(signal: Signal) {
    if Pid::this().as_raw() == 1 {
        let _ = kill(Pid::from_raw(-1), signal);
    }
}

/// Takes one ended child: its process id and its status, 128 and the signal's number if a signal ended it.
///
/// `None` when no child has ended; [`has_children`] tells whether any is left.
pub fn reap() -> Option<(u32, u8)> {
    let mut raw = 0;
    // SAFETY: the pointer is to a local integer, which is all that the call writes to.
    let pid = unsafe { libc::waitpid(-1, &raw mut raw, libc::WNOHANG) };
    let status = if libc::WIFEXITED(raw) { libc::WEXITSTATUS(raw) } else { 128 + libc::WTERMSIG(raw) };
    u32::try_from(pid).ok().filter(|pid| *pid > 0).map(|pid| (pid, u8::try_from(status).unwrap_or(u8::MAX)))
}

/// Whether there is any child, running or ended.
pub fn has_children() -> bool {
    // SAFETY: with `WNOWAIT` nothing is reaped, and a zeroed `siginfo_t` is a valid one for the call to fill.
    unsafe {
        let mut info: libc::siginfo_t = std::mem::zeroed();
        libc::waitid(libc::P_ALL, 0, &raw mut info, libc::WEXITED | libc::WNOHANG | libc::WNOWAIT) == 0
    }
}
