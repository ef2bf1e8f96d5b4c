//! Where contents are read from: an argument of everything that needs bytes.

use std::io::{self, Read};

use crate::{Content, Digest};

/// A source of contents by digest.
pub trait Blobs: Sync {
    /// Opens the content with this digest for reading from its start to its end.
    ///
    /// # Errors
    /// `NotFound` when there is no such content, else what the source reports.
    fn open(&self, digest: &Digest) -> io::Result<Box<dyn Read + Send + '_>>;

    /// Opens the content with this digest for reading from an offset, or its end where it is before, to its end.
    ///
    /// # Errors
    /// As [`Blobs::open`].
    fn open_at(&self, digest: &Digest, offset_bytes: u64) -> io::Result<Box<dyn Read + Send + '_>> {
        let mut reader = self.open(digest)?;
        io::copy(&mut reader.by_ref().take(offset_bytes), &mut io::sink())?;
        Ok(reader)
    }

    /// Reads some bytes of a content; fewer where it ends before.
    ///
    /// # Errors
    /// As [`Blobs::open`].
    fn part(&self, content: &Content, offset_bytes: u64, count: usize) -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        match content {
            Content::Inline(all) => {
                let start = usize::try_from(offset_bytes).unwrap_or(usize::MAX).min(all.len());
                bytes.extend_from_slice(&all[start..start.saturating_add(count).min(all.len())]);
            }
            Content::Blob { digest, .. } => {
                self.open_at(digest, offset_bytes)?.take(count as u64).read_to_end(&mut bytes)?;
            }
        }
        Ok(bytes)
    }

    /// Opens a content, inline or not.
    ///
    /// # Errors
    /// As [`Blobs::open`].
    fn reader<'a>(&'a self, content: &'a Content) -> io::Result<Box<dyn Read + Send + 'a>> {
        match content {
            Content::Inline(bytes) => Ok(Box::new(&bytes[..])),
            Content::Blob { digest, .. } => self.open(digest),
        }
    }

    /// Reads a whole content into memory, of at most `limit_bytes`.
    ///
    /// # Errors
    /// As [`Blobs::open`]; `InvalidData` when the content is larger than the limit or not of its stated size.
    fn bytes(&self, content: &Content, limit_bytes: u64) -> io::Result<Vec<u8>> {
        let size = content.size_bytes();
        let wrong = |what: String| io::Error::new(io::ErrorKind::InvalidData, what);
        if size > limit_bytes {
            return Err(wrong(format!("a content of {size} bytes is over the limit of {limit_bytes} bytes")));
        }
        let mut bytes = Vec::with_capacity(size as usize);
        self.reader(content)?.take(size + 1).read_to_end(&mut bytes)?;
        if bytes.len() as u64 != size {
            return Err(wrong(format!("a content of {size} bytes has another length in the store")));
        }
        Ok(bytes)
    }
}

/// A source without contents, for trees that are all inline.
pub struct NoBlobs;

impl Blobs for NoBlobs {
    fn open(&self, digest: &Digest) -> io::Result<Box<dyn Read + Send + '_>> {
        Err(io::Error::new(io::ErrorKind::NotFound, format!("no content {digest}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The letters, whatever the digest.
    struct Letters;

    impl Blobs for Letters {
        fn open(&self, _: &Digest) -> io::Result<Box<dyn Read + Send + '_>> {
            Ok(Box::new(&b"abcdefgh"[..]))
        }
    }

    #[test]
    fn a_part_ends_with_its_content() {
        let blob = Content::Blob { digest: Digest([0; 32]), size_bytes: 8 };
        for content in [blob, Content::inline(b"abcdefgh".to_vec())] {
            let part = |offset, count| Letters.part(&content, offset, count).unwrap();
            assert_eq!(
                [part(2, 3), part(6, 9), part(8, 1), part(u64::MAX, usize::MAX)],
                [b"cde", &b"gh"[..], b"", b""]
            );
        }
    }
}
