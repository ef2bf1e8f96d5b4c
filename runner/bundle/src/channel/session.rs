//! The state machine of either side of the guest channel.
//!
//! ```text
//!              open_port / OpenPort            Opened / accept
//!   (no stream) ──────────────────▶ asked ───────────────────────▶ open ──▶ finished here ─┐
//!        │      request / Request     │       Response{open}         │  ──▶ finished there ┴▶ (gone)
//!        │                            └─ Refused, Response{!open} ─▶ (gone)
//!        └────────────────────── Reset, from any state ───────────▶ (gone)
//! ```
//!
//! Ids of one side only grow, so a frame for a stream that is gone can be told from one for a stream
//! that never was: the first was under way when the stream ended and is dropped, the second ends the session.

use std::collections::BTreeMap;

use super::frame::{Body, Frame, MAX_NOTE_BYTES, MAX_PAYLOAD_BYTES, RefusalCode};
use super::happening::{Happening, SessionError};
use super::message::{Event, Request, Response};
use super::stream::{Phase, Stream};
use super::{DATA_BACKLOG_BYTES, Decoder, MAX_BACKLOG_BYTES, MAX_STREAMS, NOTES_VERSION, OLDEST_VERSION, VERSION};

/// Which side of the channel this is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The runner: its streams have odd ids.
    Host,
    /// Inside the appliance: its streams have even ids.
    Guest,
}

/// What both sides agreed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Features {
    /// The version that both speak.
    pub version: u16,
    /// Abilities that both have, one bit each; none is defined in version 1.
    pub bits: u64,
}

/// The request, or why it is none.
type ReadRequest = fn(&str) -> Result<Request, String>;

/// What a session makes of texts; what it does not read stays text, or is not known.
#[derive(Debug, Clone, Copy)]
struct Reads {
    request: Option<ReadRequest>,
    response: Option<fn(&str) -> Option<Response>>,
    event: Option<fn(&str) -> Option<Event>>,
}

/// One side of the channel: what it has open, and the bytes it still has to write.
#[derive(Debug)]
pub struct Session {
    side: Side,
    reads: Reads,
    decoder: Decoder,
    output: Vec<u8>,
    written: usize,
    streams: BTreeMap<u32, Stream>,
    next_own: u32,
    last_theirs: u32,
    agreed: Option<Features>,
    over: Option<SessionError>,
}

impl Session {
    /// A session that has its hello ready to be written.
    pub fn new(side: Side) -> Self {
        let all = Reads { request: Some(parse_request), response: Some(parse_response), event: Some(parse_event) };
        Self::reading(side, all)
    }

    fn reading(side: Side, reads: Reads) -> Self {
        let mut session = Self {
            side,
            reads,
            decoder: Decoder::new(),
            output: Vec::new(),
            written: 0,
            streams: BTreeMap::new(),
            next_own: if side == Side::Host { 1 } else { 2 },
            last_theirs: 0,
            agreed: None,
            over: None,
        };
        session.put(0, Body::Hello { version: VERSION, features: 0 });
        session
    }

    /// A session whose requests and answers stay text, for whoever passes them on or knows verbs of its own.
    pub fn relaying(side: Side) -> Self {
        Self::reading(side, Reads { request: None, response: None, event: Some(parse_event) })
    }

    /// The session of a guest that only answers: whatever else a host may say ends it. What it cannot hear needs no
    /// place in its program, which is small.
    pub fn answering() -> Self {
        Self::reading(Side::Guest, Reads { request: Some(parse_request), response: None, event: None })
    }

    /// Takes bytes that arrived and gives what they mean, in order.
    ///
    /// After an error the session is over, all its streams are gone, and an error frame for the other
    /// side is in the output. What these bytes meant before the error is lost with the session.
    pub fn receive(&mut self, mut bytes: &[u8]) -> Result<Vec<Happening>, SessionError> {
        let mut happenings = Vec::new();
        while !bytes.is_empty() {
            self.check_alive()?;
            let taken = self.decoder.push(bytes);
            bytes = bytes.get(taken..).unwrap_or_default();
            if let Err(error) = self.receive_frames(&mut happenings) {
                return Err(self.give_up(error));
            }
        }
        Ok(happenings)
    }

    /// Bytes to write to the transport.
    pub fn output(&self) -> &[u8] {
        self.output.get(self.written..).unwrap_or_default()
    }

    /// Says that the first `count` bytes of [`Session::output`] were written.
    pub fn wrote(&mut self, count: usize) {
        self.written = (self.written + count).min(self.output.len());
        if self.written == self.output.len() {
            self.output.clear();
            self.written = 0;
            self.output.shrink_to(MAX_PAYLOAD_BYTES);
        }
    }

    /// What both sides agreed on, once the other side's hello came.
    pub fn agreed(&self) -> Option<Features> {
        self.agreed
    }

    /// The ids of all streams that are open or asked for, sorted.
    pub fn streams(&self) -> impl Iterator<Item = u32> + '_ {
        self.streams.keys().copied()
    }

    /// Asks for a stream to a TCP port of the other side's loopback address.
    pub fn open_port(&mut self, port: u16) -> Result<u32, SessionError> {
        self.open(Phase::AskedPort, Body::OpenPort { port })
    }

    /// Asks something; the answer comes as [`Happening::Response`] on the stream that is returned.
    pub fn request(&mut self, request: &Request) -> Result<u32, SessionError> {
        let json = to_json(request)?;
        self.open(Phase::AskedVerb, Body::Request(json))
    }

    /// Asks something that is JSON already.
    pub fn ask(&mut self, json: String) -> Result<u32, SessionError> {
        check_length(&json)?;
        self.open(Phase::AskedVerb, Body::Request(json))
    }

    /// Says that the stream that the other side asked for is connected.
    pub fn accept(&mut self, stream: u32) -> Result<(), SessionError> {
        self.find(stream, |found| found.phase == Phase::OwesPort)?.phase = Phase::Open;
        self.put(stream, Body::Opened);
        Ok(())
    }

    /// Says that the stream that the other side asked for cannot be connected.
    pub fn refuse(&mut self, stream: u32, code: RefusalCode, text: &str) -> Result<(), SessionError> {
        self.find(stream, |found| found.phase == Phase::OwesPort)?;
        self.streams.remove(&stream);
        self.put(stream, Body::Refused { code, text: text.to_owned() });
        Ok(())
    }

    /// Answers a request; with `open` the stream stays for data, else it is gone.
    pub fn respond(&mut self, stream: u32, response: &Response, open: bool) -> Result<(), SessionError> {
        self.answer(stream, to_json(response)?, open)
    }

    /// Answers a request with what is JSON already.
    pub fn answer(&mut self, stream: u32, json: String, open: bool) -> Result<(), SessionError> {
        check_length(&json)?;
        let found = self.find(stream, |found| found.phase == Phase::OwesVerb)?;
        found.phase = Phase::Open;
        if !open {
            self.streams.remove(&stream);
        }
        self.put(stream, Body::Response { open, json });
        Ok(())
    }

    /// Says something on an open stream beside its data.
    pub fn note(&mut self, stream: u32, json: String) -> Result<(), SessionError> {
        self.find(stream, |found| found.phase == Phase::Open)?;
        match self.agreed {
            Some(Features { version: NOTES_VERSION.., .. }) => {}
            agreed => return Err(SessionError::TooOld { version: agreed.map_or(0, |agreed| agreed.version) }),
        }
        if json.len() > MAX_NOTE_BYTES || self.output().len() > MAX_BACKLOG_BYTES {
            return Err(SessionError::TooLong);
        }
        self.put(stream, Body::Note(json));
        Ok(())
    }

    /// Tells the other side what happened. `false` when it was dropped because the other side does not read, or does not
    /// speak a version that knows it; before its hello has come that is not known.
    pub fn event(&mut self, event: &Event) -> bool {
        let version = self.agreed.map_or(OLDEST_VERSION, |agreed| agreed.version);
        let Some(json) = to_json(event).ok().filter(|_| event.since() <= version) else { return false };
        let fits = self.over.is_none() && self.output().len() + json.len() < MAX_BACKLOG_BYTES;
        if fits {
            self.put(0, Body::Event(json));
        }
        fits
    }

    /// How many bytes [`Session::send`] would take on this stream now.
    pub fn sendable(&self, stream: u32) -> usize {
        let room = DATA_BACKLOG_BYTES.saturating_sub(self.output().len());
        match self.streams.get(&stream) {
            Some(found) if found.may_send() && self.over.is_none() => room.min(found.send_credit as usize),
            _ => 0,
        }
    }

    /// Sends bytes from the front of `bytes`, as many as credit and backlog allow, and says how many.
    pub fn send(&mut self, stream: u32, bytes: &[u8]) -> Result<usize, SessionError> {
        self.check_alive()?;
        self.find(stream, Stream::may_send)?;
        let count = self.sendable(stream).min(bytes.len());
        let taken = bytes.get(..count).unwrap_or_default();
        for piece in taken.chunks(MAX_PAYLOAD_BYTES) {
            self.put(stream, Body::Data(piece.to_vec()));
        }
        self.find(stream, Stream::may_send)?.send_credit -= count as u32;
        Ok(count)
    }

    /// Says that `count` bytes of received data were passed on, so that the other side may send more.
    pub fn used(&mut self, stream: u32, count: usize) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        if let Some(credit) = self.streams.get_mut(&stream).and_then(|found| found.use_up(count)) {
            self.put(stream, Body::Window { credit });
        }
    }

    /// Says that no more data comes from this side on the stream.
    pub fn finish(&mut self, stream: u32) -> Result<(), SessionError> {
        let found = self.find(stream, Stream::may_send)?;
        found.finished_here = true;
        if found.is_over() {
            self.streams.remove(&stream);
        }
        self.put(stream, Body::Finish);
        Ok(())
    }

    /// Ends a stream at once; nothing happens if it is gone already.
    pub fn reset(&mut self, stream: u32) {
        if self.streams.remove(&stream).is_some() {
            self.put(stream, Body::Reset);
        }
    }

    fn receive_frames(&mut self, happenings: &mut Vec<Happening>) -> Result<(), SessionError> {
        while let Some(frame) = self.decoder.pull()? {
            happenings.extend(self.receive_frame(frame)?);
            if self.output().len() > MAX_BACKLOG_BYTES {
                return Err(SessionError::Flooded);
            }
        }
        Ok(())
    }

    fn receive_frame(&mut self, frame: Frame) -> Result<Option<Happening>, SessionError> {
        let Frame { stream, body } = frame;
        match body {
            Body::Hello { version, .. } => return self.receive_hello(stream, version).map(Some),
            Body::Error { text } => return Err(SessionError::Peer { text }),
            _ if self.agreed.is_none() => return Err(broken(stream, "the first frame must be a hello")),
            Body::Event(json) if stream == 0 => {
                let event = self.reads.event.and_then(|read| read(&json));
                return event.map(Happening::Event).map(Some).ok_or(broken(0, "the event is not known"));
            }
            _ if stream == 0 => return Err(broken(0, "this kind of frame belongs to a stream")),
            Body::Event(_) => return Err(broken(stream, "an event belongs to stream 0")),
            Body::OpenPort { .. } | Body::Request(_) => return self.receive_open(stream, body),
            _ => {}
        }
        let was_used = self.was_used(stream);
        let Some(found) = self.streams.get_mut(&stream) else {
            return if was_used { Ok(None) } else { Err(broken(stream, "the stream was never opened")) };
        };
        let happening = found.receive(stream, body, self.reads)?;
        if ends_stream(&happening) || found.is_over() {
            self.streams.remove(&stream);
        }
        Ok(Some(happening))
    }

    fn receive_hello(&mut self, stream: u32, version: u16) -> Result<Happening, SessionError> {
        if stream != 0 || self.agreed.is_some() {
            return Err(broken(stream, "a hello comes once, on stream 0"));
        }
        if version < OLDEST_VERSION {
            return Err(SessionError::Version { version });
        }
        // No feature bit is defined in this version, so none is common, whatever the other side offers.
        let agreed = Features { version: version.min(VERSION), bits: 0 };
        self.agreed = Some(agreed);
        Ok(Happening::Hello(agreed))
    }

    fn receive_open(&mut self, stream: u32, body: Body) -> Result<Option<Happening>, SessionError> {
        if self.is_own(stream) || stream <= self.last_theirs {
            return Err(broken(stream, "the id is not a fresh one of the side that opens"));
        }
        self.last_theirs = stream;
        let too_many = self.streams.len() >= MAX_STREAMS;
        match body {
            Body::OpenPort { .. } if too_many => {
                let text = "too many streams are open".to_owned();
                self.put(stream, Body::Refused { code: RefusalCode::TooMany, text });
                Ok(None)
            }
            Body::OpenPort { port } => {
                self.streams.insert(stream, Stream::new(Phase::OwesPort));
                Ok(Some(Happening::OpenPort { stream, port }))
            }
            Body::Request(_) if too_many => {
                self.decline(stream, &Response::Failed("too many streams are open".to_owned()))
            }
            Body::Request(json) => match self.reads.request.map(|read| read(&json)) {
                None => {
                    self.streams.insert(stream, Stream::new(Phase::OwesVerb));
                    Ok(Some(Happening::Asked { stream, json }))
                }
                Some(Ok(request)) => {
                    self.streams.insert(stream, Stream::new(Phase::OwesVerb));
                    Ok(Some(Happening::Request { stream, request }))
                }
                Some(Err(reason)) => self.decline(stream, &Response::Unknown(reason)),
            },
            _ => Err(broken(stream, "this kind of frame opens no stream")),
        }
    }

    fn decline(&mut self, stream: u32, response: &Response) -> Result<Option<Happening>, SessionError> {
        let json = to_json(response)?;
        self.put(stream, Body::Response { open: false, json });
        Ok(None)
    }

    fn open(&mut self, phase: Phase, body: Body) -> Result<u32, SessionError> {
        self.check_alive()?;
        let stream = self.next_own;
        let next = stream.checked_add(2).filter(|_| self.streams.len() < MAX_STREAMS);
        self.next_own = next.ok_or(SessionError::TooMany)?;
        self.streams.insert(stream, Stream::new(phase));
        self.put(stream, body);
        Ok(stream)
    }

    fn find(&mut self, stream: u32, fits: impl Fn(&Stream) -> bool) -> Result<&mut Stream, SessionError> {
        self.streams.get_mut(&stream).filter(|found| fits(found)).ok_or(SessionError::NotOpen { stream })
    }

    fn put(&mut self, stream: u32, body: Body) {
        Frame { stream, body }.encode(&mut self.output);
    }

    fn check_alive(&self) -> Result<(), SessionError> {
        self.over.clone().map_or(Ok(()), Err)
    }

    fn give_up(&mut self, error: SessionError) -> SessionError {
        self.streams.clear();
        // Nothing is said to a side that has already gone.
        if !matches!(error, SessionError::Peer { .. }) {
            let text = match &error {
                SessionError::Frame(frame) => frame.to_string(),
                other => other.to_string(),
            };
            self.put(0, Body::Error { text });
        }
        self.over = Some(error.clone());
        error
    }

    fn is_own(&self, stream: u32) -> bool {
        (stream % 2 == 1) == (self.side == Side::Host)
    }

    fn was_used(&self, stream: u32) -> bool {
        if self.is_own(stream) { stream < self.next_own } else { stream <= self.last_theirs }
    }
}

impl Stream {
    /// What a frame on a stream that exists means; every frame that does not fit its phase ends the session.
    fn receive(&mut self, stream: u32, body: Body, reads: Reads) -> Result<Happening, SessionError> {
        let data_flows = self.phase == Phase::Open && !self.finished_there;
        Ok(match body {
            Body::Opened if self.phase == Phase::AskedPort => {
                self.phase = Phase::Open;
                Happening::Opened(stream)
            }
            Body::Refused { code, text } if self.phase == Phase::AskedPort => Happening::Refused { stream, code, text },
            Body::Response { open, json } if self.phase == Phase::AskedVerb => {
                self.phase = Phase::Open;
                let Some(read) = reads.response else { return Ok(Happening::Answered { stream, open, json }) };
                let response = read(&json).ok_or(broken(stream, "the response is not known"))?;
                Happening::Response { stream, open, response }
            }
            Body::Data(bytes) if data_flows => {
                let left = self.receive_credit.checked_sub(bytes.len() as u32);
                self.receive_credit = left.ok_or(broken(stream, "more data than there was credit for"))?;
                Happening::Data { stream, bytes }
            }
            Body::Window { credit } if self.phase == Phase::Open => {
                let sum = self.send_credit.checked_add(credit);
                self.send_credit = sum.ok_or(broken(stream, "more credit than can be counted"))?;
                Happening::Credit(stream)
            }
            Body::Finish if data_flows => {
                self.finished_there = true;
                Happening::Finished(stream)
            }
            // Either side may have finished: that it says something is about the other direction.
            Body::Note(json) if self.phase == Phase::Open => Happening::Note { stream, json },
            Body::Reset => Happening::Reset(stream),
            _ => return Err(broken(stream, "this kind of frame cannot come now")),
        })
    }
}

fn ends_stream(happening: &Happening) -> bool {
    matches!(
        happening,
        Happening::Refused { .. }
            | Happening::Reset(_)
            | Happening::Response { open: false, .. }
            | Happening::Answered { open: false, .. }
    )
}

fn parse_request(json: &str) -> Result<Request, String> {
    serde_json::from_str(json).map_err(|error| error.to_string())
}

fn parse_response(json: &str) -> Option<Response> {
    serde_json::from_str(json).ok()
}

fn parse_event(json: &str) -> Option<Event> {
    serde_json::from_str(json).ok()
}

fn to_json(message: &impl serde::Serialize) -> Result<String, SessionError> {
    let json = serde_json::to_string(message).map_err(|_| SessionError::TooLong)?;
    check_length(&json).map(|()| json)
}

/// One byte of a response's payload says whether the stream stays open.
fn check_length(json: &str) -> Result<(), SessionError> {
    if json.len() < MAX_PAYLOAD_BYTES { Ok(()) } else { Err(SessionError::TooLong) }
}

fn broken(stream: u32, problem: &'static str) -> SessionError {
    SessionError::Protocol { stream, problem }
}
