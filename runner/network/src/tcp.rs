//! Connections of the inside, each joined to a connection of the host.
//!
//! ```text
//!   SYN judged ──► dialled ──► the host's connection stands ──► the SYN is answered ──► bytes both ways ──► both ends closed
//!                     └─ refused: RST; no way: ICMP                      └─ either side reset: so is the other
//! ```
//!
//! What one side cannot take stays in the other side's window: nothing is held beyond two buffers of fixed size.

mod device;
mod flow;

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::TcpStream;
use std::os::fd::{AsFd, BorrowedFd};

use nix::poll::PollFlags;
use smoltcp::iface::{Config, Interface, PollResult, SocketSet};
use smoltcp::time::Instant;
use smoltcp::wire::{HardwareAddress, IpCidr};

use self::device::{Device, Silent};
use self::flow::{Flow, Joined};
use crate::ADDRESSES;
use crate::outbox::Outbox;
use crate::packets::{self, Head, Key, Unreachable};

/// Connections at a time: each costs up to two buffers of [`flow::BUFFER_BYTES`].
const MAX_FLOWS: usize = 512;

/// For how long a connection may be on its way, in milliseconds: about as long as a client waits (Linux resends a SYN for
/// two minutes).
const MAX_DIAL_MS: u64 = 120_000;

/// Frames that the answers to one packet may take.
pub(crate) const ROOM: usize = 4;

/// All connections of a wire.
pub(crate) struct Tcp {
    interface: Interface,
    sockets: SocketSet<'static>,
    flows: BTreeMap<Key, Entry>,
}

enum Entry {
    Dialling(Dialling),
    Joined(Joined),
}

/// A connection that waits for the host's.
struct Dialling {
    line: TcpStream,
    head: Head,
    /// The packet that opens it, unanswered.
    opening: Vec<u8>,
    since_ms: u64,
    /// The host's connection stands, or failed.
    is_decided: bool,
}

impl Tcp {
    pub(crate) fn new() -> Self {
        let config = Config::new(HardwareAddress::Ip);
        let mut interface = Interface::new(config, &mut Silent, Instant::ZERO);
        let gateway = ADDRESSES.gateway();
        interface.update_ip_addrs(|addresses| {
            // There is room: it is the only one.
            let _ = addresses.push(IpCidr::new(gateway.into(), ADDRESSES.prefix()));
        });
        // Whatever address the inside speaks to is answered here.
        interface.set_any_ip(true);
        let _ = interface.routes_mut().add_default_ipv4_route(gateway);
        Self { interface, sockets: SocketSet::new(Vec::new()), flows: BTreeMap::new() }
    }

    /// Whether the connection is known: then its packets are not judged again.
    pub(crate) fn knows(&self, key: &Key) -> bool {
        self.flows.contains_key(key)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.flows.len() >= MAX_FLOWS
    }

    /// Takes a connection that is being dialled, and the packet that opens it.
    pub(crate) fn dialled(&mut self, head: Head, packet: &[u8], line: TcpStream, now_ms: u64) {
        let opening = packet.to_vec();
        let dialling = Dialling { line, head, opening, since_ms: now_ms, is_decided: false };
        self.flows.insert(head.key, Entry::Dialling(dialling));
    }

    /// Takes a packet of a connection. One that no connection takes is answered with a reset.
    pub(crate) fn packet(&mut self, head: &Head, packet: &[u8], out: &mut Outbox, now_ms: u64) {
        // A connection that is on its way answers when it stands: until then the inside asks again.
        if !matches!(self.flows.get(&head.key), Some(Entry::Dialling(_))) {
            self.feed(packet, out, now_ms);
        }
    }

    fn feed(&mut self, packet: &[u8], out: &mut Outbox, now_ms: u64) {
        let mut device = Device::new(out, Some(packet));
        self.interface.poll_ingress_single(time(now_ms), &mut device, &mut self.sockets);
    }

    /// What each connection waits for on its side of the host.
    pub(crate) fn waits<'a>(&'a self, mut add: impl FnMut(Key, BorrowedFd<'a>, PollFlags)) {
        for (key, entry) in &self.flows {
            let (line, flags) = match entry {
                Entry::Dialling(dialling) => (&dialling.line, PollFlags::POLLOUT),
                Entry::Joined(joined) => (joined.line(), joined.waits(&self.sockets)),
            };
            if !flags.is_empty() {
                add(*key, line.as_fd(), flags);
            }
        }
    }

    /// Notes what came of that.
    pub(crate) fn ready(&mut self, key: &Key, flags: PollFlags) {
        match self.flows.get_mut(key) {
            Some(Entry::Dialling(dialling)) => dialling.is_decided = true,
            Some(Entry::Joined(joined)) => joined.ready(flags),
            None => {}
        }
    }

    /// Joins what stands, moves what can be moved, and forgets what has ended.
    pub(crate) fn work(&mut self, out: &mut Outbox, now_ms: u64) {
        // What ended goes first: an end that was reset while it opened would take the next packet that opens another.
        self.move_all();
        self.sweep();
        self.join_decided(out, now_ms);
        self.move_all();
        let mut device = Device::new(out, None);
        // Each round sends at most one packet for each connection; the rounds end when the wire is full.
        while self.interface.poll_egress(time(now_ms), &mut device, &mut self.sockets) != PollResult::None {}
        self.sweep();
    }

    fn move_all(&mut self) {
        for entry in self.flows.values_mut() {
            if let Entry::Joined(joined) = entry {
                joined.work(&mut self.sockets);
            }
        }
    }

    fn join_decided(&mut self, out: &mut Outbox, now_ms: u64) {
        let is_due = |entry: &Entry| match entry {
            Entry::Dialling(dialling) => dialling.is_decided || now_ms >= dialling.since_ms + MAX_DIAL_MS,
            Entry::Joined(_) => false,
        };
        let due: Vec<Key> = self.flows.iter().filter(|(_, entry)| is_due(entry)).map(|(key, _)| *key).collect();
        for key in due {
            if !out.has_room(ROOM) {
                break;
            }
            if let Some(Entry::Dialling(dialling)) = self.flows.remove(&key) {
                self.join(dialling, out, now_ms);
            }
        }
    }

    fn join(&mut self, dialling: Dialling, out: &mut Outbox, now_ms: u64) {
        let Dialling { line, head, opening, is_decided, .. } = dialling;
        let failure = match line.take_error() {
            _ if !is_decided => Some(ErrorKind::TimedOut),
            Ok(None) => None,
            Ok(Some(error)) | Err(error) => Some(error.kind()),
        };
        match failure {
            None => {
                let flow = Flow::listening(&head.key, &mut self.sockets);
                self.feed(&opening, out, now_ms);
                let joined = flow.answered(&head.key, line, &mut self.sockets);
                joined.into_iter().for_each(|joined| drop(self.flows.insert(head.key, Entry::Joined(joined))));
            }
            // No connection takes it, so it is answered with a reset.
            Some(ErrorKind::ConnectionRefused | ErrorKind::ConnectionReset) => self.feed(&opening, out, now_ms),
            Some(_) => packets::unreachable(out, &head, Unreachable::Host),
        }
    }

    fn sweep(&mut self) {
        let sockets = &mut self.sockets;
        self.flows.retain(|_, entry| match entry {
            Entry::Joined(joined) => !joined.is_over(sockets),
            Entry::Dialling(_) => true,
        });
    }

    /// In how many milliseconds there is work without anything that comes. None if there is none.
    pub(crate) fn due_in_ms(&mut self, now_ms: u64) -> Option<u64> {
        let timer = self.interface.poll_delay(time(now_ms), &self.sockets).map(|delay| delay.total_millis());
        let dials = self.flows.values().filter_map(|entry| match entry {
            Entry::Dialling(dialling) => Some((dialling.since_ms + MAX_DIAL_MS).saturating_sub(now_ms)),
            Entry::Joined(_) => None,
        });
        dials.chain(timer).min()
    }
}

fn time(now_ms: u64) -> Instant {
    Instant::from_millis(i64::try_from(now_ms).unwrap_or(i64::MAX))
}
