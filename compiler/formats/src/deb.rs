//! The binary package of Debian, deb(5): an `ar` archive of a version, a control archive and a data archive.
//!
//! In goes a stream, out come the control files and a [`Tree`]; contents go to a [`ContentSink`] as they are met,
//! so memory does not grow with the package. Nothing outside the tree's root can be named.

use std::collections::BTreeMap;
use std::io::{self, Read};

use tree::Tree;

use crate::ar::{self, ArError};
use crate::compression::{self, Bounds, Compression};
use crate::tar::{self, EntryKind, TarError};
use crate::unpack::{Unpacking, shown};

pub use crate::unpack::{ContentSink, Inline, UnpackError};

/// One package taken apart.
#[derive(Debug, Clone)]
pub struct Deb {
    /// The control files by name; `control` is always among them.
    pub control_files: BTreeMap<String, Vec<u8>>,
    /// What it installs. Folders that it uses and does not bring are there as `root:root` with mode 0755.
    pub tree: Tree,
}

/// What decoding may cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Decompression of the data archive; that of the control archive is bounded by [`CONTROL_BYTES`].
    pub compression: Bounds,
    /// The data archive.
    pub tar: tar::Limits,
}

/// All control files together; the largest known are lists of files of a few megabytes.
pub const CONTROL_BYTES: u64 = 16 << 20;

/// Control files; packages have a dozen.
const CONTROL_FILES: u64 = 1000;

/// Why a package cannot be decoded.
#[derive(Debug, thiserror::Error)]
pub enum DebError {
    /// The outer archive.
    #[error("decode the package")]
    Ar(#[from] ArError),
    /// A member is missing, doubled, in the wrong place or unknown.
    #[error("decode the package: {0}")]
    Members(String),
    /// The package is of a version that we cannot know.
    #[error("decode the package: its format is version {0}, not 2")]
    Version(String),
    /// The stream or the sink failed.
    #[error("decode the package")]
    Io(#[from] io::Error),
    /// The control archive.
    #[error("decode the control archive")]
    Control(#[source] TarError),
    /// The control archive holds something that has no place there.
    #[error("decode the control archive: {0}")]
    ControlEntry(String),
    /// The data archive.
    #[error(transparent)]
    Data(#[from] UnpackError),
}

/// Decodes a package. The stream is read to its end.
///
/// # Errors
/// See [`DebError`]; what the sink has taken until then is of no use.
pub fn decode(stream: impl Read + Send, limits: Limits, sink: &mut dyn ContentSink) -> Result<Deb, DebError> {
    let mut members = Members { ar: ar::Reader::new(stream)? };
    members.version()?;
    let compression = members.find("control.tar")?;
    let control_files = control(&mut members.ar, compression)?;
    let compression = members.find("data.tar")?;
    let tree = data(&mut members.ar, compression, limits, sink)?;
    members.end()?;
    Ok(Deb { control_files, tree })
}

/// The members in the order that deb(5) demands.
struct Members<R> {
    ar: ar::Reader<R>,
}

impl<R: Read> Members<R> {
    fn version(&mut self) -> Result<(), DebError> {
        if self.ar.next_member()?.is_none_or(|member| member.name != b"debian-binary") {
            return Err(DebError::Members("its first member is not `debian-binary`".to_owned()));
        }
        let mut text = Vec::new();
        (&mut self.ar).take(64).read_to_end(&mut text)?;
        let line = text.split(|&b| b == b'\n').next().unwrap_or_default();
        if line.starts_with(b"2.") { Ok(()) } else { Err(DebError::Version(shown(line))) }
    }

    /// Goes on to the archive of this name and tells its compression.
    fn find(&mut self, archive: &str) -> Result<Compression, DebError> {
        let name = self.next()?.ok_or_else(|| DebError::Members(format!("it has no `{archive}`")))?;
        match Compression::of_name(&name) {
            (compression, stem) if stem == archive => Ok(compression),
            _ => Err(DebError::Members(format!(
                "`{name}` stands where `{archive}` is expected, as such, .gz, .xz or .zst"
            ))),
        }
    }

    fn end(&mut self) -> Result<(), DebError> {
        match self.next()? {
            None => Ok(()),
            Some(name) => Err(DebError::Members(format!("the unknown member `{name}` follows its data"))),
        }
    }

    /// The next member that counts: names with a leading underscore are for others to use (deb(5)).
    fn next(&mut self) -> Result<Option<String>, DebError> {
        loop {
            match self.ar.next_member()? {
                Some(member) if member.name.starts_with(b"_") => {}
                member => return Ok(member.map(|member| shown(&member.name))),
            }
        }
    }
}

fn control(stream: &mut (impl Read + Send), compression: Compression) -> Result<BTreeMap<String, Vec<u8>>, DebError> {
    let limits = tar::Limits { entries: CONTROL_FILES, content_bytes: CONTROL_BYTES, ..tar::Limits::default() };
    // Headers and padding take at most three blocks for each file.
    let bounds = Bounds { total_bytes: CONTROL_BYTES + 4096 * CONTROL_FILES, ..Bounds::default() };
    let mut archive = tar::Reader::new(compression::open(compression, stream, bounds)?, limits);
    let mut files = BTreeMap::new();
    while let Some(entry) = archive.next_entry().map_err(DebError::Control)? {
        let refused = |why: &str| Err(DebError::ControlEntry(format!("{why} `{}`", shown(&entry.name))));
        let name = entry.name.strip_prefix(b"./").unwrap_or(&entry.name);
        match (&entry.kind, control_name(name)) {
            (EntryKind::Dir, _) if matches!(name, b"" | b".") => continue,
            (EntryKind::File, Some(name)) => {
                let mut bytes = Vec::new();
                archive.read_to_end(&mut bytes)?;
                if files.insert(name.to_owned(), bytes).is_some() {
                    return refused("two files are named");
                }
            }
            (EntryKind::File, None) => return refused("odd file name"),
            _ => return refused("there should be only files, not"),
        }
    }
    if !files.contains_key("control") {
        return Err(DebError::ControlEntry("there is no file `control`".to_owned()));
    }
    Ok(files)
}

/// Control files become file names of the package database, so they have plain names.
fn control_name(name: &[u8]) -> Option<&str> {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+');
    let good = name.len() <= 100 && name.first().is_some_and(u8::is_ascii_alphanumeric) && name.iter().all(plain);
    std::str::from_utf8(name).ok().filter(|_| good)
}

fn data(
    stream: &mut (impl Read + Send),
    compression: Compression,
    limits: Limits,
    sink: &mut dyn ContentSink,
) -> Result<Tree, DebError> {
    let mut archive = tar::Reader::new(compression::open(compression, stream, limits.compression)?, limits.tar);
    let mut unpacking = Unpacking::default();
    while let Some(entry) = archive.next_entry().map_err(UnpackError::Tar)? {
        unpacking.take(&entry, &mut archive, sink)?;
    }
    Ok(unpacking.tree)
}

/// Decodes a whole package in memory, contents inline: one call for fuzzing.
///
/// # Errors
/// As [`decode`].
pub fn decode_bytes(bytes: &[u8]) -> Result<Deb, DebError> {
    let small = Bounds { total_bytes: 64 << 20, ..Bounds::default() };
    decode(bytes, Limits { compression: small, ..Limits::default() }, &mut Inline)
}
