//! Machines of arm64 under QEMU: an empty root with a program of a few instructions and Debian's kernel, from a disk by
//! UEFI and directly.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use bundle::channel::{Event, Request, Response};

use crate::machine::{Machine, Parts};
use crate::support::{program, skip, tool};
use crate::world::{Done, World};

/// Firmware for arm64.
const FIRMWARE: [&str; 1] = ["/usr/share/AAVMF/AAVMF_CODE.fd"];

const SPEC: &str = r#"appliance "arm" version="1" {
    base "scratch"
    arch "arm64"
    file "/bin/program" from="program" mode="0755"
    service "program" {
        run "/bin/program"
        ready file="/run/ready" within="120s"
    }
    network "none"
    kernel base="debian"
    output "raw" "qcow2" "microvm"
}
"#;

/// A static program for Linux on arm64 that makes `/run/ready` and sleeps.
fn arm64_program() -> Vec<u8> {
    let code: [u32; 16] = [
        0x9280_0c60, // x0 = AT_FDCWD
        0x1000_01e1, // x1 = the path behind this code
        0xd280_0822, // x2 = O_CREAT | O_WRONLY
        0xd280_3483, // x3 = 0644
        0xd280_0708, // openat
        0xd400_0001,
        0xd280_0000, // x0 to x4 = 0
        0xd280_0001,
        0xd280_0002,
        0xd280_0003,
        0xd280_0004,
        0xd280_0928, // ppoll, which waits for ever
        0xd400_0001,
        0xd280_0000, // x0 = 0
        0xd280_0bc8, // exit_group
        0xd400_0001,
    ];
    let head: [u64; 15] = [
        0x0001_0102_464c_457f, // 64 bits, little end first
        0,
        0x0000_0001_00b7_0002, // a program for arm64
        0x40_0078,             // where it starts
        64,                    // where its one segment is described
        0,
        0x0038_0040_0000_0000,
        1,
        0x0000_0005_0000_0001, // the segment is loaded, to be read and executed
        0,
        0x40_0000,
        0x40_0000,
        0x100,
        0x100,
        0x1_0000,
    ];
    let mut bytes: Vec<u8> = head.iter().flat_map(|word| word.to_le_bytes()).collect();
    bytes.extend(code.iter().flat_map(|word| word.to_le_bytes()));
    bytes.extend(b"/run/ready\0");
    bytes.resize(0x100, 0);
    bytes
}

/// A bundle for arm64, built once, and what starts it.
struct Bundle {
    world: World,
    qemu: PathBuf,
}

fn bundle(test: &str) -> Option<&'static Bundle> {
    static BUNDLE: OnceLock<Result<Bundle, String>> = OnceLock::new();
    match BUNDLE.get_or_init(made) {
        Ok(bundle) => Some(bundle),
        Err(reason) => {
            skip(test, reason);
            None
        }
    }
}

fn made() -> Result<Bundle, String> {
    let qemu = tool("qemu-system-aarch64").ok_or("there is no qemu-system-aarch64 (package qemu-system-arm)")?;
    let guest = Path::new(env!("CARGO_BIN_EXE_appliance")).with_file_name("appliance-guest-arm64");
    if !guest.exists() {
        return Err("there is no guest for arm64 beside the program (make guest ARCH=aarch64, make debug)".to_owned());
    }
    let world = World::new();
    fs::copy(guest, world.path("guest/appliance-guest-arm64")).unwrap();
    fs::write(world.path("spec/program"), arm64_program()).unwrap();
    world.spec_text(SPEC);
    build_live(&world)?;
    Ok(Bundle { world, qemu })
}

/// Builds with packages of Debian from the mirror that the host's apt has, in a cache of all such tests; or why that
/// cannot be.
pub fn build_live(world: &World) -> Result<(), String> {
    if !fs::read_to_string("/etc/os-release").unwrap_or_default().contains("ID=debian") {
        return Err("the host's apt is not configured for Debian".to_owned());
    }
    let mut command = world.command(&["build"]);
    command.env_remove("APPLIANCE_MIRROR").env("APPLIANCE_PATIENCE_MS", "5000");
    command.env("APPLIANCE_CACHE", Path::new(env!("CARGO_TARGET_TMPDIR")).join("live-cache"));
    for name in ["http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY"] {
        std::env::var_os(name).map(|value| command.env(name, value));
    }
    let done = Done::of(command.output().unwrap());
    match done.code {
        Some(5) => Err(done.text().lines().take(2).collect::<Vec<_>>().join("; ")),
        _ => {
            done.succeeds();
            Ok(())
        }
    }
}

fn lives_and_ends(test: &str, mut machine: Machine) {
    let event = machine.wait_for("readiness or the end", |event| {
        matches!(event, Event::Ready | Event::Failed { .. } | Event::Exited { .. })
    });
    // Nothing builds that guest with the tests.
    if matches!(&event, Event::Failed { reason } if reason.contains("boot.json")) {
        return skip(test, "the guest for arm64 beside the program is of another version (make guest ARCH=aarch64)");
    }
    assert_eq!(event, Event::Ready, "{}", machine.console());
    assert_eq!(machine.ask(&Request::Stop { within_ms: Some(2_000) }), Response::Done);
    assert!(machine.wait_for_end(), "{}", machine.console());
    assert!(!machine.console().contains("failed to"), "{}", machine.console());
}

fn boots_by_uefi(test: &str, format: &str) {
    let Some(firmware) = program(&FIRMWARE) else {
        return skip(test, "there is no UEFI firmware for arm64 (package qemu-efi-aarch64)");
    };
    let Some(Bundle { world, qemu }) = bundle(test) else { return };
    let (disk, folder) = (world.path(&format!("spec/out/disk.{format}")), tempfile::tempdir().unwrap());
    let format = format!("{format},snapshot=on");
    lives_and_ends(test, Machine::virt_from_disk(qemu, &firmware, &disk, &format, folder.path()));
}

#[test]
fn a_raw_disk_for_arm64_boots() {
    boots_by_uefi("a_raw_disk_for_arm64_boots", "raw");
}

#[test]
fn a_qcow2_disk_for_arm64_boots() {
    boots_by_uefi("a_qcow2_disk_for_arm64_boots", "qcow2");
}

#[test]
fn a_kernel_for_arm64_is_started_directly() {
    let test = "a_kernel_for_arm64_is_started_directly";
    let Some(Bundle { world, qemu }) = bundle(test) else { return };
    let file = |name: &str| world.path(&format!("spec/out/{name}"));
    let (kernel, initrd, folder) = (file("microvm/kernel"), file("microvm/initrd"), tempfile::tempdir().unwrap());
    let line = fs::read_to_string(file("microvm/cmdline")).unwrap();
    let (root, hashes) = (file("root.ext4"), file("root.verity"));
    let disks = [("root", root.as_path()), ("hashes", hashes.as_path())];
    let folder = folder.path();
    let parts = Parts { kernel: &kernel, initrd: &initrd, command_line: &line, disks: &disks, writable: false, folder };
    lives_and_ends(test, Machine::virt(qemu, &parts));
}
