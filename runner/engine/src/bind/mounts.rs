//! The mounts of a container, in the words of the OCI runtime configuration.

use std::path::Path;

use bundle::plan::Plan;

use super::Ids;
use crate::oci::Mount;

/// Paths under /proc and /sys that tell about the host or change it; they show nothing.
pub const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];

/// Paths under /proc that can be seen but not written.
pub const READ_ONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// All mounts in order: the kernel's own, then scratch, then volumes.
pub fn mounts(plan: &Plan, volumes_folder: &Path, ids: &Ids) -> Vec<Mount> {
    let mut mounts = kernel_mounts(ids);
    mounts.extend(plan.root.scratch.iter().map(|scratch| {
        let size = format!("size={}", scratch.size_bytes);
        mount(&scratch.path, "tmpfs", "tmpfs", &["nosuid", "nodev", "mode=1777", &size])
    }));
    mounts.extend(plan.volumes.iter().map(|volume| {
        let source = volumes_folder.join(&volume.name);
        mount(&volume.at, "bind", &source.display().to_string(), &["bind", "nosuid", "nodev"])
    }));
    mounts
}

fn kernel_mounts(ids: &Ids) -> Vec<Mount> {
    let pts: &[&str] = match ids {
        // Group 5 is `tty` everywhere; with a single id it does not exist.
        Ids::Single => &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"],
        _ => &["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"],
    };
    vec![
        mount("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"]),
        mount("/dev", "tmpfs", "tmpfs", &["nosuid", "noexec", "mode=0755", "size=64k"]),
        mount("/dev/pts", "devpts", "devpts", pts),
        mount("/dev/shm", "tmpfs", "shm", &["nosuid", "noexec", "nodev", "mode=1777", "size=67108864"]),
        mount("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
    ]
}

fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
    Mount {
        destination: destination.to_owned(),
        kind: kind.to_owned(),
        source: source.to_owned(),
        options: options.iter().map(|option| (*option).to_owned()).collect(),
    }
}
