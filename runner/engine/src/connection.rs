//! A command's end of the socket to a supervisor: it asks, and reads streams.

use std::collections::VecDeque;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use bundle::channel::{Happening, Session, SessionError, Side};
use host::Interest;
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::control::{SOCKET, STANDS_STILL};
use crate::journal;

/// How long a supervisor may take for what it answers at once.
const PATIENCE: Duration = Duration::from_secs(10);

/// Between two looks whether a supervisor listens already.
const PAUSE: Duration = Duration::from_millis(10);

/// Why a supervisor could not be talked to.
#[derive(Debug, thiserror::Error)]
pub enum ConnectionError {
    /// The socket cannot be used.
    #[error("talk to the instance")]
    Io(#[from] io::Error),
    /// The other side broke the protocol.
    #[error("talk to the instance")]
    Session(#[from] SessionError),
    /// The instance ended meanwhile.
    #[error("talk to the instance: it has ended")]
    Gone,
    /// It does not answer.
    #[error("talk to the instance: its supervisor does not answer within {} seconds", PATIENCE.as_secs())]
    Silent,
    /// All of it stands still, so that nothing inside can answer.
    #[error("talk to the instance: it is paused")]
    Paused,
    /// What was asked cannot be done.
    #[error("{0}")]
    Refused(String),
}

/// How a request was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Said {
    /// The answer.
    pub json: serde_json::Value,
    /// Whether the stream goes on.
    pub open: bool,
}

/// A connection to a supervisor.
#[derive(Debug)]
pub struct Connection {
    socket: UnixStream,
    session: Session,
    happened: VecDeque<Happening>,
}

impl Connection {
    /// Connects to the supervisor of the instance with this folder. One that was just started gets a moment for its socket.
    ///
    /// # Errors
    /// [`ConnectionError::Gone`] when the instance has ended.
    pub fn open(folder: &Path) -> Result<Self, ConnectionError> {
        let until = Instant::now() + PATIENCE;
        let socket = loop {
            let lives = journal::lives(folder)?;
            match reach(folder) {
                Ok(socket) => break socket,
                Err(error) if is_absent(error.kind()) && !lives => return Err(ConnectionError::Gone),
                Err(error) if is_absent(error.kind()) && Instant::now() < until => std::thread::sleep(PAUSE),
                Err(error) => return Err(error.into()),
            }
        };
        socket.set_nonblocking(true)?;
        Ok(Self { socket, session: Session::relaying(Side::Host), happened: VecDeque::new() })
    }

    /// The descriptor to wait for, and whether something is to be written to it.
    pub fn interest(&self) -> Interest<'_> {
        Interest { fd: self.as_fd(), read: true, write: !self.session.output().is_empty() }
    }

    /// The session; [`Connection::flush`] lets out what it sends.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// Asks, and waits for an answer that comes at once.
    pub fn ask<T: DeserializeOwned>(&mut self, request: &impl Serialize) -> Result<T, ConnectionError> {
        understood(self.begin(request)?.1)
    }

    /// Asks for something that opens a stream; gives the stream and the answer.
    pub fn begin(&mut self, request: &impl Serialize) -> Result<(u32, Said), ConnectionError> {
        let stream = self.send(request)?;
        self.answer(stream, Some(Instant::now() + PATIENCE)).map(|said| (stream, said))
    }

    /// Asks, and waits for the answer as long as it takes; the end of the instance is no answer.
    pub fn wait<T: DeserializeOwned>(&mut self, request: &impl Serialize) -> Result<T, ConnectionError> {
        let stream = self.send(request)?;
        self.answer_to(stream)
    }

    /// Waits for the answer to what was asked on this stream, as long as it takes.
    pub fn answer_to<T: DeserializeOwned>(&mut self, stream: u32) -> Result<T, ConnectionError> {
        understood(self.answer(stream, None)?)
    }

    /// The same for a while; none where the answer does not come by then.
    pub fn answer_within<T: DeserializeOwned>(
        &mut self,
        stream: u32,
        patience: Duration,
    ) -> Result<Option<T>, ConnectionError> {
        match self.answer(stream, Some(Instant::now() + patience)) {
            Err(ConnectionError::Silent) => Ok(None),
            other => understood(other?).map(Some),
        }
    }

    /// What happened, if anything did; nothing waits.
    pub fn happening(&mut self) -> Result<Option<Happening>, ConnectionError> {
        self.flush()?;
        if let Some(first) = self.happened.pop_front() {
            return Ok(Some(first));
        }
        let mut chunk = vec![0u8; 64 * 1024];
        match self.socket.read(&mut chunk) {
            Ok(0) => Err(ConnectionError::Gone),
            Ok(count) => {
                self.happened.extend(self.session.receive(chunk.get(..count).unwrap_or_default())?);
                Ok(self.happened.pop_front())
            }
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(None),
            Err(error) if is_end(error.kind()) => Err(ConnectionError::Gone),
            Err(error) => Err(error.into()),
        }
    }

    /// Waits for what happens next on any stream.
    pub fn next_in_time(&mut self, until: Option<Instant>) -> Result<Happening, ConnectionError> {
        loop {
            if let Some(happening) = self.happening()? {
                return Ok(happening);
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left.is_some_and(|left| left.is_zero()) {
                return Err(ConnectionError::Silent);
            }
            let timeout_ms = left.map(|left| u64::try_from(left.as_millis()).unwrap_or(u64::MAX).saturating_add(1));
            host::poll(&[self.interest()], timeout_ms)?;
        }
    }

    /// Writes what the socket takes now.
    pub fn flush(&mut self) -> Result<(), ConnectionError> {
        while !self.session.output().is_empty() {
            match self.socket.write(self.session.output()) {
                Ok(count) => self.session.wrote(count),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => break,
                // What it said before its end is still there to be read, and the end after it.
                Err(error) if is_end(error.kind()) => break,
                Err(error) => return Err(error.into()),
            }
        }
        Ok(())
    }

    fn send(&mut self, request: &impl Serialize) -> Result<u32, ConnectionError> {
        let json = serde_json::to_string(request).map_err(io::Error::other)?;
        Ok(self.session.ask(json)?)
    }

    /// What happens meanwhile on other streams happens afterwards.
    fn answer(&mut self, stream: u32, until: Option<Instant>) -> Result<Said, ConnectionError> {
        let mut meanwhile = VecDeque::new();
        let answer = loop {
            match self.next_in_time(until) {
                Ok(Happening::Answered { stream: of, open, json }) if of == stream => break said(&json, open),
                Ok(Happening::Reset(of)) if of == stream => break Err(ConnectionError::Gone),
                Ok(other) => meanwhile.push_back(other),
                Err(error) => break Err(error),
            }
        };
        meanwhile.append(&mut self.happened);
        self.happened = meanwhile;
        answer
    }
}

fn said(json: &str, open: bool) -> Result<Said, ConnectionError> {
    let json: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let refused = ["failed", "unknown"].iter().find_map(|word| json.get(word)?.as_str());
    match refused {
        _ if json.get(STANDS_STILL).is_some() => Err(ConnectionError::Paused),
        Some(reason) => Err(ConnectionError::Refused(reason.to_owned())),
        None => Ok(Said { json, open }),
    }
}

fn understood<T: DeserializeOwned>(said: Said) -> Result<T, ConnectionError> {
    serde_json::from_value(said.json)
        .map_err(|error| ConnectionError::Refused(format!("understand the answer: {error}")))
}

/// By way of the folder's descriptor a path of any length fits the address of a socket.
fn reach(folder: &Path) -> io::Result<UnixStream> {
    let at = std::fs::File::open(folder)?;
    UnixStream::connect(host::fd_path(&at).join(SOCKET))
}

/// Nobody listens, not yet or no more.
fn is_absent(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::NotFound) || is_end(kind)
}

/// The other side is gone.
fn is_end(kind: io::ErrorKind) -> bool {
    matches!(kind, io::ErrorKind::ConnectionRefused | io::ErrorKind::ConnectionReset | io::ErrorKind::BrokenPipe)
}

impl AsFd for Connection {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}
