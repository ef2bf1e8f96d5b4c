//! The bytes before the first block: file identifier, headers, region tables, metadata and the table of blocks.

use super::layout::{Layout, TABLE_OFFSET};
use super::{ALIGNMENT_BYTES, BLOCK_BYTES, CHUNK_BLOCKS, SECTOR_BYTES};
use crate::crc32c;
use crate::gpt::{Guid, on_disk};

const UNIT_BYTES: usize = 64 << 10;
const LOG_OFFSET: u64 = ALIGNMENT_BYTES;
const METADATA_OFFSET: u64 = 2 * ALIGNMENT_BYTES;

/// Regions ([MS-VHDX] 2.2.3.2).
const TABLE_REGION: Guid = 0x2dc27766_f623_4200_9d64_115e9bfd4a08_u128.to_be_bytes();
const METADATA_REGION: Guid = 0x8b7ca206_4790_4b9a_b8fe_575f050f886e_u128.to_be_bytes();

/// Metadata items ([MS-VHDX] 2.6.2).
const FILE_PARAMETERS: Guid = 0xcaa16737_fa36_4d43_b3b6_33f0aa44e76b_u128.to_be_bytes();
const DISK_SIZE: Guid = 0x2fa54224_cd1b_4876_b211_5dbed83bf4b8_u128.to_be_bytes();
const DISK_ID: Guid = 0xbeca12ab_b2e6_4523_93ef_c309e000c746_u128.to_be_bytes();
const LOGICAL_SECTOR: Guid = 0x8141bf1d_a96f_4709_ba47_f233a8faab5f_u128.to_be_bytes();
const PHYSICAL_SECTOR: Guid = 0xcda348c7_445d_4471_9cc9_e9885251c556_u128.to_be_bytes();

const IS_VIRTUAL_DISK: u32 = 2;
const IS_REQUIRED: u32 = 4;

/// States of a block ([MS-VHDX] 2.5.1.1). A block that is not present may read as anything; one that is zero may not.
const ZERO: u64 = 2;
const FULLY_PRESENT: u64 = 6;

/// File identifier, both headers and both region tables, each at a multiple of 64 KiB.
pub fn headers(layout: &Layout) -> Vec<u8> {
    let units =
        [identifier(), header(layout, 0), header(layout, 1), regions(layout), regions(layout)].map(|mut unit| {
            unit.resize(UNIT_BYTES, 0);
            unit
        });
    units.concat()
}

/// The metadata region with its place, up to its last item.
pub fn metadata(layout: &Layout) -> (u64, Vec<u8>) {
    let disk = IS_VIRTUAL_DISK | IS_REQUIRED;
    let mut parameters = (BLOCK_BYTES as u32).to_le_bytes().to_vec();
    parameters.extend([0; 4]);
    let sector = (SECTOR_BYTES as u32).to_le_bytes();
    let items: [(Guid, u32, Vec<u8>); 5] = [
        (FILE_PARAMETERS, IS_REQUIRED, parameters),
        (DISK_SIZE, disk, layout.disk_bytes.to_le_bytes().into()),
        (DISK_ID, disk, on_disk(&layout.ids.disk).into()),
        (LOGICAL_SECTOR, disk, sector.into()),
        // A disk may say 4096 here; what the image stands on is not known, and 512 is always true.
        (PHYSICAL_SECTOR, disk, sector.into()),
    ];
    let mut table = b"metadata\0\0".to_vec();
    table.extend((items.len() as u16).to_le_bytes());
    table.resize(32, 0);
    let mut values: Vec<u8> = Vec::new();
    for (id, flags, value) in &items {
        table.extend(on_disk(id));
        for number in [(UNIT_BYTES + values.len()) as u32, value.len() as u32, *flags, 0] {
            table.extend(number.to_le_bytes());
        }
        values.extend(value);
    }
    table.resize(UNIT_BYTES, 0);
    table.extend(values);
    (METADATA_OFFSET, table)
}

/// The table of blocks with its place.
pub fn blocks(layout: &Layout) -> (u64, Vec<u8>) {
    let mut table = Vec::with_capacity(layout.table_entries() as usize * 8);
    for block in 0..layout.disk_bytes.div_ceil(BLOCK_BYTES) {
        if block > 0 && block.is_multiple_of(CHUNK_BLOCKS) {
            // The sector bitmap of a chunk exists in images with a parent only.
            table.extend([0; 8]);
        }
        // Offsets are multiples of a MiB, and their number of MiB begins at bit 20.
        table.extend(layout.block_offset(block).map_or(ZERO, |offset| offset | FULLY_PRESENT).to_le_bytes());
    }
    (TABLE_OFFSET, table)
}

/// File identifier ([MS-VHDX] 2.2.1), with the name of the program that made it.
fn identifier() -> Vec<u8> {
    [b"vhdxfile".to_vec(), "appliance".encode_utf16().flat_map(u16::to_le_bytes).collect()].concat()
}

/// Header ([MS-VHDX] 2.2.2). The one with the higher number counts.
fn header(layout: &Layout, sequence_number: u64) -> Vec<u8> {
    let mut bytes = b"head\0\0\0\0".to_vec();
    bytes.extend(sequence_number.to_le_bytes());
    bytes.extend(on_disk(&layout.ids.file_write));
    bytes.extend(on_disk(&layout.ids.data_write));
    // No id of a log: there is nothing to replay. Then the versions of log and format, and the log's place.
    bytes.extend([0; 16]);
    bytes.extend([0, 0, 1, 0]);
    bytes.extend((ALIGNMENT_BYTES as u32).to_le_bytes());
    bytes.extend(LOG_OFFSET.to_le_bytes());
    sealed(bytes, 4096)
}

/// Region table ([MS-VHDX] 2.2.3).
fn regions(layout: &Layout) -> Vec<u8> {
    let mut bytes = b"regi\0\0\0\0\x02\0\0\0\0\0\0\0".to_vec();
    let table = (TABLE_REGION, TABLE_OFFSET, layout.table_bytes());
    for (id, offset, length) in [table, (METADATA_REGION, METADATA_OFFSET, ALIGNMENT_BYTES)] {
        bytes.extend(on_disk(&id));
        bytes.extend(offset.to_le_bytes());
        bytes.extend((length as u32).to_le_bytes());
        bytes.extend(1_u32.to_le_bytes());
    }
    sealed(bytes, UNIT_BYTES)
}

/// A structure of its full length, with its checksum after the signature.
fn sealed(mut bytes: Vec<u8>, length: usize) -> Vec<u8> {
    bytes.resize(length, 0);
    let checksum = !crc32c::update(!0, &bytes);
    bytes[4..8].copy_from_slice(&checksum.to_le_bytes());
    bytes
}
