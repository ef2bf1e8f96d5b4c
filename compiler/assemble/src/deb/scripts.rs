//! One maintainer script at a time: emulated if it is understood, else run in the sandbox or refused; noted in the ledger.

use std::collections::{BTreeMap, BTreeSet};

use packages::{LedgerLine, ScriptClass};
use tree::{Digest, Kind, TreePath};

use super::commands;
use super::control::Package;
use super::system::System;
use crate::attempt::Attempt;
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
            Attempt::Done { status: 0, how, .. } => self.emulated(package, &name, how)?,
            // It may be the emulation that fails, so a runner has the last word here too.
            Attempt::Done { status, log, .. } => {
                let failed = || AssembleError::ScriptFailed {
                    package: package.name.clone(),
                    script: name.clone(),
                    status,
                    log: log.clone(),
                };
                let runner = self.runner.as_mut().filter(|_| self.policy == ScriptPolicy::Auto).ok_or_else(failed)?;
                let run = start(files, *runner, package, script, bytes, args)?;
                let left_out = take_up(files, package, &name, run)?;
                (ScriptClass::Run, format!("its emulation ends with status {status}{left_out}"))
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
                let left_out = take_up(files, package, &name, run)?;
                (ScriptClass::Run, format!("line {line}: {construct}{left_out}"))
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

    fn emulated(
        &mut self,
        package: &Package,
        script: &str,
        how: String,
    ) -> Result<(ScriptClass, String), AssembleError> {
        let notes: Vec<String> = std::mem::take(&mut self.system.notes).into_iter().collect();
        if !std::mem::take(&mut self.system.first_boot) {
            return Ok((ScriptClass::Emulated, [vec![how], notes].concat().join("; ")));
        }
        let notes = notes.join("; ");
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

/// Applies what a script changed, but for device files, which no image has; says which those are.
fn take_up(files: &mut Files<'_>, package: &Package, script: &str, run: ScriptRun) -> Result<String, AssembleError> {
    let (package, script) = (package.name.clone(), script.to_owned());
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
            Change::Remove(path) => {
                files.root.remove(&path);
            }
        }
    }
    Ok(devices.iter().map(|path| format!("; left out: the device {path}")).collect())
}

#[cfg(test)]
mod tests {
    use spec::appliance::Arch;
    use tree::{NoBlobs, Node, Tree};

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
        check("#!/bin/sh -e\n: > /made\n", ScriptPolicy::Strict, None, "Emulated plain shell [/made]");
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
    fn the_ledger_says_what_was_emulated() {
        let check = |script: &str, want: &str| check(script, ScriptPolicy::Strict, None, want);
        check("#!/bin/sh\nif [ \"$1\" = remove ]; then rm -f /x; fi\n", "Emulated changes nothing []");
        check("#!/bin/sh\nmkdir -p /a\nchmod 700 /a; /usr/bin/mkdir -p /a\n", "Emulated chmod, mkdir [/a]");
        let many =
            "#!/bin/sh\ntouch /a\nchmod 700 /a\nmv /a /b\ncp /b /c\nrm /c\ncat /b\nln -s b /d\nls /d >/dev/null\n";
        check(many, "Emulated cat, chmod, cp, ln, ls, mv and 2 more [/b /d]");
    }

    /// Makes a device under two names.
    struct MakesDevice;

    impl ScriptRunner for MakesDevice {
        fn run(&mut self, _: &ScriptRequest<'_>) -> Result<ScriptRun, ScriptRunError> {
            let path = |text: &str| TreePath::new(text).unwrap();
            let mut node = Node::file(0o666, "");
            node.kind = Kind::BlockDevice { major: 8, minor: 0 };
            let changes = vec![
                Change::Put(path("disk"), node),
                Change::Link { path: path("other"), first: path("disk") },
                Change::Put(path("kept"), Node::file(0o644, "")),
            ];
            Ok(ScriptRun { changes, ..ScriptRun::default() })
        }
    }

    #[test]
    fn devices_that_scripts_make_are_left_out_and_named() {
        let mut p = package("p", &[]);
        p.control_files.insert("postinst".to_owned(), b"#!/usr/bin/perl\n".to_vec());
        let mut tree = Tree::default();
        let mut files = Files { root: &mut tree, blobs: &NoBlobs, epoch_secs: 0 };
        let system = System::new(Arch::Amd64, &[], &[]);
        let mut runner = MakesDevice;
        let mut scripts = Scripts::new(system, ScriptPolicy::Auto, Some(&mut runner));
        scripts.run(&mut files, &p, "postinst", &["configure", ""]).unwrap();
        let want = "line 1: the interpreter `#!/usr/bin/perl`; left out: the device /disk; left out: the device /other";
        assert_eq!(scripts.into_ledger()[0].reason, want);
        assert_eq!(tree.iter().map(|(path, _, _)| path.display()).collect::<Vec<_>>(), ["/", "/kept"]);
    }

    #[test]
    fn an_attempt_that_meets_the_unknown_is_undone() {
        let script = "#!/bin/sh\n: > /made\ntouch --strange /x\n";
        check(script, ScriptPolicy::Auto, Some(Makes("run", 0)), "Run line 3: touch: the option --strange [/run]");
    }
}
