//! Terminals of programs that the host runs: their making, their size, and how their programs hear that no more input comes.
//!
//! A terminal has no end. Who reads lines from it knows a character for it (canonical mode, `termios(3)`); a line editor
//! takes keys one by one and commonly knows the same character as the key of it. What was said in one mode means nothing
//! in the other, and the next reader did not hear what the last one did: so the character is said again whenever it was
//! read and a program still runs.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use bundle::channel::TerminalSize;
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd;

/// The key that ends input where the terminal does not say (Ctrl-D, `VEOF` of `termios(3)`).
const CTRL_D: u8 = 4;

/// How often it is said to who reads keys: one that does not know it must not hear it for ever.
const MOST_KEYS: u8 = 16;

/// Between two looks whether it was read, at first and later, in milliseconds; a program may go on for days without reading.
const LOOKS_MS: (u64, u64) = (100, 1000);

/// Looks at the first distance.
const FIRST_LOOKS: u32 = 50;

/// What a terminal was told of the end of its input.
#[derive(Debug, Default)]
pub struct EndOfInput {
    was_told: bool,
    keys: u8,
    looks: u32,
}

/// How the terminal is read now, with the character that ends input.
enum Reading {
    Lines(u8),
    Keys(u8),
}

impl EndOfInput {
    /// When to look again, in milliseconds from now; none where nothing more is said.
    pub fn next_look_ms(&self) -> Option<u64> {
        let at = if self.looks < FIRST_LOOKS { LOOKS_MS.0 } else { LOOKS_MS.1 };
        (self.keys < MOST_KEYS).then_some(at)
    }

    /// Tells who reads from the terminal, of which this is the host's end, where that is due. `last` is the last byte of
    /// the input: a line that has begun is ended too, in each of both modes once.
    pub fn tell(&mut self, terminal: &OwnedFd, last: Option<u8>) {
        self.looks = self.looks.saturating_add(1);
        if self.keys >= MOST_KEYS || (self.was_told && has_unread(terminal)) {
            return;
        }
        let is_open_line = last.is_some_and(|last| last != b'\n' && last != b'\r');
        let words = match reading(terminal) {
            // The first one gives the reader the line, the second one is read as the end.
            Some(Reading::Lines(end)) if is_open_line && !self.was_told => vec![end, end],
            Some(Reading::Lines(end)) => vec![end],
            Some(Reading::Keys(end)) => {
                self.keys += 1;
                if is_open_line && self.keys == 1 { vec![b'\n', end] } else { vec![end] }
            }
            None => return,
        };
        self.was_told |= unistd::write(terminal, &words) == Ok(words.len());
    }
}

/// Both ends of a new terminal (`pty(7)`).
pub fn open() -> nix::Result<(OwnedFd, OwnedFd)> {
    let opened =
        ["/dev/pts/ptmx", "/dev/ptmx"].iter().find_map(|path| File::options().read(true).write(true).open(path).ok());
    let host_end = OwnedFd::from(opened.ok_or(Errno::ENOENT)?);
    let unlock: libc::c_int = 0;
    // SAFETY: the request reads an integer, which lives through the call.
    Errno::result(unsafe { libc::ioctl(host_end.as_raw_fd(), libc::TIOCSPTLCK as _, &raw const unlock) })?;
    let program_end = program_end(&host_end)?;
    fcntl(&host_end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
    Ok((host_end, program_end))
}

/// The other end of a terminal (`TIOCGPTPEER` of `ioctl_tty(2)`).
fn program_end(host_end: &OwnedFd) -> nix::Result<OwnedFd> {
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: the request takes flags and gives a new file descriptor.
    let fd = Errno::result(unsafe { libc::ioctl(host_end.as_raw_fd(), libc::TIOCGPTPEER as _, flags) })?;
    // SAFETY: the kernel has just made it, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Gives a terminal a size.
pub fn resize(terminal: &OwnedFd, size: TerminalSize) {
    let size = libc::winsize { ws_row: size.rows, ws_col: size.columns, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the request reads the size, which lives through the call.
    unsafe { libc::ioctl(terminal.as_raw_fd(), libc::TIOCSWINSZ as _, &raw const size) };
}

/// Whether something lies there for a program to read.
fn has_unread(terminal: &OwnedFd) -> bool {
    let Ok(end) = program_end(terminal) else { return true };
    let mut asked = [PollFd::new(end.as_fd(), PollFlags::POLLIN)];
    poll(&mut asked, PollTimeout::ZERO) != Ok(0)
}

fn reading(terminal: &OwnedFd) -> Option<Reading> {
    // SAFETY: a zeroed `termios` is a valid one for the call to fill, and it lives through the call.
    let settings = unsafe {
        let mut settings: libc::termios = std::mem::zeroed();
        (libc::tcgetattr(terminal.as_raw_fd(), &raw mut settings) == 0).then_some(settings)?
    };
    let character = settings.c_cc.get(libc::VEOF).copied().unwrap_or_default();
    match (settings.c_lflag & libc::ICANON != 0, character) {
        // Lines that nothing ends.
        (true, 0) => None,
        (true, end) => Some(Reading::Lines(end)),
        (false, 0) => Some(Reading::Keys(CTRL_D)),
        (false, end) => Some(Reading::Keys(end)),
    }
}
