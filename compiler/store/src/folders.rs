//! Where things lie in the store, and the temporary folder of this process.
//!
//! ```text
//! archives/DIGEST.deb|apk, DIGEST.b3  packages as downloaded, and their BLAKE3
//! indexes/SHA256                      signed releases and index files as downloaded
//! releases/KEY                        which release a URL gave last
//! decoded/BLAKE3.v2/{meta,pack}       packages taken apart
//! blobs/XX/BLAKE3                     single contents
//! layers/KEY, KEY.sum                 what other stages keep under a key of their own
//! partial/SHA256                      downloads that wait to be resumed
//! locks/  tmp/PID-N/                  coordination
//! ```
//!
//! Everything gets its final name by a rename when it is complete, so a process that is killed leaves only
//! its folder in `tmp`, which the next one removes: the lock in it is free. Nothing is synced: the page cache
//! outlives processes, and after a power cut a file that was renamed too early is found by its length or its
//! checksum and made again; the store is a cache of what can be fetched or computed.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use crate::disk::{self, DiskError, Lock, at};

/// Version of the layout of `decoded`; another one is decoded anew.
pub(crate) const DECODED_VERSION: &str = "v2";

/// The folders of a store, and this process's own temporary one.
#[derive(Debug)]
pub(crate) struct Folders {
    root: PathBuf,
    own: PathBuf,
    counter: AtomicU64,
    _alive: Lock,
}

/// Folders whose members are kept by key.
pub(crate) const KINDS: [&str; 8] =
    ["archives", "indexes", "releases", "images", "decoded", "blobs", "layers", "partial"];

impl Folders {
    /// Makes what is missing, sweeps up after dead processes, and moves in.
    pub(crate) fn open(root: &Path) -> Result<Self, DiskError> {
        for kind in KINDS.iter().chain(&["locks", "tmp"]) {
            disk::make_folder(&root.join(kind))?;
        }
        let root = fs::canonicalize(root).map_err(at("find", root))?;
        // Between a folder's making and its locking it looks dead; the gate keeps sweepers out meanwhile.
        let _gate = Lock::exclusive(&root.join("locks/tmp-gate"))?;
        sweep(&root.join("tmp"))?;
        let own = own_folder(&root.join("tmp"))?;
        let alive = Lock::exclusive(&own.join("alive"))?;
        Ok(Self { root, own, counter: AtomicU64::new(0), _alive: alive })
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    /// The path of a kind's member.
    pub(crate) fn path(&self, kind: &str, name: impl AsRef<Path>) -> PathBuf {
        self.root.join(kind).join(name)
    }

    /// A path that nobody else uses, removed with the process.
    pub(crate) fn temporary(&self) -> PathBuf {
        self.own.join(self.counter.fetch_add(1, Ordering::Relaxed).to_string())
    }

    /// Keeps others from doing the same work twice.
    pub(crate) fn lock_key(&self, kind: &str, key: &str) -> Result<Lock, DiskError> {
        Lock::exclusive(&self.path("locks", format!("{kind}-{key}")))
    }

    /// Keeps the garbage collector out while entries are looked up and marked as used.
    pub(crate) fn looking_up(&self) -> Result<Lock, DiskError> {
        Lock::shared(&self.path("locks", "collect"))
    }

    /// Keeps everyone from looking entries up while some are removed.
    pub(crate) fn collecting(&self) -> Result<Lock, DiskError> {
        Lock::exclusive(&self.path("locks", "collect"))
    }

    /// When the oldest of the processes that have the store open opened it, and how many there are.
    pub(crate) fn users(&self) -> Result<(SystemTime, usize), DiskError> {
        let _gate = Lock::exclusive(&self.path("locks", "tmp-gate"))?;
        sweep(&self.root.join("tmp"))?;
        let since: Vec<_> = disk::list(&self.root.join("tmp"))?
            .iter()
            .filter_map(|folder| disk::last_used(&folder.join("alive")))
            .collect();
        Ok((since.iter().min().copied().unwrap_or_else(SystemTime::now), since.len()))
    }
}

impl Drop for Folders {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.own);
    }
}

fn own_folder(tmp: &Path) -> Result<PathBuf, DiskError> {
    let mut number = 0u64;
    loop {
        let folder = tmp.join(format!("{}-{number}", std::process::id()));
        match fs::create_dir(&folder) {
            Ok(()) => return Ok(folder),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(error) => return Err(at("create the folder", &folder)(error)),
        }
    }
}

/// Removes the folders of processes that are dead.
fn sweep(tmp: &Path) -> Result<(), DiskError> {
    for folder in disk::list(tmp)? {
        let alive = folder.join("alive");
        if !alive.exists() || Lock::try_exclusive(&alive)?.is_some() {
            disk::remove(&folder)?;
        }
    }
    Ok(())
}
