//! One script at a time: emulated if it is understood, else run in the sandbox or refused; noted in the ledger.

use std::collections::BTreeMap;

use packages::{LedgerLine, ScriptClass};
use spec::appliance::Arch;
use tree::Digest;

use super::commands;
use super::package::Package;
use super::system::System;
use crate::attempt::Attempt;
use crate::error::AssembleError;
use crate::files::Files;
use crate::inputs::ScriptPolicy;
use crate::runner::{Change, ScriptRequest, ScriptRun, ScriptRunner};

/// Runs scripts and keeps their ledger.
pub(crate) struct Scripts<'a> {
    pub system: System,
    arch: Arch,
    policy: ScriptPolicy,
    runner: Option<&'a mut dyn ScriptRunner>,
    ledger: Vec<LedgerLine>,
}

/// A script with all that it is called with.
pub(crate) struct Script<'a> {
    pub package: &'a Package,
    pub name: &'a str,
    pub bytes: &'a [u8],
    pub args: &'a [&'a str],
}

impl<'a> Scripts<'a> {
    pub fn new(system: System, arch: Arch, policy: ScriptPolicy, runner: Option<&'a mut dyn ScriptRunner>) -> Self {
        Self { system, arch, policy, runner, ledger: Vec::new() }
    }

    /// What happened with each script, sorted.
    pub fn into_ledger(mut self) -> Vec<LedgerLine> {
        self.ledger.sort();
        self.ledger
    }

    /// Brings about what a script of a package would do with these arguments; nothing if there is no such script.
    pub fn run(
        &mut self,
        files: &mut Files<'_>,
        package: &Package,
        name: &str,
        args: &[&str],
    ) -> Result<(), AssembleError> {
        let Some(bytes) = package.script(name) else { return Ok(()) };
        let script = Script { package, name, bytes, args };
        let (class, reason) = match commands::attempt(files, &mut self.system, self.arch, &script) {
            Attempt::Done { status: 0, how, .. } => {
                let reasons = [how].into_iter().chain(std::mem::take(&mut self.system.notes));
                let reasons: Vec<String> = reasons.filter(|reason| !reason.is_empty()).collect();
                (ScriptClass::Emulated, reasons.join("; "))
            }
            // It may be the emulation that fails, so a runner has the last word here too.
            Attempt::Done { status, log, .. } => {
                let error = script.failed(status, log);
                self.run_elsewhere(files, &script, error)?;
                (ScriptClass::Run, format!("its emulation ends with status {status}"))
            }
            Attempt::Unknown { line, construct } => {
                let reason = format!("line {line}: {construct}");
                let error = script.refused(line, construct);
                self.run_elsewhere(files, &script, error)?;
                (ScriptClass::Run, reason)
            }
        };
        let (package, script, digest) = (package.name.clone(), name.to_owned(), Digest::of(bytes));
        self.ledger.push(LedgerLine { package, script, class, reason, digest });
        Ok(())
    }

    /// Runs a script in the sandbox, or gives `error` where that is not to be.
    fn run_elsewhere(
        &mut self,
        files: &mut Files<'_>,
        script: &Script<'_>,
        error: AssembleError,
    ) -> Result<(), AssembleError> {
        let Some(runner) = self.runner.as_mut().filter(|_| self.policy == ScriptPolicy::Auto) else {
            return Err(error);
        };
        let run = runner.run(&script.request(files)).map_err(|source| AssembleError::Sandbox {
            package: script.package.name.clone(),
            script: script.name.to_owned(),
            source,
        })?;
        script.take_up(files, run)
    }
}

impl Script<'_> {
    fn failed(&self, status: i32, log: String) -> AssembleError {
        let (package, script) = (self.package.name.clone(), self.name.to_owned());
        AssembleError::ScriptFailed { package, script, status, log }
    }

    fn refused(&self, line: u32, construct: String) -> AssembleError {
        let (package, script) = (self.package.name.clone(), self.name.to_owned());
        AssembleError::Refused { package, script, line, construct }
    }

    fn request<'r>(&'r self, files: &'r Files<'_>) -> ScriptRequest<'r> {
        ScriptRequest {
            tree: files.tree(),
            name: format!("{} {}", self.package.name, self.name),
            script: self.bytes,
            args: self.args.iter().map(|arg| (*arg).to_owned()).collect(),
            env: environment(),
        }
    }

    /// Applies what the script changed.
    fn take_up(&self, files: &mut Files<'_>, run: ScriptRun) -> Result<(), AssembleError> {
        if run.status != 0 {
            return Err(self.failed(run.status, run.log));
        }
        let (package, script) = (self.package.name.clone(), self.name.to_owned());
        let change = |source| AssembleError::Change { package: package.clone(), script: script.clone(), source };
        for one in run.changes {
            match one {
                Change::Put(path, node) => files.root.insert(path, node).map_err(change)?,
                Change::Link { path, first } => files.root.hard_link(&first, path).map_err(change)?,
                Change::Remove(path) => _ = files.root.remove(&path),
            }
        }
        Ok(())
    }
}

/// The environment that `apk` gives its scripts, and no more.
pub(crate) fn environment() -> BTreeMap<String, String> {
    let pairs = [("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root"), ("LC_ALL", "C")];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
