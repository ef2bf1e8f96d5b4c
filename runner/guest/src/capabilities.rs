//! Takes away, right before a program starts, every capability that the appliance does not keep.
//!
//! PID 1 itself may hold more, to start services as their users and to end them. Called in the child only.

use nix::errno::Errno;

/// The last number that this program knows; a newer kernel's further ones are dropped too, until it says there are no more.
const MOST: libc::c_ulong = 63;

/// Version 3 of the kernel's call: sets of 64 bits in two halves (`capget(2)`).
const VERSION_3: u32 = 0x2008_0522;

#[repr(C)]
struct Header {
    version: u32,
    pid: libc::c_int,
}

#[repr(C)]
#[derive(Clone, Copy, Default)]
struct Half {
    effective: u32,
    permitted: u32,
    inheritable: u32,
}

/// Before the user is switched: nothing that is not kept can ever be gained again, also not by a set-user-id program;
/// what is kept survives the switch.
pub fn bound(kept: u64) -> nix::Result<()> {
    for number in 0..=MOST {
        if kept >> number & 1 == 1 {
            continue;
        }
        // SAFETY: the request takes numbers only.
        match Errno::result(unsafe { libc::prctl(libc::PR_CAPBSET_DROP, number, 0, 0, 0) }) {
            Ok(_) => {}
            Err(Errno::EINVAL) => break,
            // Without the right to drop there is nothing more to take away than what `keep` takes.
            Err(Errno::EPERM) => break,
            Err(errno) => return Err(errno),
        }
    }
    // SAFETY: the request takes numbers only.
    Errno::result(unsafe { libc::prctl(libc::PR_SET_KEEPCAPS, libc::c_ulong::from(kept != 0), 0, 0, 0) }).map(drop)
}

/// After the user was switched: this process and what it starts hold the kept capabilities, as far as they were held before.
pub fn keep(kept: u64) -> nix::Result<()> {
    let mut header = Header { version: VERSION_3, pid: 0 };
    let mut halves = [Half::default(); 2];
    // SAFETY: both pointers are to live values of the shape that version 3 of the call has.
    Errno::result(unsafe { libc::syscall(libc::SYS_capget, &raw mut header, halves.as_mut_ptr()) })?;
    for (half, kept) in halves.iter_mut().zip([kept as u32, (kept >> 32) as u32]) {
        let held = half.permitted & kept;
        *half = Half { effective: held, permitted: held, inheritable: held };
    }
    // SAFETY: as above.
    Errno::result(unsafe { libc::syscall(libc::SYS_capset, &raw mut header, halves.as_ptr()) })?;
    for number in (0..=MOST).filter(|number| kept >> number & 1 == 1) {
        // A capability that was not held cannot be passed on, and need not.
        // SAFETY: the request takes numbers only.
        unsafe { libc::prctl(libc::PR_CAP_AMBIENT, libc::PR_CAP_AMBIENT_RAISE as libc::c_ulong, number, 0, 0) };
    }
    Ok(())
}
