//! The compressions of kernels, told apart by their first bytes (kernel sources, `lib/decompress.c`).
//!
//! A payload ends where its stream says; most kernels put its length behind it, which is ignored here.

use std::io::{self, Read};

use flate2::bufread::GzDecoder;
use liblzma::bufread::XzDecoder;
use liblzma::stream::Stream;

use super::{KernelError, lz4, lzo};

/// Memory that an xz or lzma stream may ask for: kernels use dictionaries of 32 MiB at most (`scripts/xz_wrap.sh`).
const LZMA_MEMORY_BYTES: u64 = 160 << 20;

/// How a kernel is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// gzip (RFC 1952).
    Gzip,
    /// xz.
    Xz,
    /// The older format of xz's authors, without a magic of its own.
    Lzma,
    /// zstd (RFC 8878).
    Zstd,
    /// lz4 in its legacy frame.
    Lz4,
    /// lzo, in the form of lzop.
    Lzo,
    /// bzip2; there is no decoder for it here.
    Bzip2,
}

impl Packing {
    /// The compression of what starts with these bytes.
    pub fn of(bytes: &[u8]) -> Option<Self> {
        let marks: [(&[u8], Self); 7] = [
            (b"\x1f\x8b", Self::Gzip),
            (b"\xfd7zXZ\0", Self::Xz),
            (b"\x5d\0\0", Self::Lzma),
            (b"\x28\xb5\x2f\xfd", Self::Zstd),
            (&lz4::MAGIC, Self::Lz4),
            (&lzo::MAGIC, Self::Lzo),
            (b"BZh", Self::Bzip2),
        ];
        marks.iter().find(|(mark, _)| bytes.starts_with(mark)).map(|(_, packing)| *packing)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gzip => "gzip",
            Self::Xz => "xz",
            Self::Lzma => "lzma",
            Self::Zstd => "zstd",
            Self::Lz4 => "lz4",
            Self::Lzo => "lzo",
            Self::Bzip2 => "bzip2",
        }
    }

    /// Decompresses one stream to at most `limit_bytes`.
    ///
    /// # Errors
    /// When it is damaged, larger, or of a kind without a decoder.
    pub fn unpack(self, payload: &[u8], limit_bytes: u64) -> Result<Vec<u8>, KernelError> {
        let damaged = |_| KernelError::Damaged(self.name());
        match self {
            Self::Gzip => read(GzDecoder::new(payload), limit_bytes).map_err(damaged),
            Self::Xz => {
                let stream = Stream::new_stream_decoder(LZMA_MEMORY_BYTES, 0).map_err(|error| damaged(error.into()))?;
                read(XzDecoder::new_stream(payload, stream), limit_bytes).map_err(damaged)
            }
            Self::Lzma => {
                let stream = Stream::new_lzma_decoder(LZMA_MEMORY_BYTES).map_err(|error| damaged(error.into()))?;
                read(XzDecoder::new_stream(payload, stream), limit_bytes).map_err(damaged)
            }
            Self::Zstd => {
                let decoder = zstd::stream::read::Decoder::with_buffer(payload).map_err(damaged)?;
                read(decoder.single_frame(), limit_bytes).map_err(damaged)
            }
            Self::Lz4 => lz4::unpack(payload, limit_bytes).ok_or(KernelError::Damaged("lz4")),
            Self::Lzo => lzo::unpack(payload, limit_bytes).ok_or(KernelError::Damaged("lzo")),
            Self::Bzip2 => Err(KernelError::Unsupported(self.name())),
        }
    }
}

fn read(decoder: impl Read, limit_bytes: u64) -> io::Result<Vec<u8>> {
    let mut out = Vec::new();
    decoder.take(limit_bytes.saturating_add(1)).read_to_end(&mut out)?;
    if out.len() as u64 > limit_bytes { Err(io::ErrorKind::FileTooLarge.into()) } else { Ok(out) }
}
