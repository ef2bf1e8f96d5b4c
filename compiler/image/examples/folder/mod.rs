//! A folder as a tree, for measurements: metadata is read, contents stay in their files until they are written.

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use tree::{Blobs, Content, Digest, Kind, Meta, Node, Tree, TreePath};

/// Contents where they stand in the folder.
#[derive(Default)]
pub struct Files {
    paths: BTreeMap<Digest, PathBuf>,
    /// Their bytes in all.
    pub bytes: u64,
}

impl Blobs for Files {
    fn open(&self, digest: &Digest) -> io::Result<Box<dyn Read + Send + '_>> {
        let path = self.paths.get(digest).ok_or(io::ErrorKind::NotFound)?;
        Ok(Box::new(File::open(path)?))
    }
}

/// Reads a folder into a tree; contents stay where they are.
pub fn read(folder: &Path) -> Result<(Tree, Files), Box<dyn Error>> {
    let (mut tree, mut files) = (Tree::default(), Files::default());
    read_into(folder, &TreePath::root(), &mut tree, &mut files)?;
    Ok((tree, files))
}

fn read_into(folder: &Path, at: &TreePath, tree: &mut Tree, files: &mut Files) -> Result<(), Box<dyn Error>> {
    let mut entries = fs::read_dir(folder)?.collect::<Result<Vec<_>, _>>()?;
    entries.sort_by_key(fs::DirEntry::file_name);
    for entry in entries {
        let (source, meta) = (entry.path(), entry.metadata()?);
        let path = TreePath::new([at.as_bytes(), entry.file_name().as_bytes()].join(&b'/'))?;
        let kind = if meta.is_dir() {
            Kind::Dir
        } else if meta.is_symlink() {
            Kind::Symlink(fs::read_link(&source)?.as_os_str().as_bytes().into())
        } else if meta.is_file() {
            Kind::File(files.add(&source, meta.size())?)
        } else {
            continue;
        };
        let (mode, mtime_secs) = (meta.mode() as u16 & 0o7777, meta.mtime());
        let xattrs = BTreeMap::new();
        tree.insert(
            path.clone(),
            Node { kind, meta: Meta { mode, uid: meta.uid(), gid: meta.gid(), mtime_secs, xattrs } },
        )?;
        if meta.is_dir() {
            read_into(&source, &path, tree, files)?;
        }
    }
    Ok(())
}

impl Files {
    fn add(&mut self, path: &Path, size_bytes: u64) -> io::Result<Content> {
        let mut hasher = blake3::Hasher::new();
        io::copy(&mut File::open(path)?, &mut hasher)?;
        let digest = Digest::from(hasher.finalize());
        self.paths.insert(digest, path.to_owned());
        self.bytes += size_bytes;
        Ok(Content::Blob { digest, size_bytes })
    }
}

/// The largest resident memory of this process until now.
pub fn peak_kib() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse().ok())
}
