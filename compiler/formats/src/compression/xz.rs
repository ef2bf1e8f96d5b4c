//! The xz decoder: several threads for files of several blocks, several streams, and nothing behind them.

use std::io::{self, BufRead, Read};

use liblzma::stream::{Action, Error, MtStreamBuilder, Status, Stream};

use super::{Bounds, CompressionError};

/// Memory for one block. The largest preset's dictionary needs 65 MiB; a header may ask for 4 GiB.
const BLOCK_MEMORY_BYTES: u64 = 96 << 20;

/// First bytes of a stream (.xz file format 2.1.1.1).
const MAGIC: &[u8; 6] = b"\xfd7zXZ\0";

/// Decodes all streams of a file.
pub(super) struct Decoder<R> {
    input: R,
    /// `None` between streams.
    stream: Option<Stream>,
    bounds: Bounds,
}

impl<R: BufRead> Decoder<R> {
    pub(super) fn new(input: R, bounds: Bounds) -> io::Result<Self> {
        Ok(Self { input, stream: Some(stream(bounds)?), bounds })
    }

    /// Starts the next stream behind the padding (zero bytes, in fours: 2.2); `false` at the end of the file.
    fn next_stream(&mut self) -> io::Result<bool> {
        let mut padding = 0;
        loop {
            let input = self.input.fill_buf()?;
            let zeros = input.iter().take_while(|&&b| b == 0).count();
            let (rest, empty) = (input.get(zeros).copied(), input.is_empty());
            self.input.consume(zeros);
            padding += zeros;
            match rest {
                _ if empty && padding % 4 == 0 => return Ok(false),
                Some(b) if b == MAGIC[0] && padding % 4 == 0 => break,
                None if !empty => {}
                _ => return Err(CompressionError::Damaged("xz").into()),
            }
        }
        self.stream = Some(stream(self.bounds)?);
        Ok(true)
    }
}

impl<R: BufRead> Read for Decoder<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if buffer.is_empty() {
            return Ok(0);
        }
        loop {
            let Some(stream) = &mut self.stream else {
                if self.next_stream()? {
                    continue;
                }
                return Ok(0);
            };
            let input = self.input.fill_buf()?;
            let ended = input.is_empty();
            let (in_before, out_before) = (stream.total_in(), stream.total_out());
            let status = stream.process(input, buffer, if ended { Action::Finish } else { Action::Run });
            let consumed = (stream.total_in() - in_before) as usize;
            let count = (stream.total_out() - out_before) as usize;
            self.input.consume(consumed);
            match status.map_err(translate)? {
                Status::StreamEnd => self.stream = None,
                _ if count == 0 && ended => return Err(CompressionError::Truncated("xz").into()),
                _ => {}
            }
            if count > 0 {
                return Ok(count);
            }
        }
    }
}

fn stream(bounds: Bounds) -> io::Result<Stream> {
    MtStreamBuilder::new()
        .threads(bounds.threads.max(1))
        .memlimit_threading(bounds.thread_memory_bytes)
        .memlimit_stop(BLOCK_MEMORY_BYTES.max(bounds.thread_memory_bytes))
        .decoder()
        .map_err(translate)
}

fn translate(error: Error) -> io::Error {
    match error {
        Error::MemLimit => CompressionError::Memory("xz").into(),
        Error::Mem => io::ErrorKind::OutOfMemory.into(),
        _ => CompressionError::Damaged("xz").into(),
    }
}
