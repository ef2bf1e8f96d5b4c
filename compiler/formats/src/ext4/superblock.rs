//! The superblock and its copies ("Super Block"), with the feature set of the profile.

use super::bytes::{put_u16, put_u32};
use super::group::Groups;
use super::layout::Layout;
use super::{BLOCK_BYTES, BLOCKS_PER_GROUP, Block, INODE_BYTES, journal};
use crate::crc32c;

/// `ext_attr`, `resize_inode`, `dir_index`.
const COMPATIBLE: u32 = 0x8 | 0x10 | 0x20;
/// `has_journal`.
const COMPATIBLE_JOURNAL: u32 = 0x4;
/// `filetype`, `extents`, `flex_bg`. Not `64bit`: images stay below 2^32 blocks.
const INCOMPATIBLE: u32 = 0x2 | 0x40 | 0x200;
/// `sparse_super`, `large_file`, `huge_file`, `dir_nlink`, `extra_isize`, `metadata_csum`.
const READ_ONLY_COMPATIBLE: u32 = 0x1 | 0x2 | 0x8 | 0x20 | 0x40 | 0x400;

/// Names hash as unsigned bytes, on every architecture.
const UNSIGNED_HASH: u32 = 0x2;

/// Bytes of a superblock.
const BYTES: usize = 1024;

/// The map of the journal's inode, which the superblock repeats, and its length in bytes.
pub type JournalCopy = ([u8; 60], u64);

/// The first block of this group, with the superblock: behind the boot sectors in group 0, first in the others.
pub fn block(layout: &Layout, groups: &Groups, journal: Option<&JournalCopy>, group: u32) -> Block {
    let mut bytes = [0; BYTES];
    put_counts(&mut bytes, layout, groups);
    put_identity(&mut bytes, layout);
    put_features(&mut bytes, layout, journal);
    put_u16(&mut bytes, 0x5a, group as u16);
    let checksum = crc32c::update(!0, &bytes[..BYTES - 4]);
    put_u32(&mut bytes, BYTES - 4, checksum);
    let mut block = [0; BLOCK_BYTES];
    let start = if group == 0 { BYTES } else { 0 };
    block[start..start + BYTES].copy_from_slice(&bytes);
    block
}

/// The seed of all metadata checksums.
pub fn checksum_seed(layout: &Layout) -> u32 {
    crc32c::update(!0, &layout.options.uuid)
}

fn put_counts(bytes: &mut [u8], layout: &Layout, groups: &Groups) {
    let geometry = &layout.geometry;
    let inodes = geometry.groups * geometry.inodes_per_group;
    put_u32(bytes, 0x00, inodes);
    put_u32(bytes, 0x04, geometry.blocks);
    put_u32(bytes, 0x0c, groups.free_blocks as u32);
    put_u32(bytes, 0x10, inodes - layout.last_inode());
    // Sizes of a block and of a cluster, as powers of two above 1024.
    put_u32(bytes, 0x18, 2);
    put_u32(bytes, 0x1c, 2);
    put_u32(bytes, 0x20, BLOCKS_PER_GROUP);
    put_u32(bytes, 0x24, BLOCKS_PER_GROUP);
    put_u32(bytes, 0x28, geometry.inodes_per_group);
    put_u16(bytes, 0xce, geometry.reserved_descriptor_blocks as u16);
    bytes[0x174] = geometry.log_groups_per_flex;
}

fn put_identity(bytes: &mut [u8], layout: &Layout) {
    let options = &layout.options;
    bytes[0x68..0x78].copy_from_slice(&options.uuid);
    bytes[0x78..0x78 + options.label.len()].copy_from_slice(options.label.as_bytes());
    bytes[0xec..0xfc].copy_from_slice(&options.hash_seed);
    // Times of writing, checking and making: the low word of each, and its high byte.
    for (at, high_at) in [(0x30, 0x274), (0x40, 0x277), (0x108, 0x276)] {
        put_u32(bytes, at, options.epoch_secs as u32);
        bytes[high_at] = (options.epoch_secs >> 32) as u8;
    }
}

fn put_features(bytes: &mut [u8], layout: &Layout, journal: Option<&JournalCopy>) {
    // No check by count of mounts, the magic number, a clean state, and going on after errors.
    put_u16(bytes, 0x36, u16::MAX);
    put_u16(bytes, 0x38, 0xef53);
    put_u16(bytes, 0x3a, 1);
    put_u16(bytes, 0x3c, 1);
    // The revision with inodes of any size, of which the first 10 are reserved.
    put_u32(bytes, 0x4c, 1);
    put_u32(bytes, 0x54, 11);
    put_u16(bytes, 0x58, INODE_BYTES as u16);
    put_u32(bytes, 0x5c, COMPATIBLE | if layout.options.journal { COMPATIBLE_JOURNAL } else { 0 });
    put_u32(bytes, 0x60, INCOMPATIBLE);
    put_u32(bytes, 0x64, READ_ONLY_COMPATIBLE);
    // Half-MD4.
    bytes[0xfc] = 1;
    // Mounted with `user_xattr` and `acl`.
    put_u32(bytes, 0x100, 0x4 | 0x8);
    // Every inode has, and new ones shall have, 32 bytes of further fields.
    put_u16(bytes, 0x15c, 32);
    put_u16(bytes, 0x15e, 32);
    put_u32(bytes, 0x160, UNSIGNED_HASH);
    // CRC-32C.
    bytes[0x175] = 1;
    if let Some((map, size_bytes)) = journal {
        put_u32(bytes, 0xe0, journal::INODE);
        bytes[0xfd] = 1;
        bytes[0x10c..0x10c + 60].copy_from_slice(map);
        put_u32(bytes, 0x148, (size_bytes >> 32) as u32);
        put_u32(bytes, 0x14c, *size_bytes as u32);
    }
}
