//! The command's side of a run: it starts the helper process, passes signals on and collects reports.

use std::io::{self, Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use host::{Interest, RawTerminal, SignalPipe};

use crate::bind::{Bound, Verdict};
use crate::helper::RUN_ARG;
use crate::look::remains;
use crate::reconcile::reconcile;
use crate::wire::{self, Report};

/// How a run ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outcome {
    /// The exit status for the command: the program's, or 128 and the signal's number.
    pub exit_status: i32,
    /// The signal that killed the program, if one did.
    pub signal: Option<i32>,
    /// What was enforced, and how.
    pub verdicts: Vec<Verdict>,
    /// What was made on the host and removed again.
    pub removed: Vec<String>,
    /// What is left on the host although it should not be, looked for afterwards; empty, or a fault.
    pub left: Vec<String>,
}

/// Why a run did not come about or was lost.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The helper process cannot be started or talked to.
    #[error("start the helper process")]
    Helper(#[source] io::Error),
    /// A step failed; everything was undone.
    #[error("start the appliance: {reason}")]
    Failed {
        /// Why, with its causes.
        reason: String,
        /// What to do about it, where that is known.
        remedy: Option<String>,
    },
    /// An instance of this name runs or is being started; nothing was made.
    #[error("start an instance {0}: one of this name is running or being started")]
    NameTaken(String),
    /// The helper process was killed from outside; what it left was removed.
    #[error("keep the appliance running: its helper process was killed{}", if left.is_empty() { "; all that was made for it is gone" } else { "" })]
    Lost {
        /// What could not be removed.
        left: Vec<String>,
    },
}

/// The signals that are passed on, by their numbers on Linux: hang-up, interrupt, quit, terminate, window size.
pub const SIGNALS: [i32; 5] = [1, 2, 3, 15, 28];

/// Runs what was bound, with these standard streams, until it ends; `on_report` hears of everything on the way.
///
/// Signals to this process are caught meanwhile: the first asks the appliance to stop, the second kills it.
pub fn run(
    bound: &Bound,
    stdio: &[OwnedFd; 3],
    helper: &Path,
    on_report: &mut dyn FnMut(&Report),
) -> Result<Outcome, RunError> {
    let signals = SignalPipe::catch(&SIGNALS).map_err(RunError::Helper)?;
    let (socket, mut child) = start_helper(helper, &bound.instance, false).map_err(RunError::Helper)?;
    let [input, output, error] = stdio;
    let raw = [input.as_raw_fd(), output.as_raw_fd(), error.as_raw_fd()];
    wire::send_order(&socket, bound, &raw).map_err(RunError::Helper)?;
    let (mut raw_terminal, mut init) = (None, None);
    let mut buffer = Vec::new();
    let last = loop {
        match next(&socket, &signals, &mut buffer).map_err(RunError::Helper)? {
            Some(report @ (Report::Ended { .. } | Report::Failed { .. } | Report::NameTaken)) => break Some(report),
            Some(report) => {
                if let Report::Started { pid, start_time } = report {
                    init = Some((pid, start_time));
                    raw_terminal = bound.terminal.then(|| RawTerminal::enter(input).ok()).flatten();
                }
                on_report(&report);
            }
            None => break None,
        }
    };
    drop(raw_terminal);
    let _ = child.wait();
    finish(bound, last, init)
}

/// Starts the helper process, which with `alone` shares nothing with its caller.
///
/// The socket is the helper's standard input, so that it needs no number that something else might have.
pub fn start_helper(helper: &Path, instance: &str, alone: bool) -> io::Result<(UnixStream, Child)> {
    let (ours, theirs) = UnixStream::pair()?;
    // As root a program inside could otherwise write to this one's file by way of its own `/proc/self/exe`.
    let sealed = if helper == Path::new("/proc/self/exe") { host::read_only_exe().ok() } else { None };
    let program = sealed.as_ref().map_or_else(|| helper.to_owned(), host::fd_path);
    let mut command = Command::new(program);
    // Its name in lists of processes; behind it stand the words by which it knows that it is the helper.
    command
        .arg0(format!("appliance: {instance}"))
        .args([crate::HELPER_ARG, RUN_ARG])
        .stdin(Stdio::from(OwnedFd::from(theirs)))
        .env_clear();
    command.current_dir("/");
    if alone {
        // Whoever waits for the end of the caller's output must not wait for the instance.
        command.stdout(Stdio::null()).stderr(Stdio::null());
    }
    Ok((ours, command.spawn()?))
}

/// The next report; none when the helper is gone. Signals are passed on meanwhile.
pub fn next(socket: &UnixStream, signals: &SignalPipe, buffer: &mut Vec<u8>) -> io::Result<Option<Report>> {
    loop {
        if let Some(report) = wire::next_report(buffer) {
            return Ok(Some(report));
        }
        let read = |fd| Interest { fd, read: true, write: false };
        let ready = host::poll(&[read(socket.as_fd()), read(signals.as_fd())], None)?;
        while let Some(signal) = signals.next() {
            let byte = u8::try_from(signal).unwrap_or(15);
            // The helper may be gone; the end of the socket says so.
            let _ = (&*socket).write(&[byte]);
        }
        if ready.first().is_some_and(|one| one.read) {
            let mut chunk = [0u8; 16 * 1024];
            let count = (&*socket).read(&mut chunk).unwrap_or(0);
            if count == 0 {
                return Ok(None);
            }
            buffer.extend_from_slice(chunk.get(..count).unwrap_or_default());
        }
    }
}

/// What undoing could not remove, and what a look at the host finds without having been told.
fn all_left(bound: &Bound, init: Option<(i32, u64)>, mut left: Vec<String>) -> Vec<String> {
    left.extend(remains(bound, init));
    left
}

pub fn finish(bound: &Bound, last: Option<Report>, init: Option<(i32, u64)>) -> Result<Outcome, RunError> {
    match last {
        Some(Report::Ended { status, signal, removed, left }) => Ok(Outcome {
            exit_status: status.unwrap_or_else(|| 128 + signal.unwrap_or(0)),
            signal,
            verdicts: bound.verdicts.clone(),
            removed,
            left: all_left(bound, init, left),
        }),
        // What stands there is the other one's.
        Some(Report::NameTaken) => Err(RunError::NameTaken(bound.instance.clone())),
        Some(Report::Failed { reason, remedy, left }) => match all_left(bound, init, left) {
            left if left.is_empty() => Err(RunError::Failed { reason, remedy }),
            left => {
                let reason = format!("{reason}; left behind: {}", left.join(", "));
                Err(RunError::Failed { reason, remedy })
            }
        },
        _ => Err(RunError::Lost { left: all_left(bound, init, reconcile(&bound.state_folder).left) }),
    }
}
