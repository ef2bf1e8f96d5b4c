//! Package archives as downloaded, by the digest that the repository states, beside their BLAKE3.

use std::fs;
use std::path::PathBuf;

use packages::ArchiveDigest;
use tree::Digest;

use crate::Store;
use crate::disk::{self, DiskError};
use crate::family;

impl Store {
    pub(crate) fn archive_path(&self, digest: &ArchiveDigest) -> PathBuf {
        self.folders.path("archives", format!("{digest}.{}", family::ending(digest)))
    }

    fn blake3_path(&self, digest: &ArchiveDigest) -> PathBuf {
        self.folders.path("archives", format!("{digest}.b3"))
    }

    /// BLAKE3 of an archive that was fetched once.
    pub(crate) fn known_blake3(&self, digest: &ArchiveDigest) -> Option<Digest> {
        fs::read_to_string(self.blake3_path(digest)).ok()?.trim_end().parse().ok()
    }

    /// Whether an archive is here, whole as far as its length tells.
    pub(crate) fn has_archive(&self, digest: &ArchiveDigest, size_bytes: u64) -> bool {
        let path = self.archive_path(digest);
        let whole = fs::metadata(&path).is_ok_and(|meta| meta.len() == size_bytes);
        if whole {
            disk::mark_used(&path);
            disk::mark_used(&self.blake3_path(digest));
        }
        whole
    }

    /// Takes in an archive that has been verified. Its BLAKE3 comes first, so that no archive is without.
    pub(crate) fn place_archive(
        &self,
        from: &std::path::Path,
        digest: &ArchiveDigest,
        blake3: Digest,
    ) -> Result<(), DiskError> {
        let _guard = self.folders.looking_up()?;
        disk::write_whole(&self.folders.temporary(), &self.blake3_path(digest), format!("{blake3}\n").as_bytes())?;
        disk::rename(from, &self.archive_path(digest))
    }

    /// Removes an archive that turned out to be damaged.
    pub(crate) fn forget_archive(&self, digest: &ArchiveDigest) -> Result<(), DiskError> {
        disk::remove(&self.archive_path(digest))
    }
}
