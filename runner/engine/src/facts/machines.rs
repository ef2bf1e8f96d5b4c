//! What this host has to run machines: QEMU and its version, firmware, hardware help. Nothing is decided here.

use std::path::{Path, PathBuf};
use std::process::Command;

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
    pub qemu: Result<Qemu, String>,
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

fn qemu(name: &str) -> Result<Qemu, String> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::env::split_paths(&path).filter(|folder| folder.is_absolute()).map(|folder| folder.join(name));
    let program = places.find(|file| file.is_file()).ok_or_else(|| format!("there is no {name}"))?;
    let version = version_of(&program)?;
    Ok(Qemu { program, version })
}

fn version_of(program: &Path) -> Result<(u32, u32), String> {
    let output = Command::new(program).arg("--version").output();
    let output = output.map_err(|error| format!("{} does not start: {error}", program.display()))?;
    version(&String::from_utf8_lossy(&output.stdout))
        .ok_or_else(|| format!("{} does not say which version it is", program.display()))
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
    fn versions_and_rates_are_read() {
        assert_eq!(version("QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7)\nCopyright"), Some((7, 2)));
        assert_eq!(version("QEMU emulator version 10.0\n"), Some((10, 0)));
        assert_eq!((version(""), version("QEMU emulator version x")), (None, None));
        assert_eq!(tsc_khz("cpu family\t: 6\ncpu MHz\t\t: 2899.9985\n"), Some(2_899_998));
        assert_eq!((tsc_khz("cpu MHz\t\t: 2000\n"), tsc_khz("")), (Some(2_000_000), None));
    }
}
