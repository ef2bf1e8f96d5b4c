//! The one file that dials. [`dial`] takes a [`Permit`], which only the decision makes; the crate's `clippy.toml` forbids
//! these calls everywhere else.

#![expect(clippy::disallowed_methods, reason = "what is forbidden elsewhere stands here")]

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrStorage, connect, socket};

use crate::{Permit, Protocol};

/// A socket of the host that leads to one destination. It does not block.
#[derive(Debug)]
pub enum Line {
    /// A connection, which may still be on its way.
    Tcp(TcpStream),
    /// Datagrams, of that destination alone.
    Udp(UdpSocket),
}

/// Dials what is permitted, and does not wait for an answer.
pub(crate) fn dial(permit: Permit) -> io::Result<Line> {
    let destination = permit.destination();
    match permit.protocol() {
        Protocol::Tcp => {
            let socket = stream_socket(destination)?;
            match connect(socket.as_raw_fd(), &SockaddrStorage::from(destination)) {
                Ok(()) | Err(Errno::EINPROGRESS) => Ok(Line::Tcp(TcpStream::from(socket))),
                Err(error) => Err(error.into()),
            }
        }
        Protocol::Udp => {
            let socket = UdpSocket::bind(anywhere(destination.ip()))?;
            socket.set_nonblocking(true)?;
            socket.connect(destination)?;
            Ok(Line::Udp(socket))
        }
    }
}

/// Whether packets to the address would stay on this host: the system then gives them the same address to come from.
/// Nothing is sent for that, because to connect a datagram socket only chooses its route (connect(2)).
pub(crate) fn stays_here(address: IpAddr) -> bool {
    let chosen = UdpSocket::bind(anywhere(address)).and_then(|socket| {
        socket.connect((address, 9))?;
        socket.local_addr()
    });
    chosen.is_ok_and(|chosen| chosen.ip() == address)
}

fn stream_socket(destination: SocketAddr) -> io::Result<OwnedFd> {
    let family = if destination.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    #[cfg(any(target_os = "linux", target_os = "android"))]
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    #[cfg(not(any(target_os = "linux", target_os = "android")))]
    let flags = SockFlag::empty();
    let stream = TcpStream::from(socket(family, SockType::Stream, flags, None)?);
    stream.set_nonblocking(true)?;
    stream.set_nodelay(true)?;
    Ok(stream.into())
}

fn anywhere(towards: IpAddr) -> SocketAddr {
    match towards {
        IpAddr::V4(_) => (Ipv4Addr::UNSPECIFIED, 0).into(),
        IpAddr::V6(_) => (Ipv6Addr::UNSPECIFIED, 0).into(),
    }
}
