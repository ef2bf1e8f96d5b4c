//! The file system of an appliance as a plain value.
//!
//! A [`Tree`] maps canonical paths to [`Node`]s; two paths that share a node are hard links.
//! Contents are either inline or named by the BLAKE3 digest of their bytes and read through [`Blobs`].
//! This crate knows no package, no archive and no disk format, and does no input or output.

mod blobs;
mod digest;
mod dump;
mod node;
mod path;
mod tree;

pub use blobs::{Blobs, NoBlobs};
pub use digest::{Digest, DigestParseError};
pub use dump::{DumpError, dump, parse_dump};
pub use node::{Content, Kind, Meta, Node};
pub use path::{PathError, TreePath};
pub use tree::{InsertError, NodeId, Tree};
