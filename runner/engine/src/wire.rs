//! What the command and its helper process say to each other: one order with descriptors, signals as bytes, reports as lines of JSON.

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::os::fd::{OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;

use bundle::channel::Event as GuestEvent;
use serde::{Deserialize, Serialize};

use crate::bind::Bound;
use crate::control::MachineLost;
use crate::memory::OutOfMemory;

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
    /// A volume belongs to somebody else than the appliance's own folder.
    ForeignVolume(ForeignVolume),
    /// Other running instances use a volume.
    SharedVolume {
        /// The volume, as `APPLIANCE/VOLUME`.
        volume: String,
        /// The instances.
        instances: Vec<String>,
    },
    /// The guest says something.
    Guest(GuestEvent),
    /// The guest of a machine was not heard yet, for longer than most take.
    Booting {
        /// Milliseconds within which it must be.
        within_ms: u64,
    },
    /// What was asked to stop has not ended after a moment.
    Waiting {
        /// The services that are waited for; none where they are not known.
        services: Vec<String>,
        /// The signal that began the stop; none when it began inside.
        signal: Option<i32>,
        /// Milliseconds between the request and the kill.
        within_ms: u64,
    },
    /// What had not ended was killed.
    Killed {
        /// The services that had not ended; none where they are not known.
        services: Vec<String>,
        /// The grace time in milliseconds, if its end was the reason; otherwise a second signal was.
        within_ms: Option<u64>,
    },
    /// The kernel killed something because memory ran out, and no guest could tell it.
    OutOfMemory(OutOfMemory),
    /// The appliance reached for what it may not; each destination and name is told once.
    Refused(Refused),
    /// The host could not look up a name that the appliance may ask for; each name is told once.
    LookupFailed {
        /// The name.
        name: String,
        /// What the host says.
        why: String,
    },
    /// Its wire is served no longer: nothing can be reached any more.
    NetworkLost(String),
    /// Something that is worth a word, such as that a disk of the machine failed.
    Notice(String),
    /// The machine ended although nobody had asked for that.
    MachineLost(MachineLost),
    /// What is kept of an earlier instance of this name, which ended with this status, goes when this one runs.
    Replaces {
        /// Its exit status.
        status: i32,
    },
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
    /// An instance of this name runs or is being started, so that nothing was made. Nothing comes after it.
    NameTaken,
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

/// Something that an appliance may not reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// What was refused and why, as a sentence about the appliance without its name: "may not reach …".
    pub text: String,
    /// Where to; none where it never came to a connection.
    pub destination: Option<SocketAddr>,
    /// `TCP` or `UDP`.
    pub protocol: Option<String>,
    /// The name by which it was meant, where there was one.
    pub name: Option<String>,
}

/// Why a port of the host is not the one that was wanted.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Moved {
    /// The port that was wanted.
    pub wanted: u16,
    /// Why it cannot be used.
    pub why: String,
}

impl Moved {
    /// The same with the instance that has the port, where one has it.
    pub fn by(self, holder: Option<String>) -> Self {
        let why = holder.map_or(self.why, |name| format!("the instance {name} has it"));
        Self { why, ..self }
    }
}

/// A volume that belongs to somebody else than the appliance's own folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ForeignVolume {
    /// The volume, as `APPLIANCE/VOLUME`.
    pub volume: String,
    /// Its folder on the host.
    pub folder: PathBuf,
    /// Its path in the appliance.
    pub at: String,
    /// The user of the host whose it is.
    pub uid: u32,
    /// The user of the host to whom the appliance's own folder belongs.
    pub wanted_uid: u32,
    /// The group of the host to which the appliance's own folder belongs.
    pub wanted_gid: u32,
    /// How that came about.
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
