//! A deterministic FAT32 writer: [`plan`] decides every cluster, [`write`] makes the bytes in one ascending pass.
//!
//! Always FAT32, however little is in it: UEFI promises no other kind for the system partition of a disk (UEFI 2.10,
//! section 13.3), and a sparse volume's size costs nothing. Field offsets follow Microsoft's "FAT32 File System
//! Specification", version 1.03 (FATGEN103).

mod directory;
mod geometry;
mod names;
mod plan;
mod write;

pub use names::NameError;
pub use plan::{File, Layout, Options, PlanError, Size, plan};
pub use write::{WriteError, write};

/// Bytes of a sector.
const SECTOR_BYTES: u64 = 512;

/// Bytes of a directory entry.
const ENTRY_BYTES: u64 = 32;

/// Number of a volume's first cluster (FATGEN103, "FAT Data Structure"): the table's first two entries are special.
const FIRST_CLUSTER: u32 = 2;
