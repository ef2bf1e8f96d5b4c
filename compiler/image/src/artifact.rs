//! Digests of a file, computed while it is written.

use std::io::{self, Write};

use sha2::{Digest as _, Sha256};

/// The size and both digests of some written bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileDigests {
    /// Number of bytes.
    pub size_bytes: u64,
    /// BLAKE3, 64 hexadecimal digits.
    pub blake3: String,
    /// SHA-256, 64 hexadecimal digits.
    pub sha256: String,
}

impl FileDigests {
    /// The digests of bytes at hand.
    pub fn of(bytes: &[u8]) -> Self {
        let mut writer = HashingWriter::new(io::sink());
        writer.write_all(bytes).expect("a sink takes everything");
        writer.finish().1
    }
}

/// Passes bytes on to a writer and digests them on the way.
pub struct HashingWriter<W> {
    inner: W,
    blake3: blake3::Hasher,
    sha256: Sha256,
    size_bytes: u64,
}

impl<W: Write> HashingWriter<W> {
    /// Starts at the first byte of `inner`.
    pub fn new(inner: W) -> Self {
        Self { inner, blake3: blake3::Hasher::new(), sha256: Sha256::new(), size_bytes: 0 }
    }

    /// Gives back the writer and the digests of all that passed.
    pub fn finish(self) -> (W, FileDigests) {
        let digests = FileDigests {
            size_bytes: self.size_bytes,
            blake3: self.blake3.finalize().to_hex().to_string(),
            sha256: hex(&self.sha256.finalize()),
        };
        (self.inner, digests)
    }
}

impl<W: Write> Write for HashingWriter<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.inner.write(bytes)?;
        self.blake3.update(&bytes[..taken]);
        self.sha256.update(&bytes[..taken]);
        self.size_bytes += taken as u64;
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

/// Lower-case hexadecimal digits.
pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_digests() {
        let digests = FileDigests::of(b"abc");
        assert_eq!(digests.size_bytes, 3);
        assert_eq!(digests.sha256, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert_eq!(digests.blake3, "6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
    }
}
