//! What the network namespace of a container needs: its loopback device, and where it has a network, the end of a wire.

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;

use nix::net::if_::if_nametoindex;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

use super::check;

/// The device that network devices of programs are made by (kernel documentation, `networking/tuntap.rst`).
pub const TUN: &str = "/dev/net/tun";

/// Opens it.
///
/// # Errors
/// When it is not there, or this user may not open it.
pub fn open_tun() -> io::Result<File> {
    File::options().read(true).write(true).open(Path::new(TUN))
}

/// Makes a network device of this name in this process's network namespace, whose frames the descriptor takes and gives, one
/// at a time and nothing beside them. It is gone when the descriptor is closed. Gives it with the device's index.
pub fn make_tap(name: &str) -> io::Result<(OwnedFd, u32)> {
    let tun = open_tun()?;
    // SAFETY: an all-zero ifreq is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().take(libc::IFNAMSIZ - 1).zip(name.bytes()) {
        *slot = byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_TAP | libc::IFF_NO_PI) as libc::c_short;
    // SAFETY: TUNSETIFF reads and writes an ifreq, which outlives the call.
    check(unsafe { libc::ioctl(tun.as_raw_fd(), libc::TUNSETIFF as _, &raw mut request) }.into())?;
    Ok((tun.into(), if_nametoindex(name)?))
}

/// Sends the kernel one message about the network of this namespace (rtnetlink(7)) and gives its answer.
pub fn ask_about_network(message: &[u8]) -> io::Result<Vec<u8>> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let asking = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    send(asking.as_raw_fd(), message, MsgFlags::empty())?;
    let mut answer = vec![0; 4096];
    let length = recv(asking.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    answer.truncate(length);
    Ok(answer)
}

/// Sets the loopback device of this network namespace up.
pub fn loopback_up() -> io::Result<()> {
    // SAFETY: socket takes integers and gives a new descriptor.
    let raw = check(unsafe { libc::socket(libc::AF_INET, libc::SOCK_DGRAM | libc::SOCK_CLOEXEC, 0) }.into())?;
    // SAFETY: the kernel has just made this descriptor for us.
    let socket = unsafe { OwnedFd::from_raw_fd(i32::try_from(raw).map_err(io::Error::other)?) };
    // SAFETY: an all-zero ifreq is valid.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    for (slot, byte) in request.ifr_name.iter_mut().zip(b"lo") {
        *slot = *byte as libc::c_char;
    }
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads an ifreq, which outlives the call.
    check(unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) }.into()).map(drop)
}
