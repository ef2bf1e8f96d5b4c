//! What comes out of a machine, carried to where it belongs without ever waiting: a reader that is slow holds up the
//! machine's writer, and nobody else.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

use host::{Interest, Ready};

/// What a pipe takes without blocking when it can be written to (`PIPE_BUF`, pipe(7)).
const CHUNK_BYTES: usize = 4096;

/// One stream from the machine to a file of the host.
#[derive(Debug)]
pub struct Outlet {
    from: UnixStream,
    to: File,
    pending: Vec<u8>,
    ended: bool,
}

impl Outlet {
    /// Joins the two; the socket must not block.
    pub fn new(from: UnixStream, to: OwnedFd) -> Self {
        Self { from, to: to.into(), pending: Vec::new(), ended: false }
    }

    /// What to wait for, in the order in which [`Outlet::advance`] takes the answers.
    pub fn interests(&self) -> [Interest<'_>; 2] {
        let waits = !self.pending.is_empty();
        [
            Interest { fd: self.from.as_fd(), read: !waits && !self.ended, write: false },
            Interest { fd: self.to.as_fd(), read: false, write: waits },
        ]
    }

    /// Moves what can be moved.
    pub fn advance(&mut self, ready: &[Ready]) {
        let is = |place: usize, what: fn(&Ready) -> bool| ready.get(place).is_some_and(what);
        if is(0, |ready| ready.read) {
            self.receive();
        }
        if is(1, |ready| ready.write) {
            self.pass();
        }
    }

    /// Passes on all that came before the end. A reader who takes nothing for a while is waited for no longer.
    pub fn drain(&mut self) {
        const PATIENCE_MS: u64 = 1000;
        loop {
            let [from, to] = self.interests();
            let ready = match (from.read, to.write) {
                (false, false) => return,
                (true, _) => host::poll(&[from, to], Some(0)),
                (false, true) => host::poll(&[from, to], Some(PATIENCE_MS)),
            };
            let Ok(ready) = ready else { return };
            if !ready.iter().any(|one| one.read || one.write) {
                return;
            }
            self.advance(&ready);
        }
    }

    fn receive(&mut self) {
        let mut chunk = [0; CHUNK_BYTES];
        match self.from.read(&mut chunk) {
            Ok(count @ 1..) => self.pending.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Err(error) if is_for_later(&error) => {}
            _ => self.ended = true,
        }
    }

    fn pass(&mut self) {
        let piece = self.pending.get(..CHUNK_BYTES).unwrap_or(&self.pending);
        match self.to.write(piece) {
            Ok(count) => drop(self.pending.drain(..count)),
            Err(error) if is_for_later(&error) => {}
            // Nobody reads any more: the machine goes on, what it prints is lost.
            Err(_) => self.pending.clear(),
        }
    }
}

/// Whether it is only too early.
pub fn is_for_later(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slow_reader_loses_nothing() {
        let (mut machine, ours) = UnixStream::pair().unwrap();
        ours.set_nonblocking(true).unwrap();
        let (mut reader, writer) = io::pipe().unwrap();
        let mut outlet = Outlet::new(ours, writer.into());
        let sent: Vec<u8> = (0..200_000_u32).map(|number| number.to_le_bytes()[0]).collect();
        let copy = sent.clone();
        let writer = std::thread::spawn(move || machine.write_all(&copy).unwrap());
        let taken = std::thread::spawn(move || {
            let mut bytes = Vec::new();
            reader.read_to_end(&mut bytes).unwrap();
            bytes
        });
        while !(outlet.ended && outlet.pending.is_empty()) {
            let ready = host::poll(&outlet.interests(), Some(1000)).unwrap();
            outlet.advance(&ready);
        }
        drop(outlet);
        writer.join().unwrap();
        assert!(taken.join().unwrap() == sent);
    }
}
