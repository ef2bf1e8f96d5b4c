//! Descriptors: opening, duplicating, reading and writing them.

use tree::{Kind, TreePath};

use crate::ast::{Redirect, RedirectKind, Word};
use crate::session::Unknown;
use crate::shell::{Eval, Shell};
use crate::stream::{OpenFile, Stream};

/// What stood at the descriptors that a redirection took.
pub(crate) type Saved = Vec<(u32, Option<Stream>)>;

/// How a file is opened.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Read,
    Write,
    /// As `Write`, where no file stands yet.
    New,
    Append,
    ReadWrite,
}

impl Shell<'_> {
    /// Applies redirections; the inner error is the message of one that failed. What was replaced is in `saved` in any case.
    pub(crate) fn redirect(&mut self, redirects: &[Redirect], saved: &mut Saved) -> Eval<Result<(), String>> {
        for redirect in redirects {
            let (default_fd, stream) = match &redirect.kind {
                RedirectKind::Read(word) => (0, self.open(word, Mode::Read)?),
                RedirectKind::ReadWrite(word) => (0, self.open(word, Mode::ReadWrite)?),
                RedirectKind::Write(word) if self.state.options.noclobber => (1, self.open(word, Mode::New)?),
                RedirectKind::Write(word) | RedirectKind::Clobber(word) => (1, self.open(word, Mode::Write)?),
                RedirectKind::Append(word) => (1, self.open(word, Mode::Append)?),
                RedirectKind::Here(body) => {
                    let text = match body.get() {
                        Some(word) => self.expand_text(word)?,
                        None => Vec::new(),
                    };
                    (0, Ok(Some(Stream::input(text))))
                }
                RedirectKind::Duplicate { word, default_fd } => (*default_fd, self.duplicate(word)?),
            };
            let fd = redirect.fd.unwrap_or(default_fd);
            let stream = match stream {
                Ok(stream) => stream,
                Err(message) => return Ok(Err(message)),
            };
            let old = match stream {
                Some(stream) => self.state.fds.insert(fd, stream),
                None => self.state.fds.remove(&fd),
            };
            saved.push((fd, old));
        }
        Ok(Ok(()))
    }

    pub(crate) fn restore(&mut self, saved: Saved) {
        for (fd, old) in saved.into_iter().rev() {
            match old {
                Some(stream) => self.state.fds.insert(fd, stream),
                None => self.state.fds.remove(&fd),
            };
        }
    }

    fn duplicate(&mut self, word: &Word) -> Eval<Result<Option<Stream>, String>> {
        let text = self.expand_text(word)?;
        if text == b"-" {
            return Ok(Ok(None));
        }
        match std::str::from_utf8(&text).ok().and_then(|text| text.parse::<u32>().ok()) {
            Some(fd) => {
                Ok(self.state.fds.get(&fd).cloned().map(Some).ok_or_else(|| format!("{fd}: Bad file descriptor")))
            }
            None => Err(self.unknown("a redirection to a descriptor that is no number").into()),
        }
    }

    fn open(&mut self, word: &Word, mode: Mode) -> Eval<Result<Option<Stream>, String>> {
        let name = self.expand_text(word)?;
        Ok(self.open_path(&name, mode)?.map(Some))
    }

    fn open_path(&mut self, name: &[u8], mode: Mode) -> Result<Result<Stream, String>, Unknown> {
        let special = match name {
            b"/dev/null" => return Ok(Ok(Stream::Null)),
            b"/dev/stdin" | b"/dev/fd/0" => Some(0),
            b"/dev/stdout" | b"/dev/fd/1" => Some(1),
            b"/dev/stderr" | b"/dev/fd/2" => Some(2),
            b"/dev/fd/3" => Some(3),
            _ => None,
        };
        let shown = String::from_utf8_lossy(name).into_owned();
        if let Some(fd) = special {
            return Ok(self.state.fds.get(&fd).cloned().ok_or_else(|| format!("cannot open {shown}: No such file")));
        }
        if name.starts_with(b"/dev/") && name != b"/dev/tty" {
            return Err(self.unknown(format!("opening {shown}")));
        }
        let verb = if mode == Mode::Read { "open" } else { "create" };
        if name == b"/dev/tty" {
            return Ok(Err(format!("cannot {verb} {shown}: No such device or address")));
        }
        let place = match mode {
            Mode::Read => self.fs.resolve(&self.state.cwd, name),
            _ => self.fs.place(&self.state.cwd, name, true),
        };
        match place {
            Ok(path) => self.open_file(path, mode, &shown),
            Err(_) if mode == Mode::Read => Ok(Err(format!("cannot open {shown}: No such file"))),
            Err(crate::Errno::NoEntry) => Ok(Err(format!("cannot create {shown}: Directory nonexistent"))),
            Err(errno) => Ok(Err(format!("cannot create {shown}: {errno}"))),
        }
    }

    fn open_file(&mut self, path: TreePath, mode: Mode, shown: &str) -> Result<Result<Stream, String>, Unknown> {
        match self.fs.node(&path).map(|node| &node.kind) {
            Some(Kind::Dir) if mode == Mode::Read => return Err(self.unknown(format!("reading the folder {shown}"))),
            Some(Kind::Dir) => return Ok(Err(format!("cannot create {shown}: Is a directory"))),
            Some(Kind::File(_)) if mode == Mode::New => return Ok(Err(format!("cannot create {shown}: File exists"))),
            None | Some(Kind::File(_)) => {}
            Some(_) => return Err(self.unknown(format!("opening the special file {shown}"))),
        }
        if mode == Mode::Write || self.fs.node(&path).is_none() {
            let made = self.fs.write(&path, Vec::new(), 0o666 & !self.state.umask);
            if let Err(errno) = made {
                return Ok(Err(format!("cannot create {shown}: {errno}")));
            }
        }
        let Some(id) = self.fs.id(&path) else { return Err(self.unknown(format!("opening {shown}"))) };
        let (readable, writable) = (matches!(mode, Mode::Read | Mode::ReadWrite), mode != Mode::Read);
        Ok(Ok(Stream::file(OpenFile { path, id, offset: 0, append: mode == Mode::Append, writable, readable })))
    }

    /// Writes to a descriptor.
    pub(crate) fn write(&mut self, fd: u32, bytes: &[u8]) -> Result<(), Unknown> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.spend_bytes(bytes.len())?;
        match self.state.fds.get(&fd).cloned() {
            Some(Stream::Null) => Ok(()),
            Some(Stream::Output(buffer)) => {
                buffer.push(bytes);
                Ok(())
            }
            Some(Stream::File(file)) => self.write_file(&mut file.borrow_mut(), bytes),
            Some(Stream::Input(_)) => {
                Err(self.unknown(format!("writing to descriptor {fd}, which is open for reading")))
            }
            None => Err(self.unknown(format!("writing to the closed descriptor {fd}"))),
        }
    }

    fn write_file(&mut self, file: &mut OpenFile, bytes: &[u8]) -> Result<(), Unknown> {
        if self.fs.id(&file.path) != Some(file.id) || !file.writable {
            return Err(
                self.unknown(format!("writing to {}, which was replaced or is not open for writing", file.path))
            );
        }
        let mut content = match self.fs.read(&file.path) {
            Ok(Ok(content)) => content.to_vec(),
            _ => return Err(self.unknown(format!("writing into {}", file.path))),
        };
        self.work((content.len() / 64) as u64)?;
        if file.append {
            file.offset = content.len();
        }
        let end = file.offset + bytes.len();
        if content.len() < end {
            content.resize(end, 0);
        }
        content[file.offset..end].copy_from_slice(bytes);
        file.offset = end;
        self.fs
            .write(&file.path, content, 0o644)
            .map_err(|errno| self.unknown(format!("writing to {}: {errno}", file.path)))
    }

    /// Reads from a descriptor up to and with the first byte that `ends` accepts, or to the end.
    pub(crate) fn read_until(&mut self, fd: u32, ends: impl Fn(u8) -> bool) -> Result<Vec<u8>, Unknown> {
        let cut = |bytes: &[u8], at: &mut usize| {
            let rest = bytes.get(*at..).unwrap_or_default();
            let length = rest.iter().position(|byte| ends(*byte)).map_or(rest.len(), |end| end + 1);
            *at += length;
            rest[..length].to_vec()
        };
        match self.state.fds.get(&fd).cloned() {
            Some(Stream::Null) => Ok(Vec::new()),
            Some(Stream::Input(source)) => {
                let source = &mut *source.borrow_mut();
                Ok(cut(&source.bytes, &mut source.at))
            }
            Some(Stream::File(file)) => {
                let file = &mut *file.borrow_mut();
                if self.fs.id(&file.path) != Some(file.id) || !file.readable {
                    return Err(
                        self.unknown(format!("reading {}, which was replaced or is not open for reading", file.path))
                    );
                }
                match self.fs.read(&file.path) {
                    Ok(Ok(content)) => Ok(cut(&content, &mut file.offset)),
                    _ => Err(self.unknown(format!("reading {}", file.path))),
                }
            }
            Some(Stream::Output(_)) => Err(self.unknown(format!("reading descriptor {fd}, which is open for writing"))),
            None => Err(self.unknown(format!("reading the closed descriptor {fd}"))),
        }
    }

    pub(crate) fn read_all(&mut self, fd: u32) -> Result<Vec<u8>, Unknown> {
        self.read_until(fd, |_| false)
    }
}
