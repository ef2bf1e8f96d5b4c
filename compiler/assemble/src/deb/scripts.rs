//! One maintainer script at a time: emulated if it is understood, else run in the sandbox or refused; noted in the ledger.

use std::collections::BTreeMap;

use packages::ScriptClass;

use super::commands;
use super::control::Package;
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
    /// What was decided of each script; it knows the ledger, the policy and the verdict.
    pub elsewhere: Elsewhere<'a>,
}

impl<'a> Scripts<'a> {
    pub fn new(system: System, policy: ScriptPolicy, runner: Option<&'a mut dyn ScriptRunner>) -> Self {
        Self { system, elsewhere: Elsewhere::new(policy, runner) }
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
        let file = format!("{} {script}", package.info_name());
        let env = environment(package, script);
        let called = Script { package: &package.name, name: &name, file, bytes, args, env };
        if self.elsewhere.is_for_all() {
            return self.elsewhere.run(files, &called, "every script is run".to_owned());
        }
        match commands::attempt(files, &mut self.system, package, script, bytes, args) {
            Attempt::Done { status: 0, how, .. } => {
                self.emulated(&called, how);
                Ok(())
            }
            // It may be the emulation that fails, so a runner has the last word here too.
            other => self.elsewhere.run(files, &called, other.why_not()),
        }
    }

    fn emulated(&mut self, script: &Script<'_>, how: String) {
        let notes: Vec<String> = std::mem::take(&mut self.system.notes).into_iter().collect();
        match std::mem::take(&mut self.system.first_boot) {
            false => self.elsewhere.note(script, ScriptClass::Emulated, [vec![how], notes].concat().join("; ")),
            true if self.elsewhere.may_leave_work() => {
                self.elsewhere.note(script, ScriptClass::FirstBoot, notes.join("; "));
            }
            true => self.elsewhere.block(script, notes.join("; ")),
        }
    }
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

#[cfg(test)]
mod tests {
    use spec::appliance::Arch;
    use tree::{Kind, NoBlobs, Node, Tree, TreePath};

    use super::super::testing::package;
    use super::*;
    use crate::runner::{Change, ScriptRequest, ScriptRun, ScriptRunError};

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
        let outcome = scripts.run(&mut files, &p, "postinst", &["configure", ""]);
        let got = match scripts.elsewhere.verdict(outcome) {
            Err(error) => error.to_string(),
            Ok(()) => {
                scripts.elsewhere.into_ledger().iter().map(|line| format!("{:?} {}", line.class, line.reason)).collect()
            }
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
            "emulate postinst of package p: its emulation ends with status 127; it printed: /var/lib/dpkg/info/p.postinst: 4: /usr/bin/strange: not found []",
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
        assert_eq!(scripts.elsewhere.into_ledger()[0].reason, want);
        assert_eq!(tree.iter().map(|(path, _, _)| path.display()).collect::<Vec<_>>(), ["/", "/kept"]);
    }

    /// Can run nothing here, and says so when it is asked.
    struct Cannot;

    impl ScriptRunner for Cannot {
        fn ready(&mut self) -> Result<(), ScriptRunError> {
            Err(ScriptRunError { what: "there is no emulator".to_owned(), source: None })
        }

        fn run(&mut self, request: &ScriptRequest<'_>) -> Result<ScriptRun, ScriptRunError> {
            panic!("{} is run", request.name)
        }
    }

    /// What three packages come to, of which the first and the last have scripts that are not understood.
    fn check_blocked(policy: ScriptPolicy, runner: &mut dyn ScriptRunner, want: &str) {
        let mut tree = Tree::default();
        let mut files = Files { root: &mut tree, blobs: &NoBlobs, epoch_secs: 0 };
        let mut scripts = Scripts::new(System::new(Arch::Arm64, &[], &[]), policy, Some(runner));
        for (name, text) in [("a", "#!/usr/bin/perl\n"), ("b", "#!/bin/sh\n: > /b\n"), ("c", "#!/bin/sh\ntest -e /a\n")]
        {
            let mut p = package(name, &[]);
            p.control_files.insert("postinst".to_owned(), text.as_bytes().to_vec());
            scripts.run(&mut files, &p, "postinst", &["configure", ""]).unwrap();
        }
        let error = scripts.elsewhere.verdict(Ok(())).unwrap_err();
        let cause = std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
        assert_eq!(format!("{error}; {cause}"), want);
    }

    #[test]
    fn all_scripts_in_the_way_are_named_at_once() {
        let listed = "emulate 2 maintainer scripts:\n    postinst of package a: line 1: the interpreter `#!/usr/bin/perl`\n    \
            postinst of package c: its emulation ends with status 1; ";
        check_blocked(ScriptPolicy::EmulateOnly, &mut Cannot, listed);
        let cause = "run a script in the sandbox: there is no emulator";
        check_blocked(ScriptPolicy::Auto, &mut Cannot, &format!("{listed}{cause}"));
        let all: String =
            ["a", "b", "c"].map(|name| format!("\n    postinst of package {name}: every script is run")).concat();
        check_blocked(ScriptPolicy::Run, &mut Cannot, &format!("emulate 3 maintainer scripts:{all}; {cause}"));
    }

    #[test]
    fn an_attempt_that_meets_the_unknown_is_undone() {
        let script = "#!/bin/sh\n: > /made\ntouch --strange /x\n";
        check(script, ScriptPolicy::Auto, Some(Makes("run", 0)), "Run line 3: touch: the option --strange [/run]");
    }
}
