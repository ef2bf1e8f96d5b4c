//! The way out for scripts that cannot be emulated: someone else runs them and tells what they changed.

use std::collections::BTreeMap;

use tree::{Node, Tree, TreePath};

/// Runs a maintainer script over a tree.
pub trait ScriptRunner {
    /// Prepares for scripts; asked once, when the first one needs it.
    ///
    /// # Errors
    /// When no script can be run here, with what is missing.
    fn ready(&mut self) -> Result<(), ScriptRunError> {
        Ok(())
    }

    /// Runs one script to its end, as root of the tree, without network and standard input.
    ///
    /// # Errors
    /// When the script could not be started or its changes could not be taken up.
    fn run(&mut self, request: &ScriptRequest<'_>) -> Result<ScriptRun, ScriptRunError>;
}

/// One script to run.
#[derive(Debug)]
pub struct ScriptRequest<'a> {
    /// The file system it sees.
    pub tree: &'a Tree,
    /// What to call it: the name of its package in the database, a space, and its own (`libc6:amd64 postinst`).
    pub name: String,
    /// Its bytes, with the `#!` line.
    pub script: &'a [u8],
    /// Its arguments, without its own name.
    pub args: Vec<String>,
    /// Its whole environment.
    pub env: BTreeMap<String, String>,
}

/// How a script ended and what it changed.
#[derive(Debug, Clone, Default)]
pub struct ScriptRun {
    /// Exit status; 128 and the number for a signal.
    pub status: i32,
    /// What it printed.
    pub log: String,
    /// What it changed, in an order in which the changes can be applied one after another.
    pub changes: Vec<Change>,
}

/// One change of a tree.
#[derive(Debug, Clone)]
pub enum Change {
    /// An entry was made or replaced.
    Put(TreePath, Node),
    /// `path` became a hard link of `first`.
    Link {
        /// The new name.
        path: TreePath,
        /// The name that was there before.
        first: TreePath,
    },
    /// An entry and all below it went away.
    Remove(TreePath),
}

/// Why a script could not be run.
#[derive(Debug, thiserror::Error)]
#[error("run a script in the sandbox: {what}")]
pub struct ScriptRunError {
    /// What went wrong, for people.
    pub what: String,
    /// The cause, where there is one.
    #[source]
    pub source: Option<Box<dyn std::error::Error + Send + Sync>>,
}
