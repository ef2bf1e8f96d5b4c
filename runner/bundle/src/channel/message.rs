//! What the JSON payloads of the guest channel say: events, requests and their answers.

use serde::{Deserialize, Serialize};

use super::verbs::{Entry, Exec, Metrics, Read, Write};
use super::{OLDEST_VERSION, OUT_OF_MEMORY_VERSION};

/// Something that happened inside the appliance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// A service changed its state.
    Service {
        /// Its name.
        name: String,
        /// The state it is in now.
        state: ServiceState,
    },
    /// A service ended and is started again; its state changes right after.
    Restart {
        /// Its name.
        name: String,
        /// What it ended with.
        status: u8,
        /// Milliseconds until it is started again.
        delay_ms: u64,
        /// Failures in a row, this one too; 0 after an end with status 0.
        failures: u32,
        /// Failures in a row after which it is given up, and the appliance fails.
        limit: u32,
    },
    /// A service that was asked to stop had not ended and was killed.
    Killed {
        /// Its name.
        name: String,
        /// Milliseconds that it was given; absent where a second request asked for the kill.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        within_ms: Option<u64>,
    },
    /// The kernel killed a process because memory ran out.
    OutOfMemory {
        /// The service that it was; absent where it was another process of the appliance.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        name: Option<String>,
        /// Bytes of memory that the appliance may use, where that is limited.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        limit_bytes: Option<u64>,
    },
    /// Every service is ready (or the command was started); sent once.
    Ready,
    /// The main service ended well while others still ran, so all of them stop.
    MainEnded {
        /// Its name.
        name: String,
        /// What it ended with.
        status: u8,
    },
    /// The appliance ends because something went wrong.
    Failed {
        /// What went wrong, for people.
        reason: String,
    },
    /// The appliance is about to end; the last event.
    Exited {
        /// The exit status: that of the main service, or 128 and the number of the signal that ended it.
        status: u8,
    },
}

impl Event {
    /// The first version of the protocol that knows it.
    pub fn since(&self) -> u16 {
        match self {
            Self::OutOfMemory { .. } => OUT_OF_MEMORY_VERSION,
            _ => OLDEST_VERSION,
        }
    }
}

/// The state of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServiceState {
    /// Waits for others to be ready.
    Waiting,
    /// Was started and is not ready yet.
    Starting,
    /// Is ready.
    Ready,
    /// Ended and is started again after its delay.
    Restarting,
    /// Was asked to stop.
    Stopping,
    /// Ended with this status (128 and the signal's number if a signal ended it) and stays so.
    Exited(u8),
}

/// What one side asks of the other. It opens the stream that it is sent on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verb", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Request {
    /// Stop everything in order, then end, and with it a machine of its own. Answered at once with [`Response::Done`].
    #[serde(alias = "poweroff")]
    Stop {
        /// Milliseconds until everything that is left is killed; absent for the services' own grace times.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        within_ms: Option<u64>,
    },
    /// Tell the state of every service. Answered with [`Response::Status`].
    Status,
    /// Run a program. Answered with [`Response::Done`] and an open stream, or with [`Response::NotStarted`].
    Exec(Exec),
    /// Tell what is used. Answered with [`Response::Metrics`].
    Metrics,
    /// Tell what a path is; a link is not followed. Answered with [`Response::Entry`].
    Stat {
        /// The absolute path.
        path: String,
    },
    /// Give what is in a folder, on a stream: pieces of output hold [`Entry`]s, one JSON value a line.
    List {
        /// The absolute path.
        path: String,
    },
    /// Give what is in a file, on a stream.
    Read(Read),
    /// Tell what happens to a file, or to the entries of a folder, on a stream: pieces of output hold
    /// [`super::Change`]s, one JSON value a line. A link is followed.
    Watch {
        /// The absolute path.
        path: String,
        /// Follow folders below it too, also those that come later.
        #[serde(skip_serializing_if = "is_false", default)]
        recursive: bool,
    },
    /// Make something: a file's content comes on the stream.
    Write(Write),
    /// Set the clock. Only a machine of its own has one.
    SetTime {
        /// Milliseconds since 1970, UTC.
        unix_ms: u64,
    },
    /// Mix this into the kernel's random numbers. Only a machine of its own has them for itself.
    Reseed {
        /// Bytes as hexadecimal digits.
        seed: String,
    },
    /// Take a signal as if it came to PID 1, by its number on Linux: SIGTERM stops, others go to the services.
    Signal {
        /// Its number.
        number: i32,
    },
    /// Let every process but this side itself stand still.
    Pause,
    /// Let them go on.
    Resume,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the form that serde calls")]
fn is_false(value: &bool) -> bool {
    !*value
}

/// The answer to a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Response {
    /// It is done, or under way.
    Done,
    /// The state of the appliance.
    Status(Status),
    /// What is used.
    Metrics(Metrics),
    /// What a path is.
    Entry(Entry),
    /// The program was not started.
    NotStarted {
        /// Why, for people.
        reason: String,
        /// The exit status that goes with it: 126 or 127, as shells use them.
        status: u8,
    },
    /// The verb or one of its fields is not known here.
    Unknown(String),
    /// It could not be done, and why.
    Failed(String),
}

/// The state of an appliance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Status {
    /// Whether [`Event::Ready`] was reached.
    pub ready: bool,
    /// The services, in start order.
    pub services: Vec<ServiceStatus>,
}

/// The state of one service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ServiceStatus {
    /// Its name.
    pub name: String,
    /// Its state.
    pub state: ServiceState,
    /// Its process id inside, while it runs.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pid: Option<u32>,
    /// How often it was started again.
    pub restarts: u32,
}
