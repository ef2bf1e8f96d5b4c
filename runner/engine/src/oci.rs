//! The part of the OCI runtime configuration (`config.json`, runtime-spec 1.2) that the engine writes and obeys.
//!
//! Plain data: what is printed by `appliance plan` is what the helper process reads. Nothing is decided here.

use serde::{Deserialize, Serialize};

/// A runtime configuration (`config.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Config {
    /// Version of the specification.
    pub oci_version: String,
    /// What is started.
    pub process: Process,
    /// The root file system.
    pub root: Root,
    /// Host name inside.
    pub hostname: String,
    /// Mounts in order.
    pub mounts: Vec<Mount>,
    /// What only Linux has.
    pub linux: Linux,
}

/// What is started (`config.md#process`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Process {
    /// Whether it gets a terminal of its own.
    pub terminal: bool,
    /// Who it runs as.
    pub user: User,
    /// Program and arguments.
    pub args: Vec<String>,
    /// Environment as `NAME=value`.
    pub env: Vec<String>,
    /// Working folder.
    pub cwd: String,
    /// Capabilities by kernel name.
    pub capabilities: Capabilities,
    /// Limits of the process.
    pub rlimits: Vec<Rlimit>,
    /// Whether set-id bits have no effect.
    pub no_new_privileges: bool,
    /// How early the kernel ends it when memory is short.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub oom_score_adj: Option<i32>,
}

/// A user in numbers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
}

/// The five capability sets.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Capabilities {
    /// Upper bound for all that is started.
    pub bounding: Vec<String>,
    /// In force at the start.
    pub effective: Vec<String>,
    /// Kept over the start of a program.
    pub inheritable: Vec<String>,
    /// May be put in force.
    pub permitted: Vec<String>,
    /// Given to programs without capabilities of their own.
    pub ambient: Vec<String>,
}

/// A limit (`config.md#posix-process`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rlimit {
    /// `RLIMIT_NOFILE`, `RLIMIT_NPROC` or `RLIMIT_CORE`.
    #[serde(rename = "type")]
    pub kind: String,
    /// Soft limit.
    pub soft: u64,
    /// Hard limit.
    pub hard: u64,
}

/// The root file system.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Root {
    /// Where the overlay is mounted before it becomes the root.
    pub path: String,
    /// Whether writes fail.
    pub readonly: bool,
}

/// A mount (`config.md#mounts`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mount {
    /// Absolute path inside.
    pub destination: String,
    /// File system type; `bind` for a folder of the host.
    #[serde(rename = "type")]
    pub kind: String,
    /// Source.
    pub source: String,
    /// Options in the words of mount(8).
    pub options: Vec<String>,
}

/// What only Linux has (`config-linux.md`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Linux {
    /// User ids inside and outside.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub uid_mappings: Vec<IdMapping>,
    /// Group ids inside and outside.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub gid_mappings: Vec<IdMapping>,
    /// Namespaces that are new.
    pub namespaces: Vec<Namespace>,
    /// The system call filter; absent for none.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub seccomp: Option<Seccomp>,
    /// Paths that show nothing.
    pub masked_paths: Vec<String>,
    /// Paths that cannot be written.
    pub readonly_paths: Vec<String>,
    /// How mounts travel; always `private`.
    pub rootfs_propagation: String,
}

/// A range of ids.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct IdMapping {
    /// First id inside.
    #[serde(rename = "containerID")]
    pub container_id: u32,
    /// First id outside.
    #[serde(rename = "hostID")]
    pub host_id: u32,
    /// How many.
    pub size: u32,
}

/// A new namespace.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Namespace {
    /// `user`, `mount`, `pid`, `network`, `ipc`, `uts` or `cgroup`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// A system call filter (`config-linux.md#seccomp`).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seccomp {
    /// What happens to calls that no rule names.
    pub default_action: String,
    /// The error number of a default action `SCMP_ACT_ERRNO`; EPERM if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub default_errno_ret: Option<u32>,
    /// Rules; calls that the kernel or this architecture does not know are passed over.
    #[serde(default)]
    pub syscalls: Vec<SyscallRule>,
}

/// What happens to some system calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyscallRule {
    /// Names of the calls.
    pub names: Vec<String>,
    /// `SCMP_ACT_ALLOW`, `SCMP_ACT_ERRNO`, `SCMP_ACT_KILL_PROCESS`…
    pub action: String,
    /// The error number of `SCMP_ACT_ERRNO`; EPERM if absent.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub errno_ret: Option<u32>,
    /// All must hold; empty for always.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<SyscallArg>,
}

/// A condition on an argument.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SyscallArg {
    /// Which argument, from 0.
    pub index: u8,
    /// The value; the mask for `SCMP_CMP_MASKED_EQ`.
    pub value: u64,
    /// The value under the mask.
    #[serde(default)]
    pub value_two: u64,
    /// `SCMP_CMP_EQ`, `SCMP_CMP_MASKED_EQ`…
    pub op: String,
}
