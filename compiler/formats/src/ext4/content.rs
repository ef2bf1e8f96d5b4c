//! Reads one content from its start to its end, and holds it to what was planned: its length and its holes.

use std::io::Read;

use tree::{Blobs, Content};

use super::stream::{CopyError, Stream};

/// Why a content is not what was planned.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// It could not be opened or read.
    #[error("read it")]
    Read(#[source] std::io::Error),
    /// It is shorter or longer than the tree says.
    #[error("find {size_bytes} bytes in it, as the tree says")]
    Length {
        /// The length that the tree says.
        size_bytes: u64,
    },
    /// It has bytes where it was planned to have a hole.
    #[error("find zeros in its hole at byte {offset_bytes}")]
    NotAHole {
        /// Where the hole begins.
        offset_bytes: u64,
    },
}

/// A content that is being read.
pub struct Source<'b> {
    reader: Box<dyn Read + Send + 'b>,
    at_bytes: u64,
    size_bytes: u64,
}

impl<'b> Source<'b> {
    /// Opens a content.
    pub fn open(blobs: &'b dyn Blobs, content: &'b Content) -> Result<Self, ContentError> {
        let reader = blobs.reader(content).map_err(ContentError::Read)?;
        Ok(Self { reader, at_bytes: 0, size_bytes: content.size_bytes() })
    }

    /// Passes over a hole, which ends at this offset or with the content, and must be zero.
    pub fn skip_hole(&mut self, end_bytes: u64) -> Result<(), ContentError> {
        let start = self.at_bytes;
        let mut buffer = [0; 16384];
        let zeros = buffer;
        while self.at_bytes < end_bytes.min(self.size_bytes) {
            let limit = (end_bytes.min(self.size_bytes) - self.at_bytes).min(buffer.len() as u64) as usize;
            let count = self.reader.read(&mut buffer[..limit]).map_err(ContentError::Read)?;
            if count == 0 {
                return Err(ContentError::Length { size_bytes: self.size_bytes });
            }
            if buffer[..count] != zeros[..count] {
                return Err(ContentError::NotAHole { offset_bytes: start });
            }
            self.at_bytes += count as u64;
        }
        Ok(())
    }

    /// Copies this many bytes, or as many as are left, and fills the last block with zeros.
    /// The outer error is the sink's.
    pub fn copy(&mut self, limit_bytes: u64, stream: &mut Stream<'_>) -> std::io::Result<Result<(), ContentError>> {
        let bytes = limit_bytes.min(self.size_bytes - self.at_bytes);
        let copied = match stream.copy(&mut *self.reader, bytes) {
            Ok(copied) => copied,
            Err(CopyError::Reader(error)) => return Ok(Err(ContentError::Read(error))),
            Err(CopyError::Sink(error)) => return Err(error),
        };
        stream.pad();
        self.at_bytes += bytes;
        Ok(if copied == bytes { Ok(()) } else { Err(ContentError::Length { size_bytes: self.size_bytes }) })
    }

    /// Makes sure that the content ends where the tree says.
    pub fn finish(mut self) -> Result<(), ContentError> {
        self.skip_hole(self.size_bytes)?;
        match self.reader.read(&mut [0]).map_err(ContentError::Read)? {
            0 => Ok(()),
            _ => Err(ContentError::Length { size_bytes: self.size_bytes }),
        }
    }
}
