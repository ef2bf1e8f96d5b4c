//! Binding: from what an appliance asks and what the host offers to everything that will happen. Pure.
//!
//! After this nothing is decided. A need that cannot be met is listed with its remedy; an ask that the
//! host enforces only partly, or not at all, is said in a verdict.

mod limits;
mod mounts;
mod process;
mod verdicts;

use std::path::PathBuf;

use bundle::plan::{GpuNeed, Level, NetworkMode, Plan};
use serde::{Deserialize, Serialize};

pub use process::CHANNEL_FD;
pub use verdicts::{Held, Verdict};

use crate::bundle_folder::{Bundle, Layer};
use crate::control::About;
use crate::facts::{Facts, NoSubordinateIds, Probe, SubordinateIds};
use crate::oci::{self, IdMapping};
use crate::options::RunOptions;
use crate::steps::Step;

/// Everything that a run will do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Name of this instance, unlike that of any other that runs.
    pub instance: String,
    /// What runs.
    pub about: About,
    /// The OCI runtime configuration of the container.
    pub config: oci::Config,
    /// How its user namespace gets its ids.
    pub ids: Ids,
    /// The layers of the root, lowest first.
    pub layers: Vec<Layer>,
    /// Where unpacked layers are kept for this kind of ids.
    pub roots_folder: PathBuf,
    /// Where running instances leave their journal.
    pub state_folder: PathBuf,
    /// Size limit of everything written to the root, in bytes.
    pub upper_bytes: u64,
    /// Paths that can be written although the root cannot.
    pub writable: Vec<String>,
    /// What is made on the host, in order; undone in reverse.
    pub steps: Vec<Step>,
    /// What is enforced, and how.
    pub verdicts: Vec<Verdict>,
    /// Ports of the host that lead inside.
    pub ports: Vec<BoundPort>,
    /// Files of its control groups that the guest may read, open for it after its channel.
    pub told_files: Vec<PathBuf>,
    /// Whether PID 1 is the guest, with a channel to it.
    pub guest: bool,
    /// Milliseconds between the request to stop and the kill.
    pub grace_ms: u64,
}

/// A port of the host that leads inside.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct BoundPort {
    /// The port inside.
    pub inside: u16,
    /// The port on the host's loopback address that is tried first.
    pub host: u16,
    /// Whether only that one will do.
    pub fixed: bool,
}

/// How a container's users are told from the host's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Ids {
    /// They are the same.
    Host,
    /// A user namespace in which the user is root and there is nobody else.
    Single,
    /// A user namespace with the user as root and subordinate ids for everybody else.
    Subordinate(SubordinateIds),
}

/// A need that this host cannot meet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{need}; {remedy}")]
pub struct Unmet {
    /// What is needed, and why it is not there.
    pub need: String,
    /// What can be done about it.
    pub remedy: String,
}

/// Decides everything about a run.
///
/// # Errors
/// Every unmet need, not only the first.
pub fn bind(bundle: &Bundle, facts: &Facts, options: &RunOptions, instance: &str) -> Result<Bound, Vec<Unmet>> {
    let plan = &bundle.plan;
    let limits = limits::fit(plan, facts, process::is_guest(plan));
    let unmet: Vec<Unmet> = needs(plan, facts, options, bundle).into_iter().chain(limits.unmet.clone()).collect();
    if !unmet.is_empty() {
        return Err(unmet);
    }
    let ids = Ids::choose(facts.privileged, facts.subordinate_ids.clone());
    let guest = process::is_guest(plan);
    let volumes_folder = options.volumes_folder.join(&plan.name);
    // Groups are shared with other users and other folders of instances: their names hold what no other has.
    let name = options.name.as_deref().unwrap_or(instance);
    let instance_folder = options.state_folder.join(name);
    let told_files = if guest { limits.told_files(instance) } else { Vec::new() };
    let config = oci::Config {
        oci_version: "1.2.0".to_owned(),
        process: process::process(plan, facts, options, &ids, &limits, &told_files),
        root: oci::Root {
            path: instance_folder.join("stage/root").display().to_string(),
            readonly: plan.root.read_only,
        },
        hostname: plan.hostname.clone(),
        mounts: mounts::mounts(plan, &volumes_folder, &ids),
        linux: process::linux(plan, facts, &ids, guest),
    };
    let mut steps: Vec<Step> = bundle.layers.iter().cloned().map(Step::Unpack).collect();
    steps.extend(plan.volumes.iter().map(|volume| Step::MakeVolume { folder: volumes_folder.join(&volume.name) }));
    steps.extend(limits.steps(instance));
    steps.push(Step::Start);
    Ok(Bound {
        instance: name.to_owned(),
        about: about(plan, options),
        verdicts: verdicts::verdicts(plan, facts, &ids, &limits, guest),
        roots_folder: options.cache_folder.join(ids.roots_name()),
        layers: bundle.layers.clone(),
        state_folder: options.state_folder.clone(),
        upper_bytes: upper_bytes(plan, facts, &limits),
        told_files,
        writable: plan.root.writable.clone(),
        ports: ports(plan, options),
        grace_ms: options.grace_ms.unwrap_or(plan.process.stop_grace_ms),
        config,
        ids,
        steps,
        guest,
    })
}

fn about(plan: &Plan, options: &RunOptions) -> About {
    About {
        appliance: plan.name.clone(),
        version: plan.version.clone(),
        detached: options.detached,
        command: options.command.clone(),
        open: plan.open.clone(),
    }
}

/// Most that can be written to the root, in bytes: without a word about it half of the memory, as `tmpfs` has it. What is
/// written counts as memory in use.
fn upper_bytes(plan: &Plan, facts: &Facts, limits: &limits::Limits) -> u64 {
    plan.resources.disk_bytes.unwrap_or(limits.held_memory_bytes().unwrap_or(facts.memory_total_bytes) / 2)
}

impl Ids {
    /// The folders of the cache with unpacked layers, one for each kind of ids.
    pub(crate) const ROOTS_NAMES: [&str; 3] = ["roots", "roots-single", "roots-subordinate"];

    /// The best kind that this user may have.
    pub(crate) fn choose(privileged: bool, subordinate: Result<SubordinateIds, NoSubordinateIds>) -> Self {
        match (subordinate, privileged) {
            (_, true) => Self::Host,
            (Ok(ids), false) => Self::Subordinate(ids),
            (Err(_), false) => Self::Single,
        }
    }

    /// How a user namespace gets its user and group ids; these are the user's own.
    pub(crate) fn mappings(&self, uid: u32, gid: u32) -> (Vec<IdMapping>, Vec<IdMapping>) {
        let own = |host_id: u32| IdMapping { container_id: 0, host_id, size: 1 };
        let rest = |host_id: u32, size: u32| IdMapping { container_id: 1, host_id, size };
        match self {
            Self::Host => (Vec::new(), Vec::new()),
            Self::Single => (vec![own(uid)], vec![own(gid)]),
            Self::Subordinate(more) => (
                vec![own(uid), rest(more.uid_start, more.uid_count)],
                vec![own(gid), rest(more.gid_start, more.gid_count)],
            ),
        }
    }

    /// Layers unpacked for one kind of ids have other owners than for another.
    fn roots_name(&self) -> &'static str {
        let [host, single, subordinate] = Self::ROOTS_NAMES;
        match self {
            Self::Host => host,
            Self::Single => single,
            Self::Subordinate(_) => subordinate,
        }
    }
}

fn ports(plan: &Plan, options: &RunOptions) -> Vec<BoundPort> {
    let one = |inside: u16| {
        let chosen = options.ports.iter().find(|choice| choice.inside == inside);
        BoundPort { inside, host: chosen.map_or(inside, |choice| choice.host), fixed: chosen.is_some() }
    };
    plan.network.ports.iter().map(|port| one(port.port)).collect()
}

/// The mount options of an overlay fit one page; this many layers of 65 letters each do.
const MAX_LAYERS: usize = 56;

fn needs(plan: &Plan, facts: &Facts, options: &RunOptions, bundle: &Bundle) -> Vec<Unmet> {
    let mut unmet = Vec::new();
    let mut need = |missing: bool, need: String, remedy: &str| {
        if missing {
            unmet.push(Unmet { need, remedy: remedy.to_owned() });
        }
    };
    let wants_vm = plan.isolation.at_least == Level::Vm || plan.isolation.level == Some(Level::Vm);
    need(
        wants_vm,
        "isolation \"vm\" is asked, and this engine runs containers".into(),
        "start the bundle's disk with one of its launch plans",
    );
    let outward = plan.network.mode != NetworkMode::None;
    need(
        outward,
        "network \"outbound\" and \"full\" are asked, which this engine does not carry out yet".into(),
        "set network \"none\"; declared ports stay reachable",
    );
    let gpu = plan.gpu.need == GpuNeed::Required;
    need(gpu, "a GPU is required, and this engine hands none in yet".into(), "set gpu \"optional\"");
    if let Probe::Fails(reason) = &facts.user_namespaces {
        need(
            true,
            format!("user namespaces are needed to run without root: {reason}"),
            "allow them (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns) or run as root",
        );
    }
    for folder in [&options.cache_folder, &options.state_folder, &options.volumes_folder] {
        need(folder.is_relative(), format!("the folder {} is not absolute", folder.display()), "give its full path");
    }
    need(bundle.layers.is_empty(), "the image has no layers".into(), "build it again");
    need(
        bundle.layers.len() > MAX_LAYERS,
        format!("the image has {} layers, more than {MAX_LAYERS}", bundle.layers.len()),
        "build it with fewer",
    );
    for choice in &options.ports {
        let declared = plan.network.ports.iter().any(|port| port.port == choice.inside);
        need(
            !declared,
            format!("port {} is not declared by the appliance", choice.inside),
            &declared_ports(plan, choice.inside),
        );
    }
    for name in &plan.isolation.capabilities {
        need(
            bundle::capability::number(name).is_none(),
            format!("the capability {name} is unknown"),
            "see capabilities(7)",
        );
    }
    if let Err(reason) = crate::seccomp::profile(&plan.isolation.seccomp, &plan.isolation.capabilities) {
        need(true, reason, "correct the profile");
    }
    let no_switch = options.user.is_some() && !process::is_guest(plan);
    need(
        no_switch,
        "a command cannot be run as another user where PID 1 is not the guest".into(),
        "use init \"builtin\"",
    );
    let no_filter = !plan.network.ports.is_empty() && !process::is_guest(plan);
    need(no_filter, "ports are declared, but PID 1 is not the guest that carries them".into(), "use init \"builtin\"");
    unmet
}

/// What to do about a port that is not declared.
fn declared_ports(plan: &Plan, wanted: u16) -> String {
    let one = |port: &bundle::plan::Port| match &port.name {
        Some(name) => format!("{} ({name})", port.port),
        None => port.port.to_string(),
    };
    let declared: Vec<String> = plan.network.ports.iter().map(one).collect();
    match declared.as_slice() {
        [] => format!("it declares none; declare it in the spec with: network \"none\" {{ port {wanted}; }}"),
        [only] => format!("it declares {only}"),
        all => format!("it declares {}", all.join(", ")),
    }
}
