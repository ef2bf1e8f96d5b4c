//! What a script is run with and what comes out: the entry points of the evaluation.

use std::collections::{BTreeMap, BTreeSet};

use tree::{Blobs, Tree};

use crate::ast::Script;
use crate::call::Commands;
use crate::fs::Fs;
use crate::journal::Changes;
use crate::shell::{Shell, Stop};

/// Bounds of one evaluation; each one reached makes the outcome unknown.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Commands, loop rounds and matching steps.
    pub steps: u64,
    /// Bytes written to outputs, pipes and files together, and the size of a file that is read.
    pub bytes: u64,
    /// Nested functions, substitutions, sourced files and scripts.
    pub depth: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self { steps: 20_000_000, bytes: 64 << 20, depth: 24 }
    }
}

/// What a script may see and change.
pub struct Session<'s> {
    /// The file system.
    pub tree: &'s mut Tree,
    /// Where its contents are.
    pub blobs: &'s dyn Blobs,
    /// What the caller adds to the utilities.
    pub commands: &'s Commands<'s>,
    /// Bounds of the evaluation.
    pub limits: Limits,
    /// Time of modification that new and changed entries get.
    pub mtime_secs: i64,
    /// What `uname -m` says; it is unknown when none is given.
    pub machine: Option<String>,
    /// `$0`, which also names the script in messages.
    pub name: String,
    /// What the standard input gives.
    pub stdin: Vec<u8>,
}

impl<'s> Session<'s> {
    /// A session with the usual bounds, no machine name and an empty standard input.
    pub fn new(tree: &'s mut Tree, blobs: &'s dyn Blobs, commands: &'s Commands<'s>) -> Self {
        let name = "sh".to_owned();
        Self { tree, blobs, commands, limits: Limits::default(), mtime_secs: 0, machine: None, name, stdin: Vec::new() }
    }
}

/// What could not be evaluated, and where.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct Unknown {
    /// The construct, command or option that is not understood.
    pub what: String,
    /// Line in the script, from 1.
    pub line: u32,
}

/// A script that was evaluated to its end.
#[derive(Debug)]
pub struct Done {
    /// Exit status.
    pub status: i32,
    /// What it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// What it wrote to its standard error.
    pub stderr: Vec<u8>,
    /// What commands noted with [`crate::Call::note`], in order.
    pub notes: Vec<(String, Vec<u8>)>,
    /// Names of the commands that it started, builtins and functions of the shell not among them.
    pub called: BTreeSet<String>,
    /// What it changed in the tree, to list or to undo.
    pub changes: Changes,
}

/// How an evaluation ended.
#[derive(Debug)]
pub enum Outcome {
    /// At the script's end, with any status.
    Done(Done),
    /// At something that is not understood; the tree is as it was before.
    Unknown(Unknown),
}

/// Evaluates a script over a tree.
pub fn run(script: &Script, session: Session<'_>, args: &[Vec<u8>], env: &BTreeMap<Vec<u8>, Vec<u8>>) -> Outcome {
    evaluate(session, args, env, |shell| shell.script(script))
}

/// Evaluates a program of the tree, as a shell would find and start it; it must be a `#!/bin/sh` script or a known command.
pub fn run_program(session: Session<'_>, argv: &[Vec<u8>], env: &BTreeMap<Vec<u8>, Vec<u8>>) -> Outcome {
    evaluate(session, &[], env, |shell| shell.external(argv.to_vec()))
}

fn evaluate(
    session: Session<'_>,
    args: &[Vec<u8>],
    env: &BTreeMap<Vec<u8>, Vec<u8>>,
    body: impl FnOnce(&mut Shell<'_>) -> Result<i32, Stop>,
) -> Outcome {
    let Session { tree, blobs, commands, limits, mtime_secs, machine, name, stdin } = session;
    let fs = Fs::new(tree, blobs, mtime_secs, limits.bytes);
    let mut shell = Shell::new(fs, commands, limits, machine, name, stdin);
    shell.state.args = args.to_vec();
    for (name, value) in env {
        shell.state.vars.import(name, value);
    }
    let result = body(&mut shell);
    match shell.finish(result) {
        Ok(status) => {
            let (stdout, stderr) = (shell.stdout.take(), shell.stderr.take());
            let (notes, called) = (shell.notes, shell.called);
            Outcome::Done(Done { status, stdout, stderr, notes, called, changes: shell.fs.changes })
        }
        Err(unknown) => {
            shell.fs.undo();
            Outcome::Unknown(unknown)
        }
    }
}
