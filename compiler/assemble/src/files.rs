//! Working with a tree the way a program inside would: paths through links, whole files, folders.
//!
//! Links are followed inside the tree only: an absolute target starts at its root, and `..` stops there.

use std::io;

use tree::{Blobs, Content, InsertError, Kind, Node, Tree, TreePath};

/// Why a path of the tree cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PathProblem {
    /// The path itself is malformed.
    #[error("the path is not allowed")]
    Bad(#[source] tree::PathError),
    /// A folder on the way is not a folder.
    #[error("{0} is not a folder")]
    NotDir(TreePath),
    /// Too many links were followed.
    #[error("too many symbolic links on the way")]
    Loop,
    /// There is nothing at the path.
    #[error("there is no such file")]
    Missing,
    /// The entry is not a regular file.
    #[error("it is not a regular file")]
    NotFile,
    /// The entry cannot be placed.
    #[error("it cannot be placed there")]
    Insert(#[source] tree::InsertError),
    /// The content cannot be read.
    #[error("its content cannot be read")]
    Content(#[source] io::Error),
}

/// As many links as Linux follows in one path before it answers `ELOOP`.
const MAX_LINKS: u32 = 40;

/// The largest file that a step reads whole: package databases and scripts stay far below.
const READ_LIMIT_BYTES: u64 = 256 << 20;

/// What [`Files`] works on: a tree, or the journal of an attempt over one.
pub trait Root {
    /// The tree as it is.
    fn tree(&self) -> &Tree;
    /// As [`Tree::insert`].
    ///
    /// # Errors
    /// As [`Tree::insert`].
    fn insert(&mut self, path: TreePath, node: Node) -> Result<(), InsertError>;
    /// As [`Tree::remove`].
    fn remove(&mut self, path: &TreePath) -> bool;
    /// Changes an entry in place, if there is one; a folder stays a folder.
    fn change(&mut self, path: &TreePath, change: &mut dyn FnMut(&mut Node));
    /// As [`Tree::hard_link`].
    ///
    /// # Errors
    /// As [`Tree::hard_link`].
    fn hard_link(&mut self, existing: &TreePath, path: TreePath) -> Result<(), InsertError>;
    /// The tree itself, to work on without a journal; `None` inside an attempt.
    fn as_tree(&mut self) -> Option<&mut Tree>;
}

impl Root for Tree {
    fn tree(&self) -> &Tree {
        self
    }

    fn insert(&mut self, path: TreePath, node: Node) -> Result<(), InsertError> {
        Tree::insert(self, path, node)
    }

    fn remove(&mut self, path: &TreePath) -> bool {
        Tree::remove(self, path)
    }

    fn change(&mut self, path: &TreePath, change: &mut dyn FnMut(&mut Node)) {
        self.get_mut(path).into_iter().for_each(change);
    }

    fn hard_link(&mut self, existing: &TreePath, path: TreePath) -> Result<(), InsertError> {
        Tree::hard_link(self, existing, path)
    }

    fn as_tree(&mut self) -> Option<&mut Tree> {
        Some(self)
    }
}

/// A tree at work, with the source of its contents and the time of what is written.
pub struct Files<'a> {
    /// The tree.
    pub root: &'a mut dyn Root,
    /// Where contents are read.
    pub blobs: &'a dyn Blobs,
    /// Modification time of everything written, in seconds since 1970.
    pub epoch_secs: i64,
}

impl Files<'_> {
    /// The tree as it is.
    pub fn tree(&self) -> &Tree {
        self.root.tree()
    }

    /// Gives the entry at a resolved path this owner.
    pub fn own(&mut self, path: &TreePath, uid: u32, gid: u32) {
        self.root.change(path, &mut |node| (node.meta.uid, node.meta.gid) = (uid, gid));
    }

    /// The canonical path that `path` names, links on the way followed; the last part need not exist.
    /// With `follow_last`, a link at the end is followed too.
    ///
    /// # Errors
    /// When a part on the way is missing or no folder, or links go in a circle.
    pub fn resolve(&self, path: impl AsRef<[u8]>, follow_last: bool) -> Result<TreePath, PathProblem> {
        resolve(self.tree(), path.as_ref(), follow_last)
    }

    /// The entry at a path, links followed; `None` when there is none.
    pub fn stat(&self, path: impl AsRef<[u8]>) -> Option<&Node> {
        self.resolve(path, true).ok().and_then(|path| self.tree().get(&path))
    }

    /// The entry at a path, a link at its end not followed; `None` when there is none.
    pub fn lstat(&self, path: impl AsRef<[u8]>) -> Option<&Node> {
        self.resolve(path, false).ok().and_then(|path| self.tree().get(&path))
    }

    /// Whether something is there, links followed.
    pub fn exists(&self, path: impl AsRef<[u8]>) -> bool {
        self.stat(path).is_some()
    }

    /// The bytes of a regular file, links followed.
    ///
    /// # Errors
    /// When it is missing, no regular file, over 256 MiB or cannot be read.
    pub fn read(&self, path: impl AsRef<[u8]>) -> Result<Vec<u8>, PathProblem> {
        match self.stat(path).map(|node| &node.kind) {
            None => Err(PathProblem::Missing),
            Some(Kind::File(content)) => self.blobs.bytes(content, READ_LIMIT_BYTES).map_err(PathProblem::Content),
            Some(_) => Err(PathProblem::NotFile),
        }
    }

    /// Some bytes of a regular file's content; fewer where it ends before.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn part(&self, content: &Content, offset_bytes: u64, count: usize) -> Result<Vec<u8>, PathProblem> {
        self.blobs.part(content, offset_bytes, count).map_err(PathProblem::Content)
    }

    /// The text of a file, empty when there is none; bytes that are not UTF-8 are replaced.
    ///
    /// # Errors
    /// As [`Files::read`], but for a missing file.
    pub fn read_text(&self, path: impl AsRef<[u8]>) -> Result<String, PathProblem> {
        match self.read(path) {
            Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Err(PathProblem::Missing) => Ok(String::new()),
            Err(problem) => Err(problem),
        }
    }

    /// Writes a file, links followed, folders made as needed. An existing file keeps its owner and mode.
    ///
    /// # Errors
    /// When it cannot be placed there.
    pub fn write(&mut self, path: impl AsRef<[u8]>, mode: u16, bytes: impl Into<Vec<u8>>) -> Result<(), PathProblem> {
        let place = self.place(path.as_ref(), true)?;
        let mut node = self.stamped(Node::file(mode, bytes));
        if let Some(old) = self.tree().get(&place).filter(|old| matches!(old.kind, Kind::File(_))) {
            (node.meta.mode, node.meta.uid, node.meta.gid) = (old.meta.mode, old.meta.uid, old.meta.gid);
        }
        self.root.insert(place, node).map_err(PathProblem::Insert)
    }

    /// Puts an entry at a path, a link at its end replaced and not followed, folders made as needed.
    ///
    /// # Errors
    /// When it cannot be placed there.
    pub fn put(&mut self, path: impl AsRef<[u8]>, node: Node) -> Result<TreePath, PathProblem> {
        let place = self.place(path.as_ref(), false)?;
        self.root.insert(place.clone(), node).map_err(PathProblem::Insert)?;
        Ok(place)
    }

    /// Makes a symbolic link, in place of what stands there.
    ///
    /// # Errors
    /// When it cannot be placed there.
    pub fn link(&mut self, path: impl AsRef<[u8]>, target: impl AsRef<[u8]>) -> Result<(), PathProblem> {
        let node = self.stamped(Node::symlink(target));
        self.put(path, node).map(drop)
    }

    /// Makes a folder and those above it where they are missing; an existing one stays as it is.
    ///
    /// # Errors
    /// When something else is in the way.
    pub fn make_dir(&mut self, path: impl AsRef<[u8]>, mode: u16) -> Result<TreePath, PathProblem> {
        let place = self.place(path.as_ref(), true)?;
        match self.tree().get(&place) {
            Some(node) if node.is_dir() => Ok(place),
            Some(_) => Err(PathProblem::NotDir(place)),
            None => {
                let node = self.stamped(Node::dir(mode));
                self.root.insert(place.clone(), node).map_err(PathProblem::Insert)?;
                Ok(place)
            }
        }
    }

    /// Removes an entry and all below it, a link at its end not followed; says whether there was one.
    pub fn remove(&mut self, path: impl AsRef<[u8]>) -> bool {
        match self.resolve(path, false) {
            Ok(path) => self.root.remove(&path),
            Err(_) => false,
        }
    }

    /// The target of a symbolic link; `None` when there is no link.
    pub fn read_link(&self, path: impl AsRef<[u8]>) -> Option<Vec<u8>> {
        match self.lstat(path).map(|node| &node.kind) {
            Some(Kind::Symlink(target)) => Some(target.to_vec()),
            _ => None,
        }
    }

    /// The names in a folder, sorted; none where there is no folder.
    pub fn names_in(&self, path: impl AsRef<[u8]>) -> Vec<String> {
        let Ok(folder) = self.resolve(path, true) else { return Vec::new() };
        self.tree().children(&folder).map(|(path, _)| String::from_utf8_lossy(path.name()).into_owned()).collect()
    }

    /// A node with the epoch as its time.
    pub fn stamped(&self, mut node: Node) -> Node {
        node.meta.mtime_secs = self.epoch_secs;
        node
    }

    /// Where an entry at `path` goes, with its folders made.
    fn place(&mut self, path: &[u8], follow_last: bool) -> Result<TreePath, PathProblem> {
        match self.resolve(path, follow_last) {
            Err(PathProblem::Missing) => {
                if let Some(end) = trim_slashes(path).iter().rposition(|&b| b == b'/').filter(|&end| end > 0) {
                    let parent = path.get(..end).unwrap_or_default().to_vec();
                    self.make_dir(parent, 0o755)?;
                }
                self.resolve(path, follow_last)
            }
            other => other,
        }
    }
}

fn trim_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&b| b != b'/').map_or(0, |at| at + 1);
    path.get(..end).unwrap_or_default()
}

/// As [`Files::resolve`], without the right to change the tree.
///
/// # Errors
/// As [`Files::resolve`].
pub fn resolve(tree: &Tree, path: &[u8], follow_last: bool) -> Result<TreePath, PathProblem> {
    let mut at = TreePath::root();
    let mut left: Vec<Vec<u8>> = parts_reversed(path);
    let mut links = 0;
    while let Some(part) = left.pop() {
        if part == b".." {
            at = at.parent().unwrap_or_else(TreePath::root);
            continue;
        }
        match tree.get(&at) {
            Some(node) if node.is_dir() => {}
            Some(_) => return Err(PathProblem::NotDir(at)),
            None => return Err(PathProblem::Missing),
        }
        let next = at.join(&part).map_err(PathProblem::Bad)?;
        match tree.get(&next).map(|node| &node.kind) {
            Some(Kind::Symlink(target)) if follow_last || !left.is_empty() => {
                links += 1;
                if links > MAX_LINKS {
                    return Err(PathProblem::Loop);
                }
                if target.first() == Some(&b'/') {
                    at = TreePath::root();
                }
                left.extend(parts_reversed(target));
            }
            _ => at = next,
        }
    }
    Ok(at)
}

fn parts_reversed(path: &[u8]) -> Vec<Vec<u8>> {
    path.split(|&b| b == b'/').filter(|part| !part.is_empty() && *part != b".").rev().map(<[u8]>::to_vec).collect()
}

#[cfg(test)]
mod tests {
    use tree::NoBlobs;

    use super::*;

    fn check(path: &str, want: &str) {
        let mut tree = Tree::default();
        let mut files = Files { root: &mut tree, blobs: &NoBlobs, epoch_secs: 7 };
        files.write("/usr/bin/tool", 0o755, "x").unwrap();
        files.link("/bin", "usr/bin").unwrap();
        files.link("/usr/bin/alias", "/bin/tool").unwrap();
        files.link("/up", "../../../usr").unwrap();
        files.link("/loop", "loop").unwrap();
        let got = files.resolve(path, true).map_or_else(|problem| problem.to_string(), |path| path.display());
        assert_eq!(got, want);
    }

    #[test]
    fn links_stay_inside_the_tree() {
        check("/bin/alias", "/usr/bin/tool");
        check("/up/bin/new", "/usr/bin/new");
        check("/../../bin", "/usr/bin");
        check("/loop", "too many symbolic links on the way");
        check("/bin/tool/x", "/usr/bin/tool is not a folder");
        check("/none/x", "there is no such file");
    }

    #[test]
    fn a_rewritten_file_keeps_its_owner() {
        let mut tree = Tree::default();
        let mut files = Files { root: &mut tree, blobs: &NoBlobs, epoch_secs: 7 };
        files.write("/etc/x", 0o640, "1").unwrap();
        files.write("/etc/x", 0o644, "2").unwrap();
        assert_eq!(files.stat("/etc/x").unwrap().meta.mode, 0o640);
        assert_eq!(files.read_text("/etc/x").unwrap(), "2");
        assert_eq!(files.read_text("/etc/y").unwrap(), "");
    }
}
