//! What a machine boots from: cpio archives, kernels and their modules, EFI programs, and the guest's own instructions.

use std::io::Read;

use formats::cpio::{Limits, Reader};
use formats::kernel::Kernel;
use formats::kmod::{self, Builtin, Module};
use formats::pe::{self, Image, Unified, unified};

/// The most that a kernel may unpack to here.
const LIMIT_BYTES: u64 = 1 << 20;

/// Reads every entry.
pub fn cpio(data: &[u8]) -> bool {
    let limits = Limits { entries: 100, content_bytes: 1 << 20, name_bytes: 300 };
    let mut archive = Reader::new(data, limits);
    let mut total = 0;
    loop {
        let entry = match archive.next_entry() {
            Ok(Some(entry)) => entry,
            end => return end.is_ok(),
        };
        let mut content = Vec::new();
        if archive.read_to_end(&mut content).is_err() {
            return false;
        }
        assert_eq!(content.len(), entry.size_bytes as usize);
        total += content.len() + entry.name.len();
        assert!(total <= data.len(), "more came out than went in");
    }
}

/// Recognises a kernel and unpacks it.
pub fn kernel(data: &[u8]) -> bool {
    let Ok(kernel) = Kernel::recognise(data) else { return false };
    assert!(kernel.release().is_none_or(|release| !release.is_empty()));
    match kernel.unpack(LIMIT_BYTES) {
        Ok(bytes) => {
            assert!(bytes.len() as u64 <= LIMIT_BYTES.max(data.len() as u64));
            true
        }
        Err(_) => false,
    }
}

/// A module as it stands and as if compressed in each way, and the lists beside modules.
pub fn kmod(data: &[u8]) -> bool {
    for name in ["a.ko", "a.ko.xz", "a.ko.zst", "a.ko.gz"] {
        if let Ok(elf) = kmod::unpack(name, data) {
            assert!(elf.starts_with(kmod::without_signature(&elf)));
            drop(Module::read(&elf));
        }
    }
    let builtin = Builtin::read(data, data);
    assert!(builtin.names().all(|name| builtin.has(name) && !name.contains('-')));
    Module::read(data).is_ok_and(|module| module.vermagic.starts_with(module.release()))
}

/// Takes a certificate apart, as what signs disks does.
pub fn certificate(data: &[u8]) -> bool {
    let Some(parts) = pe::certificate(data) else { return false };
    let all = parts.issuer.len() + parts.serial.len() + parts.public_key.len();
    assert!(all < data.len() && !parts.issuer.is_empty() && !parts.serial.is_empty());
    true
}

/// Reads an EFI program, makes a unified kernel image of it, and reads that.
pub fn pe(data: &[u8]) -> bool {
    let Ok(image) = Image::read(data) else { return false };
    let _ = image.authenticode_sha256();
    let parts =
        Unified { stub: data, os_release: b"ID=x\n", command_line: "quiet", release: "1", initrd: b"i", kernel: b"k" };
    if let Ok(bytes) = unified(parts) {
        let made = Image::read(&bytes).expect("what was made can be read");
        assert_eq!(made.sections().len(), image.sections().len() + 5);
        assert_eq!(made.content(".linux"), Some(&b"k"[..]));
        assert_eq!(made.content(".cmdline"), Some(&b"quiet"[..]));
    }
    true
}

/// The kernel's command line: what is read is written in a form that reads to the same.
pub fn command_line(data: &[u8]) -> bool {
    use bundle::boot::{CommandLine, Machine};
    let text = String::from_utf8_lossy(data);
    let _ = Machine::parse(&text);
    let Ok(line) = CommandLine::parse(&text) else { return false };
    assert_eq!(CommandLine::parse(&line.to_string()).as_ref(), Ok(&line));
    assert_eq!(Machine::parse(&line.machine.to_string()), Some(line.machine));
    true
}
