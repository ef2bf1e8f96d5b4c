//! Partition types of the Discoverable Partitions Specification (UAPI.2), as far as disks here have them.

use super::Guid;

/// The EFI system partition.
pub const ESP: Guid = 0xc12a7328_f81f_11d2_ba4b_00a0c93ec93b_u128.to_be_bytes();
/// The root of x86-64.
pub const ROOT_X86_64: Guid = 0x4f68bce3_e8cd_4db1_96e7_fbcaf984b709_u128.to_be_bytes();
/// The dm-verity hash tree of the root of x86-64.
pub const ROOT_VERITY_X86_64: Guid = 0x2c7357ed_ebd2_46d9_aec1_23d437ec2bf5_u128.to_be_bytes();
/// The root of 64-bit ARM.
pub const ROOT_ARM64: Guid = 0xb921b045_1df0_41c3_af44_4c6f280d3fae_u128.to_be_bytes();
/// The dm-verity hash tree of the root of 64-bit ARM.
pub const ROOT_VERITY_ARM64: Guid = 0xdf3300ce_d69f_4c92_978c_9bfb0f38d820_u128.to_be_bytes();
/// Data of Linux without a special meaning.
pub const LINUX_DATA: Guid = 0x0fc63daf_8483_4772_8e79_3d69d8477de4_u128.to_be_bytes();

/// The partition is read-only (UAPI.2, "Partition Flags", bit 60).
pub const READ_ONLY: u64 = 1 << 60;
/// The file system is to be grown to the size of its partition (UAPI.2, bit 59).
pub const GROW_FILE_SYSTEM: u64 = 1 << 59;
