//! Makes the bytes of a planned image, from its first block to its last, reading each content once, in that order.
//!
//! Layout, tree and contents go in, regions come out. Tables stand at the start of some groups, so each group's are
//! written when the data reach it.

use std::io;

use tree::{Blobs, Content, Kind, Tree, TreePath};

use super::content::{ContentError, Source};
use super::directory::Packed;
use super::dirhash::Seed;
use super::extents::{self, Extent};
use super::index::{Index, LostAndFound, Slot, inode_number};
use super::layout::Layout;
use super::stream::Stream;
use super::tables::Tables;
use super::{BLOCK_BYTES, Block, blocks_of, inode, journal, resize, shape, superblock, xattr};
use crate::region::RegionSink;

/// Why an image could not be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The tree is not the one that was planned.
    #[error("write the image: the tree is not the one that was planned")]
    OtherTree,
    /// A content could not be read or is not what was planned.
    #[error("write {path}")]
    Content {
        /// The file.
        path: TreePath,
        /// What is wrong with its content.
        #[source]
        source: ContentError,
    },
    /// The sink could not take the bytes.
    #[error("write the image")]
    Sink(#[source] io::Error),
}

/// Writes a planned image. `tree` is the one that was planned; `sink` is told what is not zero, in ascending order.
///
/// The image is [`Layout::size_bytes`] long, which may be more than the end of the last region.
///
/// # Errors
/// When a content cannot be read or is not what the plan was made for, or the sink reports an error.
pub fn write(layout: &Layout, tree: &Tree, blobs: &dyn Blobs, sink: &mut dyn RegionSink) -> Result<(), WriteError> {
    let lost_found = LostAndFound::new(&layout.options);
    let index = Index::new(tree, &lost_found);
    if index.len() as usize != layout.shapes.data_blocks.len() {
        return Err(WriteError::OtherTree);
    }
    let mut writer = Writer::new(layout, &index, sink);
    writer.resize_inode_block()?;
    writer.journal()?;
    writer.folders()?;
    writer.xattr_blocks()?;
    writer.contents(blobs)?;
    writer.finish()
}

/// Writes data in ascending order, and each group's tables before them.
struct Writer<'w> {
    layout: &'w Layout,
    index: &'w Index<'w>,
    checksum_seed: u32,
    tables: Tables<'w>,
    stream: Stream<'w>,
}

impl<'w> Writer<'w> {
    fn new(layout: &'w Layout, index: &'w Index<'w>, sink: &'w mut dyn RegionSink) -> Self {
        let tables = Tables::new(layout, index);
        let checksum_seed = superblock::checksum_seed(layout);
        Self { layout, index, checksum_seed, tables, stream: Stream::new(sink) }
    }

    fn resize_inode_block(&mut self) -> Result<(), WriteError> {
        let block = resize::doubly_indirect_block(&self.layout.geometry);
        self.data_block(self.layout.placement.doubly_indirect, &block)
    }

    fn journal(&mut self) -> Result<(), WriteError> {
        let Some((start, blocks)) = self.layout.placement.journal else {
            return Ok(());
        };
        self.data_block(start, &journal::superblock(blocks))?;
        let (extents, places) = self.layout.journal_extents();
        self.extent_tree(journal::INODE, &extents, &places)
    }

    fn folders(&mut self) -> Result<(), WriteError> {
        let (layout, index) = (self.layout, self.index);
        let hash_seed = Seed::new(&layout.options.hash_seed);
        for slot in (0..index.len()).filter(|slot| index.node(*slot).is_dir()) {
            let packed = Packed::new(index, slot, hash_seed).map_err(|_| WriteError::OtherTree)?;
            if packed.blocks() != layout.data_blocks(slot) {
                return Err(WriteError::OtherTree);
            }
            let extents = layout.extents(slot);
            let mut numbers = extents.iter().flat_map(|extent| extent.start..extent.start + extent.blocks);
            let seed = inode::checksum_seed(self.checksum_seed, inode_number(slot));
            packed.write(index, slot, seed, &mut |block| match numbers.next() {
                Some(number) => self.data_block(number, block),
                None => Err(WriteError::OtherTree),
            })?;
            self.slot_extent_tree(slot, &extents)?;
        }
        Ok(())
    }

    fn xattr_blocks(&mut self) -> Result<(), WriteError> {
        let layout = self.layout;
        for (shared, number) in layout.shapes.xattr_blocks.iter().zip(&layout.placement.xattr_blocks) {
            let stored = xattr::store(&self.index.node(shared.slot).meta.xattrs).map_err(|_| WriteError::OtherTree)?;
            let mut block = stored.block.ok_or(WriteError::OtherTree)?;
            xattr::seal(&mut block, shared.sharers, *number, self.checksum_seed);
            self.data_block(*number, &block)?;
        }
        Ok(())
    }

    fn contents(&mut self, blobs: &dyn Blobs) -> Result<(), WriteError> {
        for slot in 0..self.index.len() {
            match &self.index.node(slot).kind {
                Kind::File(content) => self.content(slot, content, blobs)?,
                Kind::Symlink(target) if target.len() > shape::SHORT_TARGET_LIMIT => {
                    self.content(slot, &Content::Inline(target.clone()), blobs)?;
                }
                _ => {}
            }
        }
        Ok(())
    }

    fn content(&mut self, slot: Slot, content: &Content, blobs: &dyn Blobs) -> Result<(), WriteError> {
        // A layout without holes covers the file exactly; with holes, what is not covered must turn out to be zero.
        let has_holes = self.layout.shapes.segments.contains_key(&slot);
        if !has_holes && u64::from(self.layout.data_blocks(slot)) != blocks_of(content.size_bytes()) {
            return Err(WriteError::OtherTree);
        }
        if content.size_bytes() == 0 {
            return Ok(());
        }
        let extents = self.layout.extents(slot);
        let named = |source| WriteError::Content { path: self.index.path(slot).clone(), source };
        let mut source = Source::open(blobs, content).map_err(named)?;
        for extent in &extents {
            source.skip_hole(u64::from(extent.logical) * BLOCK_BYTES as u64).map_err(named)?;
            seek(&mut self.stream, &mut self.tables, extent.start)?;
            let limit_bytes = u64::from(extent.blocks) * BLOCK_BYTES as u64;
            source.copy(limit_bytes, &mut self.stream).map_err(WriteError::Sink)?.map_err(named)?;
        }
        source.finish().map_err(named)?;
        self.slot_extent_tree(slot, &extents)
    }

    fn finish(mut self) -> Result<(), WriteError> {
        self.tables.write_all(&mut self.stream).and_then(|()| self.stream.flush()).map_err(WriteError::Sink)
    }

    fn slot_extent_tree(&mut self, slot: Slot, extents: &[Extent]) -> Result<(), WriteError> {
        self.extent_tree(inode_number(slot), extents, &self.layout.tree_places(slot, extents.len()))
    }

    /// Writes the blocks of an extent tree, if it has any.
    fn extent_tree(&mut self, inode: u32, extents: &[Extent], places: &[u32]) -> Result<(), WriteError> {
        if places.is_empty() {
            return Ok(());
        }
        let (_, blocks) = extents::build(extents, places, inode::checksum_seed(self.checksum_seed, inode));
        places.iter().zip(&blocks).try_for_each(|(number, block)| self.data_block(*number, block))
    }

    fn data_block(&mut self, number: u32, block: &Block) -> Result<(), WriteError> {
        seek(&mut self.stream, &mut self.tables, number)?;
        self.stream.put(block).map_err(WriteError::Sink)
    }
}

/// Continues at this data block, behind the tables that stand before it.
fn seek(stream: &mut Stream<'_>, tables: &mut Tables<'_>, block: u32) -> Result<(), WriteError> {
    tables.write_before(block, stream).and_then(|()| stream.seek(block)).map_err(WriteError::Sink)
}
