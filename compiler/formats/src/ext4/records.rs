//! What the inode table says: one record for each entry, for the journal and for the resize inode.

use tree::{Kind, Node};

use super::extents::{self, Extent};
use super::index::{Index, Slot, slot_of};
use super::inode::{self, Inode, mode};
use super::layout::Layout;
use super::superblock::{self, JournalCopy};
use super::{BLOCK_BYTES, INODE_BYTES, directory, journal, resize, shape, xattr};

/// Links of a folder with more than the kernel's limit: "not counted" (`dir_nlink`).
const UNCOUNTED_LINKS: u16 = 1;

/// Makes inode records. The tree is the one that was planned.
pub struct Records<'w> {
    layout: &'w Layout,
    index: &'w Index<'w>,
    /// The seed of all metadata checksums of the image.
    pub checksum_seed: u32,
}

impl<'w> Records<'w> {
    /// Records of this layout and tree.
    pub fn new(layout: &'w Layout, index: &'w Index<'w>) -> Self {
        Self { layout, index, checksum_seed: superblock::checksum_seed(layout) }
    }

    /// The record of the inode with this number; zeros for those that are reserved and have no use.
    pub fn record(&self, number: u32) -> [u8; INODE_BYTES] {
        let geometry = &self.layout.geometry;
        let inode = match (number, slot_of(number)) {
            (resize::INODE, _) if geometry.reserved_descriptor_blocks > 0 => {
                resize::inode(geometry, self.layout.placement.doubly_indirect, self.epoch())
            }
            (journal::INODE, _) => match self.journal() {
                Some(inode) => inode,
                None => return [0; INODE_BYTES],
            },
            (_, Some(slot)) => self.entry(slot),
            _ => return [0; INODE_BYTES],
        };
        inode.encode(inode::checksum_seed(self.checksum_seed, number))
    }

    /// What the superblock repeats of the journal's inode.
    pub fn journal_copy(&self) -> Option<JournalCopy> {
        self.journal().map(|inode| (inode.map, inode.size_bytes))
    }

    fn journal(&self) -> Option<Inode> {
        let (_, blocks) = self.layout.placement.journal?;
        let (extents, places) = self.layout.journal_extents();
        let seed = inode::checksum_seed(self.checksum_seed, journal::INODE);
        Some(Inode {
            mode: mode::FILE | 0o600,
            uid: 0,
            gid: 0,
            size_bytes: u64::from(blocks) * BLOCK_BYTES as u64,
            time_secs: self.epoch(),
            links: 1,
            blocks: u64::from(blocks) + places.len() as u64,
            flags: inode::EXTENTS,
            map: extents::build(&extents, &places, seed).0,
            xattr_block: 0,
            tail: [0; xattr::TAIL_BYTES],
        })
    }

    fn entry(&self, slot: Slot) -> Inode {
        let layout = self.layout;
        let node = self.index.node(slot);
        let extents = layout.extents(slot);
        let data_blocks = layout.data_blocks(slot);
        let tree_blocks = extents::tree_blocks(extents.len());
        let xattr_block = layout.xattr_block(slot);
        let (flags, map) = self.map(slot, node, &extents);
        Inode {
            mode: type_bits(&node.kind) | node.meta.mode & 0o7777,
            uid: node.meta.uid,
            gid: node.meta.gid,
            size_bytes: match &node.kind {
                Kind::Dir => u64::from(data_blocks) * BLOCK_BYTES as u64,
                Kind::File(content) => content.size_bytes(),
                Kind::Symlink(target) => target.len() as u64,
                _ => 0,
            },
            time_secs: node.meta.mtime_secs,
            links: self.links(slot, node),
            blocks: u64::from(data_blocks) + u64::from(tree_blocks) + u64::from(xattr_block != 0),
            flags,
            map,
            xattr_block,
            // The plan stored the same attributes without error.
            tail: xattr::store(&node.meta.xattrs).map_or([0; xattr::TAIL_BYTES], |stored| stored.tail),
        }
    }

    /// The flags of an inode, and what its map holds instead of, or as, an extent tree.
    fn map(&self, slot: Slot, node: &Node, extents: &[Extent]) -> (u32, [u8; 60]) {
        match &node.kind {
            Kind::CharDevice { major, minor } | Kind::BlockDevice { major, minor } => {
                (0, inode::device_map(*major, *minor).unwrap_or([0; 60]))
            }
            Kind::Fifo | Kind::Socket => (0, [0; 60]),
            Kind::Symlink(target) if target.len() <= shape::SHORT_TARGET_LIMIT => {
                let mut map = [0; 60];
                map[..target.len()].copy_from_slice(target);
                (0, map)
            }
            Kind::Symlink(_) | Kind::File(_) | Kind::Dir => {
                let seed = inode::checksum_seed(self.checksum_seed, super::index::inode_number(slot));
                let map = extents::build(extents, &self.layout.tree_places(slot, extents.len()), seed).0;
                let is_indexed = node.is_dir() && directory::is_indexed(self.index, slot);
                (inode::EXTENTS | if is_indexed { inode::INDEX } else { 0 }, map)
            }
        }
    }

    fn links(&self, slot: Slot, node: &Node) -> u16 {
        let links = self.index.links(slot);
        if node.is_dir() && links > shape::LINKS_LIMIT { UNCOUNTED_LINKS } else { links as u16 }
    }

    fn epoch(&self) -> i64 {
        // The plan refused an epoch that does not fit.
        self.layout.options.epoch_secs.cast_signed()
    }
}

fn type_bits(kind: &Kind) -> u16 {
    match kind {
        Kind::Dir => mode::DIR,
        Kind::File(_) => mode::FILE,
        Kind::Symlink(_) => mode::SYMLINK,
        Kind::CharDevice { .. } => mode::CHAR,
        Kind::BlockDevice { .. } => mode::BLOCK,
        Kind::Fifo => mode::FIFO,
        Kind::Socket => mode::SOCKET,
    }
}
