//! Where an image's groups keep their tables, and which blocks remain for data.
//!
//! A size and an inode count go in. Bitmaps and inode tables are packed at the start of each flex group ("Flexible
//! Block Groups"); superblock copies stand in groups 0, 1 and the powers of 3, 5 and 7 ("sparse_super"). Groups have
//! no other tables, so all that is left is a short list of runs.

use super::{BLOCK_BYTES, BLOCKS_PER_GROUP, INODES_PER_BLOCK};

/// Descriptors in a block: 32 bytes each without the `64bit` feature.
pub const DESCRIPTORS_PER_BLOCK: u32 = BLOCK_BYTES as u32 / 32;

/// Descriptor blocks that one image can have: 1024 describe 16 TiB, and that many pointers fit in one block.
const DESCRIPTOR_BLOCKS_LIMIT: u32 = 1024;

/// How far an image can grow by its reserved descriptor blocks alone; the same as `mkfs.ext4`.
const GROWTH: u32 = 1024;

/// Blocks that follow one another on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// First block.
    pub start: u32,
    /// How many blocks; at least one.
    pub blocks: u32,
}

impl Run {
    /// The block after the last.
    pub fn end(self) -> u32 {
        self.start + self.blocks
    }
}

/// The places of all tables of an image. They do not overlap and lie within its blocks.
#[derive(Debug, Clone)]
pub struct Geometry {
    /// Blocks of the image.
    pub blocks: u32,
    /// Groups, of which the last may be shorter.
    pub groups: u32,
    /// Inodes of every group, a multiple of those of a block.
    pub inodes_per_group: u32,
    /// Blocks of group descriptors.
    pub descriptor_blocks: u32,
    /// Blocks kept free behind them, for the image to grow.
    pub reserved_descriptor_blocks: u32,
    /// Binary logarithm of the number of groups that keep their tables together.
    pub log_groups_per_flex: u8,
    /// The runs of blocks that hold no table, ascending.
    data_runs: Vec<Run>,
}

impl Geometry {
    /// Lays out the tables of an image of this many blocks (or slightly fewer, see [`super::Size::Fixed`]) with at
    /// least this many inodes, or says that they do not fit.
    pub fn new(blocks: u32, least_inodes: u32, bytes_per_inode: u32) -> Option<Self> {
        let groups = blocks.div_ceil(BLOCKS_PER_GROUP);
        let usual_inodes = u64::from(blocks) * BLOCK_BYTES as u64 / u64::from(bytes_per_inode.max(BLOCK_BYTES as u32));
        let inodes = usual_inodes.max(u64::from(least_inodes));
        let inodes_per_group = (groups > 0).then(|| inodes.div_ceil(u64::from(groups)))?;
        let inodes_per_group = u32::try_from(inodes_per_group).ok()?.next_multiple_of(INODES_PER_BLOCK);
        let wanted = groups.saturating_mul(GROWTH).div_ceil(DESCRIPTORS_PER_BLOCK).min(DESCRIPTOR_BLOCKS_LIMIT);
        let descriptor_blocks = groups.div_ceil(DESCRIPTORS_PER_BLOCK);
        if inodes_per_group > BLOCKS_PER_GROUP || descriptor_blocks > wanted {
            return None;
        }
        let mut geometry = Self {
            blocks,
            groups,
            inodes_per_group,
            descriptor_blocks,
            reserved_descriptor_blocks: wanted - descriptor_blocks,
            // Four large inode tables fill as much of a group as sixteen of the usual size.
            log_groups_per_flex: if inodes_per_group <= BLOCKS_PER_GROUP / 4 { 4 } else { 2 },
            data_runs: Vec::new(),
        };
        let last = groups - 1;
        if geometry.table_blocks(last) >= blocks - last * BLOCKS_PER_GROUP {
            return (last > 0).then(|| Self::new(last * BLOCKS_PER_GROUP, least_inodes, bytes_per_inode)).flatten();
        }
        geometry.data_runs = geometry.find_data_runs();
        Some(geometry)
    }

    /// Whether this group begins with a copy of the superblock and the descriptors.
    pub fn has_superblock(&self, group: u32) -> bool {
        let power_of = |base: u32| {
            let mut rest = group;
            while rest.is_multiple_of(base) {
                rest /= base;
            }
            rest == 1
        };
        group <= 1 || [3, 5, 7].into_iter().any(power_of)
    }

    /// Groups other than the first that begin with a copy of the superblock.
    pub fn backup_groups(&self) -> impl Iterator<Item = u32> {
        (1..self.groups).filter(|group| self.has_superblock(*group))
    }

    /// Blocks of superblock, descriptors and reserve at the start of this group.
    pub fn superblock_blocks(&self, group: u32) -> u32 {
        if self.has_superblock(group) { 1 + self.descriptor_blocks + self.reserved_descriptor_blocks } else { 0 }
    }

    /// Blocks of all tables that stand in this group, whichever groups they belong to. They are its first blocks.
    pub fn table_blocks(&self, group: u32) -> u32 {
        let flex = self.flex_groups(group);
        let packed = if flex.start == group { flex.len() as u32 * (2 + self.inode_table_blocks()) } else { 0 };
        self.superblock_blocks(group) + packed
    }

    /// The groups that keep their tables together with this group's.
    pub fn flex_groups(&self, group: u32) -> std::ops::Range<u32> {
        let size = 1 << self.log_groups_per_flex;
        let first = group / size * size;
        first..(first + size).min(self.groups)
    }

    /// Blocks of one group's inode table.
    pub fn inode_table_blocks(&self) -> u32 {
        self.inodes_per_group / INODES_PER_BLOCK
    }

    /// The block that holds this group's block bitmap.
    pub fn block_bitmap(&self, group: u32) -> u32 {
        let first = self.flex_groups(group).start;
        first * BLOCKS_PER_GROUP + self.superblock_blocks(first) + (group - first)
    }

    /// The block that holds this group's inode bitmap.
    pub fn inode_bitmap(&self, group: u32) -> u32 {
        self.block_bitmap(group) + self.flex_groups(group).len() as u32
    }

    /// The first block of this group's inode table.
    pub fn inode_table(&self, group: u32) -> u32 {
        let flex = self.flex_groups(group);
        self.inode_bitmap(flex.start) + flex.len() as u32 + (group - flex.start) * self.inode_table_blocks()
    }

    /// Blocks of this group: fewer than usual in the last one.
    pub fn group_blocks(&self, group: u32) -> u32 {
        (self.blocks - group * BLOCKS_PER_GROUP).min(BLOCKS_PER_GROUP)
    }

    /// The runs of this many data blocks from this one on, or of as many as there are.
    pub fn runs_from(&self, start: u32, blocks: u32) -> impl Iterator<Item = Run> {
        let first = self.data_runs.partition_point(|run| run.end() <= start);
        let mut left = blocks;
        self.data_runs.iter().skip(first).map_while(move |run| {
            let start = run.start.max(start);
            let blocks = (run.end() - start).min(left);
            left -= blocks;
            (blocks > 0).then_some(Run { start, blocks })
        })
    }

    fn find_data_runs(&self) -> Vec<Run> {
        let mut runs: Vec<Run> = Vec::new();
        for group in 0..self.groups {
            let tables = self.table_blocks(group);
            let start = group * BLOCKS_PER_GROUP + tables;
            let blocks = self.group_blocks(group) - tables;
            match runs.last_mut() {
                Some(last) if last.end() == start => last.blocks += blocks,
                _ => runs.push(Run { start, blocks }),
            }
        }
        runs
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_and_data_fill_the_image_exactly() {
        for (blocks, inodes) in [(600, 16), (40_000, 16), (33_000, 16), (300_000, 200_000), (1 << 28, 16)] {
            let geometry = Geometry::new(blocks, inodes, 16384).unwrap();
            let tables: u64 = (0..geometry.groups).map(|group| u64::from(geometry.table_blocks(group))).sum();
            let data: u64 = geometry.data_runs.iter().map(|run| u64::from(run.blocks)).sum();
            assert_eq!(tables + data, u64::from(geometry.blocks));
            assert!(geometry.groups * geometry.inodes_per_group >= inodes);
        }
    }

    #[test]
    fn a_last_group_without_room_for_its_tables_is_dropped() {
        assert_eq!(Geometry::new(2 * BLOCKS_PER_GROUP + 1, 16, 16384).unwrap().blocks, 2 * BLOCKS_PER_GROUP + 1);
        assert_eq!(Geometry::new(3 * BLOCKS_PER_GROUP + 1, 16, 16384).unwrap().blocks, 3 * BLOCKS_PER_GROUP);
        assert!(Geometry::new(3, 16, 16384).is_none());
        assert!(Geometry::new(0, 16, 16384).is_none());
    }
}
