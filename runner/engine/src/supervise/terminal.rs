//! A container's terminal, joined to the user's.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use host::Interest;

/// The container's terminal, joined to the user's.
#[derive(Debug)]
pub struct Terminal {
    pub(super) supervisor: File,
    pub(super) input: Option<File>,
    output: File,
}

impl Terminal {
    /// Joins the two.
    pub fn new(supervisor: OwnedFd, input: OwnedFd, output: OwnedFd) -> io::Result<Self> {
        let terminal = Self { supervisor: supervisor.into(), input: Some(input.into()), output: output.into() };
        terminal.follow_size();
        Ok(terminal)
    }

    /// A terminal without a size is no reason to stop.
    pub(super) fn follow_size(&self) {
        if let Ok((columns, rows)) = host::terminal_size(&self.output) {
            let _ = host::Pty::set_size(&self.supervisor, columns, rows);
        }
    }

    pub(super) fn pass_output(&mut self) -> bool {
        let mut buffer = [0u8; 16 * 1024];
        // The kernel answers EIO when no program has the terminal open any more.
        let read = self.supervisor.read(&mut buffer).unwrap_or(0);
        read > 0 && self.output.write_all(buffer.get(..read).unwrap_or_default()).is_ok()
    }

    pub(super) fn pass_input(&mut self) {
        let mut buffer = [0u8; 4096];
        let read = self.input.as_mut().map_or(0, |input| input.read(&mut buffer).unwrap_or(0));
        if read == 0 || self.supervisor.write_all(buffer.get(..read).unwrap_or_default()).is_err() {
            self.input = None;
        }
    }

    /// What the program wrote before its end.
    pub(super) fn drain(&mut self) {
        let readable = |file: &File| host::poll(&[Interest { fd: file.as_fd(), read: true, write: false }], Some(0));
        while readable(&self.supervisor).is_ok_and(|ready| ready.first().is_some_and(|one| one.read))
            && self.pass_output()
        {}
    }
}
