//! Finds the program that a service names, and says in a person's words why one cannot be started.
//!
//! Input: names, a search path, the first bytes of a file. It starts nothing.

use std::fs::File;
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use bundle::guest::{STATUS_NOT_EXECUTABLE, STATUS_NOT_FOUND};
use nix::errno::Errno;

use crate::near::nearest;

/// The file that `name` means: itself if it holds a slash, else the first executable file on `search_path`.
pub fn find(name: &str, search_path: &str) -> Option<PathBuf> {
    if name.contains('/') {
        return Some(PathBuf::from(name));
    }
    let folders = search_path.split(':').filter(|folder| folder.starts_with('/'));
    folders.map(|folder| Path::new(folder).join(name)).find(|path| is_executable(path))
}

/// Why there is no such program, as a sentence.
pub fn missing(name: &str, search_path: &str) -> String {
    let what = if name.contains('/') {
        format!("{name} does not exist in the appliance")
    } else {
        format!("there is no program {name:?} in {search_path}")
    };
    near(name, search_path).map_or(what.clone(), |near| format!("{what}; did you mean {near}?"))
}

/// Why the kernel refused to execute the file, as a sentence.
pub fn explain(path: &Path, errno: Errno, search_path: &str) -> String {
    let name = path.display();
    if !path.exists() {
        return missing(&name.to_string(), search_path);
    }
    if path.is_dir() {
        return format!("{name} is a folder");
    }
    match (errno, Kind::of(path)) {
        (Errno::ENOENT, Kind::Script(interpreter)) => {
            format!("{name} needs the interpreter {interpreter}, which does not exist in the appliance")
        }
        (Errno::ENOENT, _) => format!("{name} needs a loader or an interpreter that does not exist in the appliance"),
        (Errno::EACCES, Kind::Other) if !is_executable(path) && File::open(path).is_ok() => {
            format!("{name} is not a program")
        }
        (Errno::EACCES, _) if !is_executable(path) => format!("{name} is not executable; give it mode=\"0755\""),
        (Errno::EACCES, _) => format!("{name} or a folder above it may not be used by this user"),
        (Errno::ENOEXEC, Kind::Elf(machine)) if machine != OWN_MACHINE => {
            format!(
                "{name} is a program for {}, but the appliance runs on {}",
                machine_name(machine),
                machine_name(OWN_MACHINE)
            )
        }
        (Errno::ENOEXEC, Kind::Elf(_)) => format!("{name} is a damaged program"),
        (Errno::ENOEXEC, _) => format!("{name} is neither a program nor a script that begins with #!"),
        (errno, _) => format!("{name}: {}", errno.desc()),
    }
}

/// The program that was probably meant: the same name in another folder, else one in the same folder or on the search path.
fn near(name: &str, search_path: &str) -> Option<String> {
    let path = Path::new(name);
    let (folder, file) = (path.parent().filter(|_| name.contains('/')), path.file_name()?.to_str()?);
    if folder.is_some() {
        let elsewhere = find(file, search_path).map(|found| found.display().to_string());
        return elsewhere.or_else(|| {
            nearest(file, programs(folder?)).map(|near| folder.unwrap_or(path).join(near).display().to_string())
        });
    }
    let folders = search_path.split(':').filter(|folder| folder.starts_with('/'));
    nearest(file, folders.flat_map(|folder| programs(Path::new(folder))))
}

/// The names of what can be executed in a folder.
fn programs(folder: &Path) -> Vec<String> {
    let entries = folder.read_dir().into_iter().flatten().flatten();
    entries
        .filter(|entry| is_executable(&entry.path()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect()
}

/// The exit status that goes with a failure to execute.
pub fn status_of(path: &Path) -> u8 {
    if path.exists() { STATUS_NOT_EXECUTABLE } else { STATUS_NOT_FOUND }
}

#[derive(Debug, PartialEq, Eq)]
enum Kind {
    Elf(u16),
    Script(String),
    Other,
}

impl Kind {
    fn of(path: &Path) -> Self {
        let mut head = Vec::new();
        let read = File::open(path).and_then(|file| file.take(256).read_to_end(&mut head));
        read.map_or(Self::Other, |_| Self::of_bytes(&head))
    }

    /// ELF: the machine is the half-word at byte 18 of the header (System V ABI, "ELF header").
    fn of_bytes(head: &[u8]) -> Self {
        if let Some(line) = head.strip_prefix(b"#!") {
            let line = line.split(|byte| *byte == b'\n').next().unwrap_or_default();
            let line = String::from_utf8_lossy(line);
            return Self::Script(line.split_whitespace().next().unwrap_or_default().to_owned());
        }
        match (head.starts_with(b"\x7fELF"), head.get(5), head.get(18..20)) {
            (true, Some(2), Some([high, low])) => Self::Elf(u16::from_be_bytes([*high, *low])),
            (true, _, Some([low, high])) => Self::Elf(u16::from_le_bytes([*low, *high])),
            _ => Self::Other,
        }
    }
}

#[cfg(target_arch = "aarch64")]
const OWN_MACHINE: u16 = 183;
#[cfg(not(target_arch = "aarch64"))]
const OWN_MACHINE: u16 = 62;

fn machine_name(machine: u16) -> String {
    match machine {
        3 => "i386".to_owned(),
        40 => "32-bit Arm".to_owned(),
        62 => "amd64".to_owned(),
        183 => "arm64".to_owned(),
        243 => "riscv64".to_owned(),
        21 => "ppc64".to_owned(),
        22 => "s390x".to_owned(),
        other => format!("machine number {other}"),
    }
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_told_apart() {
        let check = |head: &[u8], expected: Kind| assert_eq!(Kind::of_bytes(head), expected);
        let elf = |machine: u8| [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 11], &[machine, 0]].concat();
        check(&elf(62), Kind::Elf(62));
        check(&elf(183), Kind::Elf(183));
        check(b"\x7fELF", Kind::Other);
        check(b"#! /usr/bin/env python3\nx", Kind::Script("/usr/bin/env".into()));
        check(b"#!", Kind::Script(String::new()));
        check(b"", Kind::Other);
    }
}
