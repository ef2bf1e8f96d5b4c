//! Writing the entries of a layer into a folder that overlayfs can take as a lower layer.
//!
//! A hostile layer can do nothing but fail: no path leads out, none goes through a link, every amount is bounded.
//! Whiteouts of the image specification (`layer.md`) become those of overlayfs.

use std::ffi::OsStr;
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

use host::RootDir;

use super::below;
use super::tar::{Entry, Kind, Reader};

/// Why a layer cannot be unpacked.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The stream is no tar or ends early.
    #[error("read the layer's archive")]
    Archive(#[source] io::Error),
    /// An entry would lead somewhere else or is too deep.
    #[error("unpack the entry {path:?}: {reason}")]
    Refused {
        /// Its path.
        path: PathBuf,
        /// Why.
        reason: &'static str,
    },
    /// An entry cannot be written.
    #[error("unpack the entry {path:?}")]
    Write {
        /// Its path.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// There is more than any true layer holds.
    #[error("unpack the layer: it holds more than {limit} {what}")]
    TooMuch {
        /// Of what.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
}

/// More entries than any distribution installs; each costs an inode.
const MAX_ENTRIES: u64 = 8_000_000;
/// More bytes than any appliance is meant to have in one layer.
const MAX_BYTES: u64 = 256 << 30;
/// As deep as a path of the kernel's longest length is with names of 15 letters.
const MAX_DEPTH: usize = 256;

/// Unpacks a tar stream into the folder, which must be empty. `below` are the folders of the unpacked layers under it, the
/// lowest first: a hard link may mean a file of theirs, and then both are one file.
///
/// With `one_owner` all owners become the caller's, because the caller's user namespace has no other ids.
pub fn unpack(source: impl Read, folder: &Path, below: &[PathBuf], one_owner: bool) -> Result<(), UnpackError> {
    let open =
        |folder: &Path| RootDir::open(folder).map_err(|source| UnpackError::Write { path: folder.to_owned(), source });
    let root = open(folder)?;
    let below = below.iter().rev().map(|folder| open(folder)).collect::<Result<_, _>>()?;
    let mut unpacker = Unpacker { root, below, parent: None, folders: Vec::new(), one_owner };
    let mut reader = Reader::new(source);
    let (mut entries, mut bytes) = (0u64, 0u64);
    while let Some(entry) = reader.next_entry().map_err(UnpackError::Archive)? {
        entries += 1;
        if let Kind::File(size) = entry.kind {
            bytes = bytes.saturating_add(size);
        }
        within("entries", entries, MAX_ENTRIES)?;
        within("bytes", bytes, MAX_BYTES)?;
        unpacker.entry(&entry, &mut reader)?;
    }
    reader.finish().map_err(UnpackError::Archive)?;
    unpacker.finish()
}

fn within(what: &'static str, value: u64, limit: u64) -> Result<(), UnpackError> {
    if value > limit { Err(UnpackError::TooMuch { what, limit }) } else { Ok(()) }
}

struct Unpacker {
    root: RootDir,
    /// The layers below, the uppermost first.
    below: Vec<RootDir>,
    /// The folder of the last entry, since neighbours come together.
    parent: Option<(PathBuf, RootDir)>,
    /// Folder times are set at the end: every entry made in a folder changes its time.
    folders: Vec<(PathBuf, i64)>,
    one_owner: bool,
}

impl Unpacker {
    fn entry(&mut self, entry: &Entry, content: &mut impl Read) -> Result<(), UnpackError> {
        let path = clean(&entry.path)?;
        let failed = |source| UnpackError::Write { path: path.clone(), source };
        let Some(name) = path.file_name().map(Path::new) else {
            return self.root_entry(entry).map_err(failed);
        };
        self.enter(path.parent().unwrap_or(Path::new(""))).map_err(failed)?;
        let Some((_, parent)) = &self.parent else { return Ok(()) };
        if let Some(hidden) = name.as_os_str().as_bytes().strip_prefix(b".wh.") {
            return whiteout(parent, hidden).map_err(failed);
        }
        match &entry.kind {
            Kind::HardLink(target) => {
                let target = clean(target)?;
                return self.hard_link(name, &target).map_err(failed);
            }
            // The runner makes its own /dev, and the overlay is mounted without devices.
            Kind::Device => return Ok(()),
            Kind::Folder => self.folder(name, entry).map_err(failed)?,
            _ => write(parent, name, entry, content).map_err(failed)?,
        }
        self.describe(name, entry).map_err(failed)?;
        if entry.kind == Kind::Folder {
            self.folders.push((path.clone(), entry.mtime_secs));
        }
        Ok(())
    }

    fn root_entry(&mut self, entry: &Entry) -> io::Result<()> {
        if !self.one_owner {
            self.root.set_owner(Path::new("."), entry.uid, entry.gid)?;
        }
        self.root.set_mode(Path::new("."), entry.mode)
    }

    /// Makes the folder the current one, with parents that the layer leaves out: those are as the layers below have them.
    fn enter(&mut self, path: &Path) -> io::Result<()> {
        if self.parent.as_ref().is_some_and(|(known, _)| known == path) {
            return Ok(());
        }
        let opened = match self.root.folder(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let mut at = self.root.folder(Path::new(""))?;
                let mut walked = PathBuf::new();
                for part in path.iter().map(Path::new) {
                    walked.push(part);
                    match at.make_folder(part, 0o755) {
                        Ok(()) => self.describe_as_below(&at, part, &walked)?,
                        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                        Err(_) => {}
                    }
                    at = at.folder(part)?;
                }
                at
            }
            other => other?,
        };
        self.parent = Some((path.to_owned(), opened));
        Ok(())
    }

    /// Describes a new folder as the layers below have it. The merged folder is described by the uppermost layer that has it.
    fn describe_as_below(&mut self, parent: &RootDir, name: &Path, path: &Path) -> io::Result<()> {
        let found = below::find(&self.below, path)?.filter(|found| found.meta.is_dir());
        let Some(below::Entry { meta, .. }) = found else { return Ok(()) };
        if !self.one_owner {
            parent.set_owner(name, meta.uid(), meta.gid())?;
        }
        parent.set_mode(name, meta.mode() & 0o7777)?;
        self.folders.push((path.to_owned(), meta.mtime()));
        Ok(())
    }

    fn folder(&self, name: &Path, entry: &Entry) -> io::Result<()> {
        let Some((_, parent)) = &self.parent else { return Ok(()) };
        match parent.make_folder(name, entry.mode) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                // The same folder twice is allowed, a folder in place of a file is not.
                parent.folder(name).map(drop)
            }
            other => other,
        }
    }

    fn hard_link(&self, name: &Path, target: &Path) -> io::Result<()> {
        let Some((_, parent)) = &self.parent else { return Ok(()) };
        let layers = std::iter::once(&self.root).chain(&self.below);
        let target = below::find(layers, target)?.ok_or_else(|| io::Error::from(io::ErrorKind::NotFound))?;
        parent.remove(name)?;
        parent.hard_link(name, &target.folder, target.name)
    }

    /// Owner first: a change of owner takes set-id bits and file capabilities away.
    fn describe(&self, name: &Path, entry: &Entry) -> io::Result<()> {
        let Some((_, parent)) = &self.parent else { return Ok(()) };
        if !self.one_owner {
            parent.set_owner(name, entry.uid, entry.gid)?;
        }
        if matches!(entry.kind, Kind::Symlink(_)) {
            return parent.set_mtime(name, entry.mtime_secs);
        }
        parent.set_mode(name, entry.mode)?;
        for (key, value) in &entry.xattrs {
            set_xattr(parent, name, key, value)?;
        }
        parent.set_mtime(name, entry.mtime_secs)
    }

    fn finish(self) -> Result<(), UnpackError> {
        for (path, mtime_secs) in self.folders.into_iter().rev() {
            let (Some(name), parent) = (path.file_name(), path.parent().unwrap_or(Path::new(""))) else { continue };
            let set = self.root.folder(parent).and_then(|parent| parent.set_mtime(Path::new(name), mtime_secs));
            set.map_err(|source| UnpackError::Write { path, source })?;
        }
        Ok(())
    }
}

fn write(parent: &RootDir, name: &Path, entry: &Entry, content: &mut impl Read) -> io::Result<()> {
    parent.remove(name)?;
    match &entry.kind {
        Kind::Symlink(target) => parent.symlink(name, Path::new(OsStr::from_bytes(target))),
        Kind::Fifo => parent.make_node(name, 0o010_000 | entry.mode, 0, 0),
        _ => io::copy(content, &mut parent.create(name, 0o600)?).map(drop),
    }
}

/// `.wh.NAME` hides NAME of lower layers, `.wh..wh..opq` hides all of them (image-spec `layer.md`, overlayfs documentation).
fn whiteout(parent: &RootDir, hidden: &[u8]) -> io::Result<()> {
    if hidden == b".wh..opq" {
        return parent.set_xattr(Path::new("."), "user.overlay.opaque", b"y");
    }
    if hidden.is_empty() || hidden == b"." || hidden == b".." {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    let name = Path::new(OsStr::from_bytes(hidden));
    parent.remove(name)?;
    parent.make_node(name, 0o020_000, 0, 0)
}

/// Attributes that the file system or a missing right refuses are left out: with no new privileges they have no effect inside.
fn set_xattr(parent: &RootDir, name: &Path, key: &str, value: &[u8]) -> io::Result<()> {
    if key.starts_with("user.overlay.") || key.starts_with("trusted.") {
        return Ok(());
    }
    match parent.set_xattr(name, key, value) {
        Err(error) if matches!(error.kind(), io::ErrorKind::PermissionDenied | io::ErrorKind::Unsupported) => Ok(()),
        other => other,
    }
}

/// A path below the root: no `..`, no root, not too deep.
fn clean(raw: &[u8]) -> Result<PathBuf, UnpackError> {
    let raw = Path::new(OsStr::from_bytes(raw));
    let refused = |reason| UnpackError::Refused { path: raw.to_owned(), reason };
    let mut path = PathBuf::new();
    for part in raw.components() {
        match part {
            Component::Normal(name) => path.push(name),
            Component::CurDir | Component::RootDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(refused("it leads out of the root")),
        }
    }
    if path.iter().count() > MAX_DEPTH {
        return Err(refused("it is too deep"));
    }
    Ok(path)
}
