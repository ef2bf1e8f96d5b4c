//! Binding: from what an appliance asks and what the host offers to everything that will happen. Pure.
//!
//! After this nothing is decided. A need that cannot be met is listed with its remedy; an ask that the
//! host enforces only partly, or not at all, is said in a verdict.

mod container;
mod limits;
mod machine;
mod machine_verdicts;
mod mounts;
mod needs;
mod process;
mod qemu;
mod reach;
mod verdicts;

use std::path::PathBuf;

use bundle::plan::{Level, Plan};
use serde::{Deserialize, Serialize};

pub use container::Container;
pub use machine::{
    CHANNEL_FD as MACHINE_CHANNEL_FD, CONSOLE_FD, ERROR_FD, Machine, OUTPUT_FD, OVERLAY, Proof, QMP_FD, WIRE_FD,
    probe_machine,
};
pub use process::CHANNEL_FD;
pub use reach::Reach;
pub use verdicts::{Held, Verdict};

use crate::bundle_folder::Bundle;
use crate::control::About;
use crate::facts::{Facts, NoSubordinateIds, SubordinateIds};
use crate::oci::IdMapping;
use crate::options::RunOptions;
use crate::steps::Step;

/// Everything that a run will do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// Name of this instance, unlike that of any other that runs.
    pub instance: String,
    /// What runs.
    pub about: About,
    /// As what it runs.
    pub body: Body,
    /// Where running instances leave their journal.
    pub state_folder: PathBuf,
    /// What is made on the host, in order; undone in reverse.
    pub steps: Vec<Step>,
    /// What is enforced, and how.
    pub verdicts: Vec<Verdict>,
    /// What it reaches, where it has a network.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub reach: Option<Reach>,
    /// Ports of the host that lead inside.
    pub ports: Vec<BoundPort>,
    /// Whether PID 1 is the guest, with a channel to it.
    pub guest: bool,
    /// Whether the command has a terminal of its own, joined to the caller's.
    pub terminal: bool,
    /// Milliseconds between the request to stop and the kill.
    pub grace_ms: u64,
}

/// As what an appliance runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Body {
    /// A container of this host's kernel.
    Container(Box<Container>),
    /// A machine of its own.
    Machine(Box<Machine>),
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
    match level(bundle, options) {
        Level::Container => container::bind(bundle, facts, options, instance),
        Level::Vm => machine::bind(bundle, facts, options, instance),
    }
}

/// As what the bundle is to run: what the caller or the spec says, else a container where there is an image of one that can
/// do what is asked.
pub fn level(bundle: &Bundle, options: &RunOptions) -> Level {
    let isolation = &bundle.plan.isolation;
    let is_for_machine = process::is_system_init(&bundle.plan) && options.command.is_empty();
    let is_only_machine = (bundle.layers.is_empty() || is_for_machine) && bundle.boot.can_start();
    let wants_vm = options.vm || isolation.at_least == Level::Vm || isolation.level == Some(Level::Vm);
    if wants_vm || is_only_machine { Level::Vm } else { Level::Container }
}

/// Why it is a machine where nobody asked for one; nothing where the caller or the spec did, or where it is a container.
pub fn why_machine(bundle: &Bundle, options: &RunOptions) -> Option<&'static str> {
    let isolation = &bundle.plan.isolation;
    let asked = options.vm || isolation.at_least == Level::Vm || isolation.level == Some(Level::Vm);
    match level(bundle, options) {
        Level::Vm if asked => None,
        Level::Vm if bundle.layers.is_empty() => Some("the bundle has no container image, which output \"oci\" gives"),
        Level::Vm => Some("it starts with systemd, which no container is given what it wants"),
        Level::Container => None,
    }
}

impl Bound {
    /// The container that it runs as, if it does.
    pub fn container(&self) -> Option<&Container> {
        match &self.body {
            Body::Container(container) => Some(container),
            Body::Machine(_) => None,
        }
    }

    /// The machine that it runs as, if it does.
    pub fn machine(&self) -> Option<&Machine> {
        match &self.body {
            Body::Container(_) => None,
            Body::Machine(machine) => Some(machine),
        }
    }
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
