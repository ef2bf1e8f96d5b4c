//! The addresses of the wire: the same in every instance, because each has a wire of its own.

use std::net::Ipv4Addr;

/// Who is who on a wire.
///
/// They are of 198.18.0.0/15 (RFC 2544, benchmarks): a range that no host's network uses, so that a private range that
/// an appliance may reach is not hidden by its own wire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Addresses {
    guest: Ipv4Addr,
    gateway: Ipv4Addr,
    prefix: u8,
    guest_mac: [u8; 6],
    gateway_mac: [u8; 6],
    dns: Ipv4Addr,
}

/// The one set of addresses. The hardware addresses are locally administered (IEEE 802, second bit of the first byte).
pub const ADDRESSES: Addresses = Addresses {
    guest: Ipv4Addr::new(198, 18, 0, 2),
    gateway: Ipv4Addr::new(198, 18, 0, 1),
    prefix: 30,
    guest_mac: [0x02, 0x61, 0x70, 0x70, 0x00, 0x02],
    gateway_mac: [0x02, 0x61, 0x70, 0x70, 0x00, 0x01],
    dns: Ipv4Addr::new(198, 18, 0, 1),
};

/// Largest IP packet on the wire, in bytes.
pub const MTU: usize = 1500;

impl Addresses {
    /// What the inside has.
    pub const fn guest(&self) -> Ipv4Addr {
        self.guest
    }

    /// The inside's way out: the supervisor.
    pub const fn gateway(&self) -> Ipv4Addr {
        self.gateway
    }

    /// The length of the wire's network prefix, in bits.
    pub const fn prefix(&self) -> u8 {
        self.prefix
    }

    /// The hardware address that the inside's card must have.
    pub const fn guest_mac(&self) -> [u8; 6] {
        self.guest_mac
    }

    /// The gateway's hardware address.
    pub const fn gateway_mac(&self) -> [u8; 6] {
        self.gateway_mac
    }

    /// The name server that the inside asks, at UDP port 53.
    pub const fn dns(&self) -> Ipv4Addr {
        self.dns
    }
}
