//! Compresses single grains (RFC 1950).

use std::io;

use flate2::{Compress, FlushCompress, Status};

use super::GRAIN_BYTES;

/// The usual level of zlib, which all other writers use.
const LEVEL: u32 = 6;

/// Compresses grains, one at a time; the result depends on nothing but the grain.
pub struct Encoder {
    compress: Compress,
    output: Vec<u8>,
}

impl Default for Encoder {
    fn default() -> Self {
        // Stored blocks add five bytes for each 16 KiB at most, and the stream six.
        let output = Vec::with_capacity(GRAIN_BYTES + GRAIN_BYTES / 64);
        Self { compress: Compress::new(flate2::Compression::new(LEVEL), true), output }
    }
}

impl Encoder {
    /// Compresses a grain of [`super::GRAIN_BYTES`]; nothing for one that is all zeros.
    ///
    /// # Errors
    /// When the compressor reports one.
    pub fn encode(&mut self, grain: &[u8]) -> io::Result<Option<Vec<u8>>> {
        if grain.iter().all(|byte| *byte == 0) {
            return Ok(None);
        }
        self.output.clear();
        self.compress.reset();
        match self.compress.compress_vec(grain, &mut self.output, FlushCompress::Finish)? {
            Status::StreamEnd => Ok(Some(self.output.clone())),
            _ => Err(io::Error::other("a grain grows beyond all bounds")),
        }
    }
}
