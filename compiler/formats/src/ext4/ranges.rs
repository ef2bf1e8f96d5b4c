//! Tells where a planned image may hold anything but zeros, before a content is read.
//!
//! A layout goes in; ranges come out that cover every region the writer gives. Blocks of files count, though their
//! bytes may turn out to be zero; the unused parts of inode tables, free space and the journal's inside do not.

use std::ops::Range;

use super::layout::Layout;
use super::{BLOCK_BYTES, BLOCKS_PER_GROUP, INODES_PER_BLOCK};

impl Layout {
    /// Where anything but zeros may stand, as ascending, disjoint ranges of bytes.
    pub fn data_ranges(&self) -> Vec<Range<u64>> {
        let mut blocks = self.table_blocks();
        blocks.extend(self.file_blocks());
        blocks.sort_unstable_by_key(|range| range.start);
        let mut merged: Vec<Range<u64>> = Vec::new();
        for range in blocks.into_iter().filter(|range| !range.is_empty()) {
            let (start, end) = (u64::from(range.start) * BLOCK_BYTES as u64, u64::from(range.end) * BLOCK_BYTES as u64);
            match merged.last_mut() {
                Some(last) if start <= last.end => last.end = last.end.max(end),
                _ => merged.push(start..end),
            }
        }
        merged
    }

    /// Superblock copies, bitmaps, and inode tables as far as their inodes are in use.
    fn table_blocks(&self) -> Vec<Range<u32>> {
        let geometry = &self.geometry;
        let mut blocks = Vec::new();
        for group in 0..geometry.groups {
            let start = group * BLOCKS_PER_GROUP;
            // The descriptor blocks that are reserved hold something in the first group only: the resize inode's pointers.
            let reserved = if group == 0 { 0 } else { geometry.reserved_descriptor_blocks };
            blocks.push(start..start + geometry.superblock_blocks(group).saturating_sub(reserved));
            blocks
                .extend([geometry.block_bitmap(group), geometry.inode_bitmap(group)].map(|bitmap| bitmap..bitmap + 1));
            let used = self.last_inode().saturating_sub(group * geometry.inodes_per_group);
            let table = geometry.inode_table(group);
            blocks.push(table..table + used.min(geometry.inodes_per_group).div_ceil(INODES_PER_BLOCK));
        }
        blocks
    }

    /// All data blocks in use, but of the journal only its first.
    fn file_blocks(&self) -> Vec<Range<u32>> {
        let geometry = &self.geometry;
        let end = self.placement.end;
        let used = |start: u32| {
            let runs = geometry.runs_from(start, u32::MAX).take_while(move |run| run.start < end);
            runs.map(move |run| run.start..run.end().min(end))
        };
        let Some((journal, journal_blocks)) = self.placement.journal else {
            return used(0).collect();
        };
        let behind = geometry.runs_from(journal, journal_blocks).last().map_or(journal, |run| run.end());
        let before = used(0).take_while(|run| run.start < journal).map(|run| run.start..run.end.min(journal));
        before.chain(std::iter::once(journal..journal + 1)).chain(used(behind)).collect()
    }
}
