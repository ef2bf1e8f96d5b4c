//! A tree to a cpio archive: the same tree gives the same bytes on every machine.
//!
//! Entries come in the tree's order, folders before their members. Inode numbers count from 1, device numbers are
//! 0, and the content of a file with several names stands with the last of them, as GNU cpio writes it.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use tree::{Blobs, Kind, Node, NodeId, Tree, TreePath};

use super::{FIELDS, MAGIC, TRAILER, padding};
use crate::exact::{self, CopyError};

/// Why an archive cannot be written.
#[derive(Debug, thiserror::Error)]
pub enum WriteError {
    /// The stream below failed.
    #[error("write the archive")]
    Io(#[from] io::Error),
    /// The source of a content failed.
    #[error("read the content of {0}")]
    Content(TreePath, #[source] io::Error),
    /// A content has more or fewer bytes than its node says.
    #[error("write {0}: its content is not of its stated size")]
    Size(TreePath),
    /// A number is larger than eight hexadecimal digits, or negative.
    #[error("write {path}: its {field} does not fit a cpio archive, which holds 0 to 4294967295")]
    Range {
        /// The entry.
        path: TreePath,
        /// Which number.
        field: &'static str,
    },
    /// The format has no extended attributes, and what they grant must not be lost silently.
    #[error("write {0}: a cpio archive cannot hold its extended attributes")]
    Xattrs(TreePath),
}

/// Writes one archive.
pub struct Writer<W: Write> {
    inner: W,
    next_inode: u32,
}

/// The inode number of an entry, how many names it has, and whether its content stands here.
#[derive(Debug, Clone, Copy)]
struct Place {
    inode: u32,
    names: u32,
    has_content: bool,
}

/// Writes all of a tree but its root folder, and the end of the archive; gives the stream back, not flushed.
///
/// # Errors
/// See [`WriteError`].
pub fn write_tree<W: Write>(tree: &Tree, blobs: &dyn Blobs, out: W) -> Result<W, WriteError> {
    let mut writer = Writer::new(out);
    let mut seen: BTreeMap<NodeId, (u32, u32)> = BTreeMap::new();
    for (path, id, node) in tree.iter().filter(|(path, ..)| !path.is_root()) {
        let names = tree.names(path);
        let (inode, count) = *seen.entry(id).and_modify(|(_, count)| *count += 1).or_insert((writer.next_inode, 1));
        writer.next_inode = writer.next_inode.max(inode + 1);
        let place = Place { inode, names, has_content: count == names };
        match &node.kind {
            Kind::File(content) if place.has_content => {
                let mut bytes = blobs.reader(content).map_err(|error| WriteError::Content(path.clone(), error))?;
                writer.put(path, node, place, &mut bytes)?;
            }
            _ => writer.put(path, node, place, &mut io::empty())?,
        }
    }
    writer.finish()
}

impl<W: Write> Writer<W> {
    /// Starts an archive on `inner`, which should buffer.
    pub fn new(inner: W) -> Self {
        Self { inner, next_inode: 1 }
    }

    /// Writes one entry with a single name; for a regular file all of `content`, which must have the size that the
    /// node says.
    ///
    /// # Errors
    /// See [`WriteError`].
    pub fn entry(&mut self, path: &TreePath, node: &Node, content: &mut dyn Read) -> Result<(), WriteError> {
        let place = Place { inode: self.next_inode, names: 1, has_content: true };
        self.next_inode += 1;
        self.put(path, node, place, content)
    }

    /// Writes the end of the archive and gives the stream back, not flushed.
    ///
    /// # Errors
    /// When the stream fails.
    pub fn finish(mut self) -> Result<W, WriteError> {
        let mut fields = [0; FIELDS];
        (fields[4], fields[11]) = (1, TRAILER.len() as u32 + 1);
        self.header(fields, TRAILER)?;
        Ok(self.inner)
    }

    fn put(&mut self, path: &TreePath, node: &Node, place: Place, content: &mut dyn Read) -> Result<(), WriteError> {
        let range = |field| WriteError::Range { path: path.clone(), field };
        if !node.meta.xattrs.is_empty() {
            return Err(WriteError::Xattrs(path.clone()));
        }
        let (kind, target, (major, minor)): (u32, &[u8], _) = match &node.kind {
            Kind::Dir => (0o040_000, b"", (0, 0)),
            Kind::File(_) => (0o100_000, b"", (0, 0)),
            Kind::Symlink(target) => (0o120_000, target, (0, 0)),
            Kind::CharDevice { major, minor } => (0o020_000, b"", (*major, *minor)),
            Kind::BlockDevice { major, minor } => (0o060_000, b"", (*major, *minor)),
            Kind::Fifo => (0o010_000, b"", (0, 0)),
            Kind::Socket => (0o140_000, b"", (0, 0)),
        };
        let size = match &node.kind {
            Kind::File(stated) if place.has_content => stated.size_bytes(),
            _ => target.len() as u64,
        };
        let size_field = u32::try_from(size).map_err(|_| range("size"))?;
        let time = u32::try_from(node.meta.mtime_secs).map_err(|_| range("time"))?;
        let links = if node.is_dir() { 2 } else { place.names };
        let name_length = path.as_bytes().len() as u32 + 1;
        let mode = kind | u32::from(node.meta.mode);
        let (uid, gid) = (node.meta.uid, node.meta.gid);
        let fields = [place.inode, mode, uid, gid, links, time, size_field, 0, 0, major, minor, name_length, 0];
        self.header(fields, path.as_bytes())?;
        self.inner.write_all(target)?;
        if matches!(node.kind, Kind::File(_)) {
            self.content(path, size, content)?;
        }
        self.inner.write_all(&[0; 3][..padding(size)])?;
        Ok(())
    }

    fn header(&mut self, fields: [u32; FIELDS], name: &[u8]) -> Result<(), WriteError> {
        let mut header = MAGIC.to_vec();
        fields.iter().for_each(|field| header.extend(format!("{field:08x}").bytes()));
        header.extend(name);
        header.push(0);
        header.resize(header.len() + padding(header.len() as u64), 0);
        Ok(self.inner.write_all(&header)?)
    }

    fn content(&mut self, path: &TreePath, size: u64, content: &mut dyn Read) -> Result<(), WriteError> {
        exact::copy(content, size, &mut self.inner).map_err(|error| match error {
            CopyError::Read(error) => WriteError::Content(path.clone(), error),
            CopyError::Write(error) => WriteError::Io(error),
            CopyError::Size => WriteError::Size(path.clone()),
        })
    }
}
