//! QEMU's disk images, version 3, compressed: [`Encoder`] works on single clusters, [`Writer`] puts them into a file.
//!
//! Clusters are independent, so any number of encoders may work side by side; the writer takes their results in
//! ascending order, and then the file depends on nothing but the disk. Clusters that are zero take no room. Tables
//! follow the data, and the header is written last. [`Image`] reads such files back.
//!
//! Fields follow QEMU's `docs/interop/qcow2.txt`; numbers are big-endian.

mod encode;
mod header;
mod reader;
mod writer;

pub use encode::{Encoded, Encoder};
pub use reader::{Cluster, Image, ReadError};
pub use writer::Writer;

/// Bytes of a cluster: QEMU's own default, and what its caches are made for.
pub const CLUSTER_BYTES: usize = 1 << CLUSTER_BITS;

const CLUSTER_BITS: u32 = 16;

/// Names the choices that shape the bytes: levels, libraries, cluster size, placement.
pub const PROFILE: &str = "qcow2-1";

/// Entries of a second-level table: eight bytes each, one cluster in all.
const L2_ENTRIES: u64 = CLUSTER_BYTES as u64 / 8;

/// Refcounts in a block: two bytes each, one cluster in all.
const REFCOUNTS_PER_BLOCK: u64 = CLUSTER_BYTES as u64 / 2;

/// Bits of an L2 entry that hold the offset of a compressed cluster; the sectors follow ("Compressed Clusters Descriptor").
const COMPRESSED_OFFSET_BITS: u32 = 62 - (CLUSTER_BITS - 8);

/// The cluster or table has a refcount of one.
const COPIED: u64 = 1 << 63;

/// The cluster is compressed.
const COMPRESSED: u64 = 1 << 62;

/// The unit in which the length of a compressed cluster is told.
const SECTOR_BYTES: u64 = 512;

/// How clusters are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Compression {
    /// Deflate without a header: every QEMU reads it.
    Zlib,
    /// zstd: smaller and faster, for QEMU 5.1 or newer.
    Zstd,
}
