//! What kind of address an address is, by the registries of special addresses.
//!
//! Sources: IANA IPv4 Special-Purpose Address Registry, IANA IPv6 Special-Purpose Address Registry (RFC 6890, RFC 8190), and
//! the registries of multicast addresses. A range of the registries that is marked "globally reachable" is public.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What an address is good for, whoever listed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// One that the whole Internet can reach.
    Public,
    /// One of somebody's own network, with the name of its range: only for those who list it.
    Own(&'static str),
    /// One that means this host, this wire or many at once, with the name of its range: for nobody.
    Never(&'static str),
}

/// A range of addresses: all that share the first `bits` bits of `first`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Range {
    first: IpAddr,
    bits: u8,
}

impl Range {
    /// The range, if `bits` are not more than the address has.
    pub(crate) fn new(first: IpAddr, bits: u8) -> Option<Self> {
        (bits <= width(first)).then_some(Self { first, bits })
    }

    /// Whether the address is of the range. An IPv4 address is never of an IPv6 range, nor the other way round.
    pub(crate) fn holds(&self, address: IpAddr) -> bool {
        let kept = u32::from(self.bits);
        match (self.first, address) {
            (IpAddr::V4(first), IpAddr::V4(other)) => {
                (first.to_bits() ^ other.to_bits()).checked_shr(32 - kept).unwrap_or(0) == 0
            }
            (IpAddr::V6(first), IpAddr::V6(other)) => {
                (first.to_bits() ^ other.to_bits()).checked_shr(128 - kept).unwrap_or(0) == 0
            }
            _ => false,
        }
    }

    /// The range as one of IPv4, if it stands in the mapped form (RFC 4291, section 2.5.5.2).
    pub(crate) fn canonical(self) -> Self {
        match (self.first, self.bits.checked_sub(96)) {
            (IpAddr::V6(first), Some(bits)) => {
                first.to_ipv4_mapped().map_or(self, |first| Self { first: IpAddr::V4(first), bits })
            }
            _ => self,
        }
    }
}

/// How many bits such an address has.
pub(crate) fn width(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

/// The address that packets to this one end at: an IPv6 address that carries an IPv4 address is that IPv4 address.
///
/// The forms: mapped and compatible (RFC 4291, section 2.5.5), translated (RFC 2765), 6to4 (RFC 3056), NAT64 (RFC 6052)
/// and Teredo's client (RFC 4380).
pub(crate) fn canonical(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V6(six) => carried(six).map_or(address, IpAddr::V4),
        IpAddr::V4(_) => address,
    }
}

fn carried(address: Ipv6Addr) -> Option<Ipv4Addr> {
    let s = address.segments();
    let low = || Ipv4Addr::from_bits((address.to_bits() & 0xffff_ffff) as u32);
    match s {
        // `::` and `::1` are the unspecified and the loopback address.
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => None,
        [0, 0, 0, 0, 0, 0xffff | 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => Some(low()),
        [0x2002, high, low, ..] => Some(Ipv4Addr::from_bits(u32::from(high) << 16 | u32::from(low))),
        [0x2001, 0, ..] => Some(Ipv4Addr::from_bits(!low().to_bits())),
        _ => None,
    }
}

/// What kind of address this is. Expects a [`canonical`] one.
pub(crate) fn kind(address: IpAddr) -> Kind {
    let row = match address {
        IpAddr::V4(four) => {
            let holds = |first: [u8; 4], bits| Range { first: IpAddr::V4(first.into()), bits }.holds(four.into());
            FOUR.iter().find(|(first, bits, _)| holds(*first, *bits)).map(|(_, _, kind)| *kind)
        }
        IpAddr::V6(six) => {
            let holds = |first: [u16; 8], bits| Range { first: IpAddr::V6(first.into()), bits }.holds(six.into());
            SIX.iter().find(|(first, bits, _)| holds(*first, *bits)).map(|(_, _, kind)| *kind)
        }
    };
    row.unwrap_or(Kind::Public)
}

use Kind::{Never, Own, Public};

/// The first row that holds an address tells its kind; what no row holds is public.
const FOUR: &[([u8; 4], u8, Kind)] = &[
    ([0, 0, 0, 0], 8, Never("unspecified, RFC 791")),
    ([10, 0, 0, 0], 8, Own("private, RFC 1918")),
    ([100, 64, 0, 0], 10, Own("shared, RFC 6598")),
    ([127, 0, 0, 0], 8, Never("loopback, RFC 1122")),
    ([169, 254, 0, 0], 16, Never("link-local, RFC 3927")),
    ([172, 16, 0, 0], 12, Own("private, RFC 1918")),
    ([192, 0, 0, 9], 32, Public),
    ([192, 0, 0, 10], 32, Public),
    ([192, 0, 0, 0], 24, Own("protocol assignments, RFC 6890")),
    ([192, 0, 2, 0], 24, Own("documentation, RFC 5737")),
    ([192, 88, 99, 0], 24, Own("deprecated relay, RFC 7526")),
    ([192, 168, 0, 0], 16, Own("private, RFC 1918")),
    ([198, 18, 0, 0], 30, Never("the wire itself")),
    ([198, 18, 0, 0], 15, Own("benchmarks, RFC 2544")),
    ([198, 51, 100, 0], 24, Own("documentation, RFC 5737")),
    ([203, 0, 113, 0], 24, Own("documentation, RFC 5737")),
    ([224, 0, 0, 0], 4, Never("multicast, RFC 5771")),
    ([255, 255, 255, 255], 32, Never("broadcast, RFC 919")),
    ([240, 0, 0, 0], 4, Never("reserved, RFC 1112")),
];

/// As [`FOUR`]. Only 2000::/3 is given out (RFC 4291, section 2.4): of the rest nothing is public.
const SIX: &[([u16; 8], u8, Kind)] = &[
    ([0; 8], 128, Never("unspecified, RFC 4291")),
    ([0, 0, 0, 0, 0, 0, 0, 1], 128, Never("loopback, RFC 4291")),
    ([0xfe80, 0, 0, 0, 0, 0, 0, 0], 10, Never("link-local, RFC 4291")),
    ([0xff00, 0, 0, 0, 0, 0, 0, 0], 8, Never("multicast, RFC 4291")),
    ([0x2001, 1, 0, 0, 0, 0, 0, 1], 128, Public),
    ([0x2001, 1, 0, 0, 0, 0, 0, 2], 128, Public),
    ([0x2001, 1, 0, 0, 0, 0, 0, 3], 128, Public),
    ([0x2001, 3, 0, 0, 0, 0, 0, 0], 32, Public),
    ([0x2001, 4, 0x112, 0, 0, 0, 0, 0], 48, Public),
    ([0x2001, 0x20, 0, 0, 0, 0, 0, 0], 28, Public),
    ([0x2001, 0x30, 0, 0, 0, 0, 0, 0], 28, Public),
    ([0x2001, 0, 0, 0, 0, 0, 0, 0], 23, Own("protocol assignments, RFC 2928")),
    ([0x2001, 0xdb8, 0, 0, 0, 0, 0, 0], 32, Own("documentation, RFC 3849")),
    ([0x3fff, 0, 0, 0, 0, 0, 0, 0], 20, Own("documentation, RFC 9637")),
    ([0x2000, 0, 0, 0, 0, 0, 0, 0], 3, Public),
    ([0xfc00, 0, 0, 0, 0, 0, 0, 0], 7, Own("private, RFC 4193")),
    ([0xfec0, 0, 0, 0, 0, 0, 0, 0], 10, Own("private, RFC 3879")),
    ([0; 8], 0, Own("not given out, RFC 4291")),
];
