//! What a caller decides about an ext4 image: identity, time, size and features.

use std::collections::BTreeMap;
use std::ops::Range;

use tree::Digest;

/// How large the image is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Size {
    /// This many bytes, rounded down to whole blocks, and down to a whole group where the last group would be too
    /// small to hold its own tables, as `mkfs.ext4` does.
    Fixed(u64),
    /// What the tree needs and at least this much free space: both conditions hold.
    Minimal {
        /// Free bytes.
        free_bytes: u64,
        /// Free share of the whole image, 0 to 90 percent; more counts as 90.
        free_percent: u8,
    },
}

/// Identity, time, size and features of an image; all bytes follow from these and the tree.
#[derive(Debug, Clone)]
pub struct Options {
    /// UUID of the file system, in the order of its text form. It also seeds the metadata checksums.
    pub uuid: [u8; 16],
    /// Seed of the directory hash.
    pub hash_seed: [u8; 16],
    /// Volume label, at most 16 bytes.
    pub label: String,
    /// Time of making, of the last check and of entries that the tree does not have, in seconds since 1970 UTC.
    pub epoch_secs: u64,
    /// How large the image is.
    pub size: Size,
    /// One inode is made for this many bytes of the image; or, if that is more, those that the tree needs and one for
    /// this many bytes of the rest. Less than 4096 counts as 4096.
    pub bytes_per_inode: u32,
    /// Whether there is a journal. A root that is only ever read needs none.
    pub journal: bool,
    /// For contents known to have holes: the byte ranges that may hold something else than zeros, ascending.
    /// Contents that are not named here are allocated in full.
    pub data_ranges: BTreeMap<Digest, Vec<Range<u64>>>,
}

impl Options {
    /// Options for a read-only root of the least size: no journal, no label, no free space.
    pub fn read_only(uuid: [u8; 16], hash_seed: [u8; 16], epoch_secs: u64) -> Self {
        Self {
            uuid,
            hash_seed,
            label: String::new(),
            epoch_secs,
            size: Size::Minimal { free_bytes: 0, free_percent: 0 },
            bytes_per_inode: 16384,
            journal: false,
            data_ranges: BTreeMap::new(),
        }
    }
}
