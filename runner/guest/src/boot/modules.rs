//! Loads kernel modules in the order that the compiler worked out.

use std::ffi::c_uint;
use std::fs::{self, File};
use std::os::fd::AsRawFd;

use bundle::boot::{MODULES_FOLDER, Transport};
use nix::errno::Errno;

/// Where the kernel lists devices on PCI.
const PCI_DEVICES: &str = "/sys/bus/pci/devices";

/// What came of a module.
enum Loaded {
    /// It is there.
    There,
    /// The machine has no device for it.
    NoDevice,
    /// It needs something of another module that is not there.
    NeedsAnother,
}

/// What a machine shows before any of its drivers is there.
#[derive(Debug, Clone, Copy)]
pub struct Shown {
    /// It has devices on PCI.
    pub pci: bool,
    /// Its guest channel goes over vsock.
    pub vsock: bool,
}

impl Shown {
    /// What this machine shows, whose channel goes over this.
    pub fn look(channel: Transport) -> Self {
        let pci = fs::read_dir(PCI_DEVICES).is_ok_and(|mut devices| devices.next().is_some());
        Self { pci, vsock: matches!(channel, Transport::Vsock(_)) }
    }

    /// Whether it can have no use for a module: to load one takes a machine without hardware help some 30 ms, most of them
    /// for its signature.
    fn has_no_use_for(self, name: &str) -> bool {
        let is_sockets = name == "vsock.ko" || name.contains("vsock_");
        (name.starts_with("virtio_pci") && !self.pci) || (is_sockets && !self.vsock)
    }
}

/// Loads those that may be of use. One that the machine has no use for refuses to load, which is no fault, and neither is what builds
/// on it; any other failure is said, and what needs the module fails later, with a reason of its own.
pub fn load(names: &[String], shown: Shown) {
    let mut some_have_no_device = false;
    for name in names.iter().filter(|name| !shown.has_no_use_for(name)) {
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_can_be_of_no_use_is_left_out() {
        let names = [
            "virtio_pci.ko",
            "virtio_pci_modern_dev.ko",
            "virtio_mmio.ko",
            "vsock.ko",
            "vmw_vsock_virtio_transport.ko",
            "dm_verity.ko",
        ];
        let loaded = |pci, vsock| -> Vec<&str> {
            names.into_iter().filter(|name| !Shown { pci, vsock }.has_no_use_for(name)).collect()
        };
        assert_eq!(loaded(true, true), names);
        assert_eq!(loaded(false, false), ["virtio_mmio.ko", "dm_verity.ko"]);
        assert_eq!(
            loaded(true, false),
            ["virtio_pci.ko", "virtio_pci_modern_dev.ko", "virtio_mmio.ko", "dm_verity.ko"]
        );
    }
}
