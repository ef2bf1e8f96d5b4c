//! Where a disk writer puts its bytes: regions of one image, in ascending order, with zeros left out.
//!
//! A sink may be a sparse file or the front half of another disk format; no raw image stands between them.
//! Offsets and bytes come in, and nothing is ever read back.

use std::io::{self, Seek, SeekFrom, Write};
use std::ops::Range;
use std::sync::Arc;

/// A part of an image in a buffer that many may hold.
#[derive(Debug, Clone)]
pub struct Stretch {
    /// Where the buffer begins.
    pub offset_bytes: u64,
    /// Its bytes. It may reach beyond the end of the image.
    pub bytes: Arc<Vec<u8>>,
    /// The parts of the buffer that count, ascending and not empty; all else in it is zero.
    pub given: Vec<Range<usize>>,
}

/// Takes the parts of an image that are not zero.
///
/// A writer calls [`RegionSink::data`] with strictly ascending, non-overlapping regions. What it never mentions
/// is zero, and the image is as long as the writer's layout says, which may lie beyond the last region.
pub trait RegionSink {
    /// Takes the bytes that stand at this offset of the image.
    ///
    /// # Errors
    /// What the sink's own output reports.
    fn data(&mut self, offset_bytes: u64, bytes: &[u8]) -> io::Result<()>;

    /// Takes several regions in one buffer, which a sink may keep instead of a copy.
    ///
    /// # Errors
    /// As [`RegionSink::data`].
    fn stretch(&mut self, stretch: Stretch) -> io::Result<()> {
        let Stretch { offset_bytes, bytes, given } = stretch;
        given.into_iter().try_for_each(|range| self.data(offset_bytes + range.start as u64, &bytes[range]))
    }
}

/// Writes regions to a seekable output, which must read as zeros where nothing was written: a fresh, empty file.
///
/// The owner of the output sets its final length to the layout's size afterwards, since an image may end in zeros.
#[derive(Debug)]
pub struct SeekSink<W> {
    output: W,
    position_bytes: u64,
}

impl<W: Write + Seek> SeekSink<W> {
    /// A sink whose image begins at the start of the output.
    pub fn new(output: W) -> Self {
        Self { output, position_bytes: u64::MAX }
    }

    /// Gives the output back.
    pub fn into_inner(self) -> W {
        self.output
    }
}

impl<W: Write + Seek> RegionSink for SeekSink<W> {
    fn data(&mut self, offset_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        if self.position_bytes != offset_bytes {
            self.output.seek(SeekFrom::Start(offset_bytes))?;
        }
        self.output.write_all(bytes)?;
        self.position_bytes = offset_bytes + bytes.len() as u64;
        Ok(())
    }
}

/// An image that is decided and can be written, whatever it is made of.
pub trait RegionSource: Sync {
    /// Length of the image.
    fn size_bytes(&self) -> u64;

    /// Where anything but zeros may stand: ascending, disjoint ranges within the image. It may name more than is
    /// written later, never less, so that a container can decide its tables before the first byte.
    fn data_ranges(&self) -> Vec<Range<u64>>;

    /// Writes the image to a sink, within [`RegionSource::data_ranges`].
    ///
    /// # Errors
    /// What the sink reports, and what keeps the source from giving its bytes.
    fn write(&self, sink: &mut dyn RegionSink) -> io::Result<()>;
}

/// Puts one image into a larger one.
pub struct OffsetSink<'s> {
    sink: &'s mut dyn RegionSink,
    offset_bytes: u64,
    size_bytes: u64,
}

impl<'s> OffsetSink<'s> {
    /// A sink for an image of `size_bytes` that begins at `offset_bytes` of the one that `sink` takes.
    pub fn new(sink: &'s mut dyn RegionSink, offset_bytes: u64, size_bytes: u64) -> Self {
        Self { sink, offset_bytes, size_bytes }
    }

    fn place(&self, offset_bytes: u64, count: usize) -> io::Result<u64> {
        let end = offset_bytes.checked_add(count as u64);
        if end.is_none_or(|end| end > self.size_bytes) {
            return Err(io::Error::other(format!(
                "{count} bytes at {offset_bytes} lie beyond the {} bytes of their part of the disk",
                self.size_bytes
            )));
        }
        Ok(self.offset_bytes + offset_bytes)
    }
}

impl RegionSink for OffsetSink<'_> {
    fn data(&mut self, offset_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        let place = self.place(offset_bytes, bytes.len())?;
        self.sink.data(place, bytes)
    }

    fn stretch(&mut self, mut stretch: Stretch) -> io::Result<()> {
        let end = stretch.given.last().map_or(0, |range| range.end);
        stretch.offset_bytes = self.place(stretch.offset_bytes, end)?;
        self.sink.stretch(stretch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_of_a_disk_cannot_write_beyond_its_end() {
        let mut whole = SeekSink::new(io::Cursor::new(Vec::new()));
        let mut part = OffsetSink::new(&mut whole, 10, 4);
        part.data(1, b"abc").unwrap();
        let error = part.data(1, b"abcd").unwrap_err();
        assert_eq!(error.to_string(), "4 bytes at 1 lie beyond the 4 bytes of their part of the disk");
        assert!(part.data(u64::MAX, b"a").is_err());
        assert_eq!(whole.into_inner().into_inner(), b"\0\0\0\0\0\0\0\0\0\0\0abc");
    }
}
