//! Packs the names of a folder into directory blocks: one list if it fits a block, else a hash tree over lists.
//!
//! Planning packs a folder to learn its size, and writing packs it again, by the same routine, to make its blocks
//! ("Directory Entries"; every block ends with a checksum entry of 12 bytes).

use super::bytes::{put_u16, put_u32};
use super::dirhash::Seed;
use super::htree::{self, Leaf};
use super::index::{Index, Name, Slot, file_type, inode_number};
use super::{BLOCK_BYTES, Block};
use crate::crc32c;

/// Bytes of a block before its checksum entry.
const LIST_BYTES: usize = BLOCK_BYTES - 12;

/// Bytes of the entries `.` and `..`.
const DOTS_BYTES: usize = 24;

/// Blocks of an empty `lost+found`: room for a checker to put files back without allocating, as `mkfs.ext4` gives it.
const LOST_AND_FOUND_BLOCKS: u32 = 4;

/// The blocks of one folder, decided.
#[derive(Debug)]
pub enum Packed {
    /// One block with all names, and empty blocks behind it.
    List {
        /// Blocks in all.
        blocks: u32,
    },
    /// A hash tree.
    Tree {
        /// The names, as positions in the folder's list, in hash order.
        order: Vec<u32>,
        /// The lists, in hash order.
        leaves: Vec<Leaf>,
    },
}

/// A folder has more names than a hash tree of two levels holds.
#[derive(Debug, PartialEq, Eq)]
pub struct TooManyNames;

impl Packed {
    /// Packs the names of a folder.
    pub fn new(index: &Index<'_>, folder: Slot, seed: Seed) -> Result<Self, TooManyNames> {
        let names = index.names(folder);
        if !is_indexed(index, folder) {
            let is_lost_and_found = folder == 1 && names.is_empty();
            return Ok(Self::List { blocks: if is_lost_and_found { LOST_AND_FOUND_BLOCKS } else { 1 } });
        }
        let mut hashed: Vec<_> = names.iter().zip(0u32..).map(|(name, at)| (seed.hash(name.name), at)).collect();
        hashed.sort_unstable();
        let sized = hashed.iter().map(|(hash, at)| (hash.0, entry_bytes(names[*at as usize].name)));
        let leaves = htree::leaves(sized, LIST_BYTES);
        if leaves.len() > htree::LEAVES_LIMIT {
            return Err(TooManyNames);
        }
        Ok(Self::Tree { order: hashed.into_iter().map(|(_, at)| at).collect(), leaves })
    }

    /// Blocks of the folder.
    pub fn blocks(&self) -> u32 {
        match self {
            Self::List { blocks } => *blocks,
            Self::Tree { leaves, .. } => 1 + htree::node_count(leaves.len()) as u32 + leaves.len() as u32,
        }
    }

    /// Makes the blocks of the folder, in order.
    pub fn write<E>(
        &self,
        index: &Index<'_>,
        folder: Slot,
        checksum_seed: u32,
        put: &mut dyn FnMut(&Block) -> Result<(), E>,
    ) -> Result<(), E> {
        let names = index.names(folder);
        let dots = dots(inode_number(folder), inode_number(index.parent(folder)));
        match self {
            Self::List { blocks } => {
                put(&list(&dots, names.iter(), index, checksum_seed))?;
                (1..*blocks).try_for_each(|_| put(&list(&[], [].iter(), index, checksum_seed)))
            }
            Self::Tree { order, leaves } => {
                htree::write_nodes(&dots, leaves, checksum_seed, put)?;
                let mut order = order.iter();
                leaves.iter().try_for_each(|leaf| {
                    let members = order.by_ref().take(leaf.names as usize).map(|at| &names[*at as usize]);
                    put(&list(&[], members, index, checksum_seed))
                })
            }
        }
    }
}

/// Whether this folder needs more than one list, and so a hash tree.
pub fn is_indexed(index: &Index<'_>, folder: Slot) -> bool {
    let list_bytes: usize = index.names(folder).iter().map(|name| entry_bytes(name.name)).sum();
    DOTS_BYTES + list_bytes > LIST_BYTES
}

/// The entries `.` and `..`, the second as long as its name needs.
fn dots(own: u32, parent: u32) -> [u8; DOTS_BYTES] {
    let mut bytes = [0; DOTS_BYTES];
    put_entry(&mut bytes, 0, own, b".", 2);
    put_entry(&mut bytes, 12, parent, b"..", 2);
    bytes
}

/// One block of entries: `dots` if any, then these names, the last of which takes the space that is left.
fn list<'n, 't: 'n>(
    dots: &[u8],
    names: impl Iterator<Item = &'n Name<'t>>,
    index: &Index<'_>,
    checksum_seed: u32,
) -> Block {
    let mut block = [0; BLOCK_BYTES];
    block[..dots.len()].copy_from_slice(dots);
    // The start of the last entry, and the end of it. An empty block has one entry that names nothing.
    let (mut last, mut end) = (dots.len() / 2, dots.len());
    for name in names {
        put_entry(&mut block, end, inode_number(name.slot), name.name, file_type(&index.node(name.slot).kind));
        (last, end) = (end, end + entry_bytes(name.name));
    }
    put_u16(&mut block, last + 4, (LIST_BYTES - last) as u16);
    put_u16(&mut block, LIST_BYTES + 4, 12);
    block[LIST_BYTES + 7] = 0xde;
    let checksum = crc32c::update(checksum_seed, &block[..LIST_BYTES]);
    put_u32(&mut block, LIST_BYTES + 8, checksum);
    block
}

fn put_entry(block: &mut [u8], at: usize, inode: u32, name: &[u8], file_type: u8) {
    put_u32(block, at, inode);
    put_u16(block, at + 4, entry_bytes(name) as u16);
    block[at + 6] = name.len() as u8;
    block[at + 7] = file_type;
    block[at + 8..at + 8 + name.len()].copy_from_slice(name);
}

fn entry_bytes(name: &[u8]) -> usize {
    8 + name.len().next_multiple_of(4)
}
