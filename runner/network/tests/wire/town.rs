//! A world for tests: its names, its own addresses, and where some destinations really lead. It notes what is dialled.

#![expect(clippy::disallowed_methods, reason = "where destinations lead is dialled here")]

use std::collections::BTreeMap;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::sync::{Arc, Mutex};
use std::thread::JoinHandle;

use network::{Counts, Event, Host, Line, Permit, Protocol, Resolve, Rules, Wire, World};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket};

use crate::guest::Guest;

#[derive(Clone, Default)]
pub struct Town {
    /// The host's own addresses; those that it has if there is no list.
    pub own: Option<Vec<IpAddr>>,
    /// What names lead to.
    pub names: Arc<Mutex<BTreeMap<String, Vec<IpAddr>>>>,
    /// What every lookup of another name fails with; the host's own resolver is asked if there is nothing.
    pub fails: Option<&'static str>,
    /// Where destinations lead instead of to themselves.
    pub leads: BTreeMap<SocketAddr, SocketAddr>,
    /// All that was dialled.
    pub dialled: Arc<Mutex<Vec<SocketAddr>>>,
}

impl World for Town {
    fn own_addresses(&self, towards: IpAddr) -> io::Result<Vec<IpAddr>> {
        self.own.clone().map_or_else(|| Host.own_addresses(towards), Ok)
    }

    fn resolver(&self) -> Arc<Resolve> {
        let (names, fails) = (self.names.clone(), self.fails);
        Arc::new(move |name| {
            let found = names.lock().unwrap().get(name).cloned();
            match (found, fails) {
                (Some(found), _) => Ok(found),
                (None, Some(why)) => Err(io::Error::other(format!("failed to lookup address information: {why}"))),
                (None, None) => Host.resolver()(name),
            }
        })
    }

    fn dial(&self, permit: Permit) -> io::Result<Line> {
        self.dialled.lock().unwrap().push(permit.destination());
        match (self.leads.get(&permit.destination()), permit.protocol()) {
            (None, _) => Host.dial(permit),
            (Some(to), Protocol::Tcp) => {
                let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None)?;
                let line = TcpStream::from(socket);
                line.set_nonblocking(true)?;
                match connect(line.as_raw_fd(), &SockaddrStorage::from(*to)) {
                    Ok(()) | Err(Errno::EINPROGRESS) => Ok(Line::Tcp(line)),
                    Err(error) => Err(error.into()),
                }
            }
            (Some(to), Protocol::Udp) => {
                let line = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
                line.connect(to)?;
                line.set_nonblocking(true)?;
                Ok(Line::Udp(line))
            }
        }
    }
}

/// A wire that is served, and the inside at its other end.
pub struct Served {
    pub guest: Guest,
    stop: UnixStream,
    server: JoinHandle<io::Result<Counts>>,
    events: Arc<Mutex<Vec<Event>>>,
}

pub fn outbound(allow: &[&str]) -> Rules {
    Rules::outbound(&allow.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>()).unwrap()
}

pub fn served(town: &Town, rules: Rules) -> Served {
    let (wire, other) = UnixStream::pair().unwrap();
    let (stop, stopped) = UnixStream::pair().unwrap();
    let events = Arc::new(Mutex::new(Vec::new()));
    let (town, log) = (town.clone(), events.clone());
    let log = move |event| log.lock().unwrap().push(event);
    let serve = move || network::serve_in(town, Wire::Stream(other.into()), rules, log, stopped.into());
    let server = std::thread::spawn(serve);
    Served { guest: Guest::new(wire), stop, server, events }
}

impl Served {
    /// Stops serving: what happened, and what was told.
    pub fn end(self) -> (Counts, Vec<Event>) {
        drop(self.stop);
        let counts = self.server.join().unwrap().unwrap();
        let events = self.events.lock().unwrap().clone();
        (counts, events)
    }

    /// Takes the inside away: how serving ends then.
    pub fn cut(self) -> io::Result<Counts> {
        drop(self.guest);
        self.server.join().unwrap()
    }
}
