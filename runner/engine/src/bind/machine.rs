//! Binding to a machine of its own: which kind, with which help of the hardware, from which files, with which memory.

use std::path::{Path, PathBuf};

use bundle::channel::{Exec, TerminalSize};
use bundle::plan::Plan;
use serde::{Deserialize, Serialize};

use super::limits::Limits;
use super::needs::{self, Needs};
use super::qemu::{self, Acceleration, Board, Drive, Shape, Start};
use super::{Body, Bound, Reach, Unmet, about, limits, machine_verdicts, ports};
use crate::bundle_boot::{BootFiles, Checked, Direct, DiskFile};
use crate::bundle_folder::Bundle;
use crate::facts::{Facts, MachineFacts, NoQemu, Probe, System};
use crate::options::RunOptions;
use crate::steps::Step;
use crate::volumes::OF_MACHINE;

/// At these numbers QEMU finds its ends of the sockets to the supervisor: the guest channel first.
pub const CHANNEL_FD: i32 = 3;
/// What the services print.
pub const OUTPUT_FD: i32 = 4;
/// Their errors.
pub const ERROR_FD: i32 = 5;
/// The serial console.
pub const CONSOLE_FD: i32 = 6;
/// QEMU's own protocol.
pub const QMP_FD: i32 = 7;
/// The network card, where it has one.
pub const WIRE_FD: i32 = 8;

/// A machine that is to be.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Machine {
    /// The program that is the machine.
    pub program: PathBuf,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// The kind of machine, in QEMU's word.
    pub board: String,
    /// What runs its processors, in QEMU's word.
    pub acceleration: String,
    /// Why it is that, in words.
    pub why: String,
    /// Files that are checked before they are started.
    pub proofs: Vec<Proof>,
    /// Its memory in MiB.
    pub memory_mib: u64,
    /// How much of that it keeps once it is up, where that is less; the host has the rest until the machine runs short.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub balloon_mib: Option<u64>,
    /// Its processors.
    pub cpus: u64,
    /// Milliseconds within which its guest must be heard.
    pub boot_ms: u64,
    /// What it runs in place of its services; its end is the machine's.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub command: Option<Exec>,
    /// Whether it has a network card, whose frames the supervisor takes and gives.
    #[serde(default)]
    pub wire: bool,
}

/// A file that must hash to what the bundle says.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Proof {
    /// The file.
    pub path: PathBuf,
    /// SHA-256, 64 hexadecimal digits.
    pub sha256: String,
}

/// The memory of a machine that asks for none, as the disks for other hypervisors have it.
const DEFAULT_MEMORY_MIB: u64 = 512;

/// With less no kernel of a distribution comes up.
pub const LEAST_MEMORY_MIB: u64 = 128;

/// What is added to a root that is written to and asks for no size.
const ROOT_ROOM_BYTES: u64 = 1 << 30;

/// The size of a volume's disk that asks for none, as [`bundle::manifest`]'s disks have it.
const VOLUME_BYTES: u64 = 1 << 30;

/// The first version whose `microvm` has ACPI.
const OLDEST_QEMU: (u32, u32) = (5, 2);

/// Milliseconds for a guest to be heard, with hardware help.
const BOOT_MS: u64 = 60_000;

/// The same without: everything takes many times as long, above all on a busy host.
const SLOW_BOOT_MS: u64 = 240_000;

/// Milliseconds for a machine that is only tried, which commonly takes less than a second.
const PROBE_MS: u64 = 15_000;

/// Decides everything about a run as a machine.
pub fn bind(bundle: &Bundle, facts: &Facts, options: &RunOptions, instance: &str) -> Result<Bound, Vec<Unmet>> {
    let plan = &bundle.plan;
    let mut needs = needs::common(plan, options);
    machine_needs(&mut needs, bundle, facts, options);
    let (memory_mib, balloon_mib) = memory_mib(plan, facts).unwrap_or_else(|unmet| {
        needs.0.push(unmet);
        (0, None)
    });
    let (Some(machines), true) = (&facts.machines, needs.0.is_empty()) else { return Err(needs.0) };
    let Ok(emulator) = &machines.qemu else { return Err(needs.0) };
    let (acceleration, why) = acceleration(machines);
    let cpus = plan.resources.cpus_milli.map_or(1, |milli| milli.div_ceil(1000)).clamp(1, facts.cpus.max(1));
    let files = Files { bundle, options, instance };
    let direct = direct(&bundle.boot, machines);
    let (start, proofs) = files.start(direct, machines, acceleration);
    let (drives, mut steps) = files.drives(direct);
    let shape = Shape {
        board: board(direct.is_some(), machines),
        acceleration,
        memory_mib,
        cpus,
        start,
        drives,
        holds: !options.command.is_empty(),
        wire: Reach::of(&plan.network).is_some(),
        sandbox: machines.system == System::Linux,
    };
    let limits = limits::fit_processors(plan, facts);
    steps.extend(limits.steps(instance));
    steps.push(Step::Start);
    let slow = acceleration == Acceleration::None;
    let machine = Machine {
        program: emulator.program.clone(),
        arguments: qemu::arguments(&shape),
        board: shape.board.name().to_owned(),
        acceleration: acceleration.name().to_owned(),
        why,
        proofs,
        memory_mib,
        balloon_mib,
        cpus,
        boot_ms: options.boot_ms.unwrap_or(if slow { SLOW_BOOT_MS } else { BOOT_MS }),
        command: command(plan, options),
        wire: shape.wire,
    };
    Ok(bound(plan, options, instance, machine, steps, &limits, facts))
}

fn bound(
    plan: &Plan,
    options: &RunOptions,
    instance: &str,
    machine: Machine,
    steps: Vec<Step>,
    limits: &Limits,
    facts: &Facts,
) -> Bound {
    Bound {
        instance: options.name.as_deref().unwrap_or(instance).to_owned(),
        about: about(plan, options),
        verdicts: machine_verdicts::verdicts(plan, facts, limits, &machine),
        state_folder: options.state_folder.clone(),
        reach: Reach::of(&plan.network),
        ports: ports(plan, options),
        grace_ms: options.grace_ms.unwrap_or(plan.process.stop_grace_ms),
        terminal: options.terminal,
        guest: true,
        body: Body::Machine(Box::new(machine)),
        steps,
    }
}

fn machine_needs(needs: &mut Needs, bundle: &Bundle, facts: &Facts, options: &RunOptions) {
    let boot = &bundle.boot;
    needs.want(
        options.command.is_empty() && !options.env.is_empty(),
        "the environment of a machine's services is that of the bundle".into(),
        "name a command, or set `env` in the spec",
    );
    needs.want(
        !boot.can_start(),
        "the bundle has nothing that boots".into(),
        "add `output \"microvm\"` to the spec and build it",
    );
    let Some(machines) = &facts.machines else {
        return needs.want(true, "the host was not asked for machines".into(), "ask for facts of machines");
    };
    qemu_need(needs, machines);
    let firmware_missing = boot.can_start() && direct(boot, machines).is_none() && machines.firmware.is_none();
    needs.want(
        firmware_missing,
        "the bundle's disk is started by UEFI firmware, and there is none here".into(),
        if machines.processor == "aarch64" {
            "install it (Debian: apt install qemu-efi-aarch64)"
        } else {
            "install it (Debian: apt install ovmf), or add `output \"microvm\"` to the spec, which needs none"
        },
    );
    for volume in &bundle.plan.volumes {
        needs.want(
            !boot.volumes.contains_key(&volume.name),
            format!("the bundle has no disk for the volume {}", volume.name),
            "build it again with `output \"microvm\"`, `\"raw\"` or `\"qcow2\"`",
        );
    }
}

fn qemu_need(needs: &mut Needs, machines: &MachineFacts) {
    let package = if machines.processor == "aarch64" { "qemu-system-arm" } else { "qemu-system-x86" };
    match &machines.qemu {
        Err(missing) => needs.want(
            true,
            format!("QEMU is needed for a machine: {missing}"),
            &match missing {
                NoQemu::Absent(_) => format!("install it (Debian: apt install {package})"),
                NoQemu::Broken { program, .. } => format!("see why with: {} --version", program.display()),
            },
        ),
        Ok(qemu) => {
            let ((major, minor), (least, least_minor)) = (qemu.version, OLDEST_QEMU);
            let need = format!("QEMU {least}.{least_minor} or newer is needed, and {major}.{minor} is here");
            needs.want(
                qemu.version < OLDEST_QEMU,
                need,
                &format!("install a newer one (Debian: apt install {package})"),
            );
        }
    }
}

/// What a machine without firmware takes, where there is such a machine.
fn direct<'b>(boot: &'b BootFiles, machines: &MachineFacts) -> Option<&'b Direct> {
    // It is the faster way; elsewhere the kernel of the bundle has not been seen to find its disks.
    boot.direct.as_ref().filter(|_| machines.processor == "x86_64" || boot.disk.is_none())
}

fn board(is_direct: bool, machines: &MachineFacts) -> Board {
    match (machines.processor.as_str(), is_direct) {
        ("x86_64", true) => Board::Microvm,
        ("x86_64", false) => Board::Q35,
        _ => Board::Virt,
    }
}

/// The command in place of the services, as the guest is asked for it. A terminal takes the size of the caller's.
fn command(plan: &Plan, options: &RunOptions) -> Option<Exec> {
    let mut env = options.env.clone();
    if options.terminal && !plan.process.env.contains_key("TERM") {
        env.entry("TERM".to_owned()).or_insert_with(|| "xterm".to_owned());
    }
    let terminal = options.terminal.then_some(TerminalSize { columns: 80, rows: 25 });
    let (args, user) = (options.command.clone(), options.user.clone());
    (!args.is_empty()).then_some(Exec { args, env, cwd: None, user, terminal })
}

/// What runs the processors, and why.
fn acceleration(machines: &MachineFacts) -> (Acceleration, String) {
    let name = Acceleration::Hardware(machines.system).name().to_uppercase();
    match &machines.acceleration {
        Probe::Works => (Acceleration::Hardware(machines.system), format!("{name} works: a small machine was tried")),
        Probe::NotTried => (Acceleration::None, format!("{name} was not tried")),
        Probe::Fails(reason) => (Acceleration::None, format!("{name} does not work here: {reason}")),
    }
}

/// The smallest machine that shows whether the hardware's help works: what this bundle starts from, and no disk.
pub fn probe_machine(machines: &MachineFacts, boot: &BootFiles) -> Option<Machine> {
    let emulator = machines.qemu.as_ref().ok()?;
    let direct = direct(boot, machines);
    let (start, proofs) = match direct {
        Some(Direct { kernel, initrd, .. }) => {
            let command_line = "console=ttyS0 panic=-1 reboot=t quiet".to_owned();
            let (kernel_file, initrd_file) = (kernel.path.clone(), initrd.path.clone());
            let start = Start::Kernel { kernel: kernel_file, initrd: initrd_file, command_line };
            (start, vec![proof(kernel), proof(initrd)])
        }
        None => (Start::Firmware(machines.firmware.clone()?), Vec::new()),
    };
    let shape = Shape {
        board: board(direct.is_some(), machines),
        acceleration: Acceleration::Hardware(machines.system),
        memory_mib: 2 * LEAST_MEMORY_MIB,
        cpus: 1,
        start,
        drives: Vec::new(),
        holds: false,
        wire: false,
        sandbox: machines.system == System::Linux,
    };
    Some(Machine {
        program: emulator.program.clone(),
        arguments: qemu::arguments(&shape),
        board: shape.board.name().to_owned(),
        acceleration: shape.acceleration.name().to_owned(),
        why: "it is tried".to_owned(),
        proofs,
        memory_mib: shape.memory_mib,
        balloon_mib: None,
        cpus: 1,
        boot_ms: PROBE_MS,
        command: None,
        wire: false,
    })
}

fn proof(file: &Checked) -> Proof {
    Proof { path: file.path.clone(), sha256: file.sha256.clone() }
}

/// The machine's memory, and what it keeps of it: what is asked, but no more than the host has free and never less than the
/// minimum. Where more is allowed than is asked, the machine has that, and keeps what is asked until it runs short.
fn memory_mib(plan: &Plan, facts: &Facts) -> Result<(u64, Option<u64>), Unmet> {
    let default = bundle::plan::Memory {
        bytes: DEFAULT_MEMORY_MIB << 20,
        min_bytes: LEAST_MEMORY_MIB << 20,
        max_bytes: u64::MAX,
    };
    let mut memory = plan.resources.memory.unwrap_or(default);
    memory.min_bytes = memory.min_bytes.max(LEAST_MEMORY_MIB << 20);
    memory.bytes = memory.bytes.max(memory.min_bytes);
    memory.max_bytes = memory.max_bytes.max(memory.min_bytes);
    if facts.memory_available_bytes < LEAST_MEMORY_MIB << 20 {
        let free = facts.memory_available_bytes >> 20;
        let need = format!("a machine has at least {LEAST_MEMORY_MIB} MiB of memory, and {free} MiB are free");
        return Err(Unmet { need, remedy: "free some: stop other instances, or end other programs".to_owned() });
    }
    let kept = limits::fit_memory(memory, facts)? >> 20;
    let most = plan.resources.memory.map_or(kept, |_| memory.max_bytes.min(facts.memory_available_bytes) >> 20);
    Ok((most.max(kept), (most > kept).then_some(kept)))
}

/// The files of one machine.
#[derive(Clone, Copy)]
struct Files<'a> {
    bundle: &'a Bundle,
    options: &'a RunOptions,
    instance: &'a str,
}

impl Files<'_> {
    fn start(
        self,
        direct: Option<&Direct>,
        machines: &MachineFacts,
        acceleration: Acceleration,
    ) -> (Start, Vec<Proof>) {
        let Some(Direct { kernel, initrd, command_line, .. }) = direct else {
            return (Start::Firmware(machines.firmware.clone().unwrap_or_default()), Vec::new());
        };
        // What keeps the kernel's secrets from guesses of the processor protects nothing on one that is emulated.
        let emulated = if acceleration == Acceleration::None { " mitigations=off" } else { "" };
        // Such a machine has no other clock to measure this one with.
        let rate = machines.tsc_khz.filter(|_| acceleration == Acceleration::None && machines.processor == "x86_64");
        let rate = rate.map(|khz| format!(" tsc_early_khz={khz}")).unwrap_or_default();
        let start = Start::Kernel {
            kernel: kernel.path.clone(),
            initrd: initrd.path.clone(),
            command_line: format!("{command_line}{emulated}{rate}"),
        };
        (start, vec![proof(kernel), proof(initrd)])
    }

    /// The disks: the root, its hash tree, one for each volume; and what is made for them on the host.
    fn drives(self, direct: Option<&Direct>) -> (Vec<Drive>, Vec<Step>) {
        let (mut drives, mut steps) = (Vec::new(), Vec::new());
        let root = direct.map(|direct| DiskFile { path: direct.root.clone(), format: "raw".to_owned() });
        let Some(root) = root.or_else(|| self.bundle.boot.disk.clone()) else { return (drives, steps) };
        match self.bundle.plan.root.read_only {
            // The machine keeps what is written in its memory, and can write nowhere else.
            true => drives.push(Drive { file: root.path, format: root.format, writable: false }),
            false => {
                let folder = self.options.cache_folder.join(MACHINES).join(self.instance);
                drives.push(Drive { file: folder.join(OVERLAY), format: "qcow2".to_owned(), writable: true });
                let disk_bytes = self.bundle.plan.resources.disk_bytes;
                let room = if disk_bytes.is_none() && direct.is_some() { ROOT_ROOM_BYTES } else { 0 };
                let (backing, format) = (root.path, root.format);
                steps.push(Step::MakeOverlay { folder, backing, format, size_bytes: disk_bytes, room_bytes: room });
            }
        }
        let verity = direct.and_then(|direct| direct.verity.clone());
        drives.extend(verity.map(|file| Drive { file, format: "raw".to_owned(), writable: false }));
        for volume in &self.bundle.plan.volumes {
            let Some(empty) = self.bundle.boot.volumes.get(&volume.name) else { continue };
            let folder = volume_folder(&self.options.volumes_folder.join(&self.bundle.plan.name), &volume.name);
            let file = folder.join(format!("disk.{}", empty.format));
            drives.push(Drive { file: file.clone(), format: empty.format.clone(), writable: true });
            let grow = (empty.format == "raw").then(|| volume.size_bytes.unwrap_or(VOLUME_BYTES));
            steps.push(Step::MakeVolumeDisk { file, empty: empty.path.clone(), size_bytes: grow });
        }
        (drives, steps)
    }
}

/// The folder in the cache for what machines write and nobody keeps.
pub const MACHINES: &str = "machines";

/// The file there for what is written to a disk.
pub const OVERLAY: &str = "root.qcow2";

/// Where the disk of a volume is kept: beside the folder that containers use.
fn volume_folder(appliance: &Path, name: &str) -> PathBuf {
    appliance.join(format!("{name}{OF_MACHINE}"))
}
