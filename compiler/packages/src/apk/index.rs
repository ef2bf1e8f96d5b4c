//! The text of an `APKINDEX` (apk-package(5), "Index format"): lines of one letter, a colon and a value; an empty line
//! ends a package. The packages become rows over one compact copy of the text that matters.

use spec::appliance::Arch;

use crate::apk::dependency::is_name;
use crate::apk::version::is_version;
use crate::archive_digest::{ArchiveDigest, Sha1};
use crate::catalog::{FIELDS, Field, IndexReadError, Origin, Record, Span, is_safe_path};

/// The largest index text that is read. Alpine's largest is 10 MB; offsets into the copy are 32 bits wide.
const MAX_INDEX_BYTES: usize = 256 << 20;

/// The family's name of an architecture.
pub fn arch_name(arch: Arch) -> &'static str {
    match arch {
        Arch::Amd64 => "x86_64",
        Arch::Arm64 => "aarch64",
    }
}

/// Reads an index: the text that matters and one row per package of `arch`.
///
/// A package's path is that of its file below the root of the archive: `SUITE/COMPONENT/ARCH/NAME-VERSION.apk`, without
/// the parts of `origin` that are empty.
///
/// # Errors
/// When it is too large, is not made of such lines, or a package lacks what it needs to be fetched and verified.
pub fn read_index(text: &[u8], arch: Arch, origin: &Origin) -> Result<(String, Vec<Record>), IndexReadError> {
    if text.len() > MAX_INDEX_BYTES {
        return Err(IndexReadError::TooLarge { limit: MAX_INDEX_BYTES });
    }
    let text = std::str::from_utf8(text).map_err(|error| {
        let valid = text.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + valid.iter().filter(|c| **c == b'\n').count();
        IndexReadError::Syntax { line, problem: "the text is not UTF-8".to_owned() }
    })?;
    let mut rows =
        Rows { text: String::new(), records: Vec::new(), arch: arch_name(arch), folder: folder(arch, origin) };
    let mut values = Values::default();
    for (at, line) in text.lines().enumerate() {
        match line.split_once(':') {
            None if line.is_empty() => rows.push(std::mem::take(&mut values))?,
            Some((letter, value)) if letter.len() == 1 => values.take(at + 1, letter, value),
            _ => {
                let problem = "that is no letter with a colon and a value".to_owned();
                return Err(IndexReadError::Syntax { line: at + 1, problem });
            }
        }
    }
    rows.push(values)?;
    Ok((rows.text, rows.records))
}

/// The newest time at which a package of an index was built, in seconds since 1970: such an index carries no date of its
/// own. 0 when no package says.
pub fn newest_build_secs(text: &[u8]) -> i64 {
    let times = text.split(|c| *c == b'\n').filter_map(|line| std::str::from_utf8(line.strip_prefix(b"t:")?).ok());
    times.filter_map(|time| time.parse::<u32>().ok()).max().unwrap_or(0).into()
}

/// Where the packages lie, with a slash at the end.
fn folder(arch: Arch, origin: &Origin) -> String {
    let parts = [origin.suite.as_str(), &origin.component, arch_name(arch)];
    parts.iter().filter(|part| !part.is_empty()).map(|part| format!("{part}/")).collect()
}

struct Rows {
    text: String,
    records: Vec<Record>,
    arch: &'static str,
    folder: String,
}

/// The values of a package before they are checked and copied.
#[derive(Default)]
struct Values<'a> {
    /// The line on which it starts; 0 while it has none.
    line: usize,
    texts: [&'a str; FIELDS],
    checksum: &'a str,
    size: &'a str,
    installed_size: &'a str,
    built: &'a str,
}

impl<'a> Values<'a> {
    fn take(&mut self, line: usize, letter: &str, value: &'a str) {
        if self.line == 0 {
            self.line = line;
        }
        let field = match letter {
            "P" => Field::Name,
            "V" => Field::Version,
            "A" => Field::Architecture,
            "T" => Field::Description,
            "o" => Field::Source,
            "D" => Field::Depends,
            "p" => Field::Provides,
            "r" => Field::Replaces,
            "i" => Field::InstallIf,
            "k" => Field::ProviderPriority,
            "C" => return self.checksum = value,
            "S" => return self.size = value,
            "I" => return self.installed_size = value,
            "t" => return self.built = value,
            // Home page, licence, maintainer and commit; letters that are not known yet change nothing of the rest.
            _ => return,
        };
        self.texts[field as usize] = value;
    }

    fn check(&self) -> Result<(u64, Sha1, i64), &'static str> {
        let text = |field: Field| self.texts[field as usize];
        if !is_word(text(Field::Name)) {
            return Err("no valid name");
        }
        if !is_version(text(Field::Version)) || !is_word(text(Field::Version)) {
            return Err("no valid version");
        }
        let priority = text(Field::ProviderPriority);
        if !priority.is_empty() && priority.parse::<u16>().is_err() {
            return Err("no valid provider priority");
        }
        let size = self.size.parse().map_err(|_| "no valid size")?;
        let built = if self.built.is_empty() { Ok(0) } else { self.built.parse::<u32>() };
        Ok((size, checksum(self.checksum)?, built.map_err(|_| "no valid build time")?.into()))
    }
}

/// Whether the text can be part of a file name and of a lock's words.
fn is_word(text: &str) -> bool {
    is_name(text) && is_safe_path(text) && !text.contains('/')
}

/// `Q1` and the base 64 of a SHA-1 digest.
fn checksum(text: &str) -> Result<Sha1, &'static str> {
    let digits = text.strip_prefix("Q1").ok_or("a checksum of an unknown kind")?;
    let digits = digits.strip_suffix('=').filter(|digits| digits.len() == 27).ok_or("no valid checksum")?;
    let mut bits = 0u64;
    let mut bytes = Vec::with_capacity(21);
    for (at, digit) in digits.bytes().chain([b'A']).enumerate() {
        bits = bits << 6 | u64::from(base_64(digit).ok_or("no valid checksum")?);
        if at % 4 == 3 {
            bytes.extend_from_slice(bits.to_be_bytes().get(5..).unwrap_or_default());
            bits = 0;
        }
    }
    match bytes.split_last() {
        Some((0, digest)) => digest.try_into().map(Sha1).map_err(|_| "no valid checksum"),
        _ => Err("no valid checksum"),
    }
}

/// The value of a digit (RFC 4648 section 4).
fn base_64(digit: u8) -> Option<u8> {
    Some(match digit {
        b'A'..=b'Z' => digit - b'A',
        b'a'..=b'z' => digit - b'a' + 26,
        b'0'..=b'9' => digit - b'0' + 52,
        b'+' => 62,
        b'/' => 63,
        _ => return None,
    })
}

impl Rows {
    fn push(&mut self, values: Values<'_>) -> Result<(), IndexReadError> {
        let text = |field: Field| values.texts[field as usize];
        let wrong = |problem: &str| IndexReadError::Package {
            line: values.line,
            package: text(Field::Name).chars().take(80).collect(),
            problem: problem.to_owned(),
        };
        let foreign = ![self.arch, "noarch"].contains(&text(Field::Architecture));
        if values.line == 0 || foreign && is_word(text(Field::Architecture)) {
            return Ok(());
        }
        if foreign {
            return Err(wrong("no valid architecture"));
        }
        let (size_bytes, sha1, built_secs) = values.check().map_err(wrong)?;
        let path = format!("{}{}-{}.apk", self.folder, text(Field::Name), text(Field::Version));
        if !is_safe_path(&path) {
            return Err(wrong("no file name that stays below the archive"));
        }
        let mut spans = [Span::default(); FIELDS];
        for (at, span) in spans.iter_mut().enumerate() {
            let value = if at == Field::Path as usize { &path } else { values.texts[at] };
            *span = Span { start: self.text.len() as u32, len: value.len() as u32 };
            self.text.push_str(value);
        }
        if self.text.len() > 4 * MAX_INDEX_BYTES {
            return Err(IndexReadError::TooLarge { limit: MAX_INDEX_BYTES });
        }
        self.records.push(Record {
            spans,
            digest: ArchiveDigest::ControlSha1(sha1),
            built_secs,
            size_bytes,
            installed_kib: values.installed_size.parse::<u64>().unwrap_or(0).div_ceil(1024),
            essential: false,
            protected: false,
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums() {
        let sha1 = checksum("Q1qKcZ+j23xssAXmgQhkOO8dHnbWw=").map(|digest| digest.to_string());
        assert_eq!(sha1, Ok("a8a719fa3db7c6cb005e681086438ef1d1e76d6c".to_owned()));
        for bad in [
            "",
            "Q1",
            "Q1qKcZ+j23xssAXmgQhkOO8dHnbWx=",
            "Q1qKcZ+j23xssAXmgQhkOO8dHnbWw",
            "Q2qKcZ+j23xssAXmgQhkOO8dHnbWw=",
        ] {
            assert!(checksum(bad).is_err(), "{bad}");
        }
    }
}
