//! Watching a folder or a file for the host (inotify(7)): each change is one line of output.
//!
//! Next to nothing is queued here: the kernel's queue, which is bounded, is read only as far as the host has given credit.
//! When it runs over, the kernel says so and so does the stream. New folders are followed, and what stands in them already
//! is told.

use std::collections::VecDeque;
use std::fs::{self, ReadDir};
use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use bundle::channel::{Change, ChangeKind, Piece};
use nix::errno::Errno;
use nix::sys::inotify::AddWatchFlags;
use nix::unistd;

use crate::watched::{Followed, Watched, joined};

/// Bytes of the kernel's events read at a time.
const READ_BYTES: usize = 2 * 1024;

/// The most bytes of lines in one piece; a line alone is never longer.
const PIECE_BYTES: usize = 16 * 1024;

/// Bytes of an event before its name: watch, mask, cookie and the name's length, each of 32 bits.
const HEADER_BYTES: usize = 16;

/// How long the second half of a move is waited for when it is not there: the kernel is about to tell it.
const OTHER_HALF: Duration = Duration::from_millis(1);

/// What marks the end: the path leads elsewhere, or to nothing.
const GONE: AddWatchFlags =
    AddWatchFlags::IN_MOVE_SELF.union(AddWatchFlags::IN_IGNORED).union(AddWatchFlags::IN_UNMOUNT);

/// A path that is watched.
#[derive(Debug)]
pub struct Watching {
    watched: Watched,
    recursive: bool,
    /// Both halves of a move are events of their own, with the same cookie.
    moved: Option<Moved>,
    /// What was not told yet.
    pending: VecDeque<Change>,
    /// New folders, by the kernel's numbers, of which all is to be told that stands in them.
    new: Vec<i32>,
    scan: Option<(i32, ReadDir)>,
    /// What was told so, in which folder: the kernel may be about to tell it too.
    found: Vec<(i32, String)>,
}

/// The first half of a move.
#[derive(Debug)]
struct Moved {
    cookie: u32,
    name: String,
    is_folder: bool,
}

/// One event of the kernel.
#[derive(Debug, PartialEq, Eq)]
struct Event {
    number: i32,
    mask: AddWatchFlags,
    cookie: u32,
    /// Empty for the folder or the path itself.
    name: String,
}

impl Watching {
    /// Begins to watch; what happens from here on is told.
    pub fn begin(path: &str, recursive: bool) -> io::Result<Self> {
        let watched = Watched::begin(Path::new(path))?;
        let (moved, pending, new, scan, found) = (None, VecDeque::new(), Vec::new(), None, Vec::new());
        let mut watching = Self { watched, recursive, moved, pending, new, scan, found };
        watching.follow_all();
        Ok(watching)
    }

    /// The descriptor to wait for.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.watched.as_fd()
    }

    /// The lines of what happened, `false` with the last one; none when nothing has.
    pub fn next(&mut self, out: &mut Vec<u8>) -> Option<io::Result<bool>> {
        while self.pending.is_empty() {
            match self.refill() {
                Ok(true) => {}
                Ok(false) => return None,
                Err(errno) => return Some(Err(errno.into())),
            }
        }
        let (mut lines, mut goes_on) = (Vec::new(), true);
        while let Some(change) = self.pending.front().filter(|_| goes_on) {
            // Plain data always becomes text.
            let mut line = serde_json::to_vec(change).unwrap_or_default();
            line.push(b'\n');
            if lines.len() + line.len() > PIECE_BYTES {
                break;
            }
            goes_on = change.change != ChangeKind::Gone;
            lines.extend(line);
            self.pending.pop_front();
        }
        Piece::Out(lines).encode(out);
        Some(Ok(goes_on))
    }

    /// Finds out what more there is to tell; `false` when nothing is for now.
    fn refill(&mut self) -> nix::Result<bool> {
        if self.look_at_new() {
            return Ok(true);
        }
        let mut buffer = [0; READ_BYTES];
        let mut read = || unistd::read(self.watched.as_fd(), &mut buffer);
        let read = match read() {
            // Whoever moves something may have been held up between the two halves.
            Err(Errno::EAGAIN) if self.moved.is_some() => {
                sleep(OTHER_HALF);
                read()
            }
            read => read,
        };
        match read {
            Ok(count) => {
                events(buffer.get(..count).unwrap_or_default()).into_iter().for_each(|event| self.hear(event));
                Ok(true)
            }
            Err(Errno::EAGAIN | Errno::EINTR) => {
                self.found.clear();
                self.rest();
                Ok(!self.pending.is_empty())
            }
            Err(errno) => Err(errno),
        }
    }

    fn tell(&mut self, change: ChangeKind, name: String, from: Option<String>) {
        self.pending.push_back(Change { change, name: Some(name).filter(|name| !name.is_empty()), from });
    }

    fn hear(&mut self, event: Event) {
        let Event { number, mask, cookie, name } = event;
        if mask.contains(AddWatchFlags::IN_Q_OVERFLOW) {
            return self.begin_again();
        }
        let Some(folder) = self.watched.name(number).map(str::to_owned) else { return };
        if name.is_empty() && !folder.is_empty() {
            // What happens to a folder below is told by the one that it stands in.
            if mask.contains(AddWatchFlags::IN_IGNORED) {
                self.watched.forget(number);
            }
            return;
        }
        let comes = AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO;
        if let Some(place) =
            self.found.iter().position(|found| *found == (number, name.clone())).filter(|_| mask.intersects(comes))
        {
            self.found.swap_remove(place);
            return;
        }
        let (name, is_folder) = (joined(&folder, &name), mask.contains(AddWatchFlags::IN_ISDIR));
        let from = self.moved.take_if(|moved| moved.cookie == cookie && mask.contains(AddWatchFlags::IN_MOVED_TO));
        self.rest();
        if mask.contains(AddWatchFlags::IN_MOVED_FROM) {
            self.moved = Some(Moved { cookie, name, is_folder });
        } else if let Some(kind) = kind(mask, from.is_some()) {
            let from = from.map(|moved| moved.name);
            self.tell(kind, name.clone(), from.clone());
            match (kind, from) {
                (ChangeKind::Moved, Some(from)) if is_folder => self.watched.rename(&from, &name),
                (ChangeKind::Created, _) if is_folder => self.arrive(&name),
                _ => {}
            }
        }
    }

    /// What was moved to a place that is not watched is gone from here.
    fn rest(&mut self) {
        let Some(Moved { name, is_folder, .. }) = self.moved.take() else { return };
        if is_folder {
            self.watched.leave(&name);
        }
        self.tell(ChangeKind::Deleted, name, None);
    }

    /// A folder is there that was not.
    fn arrive(&mut self, name: &str) {
        if !self.recursive {
            return;
        }
        match self.watched.follow(name) {
            Followed::Yes(number) => self.new.push(number),
            Followed::No => {}
            Followed::TooMany => {
                let refused = self.watched.refuse(name);
                refused.into_iter().for_each(|name| self.tell(ChangeKind::Unwatched, name, None));
            }
        }
    }

    /// Tells one thing more that stands in new folders; `false` when there is no such folder.
    fn look_at_new(&mut self) -> bool {
        let Some((number, entries)) = &mut self.scan else {
            let Some(number) = self.new.pop() else { return false };
            let place = self.watched.name(number).map(|name| self.watched.place(name));
            self.scan = place.and_then(|place| Some((number, fs::read_dir(place).ok()?)));
            return true;
        };
        let (number, entry) = (*number, entries.next());
        // It may have another name by now, or be gone.
        let folder = self.watched.name(number).map(str::to_owned);
        let (Some(Ok(entry)), Some(folder)) = (entry, folder) else {
            self.scan = None;
            return true;
        };
        let Ok(name) = entry.file_name().into_string() else { return true };
        let child = joined(&folder, &name);
        self.found.push((number, name));
        self.tell(ChangeKind::Created, child.clone(), None);
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            self.arrive(&child);
        }
        true
    }

    fn follow_all(&mut self) {
        let refused = if self.recursive { self.watched.follow_below("") } else { None };
        refused.into_iter().for_each(|name| self.tell(ChangeKind::Unwatched, name, None));
    }

    /// Events were lost, and with them maybe folders: everything is looked at anew.
    fn begin_again(&mut self) {
        (self.moved, self.scan) = (None, None);
        self.new.clear();
        self.found.clear();
        self.tell(ChangeKind::Overflow, String::new(), None);
        match Watched::begin(&self.watched.place("")) {
            Ok(watched) => {
                self.watched = watched;
                self.follow_all();
            }
            Err(_) => self.tell(ChangeKind::Gone, String::new(), None),
        }
    }
}

/// The kernel's events (`struct inotify_event`); names that are no text are left out, as in lists of folders.
fn events(mut bytes: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() {
        let [number, mask, cookie, length] = [0, 4, 8, 12].map(|at| {
            let field = header.get(at..).and_then(<[u8]>::first_chunk);
            field.map_or(0, |field| u32::from_ne_bytes(*field))
        });
        let (name, rest) = rest.split_at_checked(length as usize).unwrap_or((rest, &[]));
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        if let Ok(name) = String::from_utf8(name.to_vec()) {
            let mask = AddWatchFlags::from_bits_truncate(mask);
            events.push(Event { number: number.cast_signed(), mask, cookie, name });
        }
        bytes = rest;
    }
    events
}

/// What an event says, and `None` for one that another event says too.
fn kind(mask: AddWatchFlags, is_moved_within: bool) -> Option<ChangeKind> {
    Some(match mask {
        mask if mask.intersects(GONE) => ChangeKind::Gone,
        _ if is_moved_within => ChangeKind::Moved,
        mask if mask.intersects(AddWatchFlags::IN_CREATE | AddWatchFlags::IN_MOVED_TO) => ChangeKind::Created,
        mask if mask.contains(AddWatchFlags::IN_MODIFY) => ChangeKind::Modified,
        mask if mask.contains(AddWatchFlags::IN_ATTRIB) => ChangeKind::Described,
        mask if mask.contains(AddWatchFlags::IN_DELETE) => ChangeKind::Deleted,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn event(mask: AddWatchFlags, cookie: u32, name: &str) -> Event {
        Event { number: 1, mask, cookie, name: name.to_owned() }
    }

    fn bytes(event: &Event, padding: usize) -> Vec<u8> {
        let mut name = event.name.as_bytes().to_vec();
        name.resize(name.len() + padding, 0);
        let numbers = [1, event.mask.bits(), event.cookie, name.len() as u32];
        let mut bytes: Vec<u8> = numbers.iter().flat_map(|number| number.to_ne_bytes()).collect();
        bytes.extend(name);
        bytes
    }

    #[test]
    fn the_kernels_events_are_read_and_nonsense_does_no_harm() {
        let two = [event(AddWatchFlags::IN_CREATE, 0, "a b"), event(AddWatchFlags::IN_IGNORED, 7, "")];
        let all = [bytes(&two[0], 13), bytes(&two[1], 0)].concat();
        assert_eq!(events(&all), two);
        for length in 0..all.len() {
            assert!(events(&all[..length]).len() <= 2);
        }
        let long = [&all[..12], &u32::MAX.to_ne_bytes(), b"a"].concat();
        assert_eq!(events(&long), [event(AddWatchFlags::IN_CREATE, 0, "a")]);
        let mut no_text = bytes(&two[0], 0);
        no_text[16] = 0xff;
        assert_eq!(events(&no_text), []);
    }

    /// A folder that is watched, and all that was told of it.
    struct Bench {
        folder: tempfile::TempDir,
        watching: Watching,
    }

    impl Bench {
        fn new(folders: &[&str], recursive: bool) -> Self {
            let folder = tempfile::tempdir().unwrap();
            let top = folder.path().join("top");
            fs::create_dir(&top).unwrap();
            folders.iter().for_each(|name| fs::create_dir_all(top.join(name)).unwrap());
            let watching = Watching::begin(top.to_str().unwrap(), recursive).unwrap();
            Self { folder, watching }
        }

        fn at(&self, name: &str) -> PathBuf {
            self.folder.path().join("top").join(name)
        }

        /// What is told now, in short: `KIND NAME FROM`.
        fn told(&mut self) -> Vec<String> {
            let mut told = Vec::new();
            loop {
                let mut out = Vec::new();
                let next = self.watching.next(&mut out);
                let text = String::from_utf8(out.get(3..).unwrap_or_default().to_vec()).unwrap();
                assert!(text.len() <= PIECE_BYTES);
                for line in text.lines() {
                    let Change { change, name, from } = serde_json::from_str(line).unwrap();
                    let words = [Some(format!("{change:?}").to_lowercase()), name, from];
                    told.push(words.into_iter().flatten().collect::<Vec<_>>().join(" "));
                }
                if next.is_none_or(|next| !next.unwrap()) {
                    return told;
                }
            }
        }
    }

    #[test]
    fn folders_that_are_new_are_followed_with_what_stands_in_them() {
        let mut bench = Bench::new(&["old/deep"], true);
        fs::write(bench.at("old/deep/a"), "x").unwrap();
        assert_eq!(bench.told(), ["created old/deep/a", "modified old/deep/a"]);
        fs::create_dir_all(bench.at("new/below")).unwrap();
        fs::write(bench.at("new/below/b"), "").unwrap();
        // Nothing of it is told twice, though the kernel knows of some of it.
        assert_eq!(bench.told(), ["created new", "created new/below", "created new/below/b"]);
        fs::write(bench.at("new/below/c"), "").unwrap();
        assert_eq!(bench.told(), ["created new/below/c"]);
        fs::remove_dir_all(bench.at("new")).unwrap();
        let mut told = bench.told();
        told.sort();
        assert_eq!(told, ["deleted new", "deleted new/below", "deleted new/below/b", "deleted new/below/c"]);
    }

    #[test]
    fn folders_that_move_keep_being_followed_and_those_that_leave_do_not() {
        let mut bench = Bench::new(&["a/deep", "b"], true);
        fs::rename(bench.at("a"), bench.at("b/a")).unwrap();
        assert_eq!(bench.told(), ["moved b/a a"]);
        fs::write(bench.at("b/a/deep/x"), "").unwrap();
        assert_eq!(bench.told(), ["created b/a/deep/x"]);
        let away = bench.folder.path().join("away");
        fs::rename(bench.at("b/a"), &away).unwrap();
        assert_eq!(bench.told(), ["deleted b/a"]);
        fs::write(away.join("deep/y"), "").unwrap();
        assert_eq!(bench.told(), [""; 0]);
        fs::rename(&away, bench.at("back")).unwrap();
        let mut told = bench.told();
        told.sort();
        assert_eq!(told, ["created back", "created back/deep", "created back/deep/x", "created back/deep/y"]);
        fs::remove_dir_all(bench.at("")).unwrap();
        assert_eq!(bench.told().last().unwrap(), "gone");
    }

    #[test]
    fn without_folders_below_only_the_path_is_told_of() {
        let mut bench = Bench::new(&["a"], false);
        fs::write(bench.at("a/x"), "").unwrap();
        fs::create_dir(bench.at("b")).unwrap();
        fs::write(bench.at("b/x"), "").unwrap();
        fs::rename(bench.at("b"), bench.at("c")).unwrap();
        fs::rename(bench.at("c"), bench.folder.path().join("away")).unwrap();
        assert_eq!(bench.told(), ["created b", "moved c b", "deleted c"]);
        let file = bench.at("file");
        fs::write(&file, "").unwrap();
        let mut bench = Bench { watching: Watching::begin(file.to_str().unwrap(), true).unwrap(), ..bench };
        fs::write(&file, "more").unwrap();
        fs::remove_file(&file).unwrap();
        assert_eq!(bench.told(), ["modified", "described", "gone"]);
    }

    #[test]
    fn what_was_lost_is_told_and_everything_is_followed_anew() {
        let mut bench = Bench::new(&["a"], true);
        fs::create_dir(bench.at("b")).unwrap();
        bench.watching.hear(event(AddWatchFlags::IN_Q_OVERFLOW, 0, ""));
        assert_eq!(bench.told(), ["overflow"]);
        fs::write(bench.at("b/x"), "").unwrap();
        assert_eq!(bench.told(), ["created b/x"]);
        fs::remove_dir_all(bench.at("")).unwrap();
        bench.watching.hear(event(AddWatchFlags::IN_Q_OVERFLOW, 0, ""));
        assert_eq!(bench.told(), ["overflow", "gone"]);
    }
}
