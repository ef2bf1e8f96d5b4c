//! An inside: a TCP/IP stack of its own at the other end of a socket pair, as QEMU would be.

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, SocketAddrV4};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant as Clock};

use network::ADDRESSES;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use smoltcp::iface::{Config, Interface, SocketHandle, SocketSet};
use smoltcp::phy::{ChecksumCapabilities, Device, DeviceCapabilities, Medium, RxToken, TxToken};
use smoltcp::socket::AnySocket;
use smoltcp::socket::tcp::{Socket, SocketBuffer, State};
use smoltcp::time::Instant;
use smoltcp::wire::{
    EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv4Message, Icmpv4Packet, IpAddress, IpCidr, IpProtocol,
    Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(120);

/// What an inside has seen beside its connections.
#[derive(Default)]
pub struct Seen {
    /// Payloads by where they came from and which port they came to.
    pub datagrams: Vec<(SocketAddrV4, u16, Vec<u8>)>,
    /// Destinations that cannot be reached, with the code that says why (RFC 792, type 3).
    pub unreachable: Vec<(Ipv4Addr, u8)>,
}

pub struct Guest {
    wire: UnixStream,
    came: Vec<u8>,
    card: Card,
    interface: Interface,
    sockets: SocketSet<'static>,
    started: Clock,
    port: u16,
    pub seen: Seen,
}

#[derive(Default)]
struct Card {
    frames: VecDeque<Vec<u8>>,
    out: Vec<u8>,
}

impl Guest {
    pub fn new(wire: UnixStream) -> Self {
        wire.set_nonblocking(true).unwrap();
        let mut card = Card::default();
        let config = Config::new(EthernetAddress(ADDRESSES.guest_mac()).into());
        let mut interface = Interface::new(config, &mut card, Instant::ZERO);
        let own = IpCidr::new(ADDRESSES.guest().into(), ADDRESSES.prefix());
        interface.update_ip_addrs(|addresses| addresses.push(own).unwrap());
        interface.routes_mut().add_default_ipv4_route(ADDRESSES.gateway()).unwrap();
        let sockets = SocketSet::new(Vec::new());
        let (came, started, seen) = (Vec::new(), Clock::now(), Seen::default());
        Self { wire, came, card, interface, sockets, started, port: 40000, seen }
    }

    /// Lets time pass until something holds. It fails after a long time.
    pub fn until<R>(&mut self, what: &str, mut holds: impl FnMut(&mut Self) -> Option<R>) -> R {
        let started = Clock::now();
        loop {
            if let Some(result) = holds(self) {
                return result;
            }
            assert!(started.elapsed() < PATIENCE, "still waiting for {what}: {:?}", self.states());
            self.step();
        }
    }

    /// Each connection: its state, and the bytes that wait to be sent and to be read.
    fn states(&self) -> Vec<(State, usize, usize)> {
        let sockets = self.sockets.iter().filter_map(|(_, socket)| Socket::downcast(socket));
        sockets.map(|socket| (socket.state(), socket.send_queue(), socket.recv_queue())).collect()
    }

    /// One turn: what came, what goes.
    pub fn step(&mut self) {
        let mut flags = PollFlags::POLLIN;
        flags.set(PollFlags::POLLOUT, !self.card.out.is_empty());
        poll(&mut [PollFd::new(self.wire.as_fd(), flags)], PollTimeout::from(5_u8)).unwrap();
        self.read();
        let now = Instant::from_millis(self.started.elapsed().as_millis() as i64);
        self.interface.poll(now, &mut self.card, &mut self.sockets);
        self.write();
    }

    fn read(&mut self) {
        let mut bytes = vec![0; 65536];
        match self.wire.read(&mut bytes) {
            Ok(length) => self.came.extend(&bytes[..length]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
        while let Some((length, rest)) = self.came.split_first_chunk::<4>() {
            let length = u32::from_be_bytes(*length) as usize;
            let Some(frame) = rest.get(..length).map(<[u8]>::to_vec) else { break };
            self.came.drain(..4 + length);
            self.look(&frame);
            self.card.frames.push_back(frame);
        }
    }

    fn look(&mut self, frame: &[u8]) {
        let frame = EthernetFrame::new_checked(frame).unwrap();
        assert_eq!(frame.src_addr().0, ADDRESSES.gateway_mac());
        if frame.ethertype() != EthernetProtocol::Ipv4 {
            return;
        }
        let packet = Ipv4Packet::new_checked(frame.payload()).unwrap();
        assert!(packet.verify_checksum());
        match packet.next_header() {
            IpProtocol::Udp => {
                let udp = UdpPacket::new_checked(packet.payload()).unwrap();
                assert!(udp.verify_checksum(&packet.src_addr().into(), &packet.dst_addr().into()));
                let from = SocketAddrV4::new(packet.src_addr(), udp.src_port());
                self.seen.datagrams.push((from, udp.dst_port(), udp.payload().to_vec()));
            }
            IpProtocol::Icmp => {
                let message = Icmpv4Packet::new_checked(packet.payload()).unwrap();
                assert!(message.verify_checksum());
                if message.msg_type() == Icmpv4Message::DstUnreachable {
                    let quoted = Ipv4Packet::new_unchecked(message.data());
                    self.seen.unreachable.push((quoted.dst_addr(), message.msg_code()));
                }
            }
            _ => {}
        }
    }

    fn write(&mut self) {
        if self.card.out.is_empty() {
            return;
        }
        match self.wire.write(&self.card.out) {
            Ok(length) => drop(self.card.out.drain(..length)),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock),
        }
    }

    /// Sends bytes as one frame, whatever they are.
    pub fn frame(&mut self, bytes: &[u8]) {
        self.card.out.extend((bytes.len() as u32).to_be_bytes());
        self.card.out.extend(bytes);
    }

    /// Sends a datagram from that port.
    pub fn datagram(&mut self, port: u16, to: SocketAddrV4, payload: &[u8]) {
        let udp = UdpRepr { src_port: port, dst_port: to.port() };
        let header = Ipv4Repr {
            src_addr: ADDRESSES.guest(),
            dst_addr: *to.ip(),
            next_header: IpProtocol::Udp,
            payload_len: udp.header_len() + payload.len(),
            hop_limit: 64,
        };
        let mut bytes = vec![0; 14 + header.buffer_len() + header.payload_len];
        let mut frame = EthernetFrame::new_unchecked(&mut bytes);
        frame.set_dst_addr(EthernetAddress(ADDRESSES.gateway_mac()));
        frame.set_src_addr(EthernetAddress(ADDRESSES.guest_mac()));
        frame.set_ethertype(EthernetProtocol::Ipv4);
        let sums = ChecksumCapabilities::default();
        let mut packet = Ipv4Packet::new_unchecked(frame.payload_mut());
        header.emit(&mut packet, &sums);
        let mut datagram = UdpPacket::new_unchecked(packet.payload_mut());
        let (from, target) = (ADDRESSES.guest().into(), IpAddress::Ipv4(*to.ip()));
        udp.emit(&mut datagram, &from, &target, payload.len(), |room| room.copy_from_slice(payload), &sums);
        self.frame(&bytes);
    }

    /// Asks for a name: the answer's code and addresses.
    pub fn ask(&mut self, name: &str, kind: u8) -> (u8, Vec<Ipv4Addr>) {
        self.port += 1;
        let port = self.port;
        let mut question = b"\x07\x07\x01\0\0\x01\0\0\0\0\0\0".to_vec();
        for label in name.split('.') {
            question.push(label.len() as u8);
            question.extend(label.bytes());
        }
        question.extend([0, 0, kind, 0, 1]);
        self.datagram(port, SocketAddrV4::new(ADDRESSES.dns(), 53), &question);
        let answer = self.until(name, |guest| {
            let at = guest.seen.datagrams.iter().position(|(_, to, _)| *to == port)?;
            Some(guest.seen.datagrams.remove(at).2)
        });
        assert_eq!(answer[12..question.len()], question[12..], "the question stands in the answer");
        let addresses = answer[question.len()..].chunks(16).map(|record| <[u8; 4]>::try_from(&record[12..]).unwrap());
        (answer[3] & 15, addresses.map(Ipv4Addr::from).collect())
    }

    /// Begins a connection.
    pub fn connect(&mut self, to: SocketAddrV4) -> SocketHandle {
        self.port += 1;
        let buffer = || SocketBuffer::new(vec![0; 65536]);
        let mut socket = Socket::new(buffer(), buffer());
        socket.connect(self.interface.context(), to, self.port).unwrap();
        self.sockets.add(socket)
    }

    pub fn socket(&mut self, handle: SocketHandle) -> &mut Socket<'static> {
        self.sockets.get_mut(handle)
    }

    /// Begins a connection and waits until it stands.
    pub fn connected(&mut self, to: SocketAddrV4) -> SocketHandle {
        let handle = self.connect(to);
        let established = |guest: &mut Self| (guest.socket(handle).state() != State::SynSent).then_some(());
        self.until(&format!("a connection to {to}"), established);
        handle
    }

    /// Begins connections and waits until each of them failed: which with a code of ICMP, which by a reset.
    pub fn refused(&mut self, to: &[SocketAddrV4]) -> BTreeMap<SocketAddrV4, Option<u8>> {
        let handles: Vec<_> = to.iter().map(|to| (*to, self.connect(*to))).collect();
        let mut result = BTreeMap::new();
        self.until(&format!("refusals of {to:?}"), |guest| {
            for (to, handle) in &handles {
                let state = guest.socket(*handle).state();
                assert!(matches!(state, State::SynSent | State::Closed), "{to} was reached: {state}");
                let told = guest.seen.unreachable.iter().find(|(address, _)| address == to.ip());
                if let Some((_, code)) = told {
                    result.insert(*to, Some(*code));
                } else if state == State::Closed {
                    result.insert(*to, None);
                }
            }
            (result.len() == to.len()).then_some(())
        });
        for (_, handle) in handles {
            self.sockets.remove(handle);
        }
        result
    }
}

pub struct Came(Vec<u8>);
pub struct Goes<'a>(&'a mut Vec<u8>);

impl RxToken for Came {
    fn consume<R, F: FnOnce(&[u8]) -> R>(self, read: F) -> R {
        read(&self.0)
    }
}

impl TxToken for Goes<'_> {
    fn consume<R, F: FnOnce(&mut [u8]) -> R>(self, length: usize, write: F) -> R {
        self.0.extend((length as u32).to_be_bytes());
        let at = self.0.len();
        self.0.resize(at + length, 0);
        write(&mut self.0[at..])
    }
}

impl Device for Card {
    type RxToken<'a> = Came;
    type TxToken<'a> = Goes<'a>;

    fn receive(&mut self, _: Instant) -> Option<(Came, Goes<'_>)> {
        let frame = self.frames.pop_front()?;
        Some((Came(frame), Goes(&mut self.out)))
    }

    fn transmit(&mut self, _: Instant) -> Option<Goes<'_>> {
        (self.out.len() < 1 << 18).then_some(Goes(&mut self.out))
    }

    fn capabilities(&self) -> DeviceCapabilities {
        let mut capabilities = DeviceCapabilities::default();
        capabilities.medium = Medium::Ethernet;
        capabilities.max_transmission_unit = 14 + network::MTU;
        capabilities
    }
}
