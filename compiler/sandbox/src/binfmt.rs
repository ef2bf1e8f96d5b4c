//! Tells the kernel, in this user namespace alone, which emulator runs programs of another architecture. The host has no
//! part in it: since Linux 6.7 a user namespace has a binfmt_misc of its own.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::mount::{MntFlags, MsFlags, mount, umount2};

/// What the kernel compares with the beginning of a program: ELF, 64 bit, little endian, version 1; anything for the system
/// and its version; a program of fixed or of any place (types 2 and 3); the machine; version 1 (System V ABI, "ELF Header").
const HEADER: [u8; 20] = [0x7f, b'E', b'L', b'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0];
const MASK: [u8; 20] = [255, 255, 255, 255, 255, 255, 255, 0, 0, 255, 255, 255, 255, 255, 255, 255, 254, 255, 255, 255];

/// Keeps the registration; it goes with the last process of the namespace that has it open.
pub(crate) struct Registered(#[expect(dead_code, reason = "held, never read")] File);

/// Registers an emulator for the programs of a machine. Only from a user namespace of one's own; `work` is empty.
pub(crate) fn register(work: &Path, machine: &OsStr, emulator: &OsStr) -> io::Result<Registered> {
    let line = line(machine, emulator)?;
    let place = work.join("binfmt");
    fs::create_dir(&place)?;
    mount(Some("binfmt_misc"), &place, Some("binfmt_misc"), MsFlags::empty(), None::<&str>).map_err(|error| {
        io::Error::other(format!(
            "this kernel gives a user namespace no binfmt_misc of its own, as Linux 6.7 and newer do: {error}"
        ))
    })?;
    let told = fs::write(place.join("register"), line);
    let told = told.and_then(|()| File::open(place.join("status"))).map(Registered);
    umount2(&place, MntFlags::MNT_DETACH)?;
    fs::remove_dir(&place)?;
    told.map_err(|error| io::Error::other(format!("register {}: {error}", emulator.display())))
}

/// The line that the kernel reads (kernel documentation, admin-guide/binfmt-misc). `F` opens the emulator now, so that it
/// works in any root; `P` gives the program the name by which it was called, which qemu understands since 6.0.
fn line(machine: &OsStr, emulator: &OsStr) -> io::Result<Vec<u8>> {
    let machine_number = match machine.as_bytes() {
        b"x86_64" => 62,
        b"aarch64" => 183,
        _ => return Err(io::Error::other(format!("the machine {} is not known", machine.display()))),
    };
    if emulator.as_bytes().iter().any(|byte| *byte == b':' || byte.is_ascii_control()) {
        return Err(io::Error::other(format!("the path {} cannot be registered", emulator.display())));
    }
    let mut header = HEADER;
    header[18] = machine_number;
    let escaped = |bytes: &[u8]| bytes.iter().map(|byte| format!("\\x{byte:02x}")).collect::<String>();
    let start = format!(":appliance:M:0:{}:{}:", escaped(&header), escaped(&MASK));
    Ok([start.as_bytes(), emulator.as_bytes(), b":PF"].concat())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_told_in_its_own_form() {
        let check = |machine: &str, emulator: &str, want: &str| {
            let said = line(OsStr::new(machine), OsStr::new(emulator));
            let said = said.map_or_else(|error| error.to_string(), |line| String::from_utf8(line).unwrap());
            assert!(said.contains(want) && said.len() < 1920, "{said}");
        };
        check("aarch64", "/usr/bin/q", ":appliance:M:0:\\x7f\\x45\\x4c\\x46\\x02\\x01\\x01\\x00");
        check("aarch64", "/usr/bin/q", "\\x02\\x00\\xb7\\x00:\\xff");
        check("aarch64", "/usr/bin/q", "\\xfe\\xff\\xff\\xff:/usr/bin/q:PF");
        check("x86_64", "/q", "\\x02\\x00\\x3e\\x00:\\xff");
        check("aarch64", "/a:b/q", "the path /a:b/q cannot be registered");
        check("vax", "/q", "the machine vax is not known");
    }
}
