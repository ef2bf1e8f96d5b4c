//! Hyper-V's disk images, dynamic: [`Layout`] decides all tables from where data may be, and [`BlockSink`] puts the data
//! behind them. So the file is made in one ascending pass, and its digests on the way.
//!
//! The log is empty, no block is shared with a parent. Fields follow Microsoft's [MS-VHDX], version 8.0; numbers are
//! little-endian, checksums CRC-32C.

mod layout;
mod tables;
mod write;

pub use layout::{Ids, Layout, PlanError};
pub use write::BlockSink;

/// Bytes of a block: the least that the format allows ([MS-VHDX] 2.6.2.1), so that a few scattered bytes cost little.
pub const BLOCK_BYTES: u64 = 1 << 20;

/// Everything but the headers begins at multiples of this.
const ALIGNMENT_BYTES: u64 = 1 << 20;

/// Bytes of a sector that the disk shows. QEMU reads no other, and UEFI boots from no other on older hosts.
const SECTOR_BYTES: u64 = 512;

/// Payload blocks that stand between two entries for sector bitmaps: 2^23 sectors' worth ([MS-VHDX] 2.5).
const CHUNK_BLOCKS: u64 = (1 << 23) * SECTOR_BYTES / BLOCK_BYTES;

/// Names the choices that shape the bytes.
pub const PROFILE: &str = "vhdx-1";
