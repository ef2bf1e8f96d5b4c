//! A root that is written to takes the room that its disk has: first its partition, then its file system.
//!
//! The partition grows only where the disk became larger than its table knows; usually it is as large as the disk from
//! the start. The file system grows while it is mounted, in the same boot, and not at all when it fits already.

use std::fs::File;
use std::os::fd::AsRawFd;
use std::os::unix::fs::FileExt;
use std::path::Path;

use bundle::boot::Selector;
use nix::errno::Errno;

use super::devices;
use super::gpt;
use super::table::{Grown, Table};

/// `EXT4_IOC_RESIZE_FS`, `_IOW('f', 16, __u64)` (kernel sources, `fs/ext4/ext4.h`).
const RESIZE_FS: u32 = 0x4008_6610;

/// `BLKPG`, and its order to change a partition's size (kernel sources, `include/uapi/linux/blkpg.h`).
const BLKPG: u32 = 0x1269;
const RESIZE_PARTITION: libc::c_int = 3;

/// Where an ext4 file system says how many blocks it has, and how large they are (kernel documentation, "ext4 Super
/// Block": `s_blocks_count_lo`, `s_log_block_size`, `s_magic`, from the start of the device).
const BLOCKS_AT: usize = 4;
const BLOCK_SIZE_AT: usize = 24;
const MAGIC_AT: usize = 56;

/// `struct blkpg_ioctl_arg`
#[repr(C)]
struct Order {
    order: libc::c_int,
    flags: libc::c_int,
    bytes: libc::c_int,
    partition: *mut Partition,
}

/// `struct blkpg_partition`
#[repr(C)]
struct Partition {
    start_bytes: i64,
    size_bytes: i64,
    number: libc::c_int,
    names: [u8; 128],
}

/// Lets the partition reach to the end of its disk; gives what went wrong.
pub fn partition(selector: &Selector) -> Result<(), String> {
    let Selector::PartUuid(uuid) = selector else { return Ok(()) };
    let Some((disk, number)) = devices::disk_of(uuid) else { return Ok(()) };
    let problem =
        |what: &str, error: &dyn std::fmt::Display| format!("grow the partition of the root: {what}: {error}");
    let sector_bytes = devices::sector_bytes(&disk);
    let file = File::options().read(true).write(true).open(format!("/dev/{disk}"));
    let file = file.map_err(|error| problem("open its disk", &error))?;
    let mut header = [0; 92];
    file.read_exact_at(&mut header, sector_bytes).map_err(|error| problem("read the table", &error))?;
    let Some((at, count, entry_bytes)) = gpt::entries(&header) else { return Ok(()) };
    let mut entries = vec![0; count as usize * entry_bytes as usize];
    file.read_exact_at(&mut entries, at.saturating_mul(sector_bytes))
        .map_err(|error| problem("read the table", &error))?;
    let table = Table { header: &header, entries: &entries, entry_bytes: entry_bytes as usize, sector_bytes };
    let Some(grown) = table.grow(number, devices::size_bytes(&disk) / sector_bytes) else { return Ok(()) };
    for (offset, bytes) in &grown.writes {
        let written = file.write_all_at(bytes, *offset).and_then(|()| file.sync_data());
        written.map_err(|error| problem("write the table", &error))?;
    }
    tell_kernel(&file, number, &grown).map_err(|errno| problem("tell the kernel", &errno.desc()))
}

fn tell_kernel(disk: &File, number: u32, grown: &Grown) -> Result<(), Errno> {
    let number = libc::c_int::try_from(number).map_err(|_| Errno::EINVAL)?;
    let bytes = |count: u64| i64::try_from(count).map_err(|_| Errno::EINVAL);
    let (start_bytes, size_bytes) = (bytes(grown.start_bytes)?, bytes(grown.size_bytes)?);
    let mut partition = Partition { start_bytes, size_bytes, number, names: [0; 128] };
    let bytes = size_of::<Partition>() as libc::c_int;
    let mut order = Order { order: RESIZE_PARTITION, flags: 0, bytes, partition: &raw mut partition };
    // SAFETY: the order and the partition that it points to live through the call, with the lengths that it names.
    let answer = unsafe { libc::ioctl(disk.as_raw_fd(), BLKPG as _, &raw mut order) };
    Errno::result(answer).map(drop)
}

/// Lets the ext4 file system that is mounted here take all of its device; gives what went wrong.
pub fn file_system(device: &Path, mounted: &str) -> Result<(), String> {
    let problem = |error: &dyn std::fmt::Display| format!("grow the root to the size of its disk: {error}");
    let name = device.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let mut superblock = [0; 64];
    let file = File::open(device).map_err(|error| problem(&error))?;
    file.read_exact_at(&mut superblock, 1024).map_err(|error| problem(&error))?;
    let Some(blocks) = wanted_blocks(&superblock, devices::size_bytes(&name)) else { return Ok(()) };
    let folder = File::open(mounted).map_err(|error| problem(&error))?;
    // SAFETY: the request reads one number of 64 bits, which lives through the call.
    let answer = unsafe { libc::ioctl(folder.as_raw_fd(), RESIZE_FS as _, &raw const blocks) };
    Errno::result(answer).map(drop).map_err(|errno| problem(&errno.desc()))
}

/// The blocks that a device has room for, if they are more than the file system has.
fn wanted_blocks(superblock: &[u8; 64], device_bytes: u64) -> Option<u64> {
    let number = |at: usize| Some(u32::from_le_bytes(*superblock.get(at..)?.first_chunk()?));
    let is_ext4 = superblock.get(MAGIC_AT..MAGIC_AT + 2)? == [0x53, 0xef];
    let block_bytes = 1024_u64.checked_shl(number(BLOCK_SIZE_AT)?).filter(|bytes| is_ext4 && *bytes <= 65536)?;
    let blocks = device_bytes / block_bytes;
    (blocks > u64::from(number(BLOCKS_AT)?)).then_some(blocks)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_system_grows_only_where_there_is_room() {
        let mut superblock = [0; 64];
        superblock[BLOCKS_AT] = 100;
        superblock[BLOCK_SIZE_AT] = 2;
        superblock[MAGIC_AT..MAGIC_AT + 2].copy_from_slice(&[0x53, 0xef]);
        assert_eq!(wanted_blocks(&superblock, 101 * 4096), Some(101));
        assert_eq!(wanted_blocks(&superblock, 101 * 4096 - 1), None);
        superblock[BLOCK_SIZE_AT] = 255;
        assert_eq!(wanted_blocks(&superblock, 1 << 40), None);
        superblock[MAGIC_AT] = 0;
        assert_eq!(wanted_blocks(&superblock, 1 << 40), None);
    }
}
