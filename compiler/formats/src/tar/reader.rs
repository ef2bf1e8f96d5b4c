//! A tar stream to entries: strict, bounded, and without trust in a single byte.
//!
//! Names are given as they stand in the archive; where they may lead is the caller's question.
//! Refused are sparse files, multi-volume parts, unknown types, and anything after the end mark.

use std::collections::BTreeMap;
use std::io::{self, Read};

use tree::Meta;

use super::BLOCK_BYTES;
use super::header::{self, Block};
use super::pax;
use crate::exact;

/// Bounds of what an archive may ask for.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Entries, extended headers not counted.
    pub entries: u64,
    /// Length of a name or link target.
    pub name_bytes: usize,
    /// Length of one extended header.
    pub extended_bytes: u64,
    /// Contents of all files together.
    pub content_bytes: u64,
}

impl Default for Limits {
    /// Room for the largest packages that distributions carry; extended headers hold attributes of at most 64 KiB.
    fn default() -> Self {
        Self { entries: 1 << 20, name_bytes: 4096, extended_bytes: 1 << 20, content_bytes: 32 << 30 }
    }
}

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum TarError {
    /// The stream below failed.
    #[error("read the archive")]
    Io(#[from] io::Error),
    /// The archive ends inside an entry or without its end mark.
    #[error("read the tar archive: it is cut off after {0} bytes")]
    Truncated(u64),
    /// Bytes that are no header.
    #[error("read the tar header at byte {0}: its checksum does not match")]
    Checksum(u64),
    /// A field or extended header that says nothing sensible.
    #[error("read the tar header at byte {at}: bad {field}")]
    Field {
        /// Offset of the header.
        at: u64,
        /// Which field.
        field: &'static str,
    },
    /// A type of entry that is not supported.
    #[error("read the tar header at byte {at}: {what} are not supported")]
    Unsupported {
        /// Offset of the header.
        at: u64,
        /// What was found.
        what: String,
    },
    /// One of the [`Limits`] is passed.
    #[error("read the tar archive: more than {limit} {what}")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// The limit.
        limit: u64,
    },
    /// Something follows the end mark.
    #[error("read the tar archive: something follows its end at byte {0}")]
    Trailing(u64),
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A regular file; its content is read from the [`Reader`].
    File,
    /// Another name of an earlier entry.
    HardLink(Vec<u8>),
    /// A symbolic link with its target.
    Symlink(Vec<u8>),
    /// A folder.
    Dir,
    /// A character device, major and minor number.
    CharDevice(u32, u32),
    /// A block device, major and minor number.
    BlockDevice(u32, u32),
    /// A named pipe.
    Fifo,
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name as it stands in the archive, without NUL, not empty.
    pub name: Vec<u8>,
    /// What it is.
    pub kind: EntryKind,
    /// Owner, mode, time and attributes.
    pub meta: Meta,
    /// Length of the content; zero for all but regular files.
    pub size_bytes: u64,
    /// Records of its extended header that mean nothing to tar itself: names with a vendor's in front.
    pub records: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Names of its user and its group, each empty where the archive has none.
    pub owner_names: [Vec<u8>; 2],
}

/// Reads one archive. As a [`Read`] it gives the content of the entry last returned.
pub struct Reader<R> {
    inner: R,
    limits: Limits,
    at: u64,
    left_bytes: u64,
    padding_bytes: u64,
    entries: u64,
    content_bytes: u64,
}

/// What extended headers said about the next entry.
#[derive(Default)]
struct Extended {
    name: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    size: Option<u64>,
    uid: Option<u64>,
    gid: Option<u64>,
    mtime: Option<i64>,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
    records: BTreeMap<Vec<u8>, Vec<u8>>,
    user_name: Option<Vec<u8>>,
    group_name: Option<Vec<u8>>,
}

impl<R: Read> Reader<R> {
    /// Starts to read an archive.
    pub fn new(inner: R, limits: Limits) -> Self {
        Self { inner, limits, at: 0, left_bytes: 0, padding_bytes: 0, entries: 0, content_bytes: 0 }
    }

    /// The next entry; what is left of the content of the last one is skipped. `None` at the end of the archive,
    /// which has then been read to the last byte.
    ///
    /// # Errors
    /// See [`TarError`].
    pub fn next_entry(&mut self) -> Result<Option<Entry>, TarError> {
        let mut extended = Extended::default();
        let mut any_extended = false;
        loop {
            self.skip()?;
            let at = self.at;
            let Some(block) = self.block()? else {
                return if any_extended { Err(TarError::Truncated(at)) } else { Ok(None) };
            };
            match block.kind() {
                b'x' => self.pax_header(&block, at, &mut extended)?,
                b'g' => self.global_header(&block, at)?,
                b'L' => extended.name = Some(self.gnu_name(&block, at)?),
                b'K' => extended.link = Some(self.gnu_name(&block, at)?),
                _ => return self.entry(&block, at, extended).map(Some),
            }
            any_extended = true;
        }
    }

    /// The next header; `None` after the end mark of two zero blocks and nothing but zeros behind it.
    fn block(&mut self) -> Result<Option<Block>, TarError> {
        let at = self.at;
        let mut block = Block([0; BLOCK_BYTES]);
        self.fill(&mut block.0)?;
        if block.0 == [0; BLOCK_BYTES] {
            self.end()?;
            return Ok(None);
        }
        let stated = block.number(header::CHECKSUM).and_then(|sum| u64::try_from(sum).ok());
        if stated == Some(block.checksum()) { Ok(Some(block)) } else { Err(TarError::Checksum(at)) }
    }

    fn end(&mut self) -> Result<(), TarError> {
        let mut block = [0; BLOCK_BYTES];
        let mut at = self.at;
        self.fill(&mut block)?;
        let mut count = BLOCK_BYTES;
        loop {
            if block[..count].iter().any(|&b| b != 0) {
                return Err(TarError::Trailing(at));
            }
            at = self.at;
            count = self.inner.read(&mut block)?;
            self.at += count as u64;
            if count == 0 {
                return Ok(());
            }
        }
    }

    fn entry(&mut self, block: &Block, at: u64, extended: Extended) -> Result<Entry, TarError> {
        let field = |field| TarError::Field { at, field };
        self.entries += 1;
        if self.entries > self.limits.entries {
            return Err(TarError::Limit { what: "entries", limit: self.limits.entries });
        }
        let size = match extended.size {
            Some(size) => size,
            None => number(block, header::SIZE).ok_or(field("size"))?,
        };
        let name = extended.name.unwrap_or_else(|| name(block));
        let link = extended.link.unwrap_or_else(|| block.text(header::LINK_NAME).to_vec());
        self.check_name(&name, "names", at)?;
        let kind = entry_kind(block, at, &name, link)?;
        match &kind {
            EntryKind::File => self.start_content(size)?,
            // A size there would mean bytes to some readers and none to others.
            _ if size != 0 => return Err(field("size")),
            EntryKind::HardLink(link) | EntryKind::Symlink(link) => self.check_name(link, "link targets", at)?,
            _ => {}
        }
        let id =
            |stated: Option<u64>, place| stated.or_else(|| number(block, place)).and_then(|id| u32::try_from(id).ok());
        let meta = Meta {
            mode: (number(block, header::MODE).ok_or(field("mode"))? & 0o7777) as u16,
            uid: id(extended.uid, header::UID).ok_or(field("user id"))?,
            gid: id(extended.gid, header::GID).ok_or(field("group id"))?,
            mtime_secs: extended.mtime.or_else(|| block.number(header::MTIME)).ok_or(field("time"))?,
            xattrs: extended.xattrs.into_iter().collect(),
        };
        let size_bytes = if kind == EntryKind::File { size } else { 0 };
        let user = extended.user_name.unwrap_or_else(|| block.text(header::USER_NAME).to_vec());
        let group = extended.group_name.unwrap_or_else(|| block.text(header::GROUP_NAME).to_vec());
        Ok(Entry { name, kind, meta, size_bytes, records: extended.records, owner_names: [user, group] })
    }

    fn start_content(&mut self, size: u64) -> Result<(), TarError> {
        let limit = self.limits.content_bytes;
        self.content_bytes = self
            .content_bytes
            .checked_add(size)
            .filter(|&sum| sum <= limit)
            .ok_or(TarError::Limit { what: "bytes of contents", limit })?;
        self.left_bytes = size;
        self.padding_bytes = padding(size);
        Ok(())
    }

    fn check_name(&self, name: &[u8], what: &'static str, at: u64) -> Result<(), TarError> {
        if name.len() > self.limits.name_bytes {
            return Err(TarError::Limit { what: "bytes in one name", limit: self.limits.name_bytes as u64 });
        }
        if name.is_empty() || name.contains(&0) {
            return Err(TarError::Field { at, field: what });
        }
        Ok(())
    }

    fn pax_header(&mut self, block: &Block, at: u64, extended: &mut Extended) -> Result<(), TarError> {
        let bytes = self.extended_bytes(block, at)?;
        let field = |field| TarError::Field { at, field };
        for (key, value) in pax::records(&bytes).ok_or(field("extended header"))? {
            match key {
                b"path" => extended.name = Some(value.to_vec()),
                b"linkpath" => extended.link = Some(value.to_vec()),
                b"size" => extended.size = Some(pax::decimal(value).ok_or(field("size"))?),
                b"uid" => extended.uid = Some(pax::decimal(value).ok_or(field("user id"))?),
                b"gid" => extended.gid = Some(pax::decimal(value).ok_or(field("group id"))?),
                b"mtime" => extended.mtime = Some(pax::time(value).ok_or(field("time"))?),
                b"uname" => extended.user_name = Some(value.to_vec()),
                b"gname" => extended.group_name = Some(value.to_vec()),
                _ if key.starts_with(b"GNU.sparse.") => return Err(sparse(at)),
                _ => match key.strip_prefix(b"SCHILY.xattr.") {
                    Some(b"") => return Err(field("extended attribute")),
                    Some(name) => extended.xattrs.push((name.to_vec(), value.to_vec())),
                    // Access times and comments change nothing of what is read here.
                    None if !key.contains(&b'.') => {}
                    None => _ = extended.records.insert(key.to_vec(), value.to_vec()),
                },
            }
        }
        Ok(())
    }

    /// A header for all later entries: only such as change nothing are taken (git writes a comment).
    fn global_header(&mut self, block: &Block, at: u64) -> Result<(), TarError> {
        let bytes = self.extended_bytes(block, at)?;
        let records = pax::records(&bytes).ok_or(TarError::Field { at, field: "global extended header" })?;
        match records.iter().find(|(key, _)| *key != b"comment") {
            None => Ok(()),
            Some((key, _)) => {
                let what = format!("global extended headers with `{}`", String::from_utf8_lossy(key).escape_debug());
                Err(TarError::Unsupported { at, what })
            }
        }
    }

    /// A long name as GNU tar stores it: the content of an entry of its own, with a NUL at its end.
    fn gnu_name(&mut self, block: &Block, at: u64) -> Result<Vec<u8>, TarError> {
        let mut name = self.extended_bytes(block, at)?;
        if name.last() == Some(&0) {
            name.pop();
        }
        Ok(name)
    }

    fn extended_bytes(&mut self, block: &Block, at: u64) -> Result<Vec<u8>, TarError> {
        let size = number(block, header::SIZE).ok_or(TarError::Field { at, field: "size" })?;
        if size > self.limits.extended_bytes {
            return Err(TarError::Limit { what: "bytes in one extended header", limit: self.limits.extended_bytes });
        }
        let mut bytes = vec![0; size as usize];
        self.fill(&mut bytes)?;
        self.padding_bytes = padding(size);
        Ok(bytes)
    }

    /// Reads over what is left of the content and its padding.
    fn skip(&mut self) -> Result<(), TarError> {
        let count = self.left_bytes + self.padding_bytes;
        let skipped = io::copy(&mut (&mut self.inner).take(count), &mut io::sink())?;
        (self.left_bytes, self.padding_bytes) = (0, 0);
        self.at += skipped;
        if skipped == count { Ok(()) } else { Err(TarError::Truncated(self.at)) }
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), TarError> {
        let filled = exact::fill(&mut self.inner, buffer)?;
        self.at += filled as u64;
        if filled == buffer.len() { Ok(()) } else { Err(TarError::Truncated(self.at)) }
    }
}

impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left_bytes).unwrap_or(usize::MAX).min(buffer.len());
        if want == 0 {
            return Ok(0);
        }
        let count = self.inner.read(&mut buffer[..want])?;
        if count == 0 {
            let cut = TarError::Truncated(self.at);
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, cut));
        }
        self.at += count as u64;
        self.left_bytes -= count as u64;
        Ok(count)
    }
}

fn entry_kind(block: &Block, at: u64, name: &[u8], link: Vec<u8>) -> Result<EntryKind, TarError> {
    let device = || {
        let part = |field| number(block, field).and_then(|value| u32::try_from(value).ok());
        let both = part(header::DEV_MAJOR).zip(part(header::DEV_MINOR));
        both.ok_or(TarError::Field { at, field: "device number" })
    };
    Ok(match block.kind() {
        // Before ustar a folder was a regular file whose name ends in a slash.
        0 if name.ends_with(b"/") => EntryKind::Dir,
        // `7` asks for contiguous blocks, which is only advice.
        0 | b'0' | b'7' => EntryKind::File,
        b'1' => EntryKind::HardLink(link),
        b'2' => EntryKind::Symlink(link),
        b'3' => device().map(|(major, minor)| EntryKind::CharDevice(major, minor))?,
        b'4' => device().map(|(major, minor)| EntryKind::BlockDevice(major, minor))?,
        b'5' => EntryKind::Dir,
        b'6' => EntryKind::Fifo,
        b'S' => return Err(sparse(at)),
        other => {
            let what = format!("entries of type `{}`", char::from(other).escape_default());
            return Err(TarError::Unsupported { at, what });
        }
    })
}

fn sparse(at: u64) -> TarError {
    TarError::Unsupported { at, what: "sparse files".to_owned() }
}

fn name(block: &Block) -> Vec<u8> {
    let name = block.text(header::NAME);
    match block.text(header::PREFIX) {
        prefix if !prefix.is_empty() && block.bytes(header::MAGIC) == header::USTAR_MAGIC => {
            [prefix, b"/", name].concat()
        }
        _ => name.to_vec(),
    }
}

fn number(block: &Block, field: header::Field) -> Option<u64> {
    block.number(field).and_then(|value| value.try_into().ok())
}

fn padding(size: u64) -> u64 {
    (BLOCK_BYTES as u64 - size % BLOCK_BYTES as u64) % BLOCK_BYTES as u64
}
