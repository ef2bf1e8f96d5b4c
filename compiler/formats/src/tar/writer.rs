//! Tree entries to a tar stream: the same entries give the same bytes on every machine.
//!
//! A pax header is written only where ustar cannot say it, its keys are sorted and its name holds no process id.
//! Owners are numbers only. The writer decides nothing about order or what is left out: its caller does.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use tree::{Kind, Meta, Node, TreePath};

use super::BLOCK_BYTES;
use super::header::{self, Block, MAX_ID, MAX_LONG, NAME_BYTES, PREFIX_BYTES};
use super::pax::push_record;
use crate::exact::{self, CopyError};

/// Why an entry cannot be written.
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
    /// The format has no sockets.
    #[error("write {0}: a tar archive cannot hold a socket")]
    Socket(TreePath),
    /// Device numbers over seven octal digits.
    #[error("write {0}: its device number is too large for a tar archive")]
    Device(TreePath),
    /// An attribute name with `=` cannot be a pax key.
    #[error("write {0}: the name of an extended attribute contains `=`")]
    Xattr(TreePath),
}

/// Writes one archive.
pub struct Writer<W: Write> {
    inner: W,
}

impl<W: Write> Writer<W> {
    /// Starts an archive on `inner`, which should buffer.
    pub fn new(inner: W) -> Self {
        Self { inner }
    }

    /// Writes one entry; for a regular file all of `content`, which must have the size that the node says.
    ///
    /// # Errors
    /// When either stream fails, the content has another size, or the format cannot hold the entry.
    pub fn entry(&mut self, path: &TreePath, node: &Node, content: &mut dyn Read) -> Result<(), WriteError> {
        self.announce(path, node)?;
        match &node.kind {
            Kind::File(stated) => self.content(path, stated.size_bytes(), content),
            _ => Ok(()),
        }
    }

    /// Writes the header of an entry alone. Its content, and zeros up to a multiple of 512 bytes, are for the caller
    /// to append to the stream.
    ///
    /// # Errors
    /// When the stream fails or the format cannot hold the entry.
    pub fn announce(&mut self, path: &TreePath, node: &Node) -> Result<(), WriteError> {
        let record = Record::of(path, node)?;
        self.header(record)
    }

    /// Gives the stream back without the end of an archive.
    pub fn into_inner(self) -> W {
        self.inner
    }

    /// Writes a hard link to `first`, an entry that was written before, with the metadata of their common node.
    ///
    /// # Errors
    /// When the stream fails or the format cannot hold the entry.
    pub fn hard_link(&mut self, path: &TreePath, meta: &Meta, first: &TreePath) -> Result<(), WriteError> {
        // The attributes came with the first name.
        let meta = Meta { xattrs: BTreeMap::new(), ..meta.clone() };
        let mut record = Record::new(b'1', path.as_bytes().to_vec(), &meta);
        record.link = first.as_bytes().to_vec();
        self.header(record)
    }

    /// Writes the end of the archive and gives the stream back, not flushed.
    ///
    /// # Errors
    /// When the stream fails.
    pub fn finish(mut self) -> Result<W, WriteError> {
        self.inner.write_all(&[0; 2 * BLOCK_BYTES])?;
        Ok(self.inner)
    }

    fn header(&mut self, record: Record) -> Result<(), WriteError> {
        let extended = record.extended();
        if !extended.is_empty() {
            let mut block = Block::ustar(b'x');
            block.set_text(header::NAME, &extended_name(&record.name));
            block.set_number(header::MODE, 0o644);
            block.set_number(header::SIZE, extended.len() as u64);
            self.inner.write_all(&block.seal())?;
            self.inner.write_all(&extended)?;
            self.pad(extended.len() as u64)?;
        }
        self.inner.write_all(&record.block().seal())?;
        Ok(())
    }

    fn content(&mut self, path: &TreePath, size: u64, content: &mut dyn Read) -> Result<(), WriteError> {
        exact::copy(content, size, &mut self.inner).map_err(|error| match error {
            CopyError::Read(error) => WriteError::Content(path.clone(), error),
            CopyError::Write(error) => WriteError::Io(error),
            CopyError::Size => WriteError::Size(path.clone()),
        })?;
        self.pad(size).map_err(WriteError::Io)
    }

    fn pad(&mut self, size: u64) -> io::Result<()> {
        let over = (size % BLOCK_BYTES as u64) as usize;
        self.inner.write_all(&[0; BLOCK_BYTES][over..][..(BLOCK_BYTES - over) % BLOCK_BYTES])
    }
}

/// One entry as the format sees it, before it is split between the ustar block and the pax header.
struct Record<'a> {
    kind: u8,
    name: Vec<u8>,
    link: Vec<u8>,
    size: u64,
    device: (u32, u32),
    meta: &'a Meta,
}

impl<'a> Record<'a> {
    fn new(kind: u8, name: Vec<u8>, meta: &'a Meta) -> Self {
        Self { kind, name, link: Vec::new(), size: 0, device: (0, 0), meta }
    }

    fn of(path: &TreePath, node: &'a Node) -> Result<Self, WriteError> {
        let mut record = Self::new(b'0', path.as_bytes().to_vec(), &node.meta);
        match &node.kind {
            Kind::File(content) => record.size = content.size_bytes(),
            Kind::Dir => {
                record.kind = b'5';
                if path.is_root() {
                    record.name.push(b'.');
                }
                record.name.push(b'/');
            }
            Kind::Symlink(target) => {
                record.kind = b'2';
                record.link = target.to_vec();
            }
            Kind::CharDevice { major, minor } => (record.kind, record.device) = (b'3', (*major, *minor)),
            Kind::BlockDevice { major, minor } => (record.kind, record.device) = (b'4', (*major, *minor)),
            Kind::Fifo => record.kind = b'6',
            Kind::Socket => return Err(WriteError::Socket(path.clone())),
        }
        if u64::from(record.device.0.max(record.device.1)) > MAX_ID {
            return Err(WriteError::Device(path.clone()));
        }
        if node.meta.xattrs.keys().any(|name| name.contains(&b'=')) {
            return Err(WriteError::Xattr(path.clone()));
        }
        Ok(record)
    }

    /// The pax records that this entry needs, sorted by key; empty when ustar says it all.
    fn extended(&self) -> Vec<u8> {
        let meta = self.meta;
        let mut records: BTreeMap<Vec<u8>, Vec<u8>> = BTreeMap::new();
        let mut number = |key: &str, value: u64, max: u64| {
            if value > max {
                records.insert(key.into(), value.to_string().into());
            }
        };
        number("uid", meta.uid.into(), MAX_ID);
        number("gid", meta.gid.into(), MAX_ID);
        number("size", self.size, MAX_LONG);
        if !u64::try_from(meta.mtime_secs).is_ok_and(|mtime| mtime <= MAX_LONG) {
            records.insert("mtime".into(), meta.mtime_secs.to_string().into());
        }
        let path = split_name(&self.name).is_none().then_some(("path", &self.name));
        let link = (!self.link.is_ascii() || self.link.len() > NAME_BYTES).then_some(("linkpath", &self.link));
        for (key, value) in path.into_iter().chain(link) {
            if std::str::from_utf8(value).is_err() {
                // Sorts before `linkpath` and `path`, as it must: it tells how to read them.
                records.insert("hdrcharset".into(), "BINARY".into());
            }
            records.insert(key.into(), value.clone());
        }
        for (name, value) in &meta.xattrs {
            records.insert([b"SCHILY.xattr.", &name[..]].concat(), value.clone());
        }
        let mut out = Vec::new();
        records.iter().for_each(|(key, value)| push_record(&mut out, key, value));
        out
    }

    fn block(&self) -> Block {
        let fit = |value: u64, max: u64| if value > max { 0 } else { value };
        let mut block = Block::ustar(self.kind);
        let ascii = plain(&self.name);
        let (prefix, name) = split_name(&self.name).unwrap_or((b"", &ascii));
        block.set_text(header::NAME, name);
        block.set_text(header::PREFIX, prefix);
        block.set_text(header::LINK_NAME, &plain(&self.link));
        block.set_number(header::MODE, self.meta.mode.into());
        block.set_number(header::UID, fit(self.meta.uid.into(), MAX_ID));
        block.set_number(header::GID, fit(self.meta.gid.into(), MAX_ID));
        block.set_number(header::SIZE, fit(self.size, MAX_LONG));
        block.set_number(header::MTIME, fit(u64::try_from(self.meta.mtime_secs).unwrap_or(0), MAX_LONG));
        block.set_number(header::DEV_MAJOR, self.device.0.into());
        block.set_number(header::DEV_MINOR, self.device.1.into());
        block
    }
}

/// Splits a name at a slash into the `prefix` and `name` fields; `None` when it cannot go there as it is.
fn split_name(name: &[u8]) -> Option<(&[u8], &[u8])> {
    if !name.is_ascii() {
        return None;
    }
    if name.len() <= NAME_BYTES {
        return Some((b"", name));
    }
    let first = name.len() - NAME_BYTES - 1;
    // The last byte is never the cut: a folder keeps its slash in `name`.
    let cut = name[..name.len() - 1].iter().skip(first).position(|&b| b == b'/')? + first;
    (cut > 0 && cut <= PREFIX_BYTES).then(|| (&name[..cut], &name[cut + 1..]))
}

/// The name of the extended header of an entry: for people who list the archive with an old tool.
fn extended_name(name: &[u8]) -> Vec<u8> {
    let last = name.split(|&b| b == b'/').rfind(|part| !part.is_empty()).unwrap_or_default();
    let mut out = [b"PaxHeaders/", &plain(last)[..]].concat();
    out.truncate(NAME_BYTES);
    out
}

fn plain(name: &[u8]) -> Vec<u8> {
    name.iter().take(NAME_BYTES).map(|&b| if b.is_ascii() { b } else { b'_' }).collect()
}
