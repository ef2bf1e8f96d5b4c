//! The `pack` file of a decoded package: the contents of its files, uncompressed, each once.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufWriter, Read, Seek, SeekFrom, Write};

use formats::deb::ContentSink;
use tree::{Content, Digest};

/// Contents up to this size are hashed before they are written, so that doubles cost nothing. Larger ones are
/// written as they come, to keep memory small, and cut off again when they turn out to be doubles.
const BUFFERED_BYTES: u64 = 256 * 1024;

/// Writes a pack.
pub(crate) struct PackWriter {
    out: BufWriter<File>,
    end: u64,
    known: BTreeSet<Digest>,
    index: Vec<(Digest, u64)>,
    buffer: Vec<u8>,
}

impl PackWriter {
    pub(crate) fn new(file: File) -> Self {
        let out = BufWriter::with_capacity(512 * 1024, file);
        Self { out, end: 0, known: BTreeSet::new(), index: Vec::new(), buffer: Vec::new() }
    }

    /// Ends the pack: its file and the digests and sizes of what is in it, in order.
    pub(crate) fn finish(self) -> io::Result<(File, Vec<(Digest, u64)>)> {
        let file = self.out.into_inner().map_err(io::IntoInnerError::into_error)?;
        Ok((file, self.index))
    }

    fn small(&mut self, size: u64, content: &mut dyn Read) -> io::Result<Digest> {
        self.buffer.clear();
        content.take(size + 1).read_to_end(&mut self.buffer)?;
        check_size(size, self.buffer.len() as u64)?;
        let digest = Digest::of(&self.buffer);
        if self.known.insert(digest) {
            self.out.write_all(&self.buffer)?;
            self.added(digest, size);
        }
        Ok(digest)
    }

    fn large(&mut self, size: u64, content: &mut dyn Read) -> io::Result<Digest> {
        let mut hasher = blake3::Hasher::new();
        let mut written = 0;
        self.buffer.resize(BUFFERED_BYTES as usize, 0);
        loop {
            let count = match content.read(&mut self.buffer) {
                Ok(0) => break,
                Ok(count) => count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                Err(error) => return Err(error),
            };
            let bytes = self.buffer.get(..count).unwrap_or_default();
            hasher.update(bytes);
            self.out.write_all(bytes)?;
            written += count as u64;
        }
        check_size(size, written)?;
        let digest = Digest::from(hasher.finalize());
        if self.known.insert(digest) {
            self.added(digest, size);
        } else {
            // Seeking writes out what is buffered.
            self.out.seek(SeekFrom::Start(self.end))?;
            self.out.get_ref().set_len(self.end)?;
        }
        Ok(digest)
    }

    fn added(&mut self, digest: Digest, size: u64) {
        self.end += size;
        self.index.push((digest, size));
    }
}

impl ContentSink for PackWriter {
    fn take(&mut self, size_bytes: u64, content: &mut dyn Read) -> io::Result<Content> {
        let digest = match size_bytes {
            0 => Digest::of(b""),
            size if size <= BUFFERED_BYTES => self.small(size, content)?,
            size => self.large(size, content)?,
        };
        Ok(Content::Blob { digest, size_bytes })
    }
}

fn check_size(stated: u64, found: u64) -> io::Result<()> {
    if stated == found {
        return Ok(());
    }
    Err(io::Error::new(io::ErrorKind::InvalidData, format!("{found} bytes came where {stated} were stated")))
}
