//! A machine's end of its wire: the card that leads to the supervisor gets its addresses, and the name server is shown.
//!
//! The card is known by its hardware address, so that a machine elsewhere, with a card of another kind, is left alone. What
//! is set here stays when another init takes over: no program in the root is needed for it.

use std::fs::{self, File};
use std::os::fd::AsRawFd;
use std::path::Path;

use bundle::wire::{GUEST_MAC, RESOLVER, mac_text, messages, refusal};
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket};

/// Where the kernel lists network devices.
const DEVICES: &str = "/sys/class/net";

/// Where programs look for their name server.
const RESOLVER_PATH: &str = "/etc/resolv.conf";

/// Where it stands until the root is there. The file outlives the initial file system's other ones by being mounted.
const RESOLVER_SOURCE: &str = "/resolv.conf";

/// A wire that is up, and what the root is to be told about it.
pub struct Wire {
    resolver: File,
}

/// Sets the card up, if this machine has one that is ours. Its driver is loaded by now.
pub fn join() -> Result<Option<Wire>, String> {
    let Some(index) = card() else { return Ok(None) };
    for message in messages(index) {
        ask(&message).map_err(|errno| format!("set the network card up: {}", errno.desc()))?;
    }
    let made = fs::write(RESOLVER_SOURCE, RESOLVER).and_then(|()| File::open(RESOLVER_SOURCE));
    made.map(|resolver| Some(Wire { resolver })).map_err(|error| format!("write {RESOLVER_SOURCE}: {error}"))
}

impl Wire {
    /// Shows the name server in the root, which is the root by now, where it leaves that open.
    pub fn show(self) -> Result<(), String> {
        let problem = |what: &dyn std::fmt::Display| format!("name the name server in {RESOLVER_PATH}: {what}");
        let size = fs::metadata(RESOLVER_PATH).map_err(|error| problem(&error))?.len();
        if size > 0 {
            return Ok(());
        }
        // The file has no path any more that leads to it.
        let source = format!("/proc/self/fd/{}", self.resolver.as_raw_fd());
        let bind = |flags| mount(Some(source.as_str()), RESOLVER_PATH, None::<&str>, flags, None::<&str>);
        bind(MsFlags::MS_BIND).map_err(|errno| problem(&errno.desc()))
    }
}

/// The index of the card.
fn card() -> Option<u32> {
    let read = |path: &Path, name: &str| fs::read_to_string(path.join(name)).unwrap_or_default();
    let mut devices = fs::read_dir(DEVICES).ok()?.flatten().map(|device| device.path());
    let ours = devices.find(|device| read(device, "address").trim() == mac_text(GUEST_MAC))?;
    read(&ours, "ifindex").trim().parse().ok()
}

/// Sends the kernel a message and hears its answer.
fn ask(message: &[u8]) -> Result<(), Errno> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let asking = socket(AddressFamily::Netlink, SockType::Raw, flags, SockProtocol::NetlinkRoute)?;
    send(asking.as_raw_fd(), message, MsgFlags::empty())?;
    let mut answer = [0; 1024];
    let length = recv(asking.as_raw_fd(), &mut answer, MsgFlags::empty())?;
    refusal(answer.get(..length).unwrap_or_default()).map_or(Ok(()), |code| Err(Errno::from_raw(code)))
}
