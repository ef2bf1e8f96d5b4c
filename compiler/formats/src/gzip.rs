//! A gzip file of one member whose blocks are compressed apart, so that several threads can work on it (RFC 1952, 1951).
//!
//! Each block ends at a byte and looks back at nothing before it; readers see one stream. No name and no time is written.

use std::io;

use flate2::{Compress, Compression, Crc, FlushCompress};

/// Names the choices that shape the bytes: level and library.
pub const PROFILE: &str = "gzip-1";

/// The usual level 6 takes twice as long for a few hundredths.
const LEVEL: u32 = 4;

/// What stands before the blocks: deflate, no flags, no time, no hint, a file system of no known kind (RFC 1952, 2.3).
pub const HEADER: [u8; 10] = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];

/// An empty last block with fixed codes (RFC 1951, section 3.2.3).
const LAST_BLOCK: [u8; 2] = [3, 0];

/// Compresses one block.
///
/// # Errors
/// What the compressor reports.
pub fn block(plain: &[u8]) -> io::Result<Vec<u8>> {
    let mut compress = Compress::new(Compression::new(LEVEL), false);
    let mut out = Vec::with_capacity(plain.len() / 2 + 1024);
    loop {
        let taken = usize::try_from(compress.total_in()).unwrap_or(usize::MAX);
        let rest = plain.get(taken..).unwrap_or_default();
        compress.compress_vec(rest, &mut out, FlushCompress::Full)?;
        // Room that is left means that everything is out (zlib's manual, `deflate`).
        if out.len() < out.capacity() {
            return Ok(out);
        }
        out.reserve(plain.len() / 4 + 1024);
    }
}

/// Sums up what goes into the blocks, for what stands behind them.
#[derive(Debug, Default)]
pub struct Trailer(Crc);

impl Trailer {
    /// Takes the next plain bytes.
    pub fn take(&mut self, plain: &[u8]) {
        self.0.update(plain);
    }

    /// The last block, the checksum, and the length modulo 2³².
    pub fn bytes(&self) -> Vec<u8> {
        [&LAST_BLOCK[..], &self.0.sum().to_le_bytes(), &self.0.amount().to_le_bytes()].concat()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn blocks_are_one_stream() {
        let noise: Vec<u8> = (0..300_000_u64).map(|i| (i.wrapping_mul(i * 31) >> 11) as u8).collect();
        for parts in [&[][..], &[&b""[..]], &[&noise[..], b"", &[0; 100_000], b"the end"]] {
            let (mut file, mut trailer) = (HEADER.to_vec(), Trailer::default());
            for part in parts {
                trailer.take(part);
                file.extend(block(part).unwrap());
            }
            file.extend(trailer.bytes());
            let mut plain = Vec::new();
            let mut reader = flate2::bufread::GzDecoder::new(&file[..]);
            reader.read_to_end(&mut plain).unwrap();
            assert!(plain == parts.concat() && reader.into_inner().is_empty());
        }
    }
}
