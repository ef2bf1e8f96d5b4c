//! Marks of use: the file `CHAIN_ID.used` beside an unpacked layer. Its time is the last use, its lock the present one.
//!
//! A run holds the lock together with other runs as long as it lives; who removes the layer must hold it alone.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// A layer that nobody removes as long as this is held.
#[derive(Debug)]
pub struct InUse(File);

/// A layer that nobody uses, nor begins to, as long as this is held.
#[derive(Debug)]
pub struct Unused {
    stamp: File,
    path: PathBuf,
}

impl InUse {
    /// Marks the layer as used from now until this is dropped. Waits while it is being removed.
    pub fn mark(folder: &Path, chain_id: &str) -> io::Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(folder)?;
        loop {
            let stamp = open(&path(folder, chain_id))?;
            host::lock_shared(&stamp)?;
            // Who removes the layer removes the stamp too: one without a name guards nothing.
            if stamp.metadata()?.nlink() > 0 {
                stamp.set_modified(SystemTime::now())?;
                return Ok(Self(stamp));
            }
        }
    }
}

impl Drop for InUse {
    /// A long run counts as a use at its end.
    fn drop(&mut self) {
        let _ = self.0.set_modified(SystemTime::now());
    }
}

impl Unused {
    /// Claims the layer unless it is in use. One without a stamp counts as used just now.
    pub fn claim(folder: &Path, chain_id: &str) -> io::Result<Option<Self>> {
        let path = path(folder, chain_id);
        let stamp = open(&path)?;
        let alone = host::try_lock_exclusive(&stamp)? && stamp.metadata()?.nlink() > 0;
        Ok(alone.then_some(Self { stamp, path }))
    }

    /// How long ago it was used; nothing when the clock was set back since.
    pub fn since(&self) -> io::Result<Duration> {
        let used = self.stamp.metadata()?.modified()?;
        Ok(SystemTime::now().duration_since(used).unwrap_or_default())
    }

    /// Removes the stamp, after the layer.
    pub fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

fn path(folder: &Path, chain_id: &str) -> PathBuf {
    folder.join(format!("{chain_id}.used"))
}

fn open(path: &Path) -> io::Result<File> {
    File::options().create(true).append(true).mode(0o600).open(path)
}
