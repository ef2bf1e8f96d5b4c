//! Digests of a file whose parts pass in ascending order, holes as the zeros that they read as.
//!
//! They cost more than the copy of the bytes itself, so each has a thread of its own beside the one that writes.

use std::io;
use std::ops::Range;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use sha2::{Digest as _, Sha256};

use crate::FileDigests;
use crate::artifact::hex;
use crate::threads::joined;

/// Parts that may wait for a digest. They share their buffers with whoever writes them, so this bounds the memory.
const WAITING_PARTS: usize = 4;

/// Takes what is digested.
pub struct Digests {
    threads: [SyncSender<Part>; 2],
    end_bytes: u64,
}

/// Zeros, then a part of a buffer.
#[derive(Clone)]
struct Part {
    zeros: u64,
    bytes: Arc<Vec<u8>>,
    range: Range<usize>,
}

impl Digests {
    /// Takes a part of a buffer that stands at this offset, behind all that was taken before; zeros are between them.
    ///
    /// # Errors
    /// When it is not behind them.
    pub fn take(&mut self, offset_bytes: u64, bytes: Arc<Vec<u8>>, range: Range<usize>) -> io::Result<()> {
        let zeros = offset_bytes.checked_sub(self.end_bytes);
        let zeros = zeros.ok_or_else(|| io::Error::other("the parts of a file are out of order"))?;
        self.end_bytes = offset_bytes + range.len() as u64;
        let part = Part { zeros, bytes, range };
        // A digest ends only when this sender does.
        self.threads.iter().for_each(|digest| drop(digest.send(part.clone())));
        Ok(())
    }
}

/// Runs `produce` with what takes a file's parts, and gives the digests of its first `size_bytes`.
///
/// # Errors
/// What `produce` reports.
pub fn side_by_side(size_bytes: u64, produce: impl FnOnce(&mut Digests) -> io::Result<()>) -> io::Result<FileDigests> {
    thread::scope(|scope| {
        let (to_blake3, blake3_parts) = sync_channel(WAITING_PARTS);
        let (to_sha256, sha256_parts) = sync_channel(WAITING_PARTS);
        let blake3 = scope.spawn(move || {
            let mut hasher = blake3::Hasher::new();
            feed(size_bytes, &blake3_parts, &mut |bytes| {
                hasher.update(bytes);
            });
            hasher.finalize().to_hex().to_string()
        });
        let sha256 = scope.spawn(move || {
            let mut hasher = Sha256::new();
            feed(size_bytes, &sha256_parts, &mut |bytes| hasher.update(bytes));
            hex(&hasher.finalize())
        });
        let mut digests = Digests { threads: [to_blake3, to_sha256], end_bytes: 0 };
        let produced =
            produce(&mut digests).and_then(|()| digests.take(size_bytes.max(digests.end_bytes), Arc::default(), 0..0));
        drop(digests);
        let blake3 = joined(blake3);
        let sha256 = joined(sha256);
        produced.map(|()| FileDigests { size_bytes, blake3, sha256 })
    })
}

fn feed(size_bytes: u64, parts: &Receiver<Part>, update: &mut dyn FnMut(&[u8])) {
    static ZEROS: [u8; 64 << 10] = [0; 64 << 10];
    let mut left = size_bytes;
    for Part { mut zeros, bytes, range } in parts {
        while zeros.min(left) > 0 {
            let count = zeros.min(left).min(ZEROS.len() as u64);
            update(&ZEROS[..count as usize]);
            zeros -= count;
            left -= count;
        }
        let part = &bytes[range];
        let count = left.min(part.len() as u64);
        update(&part[..count as usize]);
        left -= count;
    }
}
