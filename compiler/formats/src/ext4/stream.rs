//! Gathers small writes into large ones and leaves zeros out, on the way to a sink.
//!
//! Blocks come in by ascending offset; regions without long stretches of zeros go out.

use std::io::{self, Read};
use std::ops::Range;
use std::sync::Arc;

use super::BLOCK_BYTES;
use crate::region::{RegionSink, Stretch};

/// Bytes gathered before the sink is called, from a multiple of this offset on: few calls, still small beside a
/// processor's cache, and a whole block of every disk format, whose sinks take it as it is.
const BUFFER_BYTES: usize = 1 << 20;

/// Zero blocks in a row that are left out. Shorter stretches are written, since each gap costs a call.
const ZERO_BLOCKS: usize = 16;

/// Which side of a copy failed.
#[derive(Debug)]
pub enum CopyError {
    /// The reader.
    Reader(io::Error),
    /// The sink.
    Sink(io::Error),
}

/// A buffered, ascending writer of blocks.
pub struct Stream<'s> {
    sink: &'s mut dyn RegionSink,
    buffer: Vec<u8>,
    filled: usize,
    /// Where the parts of the buffer begin that were passed over.
    gaps: Vec<usize>,
    /// Where the buffer begins.
    offset_bytes: u64,
    /// Buffers that the sink was given. Those that nobody else holds any more are filled again.
    handed_out: Vec<Arc<Vec<u8>>>,
}

impl<'s> Stream<'s> {
    /// A stream at the start of the image.
    pub fn new(sink: &'s mut dyn RegionSink) -> Self {
        let buffer = vec![0; BUFFER_BYTES];
        Self { sink, buffer, filled: 0, gaps: Vec::new(), offset_bytes: 0, handed_out: Vec::new() }
    }

    /// Continues at this block, which is not before the current place.
    pub fn seek(&mut self, block: u32) -> io::Result<()> {
        let offset_bytes = u64::from(block) * BLOCK_BYTES as u64;
        assert!(offset_bytes >= self.offset_bytes + self.filled as u64, "an image is written in ascending order");
        if offset_bytes >= self.offset_bytes + BUFFER_BYTES as u64 {
            self.flush()?;
            self.offset_bytes = offset_bytes / BUFFER_BYTES as u64 * BUFFER_BYTES as u64;
        }
        let at = (offset_bytes - self.offset_bytes) as usize;
        if at > self.filled {
            self.gaps.push(self.filled);
            self.zeros_until(at);
        }
        Ok(())
    }

    /// Writes bytes.
    pub fn put(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let room = self.room()?;
            let count = room.len().min(bytes.len());
            let (now, later) = bytes.split_at(count);
            room[..count].copy_from_slice(now);
            self.filled += count;
            bytes = later;
        }
        Ok(())
    }

    /// Writes up to this many bytes of a reader; the result is smaller only where the reader ends.
    pub fn copy(&mut self, reader: &mut dyn Read, size_bytes: u64) -> Result<u64, CopyError> {
        let mut left = size_bytes;
        while left > 0 {
            let room = self.room().map_err(CopyError::Sink)?;
            let limit = usize::try_from(left).map_or(room.len(), |left| left.min(room.len()));
            match reader.read(&mut room[..limit]) {
                Ok(0) => break,
                Ok(count) => {
                    self.filled += count;
                    left -= count as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(CopyError::Reader(error)),
            }
        }
        Ok(size_bytes - left)
    }

    /// Writes zeros up to the end of the block.
    pub fn pad(&mut self) {
        self.zeros_until(self.filled.next_multiple_of(BLOCK_BYTES));
    }

    /// Hands all that is gathered to the sink. What is written next stands behind this buffer.
    pub fn flush(&mut self) -> io::Result<()> {
        let given = regions(&self.buffer[..self.filled], &self.gaps);
        if !given.is_empty() {
            self.zeros_until(BUFFER_BYTES);
            let next = self.spare();
            let bytes = Arc::new(std::mem::replace(&mut self.buffer, next));
            self.handed_out.push(bytes.clone());
            self.sink.stretch(Stretch { offset_bytes: self.offset_bytes, bytes, given })?;
        }
        self.offset_bytes += BUFFER_BYTES as u64;
        self.filled = 0;
        self.gaps.clear();
        Ok(())
    }

    fn zeros_until(&mut self, end: usize) {
        self.buffer[self.filled..end].fill(0);
        self.filled = end;
    }

    /// A buffer with any bytes in it.
    fn spare(&mut self) -> Vec<u8> {
        let free = self.handed_out.iter().position(|buffer| Arc::strong_count(buffer) == 1);
        let free = free.and_then(|at| Arc::into_inner(self.handed_out.swap_remove(at)));
        free.unwrap_or_else(|| vec![0; BUFFER_BYTES])
    }

    fn room(&mut self) -> io::Result<&mut [u8]> {
        if self.filled == self.buffer.len() {
            self.flush()?;
        }
        Ok(&mut self.buffer[self.filled..])
    }
}

/// The parts of some blocks that are to be written; none reaches over the beginning of a gap.
fn regions(bytes: &[u8], gaps: &[usize]) -> Vec<Range<usize>> {
    const ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];
    let mut regions: Vec<Range<usize>> = Vec::new();
    for (at, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
        if *block == ZEROS[..block.len()] {
            continue;
        }
        let start = at * BLOCK_BYTES;
        let end = start + block.len();
        let is_near = |last: &Range<usize>| {
            start - last.end < ZERO_BLOCKS * BLOCK_BYTES && !gaps.iter().any(|gap| (last.end..start).contains(gap))
        };
        match regions.last_mut() {
            Some(last) if is_near(last) => last.end = end,
            _ => regions.push(start..end),
        }
    }
    regions
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_zeros_are_left_out_and_short_ones_are_not() {
        let mut bytes = vec![0; 64 * BLOCK_BYTES];
        for block in [3, 5, 40] {
            bytes[block * BLOCK_BYTES + 7] = 1;
        }
        assert_eq!(regions(&bytes, &[]), [3 * BLOCK_BYTES..6 * BLOCK_BYTES, 40 * BLOCK_BYTES..41 * BLOCK_BYTES]);
        let [first, second, third] = [3, 5, 40].map(|block| block * BLOCK_BYTES..(block + 1) * BLOCK_BYTES);
        assert_eq!(regions(&bytes, &[4 * BLOCK_BYTES]), [first, second, third]);
        assert_eq!(regions(&[0; 3 * BLOCK_BYTES], &[]), []);
    }
}
