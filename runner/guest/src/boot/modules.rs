//! Loads kernel modules in the order that the compiler worked out.

use std::ffi::c_uint;
use std::fs::File;
use std::os::fd::AsRawFd;

use bundle::boot::MODULES_FOLDER;
use nix::errno::Errno;

/// What came of a module.
enum Loaded {
    /// It is there.
    There,
    /// The machine has no device for it.
    NoDevice,
    /// It needs something of another module that is not there.
    NeedsAnother,
}

/// Loads all of them. One that the machine has no use for refuses to load, which is no fault, and neither is what builds
/// on it; any other failure is said, and what needs the module fails later, with a reason of its own.
pub fn load(names: &[String]) {
    let mut some_have_no_device = false;
    for name in names {
        let problem = match load_one(&format!("{MODULES_FOLDER}/{name}")) {
            Ok(Loaded::There) => continue,
            Ok(Loaded::NoDevice) => {
                some_have_no_device = true;
                continue;
            }
            Ok(Loaded::NeedsAnother) if some_have_no_device => continue,
            Ok(Loaded::NeedsAnother) => "it needs a module that is not there".to_owned(),
            Err(reason) => reason,
        };
        eprintln!("appliance: failed to load the kernel module {name}: {problem}");
    }
}

fn load_one(path: &str) -> Result<Loaded, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let flags: c_uint = 0;
    // SAFETY: the descriptor is open for the length of the call, and the parameters are an empty text that the kernel copies.
    let loaded = unsafe { libc::syscall(libc::SYS_finit_module, file.as_raw_fd(), c"".as_ptr(), flags) };
    match Errno::result(loaded) {
        Ok(_) | Err(Errno::EEXIST) => Ok(Loaded::There),
        Err(Errno::ENODEV) => Ok(Loaded::NoDevice),
        Err(Errno::ENOENT) => Ok(Loaded::NeedsAnother),
        Err(errno) => Err(errno.desc().to_owned()),
    }
}
