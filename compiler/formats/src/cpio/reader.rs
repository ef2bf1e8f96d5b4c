//! Reads one cpio archive as a stream of entries, within limits.

use std::io::{self, Read};

use super::{FIELDS, HEADER_BYTES, MAGIC, TRAILER, TYPE_MASK, padding};
use crate::exact;

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum CpioError {
    /// The stream below failed.
    #[error("read the archive")]
    Io(#[from] io::Error),
    /// A header does not begin as one.
    #[error("read the cpio header at byte {0}: it is not of the `newc` form")]
    Magic(u64),
    /// The archive ends inside an entry.
    #[error("read the cpio archive: it is cut off after {0} bytes")]
    Truncated(u64),
    /// A header that says nothing sensible.
    #[error("read the cpio header at byte {at}: bad {field}")]
    Field {
        /// Offset of the header.
        at: u64,
        /// Which field.
        field: &'static str,
    },
    /// The archive is larger than its reader allows.
    #[error("read the cpio archive: it holds more {what} than the {limit} that are allowed")]
    Limit {
        /// What there is too much of.
        what: &'static str,
        /// How much is allowed.
        limit: u64,
    },
}

/// What an archive may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Entries in all.
    pub entries: u64,
    /// Bytes of all contents together.
    pub content_bytes: u64,
    /// Bytes of one name.
    pub name_bytes: u32,
}

impl Default for Limits {
    /// Room for every initial file system that exists: a distribution's own are below 500 MB and 10,000 entries.
    fn default() -> Self {
        Self { entries: 1 << 20, content_bytes: 8 << 30, name_bytes: 4096 }
    }
}

/// One entry as its header says; the content is read from the [`Reader`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Its name, as stored.
    pub name: Vec<u8>,
    /// Inode number: the same for all names of one file.
    pub inode: u32,
    /// Type and permission bits.
    pub mode: u32,
    /// Owner's user id.
    pub uid: u32,
    /// Owner's group id.
    pub gid: u32,
    /// How many names the file has.
    pub links: u32,
    /// Time of last modification, in seconds since 1970 UTC.
    pub mtime_secs: u32,
    /// Length of the content: of a file, or the target of a symbolic link.
    pub size_bytes: u32,
    /// Major and minor number of a device.
    pub device: (u32, u32),
}

impl Entry {
    /// The type bits of the mode alone, such as `0o040000` for a folder.
    pub fn kind(&self) -> u32 {
        self.mode & TYPE_MASK
    }
}

/// Reads one archive. As a [`Read`] it gives the content of the entry last returned.
pub struct Reader<R> {
    inner: R,
    limits: Limits,
    at: u64,
    left_bytes: u64,
    padding_bytes: usize,
    entries: u64,
    content_bytes: u64,
}

impl<R: Read> Reader<R> {
    /// Starts to read an archive; nothing is read yet.
    pub fn new(inner: R, limits: Limits) -> Self {
        Self { inner, limits, at: 0, left_bytes: 0, padding_bytes: 0, entries: 0, content_bytes: 0 }
    }

    /// The next entry; what is left of the content of the last one is skipped. `None` at the archive's end mark.
    ///
    /// # Errors
    /// See [`CpioError`].
    pub fn next_entry(&mut self) -> Result<Option<Entry>, CpioError> {
        self.skip()?;
        let at = self.at;
        let fields = self.fields(at)?;
        let [inode, mode, uid, gid, links, mtime_secs, size_bytes, _, _, major, minor, name_bytes, _] = fields;
        let name = self.name(at, name_bytes)?;
        if name == TRAILER {
            return Ok(None);
        }
        self.count(u64::from(size_bytes))?;
        (self.left_bytes, self.padding_bytes) = (size_bytes.into(), padding(size_bytes.into()));
        Ok(Some(Entry { name, inode, mode, uid, gid, links, mtime_secs, size_bytes, device: (major, minor) }))
    }

    fn fields(&mut self, at: u64) -> Result<[u32; FIELDS], CpioError> {
        let mut header = [0; HEADER_BYTES];
        self.fill(&mut header)?;
        let digits = header.strip_prefix(MAGIC).ok_or(CpioError::Magic(at))?;
        let mut fields = [0; FIELDS];
        for (field, digits) in fields.iter_mut().zip(digits.chunks(8)) {
            let text = std::str::from_utf8(digits).ok().filter(|text| !text.starts_with('+'));
            let number = text.and_then(|text| u32::from_str_radix(text, 16).ok());
            *field = number.ok_or(CpioError::Field { at, field: "number" })?;
        }
        Ok(fields)
    }

    fn name(&mut self, at: u64, length: u32) -> Result<Vec<u8>, CpioError> {
        if length > self.limits.name_bytes {
            return Err(CpioError::Limit { what: "bytes in a name", limit: self.limits.name_bytes.into() });
        }
        let padded = length as usize + padding(HEADER_BYTES as u64 + u64::from(length));
        let mut name = vec![0; padded];
        self.fill(&mut name)?;
        name.truncate(length as usize);
        match name.pop() {
            Some(0) if !name.is_empty() && !name.contains(&0) => Ok(name),
            _ => Err(CpioError::Field { at, field: "name" }),
        }
    }

    fn count(&mut self, size_bytes: u64) -> Result<(), CpioError> {
        self.entries += 1;
        self.content_bytes += size_bytes;
        let Limits { entries, content_bytes, .. } = self.limits;
        if self.entries > entries {
            return Err(CpioError::Limit { what: "entries", limit: entries });
        }
        if self.content_bytes > content_bytes {
            return Err(CpioError::Limit { what: "bytes of content", limit: content_bytes });
        }
        Ok(())
    }

    fn skip(&mut self) -> Result<(), CpioError> {
        let skipped = io::copy(&mut (&mut self.inner).take(self.left_bytes), &mut io::sink())?;
        self.at += skipped;
        if skipped != self.left_bytes {
            return Err(CpioError::Truncated(self.at));
        }
        let mut padding = [0; 3];
        let padding = &mut padding[..self.padding_bytes];
        self.fill(padding)?;
        (self.left_bytes, self.padding_bytes) = (0, 0);
        Ok(())
    }

    fn fill(&mut self, buffer: &mut [u8]) -> Result<(), CpioError> {
        let filled = exact::fill(&mut self.inner, buffer)?;
        self.at += filled as u64;
        if filled == buffer.len() { Ok(()) } else { Err(CpioError::Truncated(self.at)) }
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
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, CpioError::Truncated(self.at)));
        }
        self.at += count as u64;
        self.left_bytes -= count as u64;
        Ok(count)
    }
}
