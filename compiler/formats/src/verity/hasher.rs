//! Hashes a device block by block while its regions pass, zeros included though nobody mentions them.

use std::io;

use sha2::{Digest as _, Sha256};

use super::{BLOCK_BYTES, DIGEST_BYTES, HashTree, MAX_SALT_BYTES, Options, VerityError, data_blocks};
use crate::region::RegionSink;

/// Takes the regions of one device and keeps a hash of each block: 1/128 of the device in memory.
pub struct Hasher {
    options: Options,
    data_blocks: u64,
    salted: Sha256,
    /// The hash of a block of zeros.
    zeros: [u8; DIGEST_BYTES],
    /// Hashes of all blocks before the open one.
    digests: Vec<u8>,
    /// The beginning of the open block.
    open: Vec<u8>,
}

impl Hasher {
    /// A hasher for a device of this size.
    ///
    /// # Errors
    /// When the size is no whole number of blocks, or the salt is too long.
    pub fn new(options: Options, data_bytes: u64) -> Result<Self, VerityError> {
        let data_blocks = data_blocks(data_bytes)?;
        if options.salt.len() > MAX_SALT_BYTES {
            return Err(VerityError::Salt(options.salt.len()));
        }
        let salted = Sha256::new().chain_update(&options.salt);
        let zeros = digest(&salted, &[0; BLOCK_BYTES]);
        Ok(Self { options, data_blocks, salted, zeros, digests: Vec::new(), open: Vec::with_capacity(BLOCK_BYTES) })
    }

    /// The tree over all blocks; those that nobody mentioned are zero.
    ///
    /// # Panics
    /// When more was taken than the device holds, which is a mistake of the device's writer.
    pub fn finish(mut self) -> HashTree {
        assert!(self.position() <= self.data_blocks * BLOCK_BYTES as u64, "a device was written beyond its end");
        self.skip_to(self.data_blocks * BLOCK_BYTES as u64);
        HashTree::over(self.options, self.data_blocks, self.digests, &self.salted)
    }

    fn position(&self) -> u64 {
        (self.digests.len() / DIGEST_BYTES * BLOCK_BYTES + self.open.len()) as u64
    }

    /// Takes zeros up to this offset.
    fn skip_to(&mut self, offset_bytes: u64) {
        while self.position() < offset_bytes {
            let left = offset_bytes - self.position();
            if self.open.is_empty() && left >= BLOCK_BYTES as u64 {
                self.digests.extend(self.zeros);
            } else {
                let count = (BLOCK_BYTES - self.open.len()).min(left as usize);
                self.open.resize(self.open.len() + count, 0);
                self.close_full();
            }
        }
    }

    fn take(&mut self, mut bytes: &[u8]) {
        while !bytes.is_empty() {
            if self.open.is_empty() && bytes.len() >= BLOCK_BYTES {
                let (block, rest) = bytes.split_at(BLOCK_BYTES);
                self.digests.extend(digest(&self.salted, block));
                bytes = rest;
                continue;
            }
            let (piece, rest) = bytes.split_at((BLOCK_BYTES - self.open.len()).min(bytes.len()));
            self.open.extend_from_slice(piece);
            self.close_full();
            bytes = rest;
        }
    }

    fn close_full(&mut self) {
        if self.open.len() == BLOCK_BYTES {
            self.digests.extend(digest(&self.salted, &self.open));
            self.open.clear();
        }
    }
}

impl RegionSink for Hasher {
    fn data(&mut self, offset_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        if offset_bytes < self.position() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "a region of the device came out of order"));
        }
        self.skip_to(offset_bytes);
        self.take(bytes);
        Ok(())
    }
}

/// The hash of a block behind the salt.
pub(super) fn digest(salted: &Sha256, block: &[u8]) -> [u8; DIGEST_BYTES] {
    salted.clone().chain_update(block).finalize().into()
}
