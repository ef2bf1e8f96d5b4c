//! What each entry of a tree needs, wherever it will stand: blocks of data, holes, a block of extended attributes.
//!
//! Everything that ext4 cannot hold is refused here, so that later steps need not look again.

use std::collections::BTreeMap;
use std::ops::Range;

use tree::{Content, Digest, Kind, Node};

use super::blocks_of;
use super::directory::Packed;
use super::dirhash::Seed;
use super::extents::Segment;
use super::index::{Index, Slot};
use super::options::Options;
use super::plan::PlanError;
use super::{inode, xattr};

/// Names that one file can have (the kernel's `EXT4_LINK_MAX`).
pub const LINKS_LIMIT: u32 = 65_000;

/// Bytes of the longest target of a symbolic link: it fits in a block with an end mark, and in Linux's `PATH_MAX`.
const TARGET_LIMIT: usize = 4095;

/// Bytes of a target that fits in the inode, with an end mark.
pub const SHORT_TARGET_LIMIT: usize = 59;

/// A block of extended attributes.
#[derive(Debug, Clone, Copy)]
pub struct XattrBlock {
    /// One of the entries that have these attributes.
    pub slot: Slot,
    /// How many entries share the block.
    pub sharers: u32,
}

/// The needs of all entries, by slot.
#[derive(Debug, Clone, Default)]
pub struct Shapes {
    /// Blocks of data of each entry.
    pub data_blocks: Vec<u32>,
    /// The segments of files with holes. All other files are one segment.
    pub segments: BTreeMap<Slot, Vec<Segment>>,
    /// The blocks of extended attributes.
    pub xattr_blocks: Vec<XattrBlock>,
    /// Which of them an entry uses.
    pub xattr_block_of: BTreeMap<Slot, u32>,
}

impl Shapes {
    /// Measures all entries.
    ///
    /// # Errors
    /// Names the first entry that ext4 cannot hold.
    pub fn new(index: &Index<'_>, options: &Options) -> Result<Self, PlanError> {
        let mut shapes = Self::default();
        let mut known_blocks = BTreeMap::new();
        let seed = Seed::new(&options.hash_seed);
        if !index.node(1).is_dir() {
            return Err(PlanError::LostAndFound);
        }
        for slot in 0..index.len() {
            let node = index.node(slot);
            check(index, slot, node)?;
            let blocks = match &node.kind {
                Kind::Dir => Packed::new(index, slot, seed)
                    .map_err(|_| PlanError::TooManyNames { path: index.path(slot).clone() })?
                    .blocks(),
                Kind::File(content) => shapes.file_blocks(index, slot, content, options)?,
                Kind::Symlink(target) => u32::from(target.len() > SHORT_TARGET_LIMIT),
                _ => 0,
            };
            shapes.data_blocks.push(blocks);
            shapes.add_xattrs(index, slot, node, &mut known_blocks)?;
        }
        Ok(shapes)
    }

    /// The segments of this entry's data.
    pub fn segments(&self, slot: Slot) -> Vec<Segment> {
        match self.segments.get(&slot) {
            Some(segments) => segments.clone(),
            None => vec![Segment { logical: 0, blocks: self.data_blocks.get(slot as usize).copied().unwrap_or(0) }],
        }
    }

    fn file_blocks(
        &mut self,
        index: &Index<'_>,
        slot: Slot,
        content: &Content,
        options: &Options,
    ) -> Result<u32, PlanError> {
        let path = || index.path(slot).clone();
        let size_bytes = content.size_bytes();
        // The number after a file's last block must fit in 32 bits as well.
        let blocks = u32::try_from(blocks_of(size_bytes))
            .ok()
            .filter(|blocks| *blocks < u32::MAX)
            .ok_or_else(|| PlanError::FileTooLarge { path: path(), size_bytes })?;
        if options.data_ranges.is_empty() {
            return Ok(blocks);
        }
        let digest = content.digest();
        let Some(ranges) = options.data_ranges.get(&digest) else {
            return Ok(blocks);
        };
        let segments = segments(ranges, size_bytes).ok_or_else(|| PlanError::Ranges { path: path(), digest })?;
        let blocks = segments.iter().map(|segment| segment.blocks).sum();
        self.segments.insert(slot, segments);
        Ok(blocks)
    }

    fn add_xattrs(
        &mut self,
        index: &Index<'_>,
        slot: Slot,
        node: &Node,
        known: &mut BTreeMap<Digest, u32>,
    ) -> Result<(), PlanError> {
        let stored = xattr::store(&node.meta.xattrs).map_err(|(name, source)| PlanError::Xattr {
            path: index.path(slot).clone(),
            name: String::from_utf8_lossy(&name).into_owned(),
            source,
        })?;
        let Some(block) = stored.block else {
            return Ok(());
        };
        let next = self.xattr_blocks.len() as u32;
        let at = known.entry(Digest::of(&block[..])).or_insert(next);
        match self.xattr_blocks.get_mut(*at as usize) {
            Some(shared) if shared.sharers < xattr::SHARERS_LIMIT => shared.sharers += 1,
            _ => {
                *at = next;
                self.xattr_blocks.push(XattrBlock { slot, sharers: 1 });
            }
        }
        self.xattr_block_of.insert(slot, *at);
        Ok(())
    }
}

/// Refuses what an inode has no field for.
fn check(index: &Index<'_>, slot: Slot, node: &Node) -> Result<(), PlanError> {
    let path = || index.path(slot).clone();
    let secs = node.meta.mtime_secs;
    if inode::time_words(secs).is_none() {
        return Err(PlanError::Time { path: path(), secs });
    }
    let links = index.links(slot);
    if links > LINKS_LIMIT && !node.is_dir() {
        return Err(PlanError::TooManyLinks { path: path(), links });
    }
    match &node.kind {
        Kind::Symlink(target) if target.is_empty() || target.len() > TARGET_LIMIT || target.contains(&0) => {
            Err(PlanError::Target { path: path() })
        }
        Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor }
            if inode::device_map(*major, *minor).is_none() =>
        {
            Err(PlanError::Device { path: path(), major: *major, minor: *minor })
        }
        _ => Ok(()),
    }
}

/// The whole blocks that these byte ranges touch, joined where they meet; `None` if they are out of order or size.
fn segments(ranges: &[Range<u64>], size_bytes: u64) -> Option<Vec<Segment>> {
    let mut segments: Vec<Segment> = Vec::new();
    let mut end_bytes = 0;
    for range in ranges {
        if range.start < end_bytes || range.end < range.start || range.end > size_bytes {
            return None;
        }
        end_bytes = range.end;
        if range.is_empty() {
            continue;
        }
        let start = u32::try_from(blocks_of(range.start + 1) - 1).ok()?;
        let end = u32::try_from(blocks_of(range.end)).ok()?;
        match segments.last_mut() {
            Some(last) if start <= last.logical + last.blocks => last.blocks = end - last.logical,
            _ => segments.push(Segment { logical: start, blocks: end - start }),
        }
    }
    Some(segments)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_become_whole_blocks() {
        let segment = |logical, blocks| Segment { logical, blocks };
        assert_eq!(
            segments(&[0..1, 4095..4097, 9000..9000, 12288..12289], 20000).unwrap(),
            [segment(0, 2), segment(3, 1)]
        );
        assert_eq!(segments(&[], 1 << 40).unwrap(), []);
        assert!(segments(&[5..9, 3..4], 10).is_none());
        assert!(segments(std::slice::from_ref(&(5..11)), 10).is_none());
    }
}
