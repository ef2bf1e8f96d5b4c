//! Frames over the descriptor that the other end was given.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::outbox::{LENGTH_BYTES, Outbox};

/// Longest frame that a wire may carry, in bytes: what QEMU's own buffer holds (`NET_BUFSIZE`, 4 KiB and 64 KiB).
const MAX_FRAME: usize = 4096 + 65536;

/// Most frames that are taken before others get their turn.
const TURN: usize = 64;

/// Where frames come from and go to.
#[derive(Debug)]
pub enum Wire {
    /// A stream socket that QEMU's `-netdev stream` (`socket` before 7.2) speaks on: each frame after its length, four
    /// bytes, big-endian.
    Stream(OwnedFd),
    /// A `tap` without packet information (`IFF_TAP | IFF_NO_PI`): one frame a read or write.
    Packets(OwnedFd),
}

/// A wire in use.
#[derive(Debug)]
pub(crate) struct OpenWire {
    file: File,
    is_stream: bool,
    /// What came and is not yet taken.
    bytes: Vec<u8>,
    length: usize,
}

impl OpenWire {
    pub(crate) fn new(wire: Wire) -> io::Result<Self> {
        let (is_stream, descriptor) = match wire {
            Wire::Stream(descriptor) => (true, descriptor),
            Wire::Packets(descriptor) => (false, descriptor),
        };
        let flags = OFlag::from_bits_retain(fcntl(&descriptor, FcntlArg::F_GETFL)?);
        fcntl(&descriptor, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))?;
        let bytes = vec![0; LENGTH_BYTES + MAX_FRAME];
        Ok(Self { file: File::from(descriptor), is_stream, bytes, length: 0 })
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.file.as_fd()
    }

    /// Reads what has come, as much as one turn allows, and gives each frame to `take`. False at the end of the wire.
    pub(crate) fn receive(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<bool> {
        if self.is_stream {
            return self.receive_stream(take);
        }
        for _ in 0..TURN {
            match self.file.read(&mut self.bytes) {
                Ok(0) => return Ok(false),
                Ok(length) => take(&self.bytes[..length]),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if is_card_gone(&error) => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
    }

    fn receive_stream(&mut self, mut take: impl FnMut(&[u8])) -> io::Result<bool> {
        match self.file.read(&mut self.bytes[self.length..]) {
            Ok(0) => return Ok(false),
            Ok(length) => self.length += length,
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => return Ok(true),
            // The other end went away with frames for it on the way.
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(false),
            Err(error) => return Err(error),
        }
        let mut at = 0;
        while let Some((length, rest)) = self.bytes[at..self.length].split_first_chunk::<LENGTH_BYTES>() {
            let length = u32::from_be_bytes(*length) as usize;
            if length > MAX_FRAME {
                let why = format!("the wire tells a frame of {length} bytes; the longest has {MAX_FRAME}");
                return Err(io::Error::new(ErrorKind::InvalidData, why));
            }
            let Some(frame) = rest.get(..length) else { break };
            take(frame);
            at += LENGTH_BYTES + length;
        }
        self.bytes.copy_within(at..self.length, 0);
        self.length -= at;
        Ok(true)
    }

    /// Writes what waits, as much as the wire takes now. False at the end of the wire.
    pub(crate) fn send(&mut self, out: &mut Outbox) -> io::Result<bool> {
        // A stream may stop within a frame, so that what waits need not begin with a length.
        while !out.waiting().is_empty() {
            let frame = if self.is_stream { out.waiting() } else { out.first() };
            let frame_bytes = frame.len();
            match self.file.write(frame) {
                Ok(length) if self.is_stream => out.sent(length),
                Ok(_) => out.sent(LENGTH_BYTES + frame_bytes),
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Ok(true),
                    ErrorKind::Interrupted => {}
                    ErrorKind::BrokenPipe | ErrorKind::ConnectionReset => return Ok(false),
                    // The card is not up (yet): what is sent to it is lost, as on any wire.
                    _ if !self.is_stream && is(&error, Errno::EIO) => out.sent(LENGTH_BYTES + frame_bytes),
                    _ => return Err(error),
                },
            }
        }
        Ok(true)
    }
}

fn is(error: &io::Error, number: Errno) -> bool {
    error.raw_os_error() == Some(number as i32)
}

/// Whether a `tap` has lost its card: it tells so by a number that other systems do not have.
fn is_card_gone(error: &io::Error) -> bool {
    #[cfg(target_os = "linux")]
    return is(error, Errno::EBADFD);
    #[cfg(not(target_os = "linux"))]
    return is(error, Errno::EBADF);
}
