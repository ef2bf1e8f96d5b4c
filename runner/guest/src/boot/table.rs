//! A partition table that is to reach to the end of a disk that became larger (UEFI specification 2.10, section 5.3).
//!
//! Input are the primary header and the entries; output are the bytes of both tables for the new size. Nothing is read
//! or written here, and a table that is not sound or whose last partition is another one is left alone.

/// Bytes of the header that its checksum covers, as everyone writes it.
const HEADER_BYTES: usize = 92;

/// What partitions end at a multiple of.
const ALIGNMENT_BYTES: u64 = 1 << 20;

/// Offsets in the header.
const CHECKSUM_AT: usize = 16;
const OWN_AT: usize = 24;
const OTHER_AT: usize = 32;
const FIRST_USABLE_AT: usize = 40;
const LAST_USABLE_AT: usize = 48;
const ENTRIES_AT: usize = 72;
const ENTRIES_CHECKSUM_AT: usize = 88;

/// Offsets in an entry.
const FIRST_AT: usize = 32;
const LAST_AT: usize = 40;

/// A header and entries as they stand on a disk.
pub struct Table<'a> {
    /// The first header, at least [`HEADER_BYTES`] long.
    pub header: &'a [u8],
    /// All entries, of `entry_bytes` each.
    pub entries: &'a [u8],
    pub entry_bytes: usize,
    pub sector_bytes: u64,
}

/// The tables for a larger disk, and where the grown partition is.
#[derive(Debug, PartialEq, Eq)]
pub struct Grown {
    /// What to write in this order: byte offset and bytes. The old table is valid until the last.
    pub writes: Vec<(u64, Vec<u8>)>,
    /// Start and length of the partition in bytes.
    pub start_bytes: u64,
    pub size_bytes: u64,
}

impl Table<'_> {
    /// Lets the partition of this number, from 1, reach to the end of a disk of so many sectors. `None` where it does
    /// already, where it is not the last one, or where the table cannot be trusted.
    pub fn grow(&self, number: u32, disk_sectors: u64) -> Option<Grown> {
        let last = disk_sectors.checked_sub(1)?;
        let is_sound = checksum(self.header)? == get32(self.header, CHECKSUM_AT)?
            && crc32(self.entries) == get32(self.header, ENTRIES_CHECKSUM_AT)?
            && get64(self.header, OWN_AT)? == 1;
        if !is_sound || get64(self.header, OTHER_AT)? >= last {
            return None;
        }
        let entry_sectors = (self.entries.len() as u64).div_ceil(self.sector_bytes);
        let last_usable = last.checked_sub(entry_sectors + 1)?;
        let entries = self.entries_with(number, last_usable)?;
        let at = (number as usize - 1) * self.entry_bytes;
        let (first, end) = (get64(&entries, at + FIRST_AT)?, get64(&entries, at + LAST_AT)? + 1);

        let primary = self.header_with(1, last, get64(self.header, ENTRIES_AT)?, last_usable, &entries)?;
        let backup = self.header_with(last, 1, last_usable + 1, last_usable, &entries)?;
        let bytes = |sector: u64| sector * self.sector_bytes;
        let writes = vec![
            (bytes(last_usable + 1), entries.clone()),
            (bytes(last), backup),
            (bytes(get64(self.header, ENTRIES_AT)?), entries),
            (bytes(1), primary),
        ];
        Some(Grown { writes, start_bytes: bytes(first), size_bytes: bytes(end - first) })
    }

    fn entries_with(&self, number: u32, last_usable: u64) -> Option<Vec<u8>> {
        let at = (number as usize).checked_sub(1)?.checked_mul(self.entry_bytes)?;
        let (first, old_last) = (get64(self.entries, at + FIRST_AT)?, get64(self.entries, at + LAST_AT)?);
        let starts = self.entries.chunks_exact(self.entry_bytes).filter_map(|entry| get64(entry, FIRST_AT));
        let aligned = ALIGNMENT_BYTES / self.sector_bytes;
        let new_last = ((last_usable + 1) / aligned * aligned).checked_sub(1)?;
        if starts.into_iter().any(|start| start > first)
            || new_last <= old_last
            || first < get64(self.header, FIRST_USABLE_AT)?
        {
            return None;
        }
        let mut entries = self.entries.to_vec();
        put64(&mut entries, at + LAST_AT, new_last)?;
        Some(entries)
    }

    fn header_with(&self, own: u64, other: u64, entries_at: u64, last_usable: u64, entries: &[u8]) -> Option<Vec<u8>> {
        let mut header = self.header.get(..HEADER_BYTES)?.to_vec();
        for (at, number) in [(OWN_AT, own), (OTHER_AT, other), (LAST_USABLE_AT, last_usable), (ENTRIES_AT, entries_at)]
        {
            put64(&mut header, at, number)?;
        }
        header.get_mut(ENTRIES_CHECKSUM_AT..)?.copy_from_slice(&crc32(entries).to_le_bytes());
        let sum = checksum(&header)?;
        header.get_mut(CHECKSUM_AT..CHECKSUM_AT + 4)?.copy_from_slice(&sum.to_le_bytes());
        Some(header)
    }
}

/// The checksum of a header, its own place being zero.
fn checksum(header: &[u8]) -> Option<u32> {
    let mut header = header.get(..HEADER_BYTES)?.to_vec();
    header.get_mut(CHECKSUM_AT..CHECKSUM_AT + 4)?.fill(0);
    Some(crc32(&header))
}

/// The CRC-32 of Ethernet and gzip.
fn crc32(bytes: &[u8]) -> u32 {
    let step = |crc: u32, _| if crc & 1 == 1 { crc >> 1 ^ 0xedb8_8320 } else { crc >> 1 };
    !bytes.iter().fold(!0, |crc, byte| (0..8).fold(crc ^ u32::from(*byte), step))
}

fn get32(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn get64(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_le_bytes(*bytes))
}

fn put64(bytes: &mut [u8], at: usize, number: u64) -> Option<()> {
    bytes.get_mut(at..at + 8)?.copy_from_slice(&number.to_le_bytes());
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A table of 4 entries on a disk of 100 MiB whose second partition is the last.
    fn table() -> (Vec<u8>, Vec<u8>) {
        let mut entries = vec![0; 4 * 128];
        for (at, first, last) in [(0, 2048, 4095), (128, 4096, 202_751)] {
            put64(&mut entries, at + FIRST_AT, first).unwrap();
            put64(&mut entries, at + LAST_AT, last).unwrap();
        }
        let mut header = vec![0; HEADER_BYTES];
        header[..8].copy_from_slice(b"EFI PART");
        for (at, number) in
            [(OWN_AT, 1), (OTHER_AT, 204_799), (FIRST_USABLE_AT, 34), (LAST_USABLE_AT, 204_766), (ENTRIES_AT, 2)]
        {
            put64(&mut header, at, number).unwrap();
        }
        header[ENTRIES_CHECKSUM_AT..].copy_from_slice(&crc32(&entries).to_le_bytes());
        let sum = checksum(&header).unwrap();
        header[CHECKSUM_AT..CHECKSUM_AT + 4].copy_from_slice(&sum.to_le_bytes());
        (header, entries)
    }

    fn grow(header: &[u8], entries: &[u8], number: u32, disk_sectors: u64) -> Option<Grown> {
        Table { header, entries, entry_bytes: 128, sector_bytes: 512 }.grow(number, disk_sectors)
    }

    #[test]
    fn the_last_partition_grows_and_the_new_table_is_sound() {
        assert_eq!(crc32(b"123456789"), 0xcbf4_3926);
        let (header, entries) = table();
        let grown = grow(&header, &entries, 2, 409_600).unwrap();
        assert_eq!((grown.start_bytes, grown.size_bytes), (4096 * 512, (407_552 - 4096) * 512));
        let places: Vec<u64> = grown.writes.iter().map(|(at, _)| at / 512).collect();
        assert_eq!(places, [409_598, 409_599, 2, 1]);
        let (new_header, new_entries) = (&grown.writes[3].1, &grown.writes[2].1);
        assert_eq!(checksum(new_header), get32(new_header, CHECKSUM_AT));
        // It reaches to the end now, and grows again on a disk that is larger still.
        assert_eq!(grow(new_header, new_entries, 2, 409_600), None);
        assert!(grow(new_header, new_entries, 2, 819_200).is_some());
    }

    #[test]
    fn what_is_not_sound_or_not_the_last_is_left_alone() {
        let (header, entries) = table();
        assert_eq!(grow(&header, &entries, 2, 204_800), None);
        assert_eq!(grow(&header, &entries, 1, 409_600), None);
        assert_eq!(grow(&header, &entries, 0, 409_600), None);
        assert_eq!(grow(&header, &entries, 5, 409_600), None);
        for at in 0..HEADER_BYTES {
            let mut changed = header.clone();
            changed[at] ^= 1;
            assert_eq!(grow(&changed, &entries, 2, 409_600), None, "{at}");
            assert_eq!(grow(&header[..at], &entries, 2, 409_600), None, "{at}");
        }
        let mut changed = entries;
        changed[300] ^= 1;
        assert_eq!(grow(&header, &changed, 2, 409_600), None);
    }
}
