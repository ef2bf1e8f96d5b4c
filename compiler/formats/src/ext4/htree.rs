//! The index blocks of a large folder: a root, then nodes if the root is too small ("Hash Tree Directories").
//!
//! The lists of names in hash order go in; index blocks come out. The lists themselves are made elsewhere. In the
//! folder, the root comes first, then the nodes, then the lists.

use super::bytes::{put_u16, put_u32};
use super::{BLOCK_BYTES, Block};
use crate::crc32c;

/// Entries of the root: what follows 32 bytes of header, less the checksum.
const ROOT_ENTRIES: usize = (BLOCK_BYTES - 32 - 8) / 8;

/// Entries of a node: what follows 8 bytes of header, less the checksum.
const NODE_ENTRIES: usize = (BLOCK_BYTES - 8 - 8) / 8;

/// Lists that a tree of two levels reaches, about 25 million names; deeper ones need the `large_dir` feature.
pub const LEAVES_LIMIT: usize = ROOT_ENTRIES * NODE_ENTRIES;

/// One list of names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf {
    /// Lowest hash in it, plus one if the list before it ends with the same hash.
    pub hash: u32,
    /// How many names it has.
    pub names: u32,
}

/// Cuts names, given as hash and entry size in hash order, into lists of at most this many bytes.
pub fn leaves(names: impl Iterator<Item = (u32, usize)>, list_bytes: usize) -> Vec<Leaf> {
    let mut leaves: Vec<Leaf> = Vec::new();
    let mut filled = list_bytes;
    let mut previous = None;
    for (hash, bytes) in names {
        if filled + bytes > list_bytes {
            let continued = u32::from(previous == Some(hash));
            leaves.push(Leaf { hash: hash | continued, names: 0 });
            filled = 0;
        }
        if let Some(leaf) = leaves.last_mut() {
            leaf.names += 1;
        }
        filled += bytes;
        previous = Some(hash);
    }
    leaves
}

/// Nodes between the root and this many lists.
pub fn node_count(leaves: usize) -> usize {
    if leaves <= ROOT_ENTRIES { 0 } else { leaves.div_ceil(NODE_ENTRIES) }
}

/// Makes the root, which begins with the entries `.` and `..`, and the nodes.
pub fn write_nodes<E>(
    dots: &[u8; 24],
    leaves: &[Leaf],
    checksum_seed: u32,
    put: &mut dyn FnMut(&Block) -> Result<(), E>,
) -> Result<(), E> {
    let nodes = node_count(leaves.len());
    let first_leaf = 1 + nodes as u32;
    let mut root = [0; BLOCK_BYTES];
    root[..24].copy_from_slice(dots);
    // The entry `..` hides the index from readers that do not know it.
    put_u16(&mut root, 12 + 4, (BLOCK_BYTES - 12) as u16);
    // Half-MD4 with the superblock's unsigned flag, and eight bytes of this information.
    root[28] = 1;
    root[29] = 8;
    root[30] = u8::from(nodes > 0);
    let of_leaves = leaves.iter().map(|leaf| leaf.hash).zip(first_leaf..);
    if nodes == 0 {
        put_entries(&mut root, 32, ROOT_ENTRIES, of_leaves, checksum_seed);
        return put(&root);
    }
    let of_nodes = leaves.iter().step_by(NODE_ENTRIES).map(|leaf| leaf.hash).zip(1..);
    put_entries(&mut root, 32, ROOT_ENTRIES, of_nodes, checksum_seed);
    put(&root)?;
    let mut of_leaves = of_leaves;
    (0..nodes).try_for_each(|_| {
        let mut node = [0; BLOCK_BYTES];
        put_u16(&mut node, 4, BLOCK_BYTES as u16);
        put_entries(&mut node, 8, NODE_ENTRIES, of_leaves.by_ref().take(NODE_ENTRIES), checksum_seed);
        put(&node)
    })
}

/// Puts pairs of hash and block, the first of which gives its hash's place to the counts, and the checksum.
fn put_entries(
    block: &mut Block,
    start: usize,
    limit: usize,
    entries: impl Iterator<Item = (u32, u32)>,
    checksum_seed: u32,
) {
    let mut end = start;
    for (hash, child) in entries {
        put_u32(block, end, hash);
        put_u32(block, end + 4, child);
        end += 8;
    }
    put_u16(block, start, limit as u16);
    put_u16(block, start + 2, ((end - start) / 8) as u16);
    // The tail's reserved word and the empty checksum field count as eight zeros.
    let checksum = crc32c::update(crc32c::update(checksum_seed, &block[..end]), &[0; 8]);
    put_u32(block, BLOCK_BYTES - 4, checksum);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_that_spans_two_lists_is_marked() {
        let names = [(2, 40), (4, 40), (4, 40), (8, 20)];
        let leaf = |hash, names| Leaf { hash, names };
        assert_eq!(leaves(names.into_iter(), 100), [leaf(2, 2), leaf(5, 2)]);
        assert_eq!(leaves(names.into_iter(), 40), [leaf(2, 1), leaf(4, 1), leaf(5, 1), leaf(8, 1)]);
    }
}
