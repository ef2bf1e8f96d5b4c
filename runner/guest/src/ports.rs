//! Carries streams of the guest channel to TCP ports of this appliance's loopback address.
//!
//! A stream holds at most one window of bytes that its socket has not taken; bytes the other way are
//! read only as far as the channel has credit, so nothing else is held.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};

use bundle::channel::{RefusalCode, Session};
use nix::poll::PollFlags;

use crate::connect;

/// Bytes read from a socket at a time.
const READ_BYTES: usize = 16 * 1024;

/// The connections that carry streams, by stream id.
#[derive(Debug, Default)]
pub struct Ports {
    open: BTreeMap<u32, Port>,
}

#[derive(Debug)]
struct Port {
    socket: TcpStream,
    state: State,
    to_socket: VecDeque<u8>,
    /// The host sends no more; the socket is told once everything was written.
    host_finished: bool,
    /// The socket gives no more.
    socket_finished: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Being connected to this address.
    Connecting(SocketAddr),
    /// Carries data.
    Connected,
    /// Carries data one way: the socket was told that nothing more comes.
    HalfClosed,
}

impl Ports {
    /// Begins to connect a port for a stream that the host asked for.
    pub fn open(&mut self, session: &mut Session, stream: u32, port: u16) {
        self.connect(session, stream, SocketAddr::from((Ipv4Addr::LOCALHOST, port)));
    }

    /// Takes bytes from the host.
    pub fn data(&mut self, session: &mut Session, stream: u32, bytes: &[u8]) {
        if let Some(port) = self.open.get_mut(&stream) {
            port.to_socket.extend(bytes);
            self.write(session, stream);
        }
    }

    /// The host sends no more.
    pub fn finished(&mut self, session: &mut Session, stream: u32) {
        if let Some(port) = self.open.get_mut(&stream) {
            port.host_finished = true;
            self.write(session, stream);
        }
    }

    /// The stream is gone.
    pub fn reset(&mut self, stream: u32) {
        self.open.remove(&stream);
    }

    /// The channel is gone, and every stream with it.
    pub fn clear(&mut self) {
        self.open.clear();
    }

    /// The sockets to wait for, by stream id, and for what.
    pub fn waits_for(&self, session: &Session) -> impl Iterator<Item = (u32, BorrowedFd<'_>, PollFlags)> {
        let wanted = |stream: u32, port: &Port| {
            let mut flags = PollFlags::empty();
            flags.set(PollFlags::POLLOUT, matches!(port.state, State::Connecting(_)) || !port.to_socket.is_empty());
            let reads = !matches!(port.state, State::Connecting(_)) && !port.socket_finished;
            flags.set(PollFlags::POLLIN, reads && session.sendable(stream) > 0);
            flags
        };
        let ports = self.open.iter().map(move |(stream, port)| (*stream, port.socket.as_fd(), wanted(*stream, port)));
        ports.filter(|(_, _, flags)| !flags.is_empty())
    }

    /// Goes on with a stream whose socket is ready.
    pub fn advance(&mut self, session: &mut Session, stream: u32, ready: PollFlags) {
        let Some(port) = self.open.get(&stream) else { return };
        if let State::Connecting(address) = port.state {
            return self.connected(session, stream, address);
        }
        if ready.contains(PollFlags::POLLOUT) {
            self.write(session, stream);
        }
        if ready.intersects(PollFlags::POLLIN | PollFlags::POLLHUP | PollFlags::POLLERR) {
            self.read(session, stream);
        }
    }

    fn connect(&mut self, session: &mut Session, stream: u32, address: SocketAddr) {
        match connect::begin(address) {
            Ok(socket) => {
                let state = State::Connecting(address);
                let port =
                    Port { socket, state, to_socket: VecDeque::new(), host_finished: false, socket_finished: false };
                self.open.insert(stream, port);
            }
            Err(errno) => self.connect_failed(session, stream, address, errno.into()),
        }
    }

    fn connected(&mut self, session: &mut Session, stream: u32, address: SocketAddr) {
        let Some(port) = self.open.get_mut(&stream) else { return };
        match connect::finish(&port.socket) {
            None => {}
            Some(Err(error)) => self.connect_failed(session, stream, address, error),
            Some(Ok(())) => {
                let _ = port.socket.set_nodelay(true);
                port.state = State::Connected;
                let _ = session.accept(stream);
            }
        }
    }

    fn connect_failed(&mut self, session: &mut Session, stream: u32, address: SocketAddr, error: std::io::Error) {
        self.open.remove(&stream);
        if address.is_ipv4() {
            return self.connect(session, stream, SocketAddr::from((Ipv6Addr::LOCALHOST, address.port())));
        }
        // The first error may be of the address family; what matters to the host is that nothing answers.
        let (code, text) = match error.kind() {
            ErrorKind::OutOfMemory => (RefusalCode::Failed, error.to_string()),
            _ => (RefusalCode::NotListening, format!("nothing listens on port {}", address.port())),
        };
        let _ = session.refuse(stream, code, &text);
    }

    fn write(&mut self, session: &mut Session, stream: u32) {
        let Some(port) = self.open.get_mut(&stream) else { return };
        if matches!(port.state, State::Connecting(_)) {
            return;
        }
        while !port.to_socket.is_empty() {
            let (front, _) = port.to_socket.as_slices();
            match port.socket.write(front) {
                Ok(count) => {
                    port.to_socket.drain(..count);
                    session.used(stream, count);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return,
                Err(_) => return self.broken(session, stream),
            }
        }
        if port.host_finished && port.state == State::Connected {
            port.state = State::HalfClosed;
            let _ = port.socket.shutdown(Shutdown::Write);
        }
        self.sweep(stream);
    }

    fn read(&mut self, session: &mut Session, stream: u32) {
        let Some(port) = self.open.get_mut(&stream) else { return };
        let mut buffer = [0; READ_BYTES];
        let room = session.sendable(stream).min(READ_BYTES);
        let buffer = buffer.get_mut(..room).unwrap_or_default();
        if buffer.is_empty() || port.socket_finished {
            return;
        }
        match port.socket.read(buffer) {
            Ok(0) => {
                port.socket_finished = true;
                let _ = session.finish(stream);
                self.sweep(stream);
            }
            // The room was asked for just now, so everything is taken.
            Ok(count) => drop(session.send(stream, buffer.get(..count).unwrap_or_default())),
            Err(error) if matches!(error.kind(), ErrorKind::Interrupted | ErrorKind::WouldBlock) => {}
            Err(_) => self.broken(session, stream),
        }
    }

    fn broken(&mut self, session: &mut Session, stream: u32) {
        self.open.remove(&stream);
        session.reset(stream);
    }

    fn sweep(&mut self, stream: u32) {
        let is_over = |port: &Port| port.socket_finished && port.state == State::HalfClosed;
        if self.open.get(&stream).is_some_and(is_over) {
            self.open.remove(&stream);
        }
    }
}
