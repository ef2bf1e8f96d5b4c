//! Frames over the descriptor that the other end was given.

use std::os::fd::OwnedFd;

/// Where frames come from and go to.
#[derive(Debug)]
pub enum Wire {
    /// A stream socket that QEMU's `-netdev stream` (`socket` before 7.2) speaks on: each frame after its length, four
    /// bytes, big-endian.
    Stream(OwnedFd),
    /// A `tap` without packet information (`IFF_TAP | IFF_NO_PI`): one frame a read or write.
    Packets(OwnedFd),
}
