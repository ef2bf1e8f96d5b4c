//! Digests of a file that was not written from its start to its end: it is read back.
//!
//! A qcow2 header and the head of an archive tell what comes after them, so they are written last, and SHA-256 cannot
//! be computed from the middle. The file was just written, so reading it costs no disk.

use std::io::{self, Read as _, SeekFrom};
use std::sync::Arc;
use std::sync::mpsc::sync_channel;
use std::thread;

use sha2::{Digest as _, Sha256};

use super::Storage;
use crate::FileDigests;
use crate::artifact::hex;

/// Bytes read at once.
const BUFFER_BYTES: usize = 1 << 20;

/// Reads a whole file; the two digests are computed side by side.
pub fn read_back(file: &mut dyn Storage) -> io::Result<FileDigests> {
    file.seek(SeekFrom::Start(0))?;
    thread::scope(|scope| {
        let (buffers, waiting) = sync_channel::<Arc<Vec<u8>>>(2);
        let blake3 = scope.spawn(move || {
            let mut blake3 = blake3::Hasher::new();
            for buffer in waiting {
                blake3.update(&buffer);
            }
            blake3.finalize().to_hex().to_string()
        });
        let mut sha256 = Sha256::new();
        let mut size_bytes = 0;
        loop {
            let mut buffer = Vec::with_capacity(BUFFER_BYTES);
            (&mut *file).take(BUFFER_BYTES as u64).read_to_end(&mut buffer)?;
            if buffer.is_empty() {
                break;
            }
            size_bytes += buffer.len() as u64;
            let buffer = Arc::new(buffer);
            // The other digest does not end before its channel does.
            let _ = buffers.send(buffer.clone());
            sha256.update(&*buffer);
        }
        drop(buffers);
        let blake3 = blake3.join().expect("digesting does not panic");
        Ok(FileDigests { size_bytes, blake3, sha256: hex(&sha256.finalize()) })
    })
}
