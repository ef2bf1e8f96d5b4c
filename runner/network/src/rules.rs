//! The decision: what may be reached. Everything it needs is an argument, and what it allows is a value that only it makes.

use std::net::{IpAddr, SocketAddr};

use crate::Protocol;
use crate::entry::{BadEntry, Entry};
use crate::ranges::{Kind, canonical, kind};

/// Which destinations may be reached.
#[derive(Debug, Clone)]
pub struct Rules {
    reach: Reach,
}

#[derive(Debug, Clone)]
enum Reach {
    /// What is listed.
    Listed(Vec<Entry>),
    /// Every public destination.
    Public,
    /// Public ones and the networks that the host is in.
    Full,
}

/// That one destination may be dialled by one protocol. Only [`Rules::judge`] makes it, and only for this it opens a
/// socket.
#[derive(Debug, PartialEq, Eq)]
pub struct Permit {
    destination: SocketAddr,
    protocol: Protocol,
    rule: String,
}

impl Permit {
    /// Where to: an IPv4 address wherever an IPv6 address carried one.
    pub fn destination(&self) -> SocketAddr {
        self.destination
    }

    /// By what.
    pub fn protocol(&self) -> Protocol {
        self.protocol
    }

    /// What allows it, in words.
    pub fn rule(&self) -> &str {
        &self.rule
    }
}

/// Why a destination may not be reached, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal(String);

impl Refusal {
    /// The words.
    pub fn rule(&self) -> &str {
        &self.0
    }

    /// What cannot be judged is refused.
    pub(crate) fn unknown(error: &std::io::Error) -> Self {
        Self(format!("the host's own addresses cannot be found out: {error}"))
    }
}

/// What the host knows about the destination at the moment of the decision.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// The addresses that the host itself has.
    pub own: &'a [IpAddr],
    /// The names under which the destination's address was given to the inside, in lower case.
    pub names: &'a [&'a str],
}

impl Rules {
    /// `network "outbound"`: what is listed, or every public destination if nothing is.
    ///
    /// # Errors
    /// If an entry is neither a host, an address nor a range, perhaps with a port.
    pub fn outbound(allow: &[String]) -> Result<Self, BadEntry> {
        let entries: Vec<Entry> = allow.iter().map(|entry| Entry::read(entry)).collect::<Result<_, _>>()?;
        Ok(Self { reach: if entries.is_empty() { Reach::Public } else { Reach::Listed(entries) } })
    }

    /// `network "full"`: everything but what is never reached.
    pub fn full() -> Self {
        Self { reach: Reach::Full }
    }

    /// Whether the destination may be reached.
    ///
    /// It is judged by its address alone. A name adds public addresses that were given for it, and never any other: a name
    /// that leads to the host or into its network gains nothing.
    ///
    /// # Errors
    /// The rule that forbids it.
    pub fn judge(&self, destination: SocketAddr, protocol: Protocol, known: Known<'_>) -> Result<Permit, Refusal> {
        let (address, port) = (canonical(destination.ip()), destination.port());
        let rule = self.rule(address, port, known).map_err(Refusal)?;
        Ok(Permit { destination: SocketAddr::new(address, port), protocol, rule })
    }

    /// Whether the inside may ask for this name, in lower case and without a dot at its end.
    pub fn lists_name(&self, name: &str) -> bool {
        match &self.reach {
            Reach::Listed(entries) => entries.iter().any(|entry| entry.lists_name(name)),
            Reach::Public | Reach::Full => true,
        }
    }

    /// Why no mode reaches this address, in words; `None` where one does.
    pub(crate) fn never(address: IpAddr, own: &[IpAddr]) -> Option<&'static str> {
        let address = canonical(address);
        match kind(address) {
            Kind::Never(range) => Some(range),
            _ if own.iter().any(|own| canonical(*own) == address) => Some("an address of the host itself"),
            _ => None,
        }
    }

    fn rule(&self, address: IpAddr, port: u16, known: Known<'_>) -> Result<String, String> {
        let kind = kind(address);
        if let Kind::Never(range) = kind {
            return Err(format!("{range}, is never reached"));
        }
        if port == 0 {
            return Err("there is no port 0".to_owned());
        }
        if let Some(own) = Self::never(address, known.own) {
            return Err(format!("{own} is never reached"));
        }
        match (&self.reach, kind) {
            (Reach::Full, _) => Ok("network \"full\"".to_owned()),
            (Reach::Public, Kind::Own(range)) => Err(format!("{range}, is reached only where `allow` lists it")),
            (Reach::Public, _) => Ok("network \"outbound\" without `allow`".to_owned()),
            (Reach::Listed(entries), kind) => listed(entries, kind, address, port, known.names),
        }
    }
}

fn listed(entries: &[Entry], kind: Kind, address: IpAddr, port: u16, names: &[&str]) -> Result<String, String> {
    let by_name = |entry: &&Entry| entry.takes_port(port) && names.iter().any(|name| entry.lists_name(name));
    let found = entries.iter().find(|entry| entry.lists_address(address, port));
    let named = || entries.iter().find(by_name);
    let by_any_name = |entry: &Entry| names.iter().any(|name| entry.lists_name(name));
    let elsewhere = |entry: &&Entry| entry.holds(address) || matches!(kind, Kind::Public) && by_any_name(entry);
    let other_port =
        || entries.iter().find(elsewhere).map(|entry| format!("\"{entry}\" lists it with another port alone"));
    match (found, kind) {
        (Some(entry), _) => Ok(format!("allow \"{entry}\"")),
        (None, Kind::Own(range)) if named().is_some() => {
            Err(format!("{range}, is reached only where `allow` lists the address or its range, whatever its name"))
        }
        (None, Kind::Own(range)) => Err(other_port().map_or_else(
            || format!("{range}, is reached only where `allow` lists it"),
            |other| format!("{range}, is reached only where `allow` lists it, and {other}"),
        )),
        (None, _) => match named() {
            Some(entry) => Ok(format!("allow \"{entry}\"")),
            None => {
                Err(other_port().map_or_else(|| "no `allow` lists it".to_owned(), |other| format!("`allow` {other}")))
            }
        },
    }
}
