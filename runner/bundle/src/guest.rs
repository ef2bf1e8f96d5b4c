//! What the guest, PID 1 inside an appliance, is told by the compiler: a file in the image.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// Where the guest binary stands in an image.
pub const GUEST_PATH: &str = "/usr/lib/appliance/guest";

/// Where its settings stand in an image.
pub const SETTINGS_PATH: &str = "/usr/lib/appliance/guest.json";

/// The environment variable that carries the number of the file descriptor of the guest channel, where there is one.
pub const CHANNEL_FD_ENV: &str = "APPLIANCE_CHANNEL_FD";

/// The environment variable that, set to `1`, lets a service go on as the user that the guest runs as where its
/// own user does not exist in the user namespace, which then has a single user.
pub const SINGLE_ID_ENV: &str = "APPLIANCE_SINGLE_ID";

/// The environment variable that, set to `stop`, makes the end of the guest channel a request to stop.
pub const CHANNEL_END_ENV: &str = "APPLIANCE_CHANNEL_END";

/// The environment variable that names files of the appliance's control group which are open for the guest, as
/// `NAME=DESCRIPTOR` with blanks between them. A descriptor that is not open belongs to a file that the kernel does not have.
pub const GROUP_FILES_ENV: &str = "APPLIANCE_GROUP_FILES";

/// The environment variable that says how many bytes of memory the appliance may use, where its host limits that.
pub const MEMORY_LIMIT_ENV: &str = "APPLIANCE_MEMORY_LIMIT";

/// Where every distribution has the init that its packages install, for appliances that want that as process 1.
pub const SYSTEM_INIT_PATH: &str = "/sbin/init";

/// Where another init is process 1, this word starts the guest as its agent, which decides about the services and speaks
/// to the host.
pub const AGENT_WORD: &str = "agent";

/// This word and the name of a service start what a unit of systemd runs: it becomes the service's program when the agent
/// says so.
pub const UNIT_WORD: &str = "unit";

/// This word and the name of a service tell the agent how the process of its unit ended (systemd.exec(5),
/// `$EXIT_STATUS`).
pub const ENDED_WORD: &str = "ended";

/// The signal by which a unit ends that the agent does not want to start, `RTMIN+20` in the words of systemd: no program
/// ends by it, so that its unit can be told not to start again.
pub const UNWANTED_SIGNAL: i32 = 54;

/// The exit status of an appliance that failed because a service was not ready in time.
pub const STATUS_NOT_READY: u8 = 124;

/// The exit status of a guest that could not do its own work: bad settings, bad command line.
pub const STATUS_GUEST_FAILED: u8 = 125;

/// The exit status where the program of a command or main service cannot be executed, as in shells.
pub const STATUS_NOT_EXECUTABLE: u8 = 126;

/// The exit status where the program of a command or main service does not exist, as in shells.
pub const STATUS_NOT_FOUND: u8 = 127;

/// The search path of processes whose environment names none.
pub const DEFAULT_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// The schema number that this code writes and the highest that it reads.
pub const SCHEMA: u32 = 1;

/// The guest's settings.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Schema number of this file.
    pub schema: u32,
    /// The host name to set where the guest may set one.
    pub hostname: String,
    /// Environment of every service and command.
    pub env: BTreeMap<String, String>,
    /// The services in start order: each comes after all that it names in `after`.
    pub services: Vec<Service>,
    /// The service whose end ends the appliance and whose status is its own; none when there are no services.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub main: Option<String>,
    /// Programs that `exec` may start; empty for any.
    pub tools: Vec<String>,
    /// Capabilities that services and commands keep, by the names of [`crate::capability::NAMES`], sorted.
    pub capabilities: Vec<String>,
}

/// One service.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// Program and arguments.
    pub args: Vec<String>,
    /// Environment on top of the appliance's.
    pub env: BTreeMap<String, String>,
    /// Who it runs as, in numbers, looked up when the image was built.
    pub user: User,
    /// Services that must be ready first.
    pub after: Vec<String>,
    /// What happens when it ends.
    pub restart: Restart,
    /// Milliseconds before a restart.
    pub restart_delay_ms: u64,
    /// When it counts as ready; absent for as soon as it was started.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub ready: Option<Ready>,
    /// Milliseconds between the request to stop and the kill.
    pub stop_grace_ms: u64,
}

/// Who a service runs as.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// Login name, for `USER` and `LOGNAME`.
    pub name: String,
    /// User id.
    pub uid: u32,
    /// Primary group id.
    pub gid: u32,
    /// Further group ids, sorted.
    pub groups: Vec<u32>,
    /// Home folder, for `HOME` and as the working folder if it exists.
    pub home: String,
}

/// What happens when a service ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Restart {
    /// Nothing.
    Never,
    /// It is started again unless it ended with status 0.
    OnFailure,
    /// It is started again.
    Always,
}

/// When a service counts as ready.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Ready {
    /// What is tried, again and again.
    pub probe: Probe,
    /// Milliseconds within which it must succeed, else the service counts as failed.
    pub within_ms: u64,
}

/// A readiness probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// A GET on `http://HOST:PORT/PATH` (no TLS) answers with a status of 200 to 399.
    Http(String),
    /// A connection to `HOST:PORT` is accepted.
    Tcp(String),
    /// The path exists.
    File(String),
    /// The program, started as the service's user, ends with status 0.
    Exec(Vec<String>),
}
