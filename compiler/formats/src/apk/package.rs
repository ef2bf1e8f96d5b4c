//! A package: signature, control and data in, the control files and a [`Tree`] out, once every digest in it agrees.
//!
//! Contents go to a [`ContentSink`] as they are met, so memory does not grow with the package; what the sink took of a
//! package that is refused in the end is of no use.

use std::collections::BTreeMap;
use std::io::{self, Read};

use sha1::Digest as _;
use tree::{Tree, TreePath};

use super::segment::{SegmentError, Segments, Small};
use super::signature::{self, KeyFile, SignatureError, Signer};
use crate::compression::Bounds;
use crate::tar::{self, Entry, EntryKind};
use crate::unpack::{ContentSink, Inline, UnpackError, Unpacking};

/// All control files together.
const CONTROL_BYTES: u64 = 16 << 20;

/// The record in which a package states the SHA-1 of a file's content or a link's target.
const CHECKSUM: &[u8] = b"APK-TOOLS.checksum.SHA1";

/// One package taken apart.
#[derive(Debug, Clone)]
pub struct Apk {
    /// The control files by name, each with its leading dot; `.PKGINFO` is always among them.
    pub control_files: BTreeMap<String, Vec<u8>>,
    /// What it installs. Folders that it uses and does not bring are there as `root:root` with mode 0755.
    pub tree: Tree,
    /// SHA-1 of each file's content and each symbolic link's target, which the installed database has (`Z:`).
    pub checksums: BTreeMap<TreePath, [u8; 20]>,
    /// Names of the user and the group of what does not belong to `root` and `root`; they mean more than the numbers, which
    /// are those of the machine that it was built on.
    pub owner_names: BTreeMap<TreePath, [String; 2]>,
    /// Who vouches for it; nobody when no keys were given.
    pub signer: Option<Signer>,
}

/// What a package must be.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// SHA-1 of its control member, as a signed index states it (`C:`).
    pub control_sha1: Option<[u8; 20]>,
    /// Keys, one of which must have signed it. `None` takes what the index vouches for, as the real `apk` does.
    pub keys: Option<&'a [KeyFile]>,
}

/// What decoding may cost.
#[derive(Debug, Clone, Copy, Default)]
pub struct Limits {
    /// Decompression of the data member.
    pub compression: Bounds,
    /// The archive in the data member.
    pub tar: tar::Limits,
}

/// Why a package is not taken.
#[derive(Debug, thiserror::Error)]
pub enum ApkError {
    /// Its form.
    #[error("decode the package")]
    Segment(#[source] SegmentError),
    /// Nobody vouches for it.
    #[error("verify the package")]
    Signature(#[source] SignatureError),
    /// It is another one than the index names.
    #[error("take the package: the SHA-1 of its control member is {found}, the index says {expected}")]
    Identity {
        /// What the index says.
        expected: String,
        /// What it is.
        found: String,
    },
    /// It does not state the digest of its data, or more than one.
    #[error("take the package: its `.PKGINFO` states not exactly one `datahash`")]
    NoDataHash,
    /// Its data is not what it states.
    #[error("take the package: the SHA-256 of its data member is {found}, its `.PKGINFO` says {expected}")]
    DataHash {
        /// What it states.
        expected: String,
        /// What it is.
        found: String,
    },
    /// Something follows its data member.
    #[error("decode the package: something follows its data")]
    Trailing,
    /// The stream failed.
    #[error("read the package")]
    Io(#[source] io::Error),
    /// Its files.
    #[error(transparent)]
    Data(#[from] UnpackError),
    /// A control file among its files.
    #[error("decode the data archive: the control file {0} is among its files")]
    ControlFile(TreePath),
    /// The checksum of a file cannot be read.
    #[error("decode the data archive: the checksum of {0} cannot be read")]
    BadChecksum(TreePath),
    /// A file is not what its checksum says.
    #[error("decode the data archive: the content of {0} does not have the SHA-1 that is stated")]
    Checksum(TreePath),
}

/// Decodes a package. The stream is read to its end.
///
/// # Errors
/// See [`ApkError`]. Who vouches for it is settled before anything of its data is looked at; whether the data is whole only
/// at its end.
pub fn decode(
    stream: impl Read + Send,
    expected: &Expected<'_>,
    limits: Limits,
    sink: &mut dyn ContentSink,
) -> Result<Apk, ApkError> {
    let mut segments = Segments::open(stream).map_err(ApkError::Segment)?;
    let (control, signer) = control(&mut segments, expected)?;
    let data_hash = data_hash(&control)?;
    if segments.is_at_end().map_err(ApkError::Io)? {
        return Err(ApkError::Segment(SegmentError::Missing { what: "data" }));
    }
    let data = data(&mut segments.large(limits.compression), limits.tar, sink);
    let Data { tree, checksums, owner_names } = match data {
        Ok(data) => data,
        Err(error) => {
            // Damage on the way is told as such, not by what it made of an entry.
            segments.skip_rest().map_err(ApkError::Io)?;
            check_data(&mut segments, &data_hash)?;
            return Err(error);
        }
    };
    check_data(&mut segments, &data_hash)?;
    if !segments.is_at_end().map_err(ApkError::Io)? {
        return Err(ApkError::Trailing);
    }
    Ok(Apk { control_files: control.files, tree, checksums, owner_names, signer })
}

/// Checks that an archive is what is expected, without a look at its files: as [`decode`], for an archive that is only kept.
///
/// # Errors
/// See [`ApkError`].
pub fn check_archive(stream: impl Read + Send, expected: &Expected<'_>) -> Result<(), ApkError> {
    let mut segments = Segments::open(stream).map_err(ApkError::Segment)?;
    let (control, _) = control(&mut segments, expected)?;
    let data_hash = data_hash(&control)?;
    segments.skip().map_err(ApkError::Io)?;
    check_data(&mut segments, &data_hash)
}

/// Decodes a whole package in memory, contents inline, whoever made it: one call for fuzzing.
///
/// # Errors
/// As [`decode`].
pub fn decode_bytes(bytes: &[u8]) -> Result<Apk, ApkError> {
    let small = Bounds { total_bytes: 64 << 20, ..Bounds::default() };
    let limits = Limits { compression: small, ..Limits::default() };
    decode(bytes, &Expected { control_sha1: None, keys: None }, limits, &mut Inline)
}

/// The control member, once it is the one that is expected.
fn control(
    segments: &mut Segments<impl Read + Send>,
    expected: &Expected<'_>,
) -> Result<(Small, Option<Signer>), ApkError> {
    let first = segments.small("signature", CONTROL_BYTES).map_err(ApkError::Segment)?;
    let is_signed = first.files.keys().all(|name| signature::is_signature(name));
    let (signatures, control) = match is_signed {
        true => (first.files, segments.small("control member", CONTROL_BYTES).map_err(ApkError::Segment)?),
        false => (BTreeMap::new(), first),
    };
    let verify = |keys| signature::verify(&signatures, &control.packed, keys).map_err(ApkError::Signature);
    let signer = expected.keys.map(verify).transpose()?;
    if let Some(expected) = expected.control_sha1 {
        let found = signature::sha1(&control.packed).ok_or(ApkError::Signature(SignatureError::Collision))?;
        if found != expected {
            return Err(ApkError::Identity { expected: hex(&expected), found: hex(&found) });
        }
    }
    if let Some(name) = control.files.keys().find(|name| !name.starts_with('.') || signature::is_signature(name)) {
        let (what, problem) = ("control member", "odd file name");
        return Err(ApkError::Segment(SegmentError::File { what, problem, name: name.clone() }));
    }
    Ok((control, signer))
}

/// The SHA-256 that `.PKGINFO` states of the data member, in hexadecimal.
fn data_hash(control: &Small) -> Result<String, ApkError> {
    let info = control.files.get(".PKGINFO").ok_or(ApkError::NoDataHash)?;
    let lines = info.split(|b| *b == b'\n').filter_map(|line| std::str::from_utf8(line).ok()?.split_once('='));
    let mut hashes = lines.filter(|(name, _)| name.trim() == "datahash").map(|(_, value)| value.trim());
    match (hashes.next(), hashes.next()) {
        (Some(hash), None) => Ok(hash.chars().take(64).collect::<String>().to_ascii_lowercase()),
        _ => Err(ApkError::NoDataHash),
    }
}

fn check_data(segments: &mut Segments<impl Read + Send>, expected: &str) -> Result<(), ApkError> {
    let found = hex(&segments.sha256());
    if found == expected { Ok(()) } else { Err(ApkError::DataHash { expected: expected.to_owned(), found }) }
}

/// What the data member holds.
struct Data {
    tree: Tree,
    checksums: BTreeMap<TreePath, [u8; 20]>,
    owner_names: BTreeMap<TreePath, [String; 2]>,
}

fn data(member: &mut (impl Read + ?Sized), limits: tar::Limits, sink: &mut dyn ContentSink) -> Result<Data, ApkError> {
    let mut archive = tar::Reader::new(&mut *member, limits);
    let mut unpacking = Unpacking::default();
    let (mut checksums, mut owner_names) = (BTreeMap::new(), BTreeMap::new());
    while let Some(entry) = archive.next_entry().map_err(UnpackError::Tar)? {
        let mut content = Sha1Reader { inner: &mut archive, hasher: sha1::Sha1::new() };
        let path = unpacking.take(&entry, &mut content, sink)?;
        if let Some(names) = owner(&entry) {
            owner_names.insert(path.clone(), names);
        }
        let found: [u8; 20] = match &entry.kind {
            EntryKind::File => content.hasher.finalize().into(),
            EntryKind::Symlink(target) => sha1::Sha1::digest(target).into(),
            // What is a link to a file that came before is that file.
            _ => continue,
        };
        if stated(&entry, &path)?.is_some_and(|stated| stated != found) {
            return Err(ApkError::Checksum(path));
        }
        checksums.insert(path, found);
    }
    // The real `apk` takes no file whose name starts with a dot at the top.
    let tree = unpacking.tree;
    let control_file = tree.iter().map(|(path, ..)| path).find(|path| path.as_bytes().starts_with(b".")).cloned();
    match control_file {
        Some(path) => Err(ApkError::ControlFile(path)),
        None => Ok(Data { tree, checksums, owner_names }),
    }
}

/// The names of an entry's user and group, unless both are `root` or not said.
fn owner(entry: &Entry) -> Option<[String; 2]> {
    let names = entry.owner_names.each_ref().map(|name| String::from_utf8_lossy(name).into_owned());
    names.iter().any(|name| !name.is_empty() && name != "root").then_some(names)
}

/// The SHA-1 that the package states of an entry.
fn stated(entry: &Entry, path: &TreePath) -> Result<Option<[u8; 20]>, ApkError> {
    let Some(text) = entry.records.get(CHECKSUM) else { return Ok(None) };
    let digits = |at: usize| text.get(2 * at..2 * at + 2).and_then(|pair| std::str::from_utf8(pair).ok());
    let byte = |at| digits(at).and_then(|pair| u8::from_str_radix(pair, 16).ok());
    let bytes: Option<Vec<u8>> = (0..20).map(byte).collect();
    let is_hex = text.len() == 40 && text.iter().all(u8::is_ascii_hexdigit);
    let bytes = bytes.filter(|_| is_hex).and_then(|bytes| bytes.try_into().ok());
    bytes.map(Some).ok_or_else(|| ApkError::BadChecksum(path.clone()))
}

/// Digests what is read through it.
struct Sha1Reader<'a, R> {
    inner: &'a mut R,
    hasher: sha1::Sha1,
}

impl<R: Read> Read for Sha1Reader<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
