//! The state of a running shell, its bounds, its descriptors and how it finds commands.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use tree::{Kind, TreePath};

use crate::ast::{self, Script};
use crate::builtins;
use crate::call::{Call, Commands};
use crate::fs::Fs;
use crate::session::{Limits, Unknown};
use crate::stream::{Buffer, Stream};
use crate::utilities;
use crate::variables::Variables;

/// Why an evaluation does not go on with the next command.
#[derive(Debug)]
pub(crate) enum Stop {
    Unknown(Unknown),
    Exit(i32),
    Return(i32),
    Break(u32),
    Continue(u32),
}

impl From<Unknown> for Stop {
    fn from(unknown: Unknown) -> Self {
        Self::Unknown(unknown)
    }
}

pub(crate) type Eval<T> = Result<T, Stop>;

/// What `set` switches.
#[derive(Debug, Clone, Default)]
pub(crate) struct Options {
    pub errexit: bool,
    pub nounset: bool,
    pub noglob: bool,
    pub xtrace: bool,
    pub allexport: bool,
    pub noclobber: bool,
}

/// What a subshell gets a copy of.
#[derive(Clone)]
pub(crate) struct State {
    pub vars: Variables,
    pub functions: BTreeMap<Vec<u8>, Arc<ast::Command>>,
    pub options: Options,
    pub fds: BTreeMap<u32, Stream>,
    pub cwd: TreePath,
    pub umask: u16,
    pub args: Vec<Vec<u8>>,
    pub name: Vec<u8>,
    pub exit_trap: Option<Vec<u8>>,
    pub loops: u32,
    pub status: i32,
}

pub(crate) struct Shell<'s> {
    pub fs: Fs<'s>,
    pub commands: &'s Commands<'s>,
    pub state: State,
    /// Whether a failing command is being tested, so that `set -e` does not apply.
    pub tested: bool,
    pub line: u32,
    pub substitution_status: Option<i32>,
    pub machine: Option<String>,
    pub stdout: Buffer,
    pub stderr: Buffer,
    pub notes: Vec<(String, Vec<u8>)>,
    /// Commands that were started, without the folders they were called in.
    pub called: BTreeSet<String>,
    pub temporary_names: u32,
    depth: u32,
    pub nesting: u32,
    limits: Limits,
}

/// Where programs are looked for when `PATH` says nothing.
const PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

impl Fs<'_> {
    /// The path of a program, where scripts of packages look for it.
    pub fn program(&self, name: &[u8]) -> Option<TreePath> {
        if name.starts_with(b"/") {
            return self.resolve(&TreePath::root(), name).ok().filter(|path| self.is_executable(path));
        }
        self.find_program(name, PATH).map(|(_, path)| path)
    }

    /// The path of a program as found and as resolved.
    pub(crate) fn find_program(&self, name: &[u8], path: &[u8]) -> Option<(Vec<u8>, TreePath)> {
        path.split(|&byte| byte == b':').find_map(|folder| {
            let full = [folder, b"/", name].concat();
            let found = self.resolve(&TreePath::root(), &full).ok()?;
            self.is_executable(&found).then_some((full, found))
        })
    }

    pub(crate) fn is_executable(&self, path: &TreePath) -> bool {
        self.node(path).is_some_and(|node| matches!(node.kind, Kind::File(_)) && node.meta.mode & 0o111 != 0)
    }
}

/// What a command name means.
pub(crate) enum Meaning<'s> {
    Function(Arc<ast::Command>),
    Builtin(builtins::Builtin),
    Registered(&'s dyn crate::Command),
    Utility(utilities::Utility),
    Program(TreePath),
    NotFound,
}

impl<'s> Shell<'s> {
    pub fn new(
        fs: Fs<'s>,
        commands: &'s Commands<'s>,
        limits: Limits,
        machine: Option<String>,
        name: String,
        stdin: Vec<u8>,
    ) -> Self {
        let (stdout, stderr) = (Buffer::default(), Buffer::default());
        let fds = [(0, Stream::input(stdin)), (1, Stream::Output(stdout.clone())), (2, Stream::Output(stderr.clone()))];
        let mut vars = Variables::default();
        for (name, value) in [
            ("IFS", " \t\n"),
            ("OPTIND", "1"),
            ("PS1", "# "),
            ("PS2", "> "),
            ("PS4", "+ "),
            ("PPID", "1"),
            ("PWD", "/"),
        ] {
            // Nothing is protected yet.
            let _ = vars.set(name.as_bytes(), value.as_bytes().to_vec());
        }
        let state = State {
            vars,
            functions: BTreeMap::new(),
            options: Options::default(),
            fds: fds.into(),
            cwd: TreePath::root(),
            umask: 0o022,
            args: Vec::new(),
            name: name.into_bytes(),
            exit_trap: None,
            loops: 0,
            status: 0,
        };
        Self {
            fs,
            commands,
            state,
            tested: false,
            line: 1,
            substitution_status: None,
            machine,
            stdout,
            stderr,
            notes: Vec::new(),
            called: BTreeSet::new(),
            temporary_names: 0,
            depth: 0,
            nesting: 0,
            limits,
        }
    }

    pub fn script(&mut self, script: &Script) -> Eval<i32> {
        self.list(&script.body)
    }

    /// Ends a shell: a stop becomes a status, and what `trap … EXIT` asked for is done.
    pub fn finish(&mut self, result: Eval<i32>) -> Result<i32, Unknown> {
        let status = match result {
            Ok(status) | Err(Stop::Exit(status) | Stop::Return(status)) => status,
            Err(Stop::Break(_) | Stop::Continue(_)) => self.state.status,
            Err(Stop::Unknown(unknown)) => return Err(unknown),
        };
        let Some(action) = self.state.exit_trap.take() else { return Ok(status) };
        self.state.status = status;
        self.tested = false;
        match self.eval_text(&action) {
            Err(Stop::Unknown(unknown)) => Err(unknown),
            Err(Stop::Exit(status)) => Ok(status),
            _ => Ok(status),
        }
    }

    pub fn unknown(&self, what: impl Into<String>) -> Unknown {
        Unknown { what: what.into(), line: self.line }
    }

    /// Counts work against the bound.
    pub fn work(&mut self, steps: u64) -> Result<(), Unknown> {
        match self.limits.steps.checked_sub(steps) {
            Some(left) => {
                self.limits.steps = left;
                Ok(())
            }
            None => Err(self.unknown("the script runs too long")),
        }
    }

    pub fn spend_bytes(&mut self, count: usize) -> Result<(), Unknown> {
        match self.limits.bytes.checked_sub(count as u64) {
            Some(left) => {
                self.limits.bytes = left;
                Ok(())
            }
            None => Err(self.unknown("the script writes too much")),
        }
    }

    /// Runs `inner` one level deeper.
    pub fn deeper<T>(&mut self, inner: impl FnOnce(&mut Self) -> Eval<T>) -> Eval<T> {
        if self.depth >= self.limits.depth {
            return Err(self.unknown("the script calls itself too deeply").into());
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// Runs `inner` in a copy of the shell; only what it does to the tree remains.
    pub fn subshell(&mut self, inner: impl FnOnce(&mut Self) -> Eval<i32>) -> Eval<i32> {
        let saved = self.state.clone();
        let tested = self.tested;
        self.state.exit_trap = None;
        self.state.loops = 0;
        let result = self.deeper(inner);
        let status = self.finish(result);
        self.state = saved;
        self.tested = tested;
        Ok(status?)
    }

    /// Reads and evaluates text in this shell.
    pub fn eval_text(&mut self, text: &[u8]) -> Eval<i32> {
        let script = match crate::parse::parse(text) {
            Ok(script) => script,
            Err(error) => return Err(self.unknown(format!("text that is no script: {error}")).into()),
        };
        let line = self.line;
        let result = self.deeper(|shell| shell.list(&script.body));
        self.line = line;
        result
    }

    /// Says what is wrong, in the words of dash.
    pub fn complain(&mut self, message: &str) -> Result<(), Unknown> {
        let name = String::from_utf8_lossy(&self.state.name).into_owned();
        let text = format!("{name}: {}: {message}\n", self.line);
        self.write(2, text.as_bytes())
    }

    pub fn meaning(&self, name: &[u8]) -> Meaning<'s> {
        if name.contains(&b'/') {
            return self.meaning_of_path(name);
        }
        if let Some(body) = self.state.functions.get(name) {
            return Meaning::Function(body.clone());
        }
        match builtins::find(name) {
            Some(builtin) => Meaning::Builtin(builtin),
            None => self.external_meaning(name),
        }
    }

    /// What a name means to a program that starts others.
    pub fn external_meaning(&self, name: &[u8]) -> Meaning<'s> {
        if name.contains(&b'/') {
            return self.meaning_of_path(name);
        }
        if let Some(command) = self.commands.get(name) {
            return if command.exists(name, &self.fs) { Meaning::Registered(command) } else { Meaning::NotFound };
        }
        let path = self.state.vars.get(b"PATH").unwrap_or(PATH);
        if let Some(utility) = utilities::find(name) {
            // A program in a folder of one's own would be found before the standard one; all that is standard is always there.
            return Meaning::Utility(utility);
        }
        self.fs.find_program(name, path).map_or(Meaning::NotFound, |(_, path)| Meaning::Program(path))
    }

    /// What `command -v` prints for a name.
    pub fn found_as(&self, name: &[u8]) -> Option<Vec<u8>> {
        match self.meaning(name) {
            Meaning::Function(_) | Meaning::Builtin(_) => Some(name.to_vec()),
            _ => self.program_as(name),
        }
    }

    /// The path of a program as a shell would name it.
    pub fn program_as(&self, name: &[u8]) -> Option<Vec<u8>> {
        match self.external_meaning(name) {
            Meaning::NotFound => None,
            Meaning::Program(path) if !self.fs.is_executable(&path) => None,
            _ if name.contains(&b'/') => Some(name.to_vec()),
            _ => {
                let path = self.state.vars.get(b"PATH").unwrap_or(PATH);
                let found = self.fs.find_program(name, path).map(|(found, _)| found);
                Some(found.unwrap_or_else(|| [b"/usr/bin/", name].concat()))
            }
        }
    }

    fn meaning_of_path(&self, path: &[u8]) -> Meaning<'s> {
        if let Some(command) = self.commands.get(path) {
            return if command.exists(path, &self.fs) { Meaning::Registered(command) } else { Meaning::NotFound };
        }
        let end = path.iter().rposition(|&byte| byte == b'/').unwrap_or(0);
        let (folder, name) = (&path[..end], &path[end + 1..]);
        let standard: [&[u8]; 4] = [b"/bin", b"/usr/bin", b"/sbin", b"/usr/sbin"];
        if standard.contains(&folder) && (self.commands.get(name).is_some() || utilities::find(name).is_some()) {
            return self.external_meaning(name);
        }
        match self.fs.resolve(&self.state.cwd, path) {
            Ok(path) if self.fs.node(&path).is_some_and(|node| !node.is_dir()) => Meaning::Program(path),
            _ => Meaning::NotFound,
        }
    }

    /// Runs a command as another program would, without functions and builtins of the shell.
    pub fn external(&mut self, argv: Vec<Vec<u8>>) -> Eval<i32> {
        let Some(name) = argv.first().cloned() else { return Ok(0) };
        let meaning = self.external_meaning(&name);
        self.start(meaning, argv)
    }

    pub fn start(&mut self, meaning: Meaning<'s>, argv: Vec<Vec<u8>>) -> Eval<i32> {
        let name = String::from_utf8_lossy(argv.first().map(Vec::as_slice).unwrap_or_default()).into_owned();
        if !matches!(meaning, Meaning::NotFound) {
            self.called.insert(name.rsplit('/').next().unwrap_or_default().to_owned());
        }
        match meaning {
            Meaning::Registered(command) => self.deeper(|shell| Ok(command.run(&mut Call::new(shell, argv))?)),
            Meaning::Utility(utility) => self.deeper(|shell| Ok(utility(&mut Call::new(shell, argv))?)),
            Meaning::Program(path) => self.program(&path, argv),
            _ => {
                self.complain(&format!("{name}: not found"))?;
                Ok(127)
            }
        }
    }

    /// Interprets a script of the tree.
    fn program(&mut self, path: &TreePath, argv: Vec<Vec<u8>>) -> Eval<i32> {
        if !self.fs.is_executable(path) {
            self.complain(&format!("{path}: Permission denied"))?;
            return Ok(126);
        }
        let text = match self.fs.read(path) {
            Ok(Ok(text)) => text,
            Ok(Err(errno)) => return Err(self.unknown(format!("{path}: {errno}")).into()),
            Err(what) => return Err(self.unknown(what).into()),
        };
        let first = text.split(|&byte| byte == b'\n').next().unwrap_or_default();
        let interpreter = String::from_utf8_lossy(first.strip_prefix(b"#!").unwrap_or_default()).trim().to_owned();
        let errexit = match interpreter.as_str() {
            "/bin/sh" | "/usr/bin/sh" | "/bin/dash" | "/usr/bin/dash" => false,
            "/bin/sh -e" | "/usr/bin/sh -e" | "/bin/dash -e" => true,
            "" => return Err(self.unknown(format!("the program {path}")).into()),
            other => return Err(self.unknown(format!("the program {path}, which needs {other}")).into()),
        };
        let script = crate::parse::parse(&text).map_err(|error| self.unknown(format!("{path}: {error}")))?;
        let line = self.line;
        let result = self.subshell(|shell| {
            let environment = shell.state.vars.environment();
            shell.state.vars = Variables::default();
            for (name, value) in [("IFS", " \t\n"), ("OPTIND", "1")] {
                shell.state.vars.mark(name.as_bytes(), |variable| variable.value = Some(value.as_bytes().to_vec()));
            }
            environment.iter().for_each(|(name, value)| shell.state.vars.import(name, value));
            shell.state.functions.clear();
            shell.state.options = Options { errexit, ..Options::default() };
            shell.state.name = path.display().into_bytes();
            shell.state.args = argv.get(1..).unwrap_or_default().to_vec();
            shell.state.status = 0;
            shell.tested = false;
            shell.list(&script.body)
        });
        let result = result.map_err(|stop| match stop {
            Stop::Unknown(inner) => {
                Stop::Unknown(Unknown { what: format!("{path}: line {}: {}", inner.line, inner.what), line })
            }
            other => other,
        });
        self.line = line;
        result
    }
}
