//! Digests of container files: on the way where a file is written from its start to its end, else by reading it back.
//!
//! A qcow2 header and the head of an archive tell what comes after them, so they are written last, and SHA-256 cannot
//! be computed from the middle. Such a file was just written, so reading it costs no disk. Each digest has a thread.

use std::io::{self, Read as _, SeekFrom};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use formats::region::{RegionSink as _, SeekSink};
use sha2::{Digest as _, Sha256};

use super::Storage;
use super::chunks::{CHUNK_BYTES, Chunk};
use crate::FileDigests;
use crate::artifact::hex;

/// Chunks that may wait for a digest.
const WAITING_CHUNKS: usize = 4;

/// A file that is written in ascending order and digested on the way, holes as the zeros that they read as.
pub struct DigestedFile<'o> {
    output: SeekSink<&'o mut dyn Storage>,
    digests: [SyncSender<Piece>; 2],
    end_bytes: u64,
}

/// Zeros, then a chunk.
#[derive(Clone)]
struct Piece {
    zeros: u64,
    chunk: Arc<Chunk>,
}

impl DigestedFile<'_> {
    /// Writes a chunk at this place, behind all that were written before.
    pub fn put(&mut self, offset_bytes: u64, chunk: Arc<Chunk>) -> io::Result<()> {
        for range in &chunk.given {
            self.output.data(offset_bytes + range.start as u64, &chunk.bytes[range.clone()])?;
        }
        self.digest(offset_bytes, chunk)
    }

    fn digest(&mut self, offset_bytes: u64, chunk: Arc<Chunk>) -> io::Result<()> {
        let zeros = offset_bytes.checked_sub(self.end_bytes).ok_or_else(|| io::Error::other("chunks out of order"))?;
        self.end_bytes = offset_bytes + chunk.bytes.len() as u64;
        let piece = Piece { zeros, chunk };
        // A digest ends only when this sender does.
        self.digests.iter().for_each(|digest| drop(digest.send(piece.clone())));
        Ok(())
    }
}

/// Runs `fill` with a file of `size_bytes` and gives the digests of all of it. The output must be fresh and empty.
pub fn digested(
    output: &mut dyn Storage,
    size_bytes: u64,
    fill: &mut dyn FnMut(&mut DigestedFile<'_>) -> io::Result<()>,
) -> io::Result<FileDigests> {
    let digests = side_by_side(size_bytes, |digests| {
        let mut file = DigestedFile { output: SeekSink::new(&mut *output), digests, end_bytes: 0 };
        fill(&mut file)?;
        // The last chunk of a disk may reach beyond its end; the digests stop there.
        file.digest(size_bytes.max(file.end_bytes), Arc::new(Chunk::of(Vec::new())))
    })?;
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
        loop {
            let mut buffer = Vec::with_capacity(CHUNK_BYTES);
            (&mut *file).take(CHUNK_BYTES as u64).read_to_end(&mut buffer)?;
            if buffer.is_empty() {
                return Ok(());
            }
            let piece = Piece { zeros: 0, chunk: Arc::new(Chunk::of(buffer)) };
            digests.iter().for_each(|digest| drop(digest.send(piece.clone())));
        }
    })
}

/// Runs `produce` with what both digests take, and gives them for the first `size_bytes`.
fn side_by_side(
    size_bytes: u64,
    produce: impl FnOnce([SyncSender<Piece>; 2]) -> io::Result<()>,
) -> io::Result<FileDigests> {
    thread::scope(|scope| {
        let (to_blake3, blake3_pieces) = sync_channel(WAITING_CHUNKS);
        let (to_sha256, sha256_pieces) = sync_channel(WAITING_CHUNKS);
        let blake3 = scope.spawn(move || {
            let mut hasher = blake3::Hasher::new();
            feed(size_bytes, &blake3_pieces, &mut |bytes| {
                hasher.update(bytes);
            });
            hasher.finalize().to_hex().to_string()
        });
        let sha256 = scope.spawn(move || {
            let mut hasher = Sha256::new();
            feed(size_bytes, &sha256_pieces, &mut |bytes| hasher.update(bytes));
            hex(&hasher.finalize())
        });
        let produced = produce([to_blake3, to_sha256]);
        let blake3 = blake3.join().expect("digesting does not panic");
        let sha256 = sha256.join().expect("digesting does not panic");
        produced.map(|()| FileDigests { size_bytes, blake3, sha256 })
    })
}

fn feed(size_bytes: u64, pieces: &Receiver<Piece>, update: &mut dyn FnMut(&[u8])) {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut left = size_bytes;
    for Piece { mut zeros, chunk } in pieces {
        while zeros.min(left) > 0 {
            let count = zeros.min(left).min(ZEROS.len() as u64);
            update(&ZEROS[..count as usize]);
            zeros -= count;
            left -= count;
        }
        let count = left.min(chunk.bytes.len() as u64);
        update(&chunk.bytes[..count as usize]);
        left -= count;
    }
}
