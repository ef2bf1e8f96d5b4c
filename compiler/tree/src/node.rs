//! One entry of a tree: what it is, who owns it and what it holds.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::Digest;

/// The bytes of a regular file: at hand, or named by their digest and read through [`crate::Blobs`].
#[derive(Debug, Clone)]
pub enum Content {
    /// The bytes themselves; for what the compiler generates.
    Inline(Arc<[u8]>),
    /// Bytes that a store holds.
    Blob {
        /// BLAKE3 of the whole content.
        digest: Digest,
        /// Length in bytes.
        size_bytes: u64,
    },
}

impl Content {
    /// Content that is kept inline.
    pub fn inline(bytes: impl Into<Vec<u8>>) -> Self {
        Self::Inline(bytes.into().into())
    }

    /// Length in bytes.
    pub fn size_bytes(&self) -> u64 {
        match self {
            Self::Inline(bytes) => bytes.len() as u64,
            Self::Blob { size_bytes, .. } => *size_bytes,
        }
    }

    /// BLAKE3 of the bytes; computed for inline content.
    pub fn digest(&self) -> Digest {
        match self {
            Self::Inline(bytes) => Digest::of(bytes),
            Self::Blob { digest, .. } => *digest,
        }
    }
}

/// What an entry is.
#[derive(Debug, Clone)]
pub enum Kind {
    /// A folder.
    Dir,
    /// A regular file.
    File(Content),
    /// A symbolic link and the bytes of its target, as stored, never resolved.
    Symlink(Arc<[u8]>),
    /// A character device.
    CharDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A block device.
    BlockDevice {
        /// Major number.
        major: u32,
        /// Minor number.
        minor: u32,
    },
    /// A named pipe.
    Fifo,
    /// A Unix socket.
    Socket,
}

/// Who owns an entry and what may be done with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Meta {
    /// Permission bits with set-user-id, set-group-id and sticky: `0o0000` to `0o7777`.
    pub mode: u16,
    /// Owner's user id.
    pub uid: u32,
    /// Owner's group id.
    pub gid: u32,
    /// Time of last modification, in seconds since 1970 UTC; may be negative.
    pub mtime_secs: i64,
    /// Extended attributes by full name (`security.capability`), values as the kernel's calls show them.
    pub xattrs: BTreeMap<Vec<u8>, Vec<u8>>,
}

impl Meta {
    /// Metadata of `root:root` with this mode and time 0.
    pub fn root(mode: u16) -> Self {
        Self { mode, uid: 0, gid: 0, mtime_secs: 0, xattrs: BTreeMap::new() }
    }
}

/// One entry: what it is and its metadata.
#[derive(Debug, Clone)]
pub struct Node {
    /// What it is.
    pub kind: Kind,
    /// Who owns it and what may be done with it.
    pub meta: Meta,
}

impl Node {
    /// A folder of `root:root`.
    pub fn dir(mode: u16) -> Self {
        Self { kind: Kind::Dir, meta: Meta::root(mode) }
    }

    /// A regular file of `root:root` with inline content.
    pub fn file(mode: u16, bytes: impl Into<Vec<u8>>) -> Self {
        Self { kind: Kind::File(Content::inline(bytes)), meta: Meta::root(mode) }
    }

    /// A symbolic link of `root:root`.
    pub fn symlink(target: impl AsRef<[u8]>) -> Self {
        Self { kind: Kind::Symlink(target.as_ref().into()), meta: Meta::root(0o777) }
    }

    /// Whether this is a folder.
    pub fn is_dir(&self) -> bool {
        matches!(self.kind, Kind::Dir)
    }
}
