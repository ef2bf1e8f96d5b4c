//! Writes a disk image into a sparse output and digests it side by side.

use std::io::{self, Seek, Write};
use std::sync::Arc;

use formats::region::{RegionSink, SeekSink, Stretch};

use crate::artifact::FileDigests;
use crate::digests::{Digests, side_by_side};

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
    side_by_side(size_bytes, |digests| fill(&mut DigestedSink { output: SeekSink::new(output), digests }))
}

/// Writes regions and has them digested.
struct DigestedSink<'d, W> {
    output: SeekSink<W>,
    digests: &'d mut Digests,
}

impl<W: Write + Seek> RegionSink for DigestedSink<'_, W> {
    fn data(&mut self, offset_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        self.output.data(offset_bytes, bytes)?;
        self.digests.take(offset_bytes, Arc::new(bytes.to_vec()), 0..bytes.len())
    }

    fn stretch(&mut self, stretch: Stretch) -> io::Result<()> {
        let (Some(first), Some(last)) = (stretch.given.first(), stretch.given.last()) else { return Ok(()) };
        let whole = first.start..last.end;
        let (start, bytes) = (stretch.offset_bytes + whole.start as u64, stretch.bytes.clone());
        self.output.stretch(stretch)?;
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
    fn a_failure_while_filling_is_told() {
        let mut out = io::Cursor::new(Vec::new());
        let error = write_disk(&mut out, 9, &mut |_| Err(io::ErrorKind::StorageFull.into())).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
