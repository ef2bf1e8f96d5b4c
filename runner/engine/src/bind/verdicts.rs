//! The verdict on each thing that an appliance asks: what holds it, or why it is not held.

use bundle::plan::{GpuNeed, Level, Plan, Seccomp};
use serde::{Deserialize, Serialize};

use super::container::upper_bytes;
use super::limits::Limits;
use super::{Ids, Reach};
use crate::facts::{Controller, Facts};

/// What becomes of one ask.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Verdict {
    /// What is asked, in the words of the spec.
    pub item: String,
    /// Whether it is held.
    pub held: Held,
    /// By what, or why not.
    pub how: String,
    /// What a user can do to have it held, where that is known.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub remedy: Option<String>,
}

/// Whether an ask is held.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Held {
    /// The kernel enforces it.
    Enforced,
    /// The kernel enforces a part of it.
    Partial,
    /// Nothing enforces it here.
    NotEnforced,
}

/// One verdict for each ask.
pub fn verdicts(plan: &Plan, facts: &Facts, ids: &Ids, limits: &Limits, guest: bool) -> Vec<Verdict> {
    let mut all = vec![isolation(plan, ids), root(plan, facts, limits), users(ids, facts)];
    all.push(network(plan, "a network namespace with loopback alone"));
    all.push(capabilities(plan, guest));
    all.push(enforced(
        "seccomp",
        match plan.isolation.seccomp {
            Seccomp::Default => "a filter of allowed system calls",
            Seccomp::Strict => {
                "a filter of allowed system calls without namespaces, mounts, keyrings, bpf, perf, ptrace and io_uring"
            }
            Seccomp::Profile(_) => "the filter of the profile file",
        },
    ));
    all.push(enforced("no new privileges", "the kernel's process flag"));
    all.push(enforced("masked paths", "mounts over what tells about the host in /proc and /sys"));
    all.extend(limits.controllers.iter().map(|(controller, held)| limit(plan, *controller, held, limits)));
    all.extend(
        plan.resources.disk_bytes.map(|_| enforced("disk", "the size of the memory file system that takes all writes")),
    );
    all.extend(
        plan.root
            .scratch
            .iter()
            .map(|scratch| enforced(&format!("scratch \"{}\"", scratch.path), "the size of its memory file system")),
    );
    for volume in plan.volumes.iter().filter(|volume| volume.size_bytes.is_some()) {
        let how = "it is a folder of the host, which has no limit of its own";
        all.push(not_enforced(&format!("volume \"{}\" size", volume.name), how));
    }
    if plan.gpu.need == GpuNeed::Optional {
        let how = "this engine hands no GPU in yet; the appliance runs without";
        all.push(not_enforced("gpu", how));
    }
    all
}

fn verdict(held: Held, item: &str, how: &str) -> Verdict {
    Verdict { item: item.to_owned(), held, how: how.to_owned(), remedy: None }
}

pub fn enforced(item: &str, how: &str) -> Verdict {
    verdict(Held::Enforced, item, how)
}

pub fn partial(item: &str, how: &str) -> Verdict {
    verdict(Held::Partial, item, how)
}

pub fn not_enforced(item: &str, how: &str) -> Verdict {
    verdict(Held::NotEnforced, item, how)
}

/// The verdict on the network; this is what holds where there is none.
pub fn network(plan: &Plan, none: &str) -> Verdict {
    match Reach::of(&plan.network) {
        None => enforced("network \"none\"", none),
        Some(reach) => enforced(reach.item(), &reach.how()),
    }
}

fn isolation(plan: &Plan, ids: &Ids) -> Verdict {
    let user = if *ids == Ids::Host { "" } else { "user, " };
    let how = format!("own {user}mount, process, network, ipc, host name and cgroup namespaces as the host allows");
    match plan.isolation.level {
        Some(Level::Container) => enforced("isolation \"container\"", &how),
        _ => Verdict {
            remedy: Some("run it as a machine, with --vm".to_owned()),
            ..partial("isolation \"auto\"", &format!("a container of this host's kernel: {how}"))
        },
    }
}

fn root(plan: &Plan, facts: &Facts, limits: &Limits) -> Verdict {
    let limit = format!("at most {} MiB", upper_bytes(plan, facts, limits) >> 20);
    match (plan.root.read_only, plan.root.writable.as_slice()) {
        (false, _) => enforced("root \"writable\"", &format!("writes go to memory, {limit}, and are gone at the end")),
        (true, []) => enforced("root \"sealed\"", "a read-only mount"),
        (true, paths) => enforced(
            "root \"read-only\"",
            &format!("a read-only mount; what is written to {} is in memory, {limit} together", paths.join(", ")),
        ),
    }
}

fn users(ids: &Ids, facts: &Facts) -> Verdict {
    let item = "users of its own";
    match ids {
        Ids::Host => Verdict {
            remedy: Some("run it as an ordinary user with subordinate ids, who gets a user namespace".to_owned()),
            ..partial(
                item,
                "root runs it, so there is no user namespace: each user inside is the host's user of the same number, \
                 and root inside is the host's root, without its capabilities",
            )
        },
        Ids::Subordinate(_) => enforced(item, "a user namespace with subordinate ids"),
        Ids::Single => {
            let none = facts.subordinate_ids.as_ref().err();
            let why = none.map_or("there are no others", |none| &none.why);
            let how = format!(
                "a user namespace with one id, since {why}: all files belong to root inside, and every service runs as root there"
            );
            Verdict { remedy: none.map(|none| none.remedy.clone()), ..partial(item, &how) }
        }
    }
}

fn capabilities(plan: &Plan, guest: bool) -> Verdict {
    let kept =
        if plan.isolation.capabilities.is_empty() { "none".to_owned() } else { plan.isolation.capabilities.join(", ") };
    let guest = if guest {
        "; PID 1 also holds kill, setgid, setpcap and setuid, to start services as their users, and chown, dac_override and fowner, to copy files for the host"
    } else {
        ""
    };
    enforced("capabilities", &format!("all sets hold {kept}{guest}"))
}

fn limit(plan: &Plan, controller: Controller, held: &Result<(), String>, limits: &Limits) -> Verdict {
    let (item, value) = match controller {
        Controller::Cpu => {
            ("cpus", plan.resources.cpus_milli.map(|milli| format!("{}.{:03}", milli / 1000, milli % 1000)))
        }
        Controller::Memory => ("memory", limits.memory_bytes.map(|bytes| format!("{} MiB", bytes >> 20))),
        Controller::Pids => ("pids", plan.resources.pids.map(|count| count.to_string())),
    };
    match held {
        Ok(()) => enforced(item, &format!("a control group with {}", value.unwrap_or_default())),
        Err(reason) if controller == Controller::Pids && limits.process_limit.is_some() => {
            partial(item, &format!("a limit of processes for each user inside, since {reason}"))
        }
        Err(reason) => not_enforced(item, reason),
    }
}
