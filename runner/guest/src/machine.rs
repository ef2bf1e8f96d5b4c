//! Makes the place around PID 1 habitable: kernel file systems that nobody mounted yet, and the host name.
//!
//! In a container the engine has done all of it and nothing happens here.

use std::path::Path;

use nix::mount::{MsFlags, mount};
use nix::unistd;

/// A kernel file system: type, where, and a path that exists once it is there.
const MOUNTS: [(&str, &str, &str); 3] =
    [("proc", "/proc", "/proc/self"), ("sysfs", "/sys", "/sys/kernel"), ("devtmpfs", "/dev", "/dev/null")];

/// Mounts what is missing and sets the host name; gives what could not be done.
pub fn prepare(hostname: &str) -> Vec<String> {
    let mut problems = Vec::new();
    for (kind, at, mark) in MOUNTS {
        let flags = MsFlags::MS_NOSUID
            | if kind == "devtmpfs" { MsFlags::empty() } else { MsFlags::MS_NOEXEC | MsFlags::MS_NODEV };
        if Path::new(mark).exists() || !Path::new(at).is_dir() {
            continue;
        }
        if let Err(errno) = mount(Some(kind), at, Some(kind), flags, None::<&str>) {
            problems.push(format!("mount {at}: {}", errno.desc()));
        }
    }
    let is_set = unistd::gethostname().is_ok_and(|name| name == hostname);
    if !is_set && !hostname.is_empty() {
        // A container whose engine keeps the host name to itself is not worth a word.
        let _ = unistd::sethostname(hostname);
    }
    problems
}
