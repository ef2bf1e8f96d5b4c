//! The gzip members of a package or index, each read to its own end, with a look at its compressed bytes, since these are
//! what is signed and digested.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read};

use sha2::{Digest as _, Sha256};

use crate::compression::{Bounds, open_gzip_member};
use crate::tar::{self, EntryKind, TarError};
use crate::unpack::shown;

/// All files of a member that is held in memory; the largest known are indexes of 10 MB.
pub(super) const MEMBER_BYTES: u64 = 256 << 20;

/// Files of a member that is held in memory; they have a dozen.
const MEMBER_FILES: u64 = 1000;

/// Why a member cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SegmentError {
    /// The stream failed, or is no gzip.
    #[error("read its {what}")]
    Io {
        /// Which member.
        what: &'static str,
        /// What is wrong.
        #[source]
        error: io::Error,
    },
    /// The archive in it.
    #[error("read its {what}")]
    Tar {
        /// Which member.
        what: &'static str,
        /// What is wrong.
        #[source]
        error: TarError,
    },
    /// A file that has no place there.
    #[error("read its {what}: {problem} `{name}`")]
    File {
        /// Which member.
        what: &'static str,
        /// What is wrong, in words.
        problem: &'static str,
        /// Name, escaped.
        name: String,
    },
    /// Nothing is there.
    #[error("read its {what}: there is none")]
    Missing {
        /// Which member.
        what: &'static str,
    },
    /// It is made of the format of apk version 3.
    #[error(
        "read it: it is of apk version 3 (ADB), which is not supported yet; use a repository in the format of version 2"
    )]
    Version3,
    /// It starts with something else.
    #[error("read it: it is neither a package nor an index of Alpine, it begins with `{0}`")]
    Foreign(String),
}

/// A member that is held in memory.
pub(super) struct Small {
    /// Its bytes as they are in the stream.
    pub(super) packed: Vec<u8>,
    /// Its files by name.
    pub(super) files: BTreeMap<String, Vec<u8>>,
}

/// A stream of members.
pub(super) struct Segments<R> {
    input: Tap<BufReader<io::Chain<io::Cursor<Vec<u8>>, R>>>,
}

impl<R: Read + Send> Segments<R> {
    /// Starts a stream that must be gzip.
    pub(super) fn open(mut stream: R) -> Result<Self, SegmentError> {
        let mut start = Vec::new();
        let error = |error| SegmentError::Io { what: "beginning", error };
        (&mut stream).take(4).read_to_end(&mut start).map_err(error)?;
        match start.as_slice() {
            // The magic of an ADB file, plain or compressed (apk-tools, doc/apk-v3.5).
            [b'A', b'D', b'B', b'.' | b'd' | b'c'] => Err(SegmentError::Version3),
            [0x1f, 0x8b, ..] => {
                let inner = BufReader::with_capacity(128 * 1024, io::Cursor::new(start).chain(stream));
                Ok(Self { input: Tap { inner, watch: Watch::Nothing } })
            }
            _ => Err(SegmentError::Foreign(shown(&start))),
        }
    }

    /// Whether all members have been read.
    pub(super) fn is_at_end(&mut self) -> io::Result<bool> {
        loop {
            match self.input.inner.fill_buf() {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                result => return result.map(<[u8]>::is_empty),
            }
        }
    }

    /// Reads the next member whole: a tar archive of plain files, whose end mark may be left out.
    pub(super) fn small(&mut self, what: &'static str, limit_bytes: u64) -> Result<Small, SegmentError> {
        let io_error = |error| SegmentError::Io { what, error };
        if self.is_at_end().map_err(io_error)? {
            return Err(SegmentError::Missing { what });
        }
        self.input.watch = Watch::Keep { bytes: Vec::new(), limit_bytes };
        // Headers and padding take at most three blocks for each file.
        let bounds = Bounds { total_bytes: limit_bytes + 4096 * MEMBER_FILES, ..Bounds::default() };
        let mut member = open_gzip_member(&mut self.input, bounds);
        let files = files(&mut member, what, limit_bytes)?;
        // Nothing but its checksum is left; reading it is what proves the member whole.
        io::copy(&mut member, &mut io::sink()).map_err(io_error)?;
        drop(member);
        match std::mem::replace(&mut self.input.watch, Watch::Nothing) {
            Watch::Keep { bytes: packed, .. } => Ok(Small { packed, files }),
            _ => Err(SegmentError::Missing { what }),
        }
    }

    /// Opens the next member; [`Segments::sha256`] tells its digest once it has been read to its end.
    pub(super) fn large(&mut self, bounds: Bounds) -> Box<dyn Read + Send + '_> {
        self.input.watch = Watch::Hash(Sha256::new());
        open_gzip_member(&mut self.input, bounds)
    }

    /// Reads all that is left without a look at what it holds.
    pub(super) fn skip(&mut self) -> io::Result<()> {
        self.input.watch = Watch::Hash(Sha256::new());
        io::copy(&mut self.input, &mut io::sink()).map(|_| ())
    }

    /// Reads what is left of a member that was opened and given up, and all that follows it.
    pub(super) fn skip_rest(&mut self) -> io::Result<()> {
        io::copy(&mut self.input, &mut io::sink()).map(|_| ())
    }

    /// SHA-256 of the compressed bytes of the member that was opened last.
    pub(super) fn sha256(&mut self) -> [u8; 32] {
        match std::mem::replace(&mut self.input.watch, Watch::Nothing) {
            Watch::Hash(hasher) => hasher.finalize().into(),
            _ => Sha256::digest([]).into(),
        }
    }
}

fn files(
    member: &mut (impl Read + ?Sized),
    what: &'static str,
    limit_bytes: u64,
) -> Result<BTreeMap<String, Vec<u8>>, SegmentError> {
    let limits = tar::Limits { entries: MEMBER_FILES, content_bytes: limit_bytes, ..tar::Limits::default() };
    // Two more blocks of zeros change nothing of an archive that has its end mark.
    let mut archive = tar::Reader::new(member.chain(&[0; 1024][..]), limits);
    let mut files = BTreeMap::new();
    while let Some(entry) = archive.next_entry().map_err(|error| SegmentError::Tar { what, error })? {
        let refused = |problem| SegmentError::File { what, problem, name: shown(&entry.name) };
        let name = plain_name(&entry.name).ok_or_else(|| refused("odd file name"))?;
        if entry.kind != EntryKind::File {
            return Err(refused("there should be only files, not"));
        }
        let mut bytes = Vec::new();
        archive.read_to_end(&mut bytes).map_err(|error| SegmentError::Io { what, error })?;
        if files.insert(name.to_owned(), bytes).is_some() {
            return Err(refused("two files are named"));
        }
    }
    Ok(files)
}

/// Names of such files become names of keys and of files of the package database.
fn plain_name(name: &[u8]) -> Option<&str> {
    let plain = |b: &u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'_' | b'-' | b'+' | b'@');
    let good = name.len() <= 200 && name.iter().all(plain) && name.iter().any(|b| *b != b'.');
    std::str::from_utf8(name).ok().filter(|_| good)
}

/// What happens with the bytes that pass.
enum Watch {
    Nothing,
    Keep { bytes: Vec<u8>, limit_bytes: u64 },
    Hash(Sha256),
}

/// Watches the bytes that are consumed through it.
struct Tap<R> {
    inner: R,
    watch: Watch,
}

impl<R: BufRead> Read for Tap<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.fill_buf()?.read(buffer)?;
        self.consume(count);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Tap<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        match &self.watch {
            Watch::Keep { bytes, limit_bytes } if bytes.len() as u64 > *limit_bytes => {
                let problem = format!("it has more than {limit_bytes} bytes");
                Err(io::Error::new(io::ErrorKind::InvalidData, problem))
            }
            _ => self.inner.fill_buf(),
        }
    }

    fn consume(&mut self, count: usize) {
        if !matches!(self.watch, Watch::Nothing) && count > 0 {
            // The bytes are in the buffer still: they were given out by it.
            let passing = self.inner.fill_buf().unwrap_or_default();
            let passing = passing.get(..count).unwrap_or(passing);
            match &mut self.watch {
                Watch::Nothing => {}
                Watch::Keep { bytes, .. } => bytes.extend_from_slice(passing),
                Watch::Hash(hasher) => hasher.update(passing),
            }
        }
        self.inner.consume(count);
    }
}
