//! Encodes extended attributes: as many as fit stand in the inode, the others in one block ("Extended Attributes").
//!
//! Names and values go in; the inode's tail and the block's content come out. Inodes with the same block content may
//! share the block, so it is made without its reference count and checksum.

use std::collections::BTreeMap;

use super::acl::{self, AclError};
use super::bytes::{put_u16, put_u32};
use super::{BLOCK_BYTES, Block};
use crate::crc32c;

/// Bytes of an inode behind its last field.
pub const TAIL_BYTES: usize = 96;

/// Inodes that may share a block (the kernel's `EXT4_XATTR_REFCOUNT_MAX`).
pub const SHARERS_LIMIT: u32 = 1024;

/// Marks both places ("Extended Attributes", `h_magic`).
const MAGIC: u32 = 0xea02_0000;

/// Bytes of the header of a block.
const BLOCK_HEADER_BYTES: usize = 32;

/// Why an extended attribute cannot be stored.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum XattrError {
    /// The name begins with no prefix that ext4 knows, or has nothing behind it.
    #[error("its name is none of user.*, trusted.*, security.* and the POSIX ACLs")]
    UnknownName,
    /// The name has more than 255 bytes behind its prefix.
    #[error("its name is longer than 255 bytes")]
    LongName,
    /// The value is no ACL, although the name says so.
    #[error("its value cannot be stored")]
    Acl(#[source] AclError),
    /// The attributes of one inode do not fit in the inode and one block.
    #[error("the attributes of one entry must fit in {} bytes", BLOCK_BYTES)]
    TooLarge,
}

/// The attributes of one inode as stored.
#[derive(Debug, PartialEq, Eq)]
pub struct Stored {
    /// What stands behind the inode's fields; all zero when nothing does.
    pub tail: [u8; TAIL_BYTES],
    /// The block, if one is needed, without reference count and checksum.
    pub block: Option<Box<Block>>,
}

struct Attribute<'a> {
    prefix: u8,
    name: &'a [u8],
    value: Vec<u8>,
}

/// Encodes the attributes of one inode; on error, the name of the first that has no place.
///
/// # Errors
/// When a name or value cannot be stored, or all of them need more than one block.
pub fn store(attributes: &BTreeMap<Vec<u8>, Vec<u8>>) -> Result<Stored, (Vec<u8>, XattrError)> {
    let mut stored = Stored { tail: [0; TAIL_BYTES], block: None };
    if attributes.is_empty() {
        return Ok(stored);
    }
    let mut sorted = Vec::with_capacity(attributes.len());
    for (name, value) in attributes {
        sorted.push((name, Attribute::new(name, value).map_err(|error| (name.clone(), error))?));
    }
    sorted.sort_by(|(_, a), (_, b)| (a.prefix, a.name.len(), a.name).cmp(&(b.prefix, b.name.len(), b.name)));
    let mut tail = Area::new(4, 4, TAIL_BYTES);
    let mut block = Area::new(BLOCK_HEADER_BYTES, 0, BLOCK_BYTES);
    let mut content = Box::new([0; BLOCK_BYTES]);
    let mut block_hash = 0u32;
    for (name, attribute) in sorted {
        if tail.holds(&attribute) {
            // Hashes in inodes stay zero, as the kernel leaves them.
            tail.put(&mut stored.tail, &attribute, 0);
        } else if block.holds(&attribute) {
            let hash = attribute.hash();
            block.put(&mut content[..], &attribute, hash);
            block_hash = block_hash.rotate_left(16) ^ hash;
        } else {
            return Err((name.clone(), XattrError::TooLarge));
        }
    }
    if tail.used() {
        put_u32(&mut stored.tail, 0, MAGIC);
    }
    if block.used() {
        put_u32(&mut content[..], 0, MAGIC);
        put_u32(&mut content[..], 8, 1);
        put_u32(&mut content[..], 12, block_hash);
        stored.block = Some(content);
    }
    Ok(stored)
}

/// Completes a block: how many inodes share it, and its checksum, which covers the block's own number.
pub fn seal(block: &mut Block, sharers: u32, number: u32, checksum_seed: u32) {
    put_u32(block, 4, sharers);
    let seed = crc32c::update(checksum_seed, &u64::from(number).to_le_bytes());
    let checksum = crc32c::update(seed, block);
    put_u32(block, 16, checksum);
}

impl<'a> Attribute<'a> {
    /// Splits the name as the table "Attribute Name Indices" says.
    fn new(name: &'a [u8], value: &[u8]) -> Result<Self, XattrError> {
        let acl = |prefix| Ok(Self { prefix, name: b"", value: acl::stored_form(value).map_err(XattrError::Acl)? });
        match name {
            b"system.posix_acl_access" => return acl(2),
            b"system.posix_acl_default" => return acl(3),
            _ => {}
        }
        let prefixes = [(&b"user."[..], 1), (b"trusted.", 4), (b"security.", 6)];
        let (prefix, name) = prefixes
            .into_iter()
            .find_map(|(text, prefix)| Some((prefix, name.strip_prefix(text)?)))
            .filter(|(_, name)| !name.is_empty() && !name.contains(&0))
            .ok_or(XattrError::UnknownName)?;
        if name.len() > 255 {
            return Err(XattrError::LongName);
        }
        Ok(Self { prefix, name, value: value.to_vec() })
    }

    fn entry_bytes(&self) -> usize {
        16 + self.name.len().next_multiple_of(4)
    }

    fn value_bytes(&self) -> usize {
        self.value.len().next_multiple_of(4)
    }

    /// The hash of name and value that a block's entry stores: five bits of rotation a byte, sixteen a word.
    fn hash(&self) -> u32 {
        let of_name = self.name.iter().fold(0u32, |hash, byte| hash.rotate_left(5) ^ u32::from(*byte));
        self.value.chunks(4).fold(of_name, |hash, bytes| {
            let mut word = [0; 4];
            word[..bytes.len()].copy_from_slice(bytes);
            hash.rotate_left(16) ^ u32::from_le_bytes(word)
        })
    }
}

/// A place for attributes: entries grow up from its start, values down from its end, four zero bytes between them.
struct Area {
    /// Where entries begin.
    start: usize,
    /// What the offset of a value counts from.
    base: usize,
    entries_end: usize,
    values_start: usize,
}

impl Area {
    fn new(start: usize, base: usize, end: usize) -> Self {
        Self { start, base, entries_end: start, values_start: end }
    }

    fn holds(&self, attribute: &Attribute<'_>) -> bool {
        self.entries_end + attribute.entry_bytes() + 4 + attribute.value_bytes() <= self.values_start
    }

    fn used(&self) -> bool {
        self.entries_end > self.start
    }

    fn put(&mut self, bytes: &mut [u8], attribute: &Attribute<'_>, hash: u32) {
        self.values_start -= attribute.value_bytes();
        let value_offset = if attribute.value.is_empty() { 0 } else { self.values_start - self.base };
        let entry = &mut bytes[self.entries_end..];
        entry[0] = attribute.name.len() as u8;
        entry[1] = attribute.prefix;
        put_u16(entry, 2, value_offset as u16);
        put_u32(entry, 8, attribute.value.len() as u32);
        put_u32(entry, 12, hash);
        entry[16..16 + attribute.name.len()].copy_from_slice(attribute.name);
        bytes[self.values_start..self.values_start + attribute.value.len()].copy_from_slice(&attribute.value);
        self.entries_end += attribute.entry_bytes();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(attributes: &[(&str, usize)]) -> Result<(bool, bool), XattrError> {
        let attributes = attributes.iter().map(|(name, size)| (name.as_bytes().to_vec(), vec![7; *size])).collect();
        let stored = store(&attributes).map_err(|(_, error)| error)?;
        Ok((stored.tail != [0; TAIL_BYTES], stored.block.is_some()))
    }

    #[test]
    fn the_inode_is_filled_first_then_one_block() {
        assert_eq!(check(&[]), Ok((false, false)));
        assert_eq!(check(&[("security.capability", 20)]), Ok((true, false)));
        assert_eq!(check(&[("security.capability", 20), ("user.big", 2000)]), Ok((true, true)));
        assert_eq!(check(&[("user.big", 4040)]), Ok((false, true)));
        assert_eq!(check(&[("user.big", 4044)]), Err(XattrError::TooLarge));
    }

    #[test]
    fn a_name_that_ext4_cannot_keep_is_refused() {
        for name in ["user.", "system.data", "plain", "security"] {
            assert_eq!(check(&[(name, 1)]), Err(XattrError::UnknownName), "{name}");
        }
        assert_eq!(check(&[(&format!("user.{}", "x".repeat(256)), 1)]), Err(XattrError::LongName));
        assert_eq!(check(&[("system.posix_acl_access", 5)]), Err(XattrError::Acl(AclError::Length)));
    }
}
