//! The `ar` archive as a stream of members: the outer format of Debian packages.
//!
//! Layout as in deb(5) and the System V ABI: a magic line, then for each member a 60-byte header of text fields
//! and its content, padded to an even length. BSD long names (`#1/LENGTH`) and GNU's (`//` table) are read.

use std::io::{self, Read};

use crate::exact;

/// First bytes of every archive.
pub const MAGIC: &[u8; 8] = b"!<arch>\n";

const HEADER_BYTES: usize = 60;

/// Longest member name or table of names; both are a few bytes in every archive that exists for us.
const MAX_NAMES_BYTES: u64 = 64 * 1024;

/// Why an archive cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ArError {
    /// The stream below failed.
    #[error("read the archive")]
    Io(#[from] io::Error),
    /// The first bytes are not those of an `ar` archive.
    #[error("read the archive: it is no `ar` archive")]
    Magic,
    /// The archive ends inside a member.
    #[error("read the `ar` archive: it is cut off after {0} bytes")]
    Truncated(u64),
    /// A member header that says nothing sensible.
    #[error("read the `ar` member header at byte {at}: bad {field}")]
    Field {
        /// Offset of the header.
        at: u64,
        /// Which field.
        field: &'static str,
    },
}

/// One member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Its name, without the slash that GNU puts at its end.
    pub name: Vec<u8>,
    /// Length of its content.
    pub size_bytes: u64,
}

/// Reads one archive. As a [`Read`] it gives the content of the member last returned.
pub struct Reader<R> {
    inner: R,
    at: u64,
    left_bytes: u64,
    padding_bytes: u64,
    long_names: Vec<u8>,
}

impl<R: Read> Reader<R> {
    /// Starts to read an archive.
    ///
    /// # Errors
    /// When the stream fails or does not start like an archive.
    pub fn new(inner: R) -> Result<Self, ArError> {
        let mut reader = Self { inner, at: 0, left_bytes: 0, padding_bytes: 0, long_names: Vec::new() };
        let mut magic = [0; MAGIC.len()];
        match reader.fill(&mut magic)? {
            count if count == magic.len() && magic == *MAGIC => Ok(reader),
            _ => Err(ArError::Magic),
        }
    }

    /// The next member; what is left of the content of the last one is skipped. `None` at the end.
    ///
    /// # Errors
    /// See [`ArError`].
    pub fn next_member(&mut self) -> Result<Option<Member>, ArError> {
        loop {
            self.skip()?;
            let at = self.at;
            let mut header = [0; HEADER_BYTES];
            match self.fill(&mut header)? {
                0 => return Ok(None),
                HEADER_BYTES => {}
                _ => return Err(ArError::Truncated(self.at)),
            }
            let field = |field| ArError::Field { at, field };
            if header[58..] != *b"`\n" {
                return Err(field("end mark"));
            }
            let size = decimal(&header[48..58]).ok_or(field("size"))?;
            (self.left_bytes, self.padding_bytes) = (size, size % 2);
            match header[..16].trim_ascii_end() {
                b"//" => self.long_names = self.names(size, at)?,
                short => {
                    let name = self.name(short, at)?;
                    return Ok(Some(Member { name, size_bytes: self.left_bytes }));
                }
            }
        }
    }

    fn name(&mut self, short: &[u8], at: u64) -> Result<Vec<u8>, ArError> {
        let field = || ArError::Field { at, field: "name" };
        if let Some(length) = short.strip_prefix(b"#1/") {
            let length = decimal(length).filter(|&length| length <= self.left_bytes).ok_or_else(field)?;
            let mut name = self.names(length, at)?;
            name.truncate(name.iter().rposition(|&b| b != 0).map_or(0, |last| last + 1));
            return Ok(name);
        }
        let digits = short.strip_prefix(b"/").filter(|rest| rest.first().is_some_and(u8::is_ascii_digit));
        if let Some(start) = digits {
            let start = decimal(start).and_then(|start| usize::try_from(start).ok()).ok_or_else(field)?;
            let line = self.long_names.get(start..).and_then(|rest| rest.split(|&b| b == b'\n').next());
            let line = line.ok_or_else(field)?;
            return Ok(line.strip_suffix(b"/").unwrap_or(line).to_vec());
        }
        // The symbol tables of object archives are named `/` and `/SYM64/`.
        Ok(short.strip_suffix(b"/").filter(|name| !name.is_empty()).unwrap_or(short).to_vec())
    }

    fn names(&mut self, size: u64, at: u64) -> Result<Vec<u8>, ArError> {
        if size > MAX_NAMES_BYTES {
            return Err(ArError::Field { at, field: "length of names" });
        }
        let mut bytes = Vec::new();
        self.by_ref().take(size).read_to_end(&mut bytes)?;
        Ok(bytes)
    }

    fn skip(&mut self) -> Result<(), ArError> {
        let skipped = io::copy(&mut (&mut self.inner).take(self.left_bytes), &mut io::sink())?;
        self.at += skipped;
        if skipped != self.left_bytes {
            return Err(ArError::Truncated(self.at));
        }
        // Some writers leave out the padding of the last member.
        let mut padding = [0; 1];
        let padding = &mut padding[..self.padding_bytes as usize];
        self.fill(padding)?;
        (self.left_bytes, self.padding_bytes) = (0, 0);
        Ok(())
    }

    /// Reads as much as there is, up to the whole buffer.
    fn fill(&mut self, buffer: &mut [u8]) -> Result<usize, ArError> {
        let filled = exact::fill(&mut self.inner, buffer)?;
        self.at += filled as u64;
        Ok(filled)
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
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, ArError::Truncated(self.at)));
        }
        self.at += count as u64;
        self.left_bytes -= count as u64;
        Ok(count)
    }
}

fn decimal(text: &[u8]) -> Option<u64> {
    let text = text.trim_ascii();
    let digits = !text.is_empty() && text.iter().all(u8::is_ascii_digit);
    std::str::from_utf8(text).ok().filter(|_| digits)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, content: &str) -> String {
        let padding = if content.len() % 2 == 1 { "\n" } else { "" };
        format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n{content}{padding}", 0, 0, 0, "100644", content.len())
    }

    fn read(members: &[String]) -> Result<Vec<(String, String)>, ArError> {
        let archive = format!("!<arch>\n{}", members.concat());
        let mut reader = Reader::new(archive.as_bytes())?;
        let mut out = Vec::new();
        while let Some(member) = reader.next_member()? {
            let mut content = String::new();
            reader.read_to_string(&mut content)?;
            assert_eq!(content.len() as u64, member.size_bytes);
            out.push((String::from_utf8(member.name).unwrap(), content));
        }
        Ok(out)
    }

    fn check(members: &[String], expected: &[(&str, &str)]) {
        let expected: Vec<_> = expected.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        assert_eq!(read(members).unwrap(), expected);
    }

    #[test]
    fn names_of_every_kind_are_read() {
        check(
            &[member("debian-binary", "2.0\n"), member("odd/", "abc"), member("x", "")],
            &[("debian-binary", "2.0\n"), ("odd", "abc"), ("x", "")],
        );
        check(&[member("#1/8", "longname1")], &[("longname", "1")]);
        check(&[member("//", "first/\nsecond-long/\n"), member("/7", "z")], &[("second-long", "z")]);
    }

    #[test]
    fn a_damaged_archive_is_refused() {
        assert!(matches!(Reader::new(&b"!<arch>"[..]), Err(ArError::Magic)));
        assert!(matches!(read(&[member("x", "abcd")[..62].to_owned()]), Err(ArError::Io(_))));
        assert!(matches!(read(&[member("x", "ab")[..40].to_owned()]), Err(ArError::Truncated(48))));
        assert!(matches!(read(&[member("/9", "ab")]), Err(ArError::Field { field: "name", .. })));
        assert!(matches!(read(&[member("#1/9", "ab")]), Err(ArError::Field { field: "name", .. })));
        assert!(matches!(
            read(&[member("x", "ab").replace("`\n", "..")]),
            Err(ArError::Field { field: "end mark", .. })
        ));
        assert!(matches!(read(&[member("x", "ab").replacen("100644  2", "100644  -", 1)]), Err(ArError::Field { .. })));
    }
}
