//! The decision against the registries of special addresses: every range, every form that an IPv4 address has inside IPv6.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use network::{Known, Protocol, Rules};
use proptest::prelude::*;

/// What the decision must make of a range.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Must {
    /// Refused whoever lists it.
    Never,
    /// Refused unless an address or a range lists it.
    Listed,
    /// Reached where every public destination is.
    Public,
}

use Must::{Listed, Never, Public};

/// IANA IPv4 Special-Purpose Address Registry, in its order, with multicast (RFC 5771). Written down a second time, as text.
const FOUR: &[(&str, Must)] = &[
    ("0.0.0.0/8", Never),
    ("10.0.0.0/8", Listed),
    ("100.64.0.0/10", Listed),
    ("127.0.0.0/8", Never),
    ("169.254.0.0/16", Never),
    ("172.16.0.0/12", Listed),
    ("192.0.0.0/29", Listed),
    ("192.0.0.8/32", Listed),
    ("192.0.0.9/32", Public),
    ("192.0.0.10/32", Public),
    ("192.0.0.170/32", Listed),
    ("192.0.0.171/32", Listed),
    ("192.0.2.0/24", Listed),
    ("192.31.196.0/24", Public),
    ("192.52.193.0/24", Public),
    ("192.88.99.0/24", Listed),
    ("192.168.0.0/16", Listed),
    ("192.175.48.0/24", Public),
    ("198.18.0.0/30", Never),
    ("198.18.0.4/30", Listed),
    ("198.19.0.0/16", Listed),
    ("198.51.100.0/24", Listed),
    ("203.0.113.0/24", Listed),
    ("224.0.0.0/4", Never),
    ("240.0.0.0/4", Never),
    ("255.255.255.255/32", Never),
    ("8.8.8.0/24", Public),
    ("11.0.0.0/8", Public),
    ("172.32.0.0/11", Public),
    ("100.128.0.0/9", Public),
];

/// IANA IPv6 Special-Purpose Address Registry, without the forms that carry IPv4, with multicast and link-local addresses.
const SIX: &[(&str, Must)] = &[
    ("::1/128", Never),
    ("::/128", Never),
    ("64:ff9b:1::/48", Listed),
    ("100::/64", Listed),
    ("100:0:0:1::/64", Listed),
    ("2001:1::1/128", Public),
    ("2001:1::2/128", Public),
    ("2001:1::3/128", Public),
    ("2001:1::4/128", Listed),
    ("2001:2::/48", Listed),
    ("2001:3::/32", Public),
    ("2001:4:112::/48", Public),
    ("2001:10::/28", Listed),
    ("2001:20::/28", Public),
    ("2001:30::/28", Public),
    ("2001:db8::/32", Listed),
    ("2620:4f:8000::/48", Public),
    ("3fff::/20", Listed),
    ("5f00::/16", Listed),
    ("fc00::/7", Listed),
    ("fe80::/10", Never),
    ("fec0::/10", Listed),
    ("ff00::/8", Never),
    ("2a00:1450::/32", Public),
];

/// An address of a range, with its other bits from `rest`.
fn within(range: &str, rest: u128) -> IpAddr {
    let (first, bits) = range.split_once('/').unwrap();
    let bits: u32 = bits.parse().unwrap();
    match first.parse().unwrap() {
        IpAddr::V4(first) => {
            let free = u32::MAX.checked_shr(bits).unwrap_or(0);
            Ipv4Addr::from_bits(first.to_bits() | (rest as u32 & free)).into()
        }
        IpAddr::V6(first) => {
            let free = u128::MAX.checked_shr(bits).unwrap_or(0);
            Ipv6Addr::from_bits(first.to_bits() | (rest & free)).into()
        }
    }
}

/// Every form in which packets for an IPv4 address may be spelled.
fn forms(address: Ipv4Addr, rest: u128) -> Vec<IpAddr> {
    let bits = u128::from(address.to_bits());
    let six = |bits: u128| IpAddr::V6(Ipv6Addr::from_bits(bits));
    let mut forms = vec![
        IpAddr::V4(address),
        six(0xffff << 32 | bits),
        six(0xffff << 48 | bits),
        six(0x0064_ff9b << 96 | bits),
        six(0x2002 << 112 | bits << 80 | rest >> 48),
        six(0x2001_0000 << 96 | (rest >> 32 << 32) & (u128::MAX >> 32) | !bits & 0xffff_ffff),
    ];
    // `::` and `::1` are addresses of their own.
    forms.extend((bits > 1).then(|| six(bits)));
    forms
}

fn allows(rules: &Rules, address: IpAddr, known: Known<'_>) -> bool {
    let verdicts =
        [Protocol::Tcp, Protocol::Udp].map(|by| rules.judge(SocketAddr::new(address, 443), by, known).is_ok());
    assert_eq!(verdicts[0], verdicts[1], "{address}: both protocols are judged alike");
    verdicts[0]
}

fn outbound(allow: &[&str]) -> Rules {
    Rules::outbound(&allow.iter().map(|entry| (*entry).to_owned()).collect::<Vec<_>>()).unwrap()
}

fn check(range: &str, must: Must, address: IpAddr) {
    let known = Known::default();
    let named = Known { own: &[], names: &["a.example"] };
    let own = [address];
    let everything = outbound(&["0.0.0.0/0", "::/0", range, "a.example"]);
    assert_eq!(allows(&outbound(&[]), address, known), must == Public, "{address} of {range} without a list");
    assert!(!allows(&outbound(&["b.example", "8.8.4.4"]), address, named), "{address} of {range} is not listed");
    assert_eq!(allows(&outbound(&["a.example"]), address, named), must == Public, "{address} of {range} by a name");
    assert_eq!(allows(&everything, address, named), must != Never, "{address} of {range} where everything is listed");
    assert_eq!(allows(&Rules::full(), address, known), must != Never, "{address} of {range} with a full network");
    for rules in [outbound(&[]), everything, Rules::full()] {
        assert!(!allows(&rules, address, Known { own: &own, names: &[] }), "{address} of {range} as the host's own");
    }
}

proptest! {
    #[test]
    fn special_addresses_are_judged_in_every_form(row in 0..FOUR.len(), rest: u128) {
        let (range, must) = FOUR[row];
        let IpAddr::V4(address) = within(range, rest) else { panic!("a range of IPv4") };
        // The last row but those of public samples lies within the one before it; the wire lies within the benchmarks.
        for form in forms(address, rest) {
            check(range, must, form);
        }
    }

    #[test]
    fn special_addresses_of_ipv6_are_judged(row in 0..SIX.len(), rest: u128) {
        let (range, must) = SIX[row];
        check(range, must, within(range, rest));
    }

    #[test]
    fn what_is_judged_is_what_is_dialled(bits: u32, port in 1..=u16::MAX) {
        let address = Ipv4Addr::from_bits(bits);
        for form in forms(address, 0) {
            if let Ok(permit) = Rules::full().judge(SocketAddr::new(form, port), Protocol::Tcp, Known::default()) {
                prop_assert_eq!(permit.destination(), SocketAddr::new(address.into(), port));
            }
        }
    }

    #[test]
    fn a_range_holds_its_own_addresses_alone(first: u32, bits in 0_u8..=32, other: u32, far: bool) {
        let mask = u32::MAX.checked_shl(32 - u32::from(bits)).unwrap_or(0);
        let other = if far { other } else { first & mask | other & !mask };
        let address = IpAddr::from(Ipv4Addr::from_bits(other));
        prop_assume!(allows(&Rules::full(), address, Known::default()));
        let range = format!("{}/{bits}", Ipv4Addr::from_bits(first));
        prop_assert_eq!(allows(&outbound(&[&range]), address, Known::default()), first & mask == other & mask);
    }

    #[test]
    fn no_text_makes_it_panic(text in "[a-z0-9.:/*\\[\\]-]{0,40}|\\PC{0,20}") {
        drop(Rules::outbound(&[text]));
    }
}

#[test]
fn every_row_is_tried() {
    for (range, must) in FOUR.iter().chain(SIX) {
        for rest in [0, u128::MAX] {
            match within(range, rest) {
                IpAddr::V4(address) => forms(address, rest).into_iter().for_each(|form| check(range, *must, form)),
                six => check(range, *must, six),
            }
        }
    }
}

#[test]
fn a_port_is_the_listed_one() {
    let rules = outbound(&["10.1.0.0/16:443", "192.168.7.9:80", "[2001:db8::1]:22", "a.example:443", "*.b.example"]);
    let judge = |address: &str, names: &[&str]| {
        let known = Known { own: &[], names };
        rules.judge(address.parse().unwrap(), Protocol::Tcp, known).map(|permit| permit.rule().to_owned()).ok()
    };
    let cases: [(&str, &[&str], Option<&str>); 14] = [
        ("10.1.2.3:443", &[], Some("allow \"10.1.0.0/16:443\"")),
        ("10.1.2.3:444", &[], None),
        ("10.2.2.3:443", &[], None),
        ("192.168.7.9:80", &[], Some("allow \"192.168.7.9:80\"")),
        ("192.168.7.8:80", &[], None),
        ("[2001:db8::1]:22", &[], Some("allow \"[2001:db8::1]:22\"")),
        ("[2001:db8::1]:80", &[], None),
        ("1.1.1.1:443", &["a.example"], Some("allow \"a.example:443\"")),
        ("1.1.1.1:80", &["a.example"], None),
        ("1.1.1.1:443", &["other.example"], None),
        ("1.1.1.1:443", &["b.example"], None),
        ("1.1.1.1:9", &["x.y.b.example"], Some("allow \"*.b.example\"")),
        ("1.1.1.1:9", &["xb.example"], None),
        ("1.1.1.1:0", &["x.b.example"], None),
    ];
    for (address, names, wanted) in cases {
        assert_eq!(judge(address, names).as_deref(), wanted, "{address} {names:?}");
    }
    assert!(rules.lists_name("a.example") && rules.lists_name("x.b.example"));
    assert!(!rules.lists_name("b.example") && !rules.lists_name("x.a.example") && !rules.lists_name("10.1.0.0"));
}

#[test]
fn a_refusal_says_where_another_port_is_listed() {
    let rules = outbound(&["10.1.0.0/16:443", "1.1.1.1:443", "a.example:443"]);
    let judge = |address: &str, names: &[&str]| {
        let known = Known { own: &[], names };
        rules.judge(address.parse().unwrap(), Protocol::Tcp, known).unwrap_err().rule().to_owned()
    };
    let own = "private, RFC 1918, is reached only where `allow` lists it";
    assert_eq!(judge("10.2.2.3:80", &[]), own);
    assert_eq!(judge("10.1.2.3:80", &[]), format!("{own}, and \"10.1.0.0/16:443\" lists it with another port alone"));
    assert_eq!(judge("10.2.2.3:80", &["a.example"]), own, "a name lists no private address");
    assert_eq!(judge("1.1.1.1:80", &[]), "`allow` \"1.1.1.1:443\" lists it with another port alone");
    assert_eq!(judge("2.2.2.2:80", &["a.example"]), "`allow` \"a.example:443\" lists it with another port alone");
    assert_eq!(judge("2.2.2.2:80", &["b.example"]), "no `allow` lists it");
}

#[test]
fn what_is_no_destination_is_told() {
    let bad = [
        "",
        "*",
        "*.",
        "a..b",
        "-a.example",
        "a_b.example/24",
        "10.0.0.0/33",
        "10.0.0.0/x",
        "10.0.0/8",
        "127.1",
        "0x7f.1",
        "2130706433",
        "host:0",
        "host:65536",
        "host:+80",
        "host:",
        "[::1",
        "[::1]80",
        "[::1]:x",
        "münchen.example",
        "::/129",
    ];
    for entry in bad {
        let error = Rules::outbound(&[entry.to_owned()]).expect_err(entry);
        assert_eq!(error.entry, entry);
    }
    for entry in
        ["a", "A.Example.", "*.example", "a_b.example:1", "::", "[::1]:80", "10.0.0.0/8:443", "::ffff:10.0.0.0/104"]
    {
        Rules::outbound(&[entry.to_owned()]).expect(entry);
    }
    assert!(outbound(&["A.Example."]).lists_name("a.example"));
    let mapped = outbound(&["::ffff:10.0.0.0/104"]);
    assert!(allows(&mapped, [10, 9, 9, 9].into(), Known::default()));
    assert!(!allows(&mapped, [11, 9, 9, 9].into(), Known::default()));
}
