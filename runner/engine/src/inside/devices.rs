//! A /dev with the devices that every program may expect and no other (runtime-spec `config-linux.md#default-devices`).

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use host::{RootDir, fd_path};

use super::{InsideError, at};
use crate::bind::Ids;

/// Name, major and minor number (kernel documentation, `devices.txt`).
const DEVICES: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];

const LINKS: [(&str, &str); 5] = [
    ("ptmx", "pts/ptmx"),
    ("fd", "/proc/self/fd"),
    ("stdin", "/proc/self/fd/0"),
    ("stdout", "/proc/self/fd/1"),
    ("stderr", "/proc/self/fd/2"),
];

/// A character device with all permissions.
const CHARACTER_0666: u32 = 0o020_666;

/// Fills the folder, which is a fresh memory file system.
pub fn fill(folder: OwnedFd, ids: &Ids) -> Result<(), InsideError> {
    let folder = RootDir::open(&fd_path(&folder)).map_err(at("open /dev"))?;
    for (name, major, minor) in DEVICES {
        let name_path = Path::new(name);
        let made = match ids {
            Ids::Host => folder.make_node(name_path, CHARACTER_0666, major, minor),
            // In a user namespace nobody may make devices: those of the host are shown instead.
            _ => show_host_device(&folder, name_path),
        };
        made.map_err(at(&format!("make /dev/{name}")))?;
    }
    for (name, target) in LINKS {
        folder.symlink(Path::new(name), Path::new(target)).map_err(at(&format!("make /dev/{name}")))?;
    }
    Ok(())
}

fn show_host_device(folder: &RootDir, name: &Path) -> io::Result<()> {
    let target = folder.ensure_file(name)?;
    host::bind(&Path::new("/dev").join(name), &fd_path(&target), false)
}
