//! One maintainer script at a time: emulated if it is understood, else run in the sandbox or refused; noted in the ledger.

use std::collections::BTreeMap;

use packages::{LedgerLine, ScriptClass};
use tree::Digest;

use super::commands::{self, Attempt};
use super::control::Package;
use super::system::System;
use crate::error::AssembleError;
use crate::files::Files;
use crate::inputs::ScriptPolicy;
use crate::runner::{Change, ScriptRequest, ScriptRun, ScriptRunner};

/// Runs scripts and keeps their ledger.
pub(crate) struct Scripts<'a> {
    pub system: System,
    policy: ScriptPolicy,
    runner: Option<&'a mut dyn ScriptRunner>,
    ledger: Vec<LedgerLine>,
}

impl<'a> Scripts<'a> {
    pub fn new(system: System, policy: ScriptPolicy, runner: Option<&'a mut dyn ScriptRunner>) -> Self {
        Self { system, policy, runner, ledger: Vec::new() }
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
        script: &str,
        args: &[&str],
    ) -> Result<(), AssembleError> {
        let Some(bytes) = package.control_files.get(script) else { return Ok(()) };
        let name = if args.first() == Some(&"triggered") {
            format!("triggers:{}", args.get(1).unwrap_or(&""))
        } else {
            script.to_owned()
        };
        let (class, reason) = match commands::attempt(files, &mut self.system, package, script, bytes, args) {
            Attempt::Done { status: 0, .. } => self.emulated(package, &name)?,
            // It may be the emulation that fails, so a runner has the last word here too.
            Attempt::Done { status, log } => {
                let failed = || AssembleError::ScriptFailed {
                    package: package.name.clone(),
                    script: name.clone(),
                    status,
                    log: log.clone(),
                };
                let runner = self.runner.as_mut().filter(|_| self.policy == ScriptPolicy::Auto).ok_or_else(failed)?;
                let run = start(files, *runner, package, script, bytes, args)?;
                take_up(files, package, &name, run)?;
                (ScriptClass::Run, format!("its emulation ends with status {status}"))
            }
            Attempt::Unknown { line, construct } => {
                let refused = || AssembleError::Refused {
                    package: package.name.clone(),
                    script: name.clone(),
                    line,
                    construct: construct.clone(),
                };
                let runner = self.runner.as_mut().filter(|_| self.policy == ScriptPolicy::Auto).ok_or_else(refused)?;
                let run = start(files, *runner, package, script, bytes, args)?;
                take_up(files, package, &name, run)?;
                (ScriptClass::Run, format!("line {line}: {construct}"))
            }
        };
        self.ledger.push(LedgerLine {
            package: package.name.clone(),
            script: name,
            class,
            reason,
            digest: Digest::of(bytes),
        });
        Ok(())
    }

    fn emulated(&mut self, package: &Package, script: &str) -> Result<(ScriptClass, String), AssembleError> {
        let notes = std::mem::take(&mut self.system.notes).into_iter().collect::<Vec<_>>().join("; ");
        if !std::mem::take(&mut self.system.first_boot) {
            return Ok((ScriptClass::Emulated, notes));
        }
        if self.policy == ScriptPolicy::Strict {
            return Err(AssembleError::Refused {
                package: package.name.clone(),
                script: script.to_owned(),
                line: 0,
                construct: notes,
            });
        }
        Ok((ScriptClass::FirstBoot, notes))
    }
}

fn start(
    files: &Files<'_>,
    runner: &mut dyn ScriptRunner,
    package: &Package,
    script: &str,
    bytes: &[u8],
    args: &[&str],
) -> Result<ScriptRun, AssembleError> {
    let request = ScriptRequest {
        tree: files.tree(),
        name: format!("{} {script}", package.name),
        script: bytes,
        args: args.iter().map(|arg| (*arg).to_owned()).collect(),
        env: environment(package, script),
    };
    runner.run(&request).map_err(|source| AssembleError::Sandbox {
        package: package.name.clone(),
        script: script.to_owned(),
        source,
    })
}

/// The environment that dpkg gives its scripts (dpkg(1) ENVIRONMENT), and no more.
pub(crate) fn environment(package: &Package, script: &str) -> BTreeMap<String, String> {
    let pairs = [
        ("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"),
        ("HOME", "/root"),
        ("LC_ALL", "C"),
        ("SHELL", "/bin/sh"),
        ("DEBIAN_FRONTEND", "noninteractive"),
        ("DEBCONF_NONINTERACTIVE_SEEN", "true"),
        ("DPKG_ADMINDIR", "/var/lib/dpkg"),
        ("DPKG_ROOT", ""),
        ("DPKG_MAINTSCRIPT_ARCH", &package.arch),
        ("DPKG_MAINTSCRIPT_NAME", script),
        ("DPKG_MAINTSCRIPT_PACKAGE", &package.name),
        ("DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1"),
        ("DPKG_RUNNING_VERSION", "1.21.22"),
    ];
    pairs.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
}

/// Applies what a script changed.
fn take_up(files: &mut Files<'_>, package: &Package, script: &str, run: ScriptRun) -> Result<(), AssembleError> {
    let (package, script) = (package.name.clone(), script.to_owned());
    if run.status != 0 {
        return Err(AssembleError::ScriptFailed { package, script, status: run.status, log: run.log });
    }
    let change = |source| AssembleError::Change { package: package.clone(), script: script.clone(), source };
    for one in run.changes {
        match one {
            Change::Put(path, node) => files.root.insert(path, node).map_err(change)?,
            Change::Link { path, first } => files.root.hard_link(&first, path).map_err(change)?,
            Change::Remove(path) => {
                files.root.remove(&path);
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use spec::appliance::Arch;
    use tree::{NoBlobs, Node, Tree, TreePath};

    use super::super::testing::package;
    use super::*;
    use crate::runner::ScriptRunError;

    /// Makes one file, whatever it is asked to run.
    struct Makes(&'static str, i32);

    impl ScriptRunner for Makes {
        fn run(&mut self, request: &ScriptRequest<'_>) -> Result<ScriptRun, ScriptRunError> {
            assert_eq!(request.env["DPKG_MAINTSCRIPT_PACKAGE"], "p");
            let change = Change::Put(TreePath::new(self.0).unwrap(), Node::file(0o644, ""));
            Ok(ScriptRun { status: self.1, log: "one\ntwo\n".to_owned(), changes: vec![change] })
        }
    }

    fn check(script: &str, policy: ScriptPolicy, runner: Option<Makes>, want: &str) {
        let mut p = package("p", &[]);
        p.control_files.insert("postinst".to_owned(), script.as_bytes().to_vec());
        let mut tree = Tree::default();
        let mut files = Files { root: &mut tree, blobs: &NoBlobs, epoch_secs: 0 };
        let mut runner = runner;
        let runner = runner.as_mut().map(|runner| runner as &mut dyn ScriptRunner);
        let mut scripts = Scripts::new(System::new(Arch::Amd64, &[], &[]), policy, runner);
        let got = match scripts.run(&mut files, &p, "postinst", &["configure", ""]) {
            Err(error) => error.to_string(),
            Ok(()) => scripts.into_ledger().iter().map(|line| format!("{:?} {}", line.class, line.reason)).collect(),
        };
        let names: Vec<String> = tree.iter().skip(1).map(|(path, _, _)| path.display()).collect();
        assert_eq!(format!("{got} [{}]", names.join(" ")), want);
    }

    #[test]
    fn what_is_understood_is_done_and_nothing_else_leaves_a_trace() {
        let hostile = "#!/bin/sh\nset -e\n: > /made\n/usr/bin/strange --now\n";
        check("#!/bin/sh -e\n: > /made\n", ScriptPolicy::Strict, None, "Emulated  [/made]");
        check(
            hostile,
            ScriptPolicy::EmulateOnly,
            Some(Makes("run", 0)),
            "run postinst of package p: it ended with status 127; it printed: /var/lib/dpkg/info/p.postinst: 4: /usr/bin/strange: not found []",
        );
        check(
            "#!/usr/bin/perl\nunlink '/';\n",
            ScriptPolicy::EmulateOnly,
            Some(Makes("run", 0)),
            "emulate postinst of package p: line 1: the interpreter `#!/usr/bin/perl` []",
        );
        check(
            "#!/usr/bin/perl\n",
            ScriptPolicy::Auto,
            None,
            "emulate postinst of package p: line 1: the interpreter `#!/usr/bin/perl` []",
        );
        check(
            "#!/usr/bin/perl\n",
            ScriptPolicy::Auto,
            Some(Makes("run", 0)),
            "Run line 1: the interpreter `#!/usr/bin/perl` [/run]",
        );
        check(
            "#!/usr/bin/perl\n",
            ScriptPolicy::Auto,
            Some(Makes("run", 3)),
            "run postinst of package p: it ended with status 3; it printed: one / two []",
        );
    }

    #[test]
    fn an_attempt_that_meets_the_unknown_is_undone() {
        let script = "#!/bin/sh\n: > /made\ntouch --strange /x\n";
        check(script, ScriptPolicy::Auto, Some(Makes("run", 0)), "Run line 3: touch: the option --strange [/run]");
    }
}
