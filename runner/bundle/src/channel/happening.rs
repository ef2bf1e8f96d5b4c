//! What a session tells its owner: what the other side wants or did, and why a session is over.

use super::frame::{FrameError, RefusalCode};
use super::message::{Event, Request, Response};
use super::session::Features;

/// What the other side wants or did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happening {
    /// The other side said hello; everything else comes after this.
    Hello(Features),
    /// It wants a stream to a port: answer with [`super::Session::accept`] or [`super::Session::refuse`].
    OpenPort {
        /// The stream.
        stream: u32,
        /// The TCP port on this side's loopback address.
        port: u16,
    },
    /// The stream that this side asked for is connected.
    Opened(u32),
    /// The stream that this side asked for is not connected and is gone.
    Refused {
        /// The stream.
        stream: u32,
        /// Why, for programs.
        code: RefusalCode,
        /// Why, for people.
        text: String,
    },
    /// Bytes came. Call [`super::Session::used`] when they have been passed on.
    Data {
        /// The stream.
        stream: u32,
        /// The bytes, never empty.
        bytes: Vec<u8>,
    },
    /// More may be sent on this stream.
    Credit(u32),
    /// The other side sends no more data on this stream.
    Finished(u32),
    /// The stream is gone.
    Reset(u32),
    /// Something happened over there.
    Event(Event),
    /// It asks something: answer with [`super::Session::respond`].
    Request {
        /// The stream.
        stream: u32,
        /// What it asks.
        request: Request,
    },
    /// The same on a session that relays: what it asks, as text. Answer with [`super::Session::answer`].
    Asked {
        /// The stream.
        stream: u32,
        /// The request, not looked into.
        json: String,
    },
    /// A message on an open stream, beside its data.
    Note {
        /// The stream.
        stream: u32,
        /// What it says, as the stream's verb defines it.
        json: String,
    },
    /// It answers what this side asked on this stream.
    Response {
        /// The stream.
        stream: u32,
        /// Whether the stream stays open for data.
        open: bool,
        /// The answer.
        response: Response,
    },
    /// The same on a session that relays: the answer as text.
    Answered {
        /// The stream.
        stream: u32,
        /// Whether the stream stays open for data.
        open: bool,
        /// The answer, not looked into.
        json: String,
    },
}

/// Why a session is over. Write out what [`super::Session::output`] still holds, then close the transport.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SessionError {
    /// The other side sent something that is no frame.
    #[error("understand the guest channel")]
    Frame(#[from] FrameError),
    /// The other side broke the protocol.
    #[error("follow the guest channel on stream {stream}: {problem}")]
    Protocol {
        /// The stream.
        stream: u32,
        /// What was wrong.
        problem: &'static str,
    },
    /// The other side speaks no version that this one does.
    #[error("speak version {version} of the guest channel")]
    Version {
        /// The version that it offered.
        version: u16,
    },
    /// The other side asks without reading the answers.
    #[error("answer on the guest channel: the other side does not read")]
    Flooded,
    /// The other side gave the session up.
    #[error("keep the guest channel: the other side ended it: {text}")]
    Peer {
        /// Its reason.
        text: String,
    },
    /// Too many streams are open, or all ids were used.
    #[error("open a stream on the guest channel: there are too many")]
    TooMany,
    /// A message is longer than a frame may be.
    #[error("send a message on the guest channel: it is too long")]
    TooLong,
    /// The other side speaks an older version, which does not have this.
    #[error("say this on the guest channel: the other side speaks only version {version}")]
    TooOld {
        /// The version.
        version: u16,
    },
    /// The stream is not in a state in which this can be done.
    #[error("use stream {stream} of the guest channel: it is not open")]
    NotOpen {
        /// The stream.
        stream: u32,
    },
}
