//! What systemd is told where it is process 1: a unit for the guest as agent, one for each service, and which of the
//! distribution's own units an appliance does not want.
//!
//! Input is what the guest is told. Who runs what, as which user and when it is ready stands there alone: a unit names only
//! its service, in which order it comes, and how long it may take to stop.

use std::collections::BTreeMap;
use std::fmt::Write;

use bundle::boot::MACHINE_ENV;
use bundle::guest::{AGENT_WORD, ENDED_WORD, GUEST_PATH, Restart, SYSTEM_INIT_PATH, Service, Settings, UNIT_WORD};
use tree::{Node, TreePath};

use crate::error::AssembleError;
use crate::files::Files;
use crate::inputs::Origin;

/// Where units of packages are; those of the same name in [`OWN_UNITS`] win (systemd.unit(5)).
const UNITS: &str = "/usr/lib/systemd/system";

/// Where units of the one who sets a system up are.
const OWN_UNITS: &str = "/etc/systemd/system";

/// Units that an appliance does without. A spec that wants one names it in [`OWN_UNITS`] with `file` or `link`.
const UNWANTED: [&str; 13] = [
    // The guest channel is the only way in: no login on the console.
    "getty.target",
    // No seed is kept; the kernel has one of the processor and the hypervisor.
    "systemd-random-seed.service",
    // The root has no kernel modules, and these ask for some.
    "modprobe@.service",
    "proc-sys-fs-binfmt_misc.automount",
    "systemd-modules-load.service",
    // What looks into the kernel has no place in what is shipped.
    "sys-kernel-debug.mount",
    "sys-kernel-tracing.mount",
    // What keeps up a machine that is never built anew.
    "apt-daily.timer",
    "apt-daily-upgrade.timer",
    "dpkg-db-backup.timer",
    "e2scrub_all.timer",
    "e2scrub_reap.service",
    "fstrim.timer",
];

/// Files that say that these folders are as new as `/usr` (systemd-update-done.service(8)): what a first boot would make of
/// the packages' files was made when the image was built.
const UP_TO_DATE: [&str; 2] = ["/etc/.updated", "/var/.updated"];

/// How long systemd waits beyond what the agent grants: the agent itself ends what takes too long, and is told of the end.
const PATIENCE_MS: u64 = 10_000;

/// A unit: its file name, its text, and the target that pulls it in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unit {
    /// The file name.
    pub name: String,
    /// The text (systemd.syntax(7)).
    pub text: String,
    /// The target.
    pub wanted_by: &'static str,
}

/// The units of an appliance: the agent's, then those of the services in start order.
pub fn units(settings: &Settings) -> Vec<Unit> {
    std::iter::once(agent(settings)).chain(settings.services.iter().map(service)).collect()
}

/// The file name of a service's unit.
fn name_of(service: &str) -> String {
    format!("appliance-{service}.service")
}

fn agent(settings: &Settings) -> Unit {
    let stop_ms: u64 = settings.services.iter().map(|service| service.stop_grace_ms).sum();
    // It is there before anything else, so that the host can look into a boot that goes wrong. When it ends the machine
    // does, and a container with its status.
    let text = format!(
        "[Unit]\n\
         Description=Agent of the appliance\n\
         DefaultDependencies=no\n\
         Conflicts=shutdown.target\n\
         Before=shutdown.target\n\
         SuccessAction=exit\n\
         FailureAction=exit\n\
         \n\
         [Service]\n\
         Type=notify\n\
         ExecStart={GUEST_PATH} {AGENT_WORD}\n\
         PassEnvironment={MACHINE_ENV}\n\
         KillMode=mixed\n\
         TimeoutStopSec={}\n\
         OOMPolicy=continue\n",
        time(stop_ms),
    );
    Unit { name: "appliance.service".to_owned(), text, wanted_by: "sysinit.target" }
}

fn service(service: &Service) -> Unit {
    let name = &service.name;
    let after: String = service.after.iter().fold("appliance.service".to_owned(), |mut list, before| {
        let _ = write!(list, " {}", name_of(before));
        list
    });
    // A unit counts as started when its service is ready, which the agent says; without a probe when it runs.
    let kind = if service.ready.is_some() { "notify" } else { "exec" };
    // Whether it starts again is the agent's to say, and when. The signal is what a unit ends by that shall not.
    let restart = if service.restart == Restart::Never { "no" } else { "always" };
    let text = format!(
        "[Unit]\n\
         Description={name}, a service of the appliance\n\
         BindsTo=appliance.service\n\
         After={after}\n\
         StartLimitIntervalSec=0\n\
         \n\
         [Service]\n\
         Type={kind}\n\
         NotifyAccess=main\n\
         ExecStart={GUEST_PATH} {UNIT_WORD} {name}\n\
         ExecStopPost={GUEST_PATH} {ENDED_WORD} {name}\n\
         Restart={restart}\n\
         RestartSec=50ms\n\
         RestartPreventExitStatus=RTMIN+20\n\
         SuccessExitStatus=RTMIN+20\n\
         TimeoutStartSec=infinity\n\
         TimeoutStopSec={}\n\
         OOMPolicy=continue\n",
        time(service.stop_grace_ms),
    );
    Unit { name: name_of(name), text, wanted_by: "multi-user.target" }
}

/// A time (systemd.time(7)) beyond this one.
fn time(ms: u64) -> String {
    format!("{}ms", ms.saturating_add(PATIENCE_MS))
}

/// Puts the units into the tree. What the spec itself puts there stays.
pub(crate) fn write(
    files: &mut Files<'_>,
    settings: &Settings,
    origins: &mut BTreeMap<TreePath, Origin>,
) -> Result<(), AssembleError> {
    if files.stat(SYSTEM_INIT_PATH).is_none() {
        return Err(AssembleError::NoInit { init: "systemd", path: SYSTEM_INIT_PATH });
    }
    let file = |text: String| Node::file(0o644, text);
    let mut entries = Vec::new();
    for Unit { name, text, wanted_by } in units(settings) {
        entries.push((format!("{UNITS}/{wanted_by}.wants/{name}"), Node::symlink(format!("../{name}"))));
        entries.push((format!("{UNITS}/{name}"), file(text)));
    }
    let unwanted = UNWANTED.iter().filter(|name| files.lstat(format!("{UNITS}/{name}")).is_some());
    entries.extend(unwanted.map(|name| (format!("{OWN_UNITS}/{name}"), Node::symlink("/dev/null"))));
    entries.extend(UP_TO_DATE.iter().map(|path| ((*path).to_owned(), file(String::new()))));
    for (path, node) in entries {
        if files.lstat(&path).is_none() {
            let node = files.stamped(node);
            let place =
                files.put(&path, node).map_err(|source| AssembleError::Path { doing: "write", path, source })?;
            origins.insert(place, Origin::Appliance);
        }
    }
    Ok(())
}
