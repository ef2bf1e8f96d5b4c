//! The file system of a running script as a root to work on: every change goes into the journal of the attempt.

use tree::{InsertError, Node, Tree, TreePath};

use crate::files::Root;

/// The shell's file system as a root: every change goes into its journal.
pub(crate) struct Journaled<'j, 'f>(pub(crate) &'j mut shell::Fs<'f>);

impl Root for Journaled<'_, '_> {
    fn tree(&self) -> &Tree {
        self.0.tree()
    }

    fn insert(&mut self, path: TreePath, node: Node) -> Result<(), InsertError> {
        if self.0.is_dir(&path) {
            if node.is_dir() {
                self.0.change(&path, |old| *old = node);
                return Ok(());
            }
            if self.tree().children(&path).next().is_some() {
                return Err(InsertError::DirInTheWay(path));
            }
            self.0.remove(&path);
        }
        self.0.insert(&path, node).map_err(|_| InsertError::NoParent(path))
    }

    fn remove(&mut self, path: &TreePath) -> bool {
        let stood = self.0.node(path).is_some();
        self.0.remove(path);
        stood
    }

    fn change(&mut self, path: &TreePath, change: &mut dyn FnMut(&mut Node)) {
        self.0.change(path, change);
    }

    fn hard_link(&mut self, existing: &TreePath, path: TreePath) -> Result<(), InsertError> {
        if self.0.node(&path).is_some() {
            self.0.remove(&path);
        }
        self.0.hard_link(existing, &path).map_err(|_| InsertError::BadLinkTarget(existing.clone()))
    }

    fn as_tree(&mut self) -> Option<&mut Tree> {
        None
    }
}
