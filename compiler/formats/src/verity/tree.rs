//! The levels above the data: blocks of hashes of blocks, up to one, whose hash is the root hash.

use std::io;

use sha2::Sha256;

use super::hasher::digest;
use super::header::header;
use super::{BLOCK_BYTES, DIGEST_BYTES, Options};
use crate::region::RegionSink;

/// A finished tree.
pub struct HashTree {
    options: Options,
    data_blocks: u64,
    /// Whole blocks of each level, the one above the data first.
    levels: Vec<Vec<u8>>,
    root: [u8; DIGEST_BYTES],
}

impl HashTree {
    pub(super) fn over(options: Options, data_blocks: u64, digests: Vec<u8>, salted: &Sha256) -> Self {
        let mut levels = Vec::new();
        let mut below = digests;
        while below.len() > DIGEST_BYTES {
            below.resize(below.len().next_multiple_of(BLOCK_BYTES), 0);
            let above = below.chunks(BLOCK_BYTES).flat_map(|block| digest(salted, block)).collect();
            levels.push(std::mem::replace(&mut below, above));
        }
        let root = below.first_chunk().copied().expect("a device has at least one block");
        Self { options, data_blocks, levels, root }
    }

    /// What the whole device hashes to.
    pub fn root_hash(&self) -> [u8; DIGEST_BYTES] {
        self.root
    }

    /// The root hash as 64 lower-case hexadecimal digits.
    pub fn root_hash_text(&self) -> String {
        self.root.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// Bytes of the image, header included.
    pub fn size_bytes(&self) -> u64 {
        BLOCK_BYTES as u64 + self.levels.iter().map(|level| level.len() as u64).sum::<u64>()
    }

    /// Writes the image: header, then the levels from the top one down.
    ///
    /// # Errors
    /// What the sink reports.
    pub fn write(&self, sink: &mut dyn RegionSink) -> io::Result<()> {
        sink.data(0, &header(&self.options, self.data_blocks))?;
        let mut at = BLOCK_BYTES as u64;
        for level in self.levels.iter().rev() {
            sink.data(at, level)?;
            at += level.len() as u64;
        }
        Ok(())
    }
}
