//! Finds the host, again and again: the guest channel of a machine, which can be joined late, left and joined anew.
//!
//! In a container the channel is inherited, once. In a machine the guest knows only by what it is carried; every time
//! that the host comes, there is a channel of its own.

use std::fs::{self, File};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;

use bundle::boot::{PORT_NAME, Transport};
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::sockopt::SocketError;
use nix::sys::socket::{
    AddressFamily, Backlog, SockFlag, SockType, VsockAddr, accept4, bind, connect, getpeername, getsockopt, socket,
};

use crate::channel::Channel;

/// Where the kernel lists virtio-serial ports.
const PORTS: &str = "/sys/class/virtio-ports";

/// The host's own address on vsock (vsock(7), `VMADDR_CID_HOST`).
const HOST: u32 = 2;

/// Milliseconds between two tries while the machine is young: the port appears a moment after its driver.
const SOON_MS: u64 = 5;

/// Milliseconds between two tries later. A host that joins a port says so by a signal, so this only is a net.
const LATER_MS: u64 = 1_000;

/// How long a machine is young.
const YOUTH_MS: u64 = 2_000;

/// The way to the host while there is no channel.
#[derive(Debug)]
pub struct Link {
    transport: Transport,
    /// The open port that nobody listens to yet, the connection that is being made, or what the host connects to.
    waiting: Option<OwnedFd>,
    next_ms: u64,
}

impl Link {
    /// The way by this transport; `None` when there is to be no channel.
    pub fn new(transport: Transport) -> Option<Self> {
        (transport != Transport::None).then_some(Self { transport, waiting: None, next_ms: 0 })
    }

    /// When to try next.
    pub fn deadline(&self) -> u64 {
        self.next_ms
    }

    /// Tries now; the channel, if the host is there.
    pub fn try_now(&mut self, now: u64) -> Option<Channel> {
        self.next_ms = now + if now < YOUTH_MS { SOON_MS } else { LATER_MS };
        let fd = match self.transport {
            Transport::Serial => self.port(),
            Transport::Vsock(port) => self.connection(port),
            Transport::VsockListen(port) => self.visitor(port),
            Transport::None => None,
        }?;
        Channel::over(fd).ok()
    }

    /// The port once the host has joined it: until then it is hung up.
    fn port(&mut self) -> Option<OwnedFd> {
        if self.waiting.is_none() {
            self.waiting = Some(open_port()?);
        }
        let is_joined = |fd: &OwnedFd| !state(fd).contains(PollFlags::POLLHUP);
        self.waiting.take_if(|fd| is_joined(fd))
    }

    /// The connection that the host has made.
    fn visitor(&mut self, port: u32) -> Option<OwnedFd> {
        if self.waiting.is_none() {
            self.waiting = Some(listen(port)?);
        }
        accept_from(self.waiting.as_ref()?, HOST)
    }

    /// The connection once the host has taken it.
    fn connection(&mut self, port: u32) -> Option<OwnedFd> {
        let Some(fd) = &self.waiting else {
            let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
            let fd = socket(AddressFamily::Vsock, SockType::Stream, flags, None).ok()?;
            let taken = connect(fd.as_raw_fd(), &VsockAddr::new(HOST, port)).is_ok();
            self.waiting = Some(fd);
            return self.waiting.take_if(|_| taken);
        };
        let state = state(fd);
        let failed = getsockopt(fd, SocketError) != Ok(0) || state.intersects(PollFlags::POLLERR | PollFlags::POLLHUP);
        let fd = self.waiting.take_if(|_| failed || state.contains(PollFlags::POLLOUT))?;
        (!failed).then_some(fd)
    }
}

fn state(fd: &OwnedFd) -> PollFlags {
    let mut fds = [PollFd::new(fd.as_fd(), PollFlags::POLLOUT)];
    let _ = poll(&mut fds, PollTimeout::ZERO);
    fds[0].revents().unwrap_or(PollFlags::POLLERR)
}

/// Waits for connections from outside the machine.
fn listen(port: u32) -> Option<OwnedFd> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let fd = socket(AddressFamily::Vsock, SockType::Stream, flags, None).ok()?;
    bind(fd.as_raw_fd(), &VsockAddr::new(libc::VMADDR_CID_ANY, port)).ok()?;
    nix::sys::socket::listen(&fd, Backlog::new(1).ok()?).ok()?;
    ask_for_signals(&fd);
    Some(fd)
}

/// The next connection that this side made. What runs inside could connect too, by the machine's own address, and must not
/// be taken for the host.
fn accept_from(listener: &OwnedFd, side: u32) -> Option<OwnedFd> {
    loop {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let number = accept4(listener.as_raw_fd(), flags).ok()?;
        // SAFETY: the kernel has just made it, and nobody else knows it.
        let fd = unsafe { OwnedFd::from_raw_fd(number) };
        if getpeername::<VsockAddr>(fd.as_raw_fd()).is_ok_and(|address| address.cid() == side) {
            return Some(fd);
        }
    }
}

/// A signal tells that something happens at this descriptor.
fn ask_for_signals(fd: &OwnedFd) {
    // SAFETY: the call takes a number of a process, this one, and no pointer.
    unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_SETOWN, libc::getpid()) };
    let _ = fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK | OFlag::O_ASYNC));
}

/// Opens the port and asks for a signal whenever the host joins or leaves it.
fn open_port() -> Option<OwnedFd> {
    let file =
        File::options().read(true).write(true).custom_flags(libc::O_NONBLOCK).open(port_path(PORT_NAME)?).ok()?;
    let fd = OwnedFd::from(file);
    ask_for_signals(&fd);
    Some(fd)
}

/// The device of the port with this name.
pub fn port_path(name: &str) -> Option<PathBuf> {
    let mut ports = fs::read_dir(PORTS).ok()?.flatten();
    let is_ours = |folder: PathBuf| fs::read_to_string(folder.join("name")).is_ok_and(|found| found.trim() == name);
    let port = ports.find(|port| is_ours(port.path()))?;
    Some(PathBuf::from("/dev").join(port.file_name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// This machine's own address (vsock(7), `VMADDR_CID_LOCAL`).
    const LOCAL: u32 = 1;

    /// Connects to this machine's own port; none where the kernel carries nothing to itself.
    fn visit(port: u32) -> Option<OwnedFd> {
        let fd = socket(AddressFamily::Vsock, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).ok()?;
        connect(fd.as_raw_fd(), &VsockAddr::new(LOCAL, port)).ok().map(|()| fd)
    }

    #[test]
    fn only_the_host_is_let_in() {
        crate::signals::ignore_those_of_descriptors();
        // Ports are the whole machine's: the first free one from a number of this process on.
        let port = (0..100).map(|number| 100_000 + std::process::id() % 100_000 * 100 + number);
        let Some((listener, port)) = port.filter_map(|port| Some((listen(port)?, port))).next() else {
            eprintln!("SKIP only_the_host_is_let_in: this kernel has no vsock");
            return;
        };
        assert!(accept_from(&listener, LOCAL).is_none(), "nobody has come yet");
        let Some(visitor) = visit(port) else {
            eprintln!("SKIP only_the_host_is_let_in: this kernel has no vsock loopback");
            return;
        };
        let accepted = accept_from(&listener, LOCAL).expect("it has connected");
        nix::unistd::write(&visitor, b"x").expect("it is open");
        let mut fds = [PollFd::new(accepted.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut fds, PollTimeout::NONE), Ok(1));
        let mut byte = [0];
        assert_eq!((nix::unistd::read(&accepted, &mut byte), byte), (Ok(1), *b"x"));
        let stranger = visit(port).expect("it listens");
        assert!(accept_from(&listener, HOST).is_none(), "it is not the host");
        let mut fds = [PollFd::new(stranger.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut fds, PollTimeout::NONE), Ok(1), "it is shown the door");
    }
}
