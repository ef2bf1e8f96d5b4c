//! Whether the processor's help for machines works: a small machine is started with it and must come up. That a device can
//! be opened proves nothing; inside other machines kernels are known to hang all the same.
//!
//! The machine starts the bundle's own kernel without a root, which its guest says and then ends. A bundle that only
//! firmware starts is answered by the firmware's first words. Either answer is remembered until the host starts anew.

use std::fs::DirBuilder;
use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use host::Interest;
use serde::{Deserialize, Serialize};

use super::{MachineFacts, Probe, System};
use crate::bind::{Machine, probe_machine};
use crate::bundle_boot::BootFiles;
use crate::machine::{Console, start};

/// The helper's second argument for this; the machine follows on its standard input.
pub const PROBE_MACHINE_ARG: &str = "probe-machine";

/// The file in the state folder.
pub const FILE_NAME: &str = "hardware-help";

/// What the guest says when it finds no root named.
const CAME_UP: &str = "appliance: failed to";

/// What is remembered.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Remembered {
    key: String,
    found: Probe,
}

/// Whether it works, tried at most once for each start of this host, kernel and QEMU.
pub fn probe(machines: &MachineFacts, boot: &BootFiles, helper: &Path, state_folder: &Path) -> Probe {
    if machines.system != System::Linux {
        return Probe::NotTried;
    }
    if let Some(reason) = closed(std::fs::File::options().read(true).write(true).open("/dev/kvm")) {
        return Probe::Fails(reason);
    }
    let Some(machine) = probe_machine(machines, boot) else { return Probe::NotTried };
    let (file, key) = (state_folder.join(FILE_NAME), key(&machine));
    let known = std::fs::read(&file).ok().and_then(|bytes| serde_json::from_slice::<Remembered>(&bytes).ok());
    if let Some(Remembered { found, .. }) = known.filter(|known| known.key == key) {
        return found;
    }
    let found = ask_helper(helper, &machine);
    // Without it the next run tries again.
    let made = DirBuilder::new().recursive(true).mode(0o700).create(state_folder);
    let bytes = serde_json::to_vec(&Remembered { key, found: found.clone() }).unwrap_or_default();
    let _ = made.and_then(|()| std::fs::write(&file, bytes));
    found
}

/// Why the kernel's device cannot be used at all.
fn closed(opened: std::io::Result<std::fs::File>) -> Option<String> {
    match opened.err()?.kind() {
        std::io::ErrorKind::NotFound => Some(
            "there is no /dev/kvm; modprobe kvm_intel, or kvm_amd, makes it where the processor has the means and its firmware \
             does not switch them off"
                .to_owned(),
        ),
        std::io::ErrorKind::PermissionDenied => {
            Some("this user may not open /dev/kvm; root allows it with: usermod -aG kvm NAME".to_owned())
        }
        kind => Some(format!("/dev/kvm cannot be opened: {kind}")),
    }
}

/// All that the answer hangs on: this start of the host, the program, and what is started.
fn key(machine: &Machine) -> String {
    let text = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    let stamp = std::fs::metadata(&machine.program).map(|meta| (meta.size(), meta.mtime(), meta.ino())).ok();
    let proofs: Vec<&str> = machine.proofs.iter().map(|proof| proof.sha256.as_str()).collect();
    format!("{} {} {stamp:?} {proofs:?}", text("/proc/sys/kernel/random/boot_id").trim(), machine.program.display())
}

fn ask_helper(helper: &Path, machine: &Machine) -> Probe {
    let failed = |error: &dyn std::fmt::Display| Probe::Fails(format!("the helper process fails: {error}"));
    let mut command = Command::new(helper);
    command.args([crate::HELPER_ARG, PROBE_MACHINE_ARG]).stdin(Stdio::piped()).stdout(Stdio::piped());
    let asked = command.spawn().and_then(|mut child| {
        if let Some(input) = child.stdin.take() {
            serde_json::to_writer(input, machine)?;
        }
        child.wait_with_output()
    });
    match asked {
        Ok(output) => serde_json::from_slice(&output.stdout).unwrap_or_else(|error| failed(&error)),
        Err(error) => failed(&error),
    }
}

/// The helper's side: starts the machine that it is given and prints what came of it.
pub fn probe_machine_main() -> i32 {
    // Whoever gives up on the answer must leave no machine behind.
    let _ = host::die_with_parent();
    let mut text = Vec::new();
    let read = std::io::stdin().take(1 << 20).read_to_end(&mut text);
    let Some(machine) = read.ok().and_then(|_| serde_json::from_slice::<Machine>(&text).ok()) else { return 64 };
    let found = try_it(&machine);
    serde_json::to_writer(std::io::stdout(), &found).map_or(1, |()| 0)
}

fn try_it(machine: &Machine) -> Probe {
    let (child, ends) = match start(machine) {
        Ok(started) => started,
        Err(error) => return Probe::Fails(error.to_string()),
    };
    let patience = Duration::from_millis(machine.boot_ms);
    let (begun, by_kernel) = (Instant::now(), !machine.proofs.is_empty());
    let (mut console, mut words) = (Console::default(), Console::default());
    let mut told = [Some(ends.console), Some(ends.words)];
    let came_up = |console: &Console| match by_kernel {
        true => console.last_lines().iter().any(|line| line.contains(CAME_UP)),
        false => !console.last_lines().is_empty(),
    };
    let mut ended = false;
    while !ended && !came_up(&console) && begun.elapsed() < patience {
        let read = |fd| Interest { fd, read: true, write: false };
        let sockets = told.iter().flatten().map(|socket| read(socket.as_fd()));
        let waits: Vec<Interest<'_>> = sockets.chain([read(child.handle.as_fd())]).collect();
        let Ok(ready) = host::poll(&waits, Some(250)) else { break };
        ended = ready.last().is_some_and(|one| one.read);
        told.iter_mut().zip([&mut console, &mut words]).for_each(|(socket, kept)| kept.take_all(socket));
    }
    let is_up = came_up(&console) && (by_kernel || !ended);
    let _ = child.handle.signal(9);
    let _ = child.wait();
    let last = words
        .last_lines()
        .pop()
        .or(console.last_lines().pop())
        .map(|line| format!("; it said at last: {line}"))
        .unwrap_or_default();
    match (is_up, ended) {
        (true, _) => Probe::Works,
        (false, true) => Probe::Fails(format!("a small machine that was tried ended at once{last}")),
        (false, false) => Probe::Fails(format!(
            "a small machine that was tried did not come up within {} s{last}",
            patience.as_secs()
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_that_is_closed_is_said_with_what_helps() {
        let error = |kind| closed(Err(std::io::Error::from(kind))).unwrap();
        assert!(error(std::io::ErrorKind::NotFound).contains("there is no /dev/kvm"));
        assert!(error(std::io::ErrorKind::PermissionDenied).contains("usermod -aG kvm"));
        assert_eq!(closed(std::fs::File::open("/dev/null")), None);
    }
}
