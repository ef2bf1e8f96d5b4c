//! What all processes of the appliance use, from the kernel's own lists.

use std::fs;

use bundle::channel::{Metrics, Pressure};
use nix::sys::statvfs::statvfs;

use crate::memory::Memory;

/// Ticks of a second in `/proc/PID/stat` (`sysconf(_SC_CLK_TCK)`, which is 100 on every platform that this runs on).
const TICK_MS: u64 = 10;

/// The flag of a thread of the kernel (`include/linux/sched.h`).
const PF_KTHREAD: u64 = 0x0020_0000;

/// Bytes of a page.
fn page_bytes() -> u64 {
    // SAFETY: the call takes a number and gives one.
    u64::try_from(unsafe { libc::sysconf(libc::_SC_PAGESIZE) }).unwrap_or(4096)
}

/// Looks now.
pub fn measure(memory: &Memory) -> Metrics {
    let mut metrics = Metrics {
        cpu_ms: 0,
        memory_bytes: 0,
        memory_limit_bytes: memory.total_bytes(),
        processes: 0,
        disk_bytes: 0,
        disk_used_bytes: 0,
        pressure: pressure(memory),
    };
    for entry in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let is_process = entry.file_name().as_encoded_bytes().first().is_some_and(u8::is_ascii_digit);
        let stat = is_process.then(|| fs::read_to_string(entry.path().join("stat")).ok()).flatten();
        let Some((ticks, pages)) = stat.and_then(|stat| used(&stat, entry.file_name() == "1")) else { continue };
        metrics.cpu_ms += ticks * TICK_MS;
        metrics.memory_bytes += pages * page_bytes();
        metrics.processes += 1;
    }
    if let Ok(root) = statvfs("/") {
        metrics.disk_bytes = root.blocks() * root.fragment_size();
        metrics.disk_used_bytes = (root.blocks() - root.blocks_free().min(root.blocks())) * root.fragment_size();
    }
    metrics
}

/// Ticks and resident pages of a process: fields 14, 15 and 24 of `proc_pid_stat(5)`; for the first process also 16 and
/// 17, which are those of all that have ended. None for what belongs to a machine's own kernel, by field 9.
fn used(stat: &str, is_first: bool) -> Option<(u64, u64)> {
    let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
    let fields: Vec<u64> = after_name.split_ascii_whitespace().map(|field| field.parse().unwrap_or(0)).collect();
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or(0);
    let ended = if is_first { field(16) + field(17) } else { 0 };
    (field(9) & PF_KTHREAD == 0).then(|| (field(14) + field(15) + ended, field(24)))
}

/// Kernel documentation, `accounting/psi`: `some avg10=0.00 avg60=…`.
fn pressure(memory: &Memory) -> Option<Pressure> {
    let read = |name: &str| {
        let text = memory.text(&format!("{name}.pressure"), &format!("/proc/pressure/{name}"))?;
        let (whole, part) = text.strip_prefix("some avg10=")?.split(' ').next()?.split_once('.')?;
        Some(whole.parse::<u32>().ok()?.saturating_mul(100).saturating_add(part.parse().ok()?))
    };
    Some(Pressure { cpu: read("cpu")?, memory: read("memory")?, io: read("io")? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_the_kernel_is_read() {
        let stat = "7 (a b) c) S 1 7 7 0 -1 4194560 100 0 0 0 11 22 33 44 20 0 1 0 100 8192 5 18446744073709551615";
        assert_eq!((used(stat, false), used(stat, true)), (Some((33, 5)), Some((110, 5))));
        assert_eq!(used("", true), Some((0, 0)));
        let of_kernel = "2 (kthreadd) S 0 0 0 0 -1 2129984 0 0 0 0 0 9 0 0 20 0 1 0 8 0 0 18446744073709551615";
        assert_eq!(used(of_kernel, false), None);
    }

    #[test]
    fn this_process_is_seen() {
        let metrics = measure(&Memory::default());
        assert!(metrics.processes > 0 && metrics.memory_bytes > 0 && metrics.disk_bytes >= metrics.disk_used_bytes);
    }
}
