//! The tar archive of a package's files to a [`Tree`]: for every family whose packages hold one.
//!
//! Entries come in one by one, contents go to a [`ContentSink`] as they are met. Nothing outside the tree's root can be
//! named, and nothing is written through a link.

use std::collections::BTreeSet;
use std::io::{self, Read};

use tree::{Content, InsertError, Kind, Node, PathError, Tree, TreePath};

use crate::tar::{Entry, EntryKind, TarError};

/// Where the contents of regular files go.
pub trait ContentSink {
    /// Takes one content, all `size_bytes` of it, and says how the tree names it.
    ///
    /// # Errors
    /// When the content cannot be read or kept.
    fn take(&mut self, size_bytes: u64, content: &mut dyn Read) -> io::Result<Content>;
}

/// Keeps every content inline; for small packages.
pub struct Inline;

impl ContentSink for Inline {
    fn take(&mut self, _: u64, content: &mut dyn Read) -> io::Result<Content> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        Ok(Content::inline(bytes))
    }
}

/// Why the files of a package cannot be taken.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The archive.
    #[error("decode the data archive")]
    Tar(#[source] TarError),
    /// An entry whose name leads out of the root or cannot be stored.
    #[error("decode the data archive: the entry `{name}` is refused")]
    Path {
        /// The name, escaped.
        name: String,
        /// What is wrong with it.
        #[source]
        error: PathError,
    },
    /// An entry whose name starts at the root of the host.
    #[error("decode the data archive: the name of the entry `{0}` is absolute")]
    Absolute(String),
    /// Two entries of one name.
    #[error("decode the data archive: two entries are named {0}")]
    Duplicate(TreePath),
    /// An entry below something that is no folder, or a hard link to nothing.
    #[error("decode the data archive")]
    Place(#[from] InsertError),
    /// The content of an entry cannot be read or kept.
    #[error("decode the data archive: the content of {0}")]
    Content(TreePath, #[source] io::Error),
}

/// The entries taken so far.
#[derive(Debug)]
pub(crate) struct Unpacking {
    /// Folders that no entry brought are there as `root:root` with mode 0755.
    pub(crate) tree: Tree,
    /// Folders that stand there without an entry of their own, which may still come.
    implied: BTreeSet<TreePath>,
}

impl Default for Unpacking {
    fn default() -> Self {
        Self { tree: Tree::default(), implied: BTreeSet::from([TreePath::root()]) }
    }
}

impl Unpacking {
    /// Takes one entry; `content` gives its content. Says where it stands.
    ///
    /// # Errors
    /// When it cannot stand there, or the content cannot be read or kept.
    pub(crate) fn take(
        &mut self,
        entry: &Entry,
        content: &mut dyn Read,
        sink: &mut dyn ContentSink,
    ) -> Result<TreePath, UnpackError> {
        let path = entry_path(&entry.name)?;
        if self.tree.get(&path).is_some() && !self.implied.remove(&path) {
            return Err(UnpackError::Duplicate(path));
        }
        self.imply_parents(&path)?;
        match &entry.kind {
            EntryKind::HardLink(first) => self.tree.hard_link(&entry_path(first)?, path.clone())?,
            _ => {
                let kind = content_kind(entry, content, sink);
                let kind = kind.map_err(|error| UnpackError::Content(path.clone(), error))?;
                let node = Node { kind, meta: entry.meta.clone() };
                if path.is_root() && !node.is_dir() {
                    return Err(UnpackError::Duplicate(path));
                }
                self.tree.insert(path.clone(), node)?;
            }
        }
        Ok(path)
    }

    /// Makes the folders above an entry that have not come yet.
    fn imply_parents(&mut self, path: &TreePath) -> Result<(), UnpackError> {
        let mut missing = Vec::new();
        let mut above = path.parent();
        while let Some(folder) = above.filter(|folder| self.tree.get(folder).is_none()) {
            above = folder.parent();
            missing.push(folder);
        }
        for folder in missing.into_iter().rev() {
            self.tree.insert(folder.clone(), Node::dir(0o755))?;
            self.implied.insert(folder);
        }
        Ok(())
    }
}

/// What an entry that is no hard link is in a tree, its content taken.
///
/// # Errors
/// When the content cannot be read or kept.
pub(crate) fn content_kind(entry: &Entry, content: &mut dyn Read, sink: &mut dyn ContentSink) -> io::Result<Kind> {
    Ok(match &entry.kind {
        EntryKind::File | EntryKind::HardLink(_) => Kind::File(sink.take(entry.size_bytes, content)?),
        EntryKind::Symlink(target) => Kind::Symlink(target[..].into()),
        EntryKind::Dir => Kind::Dir,
        EntryKind::CharDevice(major, minor) => Kind::CharDevice { major: *major, minor: *minor },
        EntryKind::BlockDevice(major, minor) => Kind::BlockDevice { major: *major, minor: *minor },
        EntryKind::Fifo => Kind::Fifo,
    })
}

fn entry_path(name: &[u8]) -> Result<TreePath, UnpackError> {
    if name.starts_with(b"/") {
        return Err(UnpackError::Absolute(shown(name)));
    }
    TreePath::new(name).map_err(|error| UnpackError::Path { name: shown(name), error })
}

/// A foreign name as it may be shown: escaped and cut.
pub(crate) fn shown(name: &[u8]) -> String {
    let name = name.get(..200).unwrap_or(name);
    name.escape_ascii().to_string()
}
