//! The header and its one extension, the table of feature names.

use super::{CLUSTER_BITS, Compression};

/// Bytes of the header: all fields up to the compression type, padded.
pub const HEADER_BYTES: usize = 112;

/// The feature that says that the compression type is not zlib ("Incompatible features", bit 3).
pub const COMPRESSION_FEATURE: u64 = 1 << 3;

/// Refcounts have 16 bits.
pub const REFCOUNT_ORDER: u32 = 4;

/// Type of the extension that names features, so that an old QEMU can say which one it lacks.
const FEATURE_NAMES: u32 = 0x6803_f857;

/// Bytes of one name with its kind and bit.
const FEATURE_NAME_BYTES: usize = 48;

/// All that differs from file to file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub size_bytes: u64,
    pub compression: Compression,
    pub l1_entries: u32,
    pub l1_offset: u64,
    pub refcount_table_offset: u64,
    pub refcount_table_clusters: u32,
}

impl Header {
    /// The header, its extension and the end of extensions.
    pub fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; HEADER_BYTES];
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(0, b"QFI\xfb");
        put(4, &3_u32.to_be_bytes());
        put(20, &CLUSTER_BITS.to_be_bytes());
        put(24, &self.size_bytes.to_be_bytes());
        put(36, &self.l1_entries.to_be_bytes());
        put(40, &self.l1_offset.to_be_bytes());
        put(48, &self.refcount_table_offset.to_be_bytes());
        put(56, &self.refcount_table_clusters.to_be_bytes());
        put(96, &REFCOUNT_ORDER.to_be_bytes());
        put(100, &(HEADER_BYTES as u32).to_be_bytes());
        if self.compression == Compression::Zstd {
            put(72, &COMPRESSION_FEATURE.to_be_bytes());
            put(104, &[1]);
        }
        bytes.extend(FEATURE_NAMES.to_be_bytes());
        bytes.extend((FEATURE_NAME_BYTES as u32).to_be_bytes());
        let mut name = b"\0\x03compression type".to_vec();
        name.resize(FEATURE_NAME_BYTES, 0);
        bytes.extend(name);
        bytes.extend([0; 8]);
        bytes
    }
}
