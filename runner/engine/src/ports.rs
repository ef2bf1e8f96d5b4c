//! Declared ports: the host's side listens, and each connection travels as a stream of the guest channel.
//!
//! Only the loopback address is listened on. Nothing here waits: the supervisor says what is ready.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use bundle::channel::{Event, Happening, MAX_STREAMS, Request, Session, Side};
use host::{Interest, Ready};

use crate::bind::BoundPort;
use crate::journal;
use crate::wire::Moved;

/// Listening sockets, with the port inside that each leads to.
#[derive(Debug)]
pub struct Ports(Vec<Listening>);

#[derive(Debug)]
struct Listening {
    inside: u16,
    listener: TcpListener,
    moved: Option<Moved>,
}

/// Why a port cannot be listened on.
#[derive(Debug, thiserror::Error)]
pub enum PortError {
    /// The port is taken.
    #[error("listen on 127.0.0.1:{port} for port {inside}")]
    Taken {
        /// The port on the host.
        port: u16,
        /// The port inside.
        inside: u16,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl PortError {
    /// What can be done about it. `holder` knows the instance that has a port, if one has it.
    pub fn remedy(&self, holder: impl Fn(u16) -> Option<String>) -> String {
        let Self::Taken { port, inside, source } = self;
        let other = format!("choose another one with --port {inside}=HOSTPORT, or none");
        let holder = Some(*port).filter(|_| source.kind() == io::ErrorKind::AddrInUse).and_then(holder);
        match holder {
            Some(name) => {
                format!("the instance {name} has port {port}: free it with: appliance stop {name}; or {other}")
            }
            None => format!("port {port} was asked for, and {}: {other}", reason(source)),
        }
    }
}

/// Why a channel is over whose other side is gone.
pub const CLOSED: &str = "the guest closed it";

/// Why a channel is over. A side that is gone before it has read everything leaves a reset in place of an end.
fn over(error: &io::Error) -> String {
    let is_gone = matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset);
    if is_gone { CLOSED.to_owned() } else { error.to_string() }
}

/// How many ports after the wanted one are tried.
const TRIES: u16 = 100;

/// Added to a port when none near it can be had; after that any port will do.
const HIGHER: u16 = 8000;

/// Bytes taken from a connection at a time.
const CHUNK_BYTES: usize = 64 * 1024;

impl Ports {
    /// Listens on all of them.
    pub fn listen(ports: &[BoundPort]) -> Result<Self, PortError> {
        ports.iter().map(|port| listen_one(*port)).collect::<Result<_, _>>().map(Self)
    }

    /// Each port inside with its address on the host, and why it is not the wanted one.
    pub fn addresses(&self) -> impl Iterator<Item = (u16, SocketAddr, Option<Moved>)> + '_ {
        self.0.iter().filter_map(|one| Some((one.inside, one.listener.local_addr().ok()?, one.moved.clone())))
    }
}

/// Whether a port of the host can be had now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PortState {
    /// It can.
    Free,
    /// Another one would be taken.
    Moved {
        /// That one.
        to: u16,
        /// What stands in the way of the wanted one.
        why: String,
    },
    /// There is none to be had, for this reason.
    Unusable(String),
}

/// Looks where a port would lead from, without keeping it; the instances in this folder may have it.
pub fn look_at_port(port: BoundPort, state_folder: &Path) -> PortState {
    match listen_one(port) {
        Ok(Listening { moved: None, .. }) => PortState::Free,
        Ok(Listening { moved: Some(moved), listener, .. }) => {
            let to = listener.local_addr().map_or(0, |address| address.port());
            PortState::Moved { to, why: moved.why }
        }
        Err(error) => PortState::Unusable(error.remedy(|number| journal::holder_of_port(state_folder, number))),
    }
}

fn listen_one(port: BoundPort) -> Result<Listening, PortError> {
    let attempt = |number: u16| {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, number))?;
        listener.set_nonblocking(true)?;
        Ok(listener)
    };
    let tries = if port.fixed { 0 } else { TRIES };
    // Only root may have the lowest ports: those next to one of them are no better, 8080 in place of 80 is.
    let others = port.host.checked_add(HIGHER).into_iter().chain([0]).filter(|_| !port.fixed);
    let candidates = (0..=tries).map_while(|more| port.host.checked_add(more)).chain(others);
    // The first one that fails is the wanted one: its reason is what a user should hear.
    let mut first = None;
    for number in candidates {
        match attempt(number) {
            Ok(listener) => {
                let moved = first.map(|error| Moved { wanted: port.host, why: reason(&error) });
                return Ok(Listening { inside: port.inside, listener, moved });
            }
            Err(error) => first = first.or(Some(error)),
        }
    }
    let source = first.unwrap_or_else(|| io::ErrorKind::AddrInUse.into());
    Err(PortError::Taken { port: port.host, inside: port.inside, source })
}

fn reason(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::AddrInUse => "something else listens there".to_owned(),
        io::ErrorKind::PermissionDenied => "only root may listen there".to_owned(),
        _ => error.to_string(),
    }
}

/// The channel to the guest with all connections that travel over it.
#[derive(Debug)]
pub struct Channel {
    transport: UnixStream,
    session: Session,
    listeners: Ports,
    connections: BTreeMap<u32, Connection>,
    /// What came on streams that are not connections.
    others: Vec<Happening>,
}

#[derive(Debug)]
struct Connection {
    socket: TcpStream,
    /// Bytes for the socket that it did not take yet; the session's window bounds them.
    pending: Vec<u8>,
    open: bool,
    /// This side's end was read and passed on.
    finished: bool,
    /// The other side sends no more.
    ended: bool,
}

impl Channel {
    /// The host's side of a channel over this socket.
    pub fn new(transport: UnixStream, listeners: Ports) -> io::Result<Self> {
        transport.set_nonblocking(true)?;
        let session = Session::relaying(Side::Host);
        Ok(Self { transport, session, listeners, connections: BTreeMap::new(), others: Vec::new() })
    }

    /// Everything to wait for, in the order in which [`Channel::advance`] takes the answers.
    pub fn interests(&self) -> Vec<Interest<'_>> {
        let output = !self.session.output().is_empty();
        let mut all = vec![Interest { fd: self.transport.as_fd(), read: true, write: output }];
        let accepting = self.session.agreed().is_some() && self.connections.len() < MAX_STREAMS;
        all.extend(self.listeners.0.iter().map(|one| Interest {
            fd: one.listener.as_fd(),
            read: accepting,
            write: false,
        }));
        all.extend(self.connections.iter().map(|(stream, connection)| Interest {
            fd: connection.socket.as_fd(),
            read: connection.open && !connection.finished && self.session.sendable(*stream) > 0,
            write: !connection.pending.is_empty(),
        }));
        all
    }

    /// Moves what can be moved; gives what the guest said.
    ///
    /// # Errors
    /// The channel is over: the guest is gone or broke the protocol.
    pub fn advance(&mut self, ready: &[Ready]) -> Result<Vec<Event>, String> {
        let mut ready = ready.iter().copied();
        let transport = ready.next().unwrap_or_default();
        let events = if transport.read { self.receive()? } else { Vec::new() };
        for index in 0..self.listeners.0.len() {
            if ready.next().unwrap_or_default().read {
                self.accept(index);
            }
        }
        // Connections that came or went meanwhile are asked again in the next round.
        let streams: Vec<u32> = self.connections.keys().copied().collect();
        for stream in streams {
            self.pump(stream);
        }
        // What a guest that is gone said last counts; the next round finds that it is gone.
        match self.flush() {
            Err(reason) if events.is_empty() => Err(reason),
            _ => Ok(events),
        }
    }

    /// The session, for whoever has streams of their own in it; [`Channel::flush`] lets out what they send.
    pub fn session(&mut self) -> &mut Session {
        &mut self.session
    }

    /// What came on streams that are not connections to ports.
    pub fn others(&mut self) -> Vec<Happening> {
        std::mem::take(&mut self.others)
    }

    /// Asks the guest to stop all services; whether that could be asked.
    pub fn ask_to_stop(&mut self, within_ms: u64) -> bool {
        let asked = self.session.agreed().is_some()
            && self.session.request(&Request::Stop { within_ms: Some(within_ms) }).is_ok();
        asked && self.flush().is_ok()
    }

    /// Gives the guest the time of the host.
    pub fn set_time(&mut self) {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let _ = self.session.request(&Request::SetTime { unix_ms: u64::try_from(since.as_millis()).unwrap_or(0) });
        let _ = self.flush();
    }

    /// Asks the guest to take a signal as if it came to it; one that cannot be asked is lost, as a signal may be.
    pub fn send_signal(&mut self, number: i32) {
        let _ = self.session.request(&Request::Signal { number });
        // That it cannot be written is found out when the channel is next looked at.
        let _ = self.flush();
    }

    fn receive(&mut self) -> Result<Vec<Event>, String> {
        let mut buffer = vec![0u8; CHUNK_BYTES];
        let read = match self.transport.read(&mut buffer) {
            Ok(0) => return Err(CLOSED.to_owned()),
            Ok(read) => read,
            Err(error) if would_wait(&error) => 0,
            Err(error) => return Err(over(&error)),
        };
        let happenings = self.session.receive(buffer.get(..read).unwrap_or_default()).map_err(|error| {
            let _ = self.flush();
            crate::helper::causes(&error)
        })?;
        Ok(happenings.into_iter().filter_map(|happening| self.happened(happening)).collect())
    }

    fn happened(&mut self, happening: Happening) -> Option<Event> {
        if stream_of(&happening).is_some_and(|stream| !self.connections.contains_key(&stream)) {
            self.others.push(happening);
            return None;
        }
        match happening {
            Happening::Event(event) => return Some(event),
            Happening::Opened(stream) => self.with(stream, |connection| connection.open = true),
            Happening::Data { stream, bytes } => self.with(stream, |connection| connection.pending.extend(bytes)),
            Happening::Finished(stream) => self.with(stream, |connection| connection.ended = true),
            // The guest asks nothing of a host, and opens no port of one.
            Happening::OpenPort { stream, .. } | Happening::Asked { stream, .. } => self.session.reset(stream),
            Happening::Refused { stream, .. } | Happening::Reset(stream) => drop(self.connections.remove(&stream)),
            _ => {}
        }
        None
    }

    fn with(&mut self, stream: u32, change: impl FnOnce(&mut Connection)) {
        if let Some(connection) = self.connections.get_mut(&stream) {
            change(connection);
        }
    }

    fn accept(&mut self, index: usize) {
        let Some(Listening { inside, listener, .. }) = self.listeners.0.get(index) else { return };
        let Ok((socket, _)) = listener.accept() else { return };
        let ready = socket.set_nonblocking(true).and_then(|()| socket.set_nodelay(true));
        if let (Ok(()), Ok(stream)) = (ready, self.session.open_port(*inside)) {
            let connection = Connection { socket, pending: Vec::new(), open: false, finished: false, ended: false };
            self.connections.insert(stream, connection);
        }
    }

    /// Moves bytes of one connection in both directions as far as they go without waiting.
    fn pump(&mut self, stream: u32) {
        let Some(connection) = self.connections.get_mut(&stream) else { return };
        let moved =
            connection.push(&mut self.session, stream).and_then(|()| connection.pull(&mut self.session, stream));
        let done = connection.finished && connection.ended && connection.pending.is_empty();
        if moved.is_err() {
            self.session.reset(stream);
        }
        if moved.is_err() || done {
            self.connections.remove(&stream);
        }
    }

    /// Writes what the transport takes now.
    pub fn flush(&mut self) -> Result<(), String> {
        while !self.session.output().is_empty() {
            match self.transport.write(self.session.output()) {
                Ok(count) => self.session.wrote(count),
                Err(error) if would_wait(&error) => return Ok(()),
                Err(error) => return Err(over(&error)),
            }
        }
        Ok(())
    }
}

impl Connection {
    /// From the guest to the connection.
    fn push(&mut self, session: &mut Session, stream: u32) -> io::Result<()> {
        while !self.pending.is_empty() {
            match self.socket.write(&self.pending) {
                Ok(count) => {
                    self.pending.drain(..count);
                    session.used(stream, count);
                }
                Err(error) if would_wait(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        if self.ended {
            // The connection may be gone already; then there is nobody to tell.
            let _ = self.socket.shutdown(Shutdown::Write);
        }
        Ok(())
    }

    /// From the connection to the guest, as much as the guest has room for.
    fn pull(&mut self, session: &mut Session, stream: u32) -> io::Result<()> {
        while self.open && !self.finished {
            let room = session.sendable(stream).min(CHUNK_BYTES);
            let mut buffer = vec![0u8; room];
            if room == 0 {
                return Ok(());
            }
            match self.socket.read(&mut buffer) {
                Ok(0) => {
                    self.finished = true;
                    session.finish(stream).map_err(io::Error::other)?;
                }
                Ok(read) => {
                    session.send(stream, buffer.get(..read).unwrap_or_default()).map_err(io::Error::other)?;
                }
                Err(error) if would_wait(&error) => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}

/// The stream of this side that the guest says something on.
fn stream_of(happening: &Happening) -> Option<u32> {
    match happening {
        Happening::Answered { stream, .. } | Happening::Data { stream, .. } | Happening::Note { stream, .. } => {
            Some(*stream)
        }
        Happening::Finished(stream) | Happening::Reset(stream) => Some(*stream),
        _ => None,
    }
}

fn would_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_is_taken_is_known_before_anything_runs() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let host = taken.local_addr().unwrap().port();
        let look = |fixed| look_at_port(BoundPort { inside: 80, host, fixed }, Path::new("/nowhere"));
        let PortState::Moved { to, why } = look(false) else { panic!("it is taken") };
        assert!(to != host && why == "something else listens there", "{to}: {why}");
        let PortState::Unusable(why) = look(true) else { panic!("it is taken, and no other will do") };
        assert!(why.contains("--port 80=HOSTPORT"), "{why}");
    }

    /// A guest on a thread of its own that sends everything back, and the host's side of its channel.
    fn echoing_channel() -> (Channel, SocketAddr) {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let ports = Ports::listen(&[BoundPort { inside: 8080, host: 18_080, fixed: false }]).unwrap();
        let address = ports.addresses().next().unwrap().1;
        std::thread::spawn(move || echo(theirs));
        (Channel::new(ours, ports).unwrap(), address)
    }

    fn echo(mut transport: UnixStream) {
        let mut session = Session::new(Side::Guest);
        let mut buffer = [0u8; 4096];
        loop {
            let count = session.output().len();
            transport.write_all(session.output()).unwrap();
            session.wrote(count);
            let Ok(read @ 1..) = transport.read(&mut buffer) else { return };
            for happening in session.receive(&buffer[..read]).unwrap() {
                match happening {
                    Happening::OpenPort { stream, port: 8080 } => session.accept(stream).unwrap(),
                    Happening::Data { stream, bytes } => {
                        assert_eq!(session.send(stream, &bytes).unwrap(), bytes.len());
                        session.used(stream, bytes.len());
                    }
                    Happening::Finished(stream) => session.finish(stream).unwrap(),
                    _ => {}
                }
            }
        }
    }

    #[test]
    fn connections_travel_over_the_channel() {
        let (mut channel, address) = echoing_channel();
        let client = std::thread::spawn(move || {
            let mut stream = TcpStream::connect(address).unwrap();
            stream.write_all(&[7; 50_000]).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
            let mut back = Vec::new();
            stream.read_to_end(&mut back).unwrap();
            back
        });
        while !client.is_finished() {
            let ready = host::poll(&channel.interests(), Some(50)).unwrap();
            channel.advance(&ready).unwrap();
        }
        assert_eq!(client.join().unwrap(), vec![7; 50_000]);
        assert!(channel.connections.is_empty());
    }

    #[test]
    fn the_last_words_of_a_guest_that_is_gone_are_heard() {
        let (ours, mut theirs) = UnixStream::pair().unwrap();
        let mut session = Session::new(Side::Guest);
        session.event(&Event::Ready);
        session.event(&Event::Exited { status: 3 });
        theirs.write_all(session.output()).unwrap();
        drop(theirs);
        let mut channel = Channel::new(ours, Ports(Vec::new())).unwrap();
        let ready = host::poll(&channel.interests(), Some(5000)).unwrap();
        assert_eq!(channel.advance(&ready), Ok(vec![Event::Ready, Event::Exited { status: 3 }]));
        let ready = host::poll(&channel.interests(), Some(5000)).unwrap();
        assert!(channel.advance(&ready).is_err());
    }

    #[test]
    fn a_taken_port_is_an_error_only_when_it_was_chosen() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let host = taken.local_addr().unwrap().port();
        assert!(Ports::listen(&[BoundPort { inside: 80, host, fixed: true }]).is_err());
        let ports = Ports::listen(&[BoundPort { inside: 80, host, fixed: false }]).unwrap();
        let (inside, address, moved) = ports.addresses().next().unwrap();
        let moved = moved.unwrap();
        assert_eq!((inside, moved.wanted, moved.why.as_str()), (80, host, "something else listens there"));
        assert_ne!(address.port(), host);
    }
}
