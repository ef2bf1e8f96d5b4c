//! Terminals: a pseudo-terminal for what runs inside, and the user's own one made raw while it is used.

use std::io;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

use super::check;

/// Both ends of a pseudo-terminal.
#[derive(Debug)]
pub struct Pty {
    /// The end that the supervisor reads and writes.
    pub supervisor: OwnedFd,
    /// The end that the program takes for its terminal.
    pub program: OwnedFd,
}

/// While it lives, the terminal passes every key through; dropping it puts the old settings back.
#[derive(Debug)]
pub struct RawTerminal {
    fd: OwnedFd,
    before: libc::termios,
}

/// Whether the descriptor is a terminal.
pub fn is_terminal(fd: &impl AsFd) -> bool {
    std::io::IsTerminal::is_terminal(&fd.as_fd())
}

/// Columns and rows of a terminal.
pub fn terminal_size(fd: &impl AsFd) -> io::Result<(u16, u16)> {
    let mut size = libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: TIOCGWINSZ writes a winsize, which outlives the call.
    check(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TIOCGWINSZ, &raw mut size) }.into())?;
    Ok((size.ws_col, size.ws_row))
}

/// Opens a new pseudo-terminal of the devpts instance whose multiplexer this is.
pub fn open_pty(multiplexer: OwnedFd) -> io::Result<Pty> {
    let unlock: libc::c_int = 0;
    // SAFETY: TIOCSPTLCK reads an int, which outlives the call.
    check(unsafe { libc::ioctl(multiplexer.as_raw_fd(), libc::TIOCSPTLCK, &raw const unlock) }.into())?;
    let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
    // SAFETY: TIOCGPTPEER takes open flags and gives a new descriptor.
    let raw = check(unsafe { libc::ioctl(multiplexer.as_raw_fd(), libc::TIOCGPTPEER, flags) }.into())?;
    // SAFETY: the kernel has just made this descriptor for us.
    let program = unsafe { OwnedFd::from_raw_fd(i32::try_from(raw).map_err(io::Error::other)?) };
    Ok(Pty { supervisor: multiplexer, program })
}

/// Makes the terminal the controlling one of this session, whose leader must be this process.
pub fn make_controlling(fd: &impl AsFd) -> io::Result<()> {
    // SAFETY: TIOCSCTTY takes an integer.
    check(unsafe { libc::ioctl(fd.as_fd().as_raw_fd(), libc::TIOCSCTTY, 0) }.into()).map(drop)
}

impl Pty {
    /// Tells the program the terminal's size.
    pub fn set_size(supervisor: &impl AsFd, columns: u16, rows: u16) -> io::Result<()> {
        let size = libc::winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: TIOCSWINSZ reads a winsize, which outlives the call.
        check(unsafe { libc::ioctl(supervisor.as_fd().as_raw_fd(), libc::TIOCSWINSZ, &raw const size) }.into())
            .map(drop)
    }
}

impl RawTerminal {
    /// Makes the terminal raw.
    pub fn enter(terminal: &impl AsFd) -> io::Result<Self> {
        let fd = terminal.as_fd().try_clone_to_owned()?;
        // SAFETY: an all-zero termios is valid; tcgetattr writes into it.
        let mut before: libc::termios = unsafe { std::mem::zeroed() };
        // SAFETY: `before` outlives the call.
        check(unsafe { libc::tcgetattr(fd.as_raw_fd(), &raw mut before) }.into())?;
        let mut raw = before;
        // SAFETY: cfmakeraw changes the structure in place.
        unsafe { libc::cfmakeraw(&raw mut raw) };
        // SAFETY: `raw` outlives the call.
        check(unsafe { libc::tcsetattr(fd.as_raw_fd(), libc::TCSANOW, &raw const raw) }.into())?;
        Ok(Self { fd, before })
    }
}

impl Drop for RawTerminal {
    fn drop(&mut self) {
        // SAFETY: it puts back what tcgetattr gave.
        unsafe { libc::tcsetattr(self.fd.as_raw_fd(), libc::TCSADRAIN, &raw const self.before) };
    }
}
