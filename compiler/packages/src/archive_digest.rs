//! What a repository vouches for a package's archive by: families differ in which bytes they digest and how.

use std::fmt;
use std::str::FromStr;

use crate::Sha256;

/// The digest of a package's archive that a signed index states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ArchiveDigest {
    /// Of the whole archive.
    Sha256(Sha256),
    /// Of the part of the archive that states the SHA-256 of the rest: Alpine's control segment. Whoever takes an
    /// archive by it has to look into the archive.
    ControlSha1(Sha1),
}

impl ArchiveDigest {
    /// The digest of the whole archive, where that is what the repository states.
    pub fn sha256(self) -> Option<Sha256> {
        match self {
            Self::Sha256(digest) => Some(digest),
            Self::ControlSha1(_) => None,
        }
    }

    /// Its name in a lock.
    pub(crate) fn property(self) -> &'static str {
        match self {
            Self::Sha256(_) => "sha256",
            Self::ControlSha1(_) => "control-sha1",
        }
    }
}

/// The hexadecimal digits alone; the two kinds differ in length.
impl fmt::Display for ArchiveDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sha256(digest) => digest.fmt(f),
            Self::ControlSha1(digest) => digest.fmt(f),
        }
    }
}

/// A SHA-1 digest, as far as it is stated by something that is signed. It is never made here.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha1(pub [u8; 20]);

/// The text was not 40 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a SHA-1 digest is 40 hexadecimal digits")]
pub struct Sha1ParseError;

impl FromStr for Sha1 {
    type Err = Sha1ParseError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut bytes = [0; 20];
        if text.len() != 40 || !text.bytes().all(|c| c.is_ascii_hexdigit()) {
            return Err(Sha1ParseError);
        }
        for (at, byte) in bytes.iter_mut().enumerate() {
            let pair = text.get(2 * at..2 * at + 2).ok_or(Sha1ParseError)?;
            *byte = u8::from_str_radix(pair, 16).map_err(|_| Sha1ParseError)?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Sha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Sha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sha1({self})")
    }
}
