//! The attempt to emulate one script: the shell over the tree with Debian's commands; all of it undone if anything is unknown.

use std::cell::RefCell;
use std::collections::BTreeMap;

use spec::appliance::Arch;
use tree::Blobs;

use super::super::control::Package;
use super::super::scripts::environment;
use super::super::system::System;
use super::{COMMANDS, Call, Command, Unknown, debconf};
use crate::attempt::Attempt;
use crate::files::Files;
use crate::journaled::Journaled;

/// Tries to bring about what a script would do.
pub(crate) fn attempt(
    files: &mut Files<'_>,
    system: &mut System,
    package: &Package,
    script: &str,
    bytes: &[u8],
    args: &[&str],
) -> Attempt {
    let interpreter = bytes.split(|&b| b == b'\n').next().unwrap_or_default();
    if !is_posix_shell(interpreter) {
        return Attempt::Unknown {
            line: 1,
            construct: format!("the interpreter `{}`", String::from_utf8_lossy(interpreter)),
        };
    }
    let parsed = match shell::parse(&with_options(interpreter, bytes)) {
        Ok(parsed) => parsed,
        Err(error) => return Attempt::Unknown { line: error.line, construct: error.to_string() },
    };
    let before = system.clone();
    system.package = package.name.clone();
    let outcome = evaluate(files, system, package, script, &parsed, args);
    Attempt::settle(outcome, files, system, before, how)
}

/// What a script consisted of: the commands that it called.
fn how(done: &shell::Done) -> String {
    /// More names than these tell nobody more.
    const SHOWN: usize = 6;
    let mut names: Vec<&str> =
        done.called.iter().map(|name| if name == debconf::NAME { "debconf" } else { name.as_str() }).collect();
    names.sort_unstable();
    match (names.len(), done.changes.paths().is_empty()) {
        (0, true) => "changes nothing".to_owned(),
        (0, false) => "plain shell".to_owned(),
        (..=SHOWN, _) => names.join(", "),
        (count, _) => format!("{} and {} more", names[..SHOWN].join(", "), count - SHOWN),
    }
}

/// Scripts of `bash` are tried too: what only bash has is unknown to the shell and so refuses itself.
fn is_posix_shell(line: &[u8]) -> bool {
    let Some(line) = line.strip_prefix(b"#!") else { return false };
    let line = String::from_utf8_lossy(line);
    let mut words = line.split_whitespace();
    let program = words.next().unwrap_or_default();
    ["/bin/sh", "/usr/bin/sh", "/bin/dash", "/usr/bin/dash", "/bin/bash", "/usr/bin/bash"].contains(&program)
        && words.all(|option| option == "-e" || option == "-u" || option == "-eu")
}

/// The script with the options of its `#!` line as a `set` in that line's place, so that lines keep their numbers.
fn with_options(interpreter: &[u8], bytes: &[u8]) -> Vec<u8> {
    let options: Vec<&[u8]> = interpreter.split(|&b| b == b' ').filter(|word| word.starts_with(b"-")).collect();
    match options.is_empty() {
        true => bytes.to_vec(),
        false => [b"set ", &options.join(&b' ')[..], bytes.strip_prefix(interpreter).unwrap_or(bytes)].concat(),
    }
}

fn evaluate(
    files: &mut Files<'_>,
    system: &mut System,
    package: &Package,
    script: &str,
    parsed: &shell::Script,
    args: &[&str],
) -> shell::Outcome {
    let (blobs, epoch_secs) = (files.blobs, files.epoch_secs);
    let machine = match system.arch {
        Arch::Amd64 => "x86_64",
        Arch::Arm64 => "aarch64",
    };
    let system = RefCell::new(system);
    let mut commands = shell::Commands::default();
    for (name, command) in COMMANDS {
        commands.add(name, Emulated { name, command: *command, blobs, epoch_secs, system: &system });
    }
    add_python(&mut commands, &system);
    commands.replace_source(debconf::LIBRARY, debconf::FUNCTIONS.as_bytes());
    let mut env: BTreeMap<Vec<u8>, Vec<u8>> =
        environment(package, script).into_iter().map(|(name, value)| (name.into_bytes(), value.into_bytes())).collect();
    env.insert(b"DEBIAN_HAS_FRONTEND".to_vec(), b"1".to_vec());
    let args: Vec<Vec<u8>> = args.iter().map(|arg| arg.as_bytes().to_vec()).collect();
    let Some(tree) = files.root.as_tree() else {
        return shell::Outcome::Unknown(shell::Unknown { what: "a script inside a script".to_owned(), line: 0 });
    };
    let mut session = shell::Session::new(tree, blobs, &commands);
    session.mtime_secs = epoch_secs;
    session.machine = Some(machine.to_owned());
    session.name = format!("/var/lib/dpkg/info/{}.{script}", package.info_name());
    shell::run(parsed, session, &args, &env)
}

/// The programs of dpkg itself. Whoever runs maintainer scripts is there before any of them, also where the package of that
/// name is only unpacked later.
const OF_DPKG: [&str; 8] = [
    "dpkg",
    "dpkg-divert",
    "dpkg-maintscript-helper",
    "dpkg-query",
    "dpkg-realpath",
    "dpkg-statoverride",
    "dpkg-trigger",
    "update-alternatives",
];

/// One of Debian's commands, as the shell calls it.
struct Emulated<'e> {
    name: &'static str,
    command: Command,
    blobs: &'e dyn Blobs,
    epoch_secs: i64,
    system: &'e RefCell<&'e mut System>,
}

impl shell::Command for Emulated<'_> {
    fn run(&self, call: &mut shell::Call<'_, '_>) -> Result<i32, shell::Unknown> {
        let args = call.text_args()?;
        let env: BTreeMap<&str, Option<String>> =
            ["DPKG_MAINTSCRIPT_ARCH", "DPKG_MAINTSCRIPT_NAME", "DPKG_MAINTSCRIPT_PACKAGE"]
                .into_iter()
                .map(|name| (name, call.env(name).map(|value| String::from_utf8_lossy(&value).into_owned())))
                .collect();
        let mut system = self.system.borrow_mut();
        let mut root = Journaled(call.fs_mut());
        let mut files = Files { root: &mut root, blobs: self.blobs, epoch_secs: self.epoch_secs };
        let look_up = |name: &str| env.get(name).cloned().flatten();
        let mut inner = Call {
            name: self.name,
            args: &args,
            env: &look_up,
            files: &mut files,
            system: &mut system,
            out: String::new(),
            err: String::new(),
        };
        let result = (self.command)(&mut inner);
        let (out, err) = (inner.out, inner.err);
        drop(system);
        call.out(out)?;
        call.err(err)?;
        result.map_err(|Unknown(what)| call.unknown(what))
    }

    fn exists(&self, name: &[u8], fs: &shell::Fs<'_>) -> bool {
        let is_here = |known: &&str| known.as_bytes() == name;
        is_here(&debconf::NAME) || OF_DPKG.iter().any(is_here) || fs.program(name).is_some()
    }
}

/// Compiling Python to bytecode is the one use of Python in scripts that is understood: nothing is kept of it.
fn add_python<'c>(commands: &mut shell::Commands<'c>, system: &'c RefCell<&'c mut System>) {
    for minor in 9..20 {
        let compile = move |call: &mut shell::Call<'_, '_>| {
            let args = call.text_args()?;
            let program = args.iter().find(|arg| !arg.starts_with('-'));
            if program.is_some_and(|program| program.ends_with("/py_compile.py") || program.ends_with("/compileall.py"))
            {
                system.borrow_mut().note("no Python bytecode is kept");
                return Ok(0);
            }
            Err(call.unknown("a Python program is not understood"))
        };
        commands.add(&format!("python3.{minor}"), compile);
    }
    // libc6 asks whether perl works before it uses debconf through it; debconf works here without perl.
    commands.add("perl", |call: &mut shell::Call<'_, '_>| match call.text_args()?.as_slice() {
        [option, program] if option == "-e" && program.is_empty() => Ok(0),
        _ => Err(call.unknown("a Perl program is not understood")),
    });
}
