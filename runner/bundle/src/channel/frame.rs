//! One frame of the guest channel, as a value and as bytes.
//!
//! It knows the layout of each kind of frame and nothing of the order in which frames may come.

use super::MAGIC;

/// Bytes before the payload: payload length `u32`, stream id `u32`, kind `u8`, all little endian.
pub const HEADER_BYTES: usize = 9;

/// The longest payload; a longer one is garbage or an attack.
pub const MAX_PAYLOAD_BYTES: usize = 64 * 1024;

/// The longest note; one is a few words, and is passed on past all data that waits.
pub const MAX_NOTE_BYTES: usize = 1024;

/// One frame.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// The stream it belongs to; 0 for the session itself.
    pub stream: u32,
    /// What it says.
    pub body: Body,
}

/// What a frame says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Body {
    /// The first frame of either side, on stream 0.
    Hello {
        /// The highest version of the protocol that the sender speaks.
        version: u16,
        /// Optional abilities, one bit each.
        features: u64,
    },
    /// The sender gives the session up, on stream 0; nothing follows.
    Error {
        /// What went wrong, for people.
        text: String,
    },
    /// Opens a stream to a TCP port of the receiver's loopback address.
    OpenPort {
        /// The port.
        port: u16,
    },
    /// The stream is connected.
    Opened,
    /// The stream could not be connected and is gone.
    Refused {
        /// Why, for programs.
        code: RefusalCode,
        /// Why, for people.
        text: String,
    },
    /// Bytes of a stream, never empty.
    Data(Vec<u8>),
    /// The receiver may send this many more bytes on the stream.
    Window {
        /// How many more.
        credit: u32,
    },
    /// The sender sends no more data on this stream.
    Finish,
    /// The stream is gone at once, with all that is under way on it.
    Reset,
    /// A message on an open stream beside its data, which it may overtake: JSON that the stream's verb defines.
    Note(String),
    /// Something happened, on stream 0: an [`super::Event`] as JSON.
    Event(String),
    /// Opens a stream with a [`super::Request`] as JSON.
    Request(String),
    /// Answers a request with a [`super::Response`] as JSON.
    Response {
        /// Whether the stream stays open and carries data from here on.
        open: bool,
        /// The answer.
        json: String,
    },
}

/// Why a stream was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RefusalCode {
    /// Nothing listens on the port.
    NotListening,
    /// The port is not one that may be reached.
    NotAllowed,
    /// Too many streams are open.
    TooMany,
    /// Anything else.
    Failed,
}

/// Why bytes are not a frame.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// The payload is longer than any frame may be.
    #[error("read a frame of {length} bytes: the limit is {MAX_PAYLOAD_BYTES}")]
    TooLong {
        /// The length that was announced.
        length: u32,
    },
    /// The kind is not one of this protocol.
    #[error("read a frame of unknown kind {kind:#04x}")]
    UnknownKind {
        /// The kind.
        kind: u8,
    },
    /// The payload does not have the form that its kind asks for.
    #[error("read a {kind} frame: {problem}")]
    Malformed {
        /// Name of the kind.
        kind: &'static str,
        /// What is wrong with it.
        problem: &'static str,
    },
}

const HELLO: u8 = 0x01;
const ERROR: u8 = 0x02;
const OPEN_PORT: u8 = 0x10;
const OPENED: u8 = 0x11;
const REFUSED: u8 = 0x12;
const DATA: u8 = 0x13;
const WINDOW: u8 = 0x14;
const FINISH: u8 = 0x15;
const RESET: u8 = 0x16;
const NOTE: u8 = 0x17;
const EVENT: u8 = 0x20;
const REQUEST: u8 = 0x21;
const RESPONSE: u8 = 0x22;

impl Frame {
    /// Appends the frame's bytes to `out`.
    ///
    /// A payload longer than [`MAX_PAYLOAD_BYTES`] is cut: texts lose their end, which is why senders
    /// of data and JSON check the length first.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&self.stream.to_le_bytes());
        out.push(self.body.kind());
        self.body.encode_payload(out);
        out.truncate(start + HEADER_BYTES + MAX_PAYLOAD_BYTES);
        let length = (out.len() - start - HEADER_BYTES) as u32;
        if let Some(field) = out.get_mut(start..start + 4) {
            field.copy_from_slice(&length.to_le_bytes());
        }
    }

    /// Reads one frame from its header's fields and its payload.
    pub fn decode(stream: u32, kind: u8, payload: &[u8]) -> Result<Self, FrameError> {
        Body::decode(kind, payload).map(|body| Self { stream, body })
    }
}

/// Whether `kind` is one of this protocol: asked before the payload has arrived.
pub(super) fn is_known_kind(kind: u8) -> bool {
    matches!(kind, HELLO | ERROR | OPEN_PORT..=NOTE | EVENT..=RESPONSE)
}

impl Body {
    fn kind(&self) -> u8 {
        match self {
            Self::Hello { .. } => HELLO,
            Self::Error { .. } => ERROR,
            Self::OpenPort { .. } => OPEN_PORT,
            Self::Opened => OPENED,
            Self::Refused { .. } => REFUSED,
            Self::Data(_) => DATA,
            Self::Window { .. } => WINDOW,
            Self::Finish => FINISH,
            Self::Reset => RESET,
            Self::Note(_) => NOTE,
            Self::Event(_) => EVENT,
            Self::Request(_) => REQUEST,
            Self::Response { .. } => RESPONSE,
        }
    }

    fn encode_payload(&self, out: &mut Vec<u8>) {
        match self {
            Self::Hello { version, features } => {
                out.extend_from_slice(&MAGIC);
                out.extend_from_slice(&version.to_le_bytes());
                out.extend_from_slice(&features.to_le_bytes());
            }
            Self::Error { text } => out.extend_from_slice(short(text).as_bytes()),
            Self::OpenPort { port } => out.extend_from_slice(&port.to_le_bytes()),
            Self::Refused { code, text } => {
                out.push(code.number());
                out.extend_from_slice(short(text).as_bytes());
            }
            Self::Data(bytes) => out.extend_from_slice(bytes),
            Self::Window { credit } => out.extend_from_slice(&credit.to_le_bytes()),
            Self::Opened | Self::Finish | Self::Reset => {}
            Self::Note(json) | Self::Event(json) | Self::Request(json) => out.extend_from_slice(json.as_bytes()),
            Self::Response { open, json } => {
                out.push(u8::from(*open));
                out.extend_from_slice(json.as_bytes());
            }
        }
    }

    fn decode(kind: u8, payload: &[u8]) -> Result<Self, FrameError> {
        Ok(match kind {
            HELLO => decode_hello(payload)?,
            ERROR => Self::Error { text: text("error", payload)? },
            OPEN_PORT => match u16::from_le_bytes(exact("open-port", payload)?) {
                0 => return Err(malformed("open-port", "port 0 does not exist")),
                port => Self::OpenPort { port },
            },
            OPENED => exact("opened", payload).map(|[]| Self::Opened)?,
            REFUSED => decode_refused(payload)?,
            DATA if payload.is_empty() => return Err(malformed("data", "it is empty")),
            DATA => Self::Data(payload.to_vec()),
            WINDOW => match u32::from_le_bytes(exact("window", payload)?) {
                0 => return Err(malformed("window", "it gives nothing")),
                credit => Self::Window { credit },
            },
            FINISH => exact("finish", payload).map(|[]| Self::Finish)?,
            RESET => exact("reset", payload).map(|[]| Self::Reset)?,
            NOTE if payload.len() > MAX_NOTE_BYTES => return Err(malformed("note", "it is too long")),
            NOTE => Self::Note(text("note", payload)?),
            EVENT => Self::Event(text("event", payload)?),
            REQUEST => Self::Request(text("request", payload)?),
            RESPONSE => decode_response(payload)?,
            kind => return Err(FrameError::UnknownKind { kind }),
        })
    }
}

impl RefusalCode {
    fn number(self) -> u8 {
        match self {
            Self::NotListening => 1,
            Self::NotAllowed => 2,
            Self::TooMany => 3,
            Self::Failed => 4,
        }
    }

    fn from_number(number: u8) -> Option<Self> {
        [Self::NotListening, Self::NotAllowed, Self::TooMany, Self::Failed]
            .into_iter()
            .find(|code| code.number() == number)
    }
}

fn decode_hello(payload: &[u8]) -> Result<Body, FrameError> {
    let fields = payload.strip_prefix(&MAGIC).ok_or(malformed("hello", "the magic is not that of a guest channel"))?;
    let (version, features) = fields.split_first_chunk().ok_or(malformed("hello", "it is too short"))?;
    let version = u16::from_le_bytes(*version);
    Ok(Body::Hello { version, features: u64::from_le_bytes(exact("hello", features)?) })
}

fn decode_refused(payload: &[u8]) -> Result<Body, FrameError> {
    let (code, rest) = payload.split_first().ok_or(malformed("refused", "it is empty"))?;
    let code = RefusalCode::from_number(*code).ok_or(malformed("refused", "the code is unknown"))?;
    Ok(Body::Refused { code, text: text("refused", rest)? })
}

fn decode_response(payload: &[u8]) -> Result<Body, FrameError> {
    let (open, rest) = match payload.split_first() {
        Some((0, rest)) => (false, rest),
        Some((1, rest)) => (true, rest),
        _ => return Err(malformed("response", "its first byte is neither 0 nor 1")),
    };
    Ok(Body::Response { open, json: text("response", rest)? })
}

fn exact<const N: usize>(kind: &'static str, payload: &[u8]) -> Result<[u8; N], FrameError> {
    payload.try_into().map_err(|_| malformed(kind, "it has the wrong length"))
}

fn text(kind: &'static str, payload: &[u8]) -> Result<String, FrameError> {
    String::from_utf8(payload.to_vec()).map_err(|_| malformed(kind, "it is not UTF-8"))
}

fn malformed(kind: &'static str, problem: &'static str) -> FrameError {
    FrameError::Malformed { kind, problem }
}

/// A text for people, cut at a character so that it fits a frame with room to spare.
fn short(text: &str) -> &str {
    text.get(..text.floor_char_boundary(1024)).unwrap_or(text)
}
