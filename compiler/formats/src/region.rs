//! Where a disk writer puts its bytes: regions of one image, in ascending order, with zeros left out.
//!
//! A sink may be a sparse file or the front half of another disk format; no raw image stands between them.
//! Offsets and bytes come in, and nothing is ever read back.

use std::io::{self, Seek, SeekFrom, Write};

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

    /// The same with a whole buffer, for a sink that would otherwise copy it; gives one of the same length to fill next.
    ///
    /// # Errors
    /// As [`RegionSink::data`].
    fn buffer(&mut self, offset_bytes: u64, bytes: Vec<u8>) -> io::Result<Vec<u8>> {
        self.data(offset_bytes, &bytes)?;
        Ok(bytes)
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
