//! Finds a block device by what names it for good: a partition's id, a disk's serial number.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::{Duration, Instant};

use bundle::boot::Selector;

use super::gpt;

/// How long drivers may take to find their disks; slow ones are SCSI buses and controllers of virtual machines that
/// have little of a processor.
const PATIENCE: Duration = Duration::from_secs(15);

/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);

const BLOCK_FOLDER: &str = "/sys/class/block";

/// The path of the device, as soon as it is there.
pub fn wait_for(selector: &Selector) -> Result<PathBuf, String> {
    let start = Instant::now();
    loop {
        if let Some(name) = find(selector) {
            return Ok(Path::new("/dev").join(name));
        }
        if start.elapsed() > PATIENCE {
            let found = names().join(", ");
            let found = if found.is_empty() { "no block device at all".to_owned() } else { format!("only {found}") };
            return Err(format!("find the block device {selector}: the kernel found {found}"));
        }
        sleep(PAUSE);
    }
}

/// The device whose ext4 file system has this id, in hexadecimal digits; `None` when no driver finds it in time.
pub fn wait_for_file_system(uuid: &str) -> Option<PathBuf> {
    let start = Instant::now();
    while start.elapsed() < PATIENCE {
        if let Some(name) = names().into_iter().find(|name| has_file_system(name, uuid).unwrap_or(false)) {
            return Some(Path::new("/dev").join(name));
        }
        sleep(PAUSE);
    }
    None
}

/// Looks into the superblock (kernel documentation, "ext4 Super Block": `s_magic`, `s_uuid`).
fn has_file_system(name: &str, uuid: &str) -> Option<bool> {
    let mut superblock = [0; 120];
    File::open(Path::new("/dev").join(name)).ok()?.read_exact_at(&mut superblock, 1024).ok()?;
    let id: String = superblock.get(104..)?.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(superblock.get(56..58)? == [0x53, 0xef] && id == uuid)
}

fn find(selector: &Selector) -> Option<String> {
    match selector {
        Selector::Device(name) => names().into_iter().find(|found| found == name),
        Selector::Serial(serial) => names().into_iter().find(|name| serial_of(name).as_deref() == Some(serial)),
        Selector::PartUuid(uuid) => {
            let (disk, number) = disk_of(uuid)?;
            partitions(&disk).into_iter().find(|name| number_of(name) == Some(number))
        }
    }
}

/// The disk that has the partition of this id, and its number there.
pub fn disk_of(uuid: &str) -> Option<(String, u32)> {
    names().into_iter().find_map(|disk| gpt::partition_number(&disk, uuid).map(|number| (disk, number)))
}

fn names() -> Vec<String> {
    let entries = fs::read_dir(BLOCK_FOLDER).into_iter().flatten().flatten();
    let mut names: Vec<String> = entries.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    names
}

fn partitions(disk: &str) -> Vec<String> {
    let is_part = |name: &String| Path::new(BLOCK_FOLDER).join(disk).join(name).join("partition").exists();
    names().into_iter().filter(is_part).collect()
}

fn number_of(partition: &str) -> Option<u32> {
    attribute(partition, "partition")?.parse().ok()
}

/// The serial number as virtio and as NVMe and SCSI disks show it.
fn serial_of(name: &str) -> Option<String> {
    attribute(name, "serial").or_else(|| attribute(name, "device/serial")).filter(|serial| !serial.is_empty())
}

/// The size of the sectors that a disk counts in.
pub fn sector_bytes(disk: &str) -> u64 {
    attribute(disk, "queue/logical_block_size").and_then(|size| size.parse().ok()).unwrap_or(512)
}

/// The length of a disk or partition.
pub fn size_bytes(name: &str) -> u64 {
    // The kernel counts in these whatever the disk does.
    attribute(name, "size").and_then(|size| size.parse().ok()).map_or(0, |sectors: u64| sectors.saturating_mul(512))
}

/// Whether nothing can be written to it.
pub fn is_read_only(device: &Path) -> bool {
    let name = device.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    attribute(&name, "ro").is_none_or(|value| value != "0")
}

fn attribute(name: &str, attribute: &str) -> Option<String> {
    let text = fs::read_to_string(Path::new(BLOCK_FOLDER).join(name).join(attribute)).ok()?;
    Some(text.trim().to_owned())
}
