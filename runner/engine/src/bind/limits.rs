//! Fitting what an appliance may use to what the host has and can limit.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bundle::plan::{Memory, Plan};

use super::Unmet;
use crate::facts::{Controller, ControllerFact, Facts};
use crate::steps::{FileValue, Step};

/// What was decided about limits.
#[derive(Debug, Clone, Default)]
pub struct Limits {
    /// Needs that the host cannot meet.
    pub unmet: Vec<Unmet>,
    /// Memory in bytes, fitted to the host.
    pub memory_bytes: Option<u64>,
    /// How each asked controller is limited, or why it is not.
    pub controllers: BTreeMap<Controller, Result<(), String>>,
    /// A process limit by rlimit, where no control group can set one.
    pub process_limit: Option<u64>,
    /// Groups to make: the folder to make them in, whether it is of the unified hierarchy, and what to write.
    groups: BTreeMap<PathBuf, (bool, Vec<FileValue>, Vec<Controller>)>,
}

/// The period of processor quotas: the kernel's default, in microseconds.
const CPU_PERIOD_MICROS: u64 = 100_000;

/// Decides all limits; a `guest` outlives what is killed for want of memory, and starts it again or says so.
pub fn fit(plan: &Plan, facts: &Facts, guest: bool) -> Limits {
    let mut limits = Limits::default();
    match plan.resources.memory.map(|memory| fit_memory(memory, facts)) {
        Some(Ok(bytes)) => limits.memory_bytes = Some(bytes),
        Some(Err(unmet)) => limits.unmet.push(unmet),
        None => {}
    }
    let asked = [
        (Controller::Cpu, plan.resources.cpus_milli),
        (Controller::Memory, limits.memory_bytes),
        (Controller::Pids, plan.resources.pids),
    ];
    for (controller, value) in asked {
        if let Some(value) = value {
            limits.add(controller, value, facts, guest);
        }
    }
    let no_pids_group = matches!(limits.controllers.get(&Controller::Pids), Some(Err(_)));
    limits.process_limit = plan.resources.pids.filter(|_| no_pids_group && !facts.privileged);
    limits
}

/// What limits a part of a processor; whole ones are the machine's own number of them.
pub fn fit_processors(plan: &Plan, facts: &Facts) -> Limits {
    let mut limits = Limits::default();
    let part = plan.resources.cpus_milli.filter(|milli| milli % 1000 != 0);
    if let Some(milli) = part {
        limits.add(Controller::Cpu, milli, facts, true);
    }
    limits
}

impl Limits {
    fn add(&mut self, controller: Controller, value: u64, facts: &Facts, guest: bool) {
        let fact = facts.cgroups.controllers.get(&controller);
        let (folder, unified) = match fact {
            Some(ControllerFact::V1(folder)) => (folder, false),
            Some(ControllerFact::V2(folder)) => (folder, true),
            Some(ControllerFact::Missing(reason)) => {
                return drop(self.controllers.insert(controller, Err(reason.clone())));
            }
            None => {
                return drop(self.controllers.insert(controller, Err("the controller was not looked for".to_owned())));
            }
        };
        let group = self.groups.entry(folder.clone()).or_insert((unified, Vec::new(), Vec::new()));
        group.1.extend(files(controller, value, unified, guest));
        group.2.push(controller);
        self.controllers.insert(controller, Ok(()));
    }

    /// Files of the groups that tell the guest about its own appliance, and no other; not every kernel has all of them.
    pub fn told_files(&self, instance: &str) -> Vec<PathBuf> {
        let files = self.groups.iter().flat_map(|(parent, (unified, _, controllers))| {
            let counts = controllers.contains(&Controller::Memory);
            let names: &[&str] = match (unified, counts) {
                (false, true) => &["memory.oom_control"],
                (true, true) => &["memory.events", "cpu.pressure", "memory.pressure", "io.pressure"],
                (true, false) => &["cpu.pressure", "memory.pressure", "io.pressure"],
                (false, false) => &[],
            };
            names.iter().map(move |name| group_folder(parent, instance).join(name))
        });
        files.collect()
    }

    /// The memory limit, if something holds it.
    pub fn held_memory_bytes(&self) -> Option<u64> {
        self.memory_bytes.filter(|_| matches!(self.controllers.get(&Controller::Memory), Some(Ok(()))))
    }

    /// The steps that make the groups for an instance.
    pub fn steps(&self, instance: &str) -> Vec<Step> {
        let step = |(parent, (unified, values, controllers)): (&PathBuf, &(bool, Vec<FileValue>, Vec<Controller>))| {
            let hand_on =
                if *unified { controllers.iter().map(|one| one.name().to_owned()).collect() } else { Vec::new() };
            let folder = group_folder(parent, instance);
            Step::MakeCgroup { parent: parent.clone(), folder, unified: *unified, hand_on, values: values.clone() }
        };
        self.groups.iter().map(step).collect()
    }
}

fn group_folder(parent: &Path, instance: &str) -> PathBuf {
    parent.join(format!("appliance-{instance}"))
}

/// What is written for a limit (kernel documentation, `cgroup-v1/` and `cgroup-v2`).
fn files(controller: Controller, value: u64, unified: bool, guest: bool) -> Vec<FileValue> {
    let file = |name: &str, value: String| FileValue { name: name.to_owned(), value, needed: true };
    let wish = |name: &str, value: String| FileValue { needed: false, ..file(name, value) };
    let quota = value.saturating_mul(CPU_PERIOD_MICROS) / 1000;
    match (controller, unified) {
        (Controller::Cpu, false) => {
            vec![file("cpu.cfs_period_us", CPU_PERIOD_MICROS.to_string()), file("cpu.cfs_quota_us", quota.to_string())]
        }
        (Controller::Cpu, true) => vec![file("cpu.max", format!("{quota} {CPU_PERIOD_MICROS}"))],
        // Swap counts too where the kernel counts it; not all do.
        (Controller::Memory, false) => vec![
            file("memory.limit_in_bytes", value.to_string()),
            wish("memory.memsw.limit_in_bytes", value.to_string()),
        ],
        (Controller::Memory, true) => vec![
            file("memory.max", value.to_string()),
            wish("memory.swap.max", "0".to_owned()),
            wish("memory.oom.group", if guest { "0" } else { "1" }.to_owned()),
        ],
        (Controller::Pids, _) => vec![file("pids.max", value.to_string())],
    }
}

/// What is asked, but no more than the host has free and never less than the minimum.
pub fn fit_memory(memory: Memory, facts: &Facts) -> Result<u64, Unmet> {
    let fitted = memory.bytes.min(memory.max_bytes).min(facts.memory_available_bytes);
    if fitted >= memory.min_bytes {
        return Ok(fitted);
    }
    Err(Unmet {
        need: format!(
            "{} MiB of memory are needed and {} MiB are free",
            memory.min_bytes >> 20,
            facts.memory_available_bytes >> 20
        ),
        remedy: format!("free some, or set `memory min=` to {} MiB or less", facts.memory_available_bytes >> 20),
    })
}
