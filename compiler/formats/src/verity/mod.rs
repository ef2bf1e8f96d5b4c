//! The hash tree of dm-verity: what proves every block of a device by one hash (kernel documentation,
//! `admin-guide/device-mapper/verity.rst`; the header: cryptsetup's wiki, "DMVerity").
//!
//! The device is hashed while it is written, in one ascending pass: a [`Hasher`] takes the same regions as the output.
//! What comes out is a [`HashTree`], which is written as an image of its own, header first, then the levels from the
//! top one down.

mod hasher;
mod header;
mod tree;

pub use hasher::Hasher;
pub use tree::HashTree;

/// Size of the blocks of data and of hashes; the size of a page, which no other machine of ours differs in.
pub const BLOCK_BYTES: usize = 4096;

/// Bytes of one hash: SHA-256.
pub const DIGEST_BYTES: usize = 32;

/// The longest salt.
pub const MAX_SALT_BYTES: usize = 256;

/// The encoder's version: moves when the same input gives other bytes.
pub const VERSION: u32 = 1;

/// What does not come from the data.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// The id of the tree, in the header only.
    pub uuid: [u8; 16],
    /// What is hashed before each block, so that equal blocks of two devices do not hash alike.
    pub salt: Vec<u8>,
}

/// Why a device cannot be hashed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum VerityError {
    /// The device ends inside a block.
    #[error("hash the device: its {0} bytes are no whole number of blocks of 4096 bytes, or none at all")]
    Size(u64),
    /// The salt is too long.
    #[error("hash the device: its salt has {0} bytes, and 256 is the most")]
    Salt(usize),
}

/// Bytes of the image that a device of this size gets.
///
/// # Errors
/// When the size is no whole number of blocks.
pub fn size_bytes(data_bytes: u64) -> Result<u64, VerityError> {
    let blocks = data_blocks(data_bytes)?;
    Ok((1 + levels(blocks).iter().sum::<u64>()) * BLOCK_BYTES as u64)
}

fn data_blocks(data_bytes: u64) -> Result<u64, VerityError> {
    let whole = data_bytes > 0 && data_bytes.is_multiple_of(BLOCK_BYTES as u64);
    whole.then_some(data_bytes / BLOCK_BYTES as u64).ok_or(VerityError::Size(data_bytes))
}

/// Blocks of each level, the one above the data first. A device of a single block needs none.
fn levels(data_blocks: u64) -> Vec<u64> {
    let mut levels = Vec::new();
    let mut below = data_blocks;
    while below > 1 {
        below = below.div_ceil((BLOCK_BYTES / DIGEST_BYTES) as u64);
        levels.push(below);
    }
    levels
}
