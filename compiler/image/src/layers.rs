//! Which entry of a tree goes into which OCI layer, so that a change of one part leaves the others' bytes alone.
//!
//! Every layer is cut from the finished tree, so layers are disjoint but for the folders above their
//! entries, and need no whiteouts. A layer's key names its bytes before they are made.

use std::collections::BTreeMap;

use tree::{Digest, NodeId, Tree, TreePath};

/// The parts of an appliance, from what changes least to what changes most; one OCI layer each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// Files of the packages that every root of the base has.
    Base,
    /// Files of the packages asked for, and what they need.
    Packages,
    /// What packages leave behind together: databases, caches, accounts.
    State,
    /// The spec's own files and settings, and the guest.
    Appliance,
}

impl Part {
    /// All parts, lowest layer first.
    pub const ALL: [Self; 4] = [Self::Base, Self::Packages, Self::State, Self::Appliance];

    /// The name that the image's history shows.
    pub fn name(self) -> &'static str {
        match self {
            Self::Base => "base packages",
            Self::Packages => "packages",
            Self::State => "package state",
            Self::Appliance => "appliance",
        }
    }
}

/// Names the bytes of a layer: BLAKE3 over the dump of its entries and the encoder's version.
pub type LayerKey = Digest;

/// One layer: its part, its entries and the key of its bytes.
#[derive(Debug, Clone)]
pub struct Layer {
    /// Which part it is.
    pub part: Part,
    /// Its entries with the folders above them; hard links within the layer share a node.
    pub tree: Tree,
    /// The key of its bytes.
    pub key: LayerKey,
}

/// Cuts a tree into layers; parts without entries give none.
///
/// `part_of` tells the part of each path; a path that it lacks belongs to [`Part::State`]. All names of
/// a hard-linked file go to the highest part among them, since a link cannot cross layers.
pub(crate) fn cut(tree: &Tree, part_of: &BTreeMap<TreePath, Part>, encoder: &str) -> Vec<Layer> {
    let parts = parts_by_node(tree, part_of);
    Part::ALL
        .into_iter()
        .filter_map(|part| {
            let tree = tree.part(&parts.iter().filter(|(_, of)| **of == part).map(|(id, _)| *id).collect());
            // The root alone is no layer.
            let key = || Digest::of(format!("{encoder}\n{}", tree::dump(&tree)).as_bytes());
            (tree.len() > 1).then(key).map(|key| Layer { part, tree, key })
        })
        .collect()
}

pub(crate) fn parts_by_node(tree: &Tree, part_of: &BTreeMap<TreePath, Part>) -> BTreeMap<NodeId, Part> {
    let mut parts = BTreeMap::new();
    for (path, id, _) in tree.iter() {
        let part = part_of.get(path).copied().unwrap_or(Part::State);
        let slot = parts.entry(id).or_insert(part);
        *slot = part.max(*slot);
    }
    parts
}

#[cfg(test)]
mod tests {
    use tree::Node;

    use super::*;

    fn path(text: &str) -> TreePath {
        TreePath::new(text).unwrap()
    }

    fn sample(user_text: &str) -> (Tree, BTreeMap<TreePath, Part>) {
        let mut tree = Tree::default();
        for (name, text) in [("usr/bin/a", "a"), ("usr/bin/b", "b"), ("etc/db", "db"), ("opt/app/x", user_text)] {
            tree.insert_with_parents(path(name), Node::file(0o755, text)).unwrap();
        }
        tree.hard_link(&path("usr/bin/a"), path("opt/app/a")).unwrap();
        let part_of = [
            ("usr", Part::Base),
            ("usr/bin", Part::Base),
            ("usr/bin/a", Part::Base),
            ("usr/bin/b", Part::Packages),
            ("opt", Part::Appliance),
            ("opt/app", Part::Appliance),
            ("opt/app/x", Part::Appliance),
            ("opt/app/a", Part::Appliance),
        ];
        (tree, part_of.map(|(name, part)| (path(name), part)).into())
    }

    #[test]
    fn a_users_file_moves_only_the_top_layer() {
        let keys = |text| {
            let (tree, part_of) = sample(text);
            cut(&tree, &part_of, "e1").into_iter().map(|layer| (layer.part, layer.key)).collect::<BTreeMap<_, _>>()
        };
        let (before, after) = (keys("one"), keys("two"));
        assert_eq!(before.len(), 4);
        for part in [Part::Base, Part::Packages, Part::State] {
            assert_eq!(before[&part], after[&part], "{part:?}");
        }
        assert_ne!(before[&Part::Appliance], after[&Part::Appliance]);
    }

    #[test]
    fn layers_hold_every_entry_once_and_links_stay_together() {
        let (tree, part_of) = sample("x");
        let layers = cut(&tree, &part_of, "e1");
        let count = |name: &str| layers.iter().filter(|layer| layer.tree.get(&path(name)).is_some()).count();
        assert_eq!([count("usr/bin/a"), count("usr/bin/b"), count("etc/db"), count("opt/app/x")], [1; 4]);
        let top = &layers.last().unwrap().tree;
        assert_eq!(top.id(&path("usr/bin/a")), top.id(&path("opt/app/a")));
    }
}
