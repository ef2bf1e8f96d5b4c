//! Packages and signed indexes of Alpine, apk version 2 (apk-package(5)): gzip members, one after the other.
//!
//! An archive is a signature over the control member, the control member with `.PKGINFO` and scripts, and the data member,
//! whose SHA-256 `.PKGINFO` states. In go bytes and the keys to trust, out come what a key vouches for.

mod index;
mod package;
mod segment;
mod signature;

pub use index::{IndexError, SignedIndex, open_index};
pub use package::{Apk, ApkError, Expected, Limits, check_archive, decode, decode_bytes};
pub use segment::SegmentError;
pub use signature::{KeyFile, SignatureError, Signer, check_key};
