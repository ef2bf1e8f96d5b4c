//! Alpine's own commands over a tree, and the attempt to emulate a script with them.
//!
//! A command that meets what it does not understand ends the attempt: the script is then undone and run elsewhere.

mod accounts;
mod busybox;
mod openrc;

use std::cell::RefCell;
use std::collections::BTreeMap;

use packages::apk::arch_name;
use shell::Unknown;
use spec::appliance::Arch;
use tree::Blobs;

use super::system::System;
use crate::attempt::Attempt;
use crate::elsewhere::Script;
use crate::files::{Files, PathProblem};
use crate::journaled::Journaled;

/// One call of a command.
struct Call<'c, 'k, 's, 'y> {
    inner: &'c mut shell::Call<'k, 's>,
    args: Vec<String>,
    blobs: &'c dyn Blobs,
    epoch_secs: i64,
    system: &'c RefCell<&'y mut System>,
}

type Command = fn(&mut Call<'_, '_, '_, '_>) -> Result<i32, Unknown>;

/// The commands by name. All stand for a program of the same name in the image and are there only if it is.
const COMMANDS: &[(&str, Command)] = &[
    ("addgroup", accounts::addgroup),
    ("adduser", accounts::adduser),
    ("busybox", busybox::call),
    ("busybox-extras", busybox::call),
    ("delgroup", accounts::delgroup),
    ("deluser", accounts::deluser),
    ("getent", accounts::getent),
    ("rc-service", openrc::rc_service),
    ("rc-update", openrc::rc_update),
];

impl Call<'_, '_, '_, '_> {
    /// Works on the files of the script.
    fn with<T>(&mut self, work: impl FnOnce(&mut Files<'_>) -> Result<T, PathProblem>) -> Result<T, Unknown> {
        let mut root = Journaled(self.inner.fs_mut());
        let mut files = Files { root: &mut root, blobs: self.blobs, epoch_secs: self.epoch_secs };
        work(&mut files).map_err(|problem| {
            use std::error::Error;
            let cause = problem.source().map(|source| format!(": {source}")).unwrap_or_default();
            self.inner.unknown(format!("a file cannot be used: {problem}{cause}"))
        })
    }

    fn unknown<T>(&self, what: &str) -> Result<T, Unknown> {
        Err(self.inner.unknown(what))
    }

    fn fail(&mut self, what: &str) -> Result<i32, Unknown> {
        self.inner.fail(what)
    }
}

/// Tries to bring about what a script would do.
pub(crate) fn attempt(files: &mut Files<'_>, system: &mut System, arch: Arch, script: &Script<'_>) -> Attempt {
    let interpreter = script.bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    let Some(options) = shell_options(interpreter) else {
        let construct = format!("the interpreter `{}`", String::from_utf8_lossy(interpreter));
        return Attempt::Unknown { line: 1, construct };
    };
    // The options of the `#!` line become a `set` in that line's place, so that lines keep their numbers.
    let rest = script.bytes.strip_prefix(interpreter).unwrap_or_default();
    let first = if options.is_empty() { String::new() } else { format!("set {options}") };
    let parsed = match shell::parse(&[first.as_bytes(), rest].concat()) {
        Ok(parsed) => parsed,
        Err(error) => return Attempt::Unknown { line: error.line, construct: error.to_string() },
    };
    let before = system.clone();
    let outcome = evaluate(files, system, arch, script, &parsed);
    Attempt::settle(outcome, files, system, before, |done| {
        done.called.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    })
}

/// The options of a `#!` line that names a shell: `/bin/sh`, or busybox as one.
fn shell_options(line: &[u8]) -> Option<String> {
    let line = String::from_utf8_lossy(line.strip_prefix(b"#!")?).into_owned();
    let mut words = line.split_whitespace();
    let program = words.next()?;
    let is_shell = match program {
        "/bin/sh" | "/bin/ash" | "/usr/bin/sh" => true,
        "/bin/busybox" => matches!(words.next()?, "sh" | "ash"),
        _ => false,
    };
    let options: Vec<&str> = words.collect();
    let plain = options.iter().all(|option| ["-e", "-u", "-eu"].contains(option));
    (is_shell && plain).then(|| options.join(" "))
}

fn evaluate(
    files: &mut Files<'_>,
    system: &mut System,
    arch: Arch,
    script: &Script<'_>,
    parsed: &shell::Script,
) -> shell::Outcome {
    let (blobs, epoch_secs) = (files.blobs, files.epoch_secs);
    let system = RefCell::new(system);
    let mut commands = shell::Commands::default();
    for (name, command) in COMMANDS {
        let system = &system;
        commands.add(name, move |inner: &mut shell::Call<'_, '_>| {
            let args = inner.text_args()?;
            command(&mut Call { inner, args, blobs, epoch_secs, system })
        });
    }
    let env: BTreeMap<Vec<u8>, Vec<u8>> =
        script.env.iter().map(|(name, value)| (name.clone().into_bytes(), value.clone().into_bytes())).collect();
    let args: Vec<Vec<u8>> = script.args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
    let Some(tree) = files.root.as_tree() else {
        return shell::Outcome::Unknown(shell::Unknown { what: "a script inside a script".to_owned(), line: 0 });
    };
    let mut session = shell::Session::new(tree, blobs, &commands);
    session.mtime_secs = epoch_secs;
    session.machine = Some(arch_name(arch).to_owned());
    session.name = format!("{}.{}", script.package, script.name);
    shell::run(parsed, session, &args, &env)
}

#[cfg(test)]
mod testing {
    use tree::{NoBlobs, Tree};

    use super::*;

    /// Runs a script over a tree with these files and `busybox`; gives the tree and how it ended.
    pub(super) fn run(prepare: &[(&str, &str)], text: &str) -> (String, String) {
        let mut tree = Tree::default();
        let mut files = Files { root: &mut tree, blobs: &NoBlobs, epoch_secs: 86_400 };
        for (path, text) in [("/bin/busybox", "")].iter().chain(prepare) {
            let mode = if path.contains("bin/") { 0o755 } else { 0o644 };
            files.write(path, mode, *text).unwrap();
        }
        let bytes = format!("#!/bin/busybox sh\n{text}\n");
        let (name, file, env) = ("post-install", "toy post-install".to_owned(), super::super::scripts::environment());
        let script = Script { package: "toy", name, file, bytes: bytes.as_bytes(), args: &["1-r0"], env };
        let ended = attempt(&mut files, &mut System::default(), Arch::Amd64, &script);
        let ended = match ended {
            Attempt::Done { status, log, .. } => format!("{log}{status}"),
            Attempt::Unknown { line, construct } => format!("line {line}: {construct}"),
        };
        (tree::dump(&tree), ended)
    }
}
