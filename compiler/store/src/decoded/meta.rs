//! The `meta` file of a decoded package: its tree, control files and the index of its pack, with a checksum.
//!
//! Layout: a magic line, the tree dump, the control files, the checksums and owners of files, the index; each with its length as 64-bit little-endian
//! number before it; BLAKE3 of all that at the end. In and out are bytes.

use std::collections::BTreeMap;

use packages::{Sha1, Unpacked};
use tree::{Digest, DumpError, TreePath};

const MAGIC: &[u8] = b"appliance decoded package 2\n";

/// Why a `meta` file cannot be used; it is then made again.
#[derive(Debug, thiserror::Error)]
pub enum MetaError {
    /// It is cut off, or not one at all.
    #[error("read the decoded package: it is cut off or damaged")]
    Damaged,
    /// Its tree cannot be read.
    #[error("read the decoded package")]
    Tree(#[from] DumpError),
}

/// Everything of a decoded package but its contents.
#[derive(Debug, Clone)]
pub(crate) struct Meta {
    pub(crate) unpacked: Unpacked,
    /// The contents of the pack in their order: digest and size.
    pub(crate) index: Vec<(Digest, u64)>,
}

impl Meta {
    /// The file's bytes.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let mut out = MAGIC.to_vec();
        push(&mut out, tree::dump(&self.unpacked.tree).as_bytes());
        push_number(&mut out, self.unpacked.control_files.len() as u64);
        for (name, bytes) in &self.unpacked.control_files {
            push(&mut out, name.as_bytes());
            push(&mut out, bytes);
        }
        push_number(&mut out, self.unpacked.checksums.len() as u64);
        for (path, Sha1(sum)) in &self.unpacked.checksums {
            push(&mut out, path.as_bytes());
            out.extend_from_slice(sum);
        }
        push_number(&mut out, self.unpacked.owner_names.len() as u64);
        for (path, [user, group]) in &self.unpacked.owner_names {
            [path.as_bytes(), user.as_bytes(), group.as_bytes()].into_iter().for_each(|part| push(&mut out, part));
        }
        push_number(&mut out, self.index.len() as u64);
        for (digest, size) in &self.index {
            out.extend_from_slice(&digest.0);
            push_number(&mut out, *size);
        }
        let sum = Digest::of(&out);
        out.extend_from_slice(&sum.0);
        out
    }

    /// Reads the file's bytes.
    pub(crate) fn decode(bytes: &[u8]) -> Result<Self, MetaError> {
        let (body, sum) = bytes.split_last_chunk::<32>().ok_or(MetaError::Damaged)?;
        if Digest::of(body).0 != *sum {
            return Err(MetaError::Damaged);
        }
        let mut rest = body.strip_prefix(MAGIC).ok_or(MetaError::Damaged)?;
        Self::fields(&mut rest).ok_or(MetaError::Damaged)?
    }

    fn fields(rest: &mut &[u8]) -> Option<Result<Self, MetaError>> {
        let dump = text(rest)?;
        let mut control_files = BTreeMap::new();
        for _ in 0..number(rest)? {
            control_files.insert(text(rest)?.to_owned(), chunk(rest)?.to_vec());
        }
        let mut checksums = BTreeMap::new();
        for _ in 0..number(rest)? {
            let path = TreePath::new(chunk(rest)?).ok()?;
            let (sum, after) = rest.split_first_chunk::<20>()?;
            *rest = after;
            checksums.insert(path, Sha1(*sum));
        }
        let mut owner_names = BTreeMap::new();
        for _ in 0..number(rest)? {
            let path = TreePath::new(chunk(rest)?).ok()?;
            owner_names.insert(path, [text(rest)?.to_owned(), text(rest)?.to_owned()]);
        }
        let mut index = Vec::new();
        for _ in 0..number(rest)? {
            let (digest, after) = rest.split_first_chunk::<32>()?;
            *rest = after;
            index.push((Digest(*digest), number(rest)?));
        }
        let with_tree =
            |tree| Self { unpacked: Unpacked { control_files, tree, checksums, owner_names, archive: None }, index };
        Some(tree::parse_dump(dump).map(with_tree).map_err(MetaError::Tree))
    }

    /// Length of the pack that belongs to it.
    pub(crate) fn pack_bytes(&self) -> u64 {
        self.index.iter().map(|(_, size)| size).sum()
    }
}

fn push(out: &mut Vec<u8>, bytes: &[u8]) {
    push_number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

fn push_number(out: &mut Vec<u8>, value: u64) {
    out.extend_from_slice(&value.to_le_bytes());
}

fn number(rest: &mut &[u8]) -> Option<u64> {
    let (bytes, after) = rest.split_first_chunk::<8>()?;
    *rest = after;
    Some(u64::from_le_bytes(*bytes))
}

fn chunk<'a>(rest: &mut &'a [u8]) -> Option<&'a [u8]> {
    let length = usize::try_from(number(rest)?).ok()?;
    let (bytes, after) = rest.split_at_checked(length)?;
    *rest = after;
    Some(bytes)
}

fn text<'a>(rest: &mut &'a [u8]) -> Option<&'a str> {
    std::str::from_utf8(chunk(rest)?).ok()
}

/// Reads the bytes of a `meta` file: one call for fuzzing.
///
/// # Errors
/// See [`MetaError`].
pub fn read_meta(bytes: &[u8]) -> Result<Unpacked, MetaError> {
    Meta::decode(bytes).map(|meta| meta.unpacked)
}

#[cfg(test)]
mod tests {
    use tree::{Node, Tree, TreePath};

    use super::*;

    #[test]
    fn what_is_written_is_read_and_what_is_damaged_is_refused() {
        let mut tree = Tree::default();
        tree.insert(TreePath::new("a").unwrap(), Node::symlink("b")).unwrap();
        let control_files = [("control".to_owned(), b"Package: x\n".to_vec())].into();
        let index = vec![(Digest::of(b"x"), 1), (Digest::of(b"yy"), 2)];
        let checksums = [(TreePath::new("a").unwrap(), Sha1([7; 20]))].into();
        let owner_names = [(TreePath::new("a").unwrap(), ["web".to_owned(), String::new()])].into();
        let unpacked = Unpacked { control_files, tree, checksums, owner_names, archive: None };
        let bytes = Meta { unpacked, index }.encode();
        let read = Meta::decode(&bytes).unwrap();
        assert_eq!(read.encode(), bytes);
        assert_eq!(read.pack_bytes(), 3);
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            assert!(Meta::decode(&bad).is_err(), "{at}");
            assert!(Meta::decode(&bytes[..at]).is_err(), "{at}");
        }
    }
}
