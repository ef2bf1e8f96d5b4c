//! VMware's disk images, stream-optimised: [`Encoder`] works on single grains, [`Writer`] appends them to a stream.
//!
//! Nothing is written twice, so the file can go into an archive or over a wire while it is made. Fields follow
//! VMware's "Virtual Disk Format 5.0" technical note; numbers are little-endian.

mod encode;
mod header;
mod writer;

pub use encode::Encoder;
pub use writer::Writer;

/// Bytes of a grain: the only size that stream-optimised disks have in practice.
pub const GRAIN_BYTES: usize = 64 << 10;

const SECTOR_BYTES: u64 = 512;

/// Entries of a grain table.
const TABLE_ENTRIES: u64 = 512;

/// Names the choices that shape the bytes: level, library, descriptor.
pub const PROFILE: &str = "vmdk-1";

/// What an image says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Length of the disk; rounded up to a grain.
    pub size_bytes: u64,
    /// Id of the contents.
    pub content_id: [u8; 16],
    /// Name of the file.
    pub file_name: String,
}
