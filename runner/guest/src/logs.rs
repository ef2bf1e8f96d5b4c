//! Carries what services print to the guest's own output, line by line, with the service's name before each.
//!
//! Memory is bounded: a service whose output nobody reads is made to wait, as it would be on a pipe of its own.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::unistd;

/// The longest line that is kept together; a longer one is cut into lines of this length.
const MAX_LINE_BYTES: usize = 8 * 1024;

/// Unwritten output above which services are no longer read.
const MAX_QUEUE_BYTES: usize = 64 * 1024;

/// What POSIX lets one write to a pipe take without blocking when `poll` says that it is writable (`PIPE_BUF`).
const WRITE_BYTES: usize = 4096;

/// Where output goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// Everything printed that is on its way.
#[derive(Debug, Default)]
pub struct Logs {
    sources: Vec<Source>,
    out: VecDeque<u8>,
    err: VecDeque<u8>,
}

/// One stream of one service.
#[derive(Debug)]
struct Source {
    reader: OwnedFd,
    lines: Lines,
    target: Target,
    ended: bool,
}

/// Bytes of one source that are put together to lines.
#[derive(Debug)]
struct Lines {
    prefix: String,
    pending: Vec<u8>,
}

impl Logs {
    /// Takes one more stream of a service; the reader must not block. That of an only service is passed on as it is.
    pub fn add(&mut self, reader: OwnedFd, service: Option<&str>, target: Target) {
        let prefix = service.map(|service| format!("{service}: ")).unwrap_or_default();
        let lines = Lines { prefix, pending: Vec::new() };
        self.sources.push(Source { reader, lines, target, ended: false });
    }

    /// Says something in the guest's own name on standard error.
    pub fn say(&mut self, text: &str) {
        // Own messages are few, but a host that reads nothing must not make this grow either.
        if self.err.len() < 2 * MAX_QUEUE_BYTES {
            self.err.extend(format!("appliance: {text}\n").bytes());
        }
    }

    /// The streams to be read now, with their place for [`Logs::read`].
    pub fn readable(&self) -> impl Iterator<Item = (usize, BorrowedFd<'_>)> {
        let room = |target| if target == Target::Out { self.out.len() } else { self.err.len() } < MAX_QUEUE_BYTES;
        self.sources
            .iter()
            .enumerate()
            .filter(move |(_, source)| room(source.target))
            .map(|(place, source)| (place, source.reader.as_fd()))
    }

    /// Whether there is something to write.
    pub fn has_output(&self, target: Target) -> bool {
        match target {
            Target::Out => !self.out.is_empty(),
            Target::Err => !self.err.is_empty(),
        }
    }

    /// Reads once from a stream that is readable. `false` when it has nothing more for now, or ever.
    pub fn read(&mut self, place: usize) -> bool {
        let Some(source) = self.sources.get_mut(place) else { return false };
        let queue = if source.target == Target::Out { &mut self.out } else { &mut self.err };
        let mut buffer = [0; 4096];
        match unistd::read(&source.reader, &mut buffer) {
            Ok(0) => {
                source.lines.end(queue);
                source.ended = true;
                false
            }
            Ok(count) => {
                source.lines.push(buffer.get(..count).unwrap_or_default(), queue);
                true
            }
            Err(_) => false,
        }
    }

    /// Forgets streams that have ended; places change.
    pub fn sweep(&mut self) {
        self.sources.retain(|source| !source.ended);
    }

    /// Takes what is in all pipes now, as far as there is room.
    pub fn drain(&mut self) {
        for place in 0..self.sources.len() {
            while self.has_room() && self.read(place) {}
        }
    }

    /// Takes what is left in all pipes and closes them. `false` when there was no room for everything: write, then
    /// call it again.
    pub fn finish(&mut self) -> bool {
        self.drain();
        if !self.has_room() {
            return false;
        }
        for source in &mut self.sources {
            let queue = if source.target == Target::Out { &mut self.out } else { &mut self.err };
            source.lines.end(queue);
        }
        self.sources.clear();
        true
    }

    /// Writes once to an output that is writable.
    pub fn write(&mut self, target: Target) {
        let stdout = std::io::stdout();
        let stderr = std::io::stderr();
        let (queue, fd) = match target {
            Target::Out => (&mut self.out, stdout.as_fd()),
            Target::Err => (&mut self.err, stderr.as_fd()),
        };
        let (front, _) = queue.as_slices();
        match unistd::write(fd, front.get(..WRITE_BYTES).unwrap_or(front)) {
            Ok(count) => drop(queue.drain(..count)),
            Err(Errno::EINTR | Errno::EAGAIN) => {}
            // Nobody reads any more: the services go on, what they print is lost.
            Err(_) => queue.clear(),
        }
    }

    fn has_room(&self) -> bool {
        self.out.len() < MAX_QUEUE_BYTES && self.err.len() < MAX_QUEUE_BYTES
    }
}

impl Lines {
    fn push(&mut self, bytes: &[u8], queue: &mut VecDeque<u8>) {
        if self.prefix.is_empty() {
            return queue.extend(bytes);
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            for part in piece.chunks(MAX_LINE_BYTES) {
                if self.pending.len() + part.len() > MAX_LINE_BYTES {
                    self.end(queue);
                }
                self.pending.extend_from_slice(part);
            }
            if piece.ends_with(b"\n") {
                self.end(queue);
            }
        }
    }

    fn end(&mut self, queue: &mut VecDeque<u8>) {
        if self.pending.is_empty() {
            return;
        }
        queue.extend(self.prefix.bytes());
        queue.extend(self.pending.iter());
        if !self.pending.ends_with(b"\n") {
            queue.push_back(b'\n');
        }
        self.pending.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pieces: &[&[u8]], expected: &str) {
        let mut lines = Lines { prefix: "web: ".to_owned(), pending: Vec::new() };
        let mut queue = VecDeque::new();
        pieces.iter().for_each(|piece| lines.push(piece, &mut queue));
        lines.end(&mut queue);
        assert_eq!(String::from_utf8_lossy(queue.make_contiguous()), expected);
    }

    #[test]
    fn lines_get_their_prefix() {
        check(&[b"one\ntwo\n"], "web: one\nweb: two\n");
        check(&[b"o", b"ne", b"\n\ntw", b"o"], "web: one\nweb: \nweb: two\n");
        check(&[], "");
    }

    #[test]
    fn endless_lines_are_cut() {
        let long = vec![b'x'; MAX_LINE_BYTES + 3];
        let cut = format!("web: {}\nweb: xxx\n", "x".repeat(MAX_LINE_BYTES));
        check(&[&long, b"\n"], &cut);
        check(&[&long], &cut);
    }
}
