//! Binding to a container of this host's kernel.

use std::path::PathBuf;

use bundle::plan::Plan;
use serde::{Deserialize, Serialize};

use super::needs::{self, Needs};
use super::{Body, Bound, Ids, Reach, Unmet, about, limits, mounts, ports, process, verdicts};
use crate::bundle_folder::{Bundle, Layer};
use crate::facts::{Facts, Probe, Tun};
use crate::oci;
use crate::options::RunOptions;
use crate::steps::Step;

/// A container that is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Container {
    /// Its OCI runtime configuration.
    pub config: oci::Config,
    /// How its user namespace gets its ids.
    pub ids: Ids,
    /// The layers of the root, lowest first.
    pub layers: Vec<Layer>,
    /// Where unpacked layers are kept for this kind of ids.
    pub roots_folder: PathBuf,
    /// Size limit of everything written to the root, in bytes.
    pub upper_bytes: u64,
    /// Paths that can be written although the root cannot.
    pub writable: Vec<String>,
    /// Files of its control groups that the guest may read, open for it after its channel.
    pub told_files: Vec<PathBuf>,
    /// Whether it gets a network device, whose frames the supervisor takes and gives.
    #[serde(default)]
    pub wire: bool,
}

/// Decides everything about a run as a container.
pub fn bind(bundle: &Bundle, facts: &Facts, options: &RunOptions, instance: &str) -> Result<Bound, Vec<Unmet>> {
    let plan = &bundle.plan;
    let limits = limits::fit(plan, facts, process::is_guest(plan, options));
    let unmet: Vec<Unmet> = needs(plan, facts, options, bundle).into_iter().chain(limits.unmet.clone()).collect();
    if !unmet.is_empty() {
        return Err(unmet);
    }
    let ids = Ids::choose(facts.privileged, facts.subordinate_ids.clone());
    let guest = process::is_guest(plan, options);
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
        state_folder: options.state_folder.clone(),
        reach: Reach::of(&plan.network),
        ports: ports(plan, options),
        grace_ms: options.grace_ms.unwrap_or(plan.process.stop_grace_ms),
        terminal: options.terminal,
        body: Body::Container(Box::new(Container {
            roots_folder: options.cache_folder.join(ids.roots_name()),
            layers: bundle.layers.clone(),
            upper_bytes: upper_bytes(plan, facts, &limits),
            writable: plan.root.writable.clone(),
            told_files,
            wire: Reach::of(&plan.network).is_some(),
            config,
            ids,
        })),
        steps,
        guest,
    })
}

/// Most that can be written to the root, in bytes: without a word about it half of the memory, as `tmpfs` has it. What is
/// written counts as memory in use.
pub fn upper_bytes(plan: &Plan, facts: &Facts, limits: &limits::Limits) -> u64 {
    plan.resources.disk_bytes.unwrap_or(limits.held_memory_bytes().unwrap_or(facts.memory_total_bytes) / 2)
}

/// The mount options of an overlay fit one page; this many layers of 65 letters each do.
const MAX_LAYERS: usize = 56;

fn needs(plan: &Plan, facts: &Facts, options: &RunOptions, bundle: &Bundle) -> Vec<Unmet> {
    let mut needs = needs::common(plan, options);
    if let Probe::Fails(reason) = &facts.user_namespaces {
        needs.want(
            true,
            format!("user namespaces are needed to run without root: {reason}"),
            "allow them (sysctl user.max_user_namespaces, kernel.apparmor_restrict_unprivileged_userns) or run as root",
        );
    }
    if let Some(reach) = Reach::of(&plan.network) {
        tun_need(&mut needs, &facts.tun, reach.item());
    }
    layers(&mut needs, bundle);
    if let Err(reason) = crate::seccomp::profile(&plan.isolation.seccomp, &plan.isolation.capabilities) {
        needs.want(true, reason, "correct the profile");
    }
    let guest = process::is_guest(plan, options);
    if process::is_system_init(plan) && !guest {
        needs.want(
            true,
            "the appliance starts with systemd, which wants control groups and mounts that a container is not given"
                .into(),
            "run it as a machine: --vm, with an output that boots, such as \"microvm\"; or use init \"builtin\"",
        );
        return needs.0;
    }
    let mute = |what: &str| format!("{what}, and PID 1 is not the guest");
    needs.want(!plan.network.ports.is_empty() && !guest, mute("ports are declared"), "use init \"builtin\"");
    needs.want(options.user.is_some() && !guest, mute("a command is to run as another user"), "use init \"builtin\"");
    needs.0
}

/// The device that makes a network device, whose other end is a file.
fn tun_need(needs: &mut Needs, tun: &Tun, item: &str) {
    let (why, remedy) = match tun {
        Tun::NotTried | Tun::Works => return,
        Tun::Missing => ("is not there".to_owned(), "as root: modprobe tun"),
        Tun::Forbidden => ("may not be opened by this user".to_owned(), "as root: chmod 0666 /dev/net/tun"),
        Tun::Fails(reason) => (format!("cannot be opened: {reason}"), "see that this user may use it"),
    };
    let remedy = format!("{remedy}; or run it as a machine: --vm, with an output that boots, such as \"microvm\"");
    needs.want(true, format!("{item} is asked, and {} {why}", host::TUN), &remedy);
}

fn layers(needs: &mut Needs, bundle: &Bundle) {
    let count = bundle.layers.len();
    needs.want(count == 0, "the bundle has no container image".into(), "add `output \"oci\"` to the spec and build it");
    let too_many = format!("the image has {count} layers, more than {MAX_LAYERS}");
    needs.want(count > MAX_LAYERS, too_many, "build it with fewer");
}
