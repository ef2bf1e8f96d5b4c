//! The file system that scripts see: a tree with paths resolved as the kernel does it, every change journaled.
//! No permission is checked, since scripts run as root; `/proc` and `/sys` are as empty as the tree has them.

use std::fmt;
use std::sync::Arc;

use tree::{Blobs, Content, Kind, Meta, Node, NodeId, Tree, TreePath};

use crate::journal::Changes;

/// How many symbolic links a path may lead through; the kernel's own limit (path_resolution(7)).
const LINKS: u32 = 40;

/// Why a path cannot be used, as the kernel would say it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of errno(3), spelled out")]
pub enum Errno {
    NoEntry,
    NotDir,
    IsDir,
    Exists,
    Loop,
    NotEmpty,
    Invalid,
    TooLong,
    NoDevice,
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NoEntry => "No such file or directory",
            Self::NotDir => "Not a directory",
            Self::IsDir => "Is a directory",
            Self::Exists => "File exists",
            Self::Loop => "Too many levels of symbolic links",
            Self::NotEmpty => "Directory not empty",
            Self::Invalid => "Invalid argument",
            Self::TooLong => "File name too long",
            Self::NoDevice => "No such device or address",
        })
    }
}

/// A tree as a script sees it. Changes made here can be undone.
pub struct Fs<'t> {
    tree: &'t mut Tree,
    blobs: &'t dyn Blobs,
    pub(crate) changes: Changes,
    pub(crate) mtime_secs: i64,
    pub(crate) file_limit_bytes: u64,
}

impl<'t> Fs<'t> {
    pub(crate) fn new(tree: &'t mut Tree, blobs: &'t dyn Blobs, mtime_secs: i64, file_limit_bytes: u64) -> Self {
        Self { tree, blobs, changes: Changes::default(), mtime_secs, file_limit_bytes }
    }

    pub(crate) fn undo(self) {
        self.changes.undo(self.tree);
    }

    /// The tree itself, to look at.
    pub fn tree(&self) -> &Tree {
        self.tree
    }

    /// The entry at a resolved path.
    pub fn node(&self, path: &TreePath) -> Option<&Node> {
        self.tree.get(path)
    }

    /// The identity of the entry at a resolved path; equal for hard links.
    pub fn id(&self, path: &TreePath) -> Option<NodeId> {
        self.tree.id(path)
    }

    /// Whether a folder stands at a resolved path.
    pub fn is_dir(&self, path: &TreePath) -> bool {
        self.node(path).is_some_and(Node::is_dir)
    }

    /// The path of an entry that exists, with every link followed.
    ///
    /// # Errors
    /// As the kernel has it.
    pub fn resolve(&self, cwd: &TreePath, path: &[u8]) -> Result<TreePath, Errno> {
        self.existing(self.walk(cwd, path, true)?)
    }

    /// The path of an entry that exists; a link at its end is not followed.
    ///
    /// # Errors
    /// As the kernel has it.
    pub fn resolve_link(&self, cwd: &TreePath, path: &[u8]) -> Result<TreePath, Errno> {
        self.existing(self.walk(cwd, path, false)?)
    }

    /// The path where an entry stands or could be made; links at its end are followed on demand, also dangling ones.
    ///
    /// # Errors
    /// As the kernel has it, when the folder above is missing.
    pub fn place(&self, cwd: &TreePath, path: &[u8], follow: bool) -> Result<TreePath, Errno> {
        self.walk(cwd, path, follow)
    }

    fn existing(&self, path: TreePath) -> Result<TreePath, Errno> {
        if self.node(&path).is_some() { Ok(path) } else { Err(Errno::NoEntry) }
    }

    fn walk(&self, cwd: &TreePath, path: &[u8], follow: bool) -> Result<TreePath, Errno> {
        if path.is_empty() {
            return Err(Errno::NoEntry);
        }
        let needs_dir = path.ends_with(b"/") || path.ends_with(b"/.");
        let mut here = if path.starts_with(b"/") { TreePath::root() } else { cwd.clone() };
        let mut todo = parts_from_the_end(path);
        let mut links = 0;
        while let Some(part) = todo.pop() {
            match self.node(&here) {
                None => return Err(Errno::NoEntry),
                Some(node) if !node.is_dir() => return Err(Errno::NotDir),
                Some(_) => {}
            }
            if part == b".." {
                here = here.parent().unwrap_or_else(TreePath::root);
                continue;
            }
            let next = here.join(&part).map_err(|_| Errno::TooLong)?;
            match self.node(&next).map(|node| &node.kind) {
                None if todo.is_empty() => return Ok(next),
                None => return Err(Errno::NoEntry),
                Some(Kind::Symlink(target)) if follow || needs_dir || !todo.is_empty() => {
                    links += 1;
                    if links > LINKS {
                        return Err(Errno::Loop);
                    }
                    if target.is_empty() {
                        return Err(Errno::NoEntry);
                    }
                    if target.starts_with(b"/") {
                        here = TreePath::root();
                    }
                    todo.extend(parts_from_the_end(target));
                }
                Some(_) => here = next,
            }
        }
        match self.node(&here) {
            Some(node) if needs_dir && !node.is_dir() => Err(Errno::NotDir),
            _ => Ok(here),
        }
    }

    /// The bytes of the regular file at a resolved path; `Err` names what a store cannot give.
    pub(crate) fn read(&self, path: &TreePath) -> Result<Result<Arc<[u8]>, Errno>, String> {
        match self.node(path).map(|node| &node.kind) {
            None => Ok(Err(Errno::NoEntry)),
            Some(Kind::Dir) => Ok(Err(Errno::IsDir)),
            Some(Kind::File(Content::Inline(bytes))) => Ok(Ok(bytes.clone())),
            Some(Kind::File(content)) => match self.blobs.bytes(content, self.file_limit_bytes) {
                Ok(bytes) => Ok(Ok(bytes.into())),
                Err(error) => Err(format!("the content of {path}: {error}")),
            },
            Some(_) => Err(format!("reading the special file {path}")),
        }
    }

    /// Puts an entry at a place, instead of what stood there.
    ///
    /// # Errors
    /// When a folder stands there, or none above.
    pub fn insert(&mut self, path: &TreePath, node: Node) -> Result<(), Errno> {
        self.make_room(path)?;
        if self.changes.insert(self.tree, path, node) { Ok(()) } else { Err(Errno::NotDir) }
    }

    /// Puts an entry of `root:root` with this mode, as modified at the epoch.
    ///
    /// # Errors
    /// As [`Fs::insert`].
    pub fn create(&mut self, path: &TreePath, kind: Kind, mode: u16) -> Result<(), Errno> {
        let meta = Meta { mtime_secs: self.mtime_secs, ..Meta::root(mode) };
        self.insert(path, Node { kind, meta })
    }

    /// Gives a file these bytes; it keeps its metadata, or is made with this mode.
    ///
    /// # Errors
    /// When a folder stands there, or none above.
    pub fn write(&mut self, path: &TreePath, bytes: Vec<u8>, mode: u16) -> Result<(), Errno> {
        let mtime_secs = self.mtime_secs;
        match self.node(path).map(|node| &node.kind) {
            None => self.create(path, Kind::File(Content::inline(bytes)), mode),
            Some(Kind::Dir) => Err(Errno::IsDir),
            Some(Kind::File(_)) => {
                self.change(path, |node| {
                    node.kind = Kind::File(Content::inline(bytes));
                    node.meta.mtime_secs = mtime_secs;
                });
                Ok(())
            }
            Some(_) => Err(Errno::Invalid),
        }
    }

    /// Changes the metadata or the content of an entry; a folder stays one.
    pub fn change(&mut self, path: &TreePath, change: impl FnOnce(&mut Node)) {
        self.changes.overwrite(self.tree, path, change);
    }

    /// Removes an entry and all below it.
    pub fn remove(&mut self, path: &TreePath) {
        self.changes.remove(self.tree, path);
    }

    /// Gives a file one more name.
    ///
    /// # Errors
    /// When something stands there, or `existing` is a folder.
    pub fn hard_link(&mut self, existing: &TreePath, path: &TreePath) -> Result<(), Errno> {
        if self.node(path).is_some() {
            return Err(Errno::Exists);
        }
        if self.changes.hard_link(self.tree, existing, path) { Ok(()) } else { Err(Errno::Invalid) }
    }

    /// Moves an entry with all below it, instead of what stood there, as rename(2).
    ///
    /// # Errors
    /// As rename(2).
    pub fn rename(&mut self, from: &TreePath, to: &TreePath) -> Result<(), Errno> {
        if from == to || self.id(from) == self.id(to) {
            return Ok(());
        }
        if to.starts_with(from) || from.is_root() {
            return Err(Errno::Invalid);
        }
        match (self.is_dir(from), self.node(to).map(Node::is_dir)) {
            (_, None) | (false, Some(false)) => {}
            (true, Some(false)) => return Err(Errno::NotDir),
            (false, Some(true)) => return Err(Errno::IsDir),
            (true, Some(true)) if self.children(to).is_empty() => {}
            (true, Some(true)) => return Err(Errno::NotEmpty),
        }
        if self.node(to).is_some() {
            self.remove(to);
        }
        let names: Vec<TreePath> = self.tree.subtree(from).map(|(path, _, _)| path.clone()).collect();
        for old in &names {
            let new = to.join(&old.as_bytes()[from.as_bytes().len()..]).map_err(|_| Errno::TooLong)?;
            match self.node(old) {
                Some(node) if node.is_dir() => {
                    let node = node.clone();
                    self.insert(&new, node)?;
                }
                Some(_) => self.hard_link(old, &new)?,
                None => {}
            }
        }
        self.remove(from);
        Ok(())
    }

    /// The names of the members of a folder, sorted bytewise.
    pub fn children(&self, folder: &TreePath) -> Vec<Vec<u8>> {
        let mut names: Vec<_> = self.tree.children(folder).map(|(path, _)| path.name().to_vec()).collect();
        names.sort();
        names
    }

    fn make_room(&mut self, path: &TreePath) -> Result<(), Errno> {
        match path.parent().map(|parent| self.node(&parent).map(Node::is_dir)) {
            Some(None) => return Err(Errno::NoEntry),
            Some(Some(false)) => return Err(Errno::NotDir),
            _ => {}
        }
        match self.node(path) {
            Some(node) if node.is_dir() => Err(Errno::IsDir),
            Some(_) => {
                self.remove(path);
                Ok(())
            }
            None => Ok(()),
        }
    }
}

fn parts_from_the_end(path: &[u8]) -> Vec<Vec<u8>> {
    path.rsplit(|&byte| byte == b'/').filter(|part| !part.is_empty() && *part != b".").map(<[u8]>::to_vec).collect()
}
