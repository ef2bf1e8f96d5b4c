//! Decides which blocks of a disk the file holds, and where.

use std::fmt::Write;
use std::ops::Range;

use super::{ALIGNMENT_BYTES, BLOCK_BYTES, CHUNK_BLOCKS, SECTOR_BYTES, tables};
use crate::gpt::{Guid, text};

/// Where the table of blocks begins: behind headers, log and metadata of one MiB each.
pub(super) const TABLE_OFFSET: u64 = 3 * ALIGNMENT_BYTES;

/// Largest disk ([MS-VHDX] 2.6.2.2): 64 TB.
const DISK_BYTES_MOST: u64 = 64 << 40;

/// The ids of an image, in the order of their text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ids {
    /// Of the file's state.
    pub file_write: Guid,
    /// Of the disk's contents.
    pub data_write: Guid,
    /// Of the disk, which its guest sees (SCSI page 0x83).
    pub disk: Guid,
}

/// Why an image cannot be planned.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PlanError {
    /// More than the format can say.
    #[error("a disk of {0} bytes is larger than a VHDX image can hold, {DISK_BYTES_MOST} bytes")]
    TooLarge(u64),
    /// Not a number of sectors.
    #[error("a disk of {0} bytes is not a number of sectors of {SECTOR_BYTES} bytes; round its size to a MiB")]
    Sectors(u64),
}

/// A decided image. Blocks of the file ascend with those of the disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Layout {
    pub(super) ids: Ids,
    pub(super) disk_bytes: u64,
    /// Runs of blocks of the disk that the file holds, one behind the other.
    pub(super) runs: Vec<Range<u64>>,
}

impl Layout {
    /// Plans an image of a disk that has data in these ranges only. Ranges ascend; they may overlap.
    ///
    /// # Errors
    /// When the format cannot hold a disk of this size.
    pub fn new(ids: Ids, disk_bytes: u64, data: &[Range<u64>]) -> Result<Self, PlanError> {
        if disk_bytes > DISK_BYTES_MOST {
            return Err(PlanError::TooLarge(disk_bytes));
        }
        if !disk_bytes.is_multiple_of(SECTOR_BYTES) {
            return Err(PlanError::Sectors(disk_bytes));
        }
        let mut runs: Vec<Range<u64>> = Vec::new();
        for range in data.iter().filter(|range| !range.is_empty()) {
            let (start, end) = (range.start / BLOCK_BYTES, range.end.min(disk_bytes).div_ceil(BLOCK_BYTES));
            match runs.last_mut() {
                Some(last) if start <= last.end => last.end = last.end.max(end),
                _ => runs.push(start..end),
            }
        }
        Ok(Self { ids, disk_bytes, runs })
    }

    /// Length of the file.
    pub fn file_bytes(&self) -> u64 {
        let blocks: u64 = self.runs.iter().map(|run| run.end - run.start).sum();
        self.first_block_offset() + blocks * BLOCK_BYTES
    }

    /// Everything that stands before the first block, with its places; all between is zero.
    pub fn tables(&self) -> [(u64, Vec<u8>); 3] {
        [(0, tables::headers(self)), tables::metadata(self), tables::blocks(self)]
    }

    /// Where the bytes of this block of the disk stand in the file, for a block that may hold data.
    pub fn block_offset(&self, block: u64) -> Option<u64> {
        let mut before = 0;
        for run in &self.runs {
            if run.contains(&block) {
                return Some(self.first_block_offset() + (before + block - run.start) * BLOCK_BYTES);
            }
            before += run.end - run.start;
        }
        None
    }

    /// Entries of the table: one for each block, and one for a sector bitmap after each full chunk ([MS-VHDX] 2.5).
    pub(super) fn table_entries(&self) -> u64 {
        let blocks = self.disk_bytes.div_ceil(BLOCK_BYTES);
        blocks + blocks.saturating_sub(1) / CHUNK_BLOCKS
    }

    pub(super) fn table_bytes(&self) -> u64 {
        (self.table_entries().max(1) * 8).next_multiple_of(ALIGNMENT_BYTES)
    }

    fn first_block_offset(&self) -> u64 {
        TABLE_OFFSET + self.table_bytes()
    }

    /// The image as text, one line a run of blocks.
    pub fn dump(&self) -> String {
        let Ids { file_write, data_write, disk } = &self.ids;
        let mut out = format!("vhdx {} {} disk {}\n", text(file_write), text(data_write), text(disk));
        let (disk_bytes, file_bytes, entries) = (self.disk_bytes, self.file_bytes(), self.table_entries());
        let _ = writeln!(out, "disk {disk_bytes} bytes, file {file_bytes} bytes, {entries} table entries");
        for run in &self.runs {
            let offset = self.block_offset(run.start).unwrap_or_default();
            let _ = writeln!(out, "blocks {}..{} at {offset}", run.start, run.end);
        }
        out
    }
}
