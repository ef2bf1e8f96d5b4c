//! A deterministic GUID partition table: [`plan`] places the partitions, [`Layout::regions`] gives the tables' bytes.
//!
//! Protective MBR, primary and backup header, 128 entries of 128 bytes, sectors of 512 bytes (UEFI specification 2.10,
//! section 5). Sizes, ids and names come in, nothing is read from the host. What the partitions hold is not known here.

mod bytes;
mod layout;
pub mod types;

pub use layout::{Layout, Options, Partition, PlanError, Size, plan};

/// Bytes of a sector. All hypervisors show disks of such sectors; a table for 4096 would not be found.
pub const SECTOR_BYTES: u64 = 512;

/// Partitions begin at multiples of this, so that blocks of file systems, flash and container formats coincide.
pub const ALIGNMENT_BYTES: u64 = 1 << 20;

/// A GUID in the order of its text, as in RFC 9562.
pub type Guid = [u8; 16];

/// A GUID as it stands on disk: the first three fields little-endian (UEFI specification 2.10, appendix A).
pub fn on_disk(guid: &Guid) -> [u8; 16] {
    let mut bytes = *guid;
    bytes[0..4].reverse();
    bytes[4..6].reverse();
    bytes[6..8].reverse();
    bytes
}

/// A GUID as text, in lower case.
pub fn text(guid: &Guid) -> String {
    let hex = |range: std::ops::Range<usize>| guid[range].iter().map(|byte| format!("{byte:02x}")).collect::<String>();
    [0..4, 4..6, 6..8, 8..10, 10..16].map(hex).join("-")
}
