//! Extent trees: which blocks of a file stand where ("Extent Tree").
//!
//! Runs of blocks go in; the 60 bytes of the inode's map and the tree's further blocks come out.

use super::bytes::{put_u16, put_u32};
use super::geometry::Geometry;
use super::{BLOCK_BYTES, Block};
use crate::crc32c;

/// Blocks of the longest extent; a larger number would mean an extent that is not initialised.
const EXTENT_BLOCKS: u32 = 32768;

/// Extents, or pointers to blocks of them, that fit in the inode's map.
const ROOT_ENTRIES: usize = 4;

/// Extents, or pointers, that fit in a block between its header and its checksum.
const BLOCK_ENTRIES: usize = (BLOCK_BYTES - 12 - 4) / 12;

/// Some blocks of a file that follow one another and are no hole.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// First block, counted in the file.
    pub logical: u32,
    /// How many blocks.
    pub blocks: u32,
}

/// Blocks of a file that follow one another in the file and on disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Extent {
    /// First block, counted in the file.
    pub logical: u32,
    /// First block on disk.
    pub start: u32,
    /// How many blocks, at most [`EXTENT_BLOCKS`].
    pub blocks: u32,
}

/// The extents of a file whose segments stand, one behind the other, on the data blocks from `start` on.
pub fn extents(geometry: &Geometry, segments: &[Segment], start: u32) -> Vec<Extent> {
    let total = segments.iter().map(|segment| segment.blocks).sum();
    let mut segments = segments.iter().copied();
    let mut segment = Segment { logical: 0, blocks: 0 };
    let mut extents = Vec::with_capacity(1);
    for mut run in geometry.runs_from(start, total) {
        while run.blocks > 0 {
            if segment.blocks == 0 {
                let Some(next) = segments.next() else { return extents };
                segment = next;
            }
            let blocks = run.blocks.min(segment.blocks).min(EXTENT_BLOCKS);
            extents.push(Extent { logical: segment.logical, start: run.start, blocks });
            segment = Segment { logical: segment.logical + blocks, blocks: segment.blocks - blocks };
            run.start += blocks;
            run.blocks -= blocks;
        }
    }
    extents
}

/// Blocks of the tree beside the inode's map, for a file with this many extents.
pub fn tree_blocks(extents: usize) -> u32 {
    let (mut level, mut blocks) = (extents, 0);
    while level > ROOT_ENTRIES {
        level = level.div_ceil(BLOCK_ENTRIES);
        blocks += level as u32;
    }
    blocks
}

/// Makes the inode's map, and the blocks of the tree, which stand at these places: leaves first, each level in order.
pub fn build(extents: &[Extent], places: &[u32], checksum_seed: u32) -> ([u8; 60], Vec<Block>) {
    let mut level: Vec<[u8; 12]> = extents.iter().map(leaf_entry).collect();
    let mut keys: Vec<u32> = extents.iter().map(|extent| extent.logical).collect();
    let mut places = places.iter();
    let mut blocks = Vec::with_capacity(places.len());
    let mut depth = 0;
    while level.len() > ROOT_ENTRIES {
        let mut above = Vec::new();
        for ((entries, key), place) in
            level.chunks(BLOCK_ENTRIES).zip(keys.iter().step_by(BLOCK_ENTRIES)).zip(&mut places)
        {
            let mut block = [0; BLOCK_BYTES];
            put_node(&mut block, entries, BLOCK_ENTRIES, depth);
            let checksum = crc32c::update(checksum_seed, &block[..BLOCK_BYTES - 4]);
            put_u32(&mut block, BLOCK_BYTES - 4, checksum);
            blocks.push(block);
            above.push(index_entry(*key, *place));
        }
        keys = keys.into_iter().step_by(BLOCK_ENTRIES).collect();
        level = above;
        depth += 1;
    }
    let mut root = [0; 60];
    put_node(&mut root, &level, ROOT_ENTRIES, depth);
    (root, blocks)
}

fn put_node(node: &mut [u8], entries: &[[u8; 12]], limit: usize, depth: u16) {
    put_u16(node, 0, 0xf30a);
    put_u16(node, 2, entries.len() as u16);
    put_u16(node, 4, limit as u16);
    put_u16(node, 6, depth);
    for (place, entry) in node[12..].as_chunks_mut::<12>().0.iter_mut().zip(entries) {
        *place = *entry;
    }
}

fn leaf_entry(extent: &Extent) -> [u8; 12] {
    let mut entry = [0; 12];
    put_u32(&mut entry, 0, extent.logical);
    put_u16(&mut entry, 4, extent.blocks as u16);
    put_u32(&mut entry, 8, extent.start);
    entry
}

fn index_entry(logical: u32, block: u32) -> [u8; 12] {
    let mut entry = [0; 12];
    put_u32(&mut entry, 0, logical);
    put_u32(&mut entry, 4, block);
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_grows_a_level_when_the_one_above_is_full() {
        for (extents, blocks) in [(0, 0), (4, 0), (5, 1), (340, 1), (341, 2), (1360, 4), (1361, 6), (20_000, 60)] {
            assert_eq!(tree_blocks(extents), blocks, "{extents}");
            let list: Vec<Extent> =
                (0..extents as u32).map(|at| Extent { logical: at * 2, start: 1000 + at, blocks: 1 }).collect();
            assert_eq!(build(&list, &vec![7; blocks as usize], 0).1.len(), blocks as usize, "{extents}");
        }
    }

    #[test]
    fn segments_are_cut_at_tables_and_at_the_longest_extent() {
        let geometry = Geometry::new(20 * super::super::BLOCKS_PER_GROUP, 16, 16384).unwrap();
        let first = geometry.runs_from(0, 1).next().unwrap();
        let segments = [Segment { logical: 10, blocks: 40_000 }, Segment { logical: 60_000, blocks: 2 }];
        let extents = extents(&geometry, &segments, first.start);
        assert_eq!(extents.iter().map(|extent| extent.blocks).sum::<u32>(), 40_002);
        assert!(extents.iter().all(|extent| extent.blocks <= EXTENT_BLOCKS));
        assert_eq!((extents[0].logical, extents[0].start), (10, first.start));
        assert_eq!(extents.last().unwrap().logical, 60_000);
    }
}
