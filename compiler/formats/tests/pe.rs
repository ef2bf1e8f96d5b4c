//! Unified kernel images: around a toy stub, and around systemd's own where it can be had.

#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test may compare with other tools")]

#[allow(dead_code, clippy::allow_attributes, reason = "every test of this crate uses its own part of this")]
mod kernel_support;

use std::path::Path;
use std::process::Command;

use formats::pe::{Image, PeError, Signer, SignerError, Unified, unified};
use kernel_support::stub;

fn parts(stub: &[u8]) -> Unified<'_> {
    Unified {
        stub,
        os_release: b"ID=toy\n",
        command_line: "quiet appliance.root=serial:root",
        release: "6.1.0-9-toy",
        initrd: b"070701",
        kernel: b"MZ a kernel",
    }
}

#[test]
fn the_image_is_pinned_and_holds_all_parts() {
    let stub = stub(5);
    let bytes = unified(parts(&stub)).unwrap();
    let image = Image::read(&bytes).unwrap();
    let names: Vec<String> =
        image.sections().iter().map(|section| String::from_utf8_lossy(section.name).into_owned()).collect();
    assert_eq!(names, [".text", ".sbat", ".osrel", ".cmdline", ".uname", ".initrd", ".linux"]);
    let text = |name: &str| String::from_utf8_lossy(image.content(name).unwrap()).into_owned();
    assert_eq!(text(".cmdline"), "quiet appliance.root=serial:root");
    assert_eq!(text(".linux"), "MZ a kernel");
    assert_eq!(text(".sbat"), "b".repeat(100));
    let mut end = 0;
    for section in image.sections() {
        assert!(section.address >= end && section.address.is_multiple_of(4096), "{section:?}");
        end = section.address + section.size_bytes;
    }
    assert!(!image.is_signed());
    assert_eq!(bytes.len() % 512, 0);
    assert_eq!(
        tree::Digest::of(&bytes).to_string(),
        "f1d230a8a4d6728b75670a76c1508b6c43f62115b003286d1fe20deedc705202"
    );
}

#[test]
fn what_is_no_stub_is_refused() {
    let check = |stub: &[u8], expected: PeError| assert_eq!(unified(parts(stub)), Err(expected));
    check(b"", PeError::NotPe);
    check(b"MZ", PeError::NotPe);
    check(&stub(4), PeError::Room { room: 4, wanted: 5 });
    check(&unified(parts(&stub(10))).unwrap(), PeError::Double(".osrel"));
    check(&stub(5)[..1200], PeError::Outside("section"));
    let mut odd = stub(5);
    odd[64 + 24 + 36] = 3;
    check(&odd, PeError::Alignment(515));
    let mut signed = stub(5);
    signed[64 + 24 + 112 + 4 * 8 + 4] = 8;
    check(&signed, PeError::Signed);
}

/// systemd's stub from its package, or why it cannot be had.
fn systemd_stub(folder: &Path) -> Result<Vec<u8>, String> {
    let run = |program: &str, args: &[&str]| -> Result<(), String> {
        let status = Command::new(program).args(args).current_dir(folder).status();
        let status = status.map_err(|error| format!("{program} cannot be started: {error}"))?;
        status.success().then_some(()).ok_or_else(|| format!("{program} {}: {status}", args.join(" ")))
    };
    run("apt-get", &["download", "-qq", "systemd-boot-efi"])?;
    let mut entries = std::fs::read_dir(folder).map_err(|error| error.to_string())?.flatten();
    let archive = entries.next().ok_or("apt-get downloaded nothing")?.path();
    run("dpkg-deb", &["-x", &archive.display().to_string(), "root"])?;
    let stub = folder.join("root/usr/lib/systemd/boot/efi/linuxx64.efi.stub");
    std::fs::read(stub).map_err(|error| error.to_string())
}

#[test]
fn other_tools_read_it() {
    let name = "other_tools_read_it";
    let folder = tempfile::tempdir().unwrap();
    let stub = match systemd_stub(folder.path()) {
        Ok(stub) => stub,
        Err(reason) => return eprintln!("SKIP {name}: {reason}"),
    };
    let kernel: Vec<u8> = (0..3_000_000_u32).map(|n| (n >> 3) as u8).collect();
    let bytes = unified(Unified { kernel: &kernel, ..parts(&stub) }).unwrap();
    let image = Image::read(&bytes).unwrap();
    assert_eq!(image.content(".sbat"), Image::read(&stub).unwrap().content(".sbat"));
    assert!(image.content(".sbat").unwrap().starts_with(b"sbat,1,"));
    let path = folder.path().join("uki.efi");
    std::fs::write(&path, &bytes).unwrap();
    let output = Command::new("objdump").arg("-h").arg(&path).output();
    let Ok(output) = output else { return eprintln!("SKIP {name}: there is no objdump (package binutils)") };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success() && text.contains("pei-x86-64"), "{text}");
    for section in image.sections() {
        let row = text.lines().find(|line| line.split_whitespace().nth(1).map(str::as_bytes) == Some(section.name));
        let words: Vec<&str> =
            row.unwrap_or_else(|| panic!("{section:?} is not in {text}")).split_whitespace().collect();
        assert_eq!(u32::from_str_radix(words[3], 16), Ok(section.address), "{text}");
        assert_eq!(usize::from_str_radix(words[5], 16), Ok(section.file.start), "{text}");
    }
    let Ok(output) = Command::new("sbverify").arg("--list").arg(&path).output() else {
        return eprintln!("SKIP {name}: there is no sbverify (package sbsigntool)");
    };
    let text = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(text.contains("No signature table present") && !text.contains("warning"), "{text}");
}

const KEY: &str = include_str!("../../../tests/support/secure-boot/key.pem");
const CERTIFICATE: &str = include_str!("../../../tests/support/secure-boot/certificate.pem");
const OTHER_CERTIFICATE: &str = include_str!("../../../tests/support/secure-boot/other-certificate.pem");

#[test]
fn a_signed_program_is_the_same_again_and_verified_by_others() {
    let mut stub = stub(5);
    // Headers up to the first section: what stands between belongs to neither, and tools differ over it.
    stub[64 + 24 + 60..64 + 24 + 64].copy_from_slice(&1024_u32.to_le_bytes());
    let program = unified(parts(&stub)).unwrap();
    let signer = Signer::new(KEY, CERTIFICATE).unwrap();
    let signed = signer.sign(program.clone()).unwrap();
    assert_eq!(signed, signer.sign(program.clone()).unwrap());
    let (before, after) = (Image::read(&program).unwrap(), Image::read(&signed).unwrap());
    assert!(after.is_signed() && !before.is_signed());
    assert_eq!(before.authenticode_sha256(), after.authenticode_sha256());
    assert!(matches!(signer.sign(signed.clone()), Err(SignerError::Program(PeError::Signed))));

    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("certificate"), CERTIFICATE).unwrap();
    std::fs::write(path("other"), OTHER_CERTIFICATE).unwrap();
    let mut changed = signed.clone();
    changed[1030] ^= 1;
    for (name, bytes, certificate, expected) in [
        ("signed", &signed, "certificate", true),
        ("changed", &changed, "certificate", false),
        ("signed", &signed, "other", false),
    ] {
        std::fs::write(path(name), bytes).unwrap();
        match Command::new("sbverify").args(["--cert", &path(certificate), &path(name)]).output() {
            Ok(output) => {
                let said = String::from_utf8_lossy(&output.stderr).into_owned();
                assert_eq!(output.status.success(), expected, "{name}, {certificate}: {said}");
            }
            Err(error) => return eprintln!("SKIP signed programs: no sbverify (package sbsigntool): {error}"),
        }
    }
}

#[test]
fn keys_and_certificates_that_do_not_fit_are_refused_in_words() {
    let check = |key: &str, certificate: &str, expected: &str| {
        let error = Signer::new(key, certificate).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    };
    check("", CERTIFICATE, "read the private key: it is no RSA key in PEM");
    check(CERTIFICATE, CERTIFICATE, "read the private key");
    check(KEY, "", "read the certificate: it is no X.509 certificate in PEM");
    check(KEY, KEY, "read the certificate");
    check(KEY, OTHER_CERTIFICATE, "the certificate is for another key");
    let cut: String =
        CERTIFICATE.lines().filter(|line| !line.starts_with("MII")).map(|line| format!("{line}\n")).collect();
    check(KEY, &cut, "read the certificate");
}
