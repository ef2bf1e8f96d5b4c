//! A Release file's content: which indexes a suite has, their sizes and digests (Debian repository format).
//!
//! Input is the text that was signed; whether it was, is not known here.

use std::collections::BTreeMap;

use crate::Sha256;
use crate::catalog::is_safe_path;
use crate::deb::date::parse_date;
use crate::deb::stanza::{StanzaError, Stanzas};

/// The most files a Release may list. Debian's main suite lists 1,300.
const MAX_FILES: usize = 100_000;

/// What a suite's Release file says. When it comes from `verify_inrelease`, a configured key vouches for it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// `Origin`, for people.
    pub origin: String,
    /// `Suite`.
    pub suite: String,
    /// `Codename`.
    pub codename: String,
    /// When it was made, in seconds since 1970.
    pub date_secs: i64,
    /// When it must not be used any more, in seconds since 1970.
    pub valid_until_secs: Option<i64>,
    /// Architectures it has indexes for.
    pub architectures: Vec<String>,
    /// Components it has indexes for, without the path that some archives put before them.
    pub components: Vec<String>,
    /// Whether index files can be fetched by digest.
    pub by_hash: bool,
    /// Whether packages for all architectures are in an index `binary-all` only.
    pub all_apart: bool,
    /// Its files by path below `dists/SUITE/`.
    pub files: BTreeMap<String, Listed>,
    /// Fingerprint of the primary key that vouches for it, upper-case hexadecimal; empty when not verified.
    pub key: String,
    /// SHA-256 of the signed bytes as fetched.
    pub sha256: Sha256,
}

/// Size and digest of a listed file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listed {
    /// Size.
    pub size_bytes: u64,
    /// SHA-256.
    pub sha256: Sha256,
}

/// One way to fetch an index.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexCandidate {
    /// Path below `dists/SUITE/`.
    pub path: String,
    /// Path below `dists/SUITE/` by digest, where the archive has those; it never changes under a reader.
    pub by_hash_path: Option<String>,
    /// How it is compressed.
    pub compression: Compression,
    /// Size as fetched.
    pub size_bytes: u64,
    /// SHA-256 as fetched.
    pub sha256: Sha256,
    /// Size and digest once decompressed, where the Release lists the plain file.
    pub plain: Option<Listed>,
}

/// How an index is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// xz.
    Xz,
    /// gzip.
    Gzip,
    /// Not at all.
    None,
}

/// What is wrong with a Release's text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReleaseTextError {
    /// Not UTF-8.
    #[error("the text is not UTF-8")]
    NotUtf8,
    /// Not control data.
    #[error("the text is no control data")]
    Syntax(#[source] StanzaError),
    /// Nothing, or more than one stanza.
    #[error("the text is not exactly one stanza")]
    Stanzas,
    /// A field that must be there is not.
    #[error("the field `{0}` is missing")]
    Missing(&'static str),
    /// A field's value cannot be read.
    #[error("the field `{field}` has the value `{value}`, which cannot be read")]
    Value {
        /// The field.
        field: &'static str,
        /// The value, or the part of it.
        value: String,
    },
}

/// Reads a Release file's text.
///
/// # Errors
/// When it is not one stanza with a `Date` and a `SHA256` list.
pub fn parse_release(text: &[u8]) -> Result<Release, ReleaseTextError> {
    let text = std::str::from_utf8(text).map_err(|_| ReleaseTextError::NotUtf8)?;
    let mut stanzas = Stanzas::new(text);
    let stanza = stanzas.next().ok_or(ReleaseTextError::Stanzas)?.map_err(ReleaseTextError::Syntax)?;
    if stanzas.next().is_some() {
        return Err(ReleaseTextError::Stanzas);
    }
    let field = |name| stanza.get(name).unwrap_or_default().to_owned();
    let words = |name| stanza.get(name).unwrap_or_default().split_ascii_whitespace().map(str::to_owned);
    let date = |name: &'static str| {
        let wrong = |value: &str| ReleaseTextError::Value { field: name, value: shorten(value) };
        stanza.get(name).map(|value| parse_date(value).ok_or_else(|| wrong(value))).transpose()
    };
    Ok(Release {
        origin: field("Origin"),
        suite: field("Suite"),
        codename: field("Codename"),
        date_secs: date("Date")?.ok_or(ReleaseTextError::Missing("Date"))?,
        valid_until_secs: date("Valid-Until")?,
        architectures: words("Architectures").collect(),
        components: words("Components").map(|c| c.rsplit('/').next().unwrap_or(&c).to_owned()).collect(),
        by_hash: stanza.get("Acquire-By-Hash") == Some("yes"),
        all_apart: words("Architectures").any(|a| a == "all")
            && stanza.get("No-Support-for-Architecture-all") != Some("Packages"),
        files: parse_files(stanza.get("SHA256").ok_or(ReleaseTextError::Missing("SHA256"))?)?,
        key: String::new(),
        sha256: Sha256::of(text.as_bytes()),
    })
}

fn parse_files(list: &str) -> Result<BTreeMap<String, Listed>, ReleaseTextError> {
    let wrong = |line: &str| ReleaseTextError::Value { field: "SHA256", value: shorten(line) };
    let mut files = BTreeMap::new();
    for line in list.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let words: Vec<&str> = line.split_ascii_whitespace().take(4).collect();
        let [sha256, size, path] = words.as_slice() else { return Err(wrong(line)) };
        let listed = Listed {
            size_bytes: size.parse().map_err(|_| wrong(line))?,
            sha256: sha256.parse().map_err(|_| wrong(line))?,
        };
        if !is_safe_path(path) || files.len() == MAX_FILES {
            return Err(wrong(line));
        }
        files.insert((*path).to_owned(), listed);
    }
    Ok(files)
}

fn shorten(text: &str) -> String {
    text.chars().take(120).collect()
}

impl Release {
    /// The components that have an index for an architecture, in the order of their names.
    pub fn components_for(&self, arch: &str) -> Vec<String> {
        let component = |path: &String| {
            let (component, index) = path.split_once("/binary-")?;
            index.strip_prefix(arch)?.starts_with("/Packages").then(|| component.to_owned())
        };
        let mut components: Vec<String> = self.files.keys().filter_map(component).collect();
        components.dedup();
        components
    }

    /// The ways to fetch the index of one component and architecture (`all` where [`Release::all_apart`]),
    /// smallest first; empty when the suite has no such index.
    pub fn index(&self, component: &str, arch: &str) -> Vec<IndexCandidate> {
        let kinds = [(".xz", Compression::Xz), (".gz", Compression::Gzip), ("", Compression::None)];
        let folder = format!("{component}/binary-{arch}");
        let plain = self.files.get(&format!("{folder}/Packages")).copied();
        let candidate = |(suffix, compression): (&str, Compression)| {
            let path = format!("{folder}/Packages{suffix}");
            let listed = self.files.get(&path)?;
            Some(IndexCandidate {
                path,
                by_hash_path: self.by_hash.then(|| format!("{folder}/by-hash/SHA256/{}", listed.sha256)),
                compression,
                size_bytes: listed.size_bytes,
                sha256: listed.sha256,
                plain,
            })
        };
        kinds.into_iter().filter_map(candidate).collect()
    }
}
