//! Turns the regions of a disk into those of its image: tables first, then each part of the disk at its block's place.

use std::io;

use super::BLOCK_BYTES;
use super::layout::Layout;
use crate::region::RegionSink;

/// Takes the regions of a disk and gives those of the file, which is [`Layout::file_bytes`] long.
pub struct BlockSink<'s> {
    layout: &'s Layout,
    file: &'s mut dyn RegionSink,
}

impl<'s> BlockSink<'s> {
    /// Writes everything that stands before the first block.
    ///
    /// # Errors
    /// What the file's sink reports.
    pub fn new(layout: &'s Layout, file: &'s mut dyn RegionSink) -> io::Result<Self> {
        layout.tables().iter().try_for_each(|(offset, bytes)| file.data(*offset, bytes))?;
        Ok(Self { layout, file })
    }
}

impl RegionSink for BlockSink<'_> {
    fn data(&mut self, mut offset_bytes: u64, mut bytes: &[u8]) -> io::Result<()> {
        while !bytes.is_empty() {
            let within = offset_bytes % BLOCK_BYTES;
            let (now, later) = bytes.split_at(bytes.len().min((BLOCK_BYTES - within) as usize));
            match self.layout.block_offset(offset_bytes / BLOCK_BYTES) {
                Some(block) => self.file.data(block + within, now)?,
                None if now.iter().all(|byte| *byte == 0) => {}
                None => {
                    let what = format!("the disk has data at {offset_bytes}, where its plan has none");
                    return Err(io::Error::other(what));
                }
            }
            offset_bytes += now.len() as u64;
            bytes = later;
        }
        Ok(())
    }
}
