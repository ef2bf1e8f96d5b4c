//! The process of a container, its rights and its namespaces, in the words of the OCI runtime configuration.

use std::path::PathBuf;

use bundle::guest::{
    CHANNEL_END_ENV, CHANNEL_FD_ENV, GROUP_FILES_ENV, GUEST_PATH, MEMORY_LIMIT_ENV, SINGLE_ID_ENV, SYSTEM_INIT_PATH,
};
use bundle::plan::Plan;

use super::Ids;
use super::limits::Limits;
use super::mounts::{MASKED, READ_ONLY};
use crate::facts::Facts;
use crate::oci::{Capabilities, Linux, Namespace, Process, Rlimit, User};
use crate::options::RunOptions;

/// The number at which PID 1 finds the guest channel: the first after the standard streams.
pub const CHANNEL_FD: i32 = 3;

/// What the guest needs to start services as their users, to end them, and to read and write files for the host with
/// any owner; whatever it starts loses it.
const GUEST_NEEDS: [&str; 7] = ["chown", "dac_override", "fowner", "kill", "setgid", "setpcap", "setuid"];

/// As many open files as services are commonly given; more than the host allows is clamped.
const OPEN_FILES: u64 = 1 << 20;

/// Whether PID 1 of a container is our guest.
pub fn is_guest(plan: &Plan, options: &RunOptions) -> bool {
    first(plan, options).first().is_some_and(|program| program == GUEST_PATH)
}

/// Whether PID 1 is the distribution's own init, which holds the services.
pub fn is_system_init(plan: &Plan) -> bool {
    plan.process.args.first().is_some_and(|program| program == SYSTEM_INIT_PATH)
}

/// PID 1 of a container. A command does not need the init that an appliance has for its services, and every appliance has
/// the guest.
fn first(plan: &Plan, options: &RunOptions) -> Vec<String> {
    match is_system_init(plan) && !options.command.is_empty() {
        true => vec![GUEST_PATH.to_owned()],
        false => plan.process.args.clone(),
    }
}

/// The process, as the plan and the caller want it.
pub fn process(
    plan: &Plan,
    facts: &Facts,
    options: &RunOptions,
    ids: &Ids,
    limits: &Limits,
    told: &[PathBuf],
) -> Process {
    let guest = is_guest(plan, options);
    let limit = |kind: &str, value: u64| Rlimit { kind: kind.to_owned(), soft: value, hard: value };
    let files = if facts.may_raise_limits { OPEN_FILES } else { OPEN_FILES.min(facts.open_files_max) };
    let mut rlimits = vec![limit("RLIMIT_CORE", 0), limit("RLIMIT_NOFILE", files)];
    rlimits.extend(limits.process_limit.map(|value| limit("RLIMIT_NPROC", value)));
    Process {
        terminal: options.terminal,
        user: User { uid: 0, gid: 0 },
        args: args(plan, options, guest),
        env: env(plan, options, ids, guest.then_some((limits, told))),
        cwd: "/".to_owned(),
        capabilities: capabilities(&plan.isolation.capabilities, guest),
        rlimits,
        no_new_privileges: true,
        // The guest keeps the host's own and makes whatever it starts a likelier victim: with PID 1 all would end.
        oom_score_adj: (!guest).then_some(200),
    }
}

/// The guest takes a command after `--`; any other PID 1 is replaced by it.
fn args(plan: &Plan, options: &RunOptions, guest: bool) -> Vec<String> {
    if options.command.is_empty() {
        return plan.process.args.clone();
    }
    let mut args = if guest { first(plan, options) } else { Vec::new() };
    if let Some(user) = options.user.as_ref().filter(|_| guest) {
        args.extend(["--user".to_owned(), user.clone()]);
    }
    args.extend(guest.then(|| "--".to_owned()));
    args.extend(options.command.iter().cloned());
    args
}

fn env(plan: &Plan, options: &RunOptions, ids: &Ids, guest: Option<(&Limits, &[PathBuf])>) -> Vec<String> {
    let mut env = plan.process.env.clone();
    env.entry("PATH".to_owned())
        .or_insert_with(|| "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin".to_owned());
    if options.terminal {
        env.entry("TERM".to_owned()).or_insert_with(|| "xterm".to_owned());
    }
    env.extend(options.env.clone());
    if let Some((limits, told)) = guest {
        env.extend((!told.is_empty()).then(|| (GROUP_FILES_ENV.to_owned(), descriptors(told).join(" "))));
        env.extend(limits.held_memory_bytes().map(|bytes| (MEMORY_LIMIT_ENV.to_owned(), bytes.to_string())));
        env.insert(CHANNEL_FD_ENV.to_owned(), CHANNEL_FD.to_string());
        env.insert(CHANNEL_END_ENV.to_owned(), "stop".to_owned());
    }
    if guest.is_some() && *ids == Ids::Single {
        env.insert(SINGLE_ID_ENV.to_owned(), "1".to_owned());
    }
    env.into_iter().map(|(name, value)| format!("{name}={value}")).collect()
}

/// Which file of its control groups the guest finds open at which number: the first after the channel.
fn descriptors(told: &[PathBuf]) -> Vec<String> {
    let names = told.iter().map(|path| path.file_name().unwrap_or_default().to_string_lossy());
    (CHANNEL_FD + 1..).zip(names).map(|(number, name)| format!("{name}={number}")).collect()
}

/// Kept capabilities are ambient, so that services keep them; what only the guest needs is not.
fn capabilities(kept: &[String], guest: bool) -> Capabilities {
    let kernel_name = |name: &str| format!("CAP_{}", name.trim_start_matches("cap_").to_ascii_uppercase());
    let kept: Vec<String> = kept.iter().map(|name| kernel_name(&name.to_ascii_lowercase())).collect();
    let mut held = kept.clone();
    if guest {
        held.extend(GUEST_NEEDS.iter().map(|name| kernel_name(name)));
    }
    held.sort();
    held.dedup();
    Capabilities {
        bounding: held.clone(),
        effective: held.clone(),
        permitted: held,
        inheritable: kept.clone(),
        ambient: kept,
    }
}

/// Namespaces, ids, masks and the system call filter.
pub fn linux(plan: &Plan, facts: &Facts, ids: &Ids, guest: bool) -> Linux {
    let kinds = ["mount", "pid", "network", "ipc", "uts", "cgroup"];
    let user = (*ids != Ids::Host).then_some("user");
    let kept: Vec<String> = capabilities(&plan.isolation.capabilities, guest).bounding;
    let list = |paths: &[&str]| paths.iter().map(|path| (*path).to_owned()).collect();
    let (uid_mappings, gid_mappings) = ids.mappings(facts.uid, facts.gid);
    Linux {
        uid_mappings,
        gid_mappings,
        namespaces: user.into_iter().chain(kinds).map(|kind| Namespace { kind: kind.to_owned() }).collect(),
        seccomp: crate::seccomp::profile(&plan.isolation.seccomp, &kept).ok(),
        masked_paths: list(&MASKED),
        readonly_paths: list(&READ_ONLY),
        rootfs_propagation: "private".to_owned(),
    }
}
