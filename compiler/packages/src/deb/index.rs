//! The `Packages` index of an archive: 60,000 stanzas become rows over one compact copy of the text that matters.

use crate::catalog::{FIELDS, Field, IndexReadError, Record, Span, is_safe_path};
use crate::deb::relation::is_name;
use crate::deb::stanza::{Stanza, Stanzas};
use crate::deb::version::is_version;
use crate::{ArchiveDigest, Sha256};

/// The largest index that is read. Debian's largest is 60 MB; offsets into the copy are 32 bits wide.
const MAX_INDEX_BYTES: usize = 1 << 30;

/// Reads a `Packages` index: the text that matters and one row per package of `arch` or `all`.
///
/// # Errors
/// When it is too large, is no control data, or a package lacks what it needs to be fetched and verified.
pub fn read_packages(text: &[u8], arch: &str) -> Result<(String, Vec<Record>), IndexReadError> {
    if text.len() > MAX_INDEX_BYTES {
        return Err(IndexReadError::TooLarge { limit: MAX_INDEX_BYTES });
    }
    let text = std::str::from_utf8(text).map_err(|error| {
        let valid = text.get(..error.valid_up_to()).unwrap_or_default();
        let line = 1 + valid.iter().filter(|c| **c == b'\n').count();
        IndexReadError::Syntax { line, problem: "the text is not UTF-8".to_owned() }
    })?;
    let mut rows = Rows { text: String::with_capacity(text.len() / 2), records: Vec::new() };
    for stanza in Stanzas::new(text) {
        let stanza = stanza.map_err(|e| IndexReadError::Syntax { line: e.line, problem: e.problem.to_owned() })?;
        rows.push(stanza, arch)?;
    }
    rows.text.shrink_to_fit();
    rows.records.shrink_to_fit();
    Ok((rows.text, rows.records))
}

struct Rows {
    text: String,
    records: Vec<Record>,
}

/// The values of a stanza before they are checked and copied.
struct Values<'a> {
    texts: [&'a str; FIELDS],
    sha256: &'a str,
    size: &'a str,
    installed_size: &'a str,
    essential: bool,
    protected: bool,
}

impl Rows {
    fn push(&mut self, stanza: Stanza<'_>, arch: &str) -> Result<(), IndexReadError> {
        let values = Values::of(stanza);
        let text = |field: Field| values.texts[field as usize];
        if ![arch, "all"].contains(&text(Field::Architecture)) && is_name(text(Field::Architecture)) {
            return Ok(());
        }
        let (size_bytes, sha256) = values.check().map_err(|problem| IndexReadError::Package {
            line: stanza.line,
            package: text(Field::Name).chars().take(80).collect(),
            problem: problem.to_owned(),
        })?;
        let mut spans = [Span::default(); FIELDS];
        for (span, value) in spans.iter_mut().zip(values.texts) {
            *span = Span { start: self.text.len() as u32, len: value.len() as u32 };
            self.text.push_str(value);
        }
        self.records.push(Record {
            spans,
            digest: ArchiveDigest::Sha256(sha256),
            built_secs: 0,
            size_bytes,
            installed_kib: values.installed_size.parse().unwrap_or(0),
            essential: values.essential,
            protected: values.protected,
        });
        Ok(())
    }
}

impl<'a> Values<'a> {
    fn of(stanza: Stanza<'a>) -> Self {
        let mut values =
            Self { texts: [""; FIELDS], sha256: "", size: "", installed_size: "", essential: false, protected: false };
        for (name, value) in stanza.fields() {
            if let Some(field) = text_field(name) {
                values.texts[field as usize] = value;
                continue;
            }
            match name {
                "SHA256" => values.sha256 = value,
                "Size" => values.size = value,
                "Installed-Size" => values.installed_size = value,
                "Essential" => values.essential = value == "yes",
                // The field's name before dpkg 1.20.1 was `Important`.
                "Protected" | "Important" => values.protected = value == "yes",
                _ => {}
            }
        }
        let description = &mut values.texts[Field::Description as usize];
        *description = description.split('\n').next().unwrap_or_default();
        let path = &mut values.texts[Field::Path as usize];
        *path = path.strip_prefix("./").unwrap_or(path);
        values
    }

    fn check(&self) -> Result<(u64, Sha256), &'static str> {
        let text = |field: Field| self.texts[field as usize];
        if !is_name(text(Field::Name)) {
            return Err("no valid name");
        }
        if !is_version(text(Field::Version)) {
            return Err("no valid version");
        }
        if text(Field::Architecture).is_empty() {
            return Err("no valid architecture");
        }
        if !is_safe_path(text(Field::Path)) {
            return Err("no file name that stays below the archive");
        }
        let size = self.size.parse().map_err(|_| "no valid size")?;
        let sha256 = Sha256::from_hex(self.sha256.as_bytes()).map_err(|_| "no valid SHA256")?;
        Ok((size, sha256))
    }
}

/// The text field of a record that a control field fills. Archives write names in this case.
fn text_field(name: &str) -> Option<Field> {
    Some(match name {
        "Package" => Field::Name,
        "Version" => Field::Version,
        "Architecture" => Field::Architecture,
        "Multi-Arch" => Field::MultiArch,
        "Priority" => Field::Priority,
        "Source" => Field::Source,
        "Depends" => Field::Depends,
        "Pre-Depends" => Field::PreDepends,
        "Recommends" => Field::Recommends,
        "Provides" => Field::Provides,
        "Conflicts" => Field::Conflicts,
        "Breaks" => Field::Breaks,
        "Replaces" => Field::Replaces,
        "Description" => Field::Description,
        "Filename" => Field::Path,
        _ => return None,
    })
}
