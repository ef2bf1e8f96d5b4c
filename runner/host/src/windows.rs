//! Windows: it has no Linux namespaces, so nothing here can start a container. Machines come with the platforms.

use std::io;

/// Always fails: says why no container can be started here.
pub fn require_containers() -> io::Result<()> {
    Err(io::Error::new(io::ErrorKind::Unsupported, "containers need a Linux kernel; Windows has none"))
}
