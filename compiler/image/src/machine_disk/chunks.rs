//! Cuts ascending regions into chunks of equal size and hands each to every container, in order.
//!
//! A chunk holds whole clusters, grains and blocks of all formats. Chunks that were never mentioned are zero and are
//! not handed out.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;

use formats::region::RegionSink;

/// Bytes of a chunk: a block of the largest unit among the formats, and few enough that many chunks fit in memory.
pub const CHUNK_BYTES: usize = 1 << 20;

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
    /// Where the chunk begins on the disk.
    pub fn offset_bytes(&self) -> u64 {
        self.index * CHUNK_BYTES as u64
    }

    /// The parts that were given, with their places on the disk.
    pub fn regions(&self) -> impl Iterator<Item = (u64, &[u8])> {
        self.given.iter().map(|range| (self.offset_bytes() + range.start as u64, &self.bytes[range.clone()]))
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
}

impl Chunker {
    /// Hands chunks to all of these.
    pub fn new(lanes: Vec<Lanes>) -> Self {
        Self { lanes, current: empty(0), end_bytes: 0 }
    }

    /// Hands out the last chunk.
    ///
    /// # Errors
    /// `BrokenPipe` when a container takes no more, since it failed.
    pub fn finish(mut self) -> io::Result<()> {
        self.hand_out(0)
    }

    fn hand_out(&mut self, next_index: u64) -> io::Result<()> {
        let chunk = std::mem::replace(&mut self.current, empty(next_index));
        if chunk.given.is_empty() {
            return Ok(());
        }
        let chunk = Arc::new(chunk);
        for lanes in &mut self.lanes {
            let lane = lanes.next % lanes.senders.len();
            lanes.next += 1;
            lanes.senders[lane].send(chunk.clone()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
        Ok(())
    }

    fn give(&mut self, at: usize, bytes: &[u8]) {
        let Chunk { bytes: all, given, .. } = &mut self.current;
        all.resize(CHUNK_BYTES, 0);
        let end = at + bytes.len();
        all[at..end].copy_from_slice(bytes);
        match given.last_mut() {
            Some(last) if last.end == at => last.end = end,
            _ => given.push(at..end),
        }
    }
}

fn empty(index: u64) -> Chunk {
    Chunk { index, bytes: Vec::new(), given: Vec::new() }
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
        assert_eq!(chunks[1].regions().collect::<Vec<_>>(), [(chunk, &b"f"[..])]);
        assert_eq!(&chunks[0].bytes[4..10], b"\0abcd\0");
    }
}
