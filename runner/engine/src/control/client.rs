//! A command at the supervisor's desk: its socket, its session, what it waits for and what it reads.

use std::io::{self, Read, Write};
use std::os::unix::net::UnixStream;

use bundle::channel::{Happening, PIECE_HEADER_BYTES, Piece, Session, Side};

use super::desk::to_json;
use super::kept::Kept;
use super::{LogsFrom, STANDS_STILL, WAS_SO};

/// Bytes taken at a time.
const CHUNK_BYTES: usize = 64 * 1024;

/// A command that is connected.
#[derive(Debug)]
pub struct Client {
    /// Which one it is.
    pub number: u64,
    /// Its socket.
    pub socket: UnixStream,
    /// What both have said.
    pub session: Session,
    /// Streams that wait for the end.
    pub waits: Vec<u32>,
    /// Streams that give what was printed.
    pub readers: Vec<Reader>,
    /// It has asked something.
    pub has_asked: bool,
    /// There are too many: it may only ask what ends an instance, or what one is.
    pub is_surplus: bool,
    /// Nobody listens to it any more.
    pub gone: bool,
}

/// A stream that gives what was printed.
#[derive(Debug)]
pub struct Reader {
    /// The stream.
    pub stream: u32,
    position: u64,
    follow: bool,
}

impl Client {
    /// One that has just come.
    pub fn new(number: u64, socket: UnixStream, is_surplus: bool) -> Self {
        let (session, waits, readers) = (Session::relaying(Side::Guest), Vec::new(), Vec::new());
        Self { number, socket, session, waits, readers, has_asked: false, is_surplus, gone: false }
    }

    /// Says that something cannot be done, and why: it reads after "failed to".
    pub fn refuse(&mut self, stream: u32, reason: &str) {
        let answer = serde_json::json!({ "failed": reason }).to_string();
        let _ = self.session.answer(stream, answer, false);
    }

    /// Says that it is done, or under way.
    pub fn done(&mut self, stream: u32) {
        let _ = self.session.answer(stream, "\"done\"".to_owned(), false);
    }

    /// Says that it was so already.
    pub fn was_so(&mut self, stream: u32) {
        let _ = self.session.answer(stream, format!("\"{WAS_SO}\""), false);
    }

    /// Says that nothing inside can answer, since all of it stands still.
    pub fn stands_still(&mut self, stream: u32) {
        let _ = self.session.answer(stream, serde_json::json!({ STANDS_STILL: true }).to_string(), false);
    }

    /// What it says.
    pub fn receive(&mut self) -> Vec<Happening> {
        let mut chunk = vec![0u8; CHUNK_BYTES];
        let count = match self.socket.read(&mut chunk) {
            Ok(0) => 0,
            Ok(count) => count,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                return Vec::new();
            }
            Err(_) => 0,
        };
        self.gone |= count == 0;
        match self.session.receive(chunk.get(..count).unwrap_or_default()) {
            Ok(happenings) => happenings,
            Err(_) => {
                self.flush();
                self.gone = true;
                Vec::new()
            }
        }
    }

    /// Answers with the place where it begins to read what was printed, so that it knows where it stops.
    pub fn begin_reading(&mut self, kept: &Kept, stream: u32, tail: Option<u64>, follow: bool) {
        let position = tail.map_or_else(|| kept.first(), |lines| kept.tail(lines));
        if self.session.answer(stream, to_json(&LogsFrom { from: position }), true).is_ok() {
            self.readers.push(Reader { stream, position, follow });
        }
    }

    /// Gives the readers what there is; at the end of the instance nobody waits for more.
    pub fn read_out(&mut self, kept: &Kept, is_end: bool) {
        let session = &mut self.session;
        self.readers.retain_mut(|reader| {
            let mut out = Vec::new();
            loop {
                let room = session.sendable(reader.stream).saturating_sub(PIECE_HEADER_BYTES);
                if room <= 1 {
                    return true;
                }
                let Some((piece, after)) = kept.read(reader.position, room) else { break };
                out.clear();
                piece.encode(&mut out);
                let _ = session.send(reader.stream, &out);
                reader.position = after;
            }
            if reader.follow && !is_end {
                return true;
            }
            out.clear();
            Piece::Status(0).encode(&mut out);
            let _ = session.send(reader.stream, &out);
            let _ = session.finish(reader.stream);
            false
        });
    }

    /// Writes what its socket takes.
    pub fn flush(&mut self) {
        while !self.session.output().is_empty() {
            match self.socket.write(self.session.output()) {
                Ok(count) => self.session.wrote(count),
                Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return,
                Err(_) => {
                    self.gone = true;
                    return;
                }
            }
        }
    }
}
