//! Cuts ascending regions into chunks of equal size and hands each to every container, in order.
//!
//! A chunk holds whole clusters, grains and blocks of all formats. Chunks that were never mentioned are zero and are
//! not handed out.

use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::SyncSender;
use std::{io, iter};

use formats::region::{RegionSink, Stretch};

/// Bytes of a chunk: a block of the largest unit among the formats, and few enough that many chunks fit in memory.
pub const CHUNK_BYTES: usize = 1 << 20;

/// A part of a disk that is not zero.
#[derive(Debug)]
pub struct Chunk {
    /// Its place on the disk, in chunks.
    pub index: u64,
    /// All of its bytes, in the buffer of its source where that held a whole chunk.
    pub bytes: Arc<Vec<u8>>,
    /// The parts of `bytes` that its source gave; all else is zero.
    pub given: Vec<Range<usize>>,
}

impl Chunk {
    /// Bytes that are all given; they may be fewer than those of other chunks.
    pub fn of(bytes: Vec<u8>) -> Self {
        let end = bytes.len();
        Self { index: 0, bytes: Arc::new(bytes), given: iter::once(0..end).collect() }
    }

    /// The same without what stands from this byte on.
    pub fn up_to(&self, end: usize) -> Self {
        let parts = self.given.iter().filter(|range| range.start < end);
        let given = parts.map(|range| range.start..range.end.min(end)).collect();
        Self { index: self.index, bytes: Arc::new(self.bytes[..end].to_vec()), given }
    }

    /// Where the chunk begins on the disk.
    pub fn offset_bytes(&self) -> u64 {
        self.index * CHUNK_BYTES as u64
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
    current: Option<Chunk>,
    end_bytes: u64,
}

impl Chunker {
    /// Hands chunks to all of these.
    pub fn new(lanes: Vec<Lanes>) -> Self {
        Self { lanes, current: None, end_bytes: 0 }
    }

    /// Hands out the last chunk.
    ///
    /// # Errors
    /// `BrokenPipe` when a container takes no more, since it failed.
    pub fn finish(mut self) -> io::Result<()> {
        self.hand_out()
    }

    fn hand_out(&mut self) -> io::Result<()> {
        let Some(chunk) = self.current.take().map(Arc::new) else { return Ok(()) };
        for lanes in &mut self.lanes {
            let lane = lanes.next % lanes.senders.len();
            lanes.next += 1;
            lanes.senders[lane].send(chunk.clone()).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        }
        Ok(())
    }

    /// Goes on from these bytes of the disk to those.
    fn pass(&mut self, offset_bytes: u64, end_bytes: u64) -> io::Result<()> {
        if offset_bytes < self.end_bytes {
            return Err(io::Error::other("the regions of a disk are out of order"));
        }
        self.end_bytes = end_bytes;
        Ok(())
    }

    /// The chunk of this place, after all before it were handed out.
    fn chunk(&mut self, index: u64) -> io::Result<&mut Chunk> {
        if self.current.as_ref().is_some_and(|current| current.index != index) {
            self.hand_out()?;
        }
        let fresh = || Chunk { index, bytes: Arc::new(vec![0; CHUNK_BYTES]), given: Vec::new() };
        Ok(self.current.get_or_insert_with(fresh))
    }
}

impl Chunk {
    fn give(&mut self, at: usize, bytes: &[u8]) {
        let end = at + bytes.len();
        Arc::make_mut(&mut self.bytes)[at..end].copy_from_slice(bytes);
        match self.given.last_mut() {
            Some(last) if last.end == at => last.end = end,
            _ => self.given.push(at..end),
        }
    }
}

impl RegionSink for Chunker {
    fn data(&mut self, mut offset_bytes: u64, mut bytes: &[u8]) -> io::Result<()> {
        self.pass(offset_bytes, offset_bytes + bytes.len() as u64)?;
        while !bytes.is_empty() {
            let (index, at) = (offset_bytes / CHUNK_BYTES as u64, (offset_bytes % CHUNK_BYTES as u64) as usize);
            let (now, later) = bytes.split_at(bytes.len().min(CHUNK_BYTES - at));
            self.chunk(index)?.give(at, now);
            offset_bytes += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }

    /// Keeps a buffer that is a whole chunk.
    fn stretch(&mut self, stretch: Stretch) -> io::Result<()> {
        let Stretch { offset_bytes, bytes, given } = stretch;
        let (Some(first), Some(last)) = (given.first(), given.last()) else { return Ok(()) };
        let index = offset_bytes / CHUNK_BYTES as u64;
        let whole = offset_bytes.is_multiple_of(CHUNK_BYTES as u64) && bytes.len() == CHUNK_BYTES;
        if whole && self.current.as_ref().is_none_or(|current| current.index < index) {
            self.pass(offset_bytes + first.start as u64, offset_bytes + last.end as u64)?;
            self.hand_out()?;
            self.current = Some(Chunk { index, bytes, given });
            return Ok(());
        }
        given.into_iter().try_for_each(|range| self.data(offset_bytes + range.start as u64, &bytes[range]))
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
        // A whole buffer is kept as it is, one at any other place is copied.
        let shared = Arc::new([vec![7; 9], vec![0; CHUNK_BYTES - 9]].concat());
        for offset_bytes in [10 * chunk, 12 * chunk + 1] {
            let given = iter::once(2..9).collect();
            chunker.stretch(Stretch { offset_bytes, bytes: shared.clone(), given }).unwrap();
        }
        chunker.data(13 * chunk, b"h").unwrap();
        chunker.finish().unwrap();
        let chunks: Vec<_> = chunks.into_iter().collect();
        assert_eq!(chunks.iter().map(|chunk| chunk.index).collect::<Vec<_>>(), [0, 1, 9, 10, 12, 13]);
        assert_eq!(chunks[0].given, [5..9, CHUNK_BYTES - 1..CHUNK_BYTES]);
        assert_eq!((chunks[1].given.first(), chunks[1].offset_bytes()), (Some(&(0..1)), chunk));
        assert_eq!(&chunks[0].bytes[4..10], b"\0abcd\0");
        assert!(Arc::ptr_eq(&chunks[3].bytes, &shared));
        let given = |chunk: &Chunk| (chunk.given[0].clone(), chunk.given.len());
        assert_eq!([given(&chunks[3]), given(&chunks[4])], [(2..9, 1), (3..10, 1)]);
        assert_eq!(&chunks[4].bytes[2..11], b"\0\x07\x07\x07\x07\x07\x07\x07\0");
    }
}
