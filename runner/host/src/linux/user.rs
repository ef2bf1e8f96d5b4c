//! Who this process is and what it may write.

use std::ffi::CString;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::check;

/// The user whose rights this process has.
pub fn effective_uid() -> u32 {
    // SAFETY: geteuid takes nothing and cannot fail.
    unsafe { libc::geteuid() }
}

/// The group whose rights this process has.
pub fn effective_gid() -> u32 {
    // SAFETY: getegid takes nothing and cannot fail.
    unsafe { libc::getegid() }
}

/// Becomes user and group 0 of this user namespace, with no further groups where that may be set.
pub fn become_root_inside(may_set_groups: bool) -> io::Result<()> {
    if may_set_groups {
        // SAFETY: no groups and a null list.
        check(unsafe { libc::setgroups(0, std::ptr::null()) }.into())?;
    }
    // SAFETY: integers only.
    check(unsafe { libc::setresgid(0, 0, 0) }.into())?;
    // SAFETY: integers only.
    check(unsafe { libc::setresuid(0, 0, 0) }.into()).map(drop)
}

/// Whether this process may write the file, or make entries in the folder.
pub fn writable(path: &Path) -> bool {
    let Ok(path) = CString::new(path.as_os_str().as_bytes()) else { return false };
    // SAFETY: a live, terminated string.
    unsafe { libc::faccessat(libc::AT_FDCWD, path.as_ptr(), libc::W_OK, libc::AT_EACCESS) == 0 }
}
