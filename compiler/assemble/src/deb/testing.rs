//! Tiny packages for the tests of this folder.

use std::collections::BTreeMap;

use packages::Unpacked;
use tree::{Node, Tree, TreePath};

use super::control::Package;

/// A package from the first fields of its control file, after `Package: `, and its entries: `f PATH` with content,
/// `d PATH`, or `l PATH` with a target.
pub(crate) fn package(control: &str, entries: &[(&str, &str)]) -> Package {
    let mut text = format!("Package: {control}\n");
    for (field, value) in [("Version", "1"), ("Architecture", "amd64")] {
        if !text.contains(&format!("\n{field}:")) {
            text.push_str(&format!("{field}: {value}\n"));
        }
    }
    let mut tree = Tree::default();
    for (entry, content) in entries {
        let (kind, path) = entry.split_once(' ').unwrap();
        let node = match kind {
            "d" => Node::dir(0o755),
            "l" => Node::symlink(content),
            _ => Node::file(0o644, *content),
        };
        let path = TreePath::new(path).unwrap();
        tree.insert_with_parents(path, node).unwrap();
    }
    let control_files = BTreeMap::from([("control".to_owned(), text.into_bytes())]);
    Package::read(Unpacked { control_files, tree, ..Unpacked::default() }, 0).unwrap()
}
