//! What this host has to run machines: QEMU and its version, firmware, hardware help. Nothing is decided here.

use std::io::Read;
use std::os::fd::AsFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use host::Interest;
use serde::{Deserialize, Serialize};

use super::Probe;

/// What the host offers to machines.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineFacts {
    /// The operating system: it decides what help of the hardware is called.
    pub system: System,
    /// The processors, in QEMU's word: `x86_64`, `aarch64`.
    pub processor: String,
    /// QEMU for these processors, or why there is none.
    pub qemu: Result<Qemu, NoQemu>,
    /// UEFI firmware that starts without any variables kept.
    pub firmware: Option<PathBuf>,
    /// Whether the processor's help for machines works.
    pub acceleration: Probe,
    /// What the processor's clock counter counts in a millisecond.
    pub tsc_khz: Option<u64>,
}

/// An operating system that machines run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum System {
    /// Linux, with KVM.
    Linux,
    /// macOS, with its Hypervisor framework.
    MacOs,
    /// Windows, with its Hypervisor Platform.
    Windows,
}

/// QEMU as it is installed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Qemu {
    /// The program.
    pub program: PathBuf,
    /// Major and minor version.
    pub version: (u32, u32),
}

/// Why there is no QEMU that can be used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[serde(rename_all = "kebab-case")]
pub enum NoQemu {
    /// It is not installed.
    #[error("there is no {0}")]
    Absent(String),
    /// It is, and does not say its version.
    #[error("{} {why}", program.display())]
    Broken {
        /// The program.
        program: PathBuf,
        /// What it does instead.
        why: String,
    },
}

/// How long QEMU may take to say its version, which takes it a few hundredths of a second.
const PATIENCE: Duration = Duration::from_secs(10);

/// The most that is read of what it says.
const MAX_VERSION_BYTES: usize = 64 * 1024;

/// Firmware that needs no store of variables, where distributions put it, by processor.
const FIRMWARE: [(&str, &[&str]); 2] = [
    (
        "x86_64",
        &[
            "/usr/share/OVMF/OVMF_CODE_4M.fd",
            "/usr/share/OVMF/OVMF_CODE.fd",
            "/usr/share/edk2/ovmf/OVMF_CODE.fd",
            "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
            "/usr/share/edk2-ovmf/x64/OVMF_CODE.fd",
            "/usr/share/qemu/ovmf-x86_64-code.bin",
            "/usr/share/qemu/edk2-x86_64-code.fd",
        ],
    ),
    ("aarch64", &["/usr/share/AAVMF/AAVMF_CODE.fd", "/usr/share/edk2/aarch64/QEMU_EFI.fd"]),
];

/// Looks for all of it.
pub fn find() -> MachineFacts {
    let processor = std::env::consts::ARCH;
    let firmware = FIRMWARE.iter().find(|(name, _)| *name == processor).map_or(&[][..], |(_, paths)| paths);
    MachineFacts {
        system: match std::env::consts::OS {
            "macos" => System::MacOs,
            "windows" => System::Windows,
            _ => System::Linux,
        },
        processor: processor.to_owned(),
        qemu: qemu(&format!("qemu-system-{processor}")),
        firmware: firmware.iter().map(PathBuf::from).find(|path| path.is_file()),
        acceleration: Probe::NotTried,
        tsc_khz: tsc_khz(&std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default()),
    }
}

/// The first program of this name that may be executed, as a shell finds it.
fn qemu(name: &str) -> Result<Qemu, NoQemu> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).filter(|folder| folder.is_absolute()).map(|folder| folder.join(name));
    let is_program =
        |file: &PathBuf| file.metadata().is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0);
    let program = places.find(is_program).ok_or_else(|| NoQemu::Absent(name.to_owned()))?;
    match version_of(&program, PATIENCE) {
        Ok(version) => Ok(Qemu { program, version }),
        Err(why) => Err(NoQemu::Broken { program, why }),
    }
}

/// What `--version` says; one that hangs is ended.
fn version_of(program: &Path, patience: Duration) -> Result<(u32, u32), String> {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("does not start: {error}"))?;
    let (begun, mut said, mut ended) = (Instant::now(), Vec::new(), false);
    while let Some(output) = child.stdout.as_mut().filter(|_| !ended && said.len() < MAX_VERSION_BYTES) {
        let left = u64::try_from(patience.saturating_sub(begun.elapsed()).as_millis()).unwrap_or(0);
        let ready = host::poll(&[Interest { fd: output.as_fd(), read: true, write: false }], Some(left));
        if left == 0 || !ready.is_ok_and(|ready| ready.iter().any(|one| one.read)) {
            break;
        }
        let mut chunk = [0; 4096];
        let count = output.read(&mut chunk).unwrap_or(0);
        said.extend_from_slice(chunk.get(..count).unwrap_or_default());
        ended = count == 0;
    }
    let _ = child.kill();
    let _ = child.wait();
    let silent = || match ended {
        true => "does not say which version it is".to_owned(),
        false => format!("does not say its version within {} s", patience.as_secs()),
    };
    version(&String::from_utf8_lossy(&said)).ok_or_else(silent)
}

/// The version in the first line of `--version`: `QEMU emulator version 7.2.22 (Debian …)`.
fn version(text: &str) -> Option<(u32, u32)> {
    let (_, after) = text.lines().next()?.split_once(" version ")?;
    let mut numbers = after.split(|c: char| !c.is_ascii_digit()).map(str::parse);
    Some((numbers.next()?.ok()?, numbers.next()?.ok()?))
}

/// The first processor's rate (`/proc/cpuinfo`, proc(5)).
fn tsc_khz(cpuinfo: &str) -> Option<u64> {
    let (_, mhz) = cpuinfo.lines().find_map(|line| line.strip_prefix("cpu MHz")?.split_once(':'))?;
    let (whole, part) = mhz.trim().split_once('.').unwrap_or((mhz.trim(), ""));
    let thousandths: String = part.chars().chain("000".chars()).take(3).collect();
    Some(whole.parse::<u64>().ok()?.checked_mul(1000)? + thousandths.parse::<u64>().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_says_no_version_is_given_up() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("qemu");
        let made = |script: &str| {
            // Written by another process: one of this one's children might keep it open while it is executed.
            let write = format!("rm -f \"$0\"; printf '#!/bin/sh\\n%s\\n' \"{script}\" > \"$0\"; chmod +x \"$0\"");
            assert!(Command::new("/bin/sh").args(["-c", &write]).arg(&program).status().unwrap().success());
        };
        made("exec sleep 1000");
        let silent = version_of(&program, Duration::from_millis(300));
        assert_eq!(silent, Err("does not say its version within 0 s".to_owned()));
        made("echo nothing of the kind");
        assert_eq!(version_of(&program, PATIENCE), Err("does not say which version it is".to_owned()));
        made("echo QEMU emulator version 9.1.2");
        assert_eq!(version_of(&program, PATIENCE), Ok((9, 1)));
        assert!(version_of(folder.path(), PATIENCE).is_err_and(|why| why.starts_with("does not start")));
    }

    #[test]
    fn versions_and_rates_are_read() {
        assert_eq!(version("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright"), Some((7, 2)));
        assert_eq!(version("QEMU emulator version 10.0\n"), Some((10, 0)));
        assert_eq!((version(""), version("QEMU emulator version x")), (None, None));
        assert_eq!(tsc_khz("cpu family\t: 6\ncpu MHz\t\t: 2899.9985\n"), Some(2_899_998));
        assert_eq!((tsc_khz("cpu MHz\t\t: 2000\n"), tsc_khz("")), (Some(2_000_000), None));
    }
}
