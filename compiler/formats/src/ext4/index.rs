//! Numbers the inodes of a tree and groups its names by folder.
//!
//! A tree goes in; the numbers follow its canonical order by first name, so they depend on nothing else.

use tree::{Kind, Node, Tree, TreePath};

use super::options::Options;

/// The first inode that is not reserved; by custom that of `lost+found`.
const FIRST_INODE: u32 = 11;

/// An entry's place in the order of inodes: 0 is the root, 1 is `lost+found`, then all others.
pub type Slot = u32;

/// A name in a folder.
#[derive(Debug, Clone, Copy)]
pub struct Name<'t> {
    /// The folder.
    folder: Slot,
    /// What the name names.
    pub slot: Slot,
    /// The bytes of the name.
    pub name: &'t [u8],
}

/// The entries of a tree by slot.
#[derive(Debug)]
pub struct Index<'t> {
    nodes: Vec<Entry<'t>>,
    names: Vec<Name<'t>>,
    /// Where the names of each slot begin, and the end of all.
    name_starts: Vec<u32>,
}

#[derive(Debug)]
struct Entry<'t> {
    path: &'t TreePath,
    node: &'t Node,
    /// For a folder: the folder that holds it.
    parent: Slot,
    links: u32,
}

/// The `lost+found` of a tree that has none.
#[derive(Debug)]
pub struct LostAndFound {
    path: TreePath,
    node: Node,
}

impl LostAndFound {
    /// A folder for root alone.
    pub fn new(options: &Options) -> Self {
        let mut node = Node::dir(0o700);
        node.meta.mtime_secs = i64::try_from(options.epoch_secs).unwrap_or(i64::MAX);
        Self { path: TreePath::new("lost+found").expect("the name is canonical"), node }
    }
}

impl<'t> Index<'t> {
    /// Numbers the entries of a tree, to which `lost_found` is added where it has none.
    pub fn new(tree: &'t Tree, lost_found: &'t LostAndFound) -> Self {
        let mut index = Self { nodes: Vec::with_capacity(tree.len() + 1), names: Vec::new(), name_starts: Vec::new() };
        let mut slots: Vec<Slot> = Vec::new();
        let mut folders: Vec<(&TreePath, Slot)> = Vec::new();
        for (path, id, node) in tree.iter() {
            let folder = enclosing(&mut folders, path);
            if slots.len() <= id.index() {
                slots.resize(id.index() + 1, Slot::MAX);
            }
            let known = &mut slots[id.index()];
            if *known == Slot::MAX {
                *known = match path {
                    path if *path == lost_found.path => 1,
                    _ => index.push(path, node, folder),
                };
            }
            let slot = *known;
            if path.is_root() {
                index.push(&lost_found.path, tree.get(&lost_found.path).unwrap_or(&lost_found.node), 0);
                index.link(0, 1, b"lost+found");
            } else if slot != 1 {
                index.link(folder, slot, path.name());
            }
            if node.is_dir() {
                folders.push((path, slot));
            }
        }
        index.group_names();
        index
    }

    /// How many entries there are.
    pub fn len(&self) -> u32 {
        self.nodes.len() as u32
    }

    /// What this entry is.
    pub fn node(&self, slot: Slot) -> &'t Node {
        self.nodes[slot as usize].node
    }

    /// The first path of this entry.
    pub fn path(&self, slot: Slot) -> &'t TreePath {
        self.nodes[slot as usize].path
    }

    /// The folder that holds this folder.
    pub fn parent(&self, slot: Slot) -> Slot {
        self.nodes[slot as usize].parent
    }

    /// Names of this entry; for a folder, two and one for each folder in it.
    pub fn links(&self, slot: Slot) -> u32 {
        self.nodes[slot as usize].links
    }

    /// The names in this folder, sorted bytewise; none for what is no folder.
    pub fn names(&self, slot: Slot) -> &[Name<'t>] {
        &self.names[self.name_starts[slot as usize] as usize..self.name_starts[slot as usize + 1] as usize]
    }

    fn push(&mut self, path: &'t TreePath, node: &'t Node, parent: Slot) -> Slot {
        self.nodes.push(Entry { path, node, parent, links: if node.is_dir() { 2 } else { 0 } });
        self.len() - 1
    }

    fn link(&mut self, folder: Slot, slot: Slot, name: &'t [u8]) {
        self.names.push(Name { folder, slot, name });
        let counted = if self.node(slot).is_dir() { folder } else { slot };
        self.nodes[counted as usize].links += 1;
    }

    fn group_names(&mut self) {
        self.names.sort_unstable_by_key(|name| (name.folder, name.name));
        self.name_starts = vec![0; self.nodes.len() + 1];
        for name in &self.names {
            self.name_starts[name.folder as usize + 1] += 1;
        }
        let mut sum = 0;
        for start in &mut self.name_starts {
            sum += *start;
            *start = sum;
        }
    }
}

/// The number of the inode at this slot.
pub fn inode_number(slot: Slot) -> u32 {
    if slot == 0 { 2 } else { FIRST_INODE - 1 + slot }
}

/// The slot of the inode with this number; `None` for reserved inodes.
pub fn slot_of(inode: u32) -> Option<Slot> {
    if inode == 2 { Some(0) } else { inode.checked_sub(FIRST_INODE - 1).filter(|slot| *slot > 0) }
}

/// The file type that a directory entry repeats ("Directory Entries", file type codes).
pub fn file_type(kind: &Kind) -> u8 {
    match kind {
        Kind::File(_) => 1,
        Kind::Dir => 2,
        Kind::CharDevice { .. } => 3,
        Kind::BlockDevice { .. } => 4,
        Kind::Fifo => 5,
        Kind::Socket => 6,
        Kind::Symlink(_) => 7,
    }
}

/// The folder of this path, among those on the stack whose text begins as the path does.
///
/// In bytewise order all paths that begin with the same bytes stand together, so what does not begin this path's
/// text will not begin a later one's either. `usr-x` may stand above `usr` on the stack when `usr-x/a` is seen.
fn enclosing<'t>(folders: &mut Vec<(&'t TreePath, Slot)>, path: &'t TreePath) -> Slot {
    while folders.last().is_some_and(|(folder, _)| !path.as_bytes().starts_with(folder.as_bytes())) {
        folders.pop();
    }
    let length = path.as_bytes().len().saturating_sub(path.name().len() + 1);
    folders.iter().rev().find(|(folder, _)| folder.as_bytes().len() == length).map_or(0, |(_, slot)| *slot)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn neighbours_with_a_common_beginning_keep_their_own_members() {
        let mut tree = Tree::default();
        for path in ["usr/bin", "usr-x/a", "usr-x.d/b", "usr/lib/z", "usr0/c"] {
            tree.insert_with_parents(TreePath::new(path).unwrap(), Node::file(0o644, "")).unwrap();
        }
        tree.hard_link(&TreePath::new("usr/bin").unwrap(), TreePath::new("usr0/again").unwrap()).unwrap();
        let lost_found = LostAndFound::new(&Options::read_only([0; 16], [0; 16], 0));
        let index = Index::new(&tree, &lost_found);
        let shown: Vec<String> = (0..index.len())
            .map(|slot| {
                let names: Vec<_> =
                    index.names(slot).iter().map(|name| String::from_utf8_lossy(name.name).into_owned()).collect();
                format!("{} {} {}", index.path(slot), index.links(slot), names.join(","))
            })
            .collect();
        assert_eq!(
            shown,
            [
                "/ 7 lost+found,usr,usr-x,usr-x.d,usr0",
                "/lost+found 2 ",
                "/usr 3 bin,lib",
                "/usr-x 2 a",
                "/usr-x.d 2 b",
                "/usr-x.d/b 1 ",
                "/usr-x/a 1 ",
                "/usr/bin 2 ",
                "/usr/lib 2 z",
                "/usr/lib/z 1 ",
                "/usr0 2 again,c",
                "/usr0/c 1 ",
            ]
        );
    }
}
