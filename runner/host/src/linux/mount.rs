//! Mounts of this process's own mount namespace. Targets are paths; name them by descriptor to be safe against links.

use std::ffi::{CString, OsStr};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::check;

/// What a mount forbids.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MountFlags {
    /// Writing.
    pub read_only: bool,
    /// Rights from set-id bits.
    pub no_suid: bool,
    /// Device nodes.
    pub no_dev: bool,
    /// Starting programs.
    pub no_exec: bool,
}

/// The kinds of file systems that matter to the runner.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FsKind {
    /// The unified control group hierarchy.
    Cgroup2,
    /// One of the older control group hierarchies.
    Cgroup1,
    /// Memory.
    Tmpfs,
    /// Anything else, by its magic number.
    Other(i64),
}

impl MountFlags {
    fn bits(self) -> libc::c_ulong {
        let of = |wanted: bool, flag: libc::c_ulong| if wanted { flag } else { 0 };
        of(self.read_only, libc::MS_RDONLY)
            | of(self.no_suid, libc::MS_NOSUID)
            | of(self.no_dev, libc::MS_NODEV)
            | of(self.no_exec, libc::MS_NOEXEC)
    }
}

/// Makes every mount of this namespace private, so that nothing done here is seen outside.
pub fn make_all_private() -> io::Result<()> {
    raw_mount(None, Path::new("/"), None, libc::MS_REC | libc::MS_PRIVATE, None)
}

/// Mounts a file system of the kernel's (`tmpfs`, `proc`, `devpts`…).
pub fn mount_fs(kind: &str, source: &str, target: &Path, flags: MountFlags, data: &str) -> io::Result<()> {
    raw_mount(Some(OsStr::new(source)), target, Some(kind), flags.bits(), Some(data))
}

/// Mounts an overlay.
pub fn mount_overlay(target: &Path, data: &OsStr) -> io::Result<()> {
    let source = c_string(OsStr::new("overlay"))?;
    let target = c_string(target.as_os_str())?;
    let data = c_string(data)?;
    // SAFETY: all pointers are to live, terminated strings.
    let mounted =
        unsafe { libc::mount(source.as_ptr(), target.as_ptr(), source.as_ptr(), libc::MS_NODEV, data.as_ptr().cast()) };
    check(mounted.into()).map(drop)
}

/// Makes `source` visible at `target`, with what is mounted below it when `recursive`.
pub fn bind(source: &Path, target: &Path, recursive: bool) -> io::Result<()> {
    let flags = libc::MS_BIND | if recursive { libc::MS_REC } else { 0 };
    raw_mount(Some(source.as_os_str()), target, None, flags, None)
}

/// Changes what one bind mount forbids, keeping what it forbids already.
pub fn remount_bind(target: &Path, flags: MountFlags) -> io::Result<()> {
    let kept = current_flags(target)?;
    raw_mount(None, target, None, libc::MS_REMOUNT | libc::MS_BIND | kept | flags.bits(), None)
}

/// Takes a mount away, also while it is in use.
pub fn detach(target: &Path) -> io::Result<()> {
    let target = c_string(target.as_os_str())?;
    // SAFETY: the pointer is to a live, terminated string.
    check(unsafe { libc::umount2(target.as_ptr(), libc::MNT_DETACH) }.into()).map(drop)
}

/// Makes the folder, which must be a mount point, the root of this namespace and forgets the old root.
pub fn pivot_into(new_root: &Path) -> io::Result<()> {
    std::env::set_current_dir(new_root)?;
    let dot = c".".as_ptr();
    // SAFETY: both pointers are to static, terminated strings. With both arguments "." the old root
    // ends up mounted over the new one (pivot_root(2), notes), from where it is detached below.
    check(unsafe { libc::syscall(libc::SYS_pivot_root, dot, dot) })?;
    // SAFETY: a static, terminated string.
    check(unsafe { libc::umount2(dot, libc::MNT_DETACH) }.into())?;
    std::env::set_current_dir("/")
}

/// What kind of file system a path is on.
pub fn fs_kind(path: &Path) -> io::Result<FsKind> {
    let path = c_string(path.as_os_str())?;
    // SAFETY: an all-zero statfs is valid; the kernel writes into it.
    let mut info: libc::statfs = unsafe { std::mem::zeroed() };
    // SAFETY: pointer to a live, terminated string; `info` outlives the call.
    check(unsafe { libc::statfs(path.as_ptr(), &raw mut info) }.into())?;
    Ok(match info.f_type as i64 {
        0x6367_7270 => FsKind::Cgroup2,
        0x0027_e0eb => FsKind::Cgroup1,
        0x0102_1994 => FsKind::Tmpfs,
        other => FsKind::Other(other),
    })
}

/// This program's own file through a mount of its own that nobody can write through.
///
/// A program started by this descriptor cannot be overwritten by way of its `/proc/PID/exe`.
///
/// # Errors
/// `PermissionDenied` without the right to mount.
pub fn read_only_exe() -> io::Result<OwnedFd> {
    /// `struct mount_attr` of mount_setattr(2).
    #[repr(C)]
    struct MountAttr {
        attr_set: u64,
        attr_clr: u64,
        propagation: u64,
        userns_fd: u64,
    }
    const OPEN_TREE_CLONE: libc::c_uint = 1;
    const MOUNT_ATTR_RDONLY: u64 = 1;
    let flags = OPEN_TREE_CLONE | libc::O_CLOEXEC as libc::c_uint;
    // SAFETY: a static, terminated string and integers; gives a new descriptor.
    let fd = check(unsafe { libc::syscall(libc::SYS_open_tree, libc::AT_FDCWD, c"/proc/self/exe".as_ptr(), flags) })?;
    // SAFETY: the kernel has just made this descriptor for us.
    let tree = unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).map_err(io::Error::other)?) };
    let attr = MountAttr { attr_set: MOUNT_ATTR_RDONLY, attr_clr: 0, propagation: 0, userns_fd: 0 };
    // SAFETY: an empty static path with AT_EMPTY_PATH, and `attr` with its true size, alive over the call.
    let set = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            tree.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            &raw const attr,
            size_of::<MountAttr>(),
        )
    };
    check(set)?;
    Ok(tree)
}

/// The flags that a remount in a user namespace must repeat, because the kernel locks them.
fn current_flags(target: &Path) -> io::Result<libc::c_ulong> {
    let target = c_string(target.as_os_str())?;
    // SAFETY: an all-zero statvfs is valid; the kernel writes into it.
    let mut info: libc::statvfs = unsafe { std::mem::zeroed() };
    // SAFETY: pointer to a live, terminated string; `info` outlives the call.
    check(unsafe { libc::statvfs(target.as_ptr(), &raw mut info) }.into())?;
    let pairs = [
        (libc::ST_RDONLY, libc::MS_RDONLY),
        (libc::ST_NOSUID, libc::MS_NOSUID),
        (libc::ST_NODEV, libc::MS_NODEV),
        (libc::ST_NOEXEC, libc::MS_NOEXEC),
        (libc::ST_NOATIME, libc::MS_NOATIME),
        (libc::ST_NODIRATIME, libc::MS_NODIRATIME),
        (libc::ST_RELATIME, libc::MS_RELATIME),
    ];
    Ok(pairs.iter().filter(|(st, _)| info.f_flag & st != 0).fold(0, |bits, (_, ms)| bits | ms))
}

fn raw_mount(
    source: Option<&OsStr>,
    target: &Path,
    kind: Option<&str>,
    flags: libc::c_ulong,
    data: Option<&str>,
) -> io::Result<()> {
    let source = source.map(c_string).transpose()?;
    let target = c_string(target.as_os_str())?;
    let kind = kind.map(CString::new).transpose()?;
    let data = data.filter(|text| !text.is_empty()).map(CString::new).transpose()?;
    let pointer = |text: &Option<CString>| text.as_ref().map_or(std::ptr::null(), |text| text.as_ptr());
    // SAFETY: every pointer is null or to a live, terminated string.
    let mounted =
        unsafe { libc::mount(pointer(&source), target.as_ptr(), pointer(&kind), flags, pointer(&data).cast()) };
    check(mounted.into()).map(drop)
}

fn c_string(text: &OsStr) -> io::Result<CString> {
    Ok(CString::new(text.as_bytes())?)
}
