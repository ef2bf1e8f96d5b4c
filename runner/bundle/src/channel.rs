//! The guest channel: one multiplexed protocol over any byte stream between host and guest.
//!
//! Input: bytes that arrived and calls that say what this side wants. Output: bytes to write and what
//! the other side wants. No input or output happens here; `docs/formats/channel.md` is the wire format.

mod decoder;
mod frame;
mod happening;
mod message;
mod piece;
mod session;
mod stream;
mod verbs;

pub use decoder::Decoder;
pub use frame::{Body, Frame, FrameError, HEADER_BYTES, MAX_NOTE_BYTES, MAX_PAYLOAD_BYTES, RefusalCode};
pub use happening::{Happening, SessionError};
pub use message::{Event, Request, Response, ServiceState, ServiceStatus, Status};
pub use piece::{MAX_PIECE_BYTES, PIECE_HEADER_BYTES, Piece, PieceError, Pieces, piece_header};
pub use session::{Features, Session, Side};
pub use verbs::{Change, ChangeKind, Entry, EntryKind, Exec, ExecNote, Metrics, Pressure, Read, TerminalSize, Write};

/// The first eight bytes of a hello: a stream that starts with anything else is not a guest channel.
pub const MAGIC: [u8; 8] = *b"APPLCHAN";

/// The version that this code speaks. Both sides use the lower of the two that were announced.
pub const VERSION: u16 = 3;

/// The lowest version that this code speaks: it has no notes and fewer verbs, which are answered with `unknown`.
pub const OLDEST_VERSION: u16 = 1;

/// The first version in which streams carry notes.
pub const NOTES_VERSION: u16 = 2;

/// The first version that knows [`Event::OutOfMemory`]; to an older side it is not sent.
pub const OUT_OF_MEMORY_VERSION: u16 = 3;

/// Bytes that either side may send on a fresh stream before it is given more credit.
///
/// Larger is faster over a slow transport; each open stream may hold this much memory in each direction.
pub const WINDOW_BYTES: u32 = 128 * 1024;

/// Streams that may be open at once; one more is refused with [`RefusalCode::TooMany`].
///
/// With [`WINDOW_BYTES`] it bounds what a hostile peer can make this side hold: 32 MiB.
pub const MAX_STREAMS: usize = 256;

/// Unwritten output above which no more data is taken from streams, so that control frames stay prompt.
pub const DATA_BACKLOG_BYTES: usize = 256 * 1024;

/// Unwritten output above which the session ends: the peer asks and asks and never reads.
pub const MAX_BACKLOG_BYTES: usize = 2 * 1024 * 1024;
