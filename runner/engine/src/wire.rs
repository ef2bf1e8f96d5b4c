//! What the command and its helper process say to each other: one order with descriptors, signals as bytes, reports as lines of JSON.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use bundle::channel::Event as GuestEvent;
use serde::{Deserialize, Serialize};

use crate::bind::Bound;

/// What the helper process reports.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Report {
    /// The program runs.
    Started {
        /// Its number on the host.
        pid: i32,
        /// When it started, in clock ticks since the machine's start.
        start_time: u64,
    },
    /// A port of the host now leads inside.
    PortOpen {
        /// The port inside.
        inside: u16,
        /// The address on the host.
        address: SocketAddr,
        /// What stands in the way of the port that was wanted, if another one was taken.
        moved: Option<Moved>,
    },
    /// The guest says something.
    Guest(GuestEvent),
    /// The channel to the guest broke; ports no longer lead inside.
    ChannelLost(String),
    /// The program ended and all was undone. Nothing comes after it.
    Ended {
        /// Its exit status.
        status: Option<i32>,
        /// The signal that killed it.
        signal: Option<i32>,
        /// What was made and removed again.
        removed: Vec<String>,
        /// What could not be removed.
        left: Vec<String>,
    },
    /// The run failed; what was made was undone. Nothing comes after it.
    Failed {
        /// Why, with its causes, for people.
        reason: String,
        /// What to do about it, where that is known.
        remedy: Option<String>,
        /// What could not be removed.
        left: Vec<String>,
    },
}

/// Why a port of the host is not the one that was wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The port that was wanted.
    pub wanted: u16,
    /// Why it cannot be used.
    pub why: String,
}

/// Larger than any order: a plan with a profile file of the largest size and some.
const MAX_ORDER_BYTES: usize = 8 << 20;

/// Sends the order to run.
pub fn send_order(socket: &UnixStream, bound: &Bound, stdio: &[RawFd; 3]) -> io::Result<()> {
    let text = serde_json::to_vec(bound)?;
    let length = u32::try_from(text.len()).map_err(io::Error::other)?;
    host::send_with_fds(socket, &length.to_le_bytes(), stdio)?;
    (&*socket).write_all(&text)
}

/// Receives the order to run and the standard streams.
pub fn receive_order(socket: &UnixStream) -> io::Result<(Bound, Vec<OwnedFd>)> {
    let mut length = [0u8; 4];
    let (read, fds) = host::receive_with_fds(socket, &mut length)?;
    (&*socket).read_exact(length.get_mut(read..).unwrap_or_default())?;
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_ORDER_BYTES || fds.len() != 3 {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let mut text = vec![0; length];
    (&*socket).read_exact(&mut text)?;
    Ok((serde_json::from_slice(&text)?, fds))
}

/// Sends a report. The command may be gone: the run then ends by another way.
pub fn report(socket: &UnixStream, report: &Report) {
    if let Ok(mut text) = serde_json::to_vec(report) {
        text.push(b'\n');
        let _ = (&*socket).write_all(&text);
    }
}

/// Takes the first complete report out of what has arrived.
pub fn next_report(buffer: &mut Vec<u8>) -> Option<Report> {
    let end = buffer.iter().position(|byte| *byte == b'\n')?;
    let line: Vec<u8> = buffer.drain(..=end).collect();
    serde_json::from_slice(&line).ok()
}
