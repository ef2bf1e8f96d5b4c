//! Compression in frames of a fixed size, so that the number of processors changes the speed and never the bytes.
//!
//! Every [`FRAME_BYTES`] of input become one independent frame of zstd (RFC 8878, section 3: a stream may hold
//! several frames), or blocks of a gzip file. Workers compress frames side by side; one writer takes them in order. At most a few
//! frames are in memory at a time.

use std::io::{self, Write};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::threads::joined;

/// Names the encoder and all that shapes its bytes. A change of library, level or frame size changes it.
pub const ENCODER: &str = "zstd-1.5.7/3/4MiB-frames/1";

/// Input bytes of one frame. Larger frames compress slightly better and use more memory; moving it moves every layer's bytes.
pub const FRAME_BYTES: usize = 4 << 20;

const LEVEL: i32 = 3;

/// What frames become.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Frames of zstd: a whole stream.
    Zstd,
    /// Blocks of a gzip file, without what stands before and behind them.
    Gzip,
}

impl Codec {
    fn compress(self, frame: &[u8]) -> io::Result<Vec<u8>> {
        match self {
            Self::Zstd => zstd::bulk::compress(frame, LEVEL),
            Self::Gzip => formats::gzip::block(frame),
        }
    }
}

/// Runs `produce` with a writer and sends the compressed stream to `out`.
///
/// # Errors
/// What `produce`, the compressor or `out` report, the producer's error first.
pub fn compress_frames<T>(
    out: &mut (dyn Write + Send),
    codec: Codec,
    workers: usize,
    produce: impl FnOnce(&mut dyn Write) -> io::Result<T>,
) -> io::Result<T> {
    thread::scope(|scope| {
        let lanes: Vec<_> = (0..workers.max(1)).map(|_| Lane::start(scope, codec)).collect();
        let (inputs, outputs): (Vec<_>, Vec<_>) = lanes.into_iter().map(|lane| (lane.input, lane.output)).unzip();
        let writer = scope.spawn(move || write_in_order(out, &outputs));
        let mut splitter = Splitter { frame: Vec::with_capacity(FRAME_BYTES), inputs, next: 0 };
        let produced = produce(&mut splitter).and_then(|value| splitter.finish().map(|()| value));
        drop(splitter);
        let written = joined(writer);
        match (produced, written) {
            // A producer sees a closed lane when the output failed; the output's error says why.
            (Err(error), Err(cause)) if error.kind() == io::ErrorKind::BrokenPipe => Err(cause),
            (Err(error), _) | (Ok(_), Err(error)) => Err(error),
            (Ok(value), Ok(())) => Ok(value),
        }
    })
}

/// One worker: frames go in and come out compressed, in order.
struct Lane {
    input: SyncSender<Vec<u8>>,
    output: Receiver<io::Result<Vec<u8>>>,
}

impl Lane {
    fn start<'scope>(scope: &'scope thread::Scope<'scope, '_>, codec: Codec) -> Self {
        let (input, frames) = sync_channel::<Vec<u8>>(1);
        let (results, output) = sync_channel(1);
        scope.spawn(move || {
            for frame in frames {
                if results.send(codec.compress(&frame)).is_err() {
                    return;
                }
            }
        });
        Self { input, output }
    }
}

/// Takes frames from the lanes in turn until the lane whose turn it is has ended.
fn write_in_order(out: &mut dyn Write, lanes: &[Receiver<io::Result<Vec<u8>>>]) -> io::Result<()> {
    for lane in lanes.iter().cycle() {
        match lane.recv() {
            Ok(frame) => out.write_all(&frame?)?,
            Err(_) => return Ok(()),
        }
    }
    Ok(())
}

/// Cuts what is written into frames and deals them out to the lanes in turn.
struct Splitter {
    frame: Vec<u8>,
    inputs: Vec<SyncSender<Vec<u8>>>,
    next: usize,
}

impl Splitter {
    fn send(&mut self) -> io::Result<()> {
        let frame = std::mem::replace(&mut self.frame, Vec::with_capacity(FRAME_BYTES));
        let lane = self.next % self.inputs.len();
        self.next += 1;
        self.inputs[lane].send(frame).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))
    }

    fn finish(&mut self) -> io::Result<()> {
        if self.frame.is_empty() { Ok(()) } else { self.send() }
    }
}

impl Write for Splitter {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = bytes.len().min(FRAME_BYTES - self.frame.len());
        self.frame.extend_from_slice(&bytes[..taken]);
        if self.frame.len() == FRAME_BYTES {
            self.send()?;
        }
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn compress(input: &[u8], workers: usize) -> Vec<u8> {
        let mut out = Vec::new();
        compress_frames(&mut out, Codec::Zstd, workers, |writer| writer.write_all(input)).unwrap();
        out
    }

    #[test]
    fn the_number_of_workers_does_not_change_the_bytes() {
        let input: Vec<u8> = (0..3 * FRAME_BYTES as u64 + 17).map(|i| ((i * i) >> 9) as u8).collect();
        let one = compress(&input, 1);
        assert_eq!(one, compress(&input, 2));
        assert_eq!(one, compress(&input, 7));
        assert_eq!(zstd::stream::decode_all(&one[..]).unwrap(), input);
    }

    #[test]
    fn a_failing_output_is_reported_as_such() {
        struct Full;
        impl Write for Full {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::StorageFull.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let input = vec![7; 20 * FRAME_BYTES];
        let error = compress_frames(&mut Full, Codec::Zstd, 2, |writer| writer.write_all(&input)).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull);
    }
}
