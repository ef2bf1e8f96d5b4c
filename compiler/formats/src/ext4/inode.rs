//! The 256 bytes of an inode ("Index Nodes").

use super::INODE_BYTES;
use super::bytes::{put_u16, put_u32};
use super::xattr::TAIL_BYTES;
use crate::crc32c;

/// Flag of an inode whose map is an extent tree.
pub const EXTENTS: u32 = 0x8_0000;
/// Flag of a folder that is a hash tree.
pub const INDEX: u32 = 0x1000;

/// Type bits of the mode.
pub mod mode {
    /// Named pipe.
    pub const FIFO: u16 = 0x1000;
    /// Character device.
    pub const CHAR: u16 = 0x2000;
    /// Folder.
    pub const DIR: u16 = 0x4000;
    /// Block device.
    pub const BLOCK: u16 = 0x6000;
    /// Regular file.
    pub const FILE: u16 = 0x8000;
    /// Symbolic link.
    pub const SYMLINK: u16 = 0xa000;
    /// Socket.
    pub const SOCKET: u16 = 0xc000;
}

/// Bytes of the fields behind the first 128, up to `i_projid`.
const EXTRA_BYTES: u16 = 32;

/// What an inode says.
#[derive(Debug)]
pub struct Inode {
    /// Type and permission bits.
    pub mode: u16,
    /// Owner's user id.
    pub uid: u32,
    /// Owner's group id.
    pub gid: u32,
    /// Length in bytes.
    pub size_bytes: u64,
    /// All four times.
    pub time_secs: i64,
    /// Names.
    pub links: u16,
    /// Blocks of data, of the extent tree and of extended attributes.
    pub blocks: u64,
    /// Flags.
    pub flags: u32,
    /// Extent tree, short link target, device number or old block map.
    pub map: [u8; 60],
    /// The block of extended attributes, or 0.
    pub xattr_block: u32,
    /// Extended attributes in the inode.
    pub tail: [u8; TAIL_BYTES],
}

impl Inode {
    /// The bytes of the inode; the seed covers its number and generation.
    pub fn encode(&self, checksum_seed: u32) -> [u8; INODE_BYTES] {
        let mut bytes = [0; INODE_BYTES];
        let sectors = self.blocks * 8;
        put_u16(&mut bytes, 0x00, self.mode);
        put_u16(&mut bytes, 0x02, self.uid as u16);
        put_u32(&mut bytes, 0x04, self.size_bytes as u32);
        put_u16(&mut bytes, 0x18, self.gid as u16);
        put_u16(&mut bytes, 0x1a, self.links);
        put_u32(&mut bytes, 0x1c, sectors as u32);
        put_u32(&mut bytes, 0x20, self.flags);
        bytes[0x28..0x64].copy_from_slice(&self.map);
        put_u32(&mut bytes, 0x68, self.xattr_block);
        put_u32(&mut bytes, 0x6c, (self.size_bytes >> 32) as u32);
        put_u16(&mut bytes, 0x74, (sectors >> 32) as u16);
        put_u16(&mut bytes, 0x78, (self.uid >> 16) as u16);
        put_u16(&mut bytes, 0x7a, (self.gid >> 16) as u16);
        put_u16(&mut bytes, 0x80, EXTRA_BYTES);
        let (low, extra) = time_words(self.time_secs).unwrap_or_default();
        // Change, modification, access and making: the low word of each, and its further bits.
        for (at, extra_at) in [(0x0c, 0x84), (0x10, 0x88), (0x08, 0x8c), (0x90, 0x94)] {
            put_u32(&mut bytes, at, low);
            put_u32(&mut bytes, extra_at, extra);
        }
        bytes[INODE_BYTES - TAIL_BYTES..].copy_from_slice(&self.tail);
        let checksum = crc32c::update(checksum_seed, &bytes);
        put_u16(&mut bytes, 0x7c, checksum as u16);
        put_u16(&mut bytes, 0x82, (checksum >> 16) as u16);
        bytes
    }
}

/// The seed of checksums that belong to this inode: over its number, and its generation, which is always 0.
pub fn checksum_seed(image_seed: u32, inode: u32) -> u32 {
    crc32c::update(crc32c::update(image_seed, &inode.to_le_bytes()), &[0; 4])
}

/// A time as 32 signed bits of seconds and, in the second word, how often to add 2^32 ("Inode Timestamps").
/// `None` before 1901 and after 2446.
pub fn time_words(secs: i64) -> Option<(u32, u32)> {
    let low = secs as u32;
    let extra = secs.checked_sub(i64::from(low.cast_signed()))? >> 32;
    (0..4).contains(&extra).then_some((low, extra as u32))
}

/// A device number as an inode's map holds it: eight bits each if that is enough, else 12 and 20.
/// `None` for numbers that Linux cannot have.
pub fn device_map(major: u32, minor: u32) -> Option<[u8; 60]> {
    if major >= 1 << 12 || minor >= 1 << 20 {
        return None;
    }
    let mut map = [0; 60];
    if major < 256 && minor < 256 {
        put_u32(&mut map, 0, major << 8 | minor);
    } else {
        put_u32(&mut map, 4, (minor & 0xff) | major << 8 | (minor & !0xff) << 12);
    }
    Some(map)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_reach_from_1901_to_2446() {
        assert_eq!(time_words(-1), Some((u32::MAX, 0)));
        assert_eq!(time_words(-(1 << 31)), Some((1 << 31, 0)));
        assert_eq!(time_words(-(1 << 31) - 1), None);
        assert_eq!(time_words(1 << 31), Some((1 << 31, 1)));
        assert_eq!(time_words((1 << 34) - (1 << 31) - 1), Some(((1 << 31) - 1, 3)));
        assert_eq!(time_words((1 << 34) - (1 << 31)), None);
        assert_eq!(time_words(i64::MIN), None);
    }

    #[test]
    fn device_numbers_use_the_short_form_while_it_fits() {
        assert_eq!(device_map(5, 1).unwrap()[..8], [1, 5, 0, 0, 0, 0, 0, 0]);
        assert_eq!(device_map(8, 70000).unwrap()[..8], [0, 0, 0, 0, 0x70, 8, 0x10, 0x11]);
        assert_eq!(device_map(4096, 0), None);
        assert_eq!(device_map(0, 1 << 20), None);
    }
}
