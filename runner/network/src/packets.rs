//! Frames of the wire, read and written: Ethernet, ARP, IPv4, UDP and ICMP. TCP is read only as far as its ports.
//!
//! Sources: IEEE 802.3; RFC 826 (ARP), RFC 791 (IPv4), RFC 768 (UDP), RFC 792 and RFC 1812, section 5.2.7.1 (ICMP).

use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddrV4};

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol, Icmpv4DstUnreachable,
    Icmpv4Packet, Icmpv4Repr, IpProtocol, Ipv4Packet, Ipv4Repr, TcpPacket, UdpPacket, UdpRepr,
};

use crate::outbox::Outbox;
use crate::{ADDRESSES, MTU};

/// Bytes of an Ethernet header.
const ETHERNET: usize = 14;

/// A frame of the inside that somebody may answer.
#[derive(Debug)]
pub(crate) enum Incoming<'a> {
    /// It asks for the gateway's hardware address.
    WhoIsTheGateway,
    /// An echo request to the gateway: identifier, sequence number and data.
    Echo(u16, u16, &'a [u8]),
    /// A segment of a connection.
    Tcp(Tcp<'a>),
    /// A datagram with its payload.
    Udp(Head, &'a [u8]),
}

/// A segment as far as it is read.
#[derive(Debug)]
pub(crate) struct Tcp<'a> {
    pub(crate) head: Head,
    /// Whether it opens a connection.
    pub(crate) opens: bool,
    /// The whole IP packet.
    pub(crate) packet: &'a [u8],
}

/// What tells packets of one connection or exchange from others, and what an error about one must quote.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Head {
    pub(crate) key: Key,
    protocol: IpProtocol,
    payload_bytes: usize,
    first: [u8; 8],
}

/// A port of the inside and where it speaks to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Key {
    pub(crate) destination: SocketAddrV4,
    pub(crate) guest_port: u16,
}

impl Head {
    /// The head of a packet of the inside.
    fn of(packet: &Ipv4Packet<&[u8]>, guest_port: u16, port: u16) -> Option<Self> {
        let payload = packet.payload();
        Some(Self {
            key: Key { destination: SocketAddrV4::new(packet.dst_addr(), port), guest_port },
            protocol: packet.next_header(),
            payload_bytes: payload.len(),
            first: *payload.first_chunk()?,
        })
    }
}

/// Reads a frame. Nothing if it is not of a protocol that is spoken here, is broken, or is not of the inside.
pub(crate) fn read(frame: &[u8]) -> Option<Incoming<'_>> {
    let frame = EthernetFrame::new_checked(frame).ok()?;
    let to = frame.dst_addr();
    if to != EthernetAddress(ADDRESSES.gateway_mac()) && !to.is_broadcast() {
        return None;
    }
    match frame.ethertype() {
        EthernetProtocol::Arp => read_arp(frame.payload()),
        EthernetProtocol::Ipv4 => read_ipv4(frame.payload()),
        _ => None,
    }
}

fn read_arp(payload: &[u8]) -> Option<Incoming<'_>> {
    let ArpRepr::EthernetIpv4 { operation, source_protocol_addr, target_protocol_addr, .. } =
        ArpRepr::parse(&ArpPacket::new_checked(payload).ok()?).ok()?
    else {
        return None;
    };
    let is_ours = target_protocol_addr == ADDRESSES.gateway() && source_protocol_addr == ADDRESSES.guest();
    (operation == ArpOperation::Request && is_ours).then_some(Incoming::WhoIsTheGateway)
}

fn read_ipv4(payload: &[u8]) -> Option<Incoming<'_>> {
    let packet = Ipv4Packet::new_checked(payload).ok()?;
    let is_whole = !packet.more_frags() && packet.frag_offset() == 0;
    let is_sound = packet.version() == 4 && packet.header_len() >= 20 && packet.verify_checksum();
    if !is_whole || !is_sound || packet.src_addr() != ADDRESSES.guest() {
        return None;
    }
    match packet.next_header() {
        IpProtocol::Tcp => {
            let segment = TcpPacket::new_checked(packet.payload()).ok()?;
            let head = Head::of(&packet, segment.src_port(), segment.dst_port())?;
            let opens = segment.syn() && !segment.ack() && !segment.rst() && !segment.fin();
            let whole = payload.get(..usize::from(packet.total_len()))?;
            Some(Incoming::Tcp(Tcp { head, opens, packet: whole }))
        }
        IpProtocol::Udp => {
            let datagram = UdpPacket::new_checked(packet.payload()).ok()?;
            let (from, to) = (packet.src_addr().into(), packet.dst_addr().into());
            UdpRepr::parse(&datagram, &from, &to, &ChecksumCapabilities::default()).ok()?;
            let head = Head::of(&packet, datagram.src_port(), datagram.dst_port())?;
            Some(Incoming::Udp(head, datagram.payload()))
        }
        IpProtocol::Icmp if packet.dst_addr() == ADDRESSES.gateway() => {
            let message = Icmpv4Packet::new_checked(packet.payload()).ok()?;
            match Icmpv4Repr::parse(&message, &ChecksumCapabilities::default()).ok()? {
                Icmpv4Repr::EchoRequest { ident, seq_no, data } => Some(Incoming::Echo(ident, seq_no, data)),
                _ => None,
            }
        }
        _ => None,
    }
}

/// Adds a frame to the inside with a payload of that length.
pub(crate) fn frame<R>(
    out: &mut Outbox,
    kind: EthernetProtocol,
    length: usize,
    fill: impl FnOnce(&mut [u8]) -> R,
) -> R {
    out.add(ETHERNET + length, |bytes| {
        let mut frame = EthernetFrame::new_unchecked(bytes);
        frame.set_dst_addr(EthernetAddress(ADDRESSES.guest_mac()));
        frame.set_src_addr(EthernetAddress(ADDRESSES.gateway_mac()));
        frame.set_ethertype(kind);
        fill(frame.payload_mut())
    })
}

/// Answers who the gateway is.
pub(crate) fn i_am_the_gateway(out: &mut Outbox) {
    let answer = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: EthernetAddress(ADDRESSES.gateway_mac()),
        source_protocol_addr: ADDRESSES.gateway(),
        target_hardware_addr: EthernetAddress(ADDRESSES.guest_mac()),
        target_protocol_addr: ADDRESSES.guest(),
    };
    frame(out, EthernetProtocol::Arp, answer.buffer_len(), |bytes| answer.emit(&mut ArpPacket::new_unchecked(bytes)));
}

fn ipv4(out: &mut Outbox, from: Ipv4Addr, next_header: IpProtocol, length: usize, fill: impl FnOnce(&mut [u8])) {
    let header =
        Ipv4Repr { src_addr: from, dst_addr: ADDRESSES.guest(), next_header, payload_len: length, hop_limit: 64 };
    frame(out, EthernetProtocol::Ipv4, header.buffer_len() + length, |bytes| {
        let mut packet = Ipv4Packet::new_unchecked(bytes);
        header.emit(&mut packet, &ChecksumCapabilities::default());
        fill(packet.payload_mut());
    });
}

fn icmp(out: &mut Outbox, message: &Icmpv4Repr<'_>) {
    ipv4(out, ADDRESSES.gateway(), IpProtocol::Icmp, message.buffer_len(), |bytes| {
        message.emit(&mut Icmpv4Packet::new_unchecked(bytes), &ChecksumCapabilities::default());
    });
}

/// Answers an echo request.
pub(crate) fn echo(out: &mut Outbox, ident: u16, seq_no: u16, data: &[u8]) {
    if data.len() <= MTU - 28 {
        icmp(out, &Icmpv4Repr::EchoReply { ident, seq_no, data });
    }
}

/// Why a packet leads nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unreachable {
    /// The rules forbid it.
    Forbidden,
    /// The host finds no way, or nobody answers.
    Host,
    /// Nobody listens.
    Port,
}

impl Unreachable {
    /// What an error of the host's socket means for the inside.
    pub(crate) fn of(error: ErrorKind) -> Self {
        if error == ErrorKind::ConnectionRefused { Self::Port } else { Self::Host }
    }
}

/// Tells that a packet led nowhere.
pub(crate) fn unreachable(out: &mut Outbox, head: &Head, why: Unreachable) {
    let reason = match why {
        Unreachable::Forbidden => Icmpv4DstUnreachable::CommProhibited,
        Unreachable::Host => Icmpv4DstUnreachable::HostUnreachable,
        Unreachable::Port => Icmpv4DstUnreachable::PortUnreachable,
    };
    let header = Ipv4Repr {
        src_addr: ADDRESSES.guest(),
        dst_addr: *head.key.destination.ip(),
        next_header: head.protocol,
        payload_len: head.payload_bytes,
        hop_limit: 64,
    };
    icmp(out, &Icmpv4Repr::DstUnreachable { reason, header, data: &head.first });
}

/// Longest payload of a datagram that fits a packet, in bytes.
pub(crate) const MAX_DATAGRAM: usize = MTU - 28;

/// Adds the answer to a datagram: from where that went. Longer ones than [`MAX_DATAGRAM`] must not be given.
pub(crate) fn datagram(out: &mut Outbox, key: &Key, payload: &[u8]) {
    let header = UdpRepr { src_port: key.destination.port(), dst_port: key.guest_port };
    let from = *key.destination.ip();
    ipv4(out, from, IpProtocol::Udp, header.header_len() + payload.len(), |bytes| {
        let mut packet = UdpPacket::new_unchecked(bytes);
        let (from, to) = (from.into(), ADDRESSES.guest().into());
        let copy = |to: &mut [u8]| to.copy_from_slice(payload);
        header.emit(&mut packet, &from, &to, payload.len(), copy, &ChecksumCapabilities::default());
    });
}
