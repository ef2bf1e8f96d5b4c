//! What was changed in a tree and how to take it back: undoing costs as much as the changes, never as much as the tree.

use std::collections::BTreeSet;

use tree::{Node, Tree, TreePath};

/// The changes of one script to a tree, in order.
#[derive(Debug, Default)]
pub struct Changes {
    undo: Vec<Undo>,
}

#[derive(Debug)]
enum Undo {
    /// Nothing stood here.
    Remove(TreePath),
    /// This stood here, under no other name.
    Restore(TreePath, Node),
    /// Another name of this entry stood here.
    Relink { path: TreePath, other: TreePath },
    /// The entry was changed in place.
    Overwrite(TreePath, Node),
}

impl Changes {
    /// Every path that was touched, sorted.
    pub fn paths(&self) -> BTreeSet<&TreePath> {
        self.undo
            .iter()
            .map(|undo| match undo {
                Undo::Remove(path) | Undo::Restore(path, _) | Undo::Overwrite(path, _) | Undo::Relink { path, .. } => {
                    path
                }
            })
            .collect()
    }

    /// Takes every change back; the tree must be as the changes left it.
    pub fn undo(self, tree: &mut Tree) {
        for undo in self.undo.into_iter().rev() {
            match undo {
                Undo::Remove(path) => {
                    tree.remove(&path);
                }
                Undo::Restore(path, node) => tree.insert(path, node).expect("what was removed fits where it stood"),
                Undo::Relink { path, other } => {
                    tree.hard_link(&other, path).expect("the other name of a link still stands")
                }
                Undo::Overwrite(path, node) => {
                    if let Some(entry) = tree.get_mut(&path) {
                        *entry = node;
                    }
                }
            }
        }
    }

    pub(crate) fn overwrite(&mut self, tree: &mut Tree, path: &TreePath, change: impl FnOnce(&mut Node)) {
        if let Some(node) = tree.get_mut(path) {
            self.undo.push(Undo::Overwrite(path.clone(), node.clone()));
            change(node);
        }
    }

    /// Removes an entry and all below it, the deepest first, so that undoing meets parents before members.
    pub(crate) fn remove(&mut self, tree: &mut Tree, path: &TreePath) {
        let names: Vec<TreePath> = tree.subtree(path).map(|(path, _, _)| path.clone()).collect();
        for path in names.into_iter().rev().filter(|path| !path.is_root()) {
            let Some(node) = tree.get(&path) else { continue };
            let undo = match tree.names(&path) > 1 {
                true => other_name(tree, &path).map(|other| Undo::Relink { path: path.clone(), other }),
                false => Some(Undo::Restore(path.clone(), node.clone())),
            };
            self.undo.extend(undo);
            tree.remove(&path);
        }
    }

    /// Puts an entry where none stands; the parent is a folder.
    pub(crate) fn insert(&mut self, tree: &mut Tree, path: &TreePath, node: Node) -> bool {
        let done = tree.insert(path.clone(), node).is_ok();
        if done {
            self.undo.push(Undo::Remove(path.clone()));
        }
        done
    }

    pub(crate) fn hard_link(&mut self, tree: &mut Tree, existing: &TreePath, path: &TreePath) -> bool {
        let done = tree.hard_link(existing, path.clone()).is_ok();
        if done {
            self.undo.push(Undo::Remove(path.clone()));
        }
        done
    }
}

fn other_name(tree: &Tree, path: &TreePath) -> Option<TreePath> {
    let id = tree.id(path)?;
    tree.iter().find(|(other, other_id, _)| *other_id == id && *other != path).map(|(other, _, _)| other.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use tree::dump;

    #[test]
    fn undoing_gives_the_tree_back() {
        let path = |text: &str| TreePath::new(text).unwrap();
        let mut tree = Tree::default();
        for name in ["d/a", "d/e/f", "x"] {
            tree.insert_with_parents(path(name), Node::file(0o644, name)).unwrap();
        }
        tree.hard_link(&path("d/a"), path("d/b")).unwrap();
        let before = dump(&tree);
        let mut changes = Changes::default();
        changes.overwrite(&mut tree, &path("x"), |node| node.meta.mode = 0o600);
        changes.remove(&mut tree, &path("d"));
        changes.insert(&mut tree, &path("d"), Node::symlink("x"));
        changes.hard_link(&mut tree, &path("x"), &path("y"));
        changes.remove(&mut tree, &path("x"));
        assert_ne!(dump(&tree), before);
        changes.undo(&mut tree);
        assert_eq!(dump(&tree), before);
    }
}
