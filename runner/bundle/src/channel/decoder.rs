//! Bytes, split anywhere, to frames. It never holds more than one frame's worth.

use super::frame::{Frame, FrameError, HEADER_BYTES, MAX_PAYLOAD_BYTES, is_known_kind};

/// Puts frames together from bytes that arrive in pieces of any size.
///
/// After an error it stays in error: the boundary of the next frame is lost.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    start: usize,
    error: Option<FrameError>,
}

impl Decoder {
    /// A decoder that has seen nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes bytes from the front of `bytes`, as many as it has room for, and says how many.
    ///
    /// It takes at least one as long as [`Decoder::pull`] is called until it gives nothing.
    pub fn push(&mut self, bytes: &[u8]) -> usize {
        self.buffer.drain(..self.start);
        self.start = 0;
        let room = (HEADER_BYTES + MAX_PAYLOAD_BYTES).saturating_sub(self.buffer.len());
        let taken = bytes.get(..room).unwrap_or(bytes);
        self.buffer.extend_from_slice(taken);
        taken.len()
    }

    /// The next complete frame, `None` when more bytes are needed.
    ///
    /// A bad length or kind is reported as soon as the header is there.
    pub fn pull(&mut self) -> Result<Option<Frame>, FrameError> {
        if let Some(error) = &self.error {
            return Err(error.clone());
        }
        let result = self.parse();
        self.error = result.as_ref().err().cloned();
        result
    }

    /// Whether bytes of an incomplete frame are held: at the end of the stream it was cut.
    pub fn is_inside_frame(&self) -> bool {
        self.buffer.len() > self.start
    }

    fn parse(&mut self) -> Result<Option<Frame>, FrameError> {
        let pending = self.buffer.get(self.start..).unwrap_or_default();
        let Some(([a, b, c, d, e, f, g, h, kind], rest)) = pending.split_first_chunk::<HEADER_BYTES>() else {
            return Ok(None);
        };
        let length = u32::from_le_bytes([*a, *b, *c, *d]);
        if length as usize > MAX_PAYLOAD_BYTES {
            return Err(FrameError::TooLong { length });
        }
        if !is_known_kind(*kind) {
            return Err(FrameError::UnknownKind { kind: *kind });
        }
        let Some(payload) = rest.get(..length as usize) else {
            return Ok(None);
        };
        let frame = Frame::decode(u32::from_le_bytes([*e, *f, *g, *h]), *kind, payload)?;
        self.start += HEADER_BYTES + payload.len();
        Ok(Some(frame))
    }
}
