//! Digests of container files: on the way where a file is written from its start to its end, else by reading it back.
//!
//! A qcow2 header and the head of an archive tell what comes after them, so they are written last, and SHA-256 cannot
//! be computed from the middle. Such a file was just written, so reading it costs no disk.

use std::io::{self, Read as _, SeekFrom};
use std::sync::Arc;

use formats::region::{RegionSink as _, SeekSink};

use super::Storage;
use super::chunks::{CHUNK_BYTES, Chunk};
use crate::FileDigests;
use crate::digests::{Digests, side_by_side};

/// A file that is written in ascending order and digested on the way.
pub struct DigestedFile<'o, 'd> {
    output: SeekSink<&'o mut dyn Storage>,
    digests: &'d mut Digests,
}

impl DigestedFile<'_, '_> {
    /// Writes a chunk at this place, behind all that were written before.
    pub fn put(&mut self, offset_bytes: u64, chunk: &Chunk) -> io::Result<()> {
        for range in &chunk.given {
            self.output.data(offset_bytes + range.start as u64, &chunk.bytes[range.clone()])?;
        }
        self.digests.take(offset_bytes, chunk.bytes.clone(), 0..chunk.bytes.len())
    }
}

/// Runs `fill` with a file of `size_bytes` and gives the digests of all of it. The output must be fresh and empty.
pub fn digested(
    output: &mut dyn Storage,
    size_bytes: u64,
    fill: &mut dyn FnMut(&mut DigestedFile<'_, '_>) -> io::Result<()>,
) -> io::Result<FileDigests> {
    // The last chunk of a disk may reach beyond its end; the digests stop there.
    let digests =
        side_by_side(size_bytes, |digests| fill(&mut DigestedFile { output: SeekSink::new(&mut *output), digests }))?;
    if output.seek(SeekFrom::End(0))? < size_bytes {
        output.seek(SeekFrom::Start(size_bytes - 1))?;
        output.write_all(&[0])?;
    }
    output.flush()?;
    Ok(digests)
}

/// Reads a whole file that was just written.
pub fn read_back(file: &mut dyn Storage) -> io::Result<FileDigests> {
    let size_bytes = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    side_by_side(size_bytes, |digests| {
        let mut offset_bytes = 0;
        loop {
            let mut buffer = Vec::with_capacity(CHUNK_BYTES);
            let count = (&mut *file).take(CHUNK_BYTES as u64).read_to_end(&mut buffer)?;
            if count == 0 {
                return Ok(());
            }
            digests.take(offset_bytes, Arc::new(buffer), 0..count)?;
            offset_bytes += count as u64;
        }
    })
}
