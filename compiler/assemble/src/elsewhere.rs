//! What happens with a script that is not emulated, for every package family: it goes to the runner, or it stands in the
//! way. All that stand in the way are collected, so that one error names each of them.

use std::collections::{BTreeMap, BTreeSet};

use packages::{LedgerLine, ScriptClass};
use tree::{Digest, Kind, TreePath};

use crate::error::{AssembleError, BlockedScript};
use crate::files::Files;
use crate::inputs::ScriptPolicy;
use crate::runner::{Change, ScriptRequest, ScriptRun, ScriptRunError, ScriptRunner};

/// One script with all that it is called with.
pub(crate) struct Script<'a> {
    /// Its package.
    pub package: &'a str,
    /// What the ledger calls it.
    pub name: &'a str,
    /// What the runner calls it: the name of its package in the database, a space, and its own.
    pub file: String,
    pub bytes: &'a [u8],
    pub args: &'a [&'a str],
    pub env: BTreeMap<String, String>,
}

/// Where scripts go that are not emulated, and the ledger of all.
pub(crate) struct Elsewhere<'a> {
    policy: ScriptPolicy,
    runner: Option<&'a mut dyn ScriptRunner>,
    is_ready: bool,
    blocked: Vec<BlockedScript>,
    /// Why the runner runs nothing.
    problem: Option<ScriptRunError>,
    ledger: Vec<LedgerLine>,
}

impl<'a> Elsewhere<'a> {
    pub fn new(policy: ScriptPolicy, runner: Option<&'a mut dyn ScriptRunner>) -> Self {
        Self { policy, runner, is_ready: false, blocked: Vec::new(), problem: None, ledger: Vec::new() }
    }

    /// Whether scripts are run without an attempt to emulate them.
    pub fn is_for_all(&self) -> bool {
        self.policy == ScriptPolicy::Run
    }

    /// Whether work may be left to the first boot.
    pub fn may_leave_work(&self) -> bool {
        self.policy != ScriptPolicy::Strict
    }

    /// Notes what came of a script.
    pub fn note(&mut self, script: &Script<'_>, class: ScriptClass, reason: String) {
        self.ledger.push(LedgerLine {
            package: script.package.to_owned(),
            script: script.name.to_owned(),
            class,
            reason,
            digest: Digest::of(script.bytes),
        });
    }

    /// Runs a script and takes up what it changed; where that is not to be, it is noted as one that stands in the way.
    /// `why` says what keeps it from being emulated.
    pub fn run(&mut self, files: &mut Files<'_>, script: &Script<'_>, why: String) -> Result<(), AssembleError> {
        if !self.can_run() {
            self.block(script, why);
            return Ok(());
        }
        let Some(runner) = self.runner.as_mut() else { return Ok(()) };
        let run = runner.run(&script.request(files)).map_err(|source| AssembleError::Sandbox {
            package: script.package.to_owned(),
            script: script.name.to_owned(),
            source,
        })?;
        let left_out = script.take_up(files, run)?;
        self.note(script, ScriptClass::Run, format!("{why}{left_out}"));
        Ok(())
    }

    /// Notes a script that stands in the way.
    pub fn block(&mut self, script: &Script<'_>, why: String) {
        let (package, script) = (script.package.to_owned(), script.name.to_owned());
        self.blocked.push(BlockedScript { package, script, why });
    }

    /// What installing came to. Where scripts stand in the way, what failed after them may have failed for want of them.
    pub fn verdict<T>(&mut self, outcome: Result<T, AssembleError>) -> Result<T, AssembleError> {
        if self.blocked.is_empty() {
            return outcome;
        }
        Err(AssembleError::Blocked { scripts: std::mem::take(&mut self.blocked), source: self.problem.take() })
    }

    /// What happened with each script, sorted.
    pub fn into_ledger(mut self) -> Vec<LedgerLine> {
        self.ledger.sort();
        self.ledger
    }

    /// Asks the runner once, when the first script needs it: it may have much to prepare.
    fn can_run(&mut self) -> bool {
        if !matches!(self.policy, ScriptPolicy::Auto | ScriptPolicy::Run) || self.problem.is_some() {
            return false;
        }
        let Some(runner) = self.runner.as_mut() else { return false };
        if !self.is_ready {
            self.problem = runner.ready().err();
            self.is_ready = self.problem.is_none();
        }
        self.is_ready
    }
}

impl Script<'_> {
    fn request<'r>(&'r self, files: &'r Files<'_>) -> ScriptRequest<'r> {
        ScriptRequest {
            tree: files.tree(),
            name: self.file.clone(),
            script: self.bytes,
            args: self.args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: self.env.clone(),
        }
    }

    /// Applies what the script changed, but for device files, which no image has; says which those are.
    fn take_up(&self, files: &mut Files<'_>, run: ScriptRun) -> Result<String, AssembleError> {
        let (package, script) = (self.package.to_owned(), self.name.to_owned());
        if run.status != 0 {
            return Err(AssembleError::ScriptFailed { package, script, status: run.status, log: run.log });
        }
        let change = |source| AssembleError::Change { package: package.clone(), script: script.clone(), source };
        let mut devices: BTreeSet<TreePath> = BTreeSet::new();
        for one in run.changes {
            match one {
                Change::Put(path, node) if matches!(node.kind, Kind::CharDevice { .. } | Kind::BlockDevice { .. }) => {
                    files.root.remove(&path);
                    devices.insert(path);
                }
                Change::Link { path, first } if devices.contains(&first) => {
                    files.root.remove(&path);
                    devices.insert(path);
                }
                Change::Put(path, node) => files.root.insert(path, node).map_err(change)?,
                Change::Link { path, first } => files.root.hard_link(&first, path).map_err(change)?,
                Change::Remove(path) => _ = files.root.remove(&path),
            }
        }
        Ok(devices.iter().map(|path| format!("; left out: the device {path}")).collect())
    }
}
