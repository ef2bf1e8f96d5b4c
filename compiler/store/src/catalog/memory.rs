//! What the store remembers of the signed files that it asks mirrors for: the last one of each, and how to ask for it again.

use std::fs;
use std::path::{Path, PathBuf};

use packages::Sha256;
use tree::Digest;

use crate::Store;
use crate::disk::{self, DiskError};
use crate::network::{Fetched, Validators};

/// What the store remembers of a suite, or of an index that is signed by itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Memory {
    /// Digest of the file that came last, by which it lies among the indexes.
    pub(super) sha256: Option<Sha256>,
    /// Where it came from.
    pub(super) url: String,
    /// What tells whether it is still the same there.
    pub(super) validators: Validators,
    /// Its date, in seconds since 1970.
    pub(super) date_secs: Option<i64>,
}

impl Memory {
    /// What to remember of a file that came.
    pub(super) fn of(fetched: &Fetched, date_secs: i64) -> Self {
        let (url, validators) = (fetched.url.clone(), fetched.validators.clone());
        Self { sha256: Some(fetched.sha256), url, validators, date_secs: Some(date_secs) }
    }
}

impl Store {
    /// What is remembered; nothing is the same as what cannot be read.
    pub(super) fn recall(&self, archive: &str, suite: &str) -> Memory {
        let text = fs::read_to_string(self.memory_path(archive, suite)).unwrap_or_default();
        let mut lines = text.lines();
        let mut line = || lines.next().unwrap_or_default().to_owned();
        let (sha256, date_secs) = (line().parse().ok(), line().parse().ok());
        Memory { sha256, date_secs, url: line(), validators: Validators { etag: line(), last_modified: line() } }
    }

    /// Keeps the file at `bytes` among the indexes and remembers it.
    pub(super) fn remember(&self, archive: &str, suite: &str, memory: &Memory, bytes: &Path) -> Result<(), DiskError> {
        let Some(sha256) = memory.sha256 else { return Ok(()) };
        let _guard = self.folders.looking_up()?;
        disk::rename(bytes, &self.index_path(&sha256))?;
        let Validators { etag, last_modified } = &memory.validators;
        let (date_secs, url) = (memory.date_secs.unwrap_or(0), &memory.url);
        let text = format!("{sha256}\n{date_secs}\n{url}\n{etag}\n{last_modified}\n");
        disk::write_whole(&self.folders.temporary(), &self.memory_path(archive, suite), text.as_bytes())
    }

    /// Whether a remembered file is whole: a damaged copy must not be what an unchanged one is read from.
    pub(super) fn is_whole(&self, sha256: Sha256) -> bool {
        fs::read(self.index_path(&sha256)).is_ok_and(|bytes| Sha256::of(&bytes) == sha256)
    }

    fn memory_path(&self, archive: &str, suite: &str) -> PathBuf {
        self.folders.path("releases", Digest::of(format!("{archive}\0{suite}").as_bytes()).to_string())
    }
}
