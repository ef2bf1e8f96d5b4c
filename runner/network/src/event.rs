//! What the wire tells its supervisor.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

/// What carries a connection or an exchange.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// A connection.
    Tcp,
    /// An exchange of datagrams.
    Udp,
}

/// Something that the supervisor may tell. Each is sent once for each destination and name, and of a bounded number of
/// them: an inside that tries everything floods nobody.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// The first time that this destination was reached for.
    Allowed {
        /// Where to.
        destination: SocketAddr,
        /// By what.
        protocol: Protocol,
        /// The name under which the inside got the address, if it asked for one.
        name: Option<String>,
        /// What allows it: a listed destination, or the mode, in words.
        rule: String,
    },
    /// The first time that this destination was refused.
    Denied {
        /// Where to.
        destination: SocketAddr,
        /// By what.
        protocol: Protocol,
        /// The name under which the inside got the address, if it asked for one.
        name: Option<String>,
        /// What forbids it, in words.
        rule: String,
    },
    /// The first time that a name which is not listed was asked for.
    UnlistedName {
        /// The name.
        name: String,
    },
    /// The first time that a listed name led to this address, which is never reached and was not told to the inside.
    Misled {
        /// The name.
        name: String,
        /// Where it leads.
        address: IpAddr,
        /// Why that is never reached, in words.
        rule: String,
    },
    /// The first time that the host could not look up a listed name.
    LookupFailed {
        /// The name.
        name: String,
        /// What the host says, in words.
        why: String,
    },
    /// The last of its kind: what comes after it is only counted.
    Enough {
        /// The kind, in words.
        what: &'static str,
    },
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "TCP",
            Self::Udp => "UDP",
        })
    }
}

/// A sentence about the appliance for a user, without its subject and a full stop.
impl fmt::Display for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (verb, destination, protocol, name, rule) = match self {
            Self::Allowed { destination, protocol, name, rule } => ("reaches", destination, protocol, name, rule),
            Self::Denied { destination, protocol, name, rule } => ("may not reach", destination, protocol, name, rule),
            Self::UnlistedName { name } => return write!(f, "may not ask for {name}: no `allow` lists it"),
            Self::Misled { name, address, rule } => {
                return write!(f, "may not reach {name}: it leads to {address}, which is never reached: {rule}");
            }
            Self::LookupFailed { name, why } => {
                return write!(f, "asks for {name}, which the host could not look up: {why}");
            }
            Self::Enough { what } => return write!(f, "had so many {what} that further ones are not told"),
        };
        match name {
            Some(name) => write!(f, "{verb} {name} ({destination}, {protocol}): {rule}"),
            None => write!(f, "{verb} {destination} ({protocol}): {rule}"),
        }
    }
}

/// What happened on a wire.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Frames from the inside.
    pub frames_in: u64,
    /// Frames to the inside.
    pub frames_out: u64,
    /// Connections and exchanges that were dialled.
    pub allowed: u64,
    /// Connections and datagrams that were refused.
    pub denied: u64,
    /// Questions for names that were answered with addresses.
    pub names: u64,
    /// Questions for names that are not listed.
    pub unlisted_names: u64,
    /// Frames that nobody answers: not of the protocols, broken, or not from the inside's address.
    pub dropped: u64,
    /// Connections and datagrams for which a table was full.
    pub crowded: u64,
}
