//! The archive around a disk whose length is known only when it was written.
//!
//! The head is as long for one length of the disk as for any other, so it can be written first with none and again
//! with the real one.

use std::io;

use tree::{Content, Node, TreePath};

use crate::tar;

/// Longest disk that the header of an archive can name without an extension, which VMware does not read.
const DISK_BYTES_MOST: u64 = 0o77_777_777_777;

/// Why an archive cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The disk is too long.
    #[error("an .ova archive cannot hold a disk of {0} bytes; its file must be smaller than 8 GiB")]
    TooLarge(u64),
    /// A name that is no path.
    #[error("`{0}` cannot be the name of a file in an archive")]
    Name(String),
    /// A header could not be made.
    #[error("make the archive")]
    Tar(#[from] tar::WriteError),
}

/// The names and the time of an archive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Archive {
    /// The name of all files in it before their endings.
    pub name: String,
    /// The time of all files, seconds since 1970 UTC.
    pub epoch_secs: i64,
}

impl Archive {
    /// Name of the descriptor.
    pub fn descriptor_file(&self) -> String {
        format!("{}.ovf", self.name)
    }

    /// Name of the disk.
    pub fn disk_file(&self) -> String {
        format!("{}-disk.vmdk", self.name)
    }

    /// All that stands before the disk, which has this many bytes.
    ///
    /// # Errors
    /// When the disk is too long, or the name cannot be one.
    pub fn head(&self, descriptor: &str, disk_bytes: u64) -> Result<Vec<u8>, ArchiveError> {
        if disk_bytes > DISK_BYTES_MOST {
            return Err(ArchiveError::TooLarge(disk_bytes));
        }
        let mut tar = tar::Writer::new(Vec::new());
        let node = self.node(descriptor.len() as u64);
        tar.entry(&path(&self.descriptor_file())?, &node, &mut descriptor.as_bytes())?;
        tar.announce(&path(&self.disk_file())?, &self.node(disk_bytes))?;
        Ok(tar.into_inner())
    }

    /// All that stands behind the disk: its padding, the manifest and the end.
    ///
    /// # Errors
    /// When the name cannot be one.
    pub fn tail(&self, disk_bytes: u64, manifest: &str) -> Result<Vec<u8>, ArchiveError> {
        let padding = disk_bytes.next_multiple_of(512) - disk_bytes;
        let mut tar = tar::Writer::new(vec![0; padding as usize]);
        let node = self.node(manifest.len() as u64);
        tar.entry(&path(&format!("{}.mf", self.name))?, &node, &mut manifest.as_bytes())?;
        Ok(tar.finish()?)
    }

    fn node(&self, size_bytes: u64) -> Node {
        let mut node = Node::file(0o644, "");
        node.kind = tree::Kind::File(Content::Blob { digest: tree::Digest::of(b""), size_bytes });
        node.meta.mtime_secs = self.epoch_secs;
        node
    }
}

/// The manifest: the SHA-256 of each file, in hexadecimal digits (DSP0243, section 5.1).
pub fn manifest(files: &[(&str, &str)]) -> String {
    files.iter().map(|(name, sha256)| format!("SHA256({name})= {sha256}\n")).collect()
}

fn path(name: &str) -> Result<TreePath, ArchiveError> {
    TreePath::new(name).map_err(|_| ArchiveError::Name(name.to_owned()))
}

impl From<ArchiveError> for io::Error {
    fn from(error: ArchiveError) -> Self {
        Self::other(error)
    }
}
