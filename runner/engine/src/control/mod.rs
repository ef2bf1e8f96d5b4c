//! What a command says to the supervisor of an instance, and what it hears: the guest channel's own protocol over the
//! socket in the instance's folder. Verbs that are not known here are the guest's and are passed on to it.

mod client;
mod desk;
mod kept;
mod relay;
mod spool;

use std::net::SocketAddr;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::bind::Verdict;
use crate::memory::OutOfMemory;

pub use desk::{Desk, Wanted};
pub use spool::read as read_printed;

/// The name of the socket in an instance's folder.
pub const SOCKET: &str = "socket";

/// The answer to a pause, or a resume, that changes nothing.
pub const WAS_SO: &str = "was so";

/// The member of an answer that says that nothing inside can answer, since all of it stands still.
pub const STANDS_STILL: &str = "stands-still";

/// What a command asks of a supervisor itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case")]
pub enum Ask {
    /// Tell about the instance. Answered with an [`Info`].
    Info,
    /// Give what was printed, on a stream of pieces. Answered with a [`LogsFrom`].
    Logs {
        /// Only this many lines from the end; absent for all that is kept.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        tail: Option<u64>,
        /// Go on until the instance ends.
        #[serde(default)]
        follow: bool,
    },
    /// Stop the services in order, then end. Answered at once.
    Stop {
        /// Milliseconds until everything that is left is killed; absent for the plan's.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        within_ms: Option<u64>,
    },
    /// Send PID 1 a signal. Answered at once.
    Signal {
        /// Its number on Linux.
        number: i32,
    },
    /// Wait for the end. Answered with an [`EndedInstance`].
    Wait,
}

/// Where the stream of what was printed begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogsFrom {
    /// The position of its first byte, counted from the very first one that was printed.
    pub from: u64,
}

/// How far an instance is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Its services are not ready yet.
    Starting,
    /// All services are ready, or the command runs.
    Ready,
    /// Everything in it stands still.
    Paused,
    /// It was asked to stop.
    Stopping,
}

/// What a supervisor tells about its instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Info {
    /// Its name.
    pub name: String,
    /// The appliance, and its version.
    pub about: About,
    /// How far it is.
    pub state: State,
    /// The process id of its first process on the host, and when that started, in clock ticks since the machine's start.
    pub pid: i32,
    /// See `pid`.
    pub start_time: u64,
    /// The supervisor's process id.
    pub supervisor: u32,
    /// Ports that lead inside.
    pub ports: Vec<OpenPort>,
    /// Its control groups.
    pub groups: Vec<PathBuf>,
    /// What the kernel killed in it because memory ran out.
    #[serde(default)]
    pub out_of_memory: Option<OutOfMemory>,
    /// Whether it is a machine of its own.
    #[serde(default)]
    pub machine: bool,
    /// The stop that is under way.
    #[serde(default)]
    pub stop: Option<Stop>,
}

/// A stop that is under way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stop {
    /// The services that have not ended; none where they are not known.
    pub services: Vec<String>,
    /// Milliseconds between the request and the kill, where there is one time for all.
    pub within_ms: Option<u64>,
}

/// How a machine was lost: it ended while its services ran, and neither they nor anybody outside had asked for that.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineLost {
    /// What happened, as in "the machine was lost: …".
    pub why: String,
    /// The last lines of its console.
    pub console: Vec<String>,
}

/// What did not end when it was asked to, and was killed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Killed {
    /// The service; none for all that ran, where services are not known.
    pub service: Option<String>,
    /// Milliseconds that it was given; none where somebody would not wait for it.
    pub within_ms: Option<u64>,
}

/// What runs, as the plan and the caller of the run have it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct About {
    /// The appliance's name.
    pub appliance: String,
    /// Its version.
    pub version: String,
    /// It does not end with the command that started it, and what it prints is kept.
    pub detached: bool,
    /// What runs instead of the services; empty for the services.
    pub command: Vec<String>,
    /// What a double-click shows.
    pub open: Vec<bundle::plan::Open>,
}

/// A port of the host that leads inside.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct OpenPort {
    /// The port inside.
    pub inside: u16,
    /// The address on the host.
    pub address: SocketAddr,
}

/// An instance that has ended: how, and the proof that nothing of it is left.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndedInstance {
    /// Its name.
    pub name: String,
    /// The appliance, and its version.
    pub about: About,
    /// The exit status: that of the main service, or 128 and the number of the signal that ended it.
    pub status: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// Why it could not be started, if it could not.
    pub failed: Option<String>,
    /// Its supervisor was killed, so that nobody saw how it ended; what that had not read of what was printed is gone.
    #[serde(default)]
    pub lost: bool,
    /// The machine that it was ended while its services ran, and nobody had asked for that.
    #[serde(default)]
    pub machine_lost: Option<MachineLost>,
    /// What did not end when it was asked to, and was killed.
    #[serde(default)]
    pub killed: Vec<Killed>,
    /// What was made for it on the host.
    pub made: Vec<String>,
    /// What undoing removed by name; the rest ended with its processes and namespaces.
    pub removed: Vec<String>,
    /// What a look at the host still found afterwards; empty, or a fault.
    pub left: Vec<String>,
    /// What the kernel killed in it because memory ran out.
    #[serde(default)]
    pub out_of_memory: Option<OutOfMemory>,
    /// What was enforced, and how.
    pub verdicts: Vec<Verdict>,
    /// The position of the first byte that is kept of what it printed, counted from the very first one.
    #[serde(default)]
    pub printed_from: u64,
}
