//! Group descriptors and bitmaps ("Block Group Descriptors", "Block and Inode Bitmaps").
//!
//! What is in use is a prefix of each group, both of its blocks and of its inodes, so two numbers make a bitmap.

use super::bytes::{put_u16, put_u32};
use super::geometry::Geometry;
use super::index::{Index, inode_number};
use super::layout::Layout;
use super::{BLOCK_BYTES, BLOCKS_PER_GROUP, Block};
use crate::crc32c;

/// Bytes of a descriptor.
const DESCRIPTOR_BYTES: usize = 32;

/// No inode of the group is in use, and its bitmap is not written.
const INODES_UNINIT: u16 = 1;
/// No block of the group is in use but its superblock copy, and its bitmap is not written.
const BLOCKS_UNINIT: u16 = 2;
/// What of the inode table is not in use is zero.
const TABLE_ZEROED: u16 = 4;

/// One group's state.
#[derive(Debug, Clone, Copy)]
struct Group {
    number: u32,
    used_blocks: u32,
    used_inodes: u32,
    flags: u16,
}

/// The descriptors of all groups and their sums.
#[derive(Debug)]
pub struct Groups {
    groups: Vec<Group>,
    /// All descriptors, filled up to whole blocks.
    pub descriptors: Vec<u8>,
    /// Blocks that nothing uses.
    pub free_blocks: u64,
}

impl Groups {
    /// Counts what is in use in each group.
    pub fn new(layout: &Layout, index: &Index<'_>, checksum_seed: u32) -> Self {
        let geometry = &layout.geometry;
        let mut folders = vec![0u16; geometry.groups as usize];
        for slot in (0..index.len()).filter(|slot| index.node(*slot).is_dir()) {
            folders[((inode_number(slot) - 1) / geometry.inodes_per_group) as usize] += 1;
        }
        let groups: Vec<Group> = (0..geometry.groups).map(|number| Group::new(layout, number)).collect();
        let mut descriptors = vec![0; geometry.descriptor_blocks as usize * BLOCK_BYTES];
        for ((group, folders), bytes) in groups.iter().zip(folders).zip(descriptors.as_chunks_mut().0) {
            group.describe(geometry, folders, checksum_seed, bytes);
        }
        let free_blocks = groups.iter().map(|group| u64::from(group.free_blocks(geometry))).sum();
        Self { groups, descriptors, free_blocks }
    }

    /// The block bitmap of this group, unless it is left to be worked out.
    pub fn block_bitmap(&self, geometry: &Geometry, group: u32) -> Option<Block> {
        self.groups[group as usize].block_bitmap(geometry)
    }

    /// The inode bitmap of this group, unless it is left to be worked out.
    pub fn inode_bitmap(&self, geometry: &Geometry, group: u32) -> Option<Block> {
        self.groups[group as usize].inode_bitmap(geometry)
    }

    /// The numbers of the inodes in use in this group.
    pub fn used_inodes(&self, geometry: &Geometry, group: u32) -> std::ops::Range<u32> {
        let first = group * geometry.inodes_per_group + 1;
        first..first + self.groups[group as usize].used_inodes
    }
}

impl Group {
    fn new(layout: &Layout, number: u32) -> Self {
        let geometry = &layout.geometry;
        let tables = geometry.table_blocks(number);
        let data_end = layout.placement.end.saturating_sub(number * BLOCKS_PER_GROUP);
        let used_blocks = data_end.min(geometry.group_blocks(number)).max(tables);
        let inodes_before = number * geometry.inodes_per_group;
        let used_inodes = layout.last_inode().saturating_sub(inodes_before).min(geometry.inodes_per_group);
        let mut flags = TABLE_ZEROED;
        if used_inodes == 0 {
            flags |= INODES_UNINIT;
        }
        // The tables of other groups cannot be worked out from a descriptor, nor can the end of a short last group.
        let can_be_worked_out = tables == geometry.superblock_blocks(number) && number + 1 < geometry.groups;
        if used_blocks == tables && can_be_worked_out {
            flags |= BLOCKS_UNINIT;
        }
        Self { number, used_blocks, used_inodes, flags }
    }

    fn free_blocks(&self, geometry: &Geometry) -> u32 {
        geometry.group_blocks(self.number) - self.used_blocks
    }

    fn block_bitmap(&self, geometry: &Geometry) -> Option<Block> {
        (self.flags & BLOCKS_UNINIT == 0).then(|| bitmap(self.used_blocks, geometry.group_blocks(self.number)))
    }

    fn inode_bitmap(&self, geometry: &Geometry) -> Option<Block> {
        (self.flags & INODES_UNINIT == 0).then(|| bitmap(self.used_inodes, geometry.inodes_per_group))
    }

    fn describe(&self, geometry: &Geometry, folders: u16, checksum_seed: u32, bytes: &mut [u8; DESCRIPTOR_BYTES]) {
        let free_inodes = geometry.inodes_per_group - self.used_inodes;
        put_u32(bytes, 0x00, geometry.block_bitmap(self.number));
        put_u32(bytes, 0x04, geometry.inode_bitmap(self.number));
        put_u32(bytes, 0x08, geometry.inode_table(self.number));
        put_u16(bytes, 0x0c, self.free_blocks(geometry) as u16);
        put_u16(bytes, 0x0e, free_inodes as u16);
        put_u16(bytes, 0x10, folders);
        put_u16(bytes, 0x12, self.flags);
        // Without the `64bit` feature only the lower half of a bitmap's checksum has a place.
        if let Some(bitmap) = self.block_bitmap(geometry) {
            put_u16(bytes, 0x18, crc32c::update(checksum_seed, &bitmap) as u16);
        }
        if let Some(bitmap) = self.inode_bitmap(geometry) {
            let covered = &bitmap[..geometry.inodes_per_group as usize / 8];
            put_u16(bytes, 0x1a, crc32c::update(checksum_seed, covered) as u16);
        }
        put_u16(bytes, 0x1c, free_inodes as u16);
        let seed = crc32c::update(checksum_seed, &self.number.to_le_bytes());
        let checksum = crc32c::update(seed, bytes);
        put_u16(bytes, 0x1e, checksum as u16);
    }
}

/// A bitmap with the first bits set for use, and those behind the end set because nothing is there.
fn bitmap(used: u32, end: u32) -> Block {
    let mut block = [0; BLOCK_BYTES];
    for (byte, first) in block.iter_mut().zip((0u32..).step_by(8)) {
        let used_bits = used.saturating_sub(first).min(8);
        let real_bits = end.saturating_sub(first).min(8);
        *byte = (((1u32 << used_bits) - 1) | (0xff << real_bits)) as u8;
    }
    block
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_bitmap_has_ones_before_and_after() {
        let bitmap = super::bitmap(11, 19);
        assert_eq!(bitmap[..4], [0xff, 0x07, 0xf8, 0xff]);
    }
}
