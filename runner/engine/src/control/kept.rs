//! What an instance printed, as far back as memory is given to it. Positions count bytes from the very first one.

use std::collections::VecDeque;

use bundle::channel::{MAX_PIECE_BYTES, Piece};

/// Bytes that are kept of each instance.
pub const MAX_BYTES: usize = 1 << 20;

/// Changes between output and errors that are kept.
const MAX_RUNS: usize = 16 * 1024;

/// The last of what was printed.
#[derive(Debug, Default)]
pub struct Kept {
    bytes: VecDeque<u8>,
    /// The position of the first byte that is kept.
    first: u64,
    /// The byte before it ended a line.
    first_is_whole: bool,
    /// Where each run of output or errors ends, and which of both it is.
    runs: VecDeque<(u64, bool)>,
}

/// One that begins at this position.
impl From<u64> for Kept {
    fn from(first: u64) -> Self {
        Self { first, ..Self::default() }
    }
}

impl Kept {
    /// Adds what was printed.
    pub fn push(&mut self, is_error: bool, bytes: &[u8]) {
        self.bytes.extend(bytes);
        let end = self.end();
        match self.runs.back_mut() {
            Some((last, kind)) if *kind == is_error => *last = end,
            _ => self.runs.push_back((end, is_error)),
        }
        if self.bytes.len() > MAX_BYTES {
            self.forget(self.bytes.len() - MAX_BYTES);
        }
        if self.runs.len() > MAX_RUNS {
            let first_run = self.runs.front().map_or(0, |(end, _)| end.saturating_sub(self.first));
            self.forget(usize::try_from(first_run).unwrap_or(usize::MAX));
        }
    }

    /// The position after the last byte.
    pub fn end(&self) -> u64 {
        self.first + self.bytes.len() as u64
    }

    /// The position of the first line that is kept whole; where nothing of it was left out, of the very first byte.
    pub fn first(&self) -> u64 {
        if self.first == 0 || self.first_is_whole {
            return self.first;
        }
        let ends = self.bytes.iter().position(|byte| *byte == b'\n');
        self.first + ends.map_or(0, |place| place as u64 + 1)
    }

    /// The position at which the last `lines` lines begin.
    pub fn tail(&self, lines: u64) -> u64 {
        let mut left = lines;
        for (back, byte) in self.bytes.iter().rev().enumerate() {
            // The line feed at the very end ends the last line and begins none.
            if *byte == b'\n' && back > 0 {
                left = left.saturating_sub(1);
            }
            if left == 0 {
                return self.end() - back as u64;
            }
        }
        self.first()
    }

    /// What stands at this position, at most `room` bytes of one kind, and the position after it. Older than what is
    /// kept is left out.
    pub fn read(&self, position: u64, room: usize) -> Option<(Piece, u64)> {
        let from = position.max(self.first);
        let place = self.runs.partition_point(|(end, _)| *end <= from);
        let (run_end, is_error) = *self.runs.get(place)?;
        let skipped = usize::try_from(from - self.first).ok()?;
        let length = usize::try_from(run_end - from).ok()?.min(room).min(MAX_PIECE_BYTES);
        let bytes: Vec<u8> = self.bytes.iter().skip(skipped).take(length).copied().collect();
        let after = from + bytes.len() as u64;
        let piece = if is_error { Piece::Err(bytes) } else { Piece::Out(bytes) };
        (length > 0).then_some((piece, after))
    }

    /// Everything, as pieces one after the other.
    pub fn as_pieces(&self) -> Vec<u8> {
        let (mut all, mut position) = (Vec::new(), self.first());
        while let Some((piece, after)) = self.read(position, MAX_PIECE_BYTES) {
            piece.encode(&mut all);
            position = after;
        }
        all
    }

    fn forget(&mut self, count: usize) {
        let mut gone = self.bytes.drain(..count.min(self.bytes.len()));
        self.first_is_whole = gone.next_back() == Some(b'\n');
        self.first += count as u64;
        while self.runs.front().is_some_and(|(end, _)| *end <= self.first) {
            self.runs.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(kept: &Kept, from: u64) -> String {
        let (mut text, mut position) = (String::new(), from);
        while let Some((piece, after)) = kept.read(position, 5) {
            let (mark, bytes) = match piece {
                Piece::Err(bytes) => ("!", bytes),
                Piece::Out(bytes) => ("", bytes),
                other => panic!("{other:?}"),
            };
            text.push_str(mark);
            text.push_str(&String::from_utf8_lossy(&bytes));
            position = after;
        }
        text
    }

    #[test]
    fn output_and_errors_keep_their_order() {
        let mut kept = Kept::default();
        kept.push(false, b"one\ntwo\n");
        kept.push(true, b"bad\n");
        kept.push(false, b"three\n");
        assert_eq!(text(&kept, 0), "one\ntwo\n!bad\nthree\n");
        for (lines, expected) in
            [(0, ""), (1, "three\n"), (2, "!bad\nthree\n"), (3, "two\n!bad\nthree\n"), (9, "one\ntwo\n!bad\nthree\n")]
        {
            assert_eq!(text(&kept, kept.tail(lines)), expected, "{lines}");
        }
        kept.push(false, b"no end");
        assert_eq!(text(&kept, kept.tail(1)), "no end");
    }

    #[test]
    fn memory_is_bounded_in_bytes_and_in_runs() {
        let mut kept = Kept::default();
        for number in 0..100_000_u32 {
            kept.push(number % 2 == 0, b"x");
        }
        assert!(kept.runs.len() <= MAX_RUNS);
        for _ in 0..40 {
            kept.push(false, &vec![b'y'; 1 << 16]);
        }
        assert_eq!((kept.bytes.len(), kept.runs.len()), (MAX_BYTES, 1));
        kept.push(false, b"\nwhole\n");
        assert_eq!(text(&kept, kept.first()), "whole\n");
        assert_eq!(kept.as_pieces().len(), bundle::channel::PIECE_HEADER_BYTES + 6);
        assert_eq!(kept.end(), 100_000 + (40 << 16) + 7);
        assert!(kept.read(0, 10).is_some_and(|(_, after)| after > 100_000));
    }
}
