//! The bytes of the tables: protective MBR (UEFI 2.10, table 5-3), header (table 5-5), entries (table 5-6).

use super::layout::{ENTRY_COUNT, Place};
use super::{Guid, SECTOR_BYTES, on_disk};

/// Bytes of one entry.
const ENTRY_BYTES: usize = 128;

/// Bytes of the header that its checksum covers.
const HEADER_BYTES: usize = 92;

/// Where a header stands and what it points at, in sectors.
pub struct HeaderPlace {
    pub own: u64,
    pub other: u64,
    pub entries: u64,
    pub first_usable: u64,
    pub last_usable: u64,
}

/// The first sector: one partition of type 0xEE over the whole disk, so that old tools leave it alone.
pub fn protective_mbr(sectors: u64) -> Vec<u8> {
    let mut sector = vec![0; SECTOR_BYTES as usize];
    let count = u32::try_from(sectors - 1).unwrap_or(u32::MAX);
    let entry = &mut sector[446..462];
    entry[1..8].copy_from_slice(&[0, 2, 0, 0xee, 0xff, 0xff, 0xff]);
    entry[8..12].copy_from_slice(&1_u32.to_le_bytes());
    entry[12..16].copy_from_slice(&count.to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

/// All entries; those that are not used are zero.
pub fn entries(places: &[Place]) -> Vec<u8> {
    let mut table = vec![0; ENTRY_COUNT * ENTRY_BYTES];
    for (place, entry) in places.iter().zip(table.chunks_mut(ENTRY_BYTES)) {
        entry[0..16].copy_from_slice(&on_disk(&place.partition.type_id));
        entry[16..32].copy_from_slice(&on_disk(&place.partition.id));
        entry[32..40].copy_from_slice(&place.first_sector.to_le_bytes());
        entry[40..48].copy_from_slice(&place.last_sector().to_le_bytes());
        entry[48..56].copy_from_slice(&place.partition.attributes.to_le_bytes());
        for (unit, at) in place.partition.name.encode_utf16().zip(entry[56..].as_chunks_mut::<2>().0) {
            *at = unit.to_le_bytes();
        }
    }
    table
}

/// One of the two headers, a sector long.
pub fn header(disk_id: &Guid, place: &HeaderPlace, entries: &[u8]) -> Vec<u8> {
    let mut sector = vec![0; SECTOR_BYTES as usize];
    sector[0..8].copy_from_slice(b"EFI PART");
    sector[8..12].copy_from_slice(&0x0001_0000_u32.to_le_bytes());
    sector[12..16].copy_from_slice(&(HEADER_BYTES as u32).to_le_bytes());
    let numbers = [place.own, place.other, place.first_usable, place.last_usable];
    for (number, at) in numbers.iter().zip(sector[24..56].as_chunks_mut::<8>().0) {
        *at = number.to_le_bytes();
    }
    sector[56..72].copy_from_slice(&on_disk(disk_id));
    sector[72..80].copy_from_slice(&place.entries.to_le_bytes());
    sector[80..84].copy_from_slice(&(ENTRY_COUNT as u32).to_le_bytes());
    sector[84..88].copy_from_slice(&(ENTRY_BYTES as u32).to_le_bytes());
    sector[88..92].copy_from_slice(&crc32(entries).to_le_bytes());
    let checksum = crc32(&sector[..HEADER_BYTES]);
    sector[16..20].copy_from_slice(&checksum.to_le_bytes());
    sector
}

/// The CRC-32 of Ethernet and gzip (UEFI 2.10, section 5.3.2).
fn crc32(bytes: &[u8]) -> u32 {
    let mut crc = flate2::Crc::new();
    crc.update(bytes);
    crc.sum()
}
