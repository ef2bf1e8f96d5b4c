//! Loads kernel modules in the order that the compiler worked out.

use std::ffi::c_uint;
use std::fs::File;
use std::os::fd::AsRawFd;

use bundle::boot::MODULES_FOLDER;
use nix::errno::Errno;

/// Loads all of them. One that the machine has no use for refuses to load, which is no fault; any other failure is said
/// and what needs the module fails later, with a reason of its own.
pub fn load(names: &[String]) {
    for name in names {
        if let Err(reason) = load_one(&format!("{MODULES_FOLDER}/{name}")) {
            eprintln!("appliance: failed to load the kernel module {name}: {reason}");
        }
    }
}

fn load_one(path: &str) -> Result<(), String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let flags: c_uint = 0;
    // SAFETY: the descriptor is open for the length of the call, and the parameters are an empty text that the kernel copies.
    let loaded = unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), flags) };
    match Errno::result(loaded) {
        // It is there already, or its device is not.
        Ok(_) | Err(Errno::EEXIST | Errno::ENODEV) => Ok(()),
        Err(errno) => Err(errno.desc().to_owned()),
    }
}
