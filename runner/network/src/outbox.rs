//! Frames that wait for the wire: bounded, in one buffer.

/// Most bytes that wait. It holds what one connection's window lets out, and bounds what a reader that sleeps costs.
const MAX_BYTES: usize = 256 * 1024;

/// Bytes of the length before each frame.
pub(crate) const LENGTH_BYTES: usize = 4;

/// Frames in order, each after its length: four bytes, big-endian.
#[derive(Debug, Default)]
pub(crate) struct Outbox {
    bytes: Vec<u8>,
    start: usize,
    /// How many frames were added.
    frames: u64,
}

impl Outbox {
    /// Whether so many frames of any size find room.
    pub(crate) fn has_room(&self, frames: usize) -> bool {
        self.bytes.len() - self.start + frames * (crate::MTU + 64) <= MAX_BYTES
    }

    /// Adds a frame of that length, which `fill` writes over zeros.
    pub(crate) fn add<R>(&mut self, length: usize, fill: impl FnOnce(&mut [u8]) -> R) -> R {
        if self.start > MAX_BYTES / 2 || self.start == self.bytes.len() {
            self.bytes.drain(..self.start);
            self.start = 0;
        }
        self.frames += 1;
        self.bytes.extend((length as u32).to_be_bytes());
        let at = self.bytes.len();
        self.bytes.resize(at + length, 0);
        fill(&mut self.bytes[at..])
    }

    /// All that waits, with the lengths.
    pub(crate) fn waiting(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The first frame that waits, without its length, if only whole frames were sent so far. Empty if there is none.
    pub(crate) fn first(&self) -> &[u8] {
        let Some((length, rest)) = self.waiting().split_first_chunk::<LENGTH_BYTES>() else { return &[] };
        &rest[..rest.len().min(u32::from_be_bytes(*length) as usize)]
    }

    /// Forgets so many of the bytes that wait.
    pub(crate) fn sent(&mut self, bytes: usize) {
        self.start = (self.start + bytes).min(self.bytes.len());
    }

    /// How many frames were added since it was made.
    pub(crate) fn frames(&self) -> u64 {
        self.frames
    }
}
