//! Writes a disk image into a sparse output and digests it on a second thread, holes as the zeros that they read as.
//!
//! Digests cost more than the copy of the bytes itself; side by side they cost no time of their own.

use std::io::{self, Seek, Write};
use std::sync::mpsc::{Receiver, Sender, SyncSender, channel, sync_channel};
use std::thread;

use formats::region::{RegionSink, SeekSink};

use crate::artifact::{FileDigests, HashingWriter};

/// Regions that may wait for the digests. A writer's region is at most a few MiB, so this bounds the memory.
const WAITING_REGIONS: usize = 4;

/// Runs `fill` with a sink that writes to `output` and gives the digests of the whole image of `size_bytes`.
///
/// `output` must read as zeros where nothing was written: a fresh file that already has its length.
///
/// # Errors
/// What `fill` or `output` report.
pub fn write_disk<W: Write + Seek>(
    output: W,
    size_bytes: u64,
    fill: &mut dyn FnMut(&mut dyn RegionSink) -> io::Result<()>,
) -> io::Result<FileDigests> {
    thread::scope(|scope| {
        let (regions, waiting) = sync_channel(WAITING_REGIONS);
        let (used, spare) = channel();
        let digests = scope.spawn(move || digest(&waiting, &used));
        let mut sink = DigestedSink { output: SeekSink::new(output), regions, spare, end_bytes: 0 };
        let filled = fill(&mut sink).and_then(|()| sink.send(size_bytes, Vec::new()));
        drop(sink);
        let digests = digests.join().expect("digesting does not panic");
        filled.map(|()| digests)
    })
}

/// A stretch of an image: zeros, then bytes.
struct Region {
    zeros: u64,
    bytes: Vec<u8>,
}

/// Writes regions and passes them on.
struct DigestedSink<W> {
    output: SeekSink<W>,
    regions: SyncSender<Region>,
    /// Buffers that were digested and can be filled again.
    spare: Receiver<Vec<u8>>,
    end_bytes: u64,
}

impl<W> DigestedSink<W> {
    fn send(&mut self, offset_bytes: u64, bytes: Vec<u8>) -> io::Result<()> {
        let zeros =
            offset_bytes.checked_sub(self.end_bytes).ok_or_else(|| io::Error::other("regions are out of order"))?;
        self.end_bytes = offset_bytes + bytes.len() as u64;
        self.regions.send(Region { zeros, bytes }).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }

    fn spare(&self) -> Vec<u8> {
        self.spare.try_recv().unwrap_or_default()
    }
}

impl<W: Write + Seek> RegionSink for DigestedSink<W> {
    fn data(&mut self, offset_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        self.output.data(offset_bytes, bytes)?;
        let mut copy = self.spare();
        copy.clear();
        copy.extend_from_slice(bytes);
        self.send(offset_bytes, copy)
    }

    fn buffer(&mut self, offset_bytes: u64, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        self.output.data(offset_bytes, &bytes)?;
        let mut next = self.spare();
        next.resize(bytes.len(), 0);
        self.send(offset_bytes, bytes)?;
        Ok(next)
    }
}

fn digest(waiting: &Receiver<Region>, used: &Sender<Vec<u8>>) -> FileDigests {
    let mut hashes = HashingWriter::new(io::sink());
    for Region { zeros, bytes } in waiting {
        io::copy(&mut io::Read::take(io::repeat(0), zeros), &mut hashes).expect("a sink takes everything");
        hashes.write_all(&bytes).expect("a sink takes everything");
        // Nobody takes the buffer back once the last region was sent.
        let _ = used.send(bytes);
    }
    hashes.finish().1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_are_those_of_the_bytes_that_were_written_and_of_the_holes() {
        let regions: [(u64, &[u8]); 3] = [(0, b"head"), (4, b"more"), (3 << 16, b"tail")];
        let mut whole = vec![0; 5 << 16];
        let mut written = io::Cursor::new(vec![0; whole.len()]);
        let digests = write_disk(&mut written, whole.len() as u64, &mut |sink| {
            regions.iter().try_for_each(|(offset, bytes)| sink.data(*offset, bytes))
        });
        for (offset, bytes) in regions {
            whole[offset as usize..][..bytes.len()].copy_from_slice(bytes);
        }
        assert_eq!(digests.unwrap(), FileDigests::of(&whole));
        assert_eq!(written.into_inner(), whole);
    }

    #[test]
    fn a_failure_while_filling_is_told() {
        let mut out = io::Cursor::new(Vec::new());
        let error = write_disk(&mut out, 9, &mut |_| Err(io::ErrorKind::StorageFull.into())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
