//! Compressed streams to their bytes, bounded: gzip (RFC 1952), xz (the .xz file format) and zstd (RFC 8878).
//!
//! A stream that is cut off, damaged, followed by something else, or that grows beyond its bounds is an error.

mod bounded;
mod xz;

use std::io::{self, BufRead, BufReader, Read};

use flate2::bufread::{GzDecoder, MultiGzDecoder};

use self::bounded::{Bounded, Counted};

/// How a stream is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip, one member or several.
    Gzip,
    /// xz, one stream or several.
    Xz,
    /// zstd, one frame or several.
    Zstd,
}

impl Compression {
    /// The compression that the end of a file name tells (`.gz`, `.xz`, `.zst`), with the name before it.
    pub fn of_name(name: &str) -> (Self, &str) {
        [(".gz", Self::Gzip), (".xz", Self::Xz), (".zst", Self::Zstd)]
            .iter()
            .find_map(|(suffix, kind)| name.strip_suffix(suffix).map(|stem| (*kind, stem)))
            .unwrap_or((Self::None, name))
    }
}

/// What decompression may cost.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Bytes that may come out in all.
    pub total_bytes: u64,
    /// How many bytes may come out for one that went in, once more than `ratio_floor_bytes` came out.
    pub ratio: u64,
    /// Output below which any ratio is taken: a small file of zeros is no attack.
    pub ratio_floor_bytes: u64,
    /// Threads for xz files of several blocks.
    pub threads: u32,
    /// Memory that these threads may use together; single blocks beyond it are decoded one by one.
    pub thread_memory_bytes: u64,
}

impl Default for Bounds {
    /// One thread, and room for the largest packages. Contents of packages compress 3:1 to 50:1, and gzip cannot
    /// do more than 1032:1, so 1000:1 over 64 MiB is an attack.
    fn default() -> Self {
        Self {
            total_bytes: 32 << 30,
            ratio: 1000,
            ratio_floor_bytes: 64 << 20,
            threads: 1,
            thread_memory_bytes: 64 << 20,
        }
    }
}

/// Why decompression was given up; the inner error of the [`io::Error`] that reading gives.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CompressionError {
    /// More came out than allowed.
    #[error("decompress: more than {0} bytes came out")]
    TooLarge(u64),
    /// Too much came out of too little.
    #[error("decompress: {out_bytes} bytes came out of {in_bytes}, as only attacks do")]
    Bomb {
        /// Bytes that went in.
        in_bytes: u64,
        /// Bytes that came out.
        out_bytes: u64,
    },
    /// The stream ends too early.
    #[error("decompress: the {0} stream is cut off")]
    Truncated(&'static str),
    /// The stream is not what it should be.
    #[error("decompress: the {0} stream is damaged")]
    Damaged(&'static str),
    /// Decoding would need too much memory.
    #[error("decompress: the {0} stream needs more memory than allowed")]
    Memory(&'static str),
}

impl From<CompressionError> for io::Error {
    fn from(error: CompressionError) -> Self {
        let kind = match error {
            CompressionError::Truncated(_) => io::ErrorKind::UnexpectedEof,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, error)
    }
}

/// Opens a stream for reading its bytes. Every error of the result that is not one of `reader` holds
/// a [`CompressionError`].
///
/// # Errors
/// When a decoder cannot be set up.
pub fn open<'a>(
    kind: Compression,
    reader: impl Read + Send + 'a,
    bounds: Bounds,
) -> io::Result<Box<dyn Read + Send + 'a>> {
    let counted = Counted::new(reader);
    let in_bytes = counted.count();
    let input = BufReader::with_capacity(128 * 1024, counted);
    let decoder: Box<dyn Read + Send + 'a> = match kind {
        Compression::None => Box::new(input),
        Compression::Gzip => Box::new(Named::new("gzip", MultiGzDecoder::new(input))),
        Compression::Xz => Box::new(xz::Decoder::new(input, bounds)?),
        Compression::Zstd => Box::new(Named::new("zstd", zstd::stream::read::Decoder::with_buffer(input)?)),
    };
    Ok(Box::new(Bounded::new(decoder, in_bytes, bounds)))
}

/// Opens one member of a gzip file and ends where it ends; what follows stays in `reader`.
pub fn open_gzip_member<'a>(reader: impl BufRead + Send + 'a, bounds: Bounds) -> Box<dyn Read + Send + 'a> {
    let counted = Counted::new(reader);
    let in_bytes = counted.count();
    Box::new(Bounded::new(Named::new("gzip", GzDecoder::new(counted)), in_bytes, bounds))
}

/// Gives the errors of a foreign decoder the type of ours.
struct Named<R> {
    name: &'static str,
    inner: R,
}

impl<R> Named<R> {
    fn new(name: &'static str, inner: R) -> Self {
        Self { name, inner }
    }
}

impl<R: Read> Read for Named<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).map_err(|error| match error.kind() {
            io::ErrorKind::UnexpectedEof => CompressionError::Truncated(self.name).into(),
            io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput => CompressionError::Damaged(self.name).into(),
            // What zstd says carries no operating system's code either.
            io::ErrorKind::Other if error.raw_os_error().is_none() => CompressionError::Damaged(self.name).into(),
            _ => error,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    const KINDS: [Compression; 3] = [Compression::Gzip, Compression::Xz, Compression::Zstd];

    fn compress(kind: Compression, bytes: &[u8]) -> Vec<u8> {
        match kind {
            Compression::None => bytes.to_vec(),
            Compression::Gzip => {
                let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Xz => {
                let mut builder = liblzma::stream::MtStreamBuilder::new();
                // Several blocks, so that threads have something to do.
                builder.threads(2).preset(1).block_size(1 << 20).check(liblzma::stream::Check::Crc64);
                let mut encoder = liblzma::write::XzEncoder::new_stream(Vec::new(), builder.encoder().unwrap());
                encoder.write_all(bytes).unwrap();
                encoder.finish().unwrap()
            }
            Compression::Zstd => zstd::stream::encode_all(bytes, 3).unwrap(),
        }
    }

    fn read(kind: Compression, bytes: &[u8], bounds: Bounds) -> Result<Vec<u8>, CompressionError> {
        let mut out = Vec::new();
        match open(kind, bytes, bounds).unwrap().read_to_end(&mut out) {
            Ok(_) => Ok(out),
            Err(error) => Err(error.into_inner().unwrap().downcast_ref::<CompressionError>().unwrap().clone()),
        }
    }

    fn sample() -> Vec<u8> {
        (0..5_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 27) as u8).collect()
    }

    #[test]
    fn what_was_compressed_comes_back_also_in_two_parts_and_with_threads() {
        for kind in KINDS {
            let packed = compress(kind, &sample());
            for threads in [1, 3] {
                let bounds = Bounds { threads, ..Bounds::default() };
                assert!(read(kind, &packed, bounds).unwrap() == sample(), "{kind:?}");
                let twice = [&packed[..], &packed[..]].concat();
                assert!(read(kind, &twice, bounds).unwrap() == [sample(), sample()].concat(), "{kind:?}");
            }
            assert_eq!(read(kind, &compress(kind, b""), Bounds::default()), Ok(vec![]));
        }
        assert_eq!(read(Compression::None, b"plain", Bounds::default()), Ok(b"plain".to_vec()));
    }

    #[test]
    fn damage_is_told_from_truncation() {
        for kind in KINDS {
            let packed = compress(kind, &sample());
            for threads in [1, 3] {
                let bounds = Bounds { threads, ..Bounds::default() };
                for cut in [packed.len() / 2, packed.len() - 3, 3] {
                    let error = read(kind, &packed[..cut], bounds).unwrap_err();
                    assert!(matches!(error, CompressionError::Truncated(_)), "{kind:?} {cut} {error}");
                }
                for trailing in [&b"garbage after the end"[..], b"x"] {
                    let error = read(kind, &[&packed[..], trailing].concat(), bounds);
                    assert!(error.is_err(), "{kind:?} {trailing:?}");
                }
                let mut damaged = packed.clone();
                damaged[packed.len() / 2] ^= 0x55;
                damaged[packed.len() / 3] ^= 0x55;
                assert!(read(kind, &damaged, bounds).is_err(), "{kind:?}");
            }
            assert!(
                matches!(read(kind, b"<html>no archive</html>", Bounds::default()), Err(CompressionError::Damaged(_))),
                "{kind:?}"
            );
        }
    }

    #[test]
    fn output_is_bounded_in_all_and_by_ratio() {
        let zeros = vec![0; 5_000_000];
        for kind in KINDS {
            let packed = compress(kind, &zeros);
            let bounds = Bounds { total_bytes: 1_000_000, ..Bounds::default() };
            assert_eq!(read(kind, &packed, bounds), Err(CompressionError::TooLarge(1_000_000)));
            let bounds = Bounds { ratio: 50, ratio_floor_bytes: 1_000_000, ..Bounds::default() };
            assert!(matches!(read(kind, &packed, bounds), Err(CompressionError::Bomb { .. })), "{kind:?}");
            let bounds =
                Bounds { total_bytes: 5_000_000, ratio: 50, ratio_floor_bytes: 5_000_000, ..Bounds::default() };
            assert!(read(kind, &packed, bounds).unwrap() == zeros);
        }
    }

    #[test]
    fn names_tell_the_compression() {
        assert_eq!(Compression::of_name("data.tar.zst"), (Compression::Zstd, "data.tar"));
        assert_eq!(Compression::of_name("data.tar"), (Compression::None, "data.tar"));
    }
}
