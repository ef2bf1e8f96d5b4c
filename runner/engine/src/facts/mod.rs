//! Probing the host: what this machine, this kernel and this user can enforce. Nothing is decided here.

mod cgroups;
mod hardware_help;
mod machines;
mod probe;
mod remembered;
mod subordinate;
mod tun;

use std::path::Path;

use bundle::plan::{Level, NetworkMode};
use serde::{Deserialize, Serialize};

use crate::bind::level;
use crate::bundle_folder::Bundle;
use crate::options::RunOptions;

pub use cgroups::{CgroupFacts, CgroupLayout, Controller, ControllerFact};
pub use hardware_help::{FILE_NAME as HARDWARE_HELP, PROBE_MACHINE_ARG, probe_machine_main};
pub use machines::{MachineFacts, NoQemu, Qemu, System};
pub use probe::{PROBE_ARG, probe_main};
pub use subordinate::{NoSubordinateIds, SubordinateIds};
pub use tun::Tun;

/// What the host offers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Facts {
    /// Kernel release.
    pub kernel: String,
    /// The user's id.
    pub uid: u32,
    /// The user's group id.
    pub gid: u32,
    /// Whether the user is root with the right to mount.
    pub privileged: bool,
    /// Whether limits may be raised (`CAP_SYS_RESOURCE`).
    pub may_raise_limits: bool,
    /// Control groups.
    pub cgroups: CgroupFacts,
    /// Whether an ordinary user can make user namespaces with an overlay in them; tried, not guessed. Not tried as root.
    pub user_namespaces: Probe,
    /// Ids that this user may map into a user namespace, or why there are none.
    pub subordinate_ids: Result<SubordinateIds, NoSubordinateIds>,
    /// Memory of the machine in bytes.
    pub memory_total_bytes: u64,
    /// Memory that can be used now, in bytes.
    pub memory_available_bytes: u64,
    /// Processors that this process may use.
    pub cpus: u64,
    /// The hard limit of open files.
    pub open_files_max: u64,
    /// Whether a network device can be made whose frames a program takes and gives.
    #[serde(default)]
    pub tun: Tun,
    /// What machines need; none where nobody asked for one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub machines: Option<MachineFacts>,
}

/// The result of trying something.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Probe {
    /// It was not needed.
    NotTried,
    /// It works.
    Works,
    /// It does not, for this reason.
    Fails(String),
}

/// Probes the host; `helper` is the program that answers to [`crate::HELPER_ARG`], usually this one.
///
/// That user namespaces work is remembered in the state folder until the host or the user is another.
pub fn facts(helper: &Path, state_folder: &Path) -> Facts {
    let (uid, gid) = (host::effective_uid(), host::effective_gid());
    let privileged = privileged();
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let memory = text("/proc/meminfo");
    Facts {
        kernel: text("/proc/sys/kernel/osrelease").trim().to_owned(),
        uid,
        gid,
        privileged,
        may_raise_limits: holds("sys_resource"),
        cgroups: cgroups::probe(&text("/proc/self/cgroup"), &text("/proc/self/mountinfo"), privileged),
        user_namespaces: if privileged {
            Probe::NotTried
        } else {
            remembered::or_probe(helper, state_folder, || probe::user_namespaces(helper))
        },
        subordinate_ids: subordinate_ids(),
        memory_total_bytes: kibibytes(&memory, "MemTotal:"),
        memory_available_bytes: kibibytes(&memory, "MemAvailable:"),
        cpus: std::thread::available_parallelism().map_or(1, |count| count.get() as u64),
        open_files_max: open_files_max(&text("/proc/self/limits")),
        tun: Tun::NotTried,
        machines: None,
    }
}

/// Probes the host for what a run of this bundle needs: what machines need only where it is to be one.
pub fn facts_for(bundle: &Bundle, options: &RunOptions) -> Facts {
    let look = || {
        let found = machines::find();
        let acceleration = hardware_help::probe(&found, &bundle.boot, &options.helper, &options.state_folder);
        MachineFacts { acceleration, ..found }
    };
    let level = level(bundle, options);
    let machines = (level == Level::Vm).then(look);
    let has_network = bundle.plan.network.mode != NetworkMode::None;
    let tun = if has_network && level == Level::Container { Tun::look() } else { Tun::NotTried };
    Facts { machines, tun, ..facts(&options.helper, &options.state_folder) }
}

/// Whether this user is root with the right to mount.
pub fn privileged() -> bool {
    host::effective_uid() == 0 && holds("sys_admin")
}

fn holds(capability: &str) -> bool {
    bundle::capability::number(capability).is_some_and(host::has_effective)
}

/// Ids that this user may map into a user namespace, or why there are none.
pub fn subordinate_ids() -> Result<SubordinateIds, NoSubordinateIds> {
    if privileged() {
        return Err(NoSubordinateIds { why: "root needs none".to_owned(), remedy: String::new() });
    }
    subordinate::find(host::effective_uid())
}

/// A line of `/proc/meminfo` in bytes (proc_meminfo(5)).
fn kibibytes(text: &str, key: &str) -> u64 {
    let value =
        text.lines().find_map(|line| line.strip_prefix(key)?.split_ascii_whitespace().next()?.parse::<u64>().ok());
    value.unwrap_or(0).saturating_mul(1024)
}

fn open_files_max(limits: &str) -> u64 {
    let line = limits.lines().find_map(|line| line.strip_prefix("Max open files"));
    line.and_then(|line| line.split_ascii_whitespace().nth(1)?.parse().ok()).unwrap_or(u64::MAX)
}
