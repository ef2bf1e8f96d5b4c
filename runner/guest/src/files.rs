//! Files that the host reads and writes: as PID 1 inside, so that no link leads out of the appliance.
//!
//! Contents travel in pieces with the digest of all at the end; nothing more than a piece is held.

use std::fs::{self, File, ReadDir};
use std::io;
use std::os::fd::BorrowedFd;
use std::os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt, PermissionsExt, lchown, symlink};
use std::path::Path;

use bundle::channel::{
    Entry, EntryKind, MAX_PIECE_BYTES, PIECE_HEADER_BYTES, Piece, Pieces, Read, Response, Session, Write,
};
use bundle::sha256::Sha256;
use nix::sys::stat::{UtimensatFlags, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Whence, lseek};

use crate::streams::Streams;
use crate::watch::Watching;

/// Bytes of a file read at a time.
const READ_BYTES: usize = 16 * 1024;

/// Room that one more piece may need: a line of a folder's list, with its header.
const ROOM_BYTES: usize = PIECE_HEADER_BYTES + READ_BYTES;

/// The end of a file that does not tell its size.
const UNKNOWN: u64 = u64::MAX;

/// The transfers under way, by stream.
#[derive(Debug, Default)]
pub struct Files(Streams<Transfer>);

#[derive(Debug)]
enum Transfer {
    List(ReadDir),
    Read { file: File, at: u64, end: u64, hash: Sha256 },
    Write(Box<Writing>),
    Watch(Box<Watching>),
}

/// A file that is being written beside its place.
#[derive(Debug)]
struct Writing {
    wanted: Write,
    unfinished: String,
    file: File,
    at: u64,
    pieces: Pieces,
    hash: Sha256,
    /// The digest that came, if it fits.
    fits: bool,
    failed: Option<String>,
}

/// What stands at a path.
pub fn stat(path: &str) -> Result<Entry, String> {
    entry(Path::new(path), path.to_owned()).map_err(|error| format!("look at {path}: {error}"))
}

impl Files {
    /// Whether this stream is a transfer's.
    pub fn has(&self, stream: u32) -> bool {
        self.0.has(stream)
    }

    /// Begins to list a folder.
    pub fn list(&mut self, session: &mut Session, stream: u32, path: &str) {
        let begun = fs::read_dir(path).map(Transfer::List).map_err(|error| format!("list {path}: {error}"));
        self.begin(session, stream, begun);
    }

    /// Begins to read a file.
    pub fn read(&mut self, session: &mut Session, stream: u32, wanted: &Read) {
        let begun = open(wanted).map_err(|error| format!("read {}: {error}", wanted.path));
        self.begin(session, stream, begun);
    }

    /// Begins to watch a path.
    pub fn watch(&mut self, session: &mut Session, stream: u32, path: &str, recursive: bool) {
        let watching = |watching| Transfer::Watch(Box::new(watching));
        let begun = Watching::begin(path, recursive).map(watching).map_err(|error| format!("watch {path}: {error}"));
        self.begin(session, stream, begun);
    }

    /// Makes something, or begins to write a file.
    pub fn write(&mut self, session: &mut Session, stream: u32, wanted: Write) {
        let path = wanted.path.clone();
        let failed = |error: io::Error| format!("write {path}: {error}");
        if wanted.kind != EntryKind::File {
            let made = make(&wanted).map_err(failed);
            let _ = session.respond(stream, &made.map_or_else(Response::Failed, |()| Response::Done), false);
            return;
        }
        let begun = Writing::begin(wanted).map(|writing| Transfer::Write(Box::new(writing))).map_err(failed);
        self.begin(session, stream, begun);
    }

    /// Takes bytes of a file from the host.
    pub fn data(&mut self, session: &mut Session, stream: u32, bytes: &[u8]) {
        if let Some(Transfer::Write(writing)) = self.0.get_mut(stream) {
            writing.take(bytes);
        }
        session.used(stream, bytes.len());
    }

    /// The host has sent all of a file, or no longer wants to know what happens to one.
    pub fn finished(&mut self, session: &mut Session, stream: u32) {
        match self.0.remove(stream) {
            Some(Transfer::Write(writing)) => end(session, stream, writing.finish()),
            Some(Transfer::Watch(_)) => end(session, stream, Ok(())),
            Some(other) => self.0.insert(stream, other),
            None => {}
        }
    }

    /// What to wait for: that something happens to what is watched, while there is room to tell it.
    pub fn waits_for(&self, session: &Session) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().filter_map(|(stream, transfer)| match transfer {
            Transfer::Watch(watching) if session.sendable(*stream) >= ROOM_BYTES => Some(watching.as_fd()),
            _ => None,
        })
    }

    /// The host gives it up.
    pub fn reset(&mut self, stream: u32) {
        if let Some(Transfer::Write(writing)) = self.0.remove(stream) {
            writing.forget();
        }
    }

    /// The channel is gone.
    pub fn clear(&mut self) {
        let streams: Vec<u32> = self.0.iter().map(|(stream, _)| *stream).collect();
        streams.into_iter().for_each(|stream| self.reset(stream));
    }

    /// Gives as much as there is room for.
    pub fn settle(&mut self, session: &mut Session) {
        self.0.retain(|stream, transfer| {
            while session.sendable(stream) >= ROOM_BYTES {
                let mut out = Vec::new();
                match transfer.next(&mut out) {
                    None => return true,
                    Some(Ok(true)) => drop(session.send(stream, &out)),
                    Some(ended) => {
                        let _ = session.send(stream, &out);
                        end(session, stream, ended.map(drop).map_err(|error| error.to_string()));
                        return false;
                    }
                }
            }
            true
        });
    }

    fn begin(&mut self, session: &mut Session, stream: u32, begun: Result<Transfer, String>) {
        match begun {
            Ok(transfer) if session.respond(stream, &Response::Done, true).is_ok() => self.0.insert(stream, transfer),
            Ok(_) => {}
            Err(reason) => drop(session.respond(stream, &Response::Failed(reason), false)),
        }
    }
}

impl Transfer {
    /// The next piece, `false` with the last one; none for what the host sends.
    fn next(&mut self, out: &mut Vec<u8>) -> Option<io::Result<bool>> {
        Some(match self {
            Self::Write(_) => return None,
            Self::Watch(watching) => return watching.next(out),
            Self::List(entries) => next_entry(entries, out),
            Self::Read { file, at, end, hash } => next_part(file, at, *end, hash, out),
        })
    }
}

fn next_entry(entries: &mut ReadDir, out: &mut Vec<u8>) -> io::Result<bool> {
    let Some(found) = entries.next().transpose()? else { return Ok(false) };
    let name = found.file_name();
    // What is gone already is left out.
    if let Ok(mut entry) = entry(&found.path(), name.to_string_lossy().into_owned()) {
        if name.to_str().is_none() {
            // No path leads there that could be asked for: it is named so that nobody takes the list for complete.
            entry.kind = EntryKind::Other;
        }
        let mut line = serde_json::to_vec(&entry)?;
        line.push(b'\n');
        Piece::Out(line).encode(out);
    }
    Ok(true)
}

fn next_part(file: &File, at: &mut u64, end: u64, hash: &mut Sha256, out: &mut Vec<u8>) -> io::Result<bool> {
    if *at >= end {
        Piece::Digest(hash.clone().finish()).encode(out);
        return Ok(false);
    }
    // Where the file system does not tell holes, all is data.
    let place = i64::try_from(*at).unwrap_or(i64::MAX);
    let data = match lseek(file, place, Whence::SeekData) {
        _ if end == UNKNOWN => *at,
        Ok(data) => u64::try_from(data).unwrap_or(end).min(end),
        Err(nix::errno::Errno::ENXIO) => end,
        Err(_) => *at,
    };
    if data > *at {
        let length = data - *at;
        hash.update(&length.to_le_bytes());
        Piece::Hole(length).encode(out);
        *at = data;
        return Ok(true);
    }
    let wanted = usize::try_from(end - *at).unwrap_or(READ_BYTES).min(READ_BYTES).min(MAX_PIECE_BYTES);
    let mut buffer = vec![0; wanted];
    let count = file.read_at(&mut buffer, *at)?;
    buffer.truncate(count);
    if count == 0 && end == UNKNOWN {
        *at = end;
        return Ok(true);
    }
    if count == 0 {
        return Err(io::Error::other("it became shorter while it was read"));
    }
    hash.update(&buffer);
    *at += count as u64;
    Piece::Out(buffer).encode(out);
    Ok(true)
}

fn open(wanted: &Read) -> io::Result<Transfer> {
    // A pipe would wait for its other end.
    let file = File::options().read(true).custom_flags(libc::O_NONBLOCK).open(&wanted.path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Err(io::Error::other("it is not a file"));
    }
    // Files of the kernel say that they are empty and are not.
    let size = if meta.len() == 0 { UNKNOWN } else { meta.len() };
    let end = wanted.length.map_or(size, |length| wanted.offset.saturating_add(length).min(size));
    Ok(Transfer::Read { file, at: wanted.offset, end, hash: Sha256::default() })
}

fn entry(path: &Path, name: String) -> io::Result<Entry> {
    let meta = path.symlink_metadata()?;
    let kind = match meta.file_type() {
        kind if kind.is_file() => EntryKind::File,
        kind if kind.is_dir() => EntryKind::Folder,
        kind if kind.is_symlink() => EntryKind::Symlink,
        _ => EntryKind::Other,
    };
    let target =
        if kind == EntryKind::Symlink { fs::read_link(path)?.into_os_string().into_string().ok() } else { None };
    Ok(Entry {
        name,
        kind,
        mode: meta.mode() & 0o7777,
        uid: meta.uid(),
        gid: meta.gid(),
        size_bytes: meta.len(),
        mtime_secs: meta.mtime(),
        target,
    })
}

fn make(wanted: &Write) -> io::Result<()> {
    let path = Path::new(&wanted.path);
    match wanted.kind {
        EntryKind::Folder => {
            match fs::DirBuilder::new().mode(wanted.mode).create(path) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists && path.is_dir() => return Ok(()),
                other => other?,
            }
            dress(wanted, path)
        }
        EntryKind::Symlink => {
            let unfinished = unfinished(&wanted.path);
            let _ = fs::remove_file(&unfinished);
            symlink(wanted.target.as_deref().unwrap_or_default(), &unfinished)?;
            let placed = dress(wanted, Path::new(&unfinished)).and_then(|()| fs::rename(&unfinished, path));
            placed.inspect_err(|_| drop(fs::remove_file(&unfinished)))
        }
        _ => Err(io::Error::other("only files, folders and links can be made")),
    }
}

/// Owner first: to change it takes set-id bits away.
fn dress(wanted: &Write, path: &Path) -> io::Result<()> {
    let meta = path.symlink_metadata()?;
    if (meta.uid(), meta.gid()) != (wanted.uid, wanted.gid) {
        match lchown(path, Some(wanted.uid), Some(wanted.gid)) {
            // Who does not exist in this user namespace cannot own it.
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => {}
            other => other?,
        }
    }
    if wanted.kind != EntryKind::Symlink {
        fs::set_permissions(path, fs::Permissions::from_mode(wanted.mode & 0o7777))?;
    }
    if let Some(seconds) = wanted.mtime_secs {
        let time = TimeSpec::new(seconds, 0);
        utimensat(nix::fcntl::AT_FDCWD, path, &time, &time, UtimensatFlags::NoFollowSymlink)?;
    }
    Ok(())
}

fn unfinished(path: &str) -> String {
    format!("{path}.appliance-unfinished")
}

/// The last piece: how it went.
fn end(session: &mut Session, stream: u32, result: Result<(), String>) {
    let mut last = Vec::new();
    if let Err(reason) = &result {
        Piece::Err(reason.clone().into_bytes()).encode(&mut last);
    }
    Piece::Status(u8::from(result.is_err())).encode(&mut last);
    let _ = session.send(stream, &last);
    let _ = session.finish(stream);
}

impl Writing {
    fn begin(wanted: Write) -> io::Result<Self> {
        let unfinished = unfinished(&wanted.path);
        let _ = fs::remove_file(&unfinished);
        let file = File::options().write(true).create_new(true).mode(0o600).open(&unfinished)?;
        let (pieces, hash) = (Pieces::default(), Sha256::default());
        Ok(Self { wanted, unfinished, file, at: 0, pieces, hash, fits: false, failed: None })
    }

    fn take(&mut self, bytes: &[u8]) {
        if self.failed.is_some() {
            return;
        }
        let put = match self.pieces.push(bytes) {
            Ok(pieces) => pieces.iter().try_for_each(|piece| self.put(piece)).map_err(|error| error.to_string()),
            Err(error) => Err(error.to_string()),
        };
        self.failed = put.err();
    }

    fn put(&mut self, piece: &Piece) -> io::Result<()> {
        match piece {
            Piece::Out(bytes) => {
                self.file.write_all_at(bytes, self.at)?;
                self.hash.update(bytes);
                self.at += bytes.len() as u64;
            }
            Piece::Hole(length) => {
                self.hash.update(&length.to_le_bytes());
                self.at = self.at.saturating_add(*length);
                self.file.set_len(self.at)?;
            }
            Piece::Digest(digest) => self.fits = self.hash.clone().finish() == *digest,
            _ => {}
        }
        Ok(())
    }

    fn finish(self) -> Result<(), String> {
        let failed = match &self.failed {
            Some(reason) => Some(reason.clone()),
            None if !self.fits => Some("what came is not what was sent".to_owned()),
            None => {
                let path = Path::new(&self.unfinished);
                let placed = dress(&self.wanted, path).and_then(|()| fs::rename(path, &self.wanted.path));
                placed.err().map(|error| error.to_string())
            }
        };
        match failed {
            None => Ok(()),
            Some(reason) => {
                let text = format!("write {}: {reason}", self.wanted.path);
                self.forget();
                Err(text)
            }
        }
    }

    fn forget(&self) {
        let _ = fs::remove_file(&self.unfinished);
    }
}
