//! Tells systemd that something is ready (sd_notify(3)).

use std::io::IoSlice;
use std::os::fd::AsRawFd;

use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, UnixCredentials, sendmsg, socket,
};

/// The environment variable that names the socket.
const SOCKET_ENV: &str = "NOTIFY_SOCKET";

/// Says that this process is ready, or another one: root may speak for it, and systemd then takes it for that one's word.
/// A systemd that does not listen is none that waits.
pub fn ready(pid: Option<u32>) {
    if let Some(path) = std::env::var_os(SOCKET_ENV) {
        let _ = send(std::path::Path::new(&path), pid);
    }
}

fn send(path: &std::path::Path, pid: Option<u32>) -> nix::Result<()> {
    let address = UnixAddr::new(path)?;
    let socket = socket(AddressFamily::Unix, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
    let own = UnixCredentials::new();
    let who = pid.and_then(|pid| i32::try_from(pid).ok()).unwrap_or(own.pid());
    let who = UnixCredentials::from(libc::ucred { pid: who, uid: own.uid(), gid: own.gid() });
    let parts = [IoSlice::new(b"READY=1")];
    let speaks = [ControlMessage::ScmCredentials(&who)];
    sendmsg(socket.as_raw_fd(), &parts, &speaks, MsgFlags::MSG_NOSIGNAL, Some(&address)).map(drop)
}
