//! Which folders are watched, and under which names: the kernel watches one folder at a time and knows it by a number
//! (inotify(7)), what lies below is for us to follow.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::sys::statfs::statfs;

/// The most folders below a path that are followed. Each is about a KiB of the kernel's memory, and a user may commonly have
/// 8192 of them.
const MAX_FOLDERS: usize = 4096;

/// The longest name below the path that is followed: two of them and the names behind them must fit a line of the stream.
const MAX_NAME_BYTES: usize = 1024;

/// What is asked for.
const MASK: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_MODIFY)
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVE)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF);

/// File systems that are views of the kernel (`statfs(2)`): what happens there is not told by it, or never ends. proc, sysfs,
/// cgroup, cgroup2, devpts, debugfs, tracefs, securityfs.
const VIEWS: [u64; 8] = [0x9fa0, 0x6265_6572, 0x0027_e0eb, 0x6367_7270, 0x1cd1, 0x6462_6720, 0x7472_6163, 0x7363_6673];

/// The folders, each by the kernel's number, with its name below the path: empty for the path itself.
#[derive(Debug)]
pub struct Watched {
    events: OwnedFd,
    top: PathBuf,
    device: u64,
    folders: Vec<(i32, String)>,
    /// A folder was not followed because there are too many, and that was told.
    is_full: bool,
}

/// Whether a folder is followed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Followed {
    /// It is, by this number.
    Yes(i32),
    /// It is none, or gone, or a view of the kernel.
    No,
    /// There are too many, or its name is too long.
    TooMany,
}

impl Watched {
    /// Watches this path alone.
    pub fn begin(path: &Path) -> io::Result<Self> {
        let events = OwnedFd::from(Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?);
        let number = add_watch(&events, path, MASK)?;
        let device = fs::metadata(path)?.dev();
        Ok(Self { events, top: path.to_owned(), device, folders: vec![(number, String::new())], is_full: false })
    }

    /// The descriptor to wait for and to read.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    /// The path with this name below it.
    pub fn place(&self, name: &str) -> PathBuf {
        self.top.join(name)
    }

    /// What the folder with this number is called; empty for the path itself.
    pub fn name(&self, number: i32) -> Option<&str> {
        self.folders.iter().find(|(of, _)| *of == number).map(|(_, name)| name.as_str())
    }

    /// Follows the folder of this name.
    pub fn follow(&mut self, name: &str) -> Followed {
        let place = self.place(name);
        if !place.symlink_metadata().is_ok_and(|meta| meta.is_dir() && !self.is_view(&place, meta.dev())) {
            return Followed::No;
        }
        if self.folders.len() > MAX_FOLDERS || name.len() > MAX_NAME_BYTES {
            return Followed::TooMany;
        }
        match add_watch(&self.events, &place, MASK | AddWatchFlags::IN_ONLYDIR | AddWatchFlags::IN_DONT_FOLLOW) {
            Ok(number) => {
                self.folders.retain(|(of, _)| *of != number);
                self.folders.push((number, name.to_owned()));
                Followed::Yes(number)
            }
            Err(Errno::ENOSPC | Errno::ENOMEM) => Followed::TooMany,
            Err(_) => Followed::No,
        }
    }

    /// Follows all folders below this one; gives the first one that is too much, unless one was told before.
    pub fn follow_below(&mut self, name: &str) -> Option<String> {
        let (mut todo, mut refused) = (vec![name.to_owned()], None);
        while let Some(folder) = todo.pop() {
            let entries = fs::read_dir(self.place(&folder)).into_iter().flatten().flatten();
            for entry in entries.filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir())) {
                let Ok(child) = entry.file_name().into_string() else { continue };
                let child = joined(&folder, &child);
                match self.follow(&child) {
                    Followed::Yes(_) => todo.push(child),
                    Followed::No => {}
                    Followed::TooMany => refused = refused.or_else(|| self.refuse(&child)),
                }
            }
        }
        refused
    }

    /// Notes that a folder is not followed; gives it once, until there is room again.
    pub fn refuse(&mut self, name: &str) -> Option<String> {
        (!std::mem::replace(&mut self.is_full, true)).then(|| name.to_owned())
    }

    /// The kernel no longer watches the folder with this number.
    pub fn forget(&mut self, number: i32) {
        let before = self.folders.len();
        self.folders.retain(|(of, _)| *of != number);
        self.is_full &= self.folders.len() == before;
    }

    /// What was called so is called so.
    pub fn rename(&mut self, from: &str, to: &str) {
        for (_, name) in &mut self.folders {
            if let Some(rest) = below(name, from) {
                *name = format!("{to}{rest}");
            }
        }
    }

    /// What is called so is no longer below the path.
    pub fn leave(&mut self, name: &str) {
        let events = self.events.as_raw_fd();
        self.folders.retain(|(number, of)| {
            let goes = below(of, name).is_some();
            if goes {
                // SAFETY: the call takes two numbers; one that is not watched is no fault.
                unsafe { libc::inotify_rm_watch(events, *number as _) };
            }
            !goes
        });
        self.is_full = false;
    }

    fn is_view(&self, place: &Path, device: u64) -> bool {
        device != self.device && statfs(place).is_ok_and(|stat| VIEWS.contains(&(stat.filesystem_type().0 as u64)))
    }
}

/// What follows on `folder` in `name`, where `name` is that folder or below it.
fn below<'a>(name: &'a str, folder: &str) -> Option<&'a str> {
    name.strip_prefix(folder).filter(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// The name of an entry of a folder below the path.
pub fn joined(folder: &str, name: &str) -> String {
    match (folder, name) {
        ("", name) | (name, "") => name.to_owned(),
        (folder, name) => format!("{folder}/{name}"),
    }
}

fn add_watch(events: &OwnedFd, path: &Path, mask: AddWatchFlags) -> Result<i32, Errno> {
    let path = CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the path ends with a zero and lives through the call.
    Errno::result(unsafe { libc::inotify_add_watch(events.as_raw_fd(), path.as_ptr(), mask.bits()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_below_the_path() {
        assert_eq!((joined("", "a"), joined("a/b", "c"), joined("a", "")), ("a".into(), "a/b/c".into(), "a".into()));
        assert_eq!((below("a/b", "a"), below("a", "a"), below("ab", "a")), (Some("/b"), Some(""), None));
    }

    #[test]
    fn folders_are_followed_by_the_names_that_they_have_now() {
        let folder = std::env::temp_dir().join(format!("appliance-watched-{}", std::process::id()));
        fs::create_dir_all(folder.join("a/b/c")).unwrap();
        std::os::unix::fs::symlink(&folder, folder.join("loop")).unwrap();
        let mut watched = Watched::begin(&folder).unwrap();
        assert_eq!(watched.follow_below(""), None);
        let mut names: Vec<String> = watched.folders.iter().map(|(_, name)| name.clone()).collect();
        names.sort();
        assert_eq!(names, ["", "a", "a/b", "a/b/c"]);
        watched.rename("a/b", "x");
        let (number, _) = watched.folders.iter().find(|(_, name)| name == "x/c").cloned().unwrap();
        assert_eq!((watched.follow("loop"), watched.name(number)), (Followed::No, Some("x/c")));
        watched.leave("x");
        assert_eq!((watched.name(number), watched.folders.len()), (None, 2));
        let long = "n".repeat(MAX_NAME_BYTES / 8);
        let deep = [long.as_str(); 9].join("/");
        fs::create_dir_all(folder.join(&deep)).unwrap();
        assert_eq!(
            (watched.follow(&deep), watched.refuse(&deep), watched.refuse("y")),
            (Followed::TooMany, Some(deep), None)
        );
        assert_eq!(Watched::begin(Path::new("/")).unwrap().follow("proc"), Followed::No);
        fs::remove_dir_all(&folder).unwrap();
    }
}
