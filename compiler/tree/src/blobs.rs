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
