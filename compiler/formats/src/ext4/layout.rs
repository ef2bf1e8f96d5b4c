//! A decided ext4 image: everything that is not content, as a value that can be printed and then written.

use std::collections::BTreeMap;
use std::fmt::Write;

use tree::Tree;

use super::extents::{Extent, Segment, extents, tree_blocks};
use super::geometry::Geometry;
use super::index::{Index, LostAndFound, Slot, inode_number};
use super::options::Options;
use super::placement::{self, Placement};
use super::shape::Shapes;
use super::{BLOCK_BYTES, PROFILE};

/// Where everything of one tree stands in one image. Made by [`super::plan`] only, so that it is complete and fits.
#[derive(Debug, Clone)]
pub struct Layout {
    /// Without the data ranges, which the shapes hold by entry.
    pub(super) options: Options,
    pub(super) geometry: Geometry,
    pub(super) shapes: Shapes,
    pub(super) placement: Placement,
}

impl Layout {
    pub(super) fn new(options: &Options, geometry: Geometry, shapes: Shapes, placement: Placement) -> Self {
        let options = Options { data_ranges: BTreeMap::new(), ..options.clone() };
        Self { options, geometry, shapes, placement }
    }

    /// Length of the image in bytes; its end may be zeros that the sink never hears of.
    pub fn size_bytes(&self) -> u64 {
        u64::from(self.geometry.blocks) * BLOCK_BYTES as u64
    }

    /// Bytes in blocks that nothing uses.
    pub fn free_bytes(&self) -> u64 {
        placement::free_blocks(&self.geometry, self.placement.end) * BLOCK_BYTES as u64
    }

    /// The layout as text, one line a table, attribute block or inode, for people and for comparison.
    /// `tree` is the one that was planned; it gives the paths.
    pub fn dump(&self, tree: &Tree) -> String {
        let mut out = String::new();
        self.dump_head(&mut out);
        self.dump_groups(&mut out);
        for (at, (block, number)) in self.shapes.xattr_blocks.iter().zip(&self.placement.xattr_blocks).enumerate() {
            line(&mut out, format_args!("attributes {at} at {number} for {}", block.sharers));
        }
        let lost_found = LostAndFound::new(&self.options);
        let index = Index::new(tree, &lost_found);
        for slot in (0..index.len()).filter(|slot| (*slot as usize) < self.shapes.data_blocks.len()) {
            self.dump_inode(&mut out, &index, slot);
        }
        out
    }

    pub(super) fn extents(&self, slot: Slot) -> Vec<Extent> {
        extents(&self.geometry, &self.shapes.segments(slot), self.start(slot))
    }

    pub(super) fn tree_places(&self, slot: Slot, extents: usize) -> Vec<u32> {
        let data_blocks = self.data_blocks(slot);
        placement::tree_places(&self.geometry, self.start(slot), data_blocks, tree_blocks(extents))
    }

    /// The extents of the journal and the blocks of its extent tree.
    pub(super) fn journal_extents(&self) -> (Vec<Extent>, Vec<u32>) {
        let Some((start, blocks)) = self.placement.journal else {
            return (Vec::new(), Vec::new());
        };
        let extents = extents(&self.geometry, &[Segment { logical: 0, blocks }], start);
        let places = placement::tree_places(&self.geometry, start, blocks, tree_blocks(extents.len()));
        (extents, places)
    }

    pub(super) fn data_blocks(&self, slot: Slot) -> u32 {
        self.shapes.data_blocks[slot as usize]
    }

    /// The block of extended attributes of this entry, or 0.
    pub(super) fn xattr_block(&self, slot: Slot) -> u32 {
        self.shapes.xattr_block_of.get(&slot).map_or(0, |at| self.placement.xattr_blocks[*at as usize])
    }

    /// The number of the last inode in use.
    pub(super) fn last_inode(&self) -> u32 {
        inode_number(self.shapes.data_blocks.len() as u32 - 1)
    }

    fn start(&self, slot: Slot) -> u32 {
        self.placement.starts[slot as usize]
    }

    fn dump_head(&self, out: &mut String) {
        let Options { uuid, hash_seed, label, epoch_secs, .. } = &self.options;
        let Geometry { blocks, groups, inodes_per_group, .. } = &self.geometry;
        let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        line(out, format_args!("profile {PROFILE}"));
        line(out, format_args!("uuid {} hash-seed {} label {label:?} epoch {epoch_secs}", hex(uuid), hex(hash_seed)));
        line(out, format_args!("size {} bytes, {blocks} blocks, {} bytes free", self.size_bytes(), self.free_bytes()));
        line(out, format_args!("groups {groups} of {inodes_per_group} inodes, last inode {}", self.last_inode()));
        let Geometry { descriptor_blocks, reserved_descriptor_blocks, .. } = &self.geometry;
        line(out, format_args!("descriptor blocks {descriptor_blocks} and {reserved_descriptor_blocks} reserved"));
        line(out, format_args!("resize inode at {}", self.placement.doubly_indirect));
        if let Some((start, blocks)) = self.placement.journal {
            line(out, format_args!("journal at {start}, {blocks} blocks"));
        }
    }

    fn dump_groups(&self, out: &mut String) {
        let geometry = &self.geometry;
        for group in (0..geometry.groups).filter(|group| geometry.table_blocks(*group) > 0) {
            let mut text = format!("group {group}:");
            if geometry.has_superblock(group) {
                text.push_str(" superblock");
            }
            let flex = geometry.flex_groups(group);
            if flex.start == group {
                let (bitmap, table) = (geometry.block_bitmap(group), geometry.inode_table(group));
                let _ = write!(text, " tables of {} groups from {bitmap}, inodes from {table}", flex.len());
            }
            line(out, format_args!("{text}, data after {} blocks", geometry.table_blocks(group)));
        }
    }

    fn dump_inode(&self, out: &mut String, index: &Index<'_>, slot: Slot) {
        let mut text = format!("inode {} links {} {:?}", inode_number(slot), index.links(slot), index.path(slot));
        let extents = self.extents(slot);
        for Extent { logical, start, blocks } in &extents {
            let _ = write!(text, " {logical}+{blocks}@{start}");
        }
        let places = self.tree_places(slot, extents.len());
        if !places.is_empty() {
            let _ = write!(text, " tree {places:?}");
        }
        if let Some(at) = self.shapes.xattr_block_of.get(&slot) {
            let _ = write!(text, " attributes {at}");
        }
        line(out, format_args!("{text}"));
    }
}

fn line(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.push_str(&text.to_string());
    out.push('\n');
}
