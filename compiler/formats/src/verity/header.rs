//! The header of a hash tree, which tells the kernel's helper what it needs to know.

use super::{BLOCK_BYTES, Options};

/// Bytes of the header; it stands alone in the first block.
pub(super) const HEADER_BYTES: usize = 512;

/// The header: magic, version 1, hash type 1 (the salt comes first), id, hash, block sizes, number of blocks, salt.
pub(super) fn header(options: &Options, data_blocks: u64) -> [u8; HEADER_BYTES] {
    let mut header = [0; HEADER_BYTES];
    let mut put = |at: usize, bytes: &[u8]| header[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, b"verity\0\0");
    put(8, &1_u32.to_le_bytes());
    put(12, &1_u32.to_le_bytes());
    put(16, &options.uuid);
    put(32, b"sha256");
    put(64, &(BLOCK_BYTES as u32).to_le_bytes());
    put(68, &(BLOCK_BYTES as u32).to_le_bytes());
    put(72, &data_blocks.to_le_bytes());
    put(80, &(options.salt.len() as u16).to_le_bytes());
    put(88, &options.salt);
    header
}
