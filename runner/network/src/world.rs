//! What the wire needs of the host, as an argument: tests give their own.

use std::io;
use std::net::{IpAddr, ToSocketAddrs};
use std::sync::Arc;

use nix::ifaddrs::getifaddrs;

use crate::Permit;
use crate::dial::{Line, dial, stays_here};

/// Looks a name up. It may block for as long as it likes.
pub type Resolve = dyn Fn(&str) -> io::Result<Vec<IpAddr>> + Send + Sync;

/// What a host does for its wires.
pub trait World {
    /// The addresses that the host has now, and `towards` if it stays on this host for another reason, like a route.
    ///
    /// # Errors
    /// If they cannot be found out. Then nothing is dialled.
    fn own_addresses(&self, towards: IpAddr) -> io::Result<Vec<IpAddr>>;

    /// How names are looked up.
    fn resolver(&self) -> Arc<Resolve>;

    /// Opens a socket to what is permitted. It must not block.
    ///
    /// # Errors
    /// Those of the system.
    fn dial(&self, permit: Permit) -> io::Result<Line> {
        dial(permit)
    }
}

/// This host.
#[derive(Debug, Clone, Copy)]
pub struct Host;

impl World for Host {
    fn own_addresses(&self, towards: IpAddr) -> io::Result<Vec<IpAddr>> {
        let addresses = getifaddrs()?.filter_map(|interface| {
            let address = interface.address?;
            let four = address.as_sockaddr_in().map(|four| IpAddr::V4(four.ip()));
            four.or_else(|| address.as_sockaddr_in6().map(|six| IpAddr::V6(six.ip())))
        });
        Ok(addresses.chain(stays_here(towards).then_some(towards)).collect())
    }

    fn resolver(&self) -> Arc<Resolve> {
        Arc::new(|name| Ok((name, 0).to_socket_addrs()?.map(|address| address.ip()).collect()))
    }
}
