//! Compresses single clusters.

use std::io;

use flate2::{Compress, FlushCompress, Status};
use zstd::bulk::Compressor;

use super::{CLUSTER_BYTES, Compression};

/// QEMU inflates with a window of 4 KiB, so a deflate stream must not look further back.
const WINDOW_BITS: u8 = 12;

/// Level 6, which QEMU uses, gains less than a hundredth more in such a small window, and takes a fifth longer.
const ZLIB_LEVEL: u32 = 4;

/// Level 3, which QEMU uses, makes a root a hundredth smaller and takes a quarter longer.
const ZSTD_LEVEL: i32 = 2;

/// What became of a cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encoded {
    /// It is all zeros.
    Zero,
    /// It does not get smaller: its own bytes are stored.
    Plain,
    /// It is stored in these bytes, fewer than its own.
    Compressed(Vec<u8>),
}

/// Compresses clusters, one at a time; the result depends on nothing but the cluster.
pub struct Encoder {
    codec: Codec,
    output: Vec<u8>,
}

enum Codec {
    Zlib(Compress),
    Zstd(Compressor<'static>),
}

impl Encoder {
    /// An encoder of this kind.
    ///
    /// # Errors
    /// When the compressor cannot be made.
    pub fn new(compression: Compression) -> io::Result<Self> {
        let codec = match compression {
            Compression::Zlib => {
                Codec::Zlib(Compress::new_with_window_bits(flate2::Compression::new(ZLIB_LEVEL), false, WINDOW_BITS))
            }
            Compression::Zstd => Codec::Zstd(Compressor::new(ZSTD_LEVEL)?),
        };
        let room = zstd::zstd_safe::compress_bound(CLUSTER_BYTES);
        Ok(Self { codec, output: Vec::with_capacity(room) })
    }

    /// Compresses a cluster of [`super::CLUSTER_BYTES`].
    ///
    /// # Errors
    /// When the compressor reports one.
    pub fn encode(&mut self, cluster: &[u8]) -> io::Result<Encoded> {
        if is_zero(cluster) {
            return Ok(Encoded::Zero);
        }
        self.output.clear();
        match &mut self.codec {
            Codec::Zlib(compress) => {
                compress.reset();
                let status = compress.compress_vec(cluster, &mut self.output, FlushCompress::Finish)?;
                if status != Status::StreamEnd {
                    return Ok(Encoded::Plain);
                }
            }
            Codec::Zstd(compressor) => {
                compressor.compress_to_buffer(cluster, &mut self.output)?;
            }
        }
        let smaller = self.output.len() < CLUSTER_BYTES;
        Ok(if smaller { Encoded::Compressed(self.output.clone()) } else { Encoded::Plain })
    }
}

/// Whether all bytes are zero.
fn is_zero(bytes: &[u8]) -> bool {
    let (words, rest) = bytes.as_chunks::<64>();
    words.iter().all(|word| *word == [0; 64]) && rest.iter().all(|byte| *byte == 0)
}
