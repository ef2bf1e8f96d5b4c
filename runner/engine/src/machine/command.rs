//! A command that a machine runs in place of its services: the guest is asked for it once it is ready, its streams are joined
//! to the caller's, and its end is the machine's.
//!
//! Nothing here waits. What comes is given credit for only when it was passed on, so that a slow reader holds up the command
//! and nobody else.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, OwnedFd};

use bundle::channel::{Event, Exec, ExecNote, Happening, Piece, Pieces, Request, Session, TerminalSize};
use host::{Interest, Ready};

use super::outlets::is_for_later;

/// What a pipe takes without blocking when it can be written to (`PIPE_BUF`, pipe(7)).
const CHUNK_BYTES: usize = 4096;

/// What a terminal sends for Ctrl-C while it is raw.
const INTERRUPT: u8 = 3;

/// The signal of a program whose output nobody reads (signal(7)).
const SIGPIPE: i32 = 13;

/// The status of a command that could not be asked for.
const NOT_EXECUTABLE: u8 = 126;

/// The command, before, while and after it runs.
#[derive(Debug)]
pub struct Command {
    wanted: Exec,
    stage: Stage,
    pieces: Pieces,
    input: Option<File>,
    /// What was read of the input and not sent yet.
    typed: Vec<u8>,
    /// The end of the input was sent.
    finished: bool,
    outlets: [Outlet; 2],
    /// Bytes that came and were not given credit for.
    unpaid: usize,
    /// How much the guest takes now.
    room: usize,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// The guest is not ready.
    Waits,
    /// It was asked for on this stream.
    Runs(u32),
    /// It has ended.
    Ended(u8),
}

/// Where output goes, and what did not go there yet.
#[derive(Debug)]
struct Outlet {
    to: File,
    pending: Vec<u8>,
    /// Nobody reads it any more, and the command was not told so yet.
    is_unheard: bool,
}

impl Command {
    /// With these streams: input, output, errors.
    pub fn new(wanted: &Exec, stdio: &[OwnedFd]) -> io::Result<Self> {
        let at = |place: usize| -> io::Result<File> {
            let stream = stdio.get(place).ok_or(io::ErrorKind::InvalidInput)?;
            Ok(stream.try_clone()?.into())
        };
        let outlet =
            |place| -> io::Result<Outlet> { Ok(Outlet { to: at(place)?, pending: Vec::new(), is_unheard: false }) };
        Ok(Self {
            wanted: wanted.clone(),
            stage: Stage::Waits,
            pieces: Pieces::default(),
            input: Some(at(0)?),
            typed: Vec::new(),
            finished: false,
            outlets: [outlet(1)?, outlet(2)?],
            unpaid: 0,
            room: 0,
        })
    }

    /// Asks for it once the guest is ready.
    pub fn hear(&mut self, event: &Event, session: &mut Session) {
        if *event != Event::Ready || self.stage != Stage::Waits {
            return;
        }
        if let Some(size) = self.size().filter(|_| self.wanted.terminal.is_some()) {
            self.wanted.terminal = Some(size);
        }
        self.stage = match session.request(&Request::Exec(self.wanted.clone())) {
            Ok(stream) => Stage::Runs(stream),
            Err(error) => self.never_ran(&error.to_string(), NOT_EXECUTABLE),
        };
    }

    /// Whether this event shows that the guest does not know of commands in place of services.
    pub fn is_ignored(&self, event: &Event) -> bool {
        matches!(event, Event::Service { .. })
    }

    /// Takes what came on its stream.
    pub fn hear_stream(&mut self, happening: &Happening, session: &mut Session) {
        let Stage::Runs(mine) = self.stage else { return };
        match happening {
            Happening::Answered { stream, open: false, json } if *stream == mine => self.refused(json),
            Happening::Data { stream, bytes } if *stream == mine => self.receive(bytes, session),
            Happening::Reset(stream) if *stream == mine => {
                self.stage = self.never_ran("the guest gave it up", NOT_EXECUTABLE);
            }
            _ => {}
        }
    }

    /// What to wait for, in the order in which [`Command::advance`] takes the answers.
    pub fn interests(&self) -> Vec<Interest<'_>> {
        let [output, _] = &self.outlets;
        // An absent input is stood in for by what is not asked for anything.
        let fd = self.input.as_ref().map_or(output.to.as_fd(), AsFd::as_fd);
        let input = Interest { fd, read: self.input.is_some() && self.takes_input(), write: false };
        let outputs = self.outlets.iter().map(|outlet| {
            let write = !outlet.pending.is_empty();
            Interest { fd: outlet.to.as_fd(), read: false, write }
        });
        [input].into_iter().chain(outputs).collect()
    }

    /// Goes on with what is ready; whether the user has asked for the end before there was a command to ask.
    pub fn advance(&mut self, ready: &[Ready], session: Option<&mut Session>) -> bool {
        let asks = ready.first().is_some_and(|one| one.read) && self.takes_input() && self.read();
        for (outlet, ready) in self.outlets.iter_mut().zip(ready.iter().skip(1)) {
            if ready.write && !outlet.pending.is_empty() {
                outlet.pass();
            }
        }
        if let (Some(session), Stage::Runs(stream)) = (session, self.stage) {
            self.exchange(session, stream);
        }
        asks
    }

    /// How it ended, once all that it printed was passed on.
    pub fn status(&self) -> Option<u8> {
        match self.stage {
            Stage::Ended(status) if self.outlets.iter().all(|outlet| outlet.pending.is_empty()) => Some(status),
            _ => None,
        }
    }

    /// Sends it a signal, with all in its process group; whether there was something to send it to.
    pub fn signal(&self, number: i32, session: &mut Session) -> bool {
        u8::try_from(number).is_ok_and(|number| self.note(&ExecNote::Signal(number), session))
    }

    /// Gives its terminal the size of the caller's.
    pub fn follow_size(&self, session: &mut Session) {
        if let Some(size) = self.size().filter(|_| self.wanted.terminal.is_some()) {
            self.note(&ExecNote::Resize(size), session);
        }
    }

    fn note(&self, note: &ExecNote, session: &mut Session) -> bool {
        let Stage::Runs(stream) = self.stage else { return false };
        serde_json::to_string(note).is_ok_and(|json| session.note(stream, json).is_ok())
    }

    fn size(&self) -> Option<TerminalSize> {
        let [output, _] = &self.outlets;
        let (columns, rows) = host::terminal_size(&output.to).ok()?;
        Some(TerminalSize { columns, rows })
    }

    /// Input is read when it can be sent on; before that only to find Ctrl-C in it.
    fn takes_input(&self) -> bool {
        match self.stage {
            Stage::Waits => self.wanted.terminal.is_some() && self.typed.len() < CHUNK_BYTES,
            Stage::Runs(_) => self.room > 0 && self.typed.is_empty(),
            Stage::Ended(_) => false,
        }
    }

    fn read(&mut self) -> bool {
        let mut chunk = [0; CHUNK_BYTES];
        match self.input.as_mut().map(|input| input.read(&mut chunk)) {
            Some(Ok(count @ 1..)) => self.typed.extend_from_slice(chunk.get(..count).unwrap_or_default()),
            Some(Err(error)) if is_for_later(&error) => {}
            _ => self.input = None,
        }
        self.stage == Stage::Waits && self.typed.contains(&INTERRUPT)
    }

    fn exchange(&mut self, session: &mut Session, stream: u32) {
        if !self.typed.is_empty() {
            let sent = session.send(stream, &self.typed).unwrap_or(0);
            self.typed.drain(..sent);
        }
        if self.input.is_none() && self.typed.is_empty() && !self.finished {
            self.finished = session.finish(stream).is_ok();
        }
        if self.unpaid > 0 && self.outlets.iter().all(|outlet| outlet.pending.is_empty()) {
            session.used(stream, std::mem::take(&mut self.unpaid));
        }
        let [output, _] = &mut self.outlets;
        if std::mem::take(&mut output.is_unheard) {
            // As the kernel tells a program that writes to such a pipe itself.
            self.signal(SIGPIPE, session);
        }
        self.room = session.sendable(stream);
    }

    fn receive(&mut self, bytes: &[u8], session: &mut Session) {
        self.unpaid += bytes.len();
        let Ok(pieces) = self.pieces.push(bytes) else {
            if let Stage::Runs(stream) = self.stage {
                session.reset(stream);
            }
            self.stage = self.never_ran("the guest said what cannot be understood", NOT_EXECUTABLE);
            return;
        };
        let [output, errors] = &mut self.outlets;
        for piece in pieces {
            match piece {
                Piece::Out(bytes) => output.pending.extend(bytes),
                Piece::Err(bytes) => errors.pending.extend(bytes),
                Piece::Status(status) => self.stage = Stage::Ended(status),
                _ => {}
            }
        }
    }

    fn refused(&mut self, json: &str) {
        let said: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
        let refused = &said["not-started"];
        let reason = [&refused["reason"], &said["failed"], &said["unknown"]].into_iter().find_map(|one| one.as_str());
        let status = refused["status"].as_u64().and_then(|status| u8::try_from(status).ok());
        self.stage = self.never_ran(reason.unwrap_or("the guest does not say why"), status.unwrap_or(NOT_EXECUTABLE));
    }

    /// Says it in the words of a guest that starts the command itself.
    fn never_ran(&mut self, reason: &str, status: u8) -> Stage {
        let line_end = if self.wanted.terminal.is_some() { "\r\n" } else { "\n" };
        let [_, errors] = &mut self.outlets;
        errors.pending.extend(format!("appliance: failed to start the command: {reason}{line_end}").into_bytes());
        Stage::Ended(status)
    }
}

impl Outlet {
    fn pass(&mut self) {
        let piece = self.pending.get(..CHUNK_BYTES).unwrap_or(&self.pending);
        match self.to.write(piece) {
            Ok(count) => drop(self.pending.drain(..count)),
            Err(error) if is_for_later(&error) => {}
            // What it prints is lost.
            Err(_) => {
                self.pending.clear();
                self.is_unheard = true;
            }
        }
    }
}
