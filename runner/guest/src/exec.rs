//! Programs that the host runs beside the services: their standard streams travel on a stream of the guest channel.
//!
//! What is held is bounded: input by the stream's window, output not at all, since it is read only as far as the host
//! has given credit. They are children of PID 1 like every service, so that its filter, its groups and its rights bind them.

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bundle::channel::{ExecNote, PIECE_HEADER_BYTES, Piece, Session, TerminalSize, piece_header};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::PollFlags;
use nix::sys::signal::Signal;
use nix::unistd;

use crate::signals;
use crate::streams::Streams;
use crate::terminal::{self, EndOfInput, resize};

/// Bytes read at a time.
const READ_BYTES: usize = 16 * 1024;

/// Which stream of a program.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// Its standard input, which is written to.
    In,
    /// Its standard output, or its terminal.
    Out,
    /// Its standard error.
    Err,
}

/// This side's ends of a program's streams. None of them blocks.
#[derive(Debug)]
pub struct Ends {
    input: Option<OwnedFd>,
    out: Option<OwnedFd>,
    err: Option<OwnedFd>,
    is_terminal: bool,
}

/// The program's ends of its streams.
#[derive(Debug)]
pub struct Given {
    /// Standard input.
    pub stdin: OwnedFd,
    /// Standard output and standard error.
    pub output: (OwnedFd, OwnedFd),
    /// Whether they are a terminal.
    pub is_terminal: bool,
}

/// The programs that run, by stream.
#[derive(Debug, Default)]
pub struct Execs(Streams<Running>);

#[derive(Debug)]
struct Running {
    pid: u32,
    ends: Ends,
    to_input: VecDeque<u8>,
    /// The host sends no more.
    host_finished: bool,
    /// The last byte that was written to its input.
    last_byte: Option<u8>,
    /// What its terminal was told of the end of its input.
    end: EndOfInput,
    /// It has ended with this.
    status: Option<u8>,
}

/// Makes the streams of a program: pipes, or a terminal of this size.
pub fn streams(terminal: Option<TerminalSize>) -> nix::Result<(Ends, Given)> {
    let Some(size) = terminal else {
        let (stdin, input) = unistd::pipe2(OFlag::O_CLOEXEC)?;
        let (out, out_writer) = unistd::pipe2(OFlag::O_CLOEXEC)?;
        let (err, err_writer) = unistd::pipe2(OFlag::O_CLOEXEC)?;
        for end in [&input, &out, &err] {
            fcntl(end, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let ends = Ends { input: Some(input), out: Some(out), err: Some(err), is_terminal: false };
        return Ok((ends, Given { stdin, output: (out_writer, err_writer), is_terminal: false }));
    };
    let (host_end, program_end) = terminal::open()?;
    resize(&host_end, size);
    let clone = |fd: &OwnedFd| fd.try_clone().map_err(|_| Errno::EMFILE);
    let output = (clone(&program_end)?, clone(&program_end)?);
    let ends = Ends { input: Some(clone(&host_end)?), out: Some(host_end), err: None, is_terminal: true };
    Ok((ends, Given { stdin: program_end, output, is_terminal: true }))
}

impl Execs {
    /// Takes a program that was started for this stream.
    pub fn add(&mut self, stream: u32, pid: u32, ends: Ends) {
        let (to_input, last_byte) = (VecDeque::new(), None);
        let (host_finished, end, status) = (false, EndOfInput::default(), None);
        self.0.insert(stream, Running { pid, ends, to_input, host_finished, last_byte, end, status });
    }

    /// Whether this stream is a program's.
    pub fn has(&self, stream: u32) -> bool {
        self.0.has(stream)
    }

    /// Takes bytes from the host.
    pub fn data(&mut self, session: &mut Session, stream: u32, bytes: &[u8]) {
        let Some(running) = self.0.get_mut(stream) else { return };
        match running.ends.input {
            Some(_) => running.to_input.extend(bytes),
            // The program has closed its input: what still comes is dropped, as a pipe would.
            None => session.used(stream, bytes.len()),
        }
        self.write(session, stream);
    }

    /// The host sends no more.
    pub fn finished(&mut self, session: &mut Session, stream: u32) {
        if let Some(running) = self.0.get_mut(stream) {
            running.host_finished = true;
            self.write(session, stream);
        }
    }

    /// The host says something to a program.
    pub fn note(&self, stream: u32, note: ExecNote) {
        let Some(running) = self.0.get(stream) else { return };
        match (note, &running.ends.out) {
            (ExecNote::Resize(size), Some(out)) if running.ends.is_terminal => resize(out, size),
            (ExecNote::Signal(number), _) if running.status.is_none() => {
                if let Ok(signal) = Signal::try_from(i32::from(number)) {
                    signals::send_to_group(running.pid, signal);
                }
            }
            _ => {}
        }
    }

    /// The host no longer wants to know: the program is told as by a terminal that is hung up.
    pub fn reset(&mut self, stream: u32) {
        if let Some(running) = self.0.remove(stream) {
            running.hang_up();
        }
    }

    /// The channel is gone.
    pub fn clear(&mut self) {
        self.0.take().into_iter().for_each(|(_, running)| running.hang_up());
    }

    /// A process ended; if it is one of these its last words are taken.
    pub fn ended(&mut self, session: &mut Session, pid: u32, status: u8) {
        let found = self.0.iter_mut().find(|(_, running)| running.pid == pid && running.status.is_none());
        let Some((stream, running)) = found else { return };
        running.status = Some(status);
        let stream = *stream;
        self.advance(session, stream, End::Out);
    }

    /// What to wait for.
    pub fn waits_for(&self, session: &Session) -> Vec<(u32, End, BorrowedFd<'_>, PollFlags)> {
        let mut waits = Vec::new();
        for (stream, running) in self.0.iter() {
            let ends = &running.ends;
            if let Some(input) = ends.input.as_ref().filter(|_| !running.to_input.is_empty()) {
                waits.push((*stream, End::In, input.as_fd(), PollFlags::POLLOUT));
            }
            if session.sendable(*stream) <= PIECE_HEADER_BYTES {
                continue;
            }
            for (end, fd) in [(End::Out, &ends.out), (End::Err, &ends.err)] {
                waits.extend(fd.as_ref().map(|fd| (*stream, end, fd.as_fd(), PollFlags::POLLIN)));
            }
        }
        waits
    }

    /// Goes on with a program's stream that is ready.
    pub fn advance(&mut self, session: &mut Session, stream: u32, end: End) {
        match end {
            End::In => self.write(session, stream),
            _ => {
                let Some(running) = self.0.get_mut(stream) else { return };
                running.read(session, stream, end);
                if running.status.is_some() {
                    // What it printed before its end is in the pipes by now; what others print to them later is not its own.
                    while running.drain(session, stream) {}
                }
            }
        }
        self.say_end(session, stream);
    }

    /// When to look again at terminals whose input has ended, in milliseconds from now.
    pub fn next_look_ms(&self) -> Option<u64> {
        let waiting = self.0.iter().filter(|(_, running)| running.hears_no_more());
        waiting.filter_map(|(_, running)| running.end.next_look_ms()).min()
    }

    /// Looks at them: who reads there now may not have heard of it.
    pub fn look_at_ends(&mut self) {
        self.0.iter_mut().filter(|(_, running)| running.hears_no_more()).for_each(|(_, running)| running.tell_end());
    }

    /// Programs that have ended may have had no room for their last pieces: tries again.
    pub fn settle(&mut self, session: &mut Session) {
        let ended = self.0.iter().filter(|(_, running)| running.status.is_some());
        let streams: Vec<u32> = ended.map(|(stream, _)| *stream).collect();
        streams.into_iter().for_each(|stream| self.advance(session, stream, End::Out));
    }

    fn write(&mut self, session: &mut Session, stream: u32) {
        let Some(running) = self.0.get_mut(stream) else { return };
        while let Some(input) = running.ends.input.as_ref().filter(|_| !running.to_input.is_empty()) {
            let (front, _) = running.to_input.as_slices();
            let count = match unistd::write(input, front) {
                Ok(count) => count,
                Err(Errno::EINTR) => continue,
                Err(Errno::EAGAIN) => return,
                Err(_) => {
                    running.ends.input = None;
                    running.to_input.len()
                }
            };
            running.last_byte = running.to_input.drain(..count).next_back().or(running.last_byte);
            session.used(stream, count);
        }
        match running.host_finished {
            true if running.hears_no_more() => running.tell_end(),
            true if !running.ends.is_terminal => running.ends.input = None,
            _ => {}
        }
    }

    fn say_end(&mut self, session: &mut Session, stream: u32) {
        let Some(running) = self.0.get(stream) else { return };
        let (Some(status), None, None) = (running.status, &running.ends.out, &running.ends.err) else { return };
        let mut last = Vec::new();
        Piece::Status(status).encode(&mut last);
        if session.sendable(stream) < last.len() {
            return;
        }
        let _ = session.send(stream, &last);
        let _ = session.finish(stream);
        self.0.remove(stream);
    }
}

impl Running {
    /// Whether it runs on a terminal whose input has ended.
    fn hears_no_more(&self) -> bool {
        self.ends.is_terminal && self.host_finished && self.to_input.is_empty() && self.status.is_none()
    }

    fn tell_end(&mut self) {
        if let Some(input) = &self.ends.input {
            self.end.tell(input, self.last_byte);
        }
    }

    /// Reads once. `false` when there is nothing more for now, no room, or nothing ever.
    fn read(&mut self, session: &mut Session, stream: u32, end: End) -> bool {
        let place = if end == End::Err { &mut self.ends.err } else { &mut self.ends.out };
        let Some(fd) = place.as_ref() else { return false };
        // The header goes before what is read, in the same frame.
        let mut buffer = [0; PIECE_HEADER_BYTES + READ_BYTES];
        let room = session.sendable(stream).saturating_sub(PIECE_HEADER_BYTES).min(READ_BYTES);
        let (header, rest) = buffer.split_at_mut(PIECE_HEADER_BYTES);
        let rest = rest.get_mut(..room).unwrap_or_default();
        if rest.is_empty() {
            return false;
        }
        match unistd::read(fd, rest) {
            // A terminal that no program has open any more gives EIO.
            Ok(0) | Err(Errno::EIO) => *place = None,
            Ok(count) => {
                header.copy_from_slice(&piece_header(end == End::Err, count as u16));
                // The room was asked for just now, so everything is taken.
                let _ = session.send(stream, buffer.get(..PIECE_HEADER_BYTES + count).unwrap_or_default());
                return true;
            }
            // After its end nobody else's output is waited for.
            Err(Errno::EAGAIN) if self.status.is_some() => *place = None,
            Err(_) => {}
        }
        false
    }

    /// After its end: takes what is in both pipes, as far as there is room. `false` when nothing moved.
    fn drain(&mut self, session: &mut Session, stream: u32) -> bool {
        let out = self.read(session, stream, End::Out);
        self.read(session, stream, End::Err) || out
    }

    fn hang_up(self) {
        if self.status.is_none() {
            signals::send_to_group(self.pid, Signal::SIGHUP);
        }
    }
}
