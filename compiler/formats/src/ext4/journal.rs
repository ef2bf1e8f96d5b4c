//! An empty journal: its size and its one block that is not zero ("Journal (jbd2)", Super Block).

use super::{BLOCK_BYTES, Block};

/// The inode of the journal.
pub const INODE: u32 = 8;

/// Blocks of the journal of an image of this many blocks, growing with it as `mkfs.ext4`'s default does.
pub fn blocks_for(image_blocks: u32) -> u32 {
    match image_blocks {
        0..0x8000 => 1024,
        0x8000..0x4_0000 => 4096,
        0x4_0000..0x8_0000 => 8192,
        0x8_0000..0x40_0000 => 16384,
        0x40_0000..0x80_0000 => 32768,
        0x80_0000..0x200_0000 => 65536,
        _ => 262_144,
    }
}

/// The first block of a journal of this many blocks, which holds nothing to replay. Its numbers are big-endian.
pub fn superblock(journal_blocks: u32) -> Block {
    let mut block = [0; BLOCK_BYTES];
    let fields = [
        (0x00, 0xc03b_3998),
        // A superblock of version 2.
        (0x04, 4),
        (0x0c, BLOCK_BYTES as u32),
        (0x10, journal_blocks),
        // The first block of the log, and the first transaction.
        (0x14, 1),
        (0x18, 1),
        // One file system uses it.
        (0x40, 1),
    ];
    for (at, value) in fields {
        block[at..at + 4].copy_from_slice(&value.to_be_bytes());
    }
    block
}
