//! One destination of `allow`: a host, an address or a range, perhaps with a port.

use std::fmt;
use std::net::IpAddr;

use thiserror::Error;

use crate::ranges::{Range, canonical, width};

/// A listed destination.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    text: String,
    what: What,
    port: Option<u16>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum What {
    Range(Range),
    /// In lower case, without a dot at the end.
    Name(String),
    /// What stands before it is any name: this begins with a dot.
    Below(String),
}

/// An `allow` entry that is no destination.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{entry}` is no destination: {why}")]
pub struct BadEntry {
    /// As it was written.
    pub entry: String,
    /// What is wrong with it, and what to write.
    pub why: &'static str,
}

impl Entry {
    /// Reads `HOST`, `*.HOST`, `ADDRESS`, `ADDRESS/BITS`, each perhaps with `:PORT`; an IPv6 address with a port stands in
    /// brackets.
    pub(crate) fn read(text: &str) -> Result<Self, BadEntry> {
        let bad = |why| BadEntry { entry: text.to_owned(), why };
        let (what, port) = split_port(text).map_err(bad)?;
        let what = match read_range(what).map_err(bad)? {
            Some(range) => What::Range(range),
            None => read_name(what).map_err(bad)?,
        };
        Ok(Self { text: text.to_owned(), what, port })
    }

    /// Whether an address is listed by itself or by its range, for that port.
    pub(crate) fn lists_address(&self, address: IpAddr, port: u16) -> bool {
        self.holds(address) && self.takes_port(port)
    }

    /// Whether an address is listed by itself or by its range, for whatever port.
    pub(crate) fn holds(&self, address: IpAddr) -> bool {
        matches!(self.what, What::Range(range) if range.holds(address))
    }

    /// Whether a name is listed, for whatever port.
    pub(crate) fn lists_name(&self, name: &str) -> bool {
        match &self.what {
            What::Range(_) => false,
            What::Name(listed) => listed == name,
            What::Below(ending) => name.len() > ending.len() && name.ends_with(ending.as_str()),
        }
    }

    /// Whether the port is meant.
    pub(crate) fn takes_port(&self, port: u16) -> bool {
        self.port.is_none_or(|listed| listed == port)
    }
}

impl fmt::Display for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

fn split_port(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (what, port) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((what, rest))) => match rest.strip_prefix(':') {
            Some(port) => (what, Some(port)),
            None if rest.is_empty() => (what, None),
            None => return Err("after the bracket comes nothing, or a colon and a port"),
        },
        Some(None) => return Err("the bracket is not closed"),
        None => match text.split_once(':') {
            Some((what, port)) if !port.contains(':') => (what, Some(port)),
            _ => (text, None),
        },
    };
    let number = |port: &str| match port.parse() {
        Ok(0) | Err(_) => Err("a port is a number from 1 to 65535"),
        Ok(number) if port.starts_with(|c: char| c.is_ascii_digit()) => Ok(number),
        Ok(_) => Err("a port is a number from 1 to 65535"),
    };
    Ok((what, port.map(number).transpose()?))
}

fn read_range(text: &str) -> Result<Option<Range>, &'static str> {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    match address.parse::<IpAddr>() {
        Ok(address) => {
            let bits = bits.map_or(Ok(width(address)), str::parse).map_err(|_| "a range ends with a number of bits")?;
            let range = Range::new(address, bits).ok_or("a range has no more bits than its address")?;
            Ok(Some(match (address, bits) {
                // A single address of a form that carries IPv4 means the address that it carries.
                (_, bits) if bits == width(address) => whole(canonical(address)),
                _ => range.canonical(),
            }))
        }
        Err(_) if bits.is_some() => Err("only an address has a range: write 10.0.0.0/8, without a path"),
        Err(_) => Ok(None),
    }
}

/// The range of one address.
fn whole(address: IpAddr) -> Range {
    Range::new(address, width(address)).unwrap_or_else(|| unreachable!("an address has as many bits as it has"))
}

/// A host name: RFC 1123, section 2.1, with underscores, which names that are looked up may have.
fn read_name(text: &str) -> Result<What, &'static str> {
    let lower = text.to_ascii_lowercase();
    let lower = lower.strip_suffix('.').unwrap_or(&lower);
    let (below, name) = lower.strip_prefix("*.").map_or((false, lower), |name| (true, name));
    let is_label = |label: &str| {
        let fits = (1..=63).contains(&label.len()) && !label.starts_with('-') && !label.ends_with('-');
        fits && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
    };
    if !name.is_ascii() {
        return Err("a name in another script is written as it is looked up, as `xn--…`");
    }
    if name.len() > 253 || !name.split('.').all(is_label) {
        return Err("a name is letters, digits and hyphens between dots, perhaps after `*.`");
    }
    // What ends like a number is taken for an IPv4 address by those who resolve names (WHATWG URL, section 3.5).
    let last = name.rsplit('.').next().unwrap_or_default();
    if last.starts_with("0x") || last.chars().all(|c| c.is_ascii_digit()) {
        return Err("an IPv4 address is four decimal numbers");
    }
    Ok(if below { What::Below(format!(".{name}")) } else { What::Name(name.to_owned()) })
}
