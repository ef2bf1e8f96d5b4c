//! Watching a folder or a file for the host (inotify(7)): each change is one line of output.
//!
//! Nothing is queued here: the kernel's queue, which is bounded, is read only as far as the host has given credit. When it
//! runs over, the kernel says so and so does the stream.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use bundle::channel::{Change, ChangeKind, Piece};
use nix::errno::Errno;
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use nix::unistd;

/// Bytes of the kernel's events read at a time. As lines they become at most six times as many, where every byte of a
/// name is escaped, which fits a piece.
const READ_BYTES: usize = 2 * 1024;

/// Bytes of an event before its name: watch, mask, cookie and the name's length, each of 32 bits.
const HEADER_BYTES: usize = 16;

/// What is asked for.
const MASK: AddWatchFlags = AddWatchFlags::IN_CREATE
    .union(AddWatchFlags::IN_MODIFY)
    .union(AddWatchFlags::IN_ATTRIB)
    .union(AddWatchFlags::IN_DELETE)
    .union(AddWatchFlags::IN_MOVE)
    .union(AddWatchFlags::IN_DELETE_SELF)
    .union(AddWatchFlags::IN_MOVE_SELF);

/// What marks the end: the path leads elsewhere, or to nothing.
const GONE: AddWatchFlags =
    AddWatchFlags::IN_MOVE_SELF.union(AddWatchFlags::IN_IGNORED).union(AddWatchFlags::IN_UNMOUNT);

/// A path that is watched.
#[derive(Debug)]
pub struct Watching {
    events: OwnedFd,
    moves: Moves,
}

/// Both halves of a move are events of their own, with the same cookie.
#[derive(Debug, Default)]
struct Moves(Option<(u32, String)>);

/// One event of the kernel.
#[derive(Debug, PartialEq, Eq)]
struct Event {
    mask: AddWatchFlags,
    cookie: u32,
    /// Empty for the path itself.
    name: String,
}

impl Watching {
    /// Begins to watch; what happens from here on is told.
    pub fn begin(path: &str) -> io::Result<Self> {
        let events = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
        events.add_watch(path, MASK)?;
        Ok(Self { events: events.into(), moves: Moves::default() })
    }

    /// The descriptor to wait for.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    /// The lines of what happened, `false` with the last one; none when nothing has.
    pub fn next(&mut self, out: &mut Vec<u8>) -> Option<io::Result<bool>> {
        let mut buffer = [0; READ_BYTES];
        let changes = match unistd::read(&self.events, &mut buffer) {
            Ok(count) => self.moves.changes(events(buffer.get(..count).unwrap_or_default())),
            Err(Errno::EAGAIN | Errno::EINTR) => self.moves.rest(),
            Err(errno) => return Some(Err(errno.into())),
        };
        if changes.is_empty() {
            return None;
        }
        let mut lines = Vec::new();
        for change in &changes {
            // Plain data always becomes text.
            let _ = serde_json::to_writer(&mut lines, change);
            lines.push(b'\n');
        }
        Piece::Out(lines).encode(out);
        Some(Ok(!changes.iter().any(|change| change.change == ChangeKind::Gone)))
    }
}

/// The kernel's events (`struct inotify_event`); names that are no text are left out, as in lists of folders.
fn events(mut bytes: &[u8]) -> Vec<Event> {
    let mut events = Vec::new();
    while let Some((header, rest)) = bytes.split_first_chunk::<HEADER_BYTES>() {
        let [_, mask, cookie, length] = [0, 4, 8, 12].map(|at| {
            let field = header.get(at..).and_then(<[u8]>::first_chunk);
            field.map_or(0, |field| u32::from_ne_bytes(*field))
        });
        let (name, rest) = rest.split_at_checked(length as usize).unwrap_or((rest, &[]));
        let name = name.split(|byte| *byte == 0).next().unwrap_or_default();
        if let Ok(name) = String::from_utf8(name.to_vec()) {
            events.push(Event { mask: AddWatchFlags::from_bits_truncate(mask), cookie, name });
        }
        bytes = rest;
    }
    events
}

impl Moves {
    /// What events mean; a half of a move at their end waits for the other one.
    fn changes(&mut self, events: Vec<Event>) -> Vec<Change> {
        let mut changes = Vec::new();
        for Event { mask, cookie, name } in events {
            let from = self.0.take_if(|(of, _)| *of == cookie && mask.contains(AddWatchFlags::IN_MOVED_TO));
            changes.extend(self.rest());
            if mask.contains(AddWatchFlags::IN_MOVED_FROM) {
                self.0 = Some((cookie, name));
            } else if let Some(kind) = kind(mask, from.is_some()) {
                let name = Some(name).filter(|name| !name.is_empty());
                changes.push(Change { change: kind, name, from: from.map(|(_, from)| from) });
            }
        }
        changes
    }

    /// What was moved to a place that is not watched is gone from here.
    fn rest(&mut self) -> Vec<Change> {
        let left = self.0.take().map(|(_, name)| Change { change: ChangeKind::Deleted, name: Some(name), from: None });
        left.into_iter().collect()
    }
}

/// What an event says, and `None` for one that another event says too.
fn kind(mask: AddWatchFlags, is_moved_within: bool) -> Option<ChangeKind> {
    Some(match mask {
        mask if mask.contains(AddWatchFlags::IN_Q_OVERFLOW) => ChangeKind::Overflow,
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
    use super::*;

    fn event(mask: AddWatchFlags, cookie: u32, name: &str) -> Event {
        Event { mask, cookie, name: name.to_owned() }
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

    #[test]
    fn both_halves_of_a_move_are_one_change_wherever_they_are_read() {
        let (from, to) = (AddWatchFlags::IN_MOVED_FROM, AddWatchFlags::IN_MOVED_TO);
        let change = |change: ChangeKind, name: &str, from: Option<&str>| Change {
            change,
            name: Some(name.to_owned()),
            from: from.map(str::to_owned),
        };
        let moved = change(ChangeKind::Moved, "b", Some("a"));
        let mut moves = Moves::default();
        assert_eq!(moves.changes(vec![event(from, 1, "a"), event(to, 1, "b")]), std::slice::from_ref(&moved));
        assert_eq!(moves.changes(vec![event(from, 2, "a")]), []);
        assert_eq!(moves.changes(vec![event(to, 2, "b")]), [moved]);
        let away = change(ChangeKind::Deleted, "a", None);
        let came = change(ChangeKind::Created, "b", None);
        assert_eq!(moves.changes(vec![event(from, 3, "a"), event(to, 4, "b")]), [away.clone(), came]);
        assert_eq!((moves.changes(vec![event(from, 5, "a")]), moves.rest()), (vec![], vec![away]));
        assert_eq!(moves.rest(), []);
    }
}
