//! What was meant: a checked appliance, every default filled in. `check` is its only maker.

use std::collections::BTreeMap;

use crate::image_reference::ImageReference;

/// A checked appliance.
///
/// Holding one proves that all rules of the language hold: names are unique, owners exist, paths are
/// absolute and normalised, services form no cycle, ports of `open` are declared.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Appliance {
    /// Its name: letters, digits, `-`, `.`, `_`.
    pub name: String,
    /// Its version, as written; `0` when absent.
    pub version: String,
    /// One line for people.
    pub summary: String,
    /// The operating system it stands on.
    pub base: Base,
    /// Architectures to build for, sorted.
    pub arches: Vec<Arch>,
    /// Packages asked for, sorted by name.
    pub packages: Vec<PackageRequest>,
    /// Package names that must not be installed, sorted.
    pub excluded: Vec<String>,
    /// Further signed repositories.
    pub repositories: Vec<Repository>,
    /// Users to make, in the order written.
    pub users: Vec<User>,
    /// Files, folders and links to put into the tree, in the order written.
    pub entries: Vec<Entry>,
    /// Environment of every service and command, the base image's defaults taken in.
    pub env: BTreeMap<String, String>,
    /// Host name inside.
    pub hostname: String,
    /// Services in start order.
    pub services: Vec<Service>,
    /// The service whose end ends the appliance: the last in start order unless one says `main`.
    pub main_service: Option<String>,
    /// What a double-click shows.
    pub opens: Vec<Open>,
    /// Kernel package, where one was named.
    pub kernel: Option<Kernel>,
    /// Which init runs inside.
    pub init: Init,
    /// How it is kept apart.
    pub isolation: Isolation,
    /// What it can reach.
    pub network: Network,
    /// What it may use.
    pub resources: Resources,
    /// Whether a GPU is needed.
    pub gpu: Gpu,
    /// Storage that outlives an instance.
    pub volumes: Vec<Volume>,
    /// Sleep, wake, pool.
    pub lifecycle: Lifecycle,
    /// Programs that `exec` may start; empty for any.
    pub tools: Vec<String>,
    /// What to build.
    pub outputs: Vec<Output>,
    /// How qcow2 disks are compressed.
    pub qcow2_compression: Qcow2Compression,
    /// Platforms to plan for, as written; empty for every platform the outputs allow.
    pub launches: Vec<String>,
}

/// The operating system an appliance stands on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Base {
    /// A distribution described by a base image: its name and release codename (`debian`, `bookworm`).
    Distro {
        /// Name of the base image.
        name: String,
        /// Codename of the release.
        release: String,
    },
    /// An OCI image.
    Oci(ImageReference),
    /// Nothing at all.
    Scratch,
}

/// A processor architecture, by Debian's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Arch {
    /// x86-64.
    Amd64,
    /// 64-bit Arm.
    Arm64,
}

impl Arch {
    /// Every architecture.
    pub const ALL: [Self; 2] = [Self::Amd64, Self::Arm64];

    /// What stands for the name of the architecture in a path beside the spec.
    pub const HOLE: &str = "{arch}";

    /// The architecture of a Debian name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|arch| arch.name() == name)
    }

    /// A path beside the spec as this architecture takes it: [`Arch::HOLE`] stands for its name.
    pub fn fill(self, from: &str) -> String {
        from.replace(Self::HOLE, self.name())
    }

    /// Debian's name, which is also the OCI (GOARCH) name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Amd64 => "amd64",
            Self::Arm64 => "arm64",
        }
    }
}

/// A package by name, with a version rule if one was written.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct PackageRequest {
    /// Package name.
    pub name: String,
    /// Version rule.
    pub rule: Option<VersionRule>,
}

/// A version rule such as `>=18`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct VersionRule {
    /// The relation.
    pub relation: Relation,
    /// The version as written, in the family's own syntax.
    pub version: String,
}

/// How a version relates to a rule's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relation {
    /// `<`
    Less,
    /// `<=`
    LessOrEqual,
    /// `=`
    Equal,
    /// `>=`
    GreaterOrEqual,
    /// `>`
    Greater,
}

/// A further signed repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Base URL as written.
    pub url: String,
    /// Suite (Debian) or branch (Alpine), which may be empty.
    pub suite: String,
    /// Components; none where there is no suite.
    pub components: Vec<String>,
    /// Key file, relative to the spec's folder.
    pub key: String,
    /// What a request must name for a package to be taken from here (Alpine).
    pub tag: Option<String>,
}

/// A user to make.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// Login name.
    pub name: String,
    /// User id, and id of the group of the same name; allocated from 1000 up when not written.
    pub uid: u32,
    /// Home folder.
    pub home: String,
    /// Further groups by name.
    pub groups: Vec<String>,
    /// Login shell.
    pub shell: String,
}

/// A file, folder or link of the spec.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Absolute, normalised path inside.
    pub path: String,
    /// Owner's user name.
    pub owner: String,
    /// Group name; the owner's primary group when not written.
    pub group: Option<String>,
    /// Permission bits where written: for `from`, absent keeps the source's execute bit (0755 or 0644).
    pub mode: Option<u16>,
    /// What it is.
    pub kind: EntryKind,
}

/// What an entry of the spec is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EntryKind {
    /// A file or folder beside the spec, relative to the spec's folder.
    From(String),
    /// A file with this text.
    Text(String),
    /// A folder.
    Dir,
    /// A symbolic link to this target.
    Link(String),
}

/// A service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Its name.
    pub name: String,
    /// User name it runs as.
    pub user: String,
    /// Program and arguments.
    pub run: Vec<String>,
    /// Environment on top of the appliance's.
    pub env: BTreeMap<String, String>,
    /// Services that must be ready first.
    pub after: Vec<String>,
    /// What happens when it ends.
    pub restart: Restart,
    /// Milliseconds before a restart.
    pub restart_delay_ms: u64,
    /// When it counts as ready.
    pub ready: Option<Ready>,
    /// Milliseconds between the request to stop and the kill.
    pub stop_grace_ms: u64,
}

/// What happens when a service ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Restart {
    /// Nothing.
    Never,
    /// It is started again unless it ended with status 0.
    OnFailure,
    /// It is started again.
    Always,
}

/// When a service counts as ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// What is tried.
    pub probe: Probe,
    /// Milliseconds within which it must succeed.
    pub within_ms: u64,
}

/// A readiness probe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// GET of this URL.
    Http(String),
    /// Connection to this address.
    Tcp(String),
    /// This path exists.
    File(String),
    /// This command ends with status 0.
    Exec(Vec<String>),
}

/// What a double-click shows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Open {
    /// Its name.
    pub name: String,
    /// `http` or `vnc`.
    pub scheme: String,
    /// One of the declared ports.
    pub port: u16,
}

/// What a machine boots: a kernel package, another base that it comes from, or both.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kernel {
    /// Package name; where it is left out, the kernel that the base names for each architecture.
    pub package: Option<String>,
    /// Another base that it comes from, with all else that a machine boots from.
    pub base: Option<KernelBase>,
}

/// Another base than the appliance's, that kernels come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KernelBase {
    /// Name of the base image.
    pub name: String,
    /// Codename of the release.
    pub release: String,
}

/// Which init runs inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Init {
    /// The guest is PID 1 and starts the services.
    Builtin,
    /// The base's systemd.
    Systemd,
    /// The base's OpenRC.
    Openrc,
}

/// The level of isolation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Level {
    /// Namespaces of the host's kernel.
    Container,
    /// A machine of its own.
    Vm,
}

/// How an appliance is kept apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Isolation {
    /// The level; `None` for `auto`.
    pub level: Option<Level>,
    /// Never below this level.
    pub at_least: Level,
    /// Whether the root is read-only.
    pub read_only_root: bool,
    /// Absolute paths that are writable all the same, sorted; `/run` and `/tmp` are among them unless the root is sealed.
    pub writable: Vec<String>,
    /// Capabilities kept, lower case without `cap_`, sorted.
    pub capabilities: Vec<String>,
    /// The system call filter.
    pub seccomp: Seccomp,
}

/// The system call filter.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seccomp {
    /// What container engines allow by default.
    Default,
    /// Less.
    Strict,
    /// A profile file, relative to the spec's folder.
    File(String),
}

/// What an appliance can reach.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// The mode.
    pub mode: NetworkMode,
    /// Destinations allowed with `outbound`.
    pub allow: Vec<String>,
    /// Ports reachable from the host, sorted by number.
    pub ports: Vec<Port>,
}

/// The mode of the network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NetworkMode {
    /// No network.
    None,
    /// Outward only.
    Outbound,
    /// Everything.
    Full,
}

/// A port reachable from the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Its number inside.
    pub port: u16,
    /// Its name.
    pub name: Option<String>,
}

/// What an appliance may use.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Resources {
    /// Memory in bytes.
    pub memory_bytes: Option<u64>,
    /// Least memory in bytes.
    pub memory_min_bytes: Option<u64>,
    /// Most memory in bytes.
    pub memory_max_bytes: Option<u64>,
    /// Processors in thousandths.
    pub cpus_milli: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Size of disk and writable root in bytes.
    pub disk_bytes: Option<u64>,
    /// RAM-backed folders: path and limit in bytes.
    pub scratch: Vec<(String, u64)>,
}

/// Whether a GPU is needed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// How badly.
    pub need: GpuNeed,
    /// Vendors in order of preference.
    pub vendors: Vec<String>,
    /// Video memory in bytes.
    pub memory_bytes: Option<u64>,
}

/// How badly a GPU is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GpuNeed {
    /// Not at all.
    None,
    /// If there is one.
    Optional,
    /// Must be there.
    Required,
}

/// Storage that outlives an instance.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Volume {
    /// Its name.
    pub name: String,
    /// Absolute path inside.
    pub at: String,
    /// Limit in bytes.
    pub size_bytes: Option<u64>,
}

/// Sleep, wake and pool.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Lifecycle {
    /// Milliseconds of idleness before sleep.
    pub sleep_after_ms: Option<u64>,
    /// What wakes it.
    pub wake_on: Option<String>,
    /// Warm spares.
    pub pool: Option<u64>,
}

/// What to build.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Output {
    /// OCI image layout.
    Oci,
    /// Bare ext4 root.
    Ext4,
    /// Raw GPT disk.
    Raw,
    /// QEMU disk.
    Qcow2,
    /// Hyper-V disk.
    Vhdx,
    /// VMware disk.
    Vmdk,
    /// VirtualBox and VMware appliance.
    Ova,
    /// WSL distribution.
    Wsl,
    /// Kernel, initrd and root for direct boot.
    Microvm,
}

/// How the clusters of a qcow2 disk are compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Qcow2Compression {
    /// zstd, which QEMU reads since 5.1.
    Zstd,
    /// zlib, which everything that knows the format reads.
    Zlib,
}

impl Qcow2Compression {
    /// Its name in a spec.
    pub fn name(self) -> &'static str {
        match self {
            Self::Zstd => "zstd",
            Self::Zlib => "zlib",
        }
    }
}

impl Output {
    /// Every output, in the order of the reference.
    pub const ALL: [Self; 9] =
        [Self::Oci, Self::Ext4, Self::Raw, Self::Qcow2, Self::Vhdx, Self::Vmdk, Self::Ova, Self::Wsl, Self::Microvm];

    /// Its name in a spec.
    pub fn name(self) -> &'static str {
        match self {
            Self::Oci => "oci",
            Self::Ext4 => "ext4",
            Self::Raw => "raw",
            Self::Qcow2 => "qcow2",
            Self::Vhdx => "vhdx",
            Self::Vmdk => "vmdk",
            Self::Ova => "ova",
            Self::Wsl => "wsl",
            Self::Microvm => "microvm",
        }
    }
}
