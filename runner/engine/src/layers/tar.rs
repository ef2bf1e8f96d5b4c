//! Reading a tar stream as image layers use it: ustar, GNU long names, pax records (POSIX.1-2001 `pax`, GNU tar manual).
//!
//! Input: any reader. Output: entries with a reader of their content each. Nothing is written. Every size is bounded.

use std::collections::BTreeMap;
use std::io::{self, Read};

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Path as written.
    pub path: Vec<u8>,
    /// What it is.
    pub kind: Kind,
    /// Permission bits.
    pub mode: u32,
    /// Owner.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Modification time in seconds since 1970.
    pub mtime_secs: i64,
    /// Extended attributes.
    pub xattrs: BTreeMap<String, Vec<u8>>,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kind {
    /// A file of this size in bytes; its content follows.
    File(u64),
    /// A folder.
    Folder,
    /// A symbolic link to this target.
    Symlink(Vec<u8>),
    /// Another name of this path.
    HardLink(Vec<u8>),
    /// A character or block device.
    Device,
    /// A named pipe.
    Fifo,
}

/// A tar stream that is read entry by entry.
#[derive(Debug)]
pub struct Reader<R> {
    source: R,
    /// Content bytes of the current entry not yet read.
    remaining: u64,
    /// Bytes after the content up to the next block.
    padding: u64,
}

/// Longer than any path the kernel takes and any sane set of attributes.
const MAX_EXTENSION_BYTES: u64 = 1 << 20;

/// What pax and GNU headers say about the next entry.
#[derive(Default)]
struct Extensions {
    path: Option<Vec<u8>>,
    link: Option<Vec<u8>>,
    records: BTreeMap<String, Vec<u8>>,
}

impl<R: Read> Reader<R> {
    /// Reads from here.
    pub fn new(source: R) -> Self {
        Self { source, remaining: 0, padding: 0 }
    }

    /// The next entry, or none at the end. What was not read of the last one is passed over.
    ///
    /// # Errors
    /// `InvalidData` for what is no tar, `UnexpectedEof` for half of one.
    pub fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        let mut extensions = Extensions::default();
        loop {
            self.skip_rest()?;
            let Some(block) = self.header()? else { return Ok(None) };
            let size = number(&block[124..136])?;
            match block[156] {
                b'L' => extensions.path = Some(self.text(size)?),
                b'K' => extensions.link = Some(self.text(size)?),
                b'x' => {
                    let records = self.extension(size)?;
                    extensions.records.extend(pax_records(&records)?);
                }
                b'g' => drop(self.extension(size)?),
                flag => return self.entry(&block, flag, size, extensions).map(Some),
            }
        }
    }

    /// Reads what is left after the end marker, so that a digest covers the whole stream.
    pub fn finish(mut self) -> io::Result<()> {
        io::copy(&mut self.source, &mut io::sink()).map(drop)
    }

    fn entry(&mut self, block: &[u8; 512], flag: u8, size: u64, mut extensions: Extensions) -> io::Result<Entry> {
        let records = &mut extensions.records;
        let size = pax_number(records, "size")?.unwrap_or(size);
        let path = records.remove("path").or(extensions.path).unwrap_or_else(|| ustar_path(block));
        let link = records.remove("linkpath").or(extensions.link).unwrap_or_else(|| until_nul(&block[157..257]));
        let kind = match flag {
            b'0' | 0 | b'7' if path.ends_with(b"/") => Kind::Folder,
            b'0' | 0 | b'7' => Kind::File(size),
            b'1' => Kind::HardLink(link),
            b'2' => Kind::Symlink(link),
            b'3' | b'4' => Kind::Device,
            b'5' => Kind::Folder,
            b'6' => Kind::Fifo,
            other => return Err(invalid(format!("an entry is of the unknown kind {other:#04x}"))),
        };
        if let Kind::File(size) = kind {
            self.expect(size);
        }
        let id = |own: Option<u64>, field: &[u8]| -> io::Result<u32> {
            u32::try_from(own.map_or_else(|| number(field), Ok)?)
                .map_err(|_| invalid("an owner is out of range".into()))
        };
        Ok(Entry {
            kind,
            mode: (number(&block[100..108])? & 0o7777) as u32,
            uid: id(pax_number(records, "uid")?, &block[108..116])?,
            gid: id(pax_number(records, "gid")?, &block[116..124])?,
            mtime_secs: mtime(records, &block[136..148])?,
            xattrs: xattrs(extensions.records),
            path,
        })
    }

    /// The next header with a right checksum; none at the end marker or the end of the stream.
    fn header(&mut self) -> io::Result<Option<[u8; 512]>> {
        let mut block = [0u8; 512];
        let first = self.source.read(&mut block)?;
        if first == 0 {
            return Ok(None);
        }
        self.source.read_exact(block.get_mut(first..).unwrap_or_default())?;
        if block.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        let sum: u64 = block
            .iter()
            .enumerate()
            .map(|(at, byte)| u64::from(if (148..156).contains(&at) { b' ' } else { *byte }))
            .sum();
        if number(&block[148..156])? != sum {
            return Err(invalid("a header has a wrong checksum".into()));
        }
        Ok(Some(block))
    }

    fn expect(&mut self, size: u64) {
        self.remaining = size;
        self.padding = size.wrapping_neg() % 512;
    }

    fn skip_rest(&mut self) -> io::Result<()> {
        let rest = self.remaining.saturating_add(self.padding);
        let skipped = io::copy(&mut (&mut self.source).take(rest), &mut io::sink())?;
        (self.remaining, self.padding) = (0, 0);
        if skipped == rest { Ok(()) } else { Err(io::ErrorKind::UnexpectedEof.into()) }
    }

    fn extension(&mut self, size: u64) -> io::Result<Vec<u8>> {
        if size > MAX_EXTENSION_BYTES {
            return Err(invalid(format!("a header extension has {size} bytes")));
        }
        self.expect(size);
        let mut bytes = Vec::new();
        self.by_ref().read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn text(&mut self, size: u64) -> io::Result<Vec<u8>> {
        Ok(until_nul(&self.extension(size)?))
    }
}

/// Reads the content of the current entry.
impl<R: Read> Read for Reader<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let wanted = usize::try_from(self.remaining).unwrap_or(usize::MAX).min(buffer.len());
        let Some(part) = buffer.get_mut(..wanted).filter(|part| !part.is_empty()) else { return Ok(0) };
        let read = self.source.read(part)?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.remaining -= read as u64;
        Ok(read)
    }
}

fn ustar_path(block: &[u8; 512]) -> Vec<u8> {
    let name = until_nul(&block[0..100]);
    let prefix = until_nul(&block[345..500]);
    if &block[257..263] != b"ustar\0" || prefix.is_empty() {
        return name;
    }
    [prefix, name].join(&b'/')
}

fn until_nul(field: &[u8]) -> Vec<u8> {
    field.split(|byte| *byte == 0).next().unwrap_or_default().to_vec()
}

/// A number of a header: octal digits, or big-endian binary with the top bit set (GNU).
fn number(field: &[u8]) -> io::Result<u64> {
    if field.first().is_some_and(|byte| byte & 0x80 != 0) {
        let tail = field.get(field.len().saturating_sub(8)..).unwrap_or_default();
        return Ok(tail.iter().fold(0, |value, byte| value << 8 | u64::from(*byte)));
    }
    let text = std::str::from_utf8(field).map_err(|_| invalid("a number in a header is no number".into()))?;
    let digits = text.trim_matches(['\0', ' ']);
    if digits.is_empty() {
        return Ok(0);
    }
    u64::from_str_radix(digits, 8).map_err(|_| invalid("a number in a header is no number".into()))
}

/// The records of a pax header: `LENGTH KEY=VALUE\n`, the length counting the whole record.
fn pax_records(mut bytes: &[u8]) -> io::Result<BTreeMap<String, Vec<u8>>> {
    let bad = || invalid("a pax record is malformed".into());
    let mut records = BTreeMap::new();
    while !bytes.is_empty() {
        let space = bytes.iter().position(|byte| *byte == b' ').ok_or_else(bad)?;
        let length = bytes.get(..space).and_then(|text| std::str::from_utf8(text).ok()?.parse::<usize>().ok());
        let record = length.and_then(|length| bytes.get(space + 1..length)).ok_or_else(bad)?;
        let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
        let equals = record.iter().position(|byte| *byte == b'=').ok_or_else(bad)?;
        let (key, value) = record.split_at(equals);
        let key = String::from_utf8(key.to_vec()).map_err(|_| bad())?;
        records.insert(key, value.get(1..).unwrap_or_default().to_vec());
        bytes = bytes.get(length.unwrap_or(0)..).unwrap_or_default();
    }
    Ok(records)
}

fn pax_number(records: &BTreeMap<String, Vec<u8>>, key: &str) -> io::Result<Option<u64>> {
    let Some(value) = records.get(key) else { return Ok(None) };
    let parsed = std::str::from_utf8(value).ok().and_then(|text| text.parse().ok());
    parsed.map(Some).ok_or_else(|| invalid(format!("the pax record {key} is no number")))
}

fn mtime(records: &BTreeMap<String, Vec<u8>>, field: &[u8]) -> io::Result<i64> {
    let own = records.get("mtime").and_then(|value| std::str::from_utf8(value).ok());
    let whole = own.and_then(|text| text.split('.').next()?.parse().ok());
    whole.map_or_else(|| Ok(i64::try_from(number(field)?).unwrap_or(i64::MAX)), Ok)
}

fn xattrs(records: BTreeMap<String, Vec<u8>>) -> BTreeMap<String, Vec<u8>> {
    let own = |(key, value): (String, Vec<u8>)| Some((key.strip_prefix("SCHILY.xattr.")?.to_owned(), value));
    records.into_iter().filter_map(own).collect()
}

fn invalid(reason: String) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}
