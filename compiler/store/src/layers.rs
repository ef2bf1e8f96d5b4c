//! Files that other stages keep under a key of their own choice: compressed layers, prepared disks.

use std::fs::{self, File};
use std::io;
use std::path::PathBuf;

use tree::Digest;

use crate::Store;
use crate::disk::{self, DiskError, at};

/// Why a file cannot be put into the store.
#[derive(Debug, thiserror::Error)]
pub enum PutError<E> {
    /// The store's disk.
    #[error("keep a file in the store")]
    Disk(#[from] DiskError),
    /// What makes the file failed; nothing is kept.
    #[error("make a file for the store")]
    Make(#[source] E),
}

impl Store {
    /// The file that was put under this key, complete; it stays at least as long as this store is open.
    pub fn cached(&self, key: &Digest) -> Option<PathBuf> {
        let _guard = self.folders.looking_up().ok()?;
        let path = self.folders.path("layers", key.to_string());
        let sum = fs::read_to_string(self.folders.path("layers", format!("{key}.sum"))).ok()?;
        let (_, size_bytes) = parse_sum(&sum)?;
        // A file that a power cut made shorter than it was is none.
        let whole = fs::metadata(&path).is_ok_and(|meta| meta.len() == size_bytes);
        whole.then(|| {
            disk::mark_used(&path);
            path
        })
    }

    /// Gives the file of this key, made by `make` (into an empty file open for writing and reading) if there is none.
    /// Of several processes that ask at once, one makes it and the others wait.
    ///
    /// # Errors
    /// When `make` fails or the store cannot be written; nothing is kept then.
    pub fn put<E>(&self, key: &Digest, make: impl FnOnce(&mut File) -> Result<(), E>) -> Result<PathBuf, PutError<E>> {
        let _lock = self.folders.lock_key("layers", &key.to_string())?;
        if let Some(path) = self.cached(key) {
            return Ok(path);
        }
        let temporary = self.folders.temporary();
        let mut file = disk::create(&temporary)?;
        if let Err(error) = make(&mut file) {
            disk::remove(&temporary)?;
            return Err(PutError::Make(error));
        }
        drop(file);
        let sum = hash_file(&temporary)?;
        let _guard = self.folders.looking_up()?;
        let path = self.folders.path("layers", key.to_string());
        disk::rename(&temporary, &path)?;
        // The sum comes last: without it the file does not count.
        let text = format!("{} {}\n", sum.0, sum.1);
        disk::write_whole(
            &self.folders.temporary(),
            &self.folders.path("layers", format!("{key}.sum")),
            text.as_bytes(),
        )?;
        Ok(path)
    }
}

/// BLAKE3 and size of a file.
pub(crate) fn hash_file(path: &std::path::Path) -> Result<(Digest, u64), DiskError> {
    let mut file = File::open(path).map_err(at("open", path))?;
    let mut hasher = blake3::Hasher::new();
    let size = io::copy(&mut file, &mut hasher).map_err(at("read", path))?;
    Ok((hasher.finalize().into(), size))
}

/// Reads a `.sum` file: BLAKE3 and size.
pub(crate) fn parse_sum(text: &str) -> Option<(Digest, u64)> {
    let (digest, size) = text.trim_end().split_once(' ')?;
    Some((digest.parse().ok()?, size.parse().ok()?))
}
