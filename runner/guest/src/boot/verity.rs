//! A device whose every block is proven by the root hash: dm-verity over data and hash tree.
//!
//! The numbers come from the tree's own header, which nothing vouches for; with a false one nothing hashes to the
//! root hash, so no block can be read (kernel documentation, `device-mapper/verity.rst`; cryptsetup's on-disk format).

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use super::mapper;

/// The header's magic, version 1 and hash type 1, in which the salt comes before the block.
const START: &[u8] = b"verity\0\0\x01\0\0\0\x01\0\0\0";

/// The only hash that is written.
const HASH: &str = "sha256";

/// What a table for the device mapper is made of.
#[derive(Debug, PartialEq, Eq)]
struct Header {
    data_block_bytes: u32,
    hash_block_bytes: u32,
    data_blocks: u64,
    salt: String,
}

/// Makes the device and gives its path.
pub fn open(data: &Path, hashes: &Path, root_hash: &str) -> Result<PathBuf, String> {
    let failed = |what: &dyn std::fmt::Display| format!("check the root against its hash: {what}");
    let mut bytes = [0; 512];
    let file = File::open(hashes).map_err(|error| failed(&error))?;
    file.read_exact_at(&mut bytes, 0).map_err(|error| failed(&error))?;
    let header = parse(&bytes).ok_or_else(|| failed(&format!("{} holds no hash tree of ours", hashes.display())))?;
    let table = table(&header, data, hashes, root_hash);
    let sectors = header.data_blocks * u64::from(header.data_block_bytes / 512);
    mapper::make("root", "verity", sectors, &table).map_err(|error| failed(&error))
}

fn parse(bytes: &[u8; 512]) -> Option<Header> {
    let number = |at: usize| Some(u32::from_le_bytes(*bytes.get(at..)?.first_chunk()?));
    let (data_block_bytes, hash_block_bytes) = (number(64)?, number(68)?);
    let data_blocks = u64::from_le_bytes(*bytes.get(72..)?.first_chunk()?);
    let salt_bytes = usize::from(u16::from_le_bytes(*bytes.get(80..)?.first_chunk()?));
    let salt = bytes.get(88..88 + 256)?.get(..salt_bytes)?;
    let hash = bytes.get(32..64)?.split(|byte| *byte == 0).next()?;
    let is_size = |size: u32| size.is_power_of_two() && (512..=65536).contains(&size);
    let fits = bytes.starts_with(START)
        && hash == HASH.as_bytes()
        && is_size(data_block_bytes)
        && is_size(hash_block_bytes)
        && data_blocks < 1 << 48;
    let hex: String = salt.iter().map(|byte| format!("{byte:02x}")).collect();
    let salt = if hex.is_empty() { "-".to_owned() } else { hex };
    fits.then_some(Header { data_block_bytes, hash_block_bytes, data_blocks, salt })
}

/// The target's parameters. A block that is not what it should be ends the machine at once.
fn table(header: &Header, data: &Path, hashes: &Path, root_hash: &str) -> String {
    let Header { data_block_bytes, hash_block_bytes, data_blocks, salt } = header;
    let (data, hashes) = (data.display(), hashes.display());
    format!(
        "1 {data} {hashes} {data_block_bytes} {hash_block_bytes} {data_blocks} 1 {HASH} {root_hash} {salt} 1 panic_on_corruption"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_header_becomes_a_table() {
        let mut bytes = [0; 512];
        bytes[..16].copy_from_slice(START);
        bytes[32..38].copy_from_slice(b"sha256");
        bytes[64..68].copy_from_slice(&4096_u32.to_le_bytes());
        bytes[68..72].copy_from_slice(&4096_u32.to_le_bytes());
        bytes[72] = 9;
        bytes[80] = 2;
        bytes[88..90].copy_from_slice(&[0xab, 1]);
        let header = parse(&bytes).unwrap();
        let line = table(&header, Path::new("/dev/vda"), Path::new("/dev/vdb"), "00ff");
        assert_eq!(line, "1 /dev/vda /dev/vdb 4096 4096 9 1 sha256 00ff ab01 1 panic_on_corruption");
        for (at, byte) in [(0, b'x'), (8, 2), (37, b'7'), (64, 1), (78, 1), (81, 9)] {
            let mut other = bytes;
            other[at] = byte;
            assert_eq!(parse(&other), None, "{at}");
        }
    }
}
