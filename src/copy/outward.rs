//! From an instance to this host.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io::Write;
use std::os::unix::fs::{DirBuilderExt, FileExt, OpenOptionsExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use bundle::channel::{Entry, EntryKind, Piece, Read, Request};
use bundle::sha256::Sha256;
use serde_json::Value;

use super::{Copier, CopyError, MAX_DEPTH, here};

/// The longest line of a folder's list: a name and a link's target, each at most 4 KiB, escaped.
const MAX_LINE_BYTES: usize = 64 * 1024;

impl Copier {
    /// Copies a path of the instance to this host: into a folder that is there, else to that name.
    pub fn outward(&mut self, from: &str, to: &Path) -> Result<(), CopyError> {
        let entry = self.stat(from)?;
        let name = Path::new(from).file_name().map(PathBuf::from);
        let to = match name {
            Some(name) if to.is_dir() => to.join(name),
            _ => to.to_owned(),
        };
        self.bring(from, &entry, &to, 0)
    }

    /// What stands at a path of the instance.
    pub fn stat(&mut self, path: &str) -> Result<Entry, CopyError> {
        let answer: Value = self.connection.ask(&Request::Stat { path: path.to_owned() })?;
        serde_json::from_value(answer["entry"].clone())
            .map_err(|error| CopyError::Wrong(format!("look at {path}: {error}")))
    }

    fn bring(&mut self, from: &str, entry: &Entry, to: &Path, depth: usize) -> Result<(), CopyError> {
        match entry.kind {
            EntryKind::File => self.bring_file(from, entry, to)?,
            EntryKind::Folder => return self.bring_folder(from, entry, to, depth),
            EntryKind::Symlink => {
                let unfinished = unfinished(to);
                let _ = fs::remove_file(&unfinished);
                symlink(entry.target.as_deref().unwrap_or_default(), &unfinished).map_err(here("make", to))?;
                self.dress(entry, &unfinished, to)?;
                fs::rename(&unfinished, to).map_err(here("make", to))?;
            }
            EntryKind::Other if depth > 0 => {
                self.left_out.push(from.to_owned());
                return Ok(());
            }
            EntryKind::Other => return Err(CopyError::Wrong(format!("{from} is a device, a socket or a pipe"))),
        }
        self.count += 1;
        Ok(())
    }

    fn bring_folder(&mut self, from: &str, entry: &Entry, to: &Path, depth: usize) -> Result<(), CopyError> {
        if depth > MAX_DEPTH {
            return Err(CopyError::Wrong(format!("{from} is deeper than {MAX_DEPTH} folders")));
        }
        match DirBuilder::new().mode(0o700).create(to) {
            // A link in place of a folder would lead elsewhere.
            Err(_) if to.symlink_metadata().is_ok_and(|meta| meta.is_dir()) => {}
            other => other.map_err(here("make the folder", to))?,
        }
        for child in &self.entries(from)? {
            let path = format!("{}/{}", from.trim_end_matches('/'), child.name);
            self.bring(&path, child, &to.join(&child.name), depth + 1)?;
        }
        self.dress(entry, to, to)?;
        self.count += 1;
        Ok(())
    }

    /// What stands in a folder of the instance, sorted by name.
    pub fn entries(&mut self, from: &str) -> Result<Vec<Entry>, CopyError> {
        let (mut entries, mut line) = (Vec::new(), Vec::new());
        self.read_pieces(&Request::List { path: from.to_owned() }, &mut |piece| {
            let Piece::Out(bytes) = piece else { return Ok(()) };
            for byte in bytes {
                match byte {
                    b'\n' => entries.push(read_entry(from, &std::mem::take(&mut line))?),
                    _ if line.len() >= MAX_LINE_BYTES => {
                        return Err(CopyError::Wrong(format!("list {from}: a line is too long")));
                    }
                    byte => line.push(byte),
                }
            }
            Ok(())
        })?;
        entries.sort_by(|one: &Entry, other| one.name.cmp(&other.name));
        Ok(entries)
    }

    fn bring_file(&mut self, from: &str, entry: &Entry, to: &Path) -> Result<(), CopyError> {
        let unfinished = unfinished(to);
        let _ = fs::remove_file(&unfinished);
        let file = File::options().write(true).create_new(true).mode(0o600).open(&unfinished);
        let mut file = file.map_err(here("write", to))?;
        let brought = self.fill(from, &mut file, to).and_then(|()| self.dress(entry, &unfinished, to));
        let placed = brought.and_then(|()| fs::rename(&unfinished, to).map_err(here("write", to)));
        if placed.is_err() {
            let _ = fs::remove_file(&unfinished);
        }
        placed
    }

    fn fill(&mut self, from: &str, file: &mut File, path: &Path) -> Result<(), CopyError> {
        let (mut at, mut hash, mut fits) = (0_u64, Sha256::default(), false);
        let request = Request::Read(Read { path: from.to_owned(), offset: 0, length: None });
        self.read_pieces(&request, &mut |piece| {
            match piece {
                Piece::Out(bytes) => {
                    file.write_all_at(&bytes, at).map_err(here("write", path))?;
                    hash.update(&bytes);
                    at += bytes.len() as u64;
                }
                Piece::Hole(length) => {
                    hash.update(&length.to_le_bytes());
                    at = at.saturating_add(length);
                    file.set_len(at).map_err(here("write", path))?;
                }
                Piece::Digest(digest) => fits = hash.clone().finish() == digest,
                _ => {}
            }
            Ok(())
        })?;
        file.flush().map_err(here("write", path))?;
        if fits { Ok(()) } else { Err(CopyError::Wrong(format!("read {from}: what came is not what was sent"))) }
    }

    /// Owners are kept only where they were asked for: numbers of an instance mean other people here.
    /// `place` is what it is called in the end.
    fn dress(&mut self, entry: &Entry, path: &Path, place: &Path) -> Result<(), CopyError> {
        if self.archive {
            match lchown(path, Some(entry.uid), Some(entry.gid)) {
                Err(error) if error.kind() == std::io::ErrorKind::PermissionDenied => self.not_given += 1,
                other => other.map_err(here("give away", place))?,
            }
        }
        if entry.kind == EntryKind::Symlink {
            return Ok(());
        }
        // Set-id bits would mean this host's users.
        let mode = entry.mode & if self.archive { 0o7777 } else { 0o777 };
        fs::set_permissions(path, Permissions::from_mode(mode)).map_err(here("set the mode of", place))?;
        if self.archive {
            let time = u64::try_from(entry.mtime_secs).unwrap_or(0);
            let time = std::time::UNIX_EPOCH + std::time::Duration::from_secs(time);
            let file = File::open(path).and_then(|file| file.set_modified(time));
            file.map_err(here("set the time of", place))?;
        }
        Ok(())
    }
}

/// One line of a folder's list. A name that is more than a name is not believed.
fn read_entry(folder: &str, line: &[u8]) -> Result<Entry, CopyError> {
    let entry: Entry =
        serde_json::from_slice(line).map_err(|error| CopyError::Wrong(format!("list {folder}: {error}")))?;
    let name = entry.name.as_str();
    if name.is_empty() || name == "." || name == ".." || name.contains(['/', '\0']) {
        return Err(CopyError::Wrong(format!("list {folder}: {name:?} is no name")));
    }
    Ok(entry)
}

fn unfinished(path: &Path) -> PathBuf {
    let mut text = path.as_os_str().to_owned();
    text.push(".appliance-unfinished");
    text.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_elsewhere_is_not_believed() {
        let line = |name: &str| {
            serde_json::json!({ "name": name, "kind": "file", "mode": 0, "uid": 0, "gid": 0, "size_bytes": 0, "mtime_secs": 0 })
                .to_string()
        };
        assert!(read_entry("/", line("a b").as_bytes()).is_ok());
        for bad in ["", ".", "..", "a/b", "/etc", "a\0"] {
            assert!(read_entry("/", line(bad).as_bytes()).is_err(), "{bad:?}");
        }
    }
}
