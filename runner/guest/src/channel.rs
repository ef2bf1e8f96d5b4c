//! This end of the guest channel: the bytes of its file descriptor in and out, and its streams to ports.
//!
//! It gives requests to its caller. A channel that breaks is dropped; the services do not notice.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};

use bundle::channel::{Event, Happening, Request, Response, Session};
use nix::errno::Errno;
use nix::fcntl::{FcntlArg, FdFlag, OFlag, fcntl};
use nix::poll::PollFlags;
use nix::sys::socket::{Shutdown, shutdown};
use nix::unistd;

use crate::exec::{End, Ends, Execs};
use crate::files::{self, Files};
use crate::inherited;
use crate::ports::Ports;

/// The channel while it lives.
#[derive(Debug)]
pub struct Channel {
    transport: OwnedFd,
    session: Session,
    ports: Ports,
    execs: Execs,
    files: Files,
}

/// What the host wants of the guest.
#[derive(Debug, PartialEq, Eq)]
pub enum Wish {
    /// A request on a stream; answer with [`Channel::respond`].
    Request(u32, Request),
    /// The channel is gone; drop it. The reason is there when it did not just end.
    Gone(Option<String>),
}

impl Channel {
    /// Takes over the file descriptor that the engine left open under this number.
    pub fn inherit(number: &str) -> Result<Self, String> {
        let transport = inherited::take(number).map_err(|reason| format!("use the guest channel: {reason}"))?;
        fcntl(&transport, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))
            .map_err(|errno| format!("use the guest channel: {}", errno.desc()))?;
        Self::over(transport)
    }

    /// Takes over a transport that does not block.
    pub fn over(transport: OwnedFd) -> Result<Self, String> {
        fcntl(&transport, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))
            .map_err(|errno| format!("use the guest channel: {}", errno.desc()))?;
        Ok(Self {
            transport,
            session: Session::answering(),
            ports: Ports::default(),
            execs: Execs::default(),
            files: Files::default(),
        })
    }

    /// The number of its file descriptor.
    pub fn number(&self) -> RawFd {
        self.transport.as_raw_fd()
    }

    /// The transport and what to wait for on it.
    pub fn waits_for(&self) -> (BorrowedFd<'_>, PollFlags) {
        let mut flags = PollFlags::POLLIN;
        flags.set(PollFlags::POLLOUT, !self.session.output().is_empty());
        (self.transport.as_fd(), flags)
    }

    /// The sockets of its streams to wait for.
    pub fn ports(&self) -> impl Iterator<Item = (u32, BorrowedFd<'_>, PollFlags)> {
        self.ports.waits_for(&self.session)
    }

    /// Goes on with a stream whose socket is ready.
    pub fn advance_port(&mut self, stream: u32, ready: PollFlags) {
        self.ports.advance(&mut self.session, stream, ready);
    }

    /// The streams of programs to wait for.
    pub fn execs(&self) -> Vec<(u32, End, BorrowedFd<'_>, PollFlags)> {
        self.execs.waits_for(&self.session)
    }

    /// Goes on with a program's stream that is ready.
    pub fn advance_exec(&mut self, stream: u32, end: End) {
        self.execs.advance(&mut self.session, stream, end);
    }

    /// When to look again at terminals whose input has ended, in milliseconds from now.
    pub fn next_look_ms(&self) -> Option<u64> {
        self.execs.next_look_ms()
    }

    /// Looks at them.
    pub fn look_at_terminals(&mut self) {
        self.execs.look_at_ends();
    }

    /// The files that are watched to wait for.
    pub fn files(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.files.waits_for(&self.session)
    }

    /// Goes on with all transfers of files.
    pub fn advance_files(&mut self) {
        self.files.settle(&mut self.session);
    }

    /// Says that a program runs for a stream that asked for one.
    pub fn runs(&mut self, stream: u32, pid: u32, ends: Ends) {
        if self.session.respond(stream, &Response::Done, true).is_ok() {
            self.execs.add(stream, pid, ends);
        }
    }

    /// A process ended that is no service's.
    pub fn ended(&mut self, pid: u32, status: u8) {
        self.execs.ended(&mut self.session, pid, status);
    }

    /// Goes on when the transport is ready.
    pub fn advance(&mut self, ready: PollFlags) -> Vec<Wish> {
        let mut wishes = Vec::new();
        if ready.contains(PollFlags::POLLOUT) {
            wishes.extend(self.flush());
        }
        if ready.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            wishes.extend(self.read());
        }
        self.execs.settle(&mut self.session);
        self.files.settle(&mut self.session);
        wishes
    }

    /// Tells the host what happened.
    pub fn tell(&mut self, event: &Event) {
        self.session.event(event);
    }

    /// Answers a request.
    pub fn respond(&mut self, stream: u32, response: &Response) {
        if self.session.respond(stream, response, false).is_err() {
            let too_long = Response::Failed("answer: it is too long".to_owned());
            let _ = self.session.respond(stream, &too_long, false);
        }
    }

    /// Whether everything was written.
    pub fn is_flushed(&self) -> bool {
        self.session.output().is_empty()
    }

    /// Writes what the transport takes now.
    pub fn flush(&mut self) -> Option<Wish> {
        while !self.session.output().is_empty() {
            match unistd::write(&self.transport, self.session.output()) {
                Ok(count) => self.session.wrote(count),
                Err(Errno::EINTR) => {}
                Err(Errno::EAGAIN) => return None,
                Err(errno) => return Some(Wish::Gone(Some(errno.desc().to_owned()))),
            }
        }
        None
    }

    /// Ends the channel for the host too, even where another process still holds its file descriptor.
    pub fn close(mut self) {
        self.execs.clear();
        self.files.clear();
        // A transport that is no socket has no other way to say it than to be closed.
        let _ = shutdown(self.transport.as_raw_fd(), Shutdown::Both);
    }

    fn read(&mut self) -> Vec<Wish> {
        let mut buffer = [0; 32 * 1024];
        let count = match unistd::read(&self.transport, &mut buffer) {
            Ok(0) | Err(Errno::ECONNRESET) => return vec![Wish::Gone(None)],
            Ok(count) => count,
            Err(Errno::EINTR | Errno::EAGAIN) => return Vec::new(),
            Err(errno) => return vec![Wish::Gone(Some(errno.desc().to_owned()))],
        };
        match self.session.receive(buffer.get(..count).unwrap_or_default()) {
            Ok(happenings) => happenings.into_iter().filter_map(|happening| self.take(happening)).collect(),
            Err(error) => {
                self.ports.clear();
                self.execs.clear();
                self.files.clear();
                self.flush();
                vec![Wish::Gone(Some(error.to_string()))]
            }
        }
    }

    fn take(&mut self, happening: Happening) -> Option<Wish> {
        let session = &mut self.session;
        match happening {
            Happening::OpenPort { stream, port } => self.ports.open(session, stream, port),
            Happening::Data { stream, bytes } if self.execs.has(stream) => self.execs.data(session, stream, &bytes),
            Happening::Data { stream, bytes } if self.files.has(stream) => self.files.data(session, stream, &bytes),
            Happening::Data { stream, bytes } => self.ports.data(session, stream, &bytes),
            Happening::Finished(stream) if self.execs.has(stream) => self.execs.finished(session, stream),
            Happening::Finished(stream) if self.files.has(stream) => self.files.finished(session, stream),
            Happening::Finished(stream) => self.ports.finished(session, stream),
            Happening::Reset(stream) if self.execs.has(stream) => self.execs.reset(stream),
            Happening::Reset(stream) if self.files.has(stream) => self.files.reset(stream),
            Happening::Reset(stream) => self.ports.reset(stream),
            // What a program cannot be told is dropped: the host sees that nothing came of it.
            Happening::Note { stream, json } => {
                if let Ok(note) = serde_json::from_str(&json) {
                    self.execs.note(stream, note);
                }
            }
            // What is about files is answered here, since it needs nothing but its stream.
            Happening::Request { stream, request: Request::Stat { path } } => {
                let answer = files::stat(&path).map_or_else(Response::Failed, Response::Entry);
                let _ = session.respond(stream, &answer, false);
            }
            Happening::Request { stream, request: Request::List { path } } => self.files.list(session, stream, &path),
            Happening::Request { stream, request: Request::Read(wanted) } => self.files.read(session, stream, &wanted),
            Happening::Request { stream, request: Request::Watch { path, recursive } } => {
                self.files.watch(session, stream, &path, recursive);
            }
            Happening::Request { stream, request: Request::Write(wanted) } => self.files.write(session, stream, wanted),
            Happening::Request { stream, request } => return Some(Wish::Request(stream, request)),
            // Credit is seen by the next poll; a guest asks nothing, so nothing is answered.
            _ => {}
        }
        None
    }
}
