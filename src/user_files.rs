//! The files and folders beside a spec that its `file … from=` entries name: read into trees, contents
//! by digest. Bytes are read again when they are written, straight from where they stand.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use assemble::Source;
use tree::{Blobs, Content, Digest, Kind, Meta, Node, Tree, TreePath};

/// Everything that a spec takes from the folder it stands in.
pub struct UserFiles {
    /// Time of every entry, in seconds since 1970: the host's times depend on who checked the files out.
    epoch_secs: i64,
    /// What builds themselves write.
    own: Own,
    /// By `from=` as written.
    pub sources: BTreeMap<String, Source>,
    places: BTreeMap<Digest, Place>,
}

/// What builds write beside the user's files. It is no part of what is built: a bundle would hold the one before it.
#[derive(Default)]
pub struct Own {
    folder: Option<PathBuf>,
    lock: Option<PathBuf>,
}

impl Own {
    /// The bundle in this folder, those that are being made beside it, and this lock.
    pub fn new(folder: &Path, lock: &Path) -> Self {
        Self { folder: resolved(folder), lock: resolved(lock) }
    }

    /// Whether this resolved path is one of them.
    pub fn holds(&self, path: &Path) -> bool {
        let is = |own: &Option<PathBuf>| own.as_deref() == Some(path);
        is(&self.folder) || is(&self.lock) || self.folder.as_deref().is_some_and(|folder| is_making(path, folder))
    }
}

/// Whether a path is that of a bundle in the making, which will appear as `folder`.
fn is_making(path: &Path, folder: &Path) -> bool {
    let prefix = folder.file_name().map(|name| [b".", name.as_bytes(), b".making-"].concat());
    let name = path.file_name().map(OsStrExt::as_bytes);
    path.parent() == folder.parent() && prefix.zip(name).is_some_and(|(prefix, name)| name.starts_with(&prefix))
}

/// The path with the links above it followed; what it names may not be there yet.
fn resolved(path: &Path) -> Option<PathBuf> {
    let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    Some(parent.canonicalize().ok()?.join(path.file_name()?))
}

/// Where a content stands and how long it was when it was digested.
struct Place {
    path: PathBuf,
    size_bytes: u64,
}

impl UserFiles {
    /// Nothing read yet; every entry will carry this time, and what builds write is left out of folders.
    pub fn new(epoch_secs: i64, own: Own) -> Self {
        Self { epoch_secs, own, sources: BTreeMap::new(), places: BTreeMap::new() }
    }

    /// Reads one `from=` below `folder`.
    ///
    /// # Errors
    /// What the file system reports, with the path; also for what is neither a file, a folder nor a link.
    pub fn read(&mut self, folder: &Path, from: &str) -> io::Result<()> {
        let path = folder.join(from);
        let at = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
        let meta = fs::metadata(&path).map_err(at)?;
        let source = if meta.is_dir() {
            let mut tree = Tree::new(self.node(&path, &meta).map_err(at)?);
            let resolved = path.canonicalize().map_err(at)?;
            self.read_dir(&path, &resolved, &TreePath::root(), &mut tree)?;
            Source::Folder(tree)
        } else {
            Source::File(self.node(&path, &meta).map_err(at)?)
        };
        self.sources.insert(from.to_owned(), source);
        Ok(())
    }

    /// Reads a folder; `resolved` is the same folder with all links followed.
    fn read_dir(&mut self, dir: &Path, resolved: &Path, below: &TreePath, tree: &mut Tree) -> io::Result<()> {
        let mut entries: Vec<_> = fs::read_dir(dir)?.collect::<Result<_, _>>()?;
        entries.sort_by_key(fs::DirEntry::file_name);
        for entry in entries {
            let path = entry.path();
            let resolved = resolved.join(entry.file_name());
            if self.own.holds(&resolved) {
                continue;
            }
            let at = |error: io::Error| io::Error::new(error.kind(), format!("{}: {error}", path.display()));
            let meta = entry.metadata().map_err(at)?;
            let place = below.join(entry.file_name().as_bytes()).map_err(|error| at(io::Error::other(error)))?;
            let node = self.node(&path, &meta).map_err(at)?;
            let is_dir = node.is_dir();
            tree.insert(place.clone(), node).map_err(io::Error::other)?;
            if is_dir {
                self.read_dir(&path, &resolved, &place, tree)?;
            }
        }
        Ok(())
    }

    fn node(&mut self, path: &Path, meta: &fs::Metadata) -> io::Result<Node> {
        let kind = if meta.is_dir() {
            Kind::Dir
        } else if meta.is_symlink() {
            Kind::Symlink(fs::read_link(path)?.as_os_str().as_bytes().into())
        } else if meta.is_file() {
            let (digest, size_bytes) = digest_file(path)?;
            self.places.insert(digest, Place { path: path.to_owned(), size_bytes });
            Kind::File(Content::Blob { digest, size_bytes })
        } else {
            let what = if meta.file_type().is_socket() { "a socket" } else { "a device or pipe" };
            return Err(io::Error::other(format!(
                "is {what}; only files, folders and links can be put into an appliance"
            )));
        };
        Ok(Node { kind, meta: Meta { mtime_secs: self.epoch_secs, ..Meta::root(mode_of(meta)) } })
    }
}

impl Blobs for UserFiles {
    fn open(&self, digest: &Digest) -> io::Result<Box<dyn Read + Send + '_>> {
        let place = self.places.get(digest).ok_or(io::ErrorKind::NotFound)?;
        let file = File::open(&place.path)?;
        if file.metadata()?.len() != place.size_bytes {
            return Err(io::Error::other(format!(
                "{} changed while it was being built; build again",
                place.path.display()
            )));
        }
        Ok(Box::new(Unchanged { file, hasher: blake3::Hasher::new(), place, digest: *digest }))
    }
}

/// Reads a file and fails at its end when it is not what was digested before.
struct Unchanged<'a> {
    file: File,
    hasher: blake3::Hasher,
    place: &'a Place,
    digest: Digest,
}

impl Read for Unchanged<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read(buffer)?;
        self.hasher.update(&buffer[..count]);
        if count == 0 && !buffer.is_empty() && Digest::from(self.hasher.finalize()) != self.digest {
            return Err(io::Error::other(format!(
                "{} changed while it was being built; build again",
                self.place.path.display()
            )));
        }
        Ok(count)
    }
}

/// Execute bits are all that is taken from the host's permissions: the rest depends on who checked the files out.
fn mode_of(meta: &fs::Metadata) -> u16 {
    if meta.is_dir() || meta.permissions().mode() & 0o111 != 0 { 0o755 } else { 0o644 }
}

fn digest_file(path: &Path) -> io::Result<(Digest, u64)> {
    let mut file = File::open(path)?;
    let mut hasher = blake3::Hasher::new();
    let size_bytes = io::copy(&mut file, &mut hasher)?;
    Ok((hasher.finalize().into(), size_bytes))
}
