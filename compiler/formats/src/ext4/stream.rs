//! Gathers small writes into large ones and leaves zeros out, on the way to a sink.
//!
//! Blocks come in by ascending offset; regions without long stretches of zeros go out.

use std::io::{self, Read};

use super::BLOCK_BYTES;
use crate::region::RegionSink;

/// Bytes gathered before the sink is called: few calls, and still small beside a processor's cache.
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
    offset_bytes: u64,
}

impl<'s> Stream<'s> {
    /// A stream at the start of the image.
    pub fn new(sink: &'s mut dyn RegionSink) -> Self {
        Self { sink, buffer: vec![0; BUFFER_BYTES], filled: 0, offset_bytes: 0 }
    }

    /// Continues at this block, which is not before the current place.
    pub fn seek(&mut self, block: u32) -> io::Result<()> {
        let offset_bytes = u64::from(block) * BLOCK_BYTES as u64;
        if offset_bytes != self.offset_bytes + self.filled as u64 {
            self.flush()?;
            assert!(offset_bytes >= self.offset_bytes, "an image is written in ascending order");
            self.offset_bytes = offset_bytes;
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
        let end = self.filled.next_multiple_of(BLOCK_BYTES);
        self.buffer[self.filled..end].fill(0);
        self.filled = end;
    }

    /// Hands all that is gathered to the sink.
    pub fn flush(&mut self) -> io::Result<()> {
        let regions = regions(&self.buffer[..self.filled]);
        if regions == [(0, self.buffer.len())] {
            self.buffer = self.sink.buffer(self.offset_bytes, std::mem::take(&mut self.buffer))?;
        } else {
            for (start, end) in regions {
                self.sink.data(self.offset_bytes + start as u64, &self.buffer[start..end])?;
            }
        }
        self.offset_bytes += self.filled as u64;
        self.filled = 0;
        Ok(())
    }

    fn room(&mut self) -> io::Result<&mut [u8]> {
        if self.filled == self.buffer.len() {
            self.flush()?;
        }
        Ok(&mut self.buffer[self.filled..])
    }
}

/// The parts of some blocks that are to be written, as start and end.
fn regions(bytes: &[u8]) -> Vec<(usize, usize)> {
    const ZEROS: [u8; BLOCK_BYTES] = [0; BLOCK_BYTES];
    let mut regions: Vec<(usize, usize)> = Vec::new();
    for (at, block) in bytes.chunks(BLOCK_BYTES).enumerate() {
        if *block == ZEROS[..block.len()] {
            continue;
        }
        let start = at * BLOCK_BYTES;
        let end = start + block.len();
        match regions.last_mut() {
            Some((_, last_end)) if start - *last_end < ZERO_BLOCKS * BLOCK_BYTES => *last_end = end,
            _ => regions.push((start, end)),
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
        assert_eq!(regions(&bytes), [(3 * BLOCK_BYTES, 6 * BLOCK_BYTES), (40 * BLOCK_BYTES, 41 * BLOCK_BYTES)]);
        assert_eq!(regions(&[0; 3 * BLOCK_BYTES]), []);
    }
}
