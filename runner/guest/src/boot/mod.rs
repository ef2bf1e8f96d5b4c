//! From the kernel's first process to the root of the appliance: the guest as `/init` of the initial file system.
//!
//! Input is [`Boot`], which the compiler put beside this program, and the kernel's command line. Where the guest is the root's
//! init as well, this process goes on as that; another init it becomes. Everything here happens once, in one order, and nothing
//! is tried twice.

mod devices;
mod first;
mod gpt;
mod grow;
mod mapper;
mod modules;
mod root;
mod table;
mod verity;
mod volumes;
mod wire;

use std::convert::Infallible;
use std::ffi::CString;
use std::fs;
use std::path::Path;

use bundle::boot::{BOOT_PATH, Boot, CommandLine, MACHINE_ENV, Machine, SCHEMA};
use bundle::guest::GUEST_PATH;
use nix::unistd::{Pid, execve};

use self::modules::Shown;
use crate::machine;

/// Whether this process is the first of a machine and stands in the initial file system.
pub fn is_wanted() -> bool {
    Pid::this().as_raw() == 1 && Path::new(BOOT_PATH).exists()
}

/// Why a machine does not come up, and how it wants to end then.
pub struct Failure {
    /// A fragment after "failed to".
    pub reason: String,
    /// As far as it is known.
    pub machine: Machine,
}

/// Brings the root up. It comes back where this program is the root's init, which then has this machine; another init it
/// becomes.
pub fn run() -> Result<Machine, Failure> {
    let mut machine = Machine::default();
    match go(&mut machine) {
        Ok(()) => Ok(machine),
        Err(reason) => Err(Failure { reason, machine }),
    }
}

fn go(machine: &mut Machine) -> Result<(), String> {
    machine::mount_kernel_file_systems();
    let boot = read_boot()?;
    let line =
        fs::read_to_string("/proc/cmdline").map_err(|error| format!("read the kernel's command line: {error}"))?;
    let line = CommandLine::parse(&line).map_err(|error| error.to_string());
    *machine = line.as_ref().map_or(*machine, |line| line.machine);
    // The way to the host is one of them: without it nobody hears what is wrong.
    modules::load(&boot.modules, Shown::look(machine.channel));
    let line = line?;
    let wire = wire::join().unwrap_or_else(|problem| {
        eprintln!("appliance: failed to {problem}");
        None
    });

    let mut device = devices::wait_for(&line.root)?;
    if let Some(proof) = &line.verity {
        let hashes = devices::wait_for(&proof.device)?;
        device = verity::open(&device, &hashes, &proof.root_hash)?;
    }
    // A root that proves itself cannot be written to, and one on a disk that cannot be is kept in memory.
    let keeps = !boot.root.read_only && line.verity.is_none() && !devices::is_read_only(&device);
    if keeps && let Err(problem) = grow::partition(&line.root) {
        eprintln!("appliance: failed to {problem}");
    }
    let is_ours = line.init == GUEST_PATH;
    root::mount(&device, &boot, keeps, !is_ours)?;
    root::switch()?;
    if let Some(Err(problem)) = wire.map(wire::Wire::show) {
        eprintln!("appliance: failed to {problem}");
    }
    // The root holds the same program, and to start it anew would read and prove every block of it.
    if !is_ours {
        become_init(&line)?;
    }
    Ok(())
}

fn read_boot() -> Result<Boot, String> {
    let problem = |error: &dyn std::fmt::Display| format!("read {BOOT_PATH}: {error}");
    let text = fs::read(BOOT_PATH).map_err(|error| problem(&error))?;
    let boot: Boot = serde_json::from_slice(&text).map_err(|error| problem(&error))?;
    match boot.schema {
        0..=SCHEMA => Ok(boot),
        schema => Err(problem(&format!("it has schema {schema}, this guest knows {SCHEMA}"))),
    }
}

fn become_init(line: &CommandLine) -> Result<Infallible, String> {
    let text = |text: String| CString::new(text).map_err(|_| "start the init: its path holds a zero byte".to_owned());
    let program = text(line.init.clone())?;
    let env = [text(format!("{MACHINE_ENV}={}", line.machine))?, text("TERM=linux".to_owned())?];
    execve(&program, &[&program], &env).map_err(|errno| format!("start {} of the root: {}", line.init, errno.desc()))
}
