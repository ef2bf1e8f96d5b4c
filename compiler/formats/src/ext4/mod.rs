//! A deterministic ext4 writer: [`plan`] decides every offset, [`write`] makes the bytes in one ascending pass.
//!
//! Equal trees and equal options give equal images. Nothing is read from the host, and memory grows with the
//! number of entries only. Field offsets follow the kernel's "ext4 Data Structures and Algorithms".
//!
//! An image can grow later, offline and online: a resize inode keeps descriptor blocks for 1024 times its size.
//! The newest features are left out (`64bit`, `orphan_file`, `metadata_csum_seed`), so old kernels and tools read it.
//!
//! Holes: the plan is made before any content is read, so a file is allocated by its size, and blocks of it that
//! turn out to be zero are simply not written (the image is sparse, the file is not). Real holes come from
//! [`Options::data_ranges`], by content digest. Inline contents are not searched for zeros, although they are at
//! hand: the image would then depend on how a content is held, not only on what the tree says.

mod acl;
mod bytes;
mod content;
mod directory;
mod dirhash;
mod extents;
mod geometry;
mod group;
mod htree;
mod index;
mod inode;
mod journal;
mod layout;
mod options;
mod placement;
mod plan;
mod ranges;
mod records;
mod resize;
mod shape;
mod stream;
mod superblock;
mod tables;
mod write;
mod xattr;

pub use acl::AclError;
pub use content::ContentError;
pub use layout::Layout;
pub use options::{Options, Size};
pub use plan::{PlanError, plan};
pub use write::{WriteError, write};
pub use xattr::XattrError;

/// Names the choices that shape the bytes: features, placement, inode count, directory packing.
///
/// A lock file records it. Whatever changes the bytes of an image for the same tree and options gives it a new number.
pub const PROFILE: &str = "ext4-1";

/// Bytes of a block. The kernel's page size on the common machines; every size below follows from it.
const BLOCK_BYTES: usize = 4096;

/// Blocks of a group: as many as one block of bitmap describes.
const BLOCKS_PER_GROUP: u32 = 8 * BLOCK_BYTES as u32;

/// Bytes of an inode: 128 of ext2, 32 of later fields, 96 for extended attributes.
const INODE_BYTES: usize = 256;

/// Inodes in a block of an inode table.
const INODES_PER_BLOCK: u32 = (BLOCK_BYTES / INODE_BYTES) as u32;

/// One block of an image.
type Block = [u8; BLOCK_BYTES];

/// Blocks that hold this many bytes.
fn blocks_of(size_bytes: u64) -> u64 {
    size_bytes.div_ceil(BLOCK_BYTES as u64)
}
