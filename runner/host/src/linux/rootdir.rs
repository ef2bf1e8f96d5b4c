//! A folder that is looked into as if it were `/`: no path, link or `..` in it leads out.

use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use super::check;

/// An open folder; every path given to its methods is taken below it.
#[derive(Debug)]
pub struct RootDir(OwnedFd);

/// What a path names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    /// A folder.
    Folder,
    /// Anything else.
    Other,
}

/// `struct open_how` of openat2(2).
#[repr(C)]
struct OpenHow {
    flags: u64,
    mode: u64,
    resolve: u64,
}

/// Of openat2(2): magic links are never followed.
const RESOLVE_NO_MAGICLINKS: u64 = 0x02;
/// Of openat2(2): no link is followed at all.
const RESOLVE_NO_SYMLINKS: u64 = 0x04;
/// Of openat2(2): a path that leads out is an error.
const RESOLVE_BENEATH: u64 = 0x08;
/// Of openat2(2): the folder is the root for `/` and `..`.
const RESOLVE_IN_ROOT: u64 = 0x10;

/// A path that names an open descriptor for calls that take only paths.
pub fn fd_path(fd: &impl AsFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd()))
}

impl RootDir {
    /// Opens a folder.
    pub fn open(path: &Path) -> io::Result<Self> {
        let how = OpenHow { flags: (libc::O_PATH | libc::O_DIRECTORY | libc::O_CLOEXEC) as u64, mode: 0, resolve: 0 };
        Ok(Self(openat2(libc::AT_FDCWD, path, &how)?))
    }

    /// What the path names in here, links followed inside this root, as a descriptor for `mount` and `stat` only.
    pub fn resolve(&self, path: &Path) -> io::Result<OwnedFd> {
        let resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
        self.open2(path, libc::O_PATH, 0, resolve)
    }

    /// Opens for reading a file of this root, links followed inside it.
    pub fn read(&self, path: &Path) -> io::Result<OwnedFd> {
        self.open2(path, libc::O_RDONLY | libc::O_NONBLOCK | libc::O_NOCTTY, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS)
    }

    /// A folder below that is reached without following any link.
    pub fn folder(&self, path: &Path) -> io::Result<Self> {
        let flags = libc::O_PATH | libc::O_DIRECTORY;
        if path.as_os_str().is_empty() {
            return Ok(Self(self.0.try_clone()?));
        }
        self.open2(path, flags, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS).map(Self)
    }

    /// The folder at the path, links followed inside this root; made, with its parents, where it is missing.
    pub fn ensure_folder(&self, path: &Path, mode: u32) -> io::Result<OwnedFd> {
        match self.resolve(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let (parent, name) = self.ensure_parent(path, mode)?;
        parent.make_folder(Path::new(&name), mode)?;
        parent.resolve(Path::new(&name))
    }

    /// The file or folder at the path, made as an empty file where it is missing.
    pub fn ensure_file(&self, path: &Path) -> io::Result<OwnedFd> {
        match self.resolve(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            found => return found,
        }
        let (parent, name) = self.ensure_parent(path, 0o755)?;
        parent.create(Path::new(&name), 0o644).map(drop)?;
        parent.resolve(Path::new(&name))
    }

    fn ensure_parent(&self, path: &Path, mode: u32) -> io::Result<(Self, std::ffi::OsString)> {
        let name = path.file_name().ok_or_else(|| io::Error::from(io::ErrorKind::InvalidInput))?;
        let parent = self
            .ensure_folder(path.parent().filter(|parent| *parent != Path::new("")).unwrap_or(Path::new("/")), mode)?;
        Ok((Self(parent), name.to_owned()))
    }

    /// Makes a folder with exactly this mode directly in here.
    pub fn make_folder(&self, name: &Path, mode: u32) -> io::Result<()> {
        let c_name = c_path(name)?;
        // SAFETY: a live descriptor and a live, terminated string.
        check(unsafe { libc::mkdirat(self.0.as_raw_fd(), c_name.as_ptr(), mode) }.into())?;
        self.set_mode(name, mode)
    }

    /// Makes a new file directly in here, open for writing; one that is there is an error.
    pub fn create(&self, name: &Path, mode: u32) -> io::Result<std::fs::File> {
        let flags = libc::O_CREAT | libc::O_EXCL | libc::O_WRONLY | libc::O_NOFOLLOW;
        self.open2(name, flags, u64::from(mode), RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS).map(std::fs::File::from)
    }

    /// Makes a symbolic link directly in here.
    pub fn symlink(&self, name: &Path, to: &Path) -> io::Result<()> {
        let (name, to) = (c_path(name)?, c_path(to)?);
        // SAFETY: a live descriptor and live, terminated strings.
        check(unsafe { libc::symlinkat(to.as_ptr(), self.0.as_raw_fd(), name.as_ptr()) }.into()).map(drop)
    }

    /// Makes `name` in here another name of `target` in `from`; links are not followed.
    pub fn hard_link(&self, name: &Path, from: &Self, target: &Path) -> io::Result<()> {
        let (name, target) = (c_path(name)?, c_path(target)?);
        // SAFETY: live descriptors and live, terminated strings.
        let linked = unsafe { libc::linkat(from.0.as_raw_fd(), target.as_ptr(), self.0.as_raw_fd(), name.as_ptr(), 0) };
        check(linked.into()).map(drop)
    }

    /// Makes a node: `mode` carries the file type (device, fifo, socket) beside the permissions.
    pub fn make_node(&self, name: &Path, mode: u32, major: u32, minor: u32) -> io::Result<()> {
        let c_name = c_path(name)?;
        let device = libc::makedev(major, minor);
        // SAFETY: a live descriptor and a live, terminated string.
        check(unsafe { libc::mknodat(self.0.as_raw_fd(), c_name.as_ptr(), mode, device) }.into())?;
        self.set_mode(name, mode & 0o7777)
    }

    /// Removes whatever the name means directly in here, a folder with all that is in it; nothing there is fine.
    pub fn remove(&self, name: &Path) -> io::Result<()> {
        let path = fd_path(&self.0).join(name);
        let removed = match std::fs::symlink_metadata(&path) {
            Ok(meta) if meta.is_dir() => std::fs::remove_dir_all(&path),
            Ok(_) => std::fs::remove_file(&path),
            Err(error) => Err(error),
        };
        match removed {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Sets the owner of what the name means directly in here; links are not followed.
    pub fn set_owner(&self, name: &Path, uid: u32, gid: u32) -> io::Result<()> {
        let name = c_path(name)?;
        // SAFETY: a live descriptor and a live, terminated string.
        let set = unsafe { libc::fchownat(self.0.as_raw_fd(), name.as_ptr(), uid, gid, libc::AT_SYMLINK_NOFOLLOW) };
        check(set.into()).map(drop)
    }

    /// Sets the permissions of a file or folder directly in here, which must not be a link.
    pub fn set_mode(&self, name: &Path, mode: u32) -> io::Result<()> {
        let fd = self.open2(name, libc::O_PATH | libc::O_NOFOLLOW, 0, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS)?;
        let path = c_path(&fd_path(&fd))?;
        // SAFETY: a live, terminated string that names our own descriptor.
        check(unsafe { libc::chmod(path.as_ptr(), mode) }.into()).map(drop)
    }

    /// Sets an extended attribute of what the name means directly in here, which must not be a link.
    pub fn set_xattr(&self, name: &Path, key: &str, value: &[u8]) -> io::Result<()> {
        let path = c_path(&fd_path(&self.0).join(name))?;
        let key = CString::new(key)?;
        // SAFETY: live, terminated strings; pointer and length describe the same live buffer.
        let set = unsafe { libc::lsetxattr(path.as_ptr(), key.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
        check(set.into()).map(drop)
    }

    /// The value of a short extended attribute of what the name means directly in here, which must not be a link; `None`
    /// where it has none, or the file system keeps none.
    pub fn xattr(&self, name: &Path, key: &str) -> io::Result<Option<Vec<u8>>> {
        let path = c_path(&fd_path(&self.0).join(name))?;
        let key = CString::new(key)?;
        let mut value = vec![0u8; 256];
        // SAFETY: live, terminated strings; pointer and length describe the same live buffer.
        let got = unsafe { libc::lgetxattr(path.as_ptr(), key.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
        match check(got as libc::c_long) {
            Ok(length) => {
                value.truncate(length as usize);
                Ok(Some(value))
            }
            Err(error) if matches!(error.raw_os_error(), Some(libc::ENODATA | libc::EOPNOTSUPP)) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets the modification time, in seconds since 1970, of what the name means directly in here.
    pub fn set_mtime(&self, name: &Path, mtime_secs: i64) -> io::Result<()> {
        let name = c_path(name)?;
        let time = libc::timespec { tv_sec: mtime_secs, tv_nsec: 0 };
        let times = [time, time];
        // SAFETY: a live descriptor, a live, terminated string and an array of two times.
        let set =
            unsafe { libc::utimensat(self.0.as_raw_fd(), name.as_ptr(), times.as_ptr(), libc::AT_SYMLINK_NOFOLLOW) };
        check(set.into()).map(drop)
    }

    fn open2(&self, path: &Path, flags: libc::c_int, mode: u64, resolve: u64) -> io::Result<OwnedFd> {
        let how = OpenHow { flags: (flags | libc::O_CLOEXEC) as u64, mode, resolve };
        openat2(self.0.as_raw_fd(), path, &how)
    }
}

impl AsFd for RootDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl FileKind {
    /// What an open descriptor is.
    pub fn of(fd: &impl AsFd) -> io::Result<Self> {
        let is_folder = std::fs::metadata(fd_path(fd))?.is_dir();
        Ok(if is_folder { Self::Folder } else { Self::Other })
    }
}

fn openat2(at: libc::c_int, path: &Path, how: &OpenHow) -> io::Result<OwnedFd> {
    let path = c_path(path)?;
    loop {
        // SAFETY: a live, terminated string and `how` with its true size, alive over the call.
        let opened = unsafe {
            libc::syscall(libc::SYS_openat2, at, path.as_ptr(), std::ptr::from_ref(how), size_of::<OpenHow>())
        };
        match check(opened) {
            // The kernel asks for another try when something was renamed during the walk.
            Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => {}
            Err(error) => return Err(error),
            // SAFETY: the kernel has just made this descriptor for us.
            Ok(fd) => return Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(fd).map_err(io::Error::other)?) }),
        }
    }
}

fn c_path(path: &Path) -> io::Result<CString> {
    Ok(CString::new(path.as_os_str().as_bytes())?)
}
