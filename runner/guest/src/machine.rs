//! Makes the place around PID 1 habitable: kernel file systems that nobody mounted yet, the host name, in a machine of
//! its own the loopback device; and ends that machine.
//!
//! In a container the engine has done all of it and nothing happens here.

use std::fs;
use std::mem;
use std::os::fd::AsRawFd;
use std::path::Path;

use bundle::boot::End;
use nix::errno::Errno;
use nix::mount::{MsFlags, mount};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use nix::unistd;

/// A kernel file system: type, where, and a path that exists once it is there.
const MOUNTS: [(&str, &str, &str); 3] =
    [("proc", "/proc", "/proc/self"), ("sysfs", "/sys", "/sys/kernel"), ("devtmpfs", "/dev", "/dev/null")];

/// Mounts what is missing and sets the host name; gives what could not be done.
pub fn prepare(hostname: &str) -> Vec<String> {
    let problems = mount_kernel_file_systems();
    let is_set = unistd::gethostname().is_ok_and(|name| name == hostname);
    if !is_set && !hostname.is_empty() {
        // A container whose engine keeps the host name to itself is not worth a word.
        let _ = unistd::sethostname(hostname);
    }
    problems
}

/// Mounts the kernel file systems that nobody mounted yet; gives what could not be done.
pub fn mount_kernel_file_systems() -> Vec<String> {
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
    problems
}

/// Brings the loopback device up, which nobody else does in a machine of its own.
pub fn raise_loopback() -> Result<(), String> {
    let failed = |errno: Errno| format!("bring up the loopback device: {}", errno.desc());
    let control = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).map_err(failed)?;
    // SAFETY: a zeroed `ifreq` is a valid one; it holds only numbers and an empty name.
    let mut request: libc::ifreq = unsafe { mem::zeroed() };
    request.ifr_name.iter_mut().zip(b"lo").for_each(|(place, byte)| *place = *byte as _);
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as _;
    // SAFETY: the request lives through the call, which reads its name and its flags.
    let answer = unsafe { libc::ioctl(control.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw mut request) };
    Errno::result(answer).map(drop).map_err(failed)
}

/// Where file systems of disks are mounted, by the kernel's list.
fn disks(mounts: &str) -> Vec<&str> {
    let fields = mounts.lines().filter_map(|line| {
        let mut fields = line.split(' ');
        Some((fields.nth(1)?, fields.next()?))
    });
    fields.filter(|(_, kind)| *kind == "ext4").map(|(place, _)| place).collect()
}

/// Writes back what is not written yet and ends the machine.
pub fn end(end: End) -> ! {
    unistd::sync();
    let flags = MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    for place in disks(&fs::read_to_string("/proc/self/mounts").unwrap_or_default()) {
        let _ = mount(None::<&str>, place, None::<&str>, flags, None::<&str>);
    }
    let command = match end {
        End::PowerOff => libc::RB_POWER_OFF,
        End::Reboot => libc::RB_AUTOBOOT,
    };
    // SAFETY: the call takes no pointer; in a machine of its own PID 1 may end it.
    unsafe { libc::reboot(command) };
    // A machine that can do neither stops here; PID 1 must not end.
    loop {
        unistd::pause();
    }
}
