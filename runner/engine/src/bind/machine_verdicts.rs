//! The verdict on each thing that an appliance asks, where it runs as a machine of its own.

use bundle::plan::{GpuNeed, Memory, Plan};

use super::limits::Limits;
use super::machine::{LEAST_MEMORY_MIB, Machine};
use super::verdicts::{Verdict, enforced, network, not_enforced, partial};
use crate::facts::{Controller, Facts};

/// From here on the disk of a volume is as large as was asked.
const LEAST_VOLUME_BYTES: u64 = 16 << 20;

/// One verdict for each ask.
pub fn verdicts(plan: &Plan, facts: &Facts, limits: &Limits, machine: &Machine) -> Vec<Verdict> {
    let mut all = vec![isolation(machine), root(plan)];
    all.push(enforced("users of its own", "the machine's kernel knows no user of the host"));
    all.push(network(plan, "the machine has no network device"));
    all.push(inside(plan));
    all.push(partial("seccomp", "no filter inside: system calls reach the machine's own kernel, not the host's"));
    all.push(privileges(facts));
    all.push(enforced("masked paths", "/proc and /sys tell about the machine alone"));
    all.push(memory(plan.resources.memory, machine));
    all.extend(plan.resources.cpus_milli.map(|milli| processors(milli, facts, limits, machine)));
    all.extend(
        plan.resources
            .pids
            .map(|_| partial("pids", "no limit inside: what runs there are processes of the machine's own kernel")),
    );
    let disk = match plan.root.read_only {
        true => "no disk takes anything: writes stay in half of the machine's memory",
        false => "the size of the machine's disk",
    };
    all.extend(plan.resources.disk_bytes.map(|_| enforced("disk", disk)));
    let scratch = |path: &str| enforced(&format!("scratch \"{path}\""), "the size of its memory file system");
    all.extend(plan.root.scratch.iter().map(|folder| scratch(&folder.path)));
    all.extend(plan.volumes.iter().filter_map(|volume| volume_size(&volume.name, volume.size_bytes?)));
    if plan.gpu.need == GpuNeed::Optional {
        all.push(not_enforced("gpu", "this engine hands no GPU in yet; the appliance runs without"));
    }
    all
}

/// The file system of a volume has a journal and tables, for which a very small disk has no room.
fn volume_size(name: &str, size_bytes: u64) -> Option<Verdict> {
    let what = format!("volume \"{name}\" size");
    let fits = size_bytes >= LEAST_VOLUME_BYTES;
    let small = "a disk of less than 16 MiB is made larger, so that its file system has room";
    Some(if fits { enforced(&what, "the size of its disk") } else { partial(&what, small) })
}

fn isolation(machine: &Machine) -> Verdict {
    let Machine { board, acceleration, why, .. } = machine;
    match acceleration.as_str() {
        "tcg" => partial(
            "isolation \"vm\"",
            &format!(
                "QEMU's {board}, emulated without hardware help ({why}); QEMU does not promise that this holds against an \
                 attack from inside"
            ),
        ),
        _ => enforced("isolation \"vm\"", &format!("QEMU's {board} by {acceleration} ({why})")),
    }
}

/// What root of the machine is on the host: nothing, unless it breaks out of QEMU.
fn privileges(facts: &Facts) -> Verdict {
    let inside = "a program inside may become root of the machine";
    match facts.uid {
        0 => Verdict {
            remedy: Some("run it as another user, who may open /dev/kvm where that works".to_owned()),
            ..partial("no new privileges", &format!("{inside}; QEMU, which holds it, is a process of root here"))
        },
        uid => {
            partial("no new privileges", &format!("{inside}; QEMU, which holds it, is a process of user {uid} here"))
        }
    }
}

/// What was asked, what it is, and why that differs.
fn memory(asked: Option<Memory>, machine: &Machine) -> Verdict {
    let Machine { memory_mib, balloon_mib, .. } = machine;
    let has = format!("the machine has {memory_mib} MiB");
    let Some(asked) = asked.map(|memory| memory.bytes >> 20) else {
        return enforced("memory", &format!("{has}, since the spec asks for none"));
    };
    if asked < LEAST_MEMORY_MIB {
        let why = "with less no kernel of a distribution comes up";
        return partial("memory", &format!("{has} and not {asked}: {why}"));
    }
    match balloon_mib {
        Some(kept) => enforced("memory", &format!("{has}, and keeps {kept} of them until it runs short")),
        None if *memory_mib < asked => enforced("memory", &format!("{has}: {asked} are asked, and no more are free")),
        None => enforced("memory", &has),
    }
}

fn root(plan: &Plan) -> Verdict {
    match (plan.root.read_only, plan.root.writable.as_slice()) {
        (false, _) => enforced("root \"writable\"", "writes go to a file over the disk, which is gone at the end"),
        (true, []) => enforced("root \"sealed\"", "a disk that cannot be written to, every block of which is proven"),
        (true, paths) => enforced(
            "root \"read-only\"",
            &format!(
                "a disk that cannot be written to, every block of which is proven; what is written to {} is in the \
                 machine's memory",
                paths.join(", ")
            ),
        ),
    }
}

fn inside(plan: &Plan) -> Verdict {
    let kept = &plan.isolation.capabilities;
    let kept = if kept.is_empty() { "none".to_owned() } else { kept.join(", ") };
    enforced("capabilities", &format!("services hold {kept}; PID 1 of the machine holds all, over the machine"))
}

fn processors(milli: u64, facts: &Facts, limits: &Limits, machine: &Machine) -> Verdict {
    let has = format!("the machine has {}", machine.cpus);
    match limits.controllers.get(&Controller::Cpu) {
        _ if milli > facts.cpus.saturating_mul(1000) => {
            partial("cpus", &format!("{has}, as many as this host, and not {}.{:03}", milli / 1000, milli % 1000))
        }
        Some(Ok(())) => enforced("cpus", &format!("{has}, with {}.{:03} of time", milli / 1000, milli % 1000)),
        Some(Err(reason)) => partial("cpus", &format!("{has}; a part of one cannot be limited here: {reason}")),
        None => enforced("cpus", &has),
    }
}
