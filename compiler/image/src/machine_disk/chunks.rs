//! Cuts ascending regions into chunks of equal size and hands each to every container, in order.
//!
//! A chunk holds whole clusters, grains and blocks of all formats. Chunks that were never mentioned are zero and are
//! not handed out.

use std::collections::VecDeque;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::{io, iter};

use formats::region::RegionSink;

/// Bytes of a chunk: a block of the largest unit among the formats, and few enough that many chunks fit in memory.
pub const CHUNK_BYTES: usize = 1 << 20;

/// Chunks whose buffers are kept: more than wait and are worked on at a time.
const KEPT_CHUNKS: usize = 16;

/// A part of a disk that is not zero.
#[derive(Debug)]
pub struct Chunk {
    /// Its place on the disk, in chunks.
    pub index: u64,
    /// All of its bytes.
    pub bytes: Vec<u8>,
    /// The parts of `bytes` that its source gave; all else is zero.
    pub given: Vec<Range<usize>>,
}

impl Chunk {
    /// Bytes that are all given; they may be fewer than those of other chunks.
    pub fn of(bytes: Vec<u8>) -> Self {
        let end = bytes.len();
        Self { index: 0, bytes, given: iter::once(0..end).collect() }
    }

    /// The same without what stands from this byte on.
    pub fn up_to(&self, end: usize) -> Self {
        let parts = self.given.iter().filter(|range| range.start < end);
        let given = parts.map(|range| range.start..range.end.min(end)).collect();
        Self { index: self.index, bytes: self.bytes[..end].to_vec(), given }
    }

    /// Where the chunk begins on the disk.
    pub fn offset_bytes(&self) -> u64 {
        self.index * CHUNK_BYTES as u64
    }

    /// Clears what an earlier use of the buffer left between the parts that were given.
    fn zero_the_rest(&mut self) {
        let starts = self.given.iter().map(|range| range.start).chain([self.bytes.len()]);
        let ends = [0].into_iter().chain(self.given.iter().map(|range| range.end));
        for (end, start) in ends.zip(starts) {
            self.bytes[end..start].fill(0);
        }
    }
}

/// Where one container takes its chunks: in turn, so that several threads can work on them.
pub struct Lanes {
    pub senders: Vec<SyncSender<Arc<Chunk>>>,
    pub next: usize,
}

/// Gathers regions.
pub struct Chunker {
    lanes: Vec<Lanes>,
    current: Chunk,
    end_bytes: u64,
    /// Chunks that were handed out last. The first of them are done with, and their buffers are filled again.
    handed_out: VecDeque<Arc<Chunk>>,
}

impl Chunker {
    /// Hands chunks to all of these.
    pub fn new(lanes: Vec<Lanes>) -> Self {
        let current = Chunk { index: 0, bytes: vec![0; CHUNK_BYTES], given: Vec::new() };
        Self { lanes, current, end_bytes: 0, handed_out: VecDeque::new() }
    }

    /// Hands out the last chunk.
    ///
    /// # Errors
    /// `BrokenPipe` when a container takes no more, since it failed.
    pub fn finish(mut self) -> io::Result<()> {
        self.hand_out(0)
    }

    fn hand_out(&mut self, next_index: u64) -> io::Result<()> {
        if self.current.given.is_empty() {
            self.current.index = next_index;
            return Ok(());
        }
        let next = Chunk { index: next_index, bytes: self.buffer(), given: Vec::new() };
        let mut chunk = std::mem::replace(&mut self.current, next);
        chunk.zero_the_rest();
        let chunk = Arc::new(chunk);
        for lanes in &mut self.lanes {
            let lane = lanes.next % lanes.senders.len();
            lanes.next += 1;
            lanes.senders[lane].send(chunk.clone()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
        self.handed_out.push_back(chunk);
        Ok(())
    }

    /// A buffer with any bytes in it, one that was used before if it is free.
    fn buffer(&mut self) -> Vec<u8> {
        let oldest = if self.handed_out.len() < KEPT_CHUNKS { None } else { self.handed_out.pop_front() };
        oldest.and_then(Arc::into_inner).map_or_else(|| vec![0; CHUNK_BYTES], |chunk| chunk.bytes)
    }

    fn give(&mut self, at: usize, bytes: &[u8]) {
        let Chunk { bytes: all, given, .. } = &mut self.current;
        let end = at + bytes.len();
        all[at..end].copy_from_slice(bytes);
        match given.last_mut() {
            Some(last) if last.end == at => last.end = end,
            _ => given.push(at..end),
        }
    }
}

impl RegionSink for Chunker {
    fn data(&mut self, mut offset_bytes: u64, mut bytes: &[u8]) -> io::Result<()> {
        if offset_bytes < self.end_bytes {
            return Err(io::Error::other("the regions of a disk are out of order"));
        }
        while !bytes.is_empty() {
            let (index, at) = (offset_bytes / CHUNK_BYTES as u64, (offset_bytes % CHUNK_BYTES as u64) as usize);
            if index != self.current.index {
                self.hand_out(index)?;
            }
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_BYTES - at));
            self.give(at, now);
            offset_bytes += now.len() as u64;
            bytes = later;
        }
        self.end_bytes = offset_bytes;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc::sync_channel;

    #[test]
    fn regions_become_whole_chunks_with_zeros_between() {
        let (sender, chunks) = sync_channel(9);
        let mut chunker = Chunker::new(vec![Lanes { senders: vec![sender], next: 0 }]);
        let chunk = CHUNK_BYTES as u64;
        for (offset, bytes) in [(5, &b"abc"[..]), (8, b"d"), (chunk - 1, b"ef"), (9 * chunk, b"g")] {
            chunker.data(offset, bytes).unwrap();
        }
        assert!(chunker.data(9 * chunk, b"again").is_err());
        chunker.finish().unwrap();
        let chunks: Vec<_> = chunks.into_iter().collect();
        assert_eq!(chunks.iter().map(|chunk| chunk.index).collect::<Vec<_>>(), [0, 1, 9]);
        assert_eq!(chunks[0].given, [5..9, CHUNK_BYTES - 1..CHUNK_BYTES]);
        assert_eq!((chunks[1].given.first(), chunks[1].offset_bytes()), (Some(&(0..1)), chunk));
        assert_eq!(&chunks[0].bytes[4..10], b"\0abcd\0");
    }
}
