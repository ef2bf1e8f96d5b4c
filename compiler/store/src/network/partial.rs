//! A file that grows as bytes come, with its digests so far.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};

use packages::Sha256;
use sha2::Digest as _;
use tree::Digest;

use super::{Job, Progress};
use crate::DiskError;
use crate::disk::at;

/// A file being fetched.
pub(super) struct Partial<'a> {
    job: &'a Job,
    progress: &'a dyn Progress,
    file: File,
    len: u64,
    sha256: sha2::Sha256,
    blake3: blake3::Hasher,
    /// Bytes that progress has heard of; it never hears of one twice.
    reported: u64,
}

impl<'a> Partial<'a> {
    /// Opens the file, and takes what it holds as the beginning where a digest will confirm the whole.
    pub(super) fn open(job: &'a Job, progress: &'a dyn Progress) -> Result<Self, DiskError> {
        let open = File::options().read(true).write(true).create(true).truncate(false).open(&job.partial);
        let file = open.map_err(at("open", &job.partial))?;
        let (sha256, blake3) = (sha2::Sha256::new(), blake3::Hasher::new());
        let mut partial = Self { job, progress, file, len: 0, sha256, blake3, reported: 0 };
        partial.take_beginning()?;
        Ok(partial)
    }

    fn take_beginning(&mut self) -> Result<(), DiskError> {
        let mut buffer = vec![0; 256 * 1024];
        loop {
            let count = self.file.read(&mut buffer).map_err(at("read", &self.job.partial))?;
            let fits =
                self.job.digest.is_some() && self.job.size_bytes.is_none_or(|size| self.len + count as u64 <= size);
            if !fits {
                return self.restart();
            }
            if count == 0 {
                return Ok(());
            }
            self.count(buffer.get(..count).unwrap_or_default());
        }
    }

    /// Throws away what came so far.
    pub(super) fn restart(&mut self) -> Result<(), DiskError> {
        self.file.set_len(0).map_err(at("empty", &self.job.partial))?;
        self.file.seek(SeekFrom::Start(0)).map_err(at("rewind", &self.job.partial))?;
        self.len = 0;
        self.sha256 = sha2::Sha256::new();
        self.blake3 = blake3::Hasher::new();
        Ok(())
    }

    /// Adds bytes.
    pub(super) fn push(&mut self, bytes: &[u8]) -> Result<(), DiskError> {
        self.file.write_all(bytes).map_err(at("write", &self.job.partial))?;
        self.count(bytes);
        Ok(())
    }

    fn count(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        self.blake3.update(bytes);
        self.len += bytes.len() as u64;
        if self.len > self.reported {
            self.progress.advance(self.len - self.reported);
            self.reported = self.len;
        }
    }

    /// Bytes so far.
    pub(super) fn len(&self) -> u64 {
        self.len
    }

    /// The digests of the bytes so far.
    pub(super) fn digests(&self) -> (Sha256, Digest) {
        (Sha256(self.sha256.clone().finalize().into()), self.blake3.finalize().into())
    }
}
