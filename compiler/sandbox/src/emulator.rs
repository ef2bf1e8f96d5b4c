//! Which program of this host runs programs of another architecture: qemu's user mode emulator, linked statically.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// How much of a program is read to see how it is linked: its headers stand at its beginning.
const HEAD_BYTES: u64 = 4096;

/// A user mode emulator of this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Emulator {
    /// Whose programs it runs, as `uname -m` has it.
    pub(crate) machine: String,
    /// Its path, absolute.
    pub(crate) program: PathBuf,
}

/// Why there is none.
#[derive(Debug, thiserror::Error)]
pub enum NoEmulator {
    /// Nothing of its names is installed.
    #[error(
        "this host cannot run programs of {machine}: there is no qemu-{machine}-static and no qemu-{machine} in PATH"
    )]
    Missing {
        /// Whose programs should run.
        machine: String,
    },
    /// It would look for libraries of this host in the root of another architecture.
    #[error("this host cannot run programs of {machine}: {path} is not linked statically")]
    NotStatic {
        /// Whose programs should run.
        machine: String,
        /// What was found.
        path: String,
    },
    /// What was found cannot be read.
    #[error("read {path}")]
    Read {
        /// What was found.
        path: String,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl Emulator {
    /// Finds the emulator of a machine, named as `uname -m` has it, in folders listed as in `PATH`.
    ///
    /// # Errors
    /// When there is none that can be used inside of another root.
    pub fn find(machine: &str, path: &OsStr) -> Result<Self, NoEmulator> {
        let machine = machine.to_owned();
        let names = [format!("qemu-{machine}-static"), format!("qemu-{machine}")];
        let folders: Vec<PathBuf> = std::env::split_paths(path).filter(|folder| folder.is_absolute()).collect();
        let mut places = names.iter().flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
        let Some(program) = places.find(|place| place.is_file()) else {
            return Err(NoEmulator::Missing { machine });
        };
        let shown = program.display().to_string();
        match needs_loader(&program) {
            Ok(false) => Ok(Self { machine, program }),
            Ok(true) => Err(NoEmulator::NotStatic { machine, path: shown }),
            Err(source) => Err(NoEmulator::Read { path: shown, source }),
        }
    }
}

fn needs_loader(program: &Path) -> io::Result<bool> {
    let mut head = Vec::new();
    File::open(program)?.take(HEAD_BYTES).read_to_end(&mut head)?;
    Ok(names_loader(&head))
}

/// Whether one of a program's headers names a dynamic linker (System V ABI, "Program Header": `PT_INTERP` is 3). The fields
/// of a 64-bit program of this host stand in its byte order: the table's place at 32, size and count of entries at 54.
fn names_loader(head: &[u8]) -> bool {
    let bytes = |at: usize, count: usize| head.get(at..at.checked_add(count)?);
    let short = |at: usize| Some(usize::from(u16::from_le_bytes(bytes(at, 2)?.try_into().ok()?)));
    let table = || Some(u64::from_le_bytes(bytes(32, 8)?.try_into().ok()?));
    let (Some(table), Some(size), Some(count)) = (table(), short(54), short(56)) else { return false };
    let Ok(table) = usize::try_from(table) else { return false };
    (0..count).any(|entry| {
        let at = size.checked_mul(entry).and_then(|offset| table.checked_add(offset));
        at.and_then(|at| bytes(at, 4)) == Some(&[3, 0, 0, 0])
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_static_one_comes_first_and_others_are_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = std::env::join_paths([Path::new("relative"), folder.path()]).unwrap();
        let check = |want: &str| {
            let found = Emulator::find("toy", &path);
            let name = |one: Emulator| one.program.file_name().unwrap().to_string_lossy().into_owned();
            let said = found.map_or_else(|error| error.to_string(), name);
            assert!(said.contains(want), "{said}");
        };
        check("no qemu-toy-static and no qemu-toy in PATH");
        let mut program = vec![0; 120];
        (program[32], program[54], program[56], program[64]) = (64, 56, 1, 3);
        std::fs::write(folder.path().join("qemu-toy"), &program).unwrap();
        check("is not linked statically");
        program[64] = 1;
        std::fs::write(folder.path().join("qemu-toy"), &program).unwrap();
        check("qemu-toy");
        std::fs::write(folder.path().join("qemu-toy-static"), &program).unwrap();
        check("qemu-toy-static");
    }

    #[test]
    fn headers_that_lie_name_no_loader() {
        let mut head = vec![0xff; 64];
        assert!(!names_loader(&head));
        (head[32..40]).fill(0);
        head.truncate(57);
        assert!(!names_loader(&head));
    }
}
