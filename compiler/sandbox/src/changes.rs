//! The difference between two trees, in an order in which it can be applied.

use std::collections::BTreeSet;

use tree::{Kind, Node, NodeId, Tree, TreePath};

/// What must be done to a folder on disk that holds `old`, so that it holds `new`.
pub(crate) struct Difference {
    /// Paths to remove, members before their folders.
    pub removed: Vec<TreePath>,
    /// Entries to put, with the folders above them.
    pub put: Tree,
}

/// Compares two trees entry by entry. An entry of another kind is removed first.
pub(crate) fn difference(old: &Tree, new: &Tree) -> Difference {
    let mut removed: Vec<TreePath> = old
        .iter()
        .filter(|(path, _, node)| new.get(path).is_none_or(|now| !same_kind(node, now)))
        .map(|(path, _, _)| path.clone())
        .collect();
    removed.reverse();
    let changed: BTreeSet<NodeId> = new
        .iter()
        // Names of one file that came or went are laid out again together.
        .filter(|(path, _, node)| {
            old.get(path).is_none_or(|was| !same(was, node)) || old.names(path) != new.names(path)
        })
        .map(|(_, id, _)| id)
        .collect();
    Difference { removed, put: new.part(&changed) }
}

fn same_kind(a: &Node, b: &Node) -> bool {
    std::mem::discriminant(&a.kind) == std::mem::discriminant(&b.kind)
}

fn same(a: &Node, b: &Node) -> bool {
    let kind = match (&a.kind, &b.kind) {
        (Kind::File(a), Kind::File(b)) => a.size_bytes() == b.size_bytes() && a.digest() == b.digest(),
        (Kind::Symlink(a), Kind::Symlink(b)) => a == b,
        (Kind::CharDevice { major, minor }, Kind::CharDevice { major: b_major, minor: b_minor })
        | (Kind::BlockDevice { major, minor }, Kind::BlockDevice { major: b_major, minor: b_minor }) => {
            (major, minor) == (b_major, b_minor)
        }
        _ => same_kind(a, b),
    };
    kind && a.meta == b.meta
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn tree(entries: &[(&str, Option<&str>)]) -> Tree {
        let mut tree = Tree::default();
        for (name, text) in entries {
            let node = text.map_or(Node::dir(0o755), |text| Node::file(0o644, text));
            tree.insert_with_parents(path(name), node).unwrap();
        }
        tree
    }

    #[test]
    fn only_what_changed_is_named() {
        let old = tree(&[("a/x", Some("1")), ("a/y", Some("1")), ("b/z", Some("1")), ("k", None), ("k/m", None)]);
        let new = tree(&[("a/x", Some("2")), ("a/y", Some("1")), ("c/new", Some("1")), ("k", Some("now a file"))]);
        let Difference { removed, put } = difference(&old, &new);
        let removed: Vec<_> = removed.iter().map(TreePath::display).collect();
        assert_eq!(removed, ["/k/m", "/k", "/b/z", "/b"]);
        let put: Vec<_> = put.iter().map(|(path, _, _)| path.display()).collect();
        assert_eq!(put, ["/", "/a", "/a/x", "/c", "/c/new", "/k"]);
    }

    #[test]
    fn all_names_of_a_changed_file_travel_together() {
        let mut old = tree(&[("a", Some("1"))]);
        old.hard_link(&path("a"), path("b")).unwrap();
        let mut new = tree(&[("a", Some("2"))]);
        new.hard_link(&path("a"), path("b")).unwrap();
        let put = difference(&old, &new).put;
        assert_eq!(put.id(&path("a")), put.id(&path("b")));
        assert_eq!(difference(&old, &old).put.len(), 1);
    }
}
