//! What an image has above the layers of a base image: those stay byte for byte what they are, and layers of our own hold
//! what is more or other. What is gone is hidden by whiteouts (OCI image specification, `layer.md`).

use std::collections::{BTreeMap, BTreeSet};

use tree::{Digest, Kind, Node, NodeId, Tree, TreePath};

use crate::layers::{Layer, Part, parts_by_node};

/// The layers of a base image, which go into an image as they are, and the file system that they make.
#[derive(Debug, Clone)]
pub struct BaseLayers {
    /// The file system.
    pub tree: Tree,
    /// The layers, lowest first.
    pub layers: Vec<BaseLayer>,
    /// How they came about, as the base image's configuration has it.
    pub history: Vec<serde_json::Value>,
}

/// One layer of a base image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BaseLayer {
    /// Media type.
    pub media_type: String,
    /// SHA-256 of its bytes, 64 hexadecimal digits.
    pub digest: String,
    /// Size of its bytes.
    pub size_bytes: u64,
    /// SHA-256 of it as plain tar, 64 hexadecimal digits.
    pub diff_id: String,
}

/// Cuts what a tree has more or other than the one of a base image into layers; whiteouts are in the lowest of them.
pub(crate) fn cut_above(below: &Tree, tree: &Tree, part_of: &BTreeMap<TreePath, Part>, encoder: &str) -> Vec<Layer> {
    let changed = changed(below, tree);
    let parts = parts_by_node(tree, part_of);
    let of_part = |part| {
        let nodes = changed.iter().filter(|id| parts.get(id) == Some(&part)).copied().collect();
        (part, tree.part(&nodes))
    };
    let mut layers: Vec<(Part, Tree)> = Part::ALL.into_iter().map(of_part).collect();
    let lowest = layers.iter().position(|(_, layer)| layer.len() > 1).unwrap_or_default();
    if let Some((_, layer)) = layers.get_mut(lowest) {
        gone(below, tree).into_iter().for_each(|path| put_whiteout(tree, layer, &path));
    }
    let layer = |(part, tree): (Part, Tree)| {
        let key = Digest::of(format!("{encoder}\n{}", tree::dump(&tree)).as_bytes());
        Layer { part, tree, key }
    };
    // The root alone is no layer.
    layers.into_iter().filter(|(_, tree)| tree.len() > 1).map(layer).collect()
}

/// The nodes that the base image lacks, or has otherwise, or under other names.
fn changed(below: &Tree, tree: &Tree) -> BTreeSet<NodeId> {
    let names = |tree: &Tree| {
        let mut names: BTreeMap<NodeId, Vec<TreePath>> = BTreeMap::new();
        tree.iter().for_each(|(path, id, _)| names.entry(id).or_default().push(path.clone()));
        names
    };
    let (old_names, new_names) = (names(below), names(tree));
    let is_same = |path: &TreePath, id: NodeId, node: &Node| {
        let old = below.id(path).zip(below.get(path));
        old.is_some_and(|(old_id, old)| old_names.get(&old_id) == new_names.get(&id) && is_equal(old, node))
    };
    tree.iter().filter(|(path, id, node)| !is_same(path, *id, node)).map(|(_, id, _)| id).collect()
}

/// Entries of the base image that are gone, without what was below them.
fn gone(below: &Tree, tree: &Tree) -> Vec<TreePath> {
    let is_folder = |path: TreePath| tree.get(&path).is_some_and(Node::is_dir);
    let paths = below.iter().map(|(path, ..)| path);
    paths.filter(|path| tree.get(path).is_none() && path.parent().is_some_and(is_folder)).cloned().collect()
}

/// Puts a whiteout into a layer, with the folders above it as the tree has them.
fn put_whiteout(tree: &Tree, layer: &mut Tree, path: &TreePath) {
    let folder = path.parent().unwrap_or_else(TreePath::root);
    let mut above: Vec<TreePath> = std::iter::successors(Some(folder.clone()), TreePath::parent).collect();
    above.reverse();
    for folder in above {
        if let (None, Some(node)) = (layer.get(&folder), tree.get(&folder)) {
            let put = layer.insert(folder, node.clone());
            debug_assert!(put.is_ok(), "the folders above it were put just before");
        }
    }
    // A name of over 251 bytes leaves no room; nothing that is dropped from an image has such a name.
    if let Ok(name) = folder.join([b".wh.", path.name()].concat()) {
        let put = layer.insert(name, Node::file(0, ""));
        debug_assert!(put.is_ok(), "its folder was put just before");
    }
}

fn is_equal(a: &Node, b: &Node) -> bool {
    let is_same_kind = match (&a.kind, &b.kind) {
        (Kind::Dir, Kind::Dir) | (Kind::Fifo, Kind::Fifo) | (Kind::Socket, Kind::Socket) => true,
        (Kind::File(a), Kind::File(b)) => a.size_bytes() == b.size_bytes() && a.digest() == b.digest(),
        (Kind::Symlink(a), Kind::Symlink(b)) => a == b,
        (Kind::CharDevice { major, minor }, Kind::CharDevice { major: m, minor: n })
        | (Kind::BlockDevice { major, minor }, Kind::BlockDevice { major: m, minor: n }) => (major, minor) == (m, n),
        _ => false,
    };
    is_same_kind && a.meta == b.meta
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn check(change: impl FnOnce(&mut Tree), want: &[&str]) {
        let mut below = Tree::default();
        for name in ["etc/a", "etc/b", "usr/bin/x", "var/lib/deep/y"] {
            below.insert_with_parents(path(name), Node::file(0o644, name)).unwrap();
        }
        below.hard_link(&path("usr/bin/x"), path("usr/bin/z")).unwrap();
        let mut tree = below.clone();
        change(&mut tree);
        let part_of = [(path("opt/app"), Part::Appliance)].into();
        let layers = cut_above(&below, &tree, &part_of, "e1");
        let names = layers.iter().flat_map(|layer| {
            let names = layer.tree.iter().filter(|(_, _, node)| !node.is_dir());
            names.map(|(path, ..)| format!("{} {path}", layer.part.name())).collect::<Vec<_>>()
        });
        assert_eq!(names.collect::<Vec<_>>(), want);
    }

    #[test]
    fn only_what_differs_is_in_a_layer() {
        check(|_| (), &[]);
        check(
            |tree| {
                tree.insert(path("etc/a"), Node::file(0o644, "new")).unwrap();
                tree.insert_with_parents(path("opt/app"), Node::file(0o755, "")).unwrap();
            },
            &["package state /etc/a", "appliance /opt/app"],
        );
        check(|tree| tree.insert(path("etc/a"), Node::file(0o644, "etc/a")).unwrap(), &[]);
        // All names of a file that has a new name go together.
        check(
            |tree| tree.hard_link(&path("usr/bin/x"), path("etc/b")).unwrap(),
            &["package state /etc/b", "package state /usr/bin/x", "package state /usr/bin/z"],
        );
    }

    #[test]
    fn what_is_gone_is_hidden() {
        check(|tree| assert!(tree.remove(&path("etc/a"))), &["base packages /etc/.wh.a"]);
        check(|tree| assert!(tree.remove(&path("var/lib"))), &["base packages /var/.wh.lib"]);
        check(
            |tree| {
                tree.remove(&path("var/lib"));
                tree.insert(path("var/lib"), Node::symlink("x")).unwrap();
            },
            &["package state /var/lib"],
        );
        check(
            |tree| assert!(tree.remove(&path("usr/bin/z"))),
            &["package state /usr/bin/.wh.z", "package state /usr/bin/x"],
        );
    }
}
