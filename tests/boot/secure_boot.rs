//! Disks that are signed for Secure Boot: another tool verifies them, and firmware that takes nothing else starts them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use bundle::channel::{Event, Request, Response};

use crate::disks::{bundle, packages};
use crate::machine::Machine;
use crate::microvm::SERVICES;
use crate::support::{skip, tool};
use crate::world::World;

/// The key that Debian's OVMF trusts for tests, and firmware that takes nothing that is not signed.
const KEY: &str = "/usr/share/ovmf/PkKek-1-snakeoil.key";
const CERTIFICATE: &str = "/usr/share/ovmf/PkKek-1-snakeoil.pem";
const CODE: &str = "/usr/share/OVMF/OVMF_CODE_4M.secboot.fd";
const VARIABLES: &str = "/usr/share/OVMF/OVMF_VARS_4M.snakeoil.fd";

/// The key without its passphrase.
fn key(folder: &Path) -> Option<PathBuf> {
    let (openssl, plain) = (tool("openssl")?, folder.join("key.pem"));
    let run = |args: &[&str]| Command::new(&openssl).args(args).output().is_ok_and(|output| output.status.success());
    let plain_text = plain.display().to_string();
    run(&["pkcs8", "-topk8", "-nocrypt", "-in", KEY, "-passin", "pass:snakeoil", "-out", &plain_text]).then_some(plain)
}

fn spec() -> String {
    SERVICES.replace("output \"ext4\"", "kernel \"linux-image-real\"\n    output \"raw\"")
}

#[test]
fn a_signed_disk_starts_where_an_unsigned_one_is_refused() {
    let test = "a_signed_disk_starts_where_an_unsigned_one_is_refused";
    let Some(unsigned) = bundle(test) else { return };
    if [KEY, CERTIFICATE, CODE, VARIABLES].iter().any(|path| !Path::new(path).exists()) {
        return skip(test, "this OVMF comes without a key for tests (Debian's package ovmf has one)");
    }
    let folder = tempfile::tempdir().unwrap();
    let Some(key) = key(folder.path()) else { return skip(test, "there is no openssl that reads OVMF's key") };
    let key = key.display().to_string();
    let world = World::of(&packages()).with_guest(test).unwrap();
    world.spec(&spec());
    let done = world.run(&["build", "--secure-boot-key", &key, "--secure-boot-cert", CERTIFICATE]).succeeds();
    assert!(!done.text().contains("not signed"), "{}", done.text());
    let artifacts = world.artifacts("spec/out");
    let disk = world.path("spec/out/disk.raw");
    verified_by_sbverify(test, &disk, folder.path());

    let variables = folder.path().join("variables");
    let start = |disk: &Path| {
        fs::copy(VARIABLES, &variables).unwrap();
        Machine::secure(&unsigned.toy.qemu, [Path::new(CODE), &variables], disk, "raw,snapshot=on", folder.path())
    };
    let mut machine = start(&disk);
    machine.wait_for("the services' readiness", |event| *event == Event::Ready);
    assert_eq!(machine.ask(&Request::Stop { within_ms: Some(2_000) }), Response::Done);
    assert!(machine.wait_for_end(), "{}", machine.console());
    drop(machine);
    start(&unsigned.toy.world.path("spec/out/disk.raw")).wait_for_console("Access Denied");

    // Signed again the bytes are the same; without the key there is another disk, and a word about it.
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    world.run(&["build", "--secure-boot-key", &key, "--secure-boot-cert", CERTIFICATE]).succeeds();
    assert_eq!(world.artifacts("spec/out"), artifacts);
    let done = world.run(&["build", "-v"]).succeeds();
    assert!(done.text().contains("the disks are not signed for Secure Boot; --secure-boot-key"), "{}", done.text());
    assert!(
        done.text().lines().any(|line| line.contains("disk.raw") && line.ends_with("  unsigned")),
        "{}",
        done.text()
    );
    assert_ne!(world.artifacts("spec/out"), artifacts);
}

/// Takes the program out of the disk and lets another tool look at it.
fn verified_by_sbverify(test: &str, disk: &Path, folder: &Path) {
    let (Some(sgdisk), Some(mcopy), Some(sbverify)) = (tool("sgdisk"), tool("mcopy"), tool("sbverify")) else {
        return skip(test, "there is no sgdisk, mcopy or sbverify (packages gdisk, mtools, sbsigntool)");
    };
    let output = Command::new(sgdisk).arg("-i3").arg(disk).output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let first =
        said.lines().find_map(|line| line.strip_prefix("First sector: ")?.split(' ').next()?.parse::<u64>().ok());
    let program = folder.join("program.efi");
    let image = format!("{}@@{}", disk.display(), first.unwrap() * 512);
    let copied = Command::new(mcopy).args(["-n", "-i", &image, "::EFI/BOOT/BOOTX64.EFI"]).arg(&program).status();
    assert!(copied.unwrap().success());
    let output = Command::new(sbverify).args(["--cert", CERTIFICATE]).arg(&program).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_key_that_is_none_or_alone_is_refused() {
    let world = World::new();
    world.spec("    output \"oci\"");
    fs::write(world.path("key"), "no key").unwrap();
    let file = world.path("key").display().to_string();
    let both = ["build", "--secure-boot-key", &file, "--secure-boot-cert", &file];
    world.run(&both).fails(2, &["sign with", "read the private key: it is no RSA key in PEM", "openssl req"]);
    world.run(&both[..3]).fails(2, &["--secure-boot-cert"]);
    let missing = ["build", "--secure-boot-key", "gone", "--secure-boot-cert", &file];
    world.run(&missing).fails(2, &["failed to read gone"]);
}
