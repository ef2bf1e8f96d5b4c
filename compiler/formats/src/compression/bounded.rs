//! Counting what goes into a decoder and bounding what comes out.

use std::io::{self, BufRead, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Bounds, CompressionError};

/// Counts the bytes that are read through it.
pub(super) struct Counted<R> {
    inner: R,
    count: Arc<AtomicU64>,
}

impl<R> Counted<R> {
    pub(super) fn new(inner: R) -> Self {
        Self { inner, count: Arc::default() }
    }

    /// The count, which goes on while the reader is used.
    pub(super) fn count(&self) -> Arc<AtomicU64> {
        self.count.clone()
    }
}

impl<R: Read> Read for Counted<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl<R: BufRead> BufRead for Counted<R> {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        self.inner.fill_buf()
    }

    fn consume(&mut self, count: usize) {
        self.count.fetch_add(count as u64, Ordering::Relaxed);
        self.inner.consume(count);
    }
}

/// Stops a decoder that gives more than its bounds allow.
pub(super) struct Bounded<R> {
    inner: R,
    in_bytes: Arc<AtomicU64>,
    out_bytes: u64,
    bounds: Bounds,
}

impl<R> Bounded<R> {
    pub(super) fn new(inner: R, in_bytes: Arc<AtomicU64>, bounds: Bounds) -> Self {
        Self { inner, in_bytes, out_bytes: 0, bounds }
    }
}

impl<R: Read> Read for Bounded<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.out_bytes += count as u64;
        let Bounds { total_bytes, ratio, ratio_floor_bytes, .. } = self.bounds;
        if self.out_bytes > total_bytes {
            return Err(CompressionError::TooLarge(total_bytes).into());
        }
        let in_bytes = self.in_bytes.load(Ordering::Relaxed);
        if self.out_bytes > ratio_floor_bytes && self.out_bytes / ratio > in_bytes {
            return Err(CompressionError::Bomb { in_bytes, out_bytes: self.out_bytes }.into());
        }
        Ok(count)
    }
}
