//! The resize inode, which owns the blocks kept for more group descriptors so that an image can grow in place.
//!
//! Its map is the old kind: a doubly indirect block points to each reserved block of the first group, and each of
//! those, read as an indirect block, points to its counterparts in the groups with superblock copies.

use super::bytes::put_u32;
use super::geometry::Geometry;
use super::inode::{Inode, mode};
use super::xattr::TAIL_BYTES;
use super::{BLOCK_BYTES, BLOCKS_PER_GROUP, Block};

/// The inode that owns the reserved blocks.
pub const INODE: u32 = 7;

/// Pointers in a block.
const POINTERS: u64 = BLOCK_BYTES as u64 / 4;

/// The inode, whose doubly indirect block stands at this place.
pub fn inode(geometry: &Geometry, doubly_indirect: u32, time_secs: i64) -> Inode {
    let mut map = [0; 60];
    put_u32(&mut map, 13 * 4, doubly_indirect);
    let copies = 1 + geometry.backup_groups().count() as u64;
    Inode {
        mode: mode::FILE | 0o600,
        uid: 0,
        gid: 0,
        // As if every direct, indirect and doubly indirect block were there.
        size_bytes: (12 + POINTERS + POINTERS * POINTERS) * BLOCK_BYTES as u64,
        time_secs,
        links: 1,
        blocks: 1 + u64::from(geometry.reserved_descriptor_blocks) * copies,
        flags: 0,
        map,
        xattr_block: 0,
        tail: [0; TAIL_BYTES],
    }
}

/// The doubly indirect block: each pointer stands where a descriptor block's number puts it.
pub fn doubly_indirect_block(geometry: &Geometry) -> Block {
    let mut block = [0; BLOCK_BYTES];
    for reserved in 0..geometry.reserved_descriptor_blocks {
        let number = geometry.descriptor_blocks + reserved;
        put_u32(&mut block, number as usize * 4, 1 + number);
    }
    block
}

/// One of the reserved blocks of the first group.
pub fn reserved_block(geometry: &Geometry, reserved: u32) -> Block {
    let mut block = [0; BLOCK_BYTES];
    let own = 1 + geometry.descriptor_blocks + reserved;
    for (at, group) in geometry.backup_groups().enumerate() {
        put_u32(&mut block, at * 4, group * BLOCKS_PER_GROUP + own);
    }
    block
}
