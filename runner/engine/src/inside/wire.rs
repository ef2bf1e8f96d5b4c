//! The container's end of its wire: the one network device beside loopback, its addresses, and the name server.
//!
//! It is made in the container's own network namespace, where its first process may do that whoever runs it.

use std::fs::Permissions;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use bundle::wire::{DEVICE, RESOLVER, messages, refusal};
use host::{MountFlags, fd_path};

use super::mounts::NewRoot;
use super::{InsideError, WIRE_MARK, at};

/// Where programs look for their name server.
const RESOLVER_PATH: &str = "/etc/resolv.conf";

/// Makes the device and hands the supervisor its frames.
pub fn join(sync: &UnixStream) -> Result<(), InsideError> {
    let (frames, index) = host::make_tap(DEVICE).map_err(at("make the network device"))?;
    for message in messages(index) {
        ask(&message).map_err(at("set the network device up"))?;
    }
    host::send_with_fds(sync, WIRE_MARK, &[frames.as_raw_fd()]).map_err(at("hand over the network device"))?;
    Ok(())
}

fn ask(message: &[u8]) -> io::Result<()> {
    let answer = host::ask_about_network(message)?;
    refusal(&answer).map_or(Ok(()), |code| Err(io::Error::from_raw_os_error(code)))
}

/// Shows the name server where the image leaves that open; one that the spec names stays.
pub fn name_server(stage: &Path, root: &NewRoot) -> Result<(), InsideError> {
    let failed = || at("name the name server");
    let target = root.file(Path::new(RESOLVER_PATH)).map_err(failed())?;
    if std::fs::metadata(fd_path(&target)).map_err(failed())?.len() > 0 {
        return Ok(());
    }
    let source = stage.join("resolv.conf");
    std::fs::write(&source, RESOLVER).map_err(failed())?;
    std::fs::set_permissions(&source, Permissions::from_mode(0o644)).map_err(failed())?;
    host::bind(&source, &fd_path(&target), false).map_err(failed())?;
    let flags = MountFlags { read_only: true, no_suid: true, no_dev: true, no_exec: true };
    let shown = root.file(Path::new(RESOLVER_PATH)).map_err(failed())?;
    host::remount_bind(&fd_path(&shown), flags).map_err(failed())
}
