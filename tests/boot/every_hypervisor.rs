//! The example with a file for every hypervisor, on live Debian: all of them are there, and the disk of the `.ova` boots
//! where VirtualBox and VMware put it, on SATA, with the kernel that it takes.

use std::fs;
use std::path::Path;
use std::process::Command;

use bundle::channel::{Event, Request, Response};

use crate::arm64::build_live;
use crate::machine::{FIRMWARE, Machine};
use crate::support::{program, skip, tool};
use crate::world::World;

/// Every file of the example that something starts.
const FILES: [&str; 12] = [
    "appliance.ova",
    "appliance.wsl",
    "disk.qcow2",
    "disk.raw",
    "disk.vhdx",
    "disk.vmdk",
    "microvm/cmdline",
    "microvm/initrd",
    "microvm/kernel",
    "microvm/vmlinux",
    "oci",
    "root.ext4",
];

#[test]
fn the_example_for_every_hypervisor_boots_on_sata() {
    let test = "the_example_for_every_hypervisor_boots_on_sata";
    let Some(qemu) = tool("qemu-system-x86_64").filter(|_| cfg!(target_arch = "x86_64")) else {
        return skip(test, "there is no qemu-system-x86_64 (package qemu-system-x86)");
    };
    let Some(firmware) = program(&FIRMWARE) else { return skip(test, "there is no OVMF (package ovmf)") };
    let Some(world) = World::new().with_guest(test) else { return };
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/every-hypervisor/appliance.kdl");
    world.spec_text(fs::read(example).unwrap());
    if let Err(reason) = build_live(&world) {
        return skip(test, &reason);
    }
    let artifacts = world.artifacts("spec/out");
    for file in FILES {
        assert!(artifacts.lines().any(|line| line.starts_with(&format!("{file} "))), "{file}: {artifacts}");
    }
    let folder = tempfile::tempdir().unwrap();
    let archive = world.path("spec/out/appliance.ova");
    let unpacked = Command::new("tar").arg("-xf").arg(&archive).arg("-C").arg(folder.path()).status().unwrap();
    assert!(unpacked.success());
    let disk = folder.path().join("everywhere-disk.vmdk");
    let mut machine = Machine::from_sata_disk(&qemu, &firmware, &disk, "vmdk,snapshot=on", folder.path());
    machine.wait_for("the service's readiness", |event| *event == Event::Ready);
    assert_eq!(machine.ask(&Request::Stop { within_ms: Some(2_000) }), Response::Done);
    assert!(machine.wait_for_end(), "{}", machine.console());
    assert!(!machine.console().contains("failed to"), "{}", machine.console());
}
