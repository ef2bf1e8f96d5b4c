//! Disks of a bundle: what stands in them, what is kept on them, and what does not fit.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use bundle::channel::{Event, Request, Response};

use crate::kernel;
use crate::machine::{FIRMWARE, Machine};
use crate::microvm::{SERVICES, Toy};
use crate::support::{program, skip, static_busybox, tool};
use crate::toys;
use crate::world::World;

/// A bundle with every disk, built once for all tests here, and what starts it.
pub struct Bundle {
    pub toy: Toy,
    firmware: PathBuf,
}

const OUTPUTS: &str = "kernel \"linux-image-real\"\n    output \"ext4\" \"raw\" \"qcow2\" \"vhdx\" \"vmdk\"";

fn spec() -> String {
    SERVICES.replace("output \"ext4\"", OUTPUTS)
}

pub fn packages() -> Vec<crate::package::Package> {
    vec![toys::base(), toys::shell(static_busybox().unwrap()), kernel::package(), kernel::stub_package()]
}

pub fn bundle(test: &str) -> Option<&'static Bundle> {
    static BUNDLE: OnceLock<Option<Bundle>> = OnceLock::new();
    let Some(firmware) = program(&FIRMWARE) else {
        skip(test, "there is no OVMF (package ovmf)");
        return None;
    };
    if let Err(reason) = kernel::stub() {
        skip(test, &format!("there is no systemd stub: {reason}"));
        return None;
    }
    let made = BUNDLE.get_or_init(|| Some(Bundle { toy: Toy::with(test, packages, &spec())?, firmware }));
    if made.is_none() {
        skip(test, "the appliance of these tests could not be made; another test says why");
    }
    made.as_ref()
}

#[test]
fn the_disks_of_a_bundle_are_listed_equal_and_the_same_again() {
    let test = "the_disks_of_a_bundle_are_listed_equal_and_the_same_again";
    let Some(bundle) = bundle(test) else { return };
    let world = &bundle.toy.world;
    let artifacts = world.artifacts("spec/out");
    for name in ["disk.raw", "disk.qcow2", "disk.vhdx", "disk.vmdk", "root.ext4"] {
        let line = artifacts.lines().find(|line| line.starts_with(&format!("{name} ")));
        let bytes = fs::read(world.path(&format!("spec/out/{name}"))).unwrap();
        let blake3 = tree::Digest::of(&bytes).to_string();
        assert!(line.is_some_and(|line| line.contains(&format!(" {} {blake3} ", bytes.len()))), "{name}: {artifacts}");
    }
    assert!(world.lock().contains("    boot-package \"systemd-boot-efi\" \"252.1\""), "{}", world.lock());

    let again = World::of(&packages()).with_guest(test).unwrap();
    again.spec(&spec());
    let mut command = again.command(&["build"]);
    let varied = command.env("TZ", "Asia/Tokyo").env("LC_ALL", "tr_TR.UTF-8").env("SOURCE_DATE_EPOCH", "1").status();
    assert!(varied.unwrap().success());
    assert_eq!(again.artifacts("spec/out"), artifacts);

    let Some(qemu_img) = tool("qemu-img") else { return skip(test, "there is no qemu-img (package qemu-utils)") };
    let path = |name: &str| world.path(&format!("spec/out/{name}")).display().to_string();
    for format in ["qcow2", "vhdx", "vmdk"] {
        let args = ["compare", "-f", "raw", "-F", format, &path("disk.raw"), &path(&format!("disk.{format}"))];
        let output = Command::new(&qemu_img).args(args).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn a_root_that_does_not_fit_the_disk_is_refused_with_numbers() {
    let test = "a_root_that_does_not_fit_the_disk_is_refused_with_numbers";
    if bundle(test).is_none() {
        return;
    }
    let world = World::of(&packages()).with_guest(test).unwrap();
    world.spec(&format!("packages \"toy-shell\"\n    resources {{ disk \"38MiB\"; }}\n    {OUTPUTS}"));
    let words = [
        "the root for amd64 does not fit a disk of 38 MiB: its parts (root ",
        ") and tables need ",
        "appliance.kdl:5:",
        "write disk \"",
    ];
    world.run(&["build"]).fails(6, &words);
    assert!(world.traces().is_empty(), "{:?}", world.traces());
}

const KEEPING: &str = r#"
    packages "toy-shell"
    isolation "auto" { root "writable"; }
    resources { disk "200MiB"; }
    service "look" {
        run "/bin/sh" "-c" "stat -f -c 'blocks %b' /; cat /kept || echo nothing was kept; cp /etc/machine-id /kept; sleep 1; touch /run/ready; exec sleep 1000"
        ready file="/run/ready" within="120s"
    }
    network "none"
    kernel "linux-image-real"
    output "raw"
"#;

/// Starts a disk that is written to, waits for its service, and ends it; gives what it said.
fn one_life(toy: &Toy, firmware: &Path, disk: &Path) -> String {
    let folder = tempfile::tempdir().unwrap();
    let mut machine = Machine::from_disk(&toy.qemu, firmware, disk, "raw", folder.path());
    machine.wait_for("the services' readiness", |event| *event == Event::Ready);
    assert_eq!(machine.ask(&Request::Stop { within_ms: Some(2_000) }), Response::Done);
    assert!(machine.wait_for_end(), "{}", machine.console());
    let console = machine.console();
    assert!(!console.contains("failed to"), "{console}");
    console
}

/// What the service said of its file system's size, in MiB.
fn mib(console: &str) -> u64 {
    let blocks = console.lines().find_map(|line| line.trim().strip_prefix("blocks ")?.parse::<u64>().ok());
    blocks.unwrap_or_else(|| panic!("no size in {console}")) / 256
}

#[test]
fn a_writable_root_is_kept_and_grows_with_its_disk() {
    let test = "a_writable_root_is_kept_and_grows_with_its_disk";
    let Some(bundle) = bundle(test) else { return };
    let Some(toy) = Toy::with(test, packages, KEEPING) else { return };
    let disk = toy.world.path("spec/out/disk.raw");
    assert_eq!(fs::metadata(&disk).unwrap().len(), 200 << 20);
    let first = one_life(&toy, &bundle.firmware, &disk);
    assert!(first.contains("nothing was kept"), "{first}");
    assert!((140..=166).contains(&mib(&first)), "{first}");

    // A larger disk: the table at its end is in the middle now.
    fs::File::options().write(true).open(&disk).unwrap().set_len(400 << 20).unwrap();
    let second = one_life(&toy, &bundle.firmware, &disk);
    assert!((330..=366).contains(&mib(&second)), "{second}");
    let is_id = |line: &str| line.len() == 32 && line.bytes().all(|byte| byte.is_ascii_hexdigit());
    assert!(second.lines().any(|line| is_id(line.trim())), "the first life's machine id is kept: {second}");

    let Some(sgdisk) = tool("sgdisk") else { return skip(test, "there is no sgdisk (package gdisk)") };
    let output = Command::new(sgdisk).arg("-v").arg(&disk).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(said.contains("No problems found"), "{said}");
    let Some(e2fsck) = tool("e2fsck") else { return skip(test, "there is no e2fsck (package e2fsprogs)") };
    // The root stands behind the system partition of 33 MiB.
    let check =
        Command::new(e2fsck).args(["-fn", &format!("{}?offset={}", disk.display(), 34 << 20)]).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
}

const REMEMBERING: &str = r#"
    packages "toy-shell"
    user "web" uid=1000 home="/srv/www"
    dir "/data" owner="web" mode="0750"
    service "look" user="web" {
        run "/bin/sh" "-c" "stat -f -c 'blocks %b' /data; cat /data/kept || echo nothing was kept; echo it was kept > /data/kept; sleep 1; touch /tmp/ready; exec sleep 1000"
        ready file="/tmp/ready" within="120s"
    }
    network "none"
    volume "data" at="/data" size="200MiB"
    kernel "linux-image-real"
    output "raw" "qcow2"
"#;

#[test]
fn a_volume_outlives_the_machine_and_is_missed_when_it_is_not_there() {
    let test = "a_volume_outlives_the_machine_and_is_missed_when_it_is_not_there";
    let Some(bundle) = bundle(test) else { return };
    let Some(toy) = Toy::with(test, packages, REMEMBERING) else { return };
    let (disk, volume) = (toy.world.path("spec/out/disk.raw"), toy.world.path("spec/out/volumes/data.raw"));
    let artifacts = toy.world.artifacts("spec/out");
    for name in ["volumes/data.raw", "volumes/data.qcow2"] {
        assert!(artifacts.contains(&format!("{name} ")), "{artifacts}");
    }
    fs::File::options().write(true).open(&volume).unwrap().set_len(300 << 20).unwrap();
    let life = |volumes: &[&Path]| {
        let folder = tempfile::tempdir().unwrap();
        let (qemu, format) = (&toy.qemu, "raw,snapshot=on");
        let mut machine = Machine::from_disks(qemu, &bundle.firmware, &disk, format, volumes, folder.path());
        machine.wait_for("readiness or a failure", |event| matches!(event, Event::Ready | Event::Failed { .. }));
        if machine.events.contains(&Event::Ready) {
            assert_eq!(machine.ask(&Request::Stop { within_ms: Some(2_000) }), Response::Done);
        }
        assert!(machine.wait_for_end(), "{}", machine.console());
        machine.console()
    };
    let first = life(&[&volume]);
    assert!(first.contains("nothing was kept"), "{first}");
    assert!((280..=300).contains(&mib(&first)), "{first}");
    let second = life(&[&volume]);
    assert!(second.contains("it was kept"), "{second}");
    let none = life(&[]);
    assert!(none.contains("failed to find the volume data: no disk of this machine holds it"), "{none}");

    let Some(e2fsck) = tool("e2fsck") else { return skip(test, "there is no e2fsck (package e2fsprogs)") };
    let check = Command::new(e2fsck).arg("-fn").arg(&volume).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
    let Some(qemu_img) = tool("qemu-img") else { return skip(test, "there is no qemu-img (package qemu-utils)") };
    let info = Command::new(qemu_img).arg("info").arg(volume.with_extension("qcow2")).output().unwrap();
    assert!(String::from_utf8_lossy(&info.stdout).contains("200 MiB"), "{info:?}");
}

#[test]
fn an_ova_needs_a_kernel_with_the_drivers_for_the_devices_that_it_names() {
    let test = "an_ova_needs_a_kernel_with_the_drivers_for_the_devices_that_it_names";
    if bundle(test).is_none() {
        return;
    }
    let spec = "packages \"toy-shell\"\n    network \"none\"\n    kernel \"linux-image-real\"\n    output \"ova\"";
    let poor = World::of(&packages()).with_guest(test).unwrap();
    poor.spec(spec);
    let words = ["boot on what takes an .ova", "has no driver for the SATA disk of an .ova (ahci with sd_mod)"];
    poor.run(&["build"]).fails(6, &words);

    let kernel = kernel::package_with_builtin("kernel/drivers/ata/ahci.ko\n");
    let shell = toys::shell(static_busybox().unwrap());
    let rich = World::of(&[toys::base(), shell, kernel, kernel::stub_package()]).with_guest(test).unwrap();
    rich.spec(spec);
    assert!(rich.build().contains("appliance.ova "));
    let list = Command::new("tar").arg("-tf").arg(rich.path("spec/out/appliance.ova")).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&list.stdout), "toy.ovf\ntoy-disk.vmdk\ntoy.mf\n");
}
