//! What the agent does otherwise than process 1: where it stands, and how the machine ends.

use std::collections::BTreeMap;
use std::fs::File;
use std::os::unix::fs::OpenOptionsExt;

use bundle::boot::{End, MACHINE_ENV};
use nix::unistd::{dup2_stderr, dup2_stdout};

use super::notify;
use super::units::Units;

/// What process 1 starts `poweroff.target` at (systemd(1), "Signals"): `SIGRTMIN+4`, as the C library of the distribution
/// counts, whose `SIGRTMIN` is 34.
const POWER_OFF_SIGNAL: i32 = 38;

/// The same for `reboot.target`: `SIGRTMIN+5`.
const REBOOT_SIGNAL: i32 = 39;

/// What the services print goes where a builtin init's would: to the console. Where there is none it stays in the journal.
pub fn speak_on_console() {
    let console = File::options().write(true).custom_flags(libc::O_NOCTTY).open("/dev/console");
    if let Ok(console) = console {
        let _ = dup2_stdout(&console);
        let _ = dup2_stderr(&console);
    }
}

/// Opens the door for the units and tells systemd that they may come; `holds` says that none of them is to start.
pub fn become_agent(holds: bool) -> Result<Units, String> {
    let units = Units::open(holds)?;
    notify::ready(None);
    Ok(units)
}

/// The environment that the agent passes on: that of process 1 of a machine, without what systemd says to this unit alone.
pub fn own_environment() -> BTreeMap<String, String> {
    std::env::var(MACHINE_ENV).ok().map(|machine| (MACHINE_ENV.to_owned(), machine)).into_iter().collect()
}

/// Asks process 1 to end the machine: it stops what else it runs, writes back what is left, and unmounts.
pub fn end_machine(end: End) {
    let signal = match end {
        End::PowerOff => POWER_OFF_SIGNAL,
        End::Reboot => REBOOT_SIGNAL,
    };
    // SAFETY: the call takes two numbers. Only systemd starts an agent, so process 1 knows what this signal means.
    unsafe { libc::kill(1, signal) };
}
