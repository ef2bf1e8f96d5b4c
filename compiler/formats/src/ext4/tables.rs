//! Writes the tables at the start of each group, when the data reach the group: superblock copies, descriptors,
//! bitmaps and inodes. What is zero in them is passed over.

use std::io;

use super::group::Groups;
use super::index::Index;
use super::layout::Layout;
use super::records::Records;
use super::stream::Stream;
use super::superblock::JournalCopy;
use super::{BLOCKS_PER_GROUP, resize, superblock};

/// The tables of an image, written group by group.
pub struct Tables<'w> {
    layout: &'w Layout,
    records: Records<'w>,
    groups: Groups,
    journal: Option<JournalCopy>,
    /// The first group whose tables are not written yet.
    next_group: u32,
}

impl<'w> Tables<'w> {
    /// Counts what the tables will say; nothing is written yet.
    pub fn new(layout: &'w Layout, index: &'w Index<'w>) -> Self {
        let records = Records::new(layout, index);
        let groups = Groups::new(layout, index, records.checksum_seed);
        let journal = records.journal_copy();
        Self { layout, records, groups, journal, next_group: 0 }
    }

    /// Writes the tables that stand before this data block and are not written yet.
    pub fn write_before(&mut self, block: u32, stream: &mut Stream<'_>) -> io::Result<()> {
        self.write_groups(block / BLOCKS_PER_GROUP + 1, stream)
    }

    /// Writes the tables of all groups that are left.
    pub fn write_all(&mut self, stream: &mut Stream<'_>) -> io::Result<()> {
        self.write_groups(self.layout.geometry.groups, stream)
    }

    fn write_groups(&mut self, end: u32, stream: &mut Stream<'_>) -> io::Result<()> {
        while self.next_group < end {
            let group = self.next_group;
            self.next_group += 1;
            if self.layout.geometry.has_superblock(group) {
                self.write_superblock(group, stream)?;
            }
            if self.layout.geometry.flex_groups(group).start == group {
                self.write_packed_tables(group, stream)?;
            }
        }
        Ok(())
    }

    fn write_superblock(&self, group: u32, stream: &mut Stream<'_>) -> io::Result<()> {
        let geometry = &self.layout.geometry;
        stream.seek(group * BLOCKS_PER_GROUP)?;
        stream.put(&superblock::block(self.layout, &self.groups, self.journal.as_ref(), group))?;
        stream.put(&self.groups.descriptors)?;
        if group == 0 {
            for reserved in 0..geometry.reserved_descriptor_blocks {
                stream.put(&resize::reserved_block(geometry, reserved))?;
            }
        }
        Ok(())
    }

    /// Writes the bitmaps and inode tables of the groups that keep theirs with this one.
    fn write_packed_tables(&self, first: u32, stream: &mut Stream<'_>) -> io::Result<()> {
        let geometry = &self.layout.geometry;
        for group in geometry.flex_groups(first) {
            if let Some(bitmap) = self.groups.block_bitmap(geometry, group) {
                stream.seek(geometry.block_bitmap(group))?;
                stream.put(&bitmap)?;
            }
        }
        for group in geometry.flex_groups(first) {
            if let Some(bitmap) = self.groups.inode_bitmap(geometry, group) {
                stream.seek(geometry.inode_bitmap(group))?;
                stream.put(&bitmap)?;
            }
        }
        for group in geometry.flex_groups(first) {
            let inodes = self.groups.used_inodes(geometry, group);
            if !inodes.is_empty() {
                stream.seek(geometry.inode_table(group))?;
                inodes.into_iter().try_for_each(|inode| stream.put(&self.records.record(inode)))?;
                stream.pad();
            }
        }
        Ok(())
    }
}
