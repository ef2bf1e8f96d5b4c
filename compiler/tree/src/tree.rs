//! The tree itself: canonical paths to nodes, with hard links as paths that share a node.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Bound;

use crate::{Node, TreePath};

/// Names a node within its tree; paths with the same id are hard links of one another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(u32);

impl NodeId {
    /// The id as a number for tables by id: small, never used twice in a tree, and without further meaning.
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A file system as a value. Its root always exists and is a folder; every entry's parent is a folder.
#[derive(Debug, Clone)]
pub struct Tree {
    entries: BTreeMap<TreePath, NodeId>,
    /// By id; a slot is emptied when its last name goes, and never used again.
    slots: Vec<Slot>,
}

#[derive(Debug, Clone)]
struct Slot {
    node: Option<Node>,
    names: u32,
}

/// Why an entry cannot be put where it was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InsertError {
    /// There is no entry where the parent folder should be.
    NoParent(TreePath),
    /// The parent exists and is no folder.
    ParentNotDir(TreePath),
    /// A folder stands there and holds entries, so it cannot become something else.
    DirInTheWay(TreePath),
    /// A link's first name is missing or is a folder.
    BadLinkTarget(TreePath),
}

impl fmt::Display for InsertError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoParent(path) => write!(f, "the folder of {path} does not exist"),
            Self::ParentNotDir(path) => write!(f, "the parent of {path} is not a folder"),
            Self::DirInTheWay(path) => write!(f, "{path} is a folder that holds entries"),
            Self::BadLinkTarget(path) => write!(f, "cannot make a hard link to {path}: no such file"),
        }
    }
}

impl std::error::Error for InsertError {}

impl Default for Tree {
    fn default() -> Self {
        Self::new(Node::dir(0o755))
    }
}

impl Tree {
    /// A tree with only this root, which must be a folder.
    pub fn new(root: Node) -> Self {
        assert!(root.is_dir(), "the root of a tree is a folder");
        Self { entries: [(TreePath::root(), NodeId(0))].into(), slots: vec![Slot { node: Some(root), names: 1 }] }
    }

    /// The entry at this path; links in the path are not followed.
    pub fn get(&self, path: &TreePath) -> Option<&Node> {
        self.entries.get(path).map(|id| self.node(*id))
    }

    /// The entry at this path, to change its metadata or content; all its hard links change with it.
    /// Do not turn a folder into something else here: use [`Tree::insert`].
    pub fn get_mut(&mut self, path: &TreePath) -> Option<&mut Node> {
        self.entries.get(path).and_then(|id| self.slots[id.0 as usize].node.as_mut())
    }

    /// The id of the entry at this path; equal for hard links.
    pub fn id(&self, path: &TreePath) -> Option<NodeId> {
        self.entries.get(path).copied()
    }

    /// Puts an entry, replacing what stood there (only this name of it, if it had several).
    ///
    /// A folder put over a folder takes the new metadata and keeps its members.
    ///
    /// # Errors
    /// When the parent is missing or no folder, or a folder with members would become something else.
    pub fn insert(&mut self, path: TreePath, node: Node) -> Result<(), InsertError> {
        self.check_parent(&path)?;
        if let Some(id) = self.entries.get(&path).copied() {
            if self.node(id).is_dir() {
                if node.is_dir() {
                    self.slots[id.0 as usize].node = Some(node);
                    return Ok(());
                }
                if self.children(&path).next().is_some() || path.is_root() {
                    return Err(InsertError::DirInTheWay(path));
                }
            }
            self.remove(&path);
        }
        let id = NodeId(u32::try_from(self.slots.len()).expect("a tree holds fewer than 2^32 nodes"));
        self.slots.push(Slot { node: Some(node), names: 1 });
        self.entries.insert(path, id);
        Ok(())
    }

    /// Puts an entry and makes the folders above it that are missing, as `root:root` with mode 0755.
    ///
    /// # Errors
    /// As [`Tree::insert`], except for missing parents.
    pub fn insert_with_parents(&mut self, path: TreePath, node: Node) -> Result<(), InsertError> {
        if let Some(parent) = path.parent().filter(|parent| self.get(parent).is_none()) {
            self.insert_with_parents(parent, Node::dir(0o755))?;
        }
        self.insert(path, node)
    }

    /// Gives the entry `existing` a second name. An entry that stands at `path` is replaced as by [`Tree::insert`].
    ///
    /// # Errors
    /// As [`Tree::insert`]; also when `existing` is missing or a folder.
    pub fn hard_link(&mut self, existing: &TreePath, path: TreePath) -> Result<(), InsertError> {
        let id = match self.entries.get(existing) {
            Some(id) if !self.node(*id).is_dir() => *id,
            _ => return Err(InsertError::BadLinkTarget(existing.clone())),
        };
        self.check_parent(&path)?;
        if self.entries.get(&path) == Some(&id) {
            return Ok(());
        }
        if self.get(&path).is_some_and(Node::is_dir) && self.children(&path).next().is_some() {
            return Err(InsertError::DirInTheWay(path));
        }
        self.remove(&path);
        self.slots[id.0 as usize].names += 1;
        self.entries.insert(path, id);
        Ok(())
    }

    /// Removes an entry and all below it; says whether there was one. The root stays, emptied.
    pub fn remove(&mut self, path: &TreePath) -> bool {
        let gone: Vec<TreePath> =
            self.subtree(path).map(|(path, _, _)| path.clone()).filter(|p| !p.is_root()).collect();
        for path in &gone {
            if let Some(id) = self.entries.remove(path) {
                let slot = &mut self.slots[id.0 as usize];
                slot.names -= 1;
                if slot.names == 0 {
                    slot.node = None;
                }
            }
        }
        !gone.is_empty()
    }

    /// All entries in canonical order: bytewise by path, so every folder comes before its members.
    pub fn iter(&self) -> impl Iterator<Item = (&TreePath, NodeId, &Node)> {
        self.entries.iter().map(|(path, id)| (path, *id, self.node(*id)))
    }

    /// The entry at `path` and all below it, in canonical order.
    pub fn subtree<'a>(&'a self, path: &TreePath) -> impl Iterator<Item = (&'a TreePath, NodeId, &'a Node)> + use<'a> {
        let folder = path.clone();
        let below = folder.as_bytes().to_vec();
        self.entries
            .range((Bound::Included(path.clone()), Bound::Unbounded))
            .take_while(move |(path, _)| path.as_bytes().starts_with(&below))
            .filter(move |(path, _)| path.starts_with(&folder))
            .map(|(path, id)| (path, *id, self.node(*id)))
    }

    /// The direct members of a folder, in canonical order.
    pub fn children<'a>(&'a self, folder: &TreePath) -> impl Iterator<Item = (&'a TreePath, &'a Node)> + use<'a> {
        let parent = folder.clone();
        let mut from = Bound::Excluded(folder.clone());
        std::iter::from_fn(move || {
            loop {
                let (path, id) = self.entries.range((from.clone(), Bound::Unbounded)).next()?;
                if !path.as_bytes().starts_with(parent.as_bytes()) {
                    return None;
                }
                from = Bound::Excluded(path.clone());
                if !path.starts_with(&parent) {
                    continue;
                }
                let below = path.as_bytes()[parent.as_bytes().len()..].iter().skip(usize::from(!parent.is_root()));
                let Some(name_end) = below.clone().position(|&b| b == b'/') else {
                    return Some((path, self.node(*id)));
                };
                // An entry deeper down: go on after all that lies below the same member.
                let member_end = path.as_bytes().len() - below.len() + name_end;
                // A name too long for that is passed entry by entry.
                if let Ok(next) = TreePath::new([&path.as_bytes()[..member_end], b"0"].concat()) {
                    from = Bound::Included(next);
                }
            }
        })
    }

    /// A tree of only these nodes, each under all its names, with the folders above them and this tree's root.
    pub fn part(&self, nodes: &BTreeSet<NodeId>) -> Self {
        let mut part = Self::new(self.node(NodeId(0)).clone());
        let mut first_names: BTreeMap<NodeId, &TreePath> = BTreeMap::new();
        for (path, id, node) in self.iter().filter(|(path, id, _)| nodes.contains(id) && !path.is_root()) {
            self.place_folders(&mut part, path);
            match first_names.get(&id) {
                Some(first) => part.hard_link(first, path.clone()),
                None => {
                    first_names.insert(id, path);
                    part.insert(path.clone(), node.clone())
                }
            }
            .expect("the folders above were placed just before");
        }
        part
    }

    /// How many paths share the entry at this path: 1 for all but hard links, 0 where there is no entry.
    pub fn names(&self, path: &TreePath) -> u32 {
        self.entries.get(path).map_or(0, |id| self.slots[id.0 as usize].names)
    }

    /// How many entries there are, the root included.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Never true: the root always exists.
    pub fn is_empty(&self) -> bool {
        false
    }

    fn place_folders(&self, part: &mut Self, path: &TreePath) {
        let Some(parent) = path.parent().filter(|parent| part.get(parent).is_none()) else { return };
        self.place_folders(part, &parent);
        let node = self.get(&parent).expect("every entry has its folder").clone();
        part.insert(parent, node).expect("its own folder was placed just before");
    }

    fn node(&self, id: NodeId) -> &Node {
        self.slots[id.0 as usize].node.as_ref().expect("every entry has a node")
    }

    fn check_parent(&self, path: &TreePath) -> Result<(), InsertError> {
        match path.parent().map(|parent| self.get(&parent)) {
            None => Ok(()),
            Some(Some(parent)) if parent.is_dir() => Ok(()),
            Some(Some(_)) => Err(InsertError::ParentNotDir(path.clone())),
            Some(None) => Err(InsertError::NoParent(path.clone())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    #[test]
    fn hard_links_share_a_node_until_one_is_replaced() {
        let mut tree = Tree::default();
        tree.insert(path("a"), Node::file(0o644, "x")).unwrap();
        tree.hard_link(&path("a"), path("b")).unwrap();
        assert_eq!(tree.id(&path("a")), tree.id(&path("b")));
        tree.insert(path("a"), Node::file(0o644, "y")).unwrap();
        assert_ne!(tree.id(&path("a")), tree.id(&path("b")));
        assert!(tree.remove(&path("b")));
        assert_eq!(tree.iter().count(), 2);
    }

    #[test]
    fn a_parent_must_be_a_folder_and_a_full_folder_stays_one() {
        let mut tree = Tree::default();
        assert_eq!(tree.insert(path("d/f"), Node::dir(0o755)), Err(InsertError::NoParent(path("d/f"))));
        tree.insert_with_parents(path("d/f"), Node::file(0o644, "")).unwrap();
        assert_eq!(tree.insert(path("d"), Node::symlink("x")), Err(InsertError::DirInTheWay(path("d"))));
        assert_eq!(tree.insert(path("d/f/g"), Node::dir(0o755)), Err(InsertError::ParentNotDir(path("d/f/g"))));
    }

    #[test]
    fn a_subtree_does_not_take_its_neighbours() {
        let mut tree = Tree::default();
        for name in ["usr", "usr-x", "usr/bin", "usr/bin/a", "usr0"] {
            tree.insert_with_parents(path(name), Node::dir(0o755)).unwrap();
        }
        let names: Vec<_> = tree.subtree(&path("usr")).map(|(path, _, _)| path.display()).collect();
        assert_eq!(names, ["/usr", "/usr/bin", "/usr/bin/a"]);
        assert_eq!(tree.children(&path("usr")).count(), 1);
        assert_eq!(tree.children(&TreePath::root()).count(), 3);
        assert!(tree.remove(&path("usr")));
        assert_eq!(tree.len(), 3);
    }
}
