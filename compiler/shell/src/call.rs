//! The seam for commands: what a command gets when a script calls it, and the register of those the caller adds.

use std::collections::BTreeMap;

use tree::TreePath;

use crate::fs::{Errno, Fs};
use crate::session::Unknown;
use crate::shell::{Shell, Stop};

/// A command that the caller gives to scripts, such as `update-alternatives`.
pub trait Command {
    /// Does what the command does, through the call only, so that it can be undone.
    ///
    /// # Errors
    /// For anything that is not understood to the last detail.
    fn run(&self, call: &mut Call<'_, '_>) -> Result<i32, Unknown>;

    /// Whether a script finds the command: usually when the tree has the program.
    fn exists(&self, name: &[u8], fs: &Fs<'_>) -> bool {
        fs.program(name).is_some()
    }
}

impl<F: Fn(&mut Call<'_, '_>) -> Result<i32, Unknown>> Command for F {
    fn run(&self, call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
        self(call)
    }
}

/// The commands and files that the caller puts in the place of those of the tree.
#[derive(Default)]
pub struct Commands<'c> {
    commands: BTreeMap<Vec<u8>, Box<dyn Command + 'c>>,
    sources: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl<'c> Commands<'c> {
    /// Adds a command under its name, or under its absolute path if it is outside the usual folders.
    pub fn add(&mut self, name: &str, command: impl Command + 'c) {
        self.commands.insert(name.as_bytes().to_vec(), Box::new(command));
    }

    /// Makes `.` of this absolute path read this text instead, whether the tree has the file or not.
    pub fn replace_source(&mut self, path: &str, text: &[u8]) {
        self.sources.insert(path.as_bytes().to_vec(), text.to_vec());
    }

    pub(crate) fn get(&self, name: &[u8]) -> Option<&dyn Command> {
        self.commands.get(name).map(|command| &**command)
    }

    pub(crate) fn source(&self, path: &[u8]) -> Option<&[u8]> {
        self.sources.get(path).map(Vec::as_slice)
    }
}

/// One call of a command by a script.
pub struct Call<'c, 's> {
    pub(crate) shell: &'c mut Shell<'s>,
    argv: Vec<Vec<u8>>,
}

impl<'c, 's> Call<'c, 's> {
    pub(crate) fn new(shell: &'c mut Shell<'s>, argv: Vec<Vec<u8>>) -> Self {
        Self { shell, argv }
    }

    /// The name it was called by, without folders.
    pub fn name(&self) -> String {
        let name = self.argv.first().map(Vec::as_slice).unwrap_or_default();
        let name = name.rsplit(|&byte| byte == b'/').next().unwrap_or_default();
        String::from_utf8_lossy(name).into_owned()
    }

    /// The arguments after the name.
    pub fn args(&self) -> Vec<Vec<u8>> {
        self.argv.get(1..).unwrap_or_default().to_vec()
    }

    /// The arguments as text.
    ///
    /// # Errors
    /// When one is not UTF-8.
    pub fn text_args(&self) -> Result<Vec<String>, Unknown> {
        let texts = self.args().into_iter().map(String::from_utf8).collect::<Result<_, _>>();
        texts.map_err(|_| self.unknown("an argument that is not UTF-8"))
    }

    /// A variable of the environment.
    pub fn env(&self, name: &str) -> Option<Vec<u8>> {
        self.shell.state.vars.environment().remove(name.as_bytes())
    }

    /// Sets a variable of the calling shell, as debconf's shell functions do.
    pub fn set_variable(&mut self, name: &str, value: &[u8]) {
        // A protected variable keeps its value: no command may change that either.
        let _ = self.shell.state.vars.set(name.as_bytes(), value.to_vec());
    }

    /// All that is left of the standard input.
    ///
    /// # Errors
    /// When it cannot be read.
    pub fn stdin(&mut self) -> Result<Vec<u8>, Unknown> {
        self.shell.read_all(0)
    }

    /// Writes to the standard output.
    ///
    /// # Errors
    /// When it is closed or the limit is reached.
    pub fn out(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Unknown> {
        self.shell.write(1, bytes.as_ref())
    }

    /// Writes to the standard error.
    ///
    /// # Errors
    /// When it is closed or the limit is reached.
    pub fn err(&mut self, bytes: impl AsRef<[u8]>) -> Result<(), Unknown> {
        self.shell.write(2, bytes.as_ref())
    }

    /// Says `name: message` on the standard error and gives status 1.
    ///
    /// # Errors
    /// As [`Call::err`].
    pub fn fail(&mut self, message: impl AsRef<[u8]>) -> Result<i32, Unknown> {
        let mut line = format!("{}: ", self.name()).into_bytes();
        line.extend_from_slice(message.as_ref());
        line.push(b'\n');
        self.err(line)?;
        Ok(1)
    }

    /// Says `name: verb 'path': reason` and gives status 1.
    ///
    /// # Errors
    /// As [`Call::err`].
    pub fn fail_on(&mut self, verb: &str, path: &[u8], errno: Errno) -> Result<i32, Unknown> {
        let verb = if verb.is_empty() { String::new() } else { format!("{verb} ") };
        self.fail(format!("{verb}'{}': {errno}", String::from_utf8_lossy(path)))
    }

    /// The file system.
    pub fn fs(&self) -> &Fs<'s> {
        &self.shell.fs
    }

    /// The file system, to change it.
    pub fn fs_mut(&mut self) -> &mut Fs<'s> {
        &mut self.shell.fs
    }

    /// The working folder.
    pub fn cwd(&self) -> TreePath {
        self.shell.state.cwd.clone()
    }

    /// The bits that new entries do not get.
    pub fn umask(&self) -> u16 {
        self.shell.state.umask
    }

    /// As [`Fs::resolve`], from the working folder.
    ///
    /// # Errors
    /// As the kernel has it.
    pub fn resolve(&self, path: &[u8]) -> Result<TreePath, Errno> {
        self.fs().resolve(&self.shell.state.cwd, path)
    }

    /// As [`Fs::resolve_link`], from the working folder.
    ///
    /// # Errors
    /// As the kernel has it.
    pub fn resolve_link(&self, path: &[u8]) -> Result<TreePath, Errno> {
        self.fs().resolve_link(&self.shell.state.cwd, path)
    }

    /// As [`Fs::place`], from the working folder.
    ///
    /// # Errors
    /// As the kernel has it.
    pub fn place(&self, path: &[u8], follow: bool) -> Result<TreePath, Errno> {
        self.fs().place(&self.shell.state.cwd, path, follow)
    }

    /// The bytes of a file.
    ///
    /// # Errors
    /// When the file exists but its bytes are not to be had.
    pub fn read(&mut self, path: &[u8]) -> Result<Result<Vec<u8>, Errno>, Unknown> {
        match path {
            b"/dev/null" => return Ok(Ok(Vec::new())),
            b"/dev/stdin" => return self.stdin().map(Ok),
            _ => {}
        }
        match self.resolve(path) {
            Err(errno) => Ok(Err(errno)),
            Ok(path) => self.read_resolved(&path),
        }
    }

    /// The bytes of the file at a resolved path.
    ///
    /// # Errors
    /// When the file exists but its bytes are not to be had.
    pub fn read_resolved(&self, path: &TreePath) -> Result<Result<Vec<u8>, Errno>, Unknown> {
        match self.fs().read(path) {
            Ok(bytes) => Ok(bytes.map(|bytes| bytes.to_vec())),
            Err(what) => Err(self.unknown(what)),
        }
    }

    /// Runs another command, as `xargs` does.
    ///
    /// # Errors
    /// When that command is not understood.
    pub fn run(&mut self, argv: Vec<Vec<u8>>) -> Result<i32, Unknown> {
        match self.shell.subshell(|shell| shell.external(argv)) {
            Ok(status) => Ok(status),
            Err(Stop::Unknown(unknown)) => Err(unknown),
            Err(Stop::Exit(status) | Stop::Return(status)) => Ok(status),
            Err(Stop::Break(_) | Stop::Continue(_)) => Ok(0),
        }
    }

    /// Tells the caller of the evaluation something; it arrives only when the whole script succeeds in being understood.
    pub fn note(&mut self, kind: &str, value: impl Into<Vec<u8>>) {
        self.shell.notes.push((kind.to_owned(), value.into()));
    }

    /// Counts work, so that no command runs without end.
    ///
    /// # Errors
    /// When the limit is reached.
    pub fn work(&mut self, steps: u64) -> Result<(), Unknown> {
        self.shell.work(steps)
    }

    /// That this call does something that is not understood.
    pub fn unknown(&self, what: impl std::fmt::Display) -> Unknown {
        self.shell.unknown(format!("{}: {what}", self.name()))
    }
}
