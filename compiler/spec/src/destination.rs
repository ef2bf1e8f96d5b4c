//! What `allow` lists: whether a text is a destination, and whether it can ever be reached. The runner decides the same when
//! something is dialled; here it is told to who writes a spec.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Why this is no destination, and what to write; `None` where it is one.
pub(crate) fn problem(text: &str) -> Option<&'static str> {
    let (what, port) = match split(text) {
        Ok(parts) => parts,
        Err(problem) => return Some(problem),
    };
    if port.is_some_and(|port| !is_number(port) || !matches!(port.parse::<u16>(), Ok(1..))) {
        return Some("a port is a number from 1 to 65535");
    }
    let (address, bits) = range(what);
    match (address.parse::<IpAddr>(), bits) {
        (Ok(_), None) => None,
        (Ok(address), Some(bits)) => {
            let most = if address.is_ipv4() { 32 } else { 128 };
            let fits = is_number(bits) && bits.parse::<u8>().is_ok_and(|bits| bits <= most);
            (!fits).then_some("a range ends with a number of bits, as in \"10.0.0.0/8\"")
        }
        (Err(_), Some(_)) => Some("only an address has a range, as in \"10.0.0.0/8\""),
        (Err(_), None) if what == "*" => {
            Some("leave `allow` out: without it `network \"outbound\"` reaches every public address")
        }
        (Err(_), None) => {
            bad_name(what).then_some("write \"api.example.com:443\", \"*.example.com\" or \"10.0.0.0/8\"")
        }
    }
}

/// Why this destination is never reached, whoever lists it; `None` where it can be, or is none.
pub(crate) fn never(text: &str) -> Option<&'static str> {
    let (what, _) = split(text).ok()?;
    let (address, bits) = range(what);
    let bits = bits.map(str::parse::<u8>).transpose().ok()?;
    match address.parse::<IpAddr>() {
        Ok(IpAddr::V4(first)) => never_of_four(first, bits.unwrap_or(32)),
        Ok(IpAddr::V6(first)) => never_of_six(first, bits.unwrap_or(128)),
        Err(_) => {
            let name = address.to_ascii_lowercase();
            let name = name.strip_suffix('.').unwrap_or(&name);
            // RFC 6761, section 6.3.
            let is_local = name == "localhost" || name.ends_with(".localhost");
            is_local.then_some("such a name means loopback")
        }
    }
}

/// Ranges of IPv4 that mean this host, this wire or many hosts at once: IANA IPv4 Special-Purpose Address Registry, RFC 5771.
const NEVER: [([u8; 4], u8, &str); 6] = [
    ([0, 0, 0, 0], 8, "it means no host"),
    ([127, 0, 0, 0], 8, "it is loopback"),
    ([169, 254, 0, 0], 16, "it is link-local"),
    ([198, 18, 0, 0], 30, "it is the appliance's own wire"),
    ([224, 0, 0, 0], 4, "it is multicast"),
    ([240, 0, 0, 0], 4, "it is reserved"),
];

fn never_of_four(first: Ipv4Addr, bits: u8) -> Option<&'static str> {
    let holds = |range: [u8; 4], kept: u8| {
        bits >= kept && (Ipv4Addr::from(range).to_bits() ^ first.to_bits()) >> (32 - u32::from(kept)) == 0
    };
    NEVER.iter().find(|(range, kept, _)| holds(*range, *kept)).map(|(_, _, why)| *why)
}

fn never_of_six(first: Ipv6Addr, bits: u8) -> Option<&'static str> {
    match (first.to_ipv4_mapped(), bits.checked_sub(96)) {
        (Some(four), Some(bits)) => never_of_four(four, bits),
        _ if bits == 128 && carries_four(first) => None,
        _ => Some("inside there is IPv4 alone"),
    }
}

/// Whether it is an IPv6 address that leads to an IPv4 address: compatible (RFC 4291, section 2.5.5.1), translated
/// (RFC 2765), NAT64 (RFC 6052), 6to4 (RFC 3056), Teredo (RFC 4380).
fn carries_four(address: Ipv6Addr) -> bool {
    match address.segments() {
        [0, 0, 0, 0, 0, 0, 0, 0 | 1] => false,
        [0, 0, 0, 0, 0, 0, ..] | [0, 0, 0, 0, 0xffff, 0, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => true,
        [first, second, ..] => first == 0x2002 || (first, second) == (0x2001, 0),
    }
}

/// What stands before the port, and the port.
fn split(text: &str) -> Result<(&str, Option<&str>), &'static str> {
    match text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((what, "")) => Ok((what, None)),
        Some((what, rest)) => {
            let port = rest.strip_prefix(':').ok_or("after the bracket comes nothing, or a colon and a port")?;
            Ok((what, Some(port)))
        }
        None if text.matches(':').count() == 1 => Ok(text.split_once(':').map_or((text, None), |(a, b)| (a, Some(b)))),
        None => Ok((text, None)),
    }
}

/// What stands before the number of bits, and that number.
fn range(text: &str) -> (&str, Option<&str>) {
    text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether this is no name of a host (RFC 1123, section 2.1, with underscores), perhaps after `*.`. What ends like a number
/// would be taken for an address (WHATWG URL, section 3.5).
fn bad_name(text: &str) -> bool {
    let name = text.strip_suffix('.').unwrap_or(text);
    let name = name.strip_prefix("*.").unwrap_or(name);
    let is_label = |label: &str| {
        let letters = label.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
        (1..=63).contains(&label.len()) && letters && !label.starts_with('-') && !label.ends_with('-')
    };
    let last = name.rsplit('.').next().unwrap_or_default().to_ascii_lowercase();
    let is_numeric = last.starts_with("0x") || last.bytes().all(|byte| byte.is_ascii_digit());
    name.len() > 253 || !name.split('.').all(is_label) || is_numeric
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_never_reached_is_known() {
        let never_reached = [
            ("127.0.0.1", "it is loopback"),
            ("127.0.0.0/8", "it is loopback"),
            ("127.1.0.0/16", "it is loopback"),
            ("0.0.0.0:80", "it means no host"),
            ("169.254.169.254:80", "it is link-local"),
            ("198.18.0.1:53", "it is the appliance's own wire"),
            ("224.0.0.0/4", "it is multicast"),
            ("239.1.2.3", "it is multicast"),
            ("255.255.255.255", "it is reserved"),
            ("[::ffff:127.0.0.1]:80", "it is loopback"),
            ("::ffff:127.0.0.0/104", "it is loopback"),
            ("::1", "inside there is IPv4 alone"),
            ("2001:db8::/32", "inside there is IPv4 alone"),
            ("64:ff9b::/96", "inside there is IPv4 alone"),
            ("[2a00::1]:443", "inside there is IPv4 alone"),
            ("LocalHost.:80", "such a name means loopback"),
            ("*.localhost", "such a name means loopback"),
        ];
        for (text, why) in never_reached {
            assert_eq!((problem(text), never(text)), (None, Some(why)), "{text}");
        }
        let reached = [
            "0.0.0.0/0",
            "126.0.0.0/7",
            "10.0.0.0/8",
            "198.18.0.0/15",
            "198.18.0.4",
            "8.8.8.8:53",
            "::ffff:8.8.8.8",
            "::ffff:0:0/96",
            "64:ff9b::808:808",
            "2002:808:808::",
            "localhost.example",
            "a.example:443",
        ];
        for text in reached {
            assert_eq!((problem(text), never(text)), (None, None), "{text}");
        }
    }
}
