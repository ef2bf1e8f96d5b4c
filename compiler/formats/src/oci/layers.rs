//! Layers, lowest first, to the file system that they make together (OCI image specification 1.1, `layer.md`).
//!
//! A whiteout hides what lower layers put at a name and never what its own layer puts there, wherever in the layer it
//! stands. Of entries of one name in one layer the last counts. Nothing is written through a link: an entry below
//! something that is no folder is refused, as is every name that leads out of the root.

use std::collections::BTreeSet;
use std::io::{self, Read};

use tree::{InsertError, Node, PathError, Tree, TreePath};

use crate::deb::ContentSink;
use crate::tar::{Entry, EntryKind, Limits, Reader, TarError};
use crate::unpack::{content_kind, shown};

/// The front of a whiteout's name.
const WHITEOUT: &[u8] = b".wh.";

/// The name that empties a folder of all that lower layers put there.
const OPAQUE: &[u8] = b".wh..wh..opq";

/// The front of names that a union file system used for itself; they say nothing of the image.
const INTERNAL: &[u8] = b".wh..wh.";

/// Layers of one image: overlay file systems stack 128 at most, some builders' own forms a few hundred.
const MAX_LAYERS: u32 = 512;

/// Entries of the whole file system: a few times what the largest images hold, and a few hundred MiB of memory.
const MAX_NODES: usize = 1 << 22;

/// Why a layer cannot be applied.
#[derive(Debug, thiserror::Error)]
pub enum LayerError {
    /// The archive.
    #[error("read the layer")]
    Tar(#[from] TarError),
    /// A name that leads out of the root or cannot be stored.
    #[error("read the layer: the entry `{name}` is refused")]
    Path {
        /// The name, escaped.
        name: String,
        /// What is wrong with it.
        #[source]
        error: PathError,
    },
    /// A whiteout that names no entry of its folder.
    #[error("read the layer: the whiteout `{0}` hides nothing that can be named")]
    Whiteout(String),
    /// An entry below a link or a file, a hard link to nothing, or a root that is no folder.
    #[error("read the layer: place {path}")]
    Place {
        /// Where it should stand.
        path: TreePath,
        /// Why it cannot.
        #[source]
        error: InsertError,
    },
    /// The root of the image would be something else than a folder.
    #[error("read the layer: its root is no folder")]
    Root,
    /// The content of an entry cannot be read or kept.
    #[error("read the layer: the content of {0}")]
    Content(TreePath, #[source] io::Error),
    /// More of something than any image has.
    #[error("read the layer: the image has more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
}

/// The file system so far.
#[derive(Debug, Default)]
pub struct Layering {
    tree: Tree,
    layers: u32,
}

impl Layering {
    /// The file system of all layers that were applied. Folders that no layer brought an entry of are `root:root`, 0755.
    pub fn into_tree(self) -> Tree {
        self.tree
    }

    /// Applies the next layer, given as plain tar; contents go to `sink` as they are met.
    ///
    /// # Errors
    /// See [`LayerError`]; then this value is of no further use.
    pub fn apply(&mut self, layer: impl Read, limits: Limits, sink: &mut dyn ContentSink) -> Result<(), LayerError> {
        self.layers += 1;
        if self.layers > MAX_LAYERS {
            return Err(LayerError::Limit { what: "layers", limit: MAX_LAYERS.into() });
        }
        let mut reader = Reader::new(layer, limits);
        let mut own = Own::default();
        while let Some(entry) = reader.next_entry()? {
            self.take(&entry, &mut reader, sink, &mut own)?;
            if self.tree.len() > MAX_NODES {
                return Err(LayerError::Limit { what: "entries", limit: MAX_NODES as u64 });
            }
        }
        Ok(())
    }

    fn take(
        &mut self,
        entry: &Entry,
        content: &mut dyn Read,
        sink: &mut dyn ContentSink,
        own: &mut Own,
    ) -> Result<(), LayerError> {
        let path = entry_path(&entry.name)?;
        let folder = path.parent().unwrap_or_else(TreePath::root);
        if folder.parts().any(|part| part.starts_with(WHITEOUT)) {
            return Err(LayerError::Whiteout(shown(&entry.name)));
        }
        match path.name().strip_prefix(WHITEOUT) {
            _ if path.name() == OPAQUE => self.empty(&folder, own),
            _ if path.name().starts_with(INTERNAL) => {}
            Some(b"" | b"." | b"..") => return Err(LayerError::Whiteout(shown(&entry.name))),
            Some(name) => {
                let hidden = folder.join(name).map_err(|error| LayerError::Path { name: shown(&entry.name), error })?;
                self.hide(&hidden, own);
            }
            None => {
                self.put(entry, &path, content, sink)?;
                own.note(path);
            }
        }
        Ok(())
    }

    fn put(
        &mut self,
        entry: &Entry,
        path: &TreePath,
        content: &mut dyn Read,
        sink: &mut dyn ContentSink,
    ) -> Result<(), LayerError> {
        let place = |error| LayerError::Place { path: path.clone(), error };
        self.make_parents(path).map_err(place)?;
        if let EntryKind::HardLink(first) = &entry.kind {
            let first = entry_path(first)?;
            // What stands at the new name goes, unless it is the file itself.
            if self.tree.id(&first).is_some() && self.tree.id(&first) != self.tree.id(path) && !first.starts_with(path)
            {
                self.tree.remove(path);
            }
            return self.tree.hard_link(&first, path.clone()).map_err(place);
        }
        let kind = content_kind(entry, content, sink).map_err(|error| LayerError::Content(path.clone(), error))?;
        let mut node = Node { kind, meta: entry.meta.clone() };
        node.meta.xattrs.retain(|name, _| belongs_to_the_file(name));
        if !node.is_dir() {
            if path.is_root() {
                return Err(LayerError::Root);
            }
            self.tree.remove(path);
        }
        self.tree.insert(path.clone(), node).map_err(place)
    }

    fn make_parents(&mut self, path: &TreePath) -> Result<(), InsertError> {
        let mut missing = Vec::new();
        let mut above = path.parent();
        while let Some(folder) = above.filter(|folder| self.tree.get(folder).is_none()) {
            above = folder.parent();
            missing.push(folder);
        }
        missing.into_iter().rev().try_for_each(|folder| self.tree.insert(folder, Node::dir(0o755)))
    }

    /// Removes what lower layers have at a name; what this layer put there or below stays, with the folders above it.
    fn hide(&mut self, path: &TreePath, own: &mut Own) {
        if own.reaches(path) {
            self.empty(path, own);
        } else {
            self.tree.remove(path);
        }
    }

    /// The same for all members of a folder.
    fn empty(&mut self, folder: &TreePath, own: &mut Own) {
        if own.is_emptied(folder) {
            return;
        }
        let mut open = vec![folder.clone()];
        while let Some(folder) = open.pop() {
            if own.emptied.contains(&folder) {
                continue;
            }
            let members: Vec<TreePath> = self.tree.children(&folder).map(|(path, _)| path.clone()).collect();
            for member in members {
                if own.reaches(&member) {
                    open.push(member);
                } else {
                    self.tree.remove(&member);
                }
            }
        }
        own.emptied.insert(folder.clone());
    }
}

/// What one layer did so far.
#[derive(Default)]
struct Own {
    /// Its entries and the folders above them.
    reached: BTreeSet<TreePath>,
    /// Folders that hold nothing of lower layers any more, so that no work is done twice.
    emptied: BTreeSet<TreePath>,
}

impl Own {
    fn note(&mut self, path: TreePath) {
        let mut next = Some(path);
        while let Some(path) = next {
            next = path.parent().filter(|_| self.reached.insert(path));
        }
    }

    fn reaches(&self, path: &TreePath) -> bool {
        self.reached.contains(path)
    }

    fn is_emptied(&self, folder: &TreePath) -> bool {
        std::iter::successors(Some(folder.clone()), TreePath::parent).any(|folder| self.emptied.contains(&folder))
    }
}

/// Whether an extended attribute means something on another machine. Labels of a security policy, and what overlay and
/// trusted programs note for themselves, do not.
fn belongs_to_the_file(name: &[u8]) -> bool {
    let label = name == b"security.selinux" || name == b"security.evm" || name == b"security.ima";
    let overlay = name.starts_with(b"user.overlay.") || name.starts_with(b"user.containers.");
    let kept = name.starts_with(b"user.") || name.starts_with(b"security.") || name.starts_with(b"system.posix_acl_");
    kept && !label && !overlay
}

/// Names may begin with a slash, which stands for the root of the image.
fn entry_path(name: &[u8]) -> Result<TreePath, LayerError> {
    TreePath::new(name).map_err(|error| LayerError::Path { name: shown(name), error })
}
