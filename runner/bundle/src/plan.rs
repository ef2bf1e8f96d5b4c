//! `plan.json`: what an appliance asks of whatever runs it, free of any platform's words.
//!
//! The compiler derives it from the checked spec alone. The runner binds it to a host: it finds out
//! what the host can enforce, and says so for each item that it cannot.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

/// The file name of the plan inside a bundle folder.
pub const FILE_NAME: &str = "plan.json";

/// The schema number that this code writes and the highest that it reads.
pub const SCHEMA: u32 = 1;

/// What an appliance asks of its host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// Schema number of this file.
    pub schema: u32,
    /// The appliance's name.
    pub name: String,
    /// The appliance's version.
    pub version: String,
    /// Host name inside.
    pub hostname: String,
    /// What PID 1 is started with.
    pub process: Process,
    /// The root file system at run time.
    pub root: Root,
    /// What the processes inside may do.
    pub isolation: Isolation,
    /// What they can reach, and what reaches them.
    pub network: Network,
    /// What they may use.
    pub resources: Resources,
    /// Storage that outlives an instance.
    pub volumes: Vec<Volume>,
    /// What a double-click shows.
    pub open: Vec<Open>,
    /// Whether a GPU is needed.
    pub gpu: Gpu,
}

/// PID 1.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Process {
    /// Program and arguments; the guest, for every appliance with builtin init.
    pub args: Vec<String>,
    /// The environment.
    pub env: BTreeMap<String, String>,
    /// Milliseconds between the request to stop and the kill.
    pub stop_grace_ms: u64,
}

/// The root file system at run time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// Whether writes outside [`Root::writable`] fail.
    pub read_only: bool,
    /// Paths that are writable although the root is not; gone at stop.
    pub writable: Vec<String>,
    /// RAM-backed empty folders.
    pub scratch: Vec<Scratch>,
}

/// A RAM-backed folder, empty at start and gone at stop.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scratch {
    /// Absolute path inside.
    pub path: String,
    /// Upper limit in bytes.
    pub size_bytes: u64,
}

/// How strongly an instance is kept apart from its host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Level {
    /// Namespaces of the host's kernel.
    Container,
    /// A machine of its own.
    Vm,
}

/// What the processes inside may do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Isolation {
    /// The level asked for; absent for the strongest that the host offers.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub level: Option<Level>,
    /// Never run below this level.
    pub at_least: Level,
    /// Capabilities kept, by kernel name without `CAP_`, lower case (`net_bind_service`), sorted.
    pub capabilities: Vec<String>,
    /// The system call filter.
    pub seccomp: Seccomp,
}

/// The system call filter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Seccomp {
    /// What container engines allow by default.
    Default,
    /// Also without namespaces, mounts, keyrings, bpf, perf, ptrace and io_uring for any caller.
    Strict,
    /// A profile file in the OCI runtime specification's form (`linux.seccomp`), as JSON text.
    Profile(String),
}

/// What an appliance can reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NetworkMode {
    /// No network device but loopback; declared ports are carried by the guest channel.
    None,
    /// Connections outward only.
    Outbound,
    /// Everything the host can reach.
    Full,
}

/// What an appliance can reach, and the ports that the host can reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Network {
    /// Which connections are possible.
    pub mode: NetworkMode,
    /// With [`NetworkMode::Outbound`]: the only destinations (`host`, `host:port`, `cidr`); empty for all public ones.
    pub allow: Vec<String>,
    /// Ports that the host can reach, sorted by number.
    pub ports: Vec<Port>,
}

/// A TCP port that something inside listens on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Port {
    /// The port inside, on the loopback address.
    pub port: u16,
    /// Its name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub name: Option<String>,
}

/// What an instance may use. Absent means no limit was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Resources {
    /// Memory in bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub memory: Option<Memory>,
    /// Processors in thousandths: 2000 is two.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cpus_milli: Option<u64>,
    /// Processes and threads.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pids: Option<u64>,
    /// Size of a writable root or disk in bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub disk_bytes: Option<u64>,
}

/// Memory in bytes: what is asked, and between which bounds a host may fit it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Memory {
    /// What is asked for.
    pub bytes: u64,
    /// Less than this and it does not start.
    pub min_bytes: u64,
    /// No more than this even if the host has it.
    pub max_bytes: u64,
}

/// Storage that outlives an instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Volume {
    /// Its name on the host, per appliance.
    pub name: String,
    /// Absolute path inside.
    pub at: String,
    /// Upper limit in bytes, where one is set.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub size_bytes: Option<u64>,
}

/// What a double-click shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Open {
    /// Its name.
    pub name: String,
    /// `http` or `vnc`.
    pub scheme: String,
    /// One of the declared ports.
    pub port: u16,
}

/// Whether a GPU is needed, and which.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Gpu {
    /// `none`, `optional` or `required`.
    pub need: GpuNeed,
    /// Acceptable vendors in order of preference; empty for any.
    pub vendors: Vec<String>,
    /// Video memory needed, in bytes.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub memory_bytes: Option<u64>,
}

/// Whether a GPU is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum GpuNeed {
    /// Not used.
    None,
    /// Used if there is one; the fallback is announced.
    Optional,
    /// Without one it does not start.
    Required,
}
