//! The number of a partition by its unique id, from the disk's own table (UEFI specification, section 5.3).
//!
//! The kernel reads the same table and makes the devices, but does not tell their ids.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::devices::sector_bytes;

/// More entries than any table has; the usual number is 128.
const MAX_ENTRIES: u32 = 1024;

/// Larger than any entry; the usual size is 128 bytes.
const MAX_ENTRY_BYTES: u32 = 4096;

/// Offset of the first entry's sector in the header; then come their number and their size.
const ENTRIES_AT: usize = 72;

/// The number, from 1, of the partition with this id on a disk; `None` when there is none, or no table.
pub fn partition_number(disk: &str, uuid: &str) -> Option<u32> {
    let file = File::open(format!("/dev/{disk}")).ok()?;
    let sector_bytes = sector_bytes(disk);
    let mut header = [0; 92];
    file.read_exact_at(&mut header, sector_bytes).ok()?;
    let (at, count, size) = entries(&header)?;
    let mut entry = [0; 32];
    (0..count).find_map(|number| {
        let offset = at.checked_mul(sector_bytes)?.checked_add(u64::from(number) * u64::from(size))?;
        file.read_exact_at(&mut entry, offset).ok()?;
        (unique_id(&entry).as_deref() == Some(uuid)).then_some(number + 1)
    })
}

/// The sector of the first entry, their number and their size.
pub fn entries(header: &[u8; 92]) -> Option<(u64, u32, u32)> {
    let at = u64::from_le_bytes(*header.get(ENTRIES_AT..)?.first_chunk()?);
    let count = u32::from_le_bytes(*header.get(ENTRIES_AT + 8..)?.first_chunk()?);
    let size = u32::from_le_bytes(*header.get(ENTRIES_AT + 12..)?.first_chunk()?);
    let is_table = header.starts_with(b"EFI PART") && (128..=MAX_ENTRY_BYTES).contains(&size);
    is_table.then_some((at, count.min(MAX_ENTRIES), size))
}

/// The id behind the type, as text; its first three numbers are stored with the little end first.
fn unique_id(entry: &[u8; 32]) -> Option<String> {
    let id = entry.get(16..)?;
    let order = [3, 2, 1, 0, 5, 4, 7, 6, 8, 9, 10, 11, 12, 13, 14, 15];
    let mut text = String::with_capacity(36);
    for (place, index) in order.into_iter().enumerate() {
        if matches!(place, 4 | 6 | 8 | 10) {
            text.push('-');
        }
        text.push_str(&format!("{:02x}", id.get(index)?));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_read() {
        let mut header = [0; 92];
        header[..8].copy_from_slice(b"EFI PART");
        header[72] = 2;
        header[80] = 128;
        header[84] = 128;
        assert_eq!(entries(&header), Some((2, 128, 128)));
        header[84] = 0;
        assert_eq!(entries(&header), None);
        let mut entry = [0; 32];
        (0..16).for_each(|place| entry[16 + place] = place as u8);
        assert_eq!(unique_id(&entry).as_deref(), Some("03020100-0504-0706-0809-0a0b0c0d0e0f"));
    }
}
