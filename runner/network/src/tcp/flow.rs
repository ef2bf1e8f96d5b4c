//! One connection: its end towards the inside, a socket of the TCP engine, and its end on the host.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};

use nix::libc::linger;
use nix::poll::PollFlags;
use nix::sys::socket::{setsockopt, sockopt};
use smoltcp::iface::{SocketHandle, SocketSet};
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Duration;
use smoltcp::wire::IpEndpoint;

use crate::packets::Key;

/// Bytes of each of a connection's two buffers: a wire of a few microseconds needs no larger window.
pub(super) const BUFFER_BYTES: usize = 64 * 1024;

/// For how long the inside may be silent though it was asked: long enough for an instance that was paused for a while, and
/// about as long as Linux itself tries (tcp(7), `tcp_retries2`).
const PATIENCE: Duration = Duration::from_secs(15 * 60);

/// How often an idle inside is asked whether it still knows the connection. Without that the engine would take an idle
/// connection for a dead one after [`PATIENCE`].
const ASK_EVERY: Duration = Duration::from_secs(60);

/// An end that waits for the packet which opens it.
pub(super) struct Flow {
    handle: SocketHandle,
}

impl Flow {
    pub(super) fn listening(key: &Key, sockets: &mut SocketSet<'static>) -> Self {
        let buffer = || SocketBuffer::new(vec![0; BUFFER_BYTES]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.set_nagle_enabled(false);
        socket.set_ack_delay(None);
        socket.set_timeout(Some(PATIENCE));
        socket.set_keep_alive(Some(ASK_EVERY));
        // It fails for port 0 and for a socket in use; this is neither, and if it did, the packet would be reset.
        let _ = socket.listen(IpEndpoint::from(key.destination));
        Self { handle: sockets.add(socket) }
    }

    /// Joins the end to the host's, if the packet opened it.
    pub(super) fn answered(self, key: &Key, line: TcpStream, sockets: &mut SocketSet<'static>) -> Option<Joined> {
        let socket: &mut Socket<'_> = sockets.get_mut(self.handle);
        let is_opened = socket.remote_endpoint().is_some_and(|remote| remote.port == key.guest_port);
        if is_opened {
            return Some(Joined {
                handle: self.handle,
                line,
                is_readable: true,
                is_writable: true,
                has_ended: false,
                inside_ended: false,
                tail: Vec::new(),
                is_finished: false,
                is_broken: false,
            });
        }
        sockets.remove(self.handle);
        None
    }
}

/// Two ends of one connection.
pub(super) struct Joined {
    handle: SocketHandle,
    line: TcpStream,
    /// Whether reading from the host may give something: until it says that it would block.
    is_readable: bool,
    is_writable: bool,
    /// The host's side sends no more.
    has_ended: bool,
    /// The inside sends no more.
    inside_ended: bool,
    /// What the inside sent last and the host has not taken, at most a buffer, once the inside's end is over.
    tail: Vec<u8>,
    /// The host was told that the inside sends no more, after everything.
    is_finished: bool,
    /// The host's side failed.
    is_broken: bool,
}

impl Joined {
    pub(super) fn line(&self) -> &TcpStream {
        &self.line
    }

    /// What must happen on the host's side before there is more to do.
    pub(super) fn waits(&self, sockets: &SocketSet<'static>) -> PollFlags {
        let socket: &Socket<'_> = sockets.get(self.handle);
        let mut flags = PollFlags::empty();
        flags.set(PollFlags::POLLIN, !self.is_readable && !self.has_ended && socket.can_send());
        let has_more = socket.can_recv() || !self.tail.is_empty();
        flags.set(PollFlags::POLLOUT, !self.is_writable && has_more);
        flags
    }

    pub(super) fn ready(&mut self, flags: PollFlags) {
        let broken = flags.intersects(PollFlags::POLLERR | PollFlags::POLLHUP | PollFlags::POLLNVAL);
        self.is_readable |= broken || flags.contains(PollFlags::POLLIN);
        self.is_writable |= broken || flags.contains(PollFlags::POLLOUT);
    }

    /// Moves what both sides give and take.
    pub(super) fn work(&mut self, sockets: &mut SocketSet<'static>) {
        let socket: &mut Socket<'_> = sockets.get_mut(self.handle);
        let moved = self.inwards(socket).and_then(|()| self.outwards(socket));
        if moved.is_err() && !self.is_broken {
            self.is_broken = true;
            socket.abort();
        }
    }

    fn inwards(&mut self, socket: &mut Socket<'_>) -> Result<(), ErrorKind> {
        while self.is_readable && !self.has_ended && socket.can_send() {
            let read = socket.send(|room| match self.line.read(room) {
                Ok(length) => (length, Ok(length)),
                Err(error) => (0, Err(error.kind())),
            });
            match read {
                Ok(Ok(0)) => {
                    self.has_ended = true;
                    // What is queued goes first.
                    socket.close();
                }
                Ok(Err(ErrorKind::WouldBlock)) => self.is_readable = false,
                Ok(Ok(_) | Err(ErrorKind::Interrupted)) => {}
                Ok(Err(error)) => return Err(error),
                Err(_) => break,
            }
        }
        Ok(())
    }

    fn outwards(&mut self, socket: &mut Socket<'_>) -> Result<(), ErrorKind> {
        while self.is_writable && self.tail.is_empty() && socket.can_recv() {
            let line = &mut self.line;
            match socket.recv(|bytes| write(line, bytes)) {
                Ok(written) => self.is_writable = written?,
                Err(_) => break,
            }
        }
        let state = socket.state();
        self.inside_ended |= matches!(state, State::CloseWait | State::LastAck | State::Closing | State::TimeWait);
        if self.inside_ended && matches!(state, State::TimeWait | State::Closed) {
            // The engine forgets an end that is over after a while, and what it holds.
            let tail = &mut self.tail;
            while socket.recv(|bytes| (bytes.len(), tail.extend_from_slice(bytes))).is_ok() {}
        }
        while self.is_writable && !self.tail.is_empty() {
            let (length, written) = write(&mut self.line, &self.tail);
            self.tail.drain(..length);
            self.is_writable = written?;
        }
        if self.inside_ended && self.tail.is_empty() && !socket.can_recv() && !self.is_finished {
            self.is_finished = true;
            // It fails where the host's side is gone already, which reading tells.
            drop(self.line.shutdown(Shutdown::Write));
        }
        Ok(())
    }

    /// Whether it has ended, in any way. Then its sockets are gone; after a reset by the inside the host's is reset too.
    pub(super) fn is_over(&self, sockets: &mut SocketSet<'static>) -> bool {
        let state = sockets.get::<Socket<'_>>(self.handle).state();
        // An aborted end still owes its reset while it has an endpoint. One that was reset while it opened listens again.
        let owes = sockets.get::<Socket<'_>>(self.handle).remote_endpoint().is_some() && state == State::Closed;
        let is_done = matches!(state, State::Closed | State::TimeWait | State::Listen) && !owes;
        let is_clean = self.has_ended && self.inside_ended && !self.is_broken;
        let is_over = is_done && (self.is_finished || !is_clean);
        if is_over {
            if !is_clean {
                let reset = linger { l_onoff: 1, l_linger: 0 };
                let _ = setsockopt(&self.line, sockopt::Linger, &reset);
            }
            sockets.remove(self.handle);
        }
        is_over
    }
}

/// Writes to the host: how much it took, and whether it takes more.
fn write(line: &mut TcpStream, bytes: &[u8]) -> (usize, Result<bool, ErrorKind>) {
    match line.write(bytes) {
        Ok(length) => (length, Ok(true)),
        Err(error) => match error.kind() {
            ErrorKind::WouldBlock => (0, Ok(false)),
            ErrorKind::Interrupted => (0, Ok(true)),
            kind => (0, Err(kind)),
        },
    }
}
