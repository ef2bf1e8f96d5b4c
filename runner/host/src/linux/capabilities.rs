//! Capabilities: their names and the five sets of a process (capabilities(7)).

use std::io;

use super::check;

/// One capability, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Capability(u8);

/// What a process shall be left with.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct CapabilitySets {
    /// All that it and what it starts can ever have.
    pub bounding: Vec<Capability>,
    /// What it has now.
    pub permitted: Vec<Capability>,
    /// What programs that it starts keep.
    pub ambient: Vec<Capability>,
}

/// Names in the order of their numbers (`linux/capability.h`), without `CAP_`, lower case.
const NAMES: [&str; 41] = [
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "kill",
    "setgid",
    "setuid",
    "setpcap",
    "linux_immutable",
    "net_bind_service",
    "net_broadcast",
    "net_admin",
    "net_raw",
    "ipc_lock",
    "ipc_owner",
    "sys_module",
    "sys_rawio",
    "sys_chroot",
    "sys_ptrace",
    "sys_pacct",
    "sys_admin",
    "sys_boot",
    "sys_nice",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "mknod",
    "lease",
    "audit_write",
    "audit_control",
    "setfcap",
    "mac_override",
    "mac_admin",
    "syslog",
    "wake_alarm",
    "block_suspend",
    "audit_read",
    "perfmon",
    "bpf",
    "checkpoint_restore",
];

impl Capability {
    /// The capability with this name (`net_bind_service`, in any case, with or without `CAP_`).
    pub fn named(name: &str) -> Option<Self> {
        let lower = name.to_ascii_lowercase();
        let bare = lower.strip_prefix("cap_").unwrap_or(&lower);
        let number = NAMES.iter().position(|known| *known == bare)?;
        u8::try_from(number).ok().map(Self)
    }

    /// Its name without `CAP_`, lower case.
    pub fn name(self) -> &'static str {
        NAMES.get(usize::from(self.0)).copied().unwrap_or("unknown")
    }
}

/// Whether this process has the capability now.
pub fn has_effective(capability: Capability) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = line.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    bits & (1 << capability.0) != 0
}

/// Leaves this process with exactly these capabilities.
///
/// # Errors
/// Fails when one is asked for that the process does not have.
pub fn set_capabilities(sets: &CapabilitySets) -> io::Result<()> {
    drop_bounding(mask(&sets.bounding))?;
    capset(mask(&sets.permitted), mask(&sets.ambient))?;
    // SAFETY: prctl with integers only.
    check(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) }.into())?;
    for capability in &sets.ambient {
        let number = libc::c_ulong::from(capability.0);
        // SAFETY: prctl with integers only.
        check(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, number, 0, 0) }.into())?;
    }
    Ok(())
}

fn mask(capabilities: &[Capability]) -> u64 {
    capabilities.iter().fold(0, |bits, capability| bits | 1 << capability.0)
}

/// Walks all 64 numbers, so that capabilities newer than this code are dropped too; the kernel refuses those it does not know.
fn drop_bounding(keep: u64) -> io::Result<()> {
    for number in 0..64u64 {
        if keep & (1 << number) != 0 {
            continue;
        }
        // SAFETY: prctl with integers only.
        match check(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) }.into()) {
            Err(error) if error.raw_os_error() == Some(libc::EINVAL) => break,
            other => other?,
        };
    }
    Ok(())
}

/// `struct __user_cap_header_struct` and `__user_cap_data_struct` of capset(2), version 3.
fn capset(permitted: u64, inheritable: u64) -> io::Result<()> {
    #[repr(C)]
    struct Header {
        version: u32,
        pid: libc::c_int,
    }
    #[repr(C)]
    struct Data {
        effective: u32,
        permitted: u32,
        inheritable: u32,
    }
    let half = |shift: u32| Data {
        effective: (permitted >> shift) as u32,
        permitted: (permitted >> shift) as u32,
        inheritable: (inheritable >> shift) as u32,
    };
    let header = Header { version: 0x2008_0522, pid: 0 };
    let data = [half(0), half(32)];
    // SAFETY: version 3 takes a header and two data elements, all alive over the call.
    check(unsafe { libc::syscall(libc::SYS_capset, &raw const header, data.as_ptr()) }).map(drop)
}
