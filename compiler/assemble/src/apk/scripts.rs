//! One script at a time: emulated if it is understood, else run in the sandbox or refused; noted in the ledger.

use std::collections::BTreeMap;

use packages::ScriptClass;
use spec::appliance::Arch;

use super::commands;
use super::package::Package;
use super::system::System;
use crate::attempt::Attempt;
use crate::elsewhere::{Elsewhere, Script};
use crate::error::AssembleError;
use crate::files::Files;
use crate::inputs::ScriptPolicy;
use crate::runner::ScriptRunner;

/// Runs scripts and keeps their ledger.
pub(crate) struct Scripts<'a> {
    pub system: System,
    arch: Arch,
    /// What was decided of each script; it knows the ledger, the policy and the verdict.
    pub elsewhere: Elsewhere<'a>,
}

impl<'a> Scripts<'a> {
    pub fn new(system: System, arch: Arch, policy: ScriptPolicy, runner: Option<&'a mut dyn ScriptRunner>) -> Self {
        Self { system, arch, elsewhere: Elsewhere::new(policy, runner) }
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
        let file = format!("{} {name}", package.name);
        let script = Script { package: &package.name, name, file, bytes, args, env: environment() };
        if self.elsewhere.is_for_all() {
            return self.elsewhere.run(files, &script, "every script is run".to_owned());
        }
        match commands::attempt(files, &mut self.system, self.arch, &script) {
            Attempt::Done { status: 0, how, .. } => {
                let reasons = [how].into_iter().chain(std::mem::take(&mut self.system.notes));
                let reasons: Vec<String> = reasons.filter(|reason| !reason.is_empty()).collect();
                self.elsewhere.note(&script, ScriptClass::Emulated, reasons.join("; "));
                Ok(())
            }
            // It may be the emulation that fails, so a runner has the last word here too.
            other => self.elsewhere.run(files, &script, other.why_not()),
        }
    }
}

/// The environment that `apk` gives its scripts, and no more.
pub(crate) fn environment() -> BTreeMap<String, String> {
    let pairs = [("PATH", "/usr/sbin:/usr/bin:/sbin:/bin"), ("HOME", "/root"), ("LC_ALL", "C")];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}
