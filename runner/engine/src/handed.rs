//! What a container's first process says and hands over to its supervisor before it becomes the program.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use crate::helper::Failure;
use crate::inside;

/// What the first process hands over on its way to the program.
#[derive(Debug, Default)]
pub struct Handed {
    /// The supervisor's side of its terminal.
    pub terminal: Option<OwnedFd>,
    /// The frames of its network device.
    pub wire: Option<OwnedFd>,
}

/// The longest reason that is read.
const MAX_REASON_BYTES: usize = 4096;

/// Waits until the program runs: the socket ends when it does. Before, descriptors may come, each with its mark, or a reason.
pub fn wait(sync: &UnixStream) -> Result<Handed, Failure> {
    let (mut handed, mut reason) = (Handed::default(), Vec::new());
    let mut buffer = [0u8; 1024];
    loop {
        // Descriptors come with their own bytes alone (unix(7)).
        let (read, mut fds) = host::receive_with_fds(sync, &mut buffer)?;
        let bytes = buffer.get(..read).unwrap_or_default();
        match (fds.pop(), bytes) {
            (_, []) => break,
            (Some(fd), inside::TERMINAL_MARK) => handed.terminal = Some(fd),
            (Some(fd), inside::WIRE_MARK) => handed.wire = Some(fd),
            (_, bytes) => reason.extend_from_slice(bytes),
        }
    }
    reason.truncate(MAX_REASON_BYTES);
    match reason.is_empty() {
        true => Ok(handed),
        false => Err(String::from_utf8_lossy(&reason).into_owned().into()),
    }
}
