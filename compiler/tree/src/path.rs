//! Canonical paths inside a tree: relative to its root, bytewise, without `.`, `..` or empty parts.

use std::fmt;
use std::sync::Arc;

/// A canonical path inside a tree, as bytes without a leading slash; the empty path is the root.
///
/// Holding one proves that it has no empty, `.` or `..` part, no NUL byte, no part over 255 bytes
/// and no more than 4095 bytes in all, so it can never lead out of the root by its text alone.
/// The order is bytewise, which puts every folder before its members.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TreePath(Arc<[u8]>);

/// Why some bytes are not a path inside a tree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PathError {
    /// A part is `..`, which could lead out of the root.
    Parent,
    /// A NUL byte, which no file system can store.
    Nul,
    /// A part of over 255 bytes, the limit of Linux file systems.
    LongPart,
    /// Over 4095 bytes in all, Linux's `PATH_MAX` less its end mark.
    Long,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parent => "the path contains `..`",
            Self::Nul => "the path contains a NUL byte",
            Self::LongPart => "a part of the path is longer than 255 bytes",
            Self::Long => "the path is longer than 4095 bytes",
        })
    }
}

impl std::error::Error for PathError {}

impl TreePath {
    /// The root of a tree.
    pub fn root() -> Self {
        Self(Arc::from(&b""[..]))
    }

    /// Makes a path from bytes such as `/usr/bin`, `./usr//bin/` or `usr/bin`.
    ///
    /// Leading slashes, empty parts and `.` fall away. `..` is refused, not resolved: a text that
    /// needs it comes from outside and is not trusted.
    pub fn new(bytes: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let bytes = bytes.as_ref();
        let mut clean = Vec::with_capacity(bytes.len());
        for part in bytes.split(|&b| b == b'/') {
            match part {
                b"" | b"." => continue,
                b".." => return Err(PathError::Parent),
                part if part.contains(&0) => return Err(PathError::Nul),
                part if part.len() > 255 => return Err(PathError::LongPart),
                part => {
                    if !clean.is_empty() {
                        clean.push(b'/');
                    }
                    clean.extend_from_slice(part);
                }
            }
        }
        if clean.len() > 4095 {
            return Err(PathError::Long);
        }
        Ok(Self(clean.into()))
    }

    /// The bytes, without a leading slash; empty for the root.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The folder that holds this path; `None` for the root.
    pub fn parent(&self) -> Option<Self> {
        if self.is_root() {
            return None;
        }
        let end = self.0.iter().rposition(|&b| b == b'/').unwrap_or(0);
        Some(Self(self.0[..end].into()))
    }

    /// The last part; empty for the root.
    pub fn name(&self) -> &[u8] {
        self.0.rsplit(|&b| b == b'/').next().unwrap_or_default()
    }

    /// The parts from the root down; none for the root.
    pub fn parts(&self) -> impl Iterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|part| !part.is_empty())
    }

    /// This path with `below` (one part or several) under it.
    ///
    /// # Errors
    /// As [`TreePath::new`].
    pub fn join(&self, below: impl AsRef<[u8]>) -> Result<Self, PathError> {
        let mut bytes = self.0.to_vec();
        bytes.push(b'/');
        bytes.extend_from_slice(below.as_ref());
        Self::new(bytes)
    }

    /// Whether this path is `folder` or lies below it.
    pub fn starts_with(&self, folder: &Self) -> bool {
        folder.is_root()
            || self.0.strip_prefix(folder.as_bytes()).is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
    }

    /// The path as text for people, with a leading slash; bytes that are not UTF-8 are replaced.
    pub fn display(&self) -> String {
        format!("/{}", String::from_utf8_lossy(&self.0))
    }
}

impl fmt::Debug for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.display())
    }
}

impl fmt::Display for TreePath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_made_canonical_or_refused() {
        assert_eq!(TreePath::new("./usr//bin/").unwrap().as_bytes(), b"usr/bin");
        assert_eq!(TreePath::new("/").unwrap(), TreePath::root());
        assert_eq!(TreePath::new("a/../b"), Err(PathError::Parent));
        assert_eq!(TreePath::new(b"a\0b"), Err(PathError::Nul));
        assert_eq!(TreePath::new("x".repeat(256)), Err(PathError::LongPart));
        assert_eq!(TreePath::new("ab/".repeat(1366)), Err(PathError::Long));
    }

    #[test]
    fn relations_go_by_parts_not_by_bytes() {
        let bin = TreePath::new("/usr/bin").unwrap();
        assert_eq!(bin.parent().unwrap().as_bytes(), b"usr");
        assert_eq!(bin.parent().unwrap().parent().unwrap(), TreePath::root());
        assert_eq!(bin.name(), b"bin");
        assert!(bin.starts_with(&TreePath::root()));
        assert!(!TreePath::new("usr/bin2").unwrap().starts_with(&bin));
    }
}
