//! Makes the bytes of a planned volume in one ascending pass: boot sectors, tables, folders, files.

use std::io;

use super::directory::{self, Target};
use super::geometry::{Geometry, RESERVED_SECTORS, TABLES};
use super::plan::{Item, Kind, Layout};
use super::{FIRST_CLUSTER, SECTOR_BYTES};
use crate::region::RegionSink;

/// Sectors of both copies of boot sector and free-space information; the second copy begins at sector 6.
pub const BOOT_SECTORS: u64 = 8;

const BACKUP_SECTOR: u16 = 6;

/// The last cluster of a chain.
const END_OF_CHAIN: u32 = 0x0fff_ffff;

/// Why a volume could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// Contents that are not those of the plan.
    #[error("write {path}: it was planned with {planned_bytes} bytes and has {found_bytes}")]
    Content {
        /// The file.
        path: String,
        /// Its length in the plan.
        planned_bytes: u64,
        /// The length of what was given.
        found_bytes: u64,
    },
    /// The sink could not take the bytes.
    #[error("write the volume")]
    Sink(#[from] io::Error),
}

/// Writes a planned volume. `contents` are those of the planned files, in the order in which they were given.
///
/// # Errors
/// When a content is not of its planned length, or the sink reports an error.
pub fn write(layout: &Layout, contents: &[&[u8]], sink: &mut dyn RegionSink) -> Result<(), WriteError> {
    sink.data(0, &boot_sectors(layout))?;
    let table = table(layout);
    for number in 0..TABLES {
        sink.data(layout.geometry.table_offset(number), &table)?;
    }
    for item in layout.items.iter() {
        let folder;
        let bytes = match &item.kind {
            Kind::Folder(entries) => {
                folder = self::folder(layout, item, entries);
                &folder[..]
            }
            Kind::File(at) => contents.get(*at).copied().unwrap_or_default(),
        };
        if bytes.len() as u64 != item.size_bytes {
            let (planned_bytes, found_bytes) = (item.size_bytes, bytes.len() as u64);
            return Err(WriteError::Content { path: item.path.clone(), planned_bytes, found_bytes });
        }
        if !bytes.is_empty() {
            sink.data(layout.geometry.cluster_offset(item.cluster), bytes)?;
        }
    }
    Ok(())
}

/// Boot sector and free-space information, and their copies.
fn boot_sectors(layout: &Layout) -> Vec<u8> {
    let copy = [boot_sector(layout), information(layout)].concat();
    let mut sectors = copy.clone();
    sectors.resize(usize::from(BACKUP_SECTOR) * SECTOR_BYTES as usize, 0);
    sectors.extend(copy);
    sectors
}

/// The boot sector of FAT32 (FATGEN103, "Boot Sector and BPB").
fn boot_sector(layout: &Layout) -> Vec<u8> {
    let Geometry { sectors, sectors_per_cluster, table_sectors, .. } = layout.geometry;
    let mut sector = vec![0; SECTOR_BYTES as usize];
    let mut put = |at: usize, bytes: &[u8]| sector[at..at + bytes.len()].copy_from_slice(bytes);
    put(0, &[0xeb, 0x58, 0x90]);
    // The name that the specification recommends, since some drivers look at it.
    put(3, b"MSWIN4.1");
    put(11, &(SECTOR_BYTES as u16).to_le_bytes());
    put(13, &[sectors_per_cluster as u8]);
    put(14, &(RESERVED_SECTORS as u16).to_le_bytes());
    put(16, &[TABLES as u8]);
    put(21, &[0xf8]);
    put(24, &63_u16.to_le_bytes());
    put(26, &255_u16.to_le_bytes());
    put(28, &layout.options.sectors_before.to_le_bytes());
    put(32, &sectors.to_le_bytes());
    put(36, &table_sectors.to_le_bytes());
    put(44, &FIRST_CLUSTER.to_le_bytes());
    put(48, &1_u16.to_le_bytes());
    put(50, &BACKUP_SECTOR.to_le_bytes());
    put(64, &[0x80]);
    put(66, &[0x29]);
    put(67, &layout.options.serial.to_le_bytes());
    put(71, &layout.label);
    put(82, b"FAT32   ");
    put(510, &[0x55, 0xaa]);
    sector
}

/// The sector that tells how much is free (FATGEN103, "FAT32 FSInfo Sector").
fn information(layout: &Layout) -> Vec<u8> {
    let free = layout.geometry.clusters - (layout.end - FIRST_CLUSTER);
    let next = if free == 0 { u32::MAX } else { layout.end };
    let mut sector = vec![0; SECTOR_BYTES as usize];
    sector[0..4].copy_from_slice(b"RRaA");
    sector[484..488].copy_from_slice(b"rrAa");
    sector[488..492].copy_from_slice(&free.to_le_bytes());
    sector[492..496].copy_from_slice(&next.to_le_bytes());
    sector[510..].copy_from_slice(&[0x55, 0xaa]);
    sector
}

/// The table up to its last entry in use.
fn table(layout: &Layout) -> Vec<u8> {
    let mut entries = vec![0x0fff_fff8, END_OF_CHAIN];
    for item in &layout.items {
        let last = item.cluster + item.clusters;
        entries.extend((item.cluster + 1..=last).map(|next| if next == last { END_OF_CHAIN } else { next }));
    }
    entries.truncate(layout.end as usize);
    entries.into_iter().flat_map(u32::to_le_bytes).collect()
}

fn folder(layout: &Layout, item: &Item, entries: &[usize]) -> Vec<u8> {
    let is_root = item.cluster == FIRST_CLUSTER;
    let mut bytes = if is_root {
        directory::label(layout.label, layout.stamp)
    } else {
        let parent = layout.items[item.parent].cluster;
        directory::dots(item.cluster, if parent == FIRST_CLUSTER { 0 } else { parent }, layout.stamp)
    };
    for entry in entries.iter().map(|at| &layout.items[*at]) {
        let is_folder = matches!(entry.kind, Kind::Folder(_));
        let size_bytes = if is_folder { 0 } else { entry.size_bytes as u32 };
        let target = Target { is_folder, cluster: entry.cluster, size_bytes };
        bytes.extend(directory::named(&entry.name, &target, layout.stamp));
    }
    bytes
}
