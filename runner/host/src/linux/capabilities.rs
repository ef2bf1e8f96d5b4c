//! The five sets of capabilities of a process (capabilities(7)); in a set, bit N stands for the capability with number N.

use std::io;

use super::check;

/// What a process shall be left with.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CapabilitySets {
    /// All that it and what it starts can ever have.
    pub bounding: u64,
    /// What it has now.
    pub permitted: u64,
    /// What programs that it starts keep.
    pub ambient: u64,
}

/// Whether this process has the capability with this number now.
pub fn has_effective(number: u8) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = line.and_then(|text| u64::from_str_radix(text.trim(), 16).ok()).unwrap_or(0);
    1u64.checked_shl(number.into()).is_some_and(|bit| bits & bit != 0)
}

/// Leaves this process with exactly these capabilities.
///
/// # Errors
/// Fails when one is asked for that the process does not have.
pub fn set_capabilities(sets: &CapabilitySets) -> io::Result<()> {
    drop_bounding(sets.bounding)?;
    capset(sets.permitted, sets.ambient)?;
    // SAFETY: prctl with integers only.
    check(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) }.into())?;
    for number in (0..u64::BITS).map(libc::c_ulong::from).filter(|number| sets.ambient & (1 << number) != 0) {
        // SAFETY: prctl with integers only.
        check(unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE, number, 0, 0) }.into())?;
    }
    Ok(())
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
