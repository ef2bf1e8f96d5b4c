//! Writes a disk image into a sparse output and digests it side by side: what makes the image, the file and each digest
//! have a thread.

use std::io::{self, Seek, Write};
use std::iter;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread;

use formats::region::{RegionSink, SeekSink, Stretch};

use crate::artifact::FileDigests;
use crate::digests::{Digests, side_by_side};
use crate::threads::joined;

/// Buffers that may wait to be written. The digests hold the same ones, so this bounds the memory.
const WAITING_STRETCHES: usize = 4;

/// Runs `fill` with a sink that writes to `output` and gives the digests of the whole image of `size_bytes`.
///
/// `output` must read as zeros where nothing was written: a fresh file that already has its length.
///
/// # Errors
/// What `output` or `fill` report.
pub fn write_disk<W: Write + Seek + Send>(
    output: W,
    size_bytes: u64,
    fill: &mut dyn FnMut(&mut dyn RegionSink) -> io::Result<()>,
) -> io::Result<FileDigests> {
    thread::scope(|scope| {
        let (sender, stretches) = sync_channel(WAITING_STRETCHES);
        let mut output = SeekSink::new(output);
        let written = scope.spawn(move || stretches.into_iter().try_for_each(|stretch| output.stretch(stretch)));
        let digests = side_by_side(size_bytes, |digests| fill(&mut DigestedSink { sender, digests }));
        // What fills the image only sees that nothing is taken any more when the output failed, which says why.
        joined(written).and(digests)
    })
}

/// Has regions written and digested.
struct DigestedSink<'d> {
    sender: SyncSender<Stretch>,
    digests: &'d mut Digests,
}

impl RegionSink for DigestedSink<'_> {
    fn data(&mut self, offset_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        let given = iter::once(0..bytes.len()).collect();
        self.stretch(Stretch { offset_bytes, bytes: Arc::new(bytes.to_vec()), given })
    }

    fn stretch(&mut self, stretch: Stretch) -> io::Result<()> {
        let (Some(first), Some(last)) = (stretch.given.first(), stretch.given.last()) else { return Ok(()) };
        let whole = first.start..last.end;
        let (start, bytes) = (stretch.offset_bytes + whole.start as u64, stretch.bytes.clone());
        self.sender.send(stretch).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        self.digests.take(start, bytes, whole)
    }
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
    fn a_full_disk_is_told_and_not_that_nothing_more_is_taken() {
        let mut room = [0; 9];
        let error = write_disk(io::Cursor::new(&mut room[..]), 90 << 20, &mut |sink| {
            (0..90).try_for_each(|number| sink.data(number << 20, b"more"))
        });
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::WriteZero);
    }

    #[test]
    fn a_failure_while_filling_is_told() {
        let mut out = io::Cursor::new(Vec::new());
        let error = write_disk(&mut out, 9, &mut |_| Err(io::ErrorKind::StorageFull.into())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
