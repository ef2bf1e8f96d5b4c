//! The header, which is also the footer, the descriptor, and the markers between the parts.

use super::{GRAIN_BYTES, Options, SECTOR_BYTES, TABLE_ENTRIES};

/// Sectors before the first grain: header, descriptor, and room that other writers leave too.
pub const OVERHEAD_SECTORS: u64 = 128;

/// Line breaks can be checked, grains are compressed, parts have markers ("Hosted Sparse Extent Header").
const FLAGS: u32 = 1 | 1 << 16 | 1 << 17;

/// Says that the place of the grain directory is in the footer.
pub const AT_END: u64 = u64::MAX;

/// What follows a marker.
#[derive(Debug, Clone, Copy)]
pub enum Marker {
    EndOfStream = 0,
    GrainTable = 1,
    GrainDirectory = 2,
    Footer = 3,
}

/// One sector that announces so many sectors of this kind.
pub fn marker(kind: Marker, sectors: u64) -> Vec<u8> {
    let mut bytes = sectors.to_le_bytes().to_vec();
    bytes.extend([0; 4]);
    bytes.extend((kind as u32).to_le_bytes());
    bytes.resize(SECTOR_BYTES as usize, 0);
    bytes
}

/// Sectors of a disk.
pub fn capacity_sectors(options: &Options) -> u64 {
    options.size_bytes.div_ceil(GRAIN_BYTES as u64) * (GRAIN_BYTES as u64 / SECTOR_BYTES)
}

/// Header or footer; they differ in the place of the grain directory.
pub fn header(options: &Options, directory_sector: u64) -> Vec<u8> {
    let mut bytes = b"KDMV".to_vec();
    bytes.extend(3_u32.to_le_bytes());
    bytes.extend(FLAGS.to_le_bytes());
    let descriptor_sectors = (descriptor(options).len() as u64).div_ceil(SECTOR_BYTES);
    for number in [capacity_sectors(options), GRAIN_BYTES as u64 / SECTOR_BYTES, 1, descriptor_sectors] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend((TABLE_ENTRIES as u32).to_le_bytes());
    for number in [0, directory_sector, OVERHEAD_SECTORS] {
        bytes.extend(number.to_le_bytes());
    }
    bytes.extend(b"\0\n \r\n\x01\0");
    bytes.resize(SECTOR_BYTES as usize, 0);
    bytes
}

/// The text that describes the disk, as it stands behind the header.
pub fn descriptor(options: &Options) -> String {
    let sectors = capacity_sectors(options);
    let hex: String = options.content_id.iter().map(|byte| format!("{byte:02x}")).collect();
    let uuid = crate::gpt::text(&options.content_id);
    // 255 heads of 63 sectors, the geometry of large disks; nothing that boots by UEFI looks at it.
    let cylinders = (sectors / (255 * 63)).clamp(1, 65535);
    format!(
        "# Disk DescriptorFile\nversion=1\nCID={}\nparentCID=ffffffff\ncreateType=\"streamOptimized\"\n\n\
         # Extent description\nRW {sectors} SPARSE \"{}\"\n\n# The Disk Data Base\n#DDB\n\n\
         ddb.adapterType = \"lsilogic\"\nddb.geometry.cylinders = \"{cylinders}\"\nddb.geometry.heads = \"255\"\n\
         ddb.geometry.sectors = \"63\"\nddb.longContentID = \"{hex}\"\nddb.uuid.image=\"{uuid}\"\n\
         ddb.virtualHWVersion = \"4\"\n",
        &hex[24..],
        options.file_name
    )
}
