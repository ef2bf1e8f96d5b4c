//! Frames of a hostile inside: whatever they are, only what is permitted is dialled, and what waits stays bounded.

use std::io;
use std::net::{IpAddr, TcpStream, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::sync::Arc;

use network::{Line, Permit, Protocol, Resolve, Rules, Stack, World};

use super::pieces::Pieces;

/// A host whose every destination is the other end of a pair that is gone.
struct Nowhere;

impl World for Nowhere {
    fn own_addresses(&self, _: IpAddr) -> io::Result<Vec<IpAddr>> {
        Ok(vec![[93, 184, 216, 99].into()])
    }

    fn resolver(&self) -> Arc<Resolve> {
        Arc::new(|name| Ok(vec![[93, 184, 216, name.len() as u8].into(), [127, 0, 0, 1].into()]))
    }

    fn dial(&self, permit: Permit) -> io::Result<Line> {
        let IpAddr::V4(address) = permit.destination().ip() else { panic!("there is no IPv6 inside") };
        assert!(!address.is_loopback() && !address.is_link_local() && !address.is_multicast(), "{address}");
        assert_ne!(address.octets(), [93, 184, 216, 99], "the host itself");
        Ok(match permit.protocol() {
            Protocol::Tcp => {
                let line = TcpStream::from(OwnedFd::from(UnixStream::pair()?.0));
                line.set_nonblocking(true)?;
                Line::Tcp(line)
            }
            Protocol::Udp => {
                let line = UdpSocket::from(OwnedFd::from(UnixDatagram::pair()?.0));
                line.set_nonblocking(true)?;
                Line::Udp(line)
            }
        })
    }
}

/// The first byte chooses the rules and whether checksums are repaired; then frames, each after its length in two bytes.
pub fn wire(data: &[u8]) -> bool {
    let mut pieces = Pieces(data);
    let choice = pieces.byte();
    let rules = match choice & 3 {
        0 => Rules::full(),
        1 => Rules::outbound(&[]).expect("an empty list is one"),
        _ => Rules::outbound(&["a.example:80".to_owned(), "10.0.0.0/8".to_owned()]).expect("both are destinations"),
    };
    let mut stack = Stack::new(rules, Nowhere).expect("a socket pair");
    let mut now_ms = 0;
    while !pieces.is_empty() {
        let length = usize::from(pieces.byte()) << 8 | usize::from(pieces.byte());
        let mut frame = pieces.chunk(length).to_vec();
        if choice & 4 == 0 {
            repair(&mut frame);
        }
        stack.frame(&frame, now_ms);
        now_ms += length as u64 * 7;
        stack.work(now_ms);
        assert!(stack.waiting().len() <= 300_000, "what waits grows without bound");
    }
    check_frames(stack.waiting());
    !stack.waiting().is_empty()
}

/// What goes to the inside is whole frames that fit its card.
fn check_frames(mut waiting: &[u8]) {
    while let Some((length, rest)) = waiting.split_first_chunk::<4>() {
        let length = u32::from_be_bytes(*length) as usize;
        assert!((14..=14 + network::MTU).contains(&length) && length <= rest.len(), "a frame of {length} bytes");
        waiting = &rest[length..];
    }
    assert!(waiting.is_empty());
}

/// Makes the sums of an IPv4 packet and of the TCP segment, datagram or ICMP message in it right, where there are any.
fn repair(frame: &mut [u8]) {
    let Some(packet) = frame.get_mut(14..).filter(|packet| packet.len() >= 20 && packet[0] == 0x45) else { return };
    let total = usize::from(u16::from_be_bytes([packet[2], packet[3]]));
    let Some(packet) = packet.get_mut(..total).filter(|packet| packet.len() >= 20) else { return };
    packet[10..12].fill(0);
    let header = sum(&packet[..20], 0);
    packet[10..12].copy_from_slice(&header.to_be_bytes());
    let (at, pseudo) = match packet[9] {
        6 => (16, true),
        17 => (6, true),
        1 => (2, false),
        _ => return,
    };
    let (protocol, length) = (u32::from(packet[9]), (packet.len() - 20) as u32);
    let start = if pseudo { packet[12..20].chunks(2).map(word).sum::<u32>() + protocol + length } else { 0 };
    if let Some(place) = packet.get_mut(20 + at..22 + at) {
        place.fill(0);
        let sum = sum(&packet[20..], start);
        packet[20 + at..22 + at].copy_from_slice(&sum.to_be_bytes());
    }
}

fn word(bytes: &[u8]) -> u32 {
    u32::from(bytes[0]) << 8 | bytes.get(1).copied().map_or(0, u32::from)
}

/// The sum of RFC 1071.
fn sum(bytes: &[u8], start: u32) -> u16 {
    let mut sum = bytes.chunks(2).map(word).fold(start, u32::wrapping_add);
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !(sum as u16)
}
