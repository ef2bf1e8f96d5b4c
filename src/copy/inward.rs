//! From this host to an instance.

use std::fs::{self, File, Metadata};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use bundle::channel::{EntryKind, Happening, Piece, Request, Write};
use bundle::sha256::Sha256;
use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

use super::{Copier, CopyError, MAX_DEPTH, here};

/// Bytes of a file that are sent at a time.
const CHUNK_BYTES: usize = 32 * 1024;

impl Copier {
    /// Copies a path of this host into the instance: into a folder that is there, else to that name.
    pub fn inward(&mut self, from: &Path, to: &str) -> Result<(), CopyError> {
        let is_folder = self.stat(to).is_ok_and(|entry| entry.kind == EntryKind::Folder);
        let name = fs::canonicalize(from).map_err(here("find", from))?;
        let name = name.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let to =
            if is_folder && !name.is_empty() { format!("{}/{name}", to.trim_end_matches('/')) } else { to.to_owned() };
        self.send(from, &to, 0)
    }

    fn send(&mut self, from: &Path, to: &str, depth: usize) -> Result<(), CopyError> {
        let meta = from.symlink_metadata().map_err(here("read", from))?;
        let mut wanted = self.wanted(&meta, to);
        match meta.file_type() {
            kind if kind.is_file() => self.send_file(from, &meta, wanted)?,
            kind if kind.is_symlink() => {
                let target = fs::read_link(from).map_err(here("read", from))?;
                wanted.kind = EntryKind::Symlink;
                wanted.target = Some(target.into_os_string().into_string().map_err(|target| {
                    CopyError::Wrong(format!("{}: the link leads to {target:?}, which is no text", from.display()))
                })?);
                self.make(wanted)?;
            }
            kind if kind.is_dir() && depth <= MAX_DEPTH => {
                wanted.kind = EntryKind::Folder;
                self.make(wanted)?;
                let entries = fs::read_dir(from).map_err(here("list", from))?;
                let mut names: Vec<_> = entries
                    .map(|entry| entry.map(|entry| entry.file_name()))
                    .collect::<Result<_, _>>()
                    .map_err(here("list", from))?;
                names.sort();
                for name in names {
                    let text = name.to_str().ok_or_else(|| CopyError::Wrong(format!("{name:?} is no text")))?;
                    self.send(&from.join(&name), &format!("{}/{text}", to.trim_end_matches('/')), depth + 1)?;
                }
            }
            kind if kind.is_dir() => {
                return Err(CopyError::Wrong(format!("{} is deeper than {MAX_DEPTH} folders", from.display())));
            }
            _ if depth > 0 => {
                self.left_out.push(from.display().to_string());
                return Ok(());
            }
            _ => return Err(CopyError::Wrong(format!("{} is a device, a socket or a pipe", from.display()))),
        }
        self.count += 1;
        Ok(())
    }

    fn wanted(&self, meta: &Metadata, to: &str) -> Write {
        let (uid, gid) = if self.archive { (meta.uid(), meta.gid()) } else { (0, 0) };
        let mtime_secs = self.archive.then_some(meta.mtime());
        // Set-id bits mean this host's users.
        let mode = meta.mode() & if self.archive { 0o7777 } else { 0o777 };
        Write { path: to.to_owned(), kind: EntryKind::File, mode, uid, gid, mtime_secs, target: None }
    }

    fn make(&mut self, wanted: Write) -> Result<(), CopyError> {
        let _: serde_json::Value = self.connection.ask(&Request::Write(wanted))?;
        Ok(())
    }

    fn send_file(&mut self, from: &Path, meta: &Metadata, wanted: Write) -> Result<(), CopyError> {
        let file = File::open(from).map_err(here("read", from))?;
        let (stream, _) = self.connection.begin(&Request::Write(wanted))?;
        let (mut at, mut hash) = (0_u64, Sha256::default());
        while at < meta.len() {
            let piece = next_piece(&file, at, meta.len()).map_err(here("read", from))?;
            match &piece {
                Piece::Out(bytes) => {
                    hash.update(bytes);
                    at += bytes.len() as u64;
                }
                Piece::Hole(length) => {
                    hash.update(&length.to_le_bytes());
                    at += length;
                }
                _ => {}
            }
            self.put(stream, &piece)?;
        }
        self.put(stream, &Piece::Digest(hash.finish()))?;
        self.connection.session().finish(stream).map_err(engine::ConnectionError::from)?;
        self.until_status(stream, &mut |_| Ok(()))
    }

    /// Sends a piece, as credit comes.
    fn put(&mut self, stream: u32, piece: &Piece) -> Result<(), CopyError> {
        let mut bytes = Vec::new();
        piece.encode(&mut bytes);
        let mut rest = bytes.as_slice();
        loop {
            let sent = self.connection.session().send(stream, rest).map_err(engine::ConnectionError::from)?;
            rest = rest.get(sent..).unwrap_or_default();
            self.connection.flush()?;
            if rest.is_empty() {
                return Ok(());
            }
            if self.connection.session().sendable(stream) == 0 {
                self.wait_for_room(stream)?;
            }
        }
    }

    fn wait_for_room(&mut self, stream: u32) -> Result<(), CopyError> {
        while self.connection.session().sendable(stream) == 0 {
            match self.connection.happening()? {
                Some(Happening::Finished(of) | Happening::Reset(of)) if of == stream => {
                    return Err(CopyError::Connection(engine::ConnectionError::Gone));
                }
                Some(_) => {}
                None => {
                    host::poll(&[self.connection.interest()], None).map_err(engine::ConnectionError::from)?;
                }
            }
        }
        Ok(())
    }
}

/// The hole or the data at this place.
fn next_piece(file: &File, at: u64, end: u64) -> std::io::Result<Piece> {
    let place = i64::try_from(at).unwrap_or(i64::MAX);
    // Where the file system does not tell holes, all is data.
    let data = match lseek(file, place, Whence::SeekData) {
        Ok(data) => u64::try_from(data).unwrap_or(end).min(end),
        Err(Errno::ENXIO) => end,
        Err(_) => at,
    };
    if data > at {
        return Ok(Piece::Hole(data - at));
    }
    let mut buffer = vec![0; usize::try_from(end - at).unwrap_or(CHUNK_BYTES).min(CHUNK_BYTES)];
    let count = file.read_at(&mut buffer, at)?;
    buffer.truncate(count);
    if count == 0 {
        return Err(std::io::Error::other("it became shorter while it was read"));
    }
    Ok(Piece::Out(buffer))
}
