//! Waiting for one of several descriptors.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};

use super::check;

/// What to wait for on one descriptor.
#[derive(Debug, Clone, Copy)]
pub struct Interest<'fd> {
    /// The descriptor.
    pub fd: BorrowedFd<'fd>,
    /// Wait until it can be read.
    pub read: bool,
    /// Wait until it can be written.
    pub write: bool,
}

/// What came to pass on one descriptor.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ready {
    /// Reading gives bytes, the end, or the error.
    pub read: bool,
    /// Writing gives progress or the error.
    pub write: bool,
}

/// Waits until something is ready or the time is over; one answer for each interest, in order.
pub fn poll(interests: &[Interest<'_>], timeout_ms: Option<u64>) -> io::Result<Vec<Ready>> {
    let events = |interest: &Interest<'_>| {
        (if interest.read { libc::POLLIN } else { 0 }) | (if interest.write { libc::POLLOUT } else { 0 })
    };
    // A hang-up is told also to those who ask for nothing (poll(2)), and would wake them for ever: they are left out.
    let fd = |interest| match events(interest) {
        0 => -1,
        _ => AsRawFd::as_raw_fd(&interest_fd(interest)),
    };
    let entry = |interest| libc::pollfd { fd: fd(interest), events: events(interest), revents: 0 };
    let mut entries: Vec<libc::pollfd> = interests.iter().map(entry).collect();
    let timeout = timeout_ms.map_or(-1, |ms| i32::try_from(ms).unwrap_or(i32::MAX));
    // SAFETY: pointer and length describe the same live array.
    match check(unsafe { libc::poll(entries.as_mut_ptr(), entries.len() as libc::nfds_t, timeout) }.into()) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(vec![Ready::default(); interests.len()]),
        other => other?,
    };
    let broken = libc::POLLHUP | libc::POLLERR | libc::POLLNVAL;
    let answer = |entry: &libc::pollfd| Ready {
        read: entry.events & libc::POLLIN != 0 && entry.revents & (libc::POLLIN | broken) != 0,
        write: entry.events & libc::POLLOUT != 0 && entry.revents & (libc::POLLOUT | broken) != 0,
    };
    Ok(entries.iter().map(answer).collect())
}

fn interest_fd<'fd>(interest: &Interest<'fd>) -> BorrowedFd<'fd> {
    interest.fd
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::fd::AsFd;
    use std::os::unix::net::UnixStream;
    use std::thread;
    use std::time::Duration;

    use super::{Interest, poll};

    /// A closed socket that nobody asks about does not end the wait for another one.
    #[test]
    fn what_is_not_asked_for_wakes_nobody() {
        let (closed, other_end) = UnixStream::pair().expect("make a pair");
        drop(other_end);
        let (waited_for, mut writer) = UnixStream::pair().expect("make a pair");
        let late = thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            writer.write_all(b"x").expect("write");
            writer
        });
        let interests = [
            Interest { fd: closed.as_fd(), read: false, write: false },
            Interest { fd: waited_for.as_fd(), read: true, write: false },
        ];
        let ready = poll(&interests, None).expect("poll");
        assert!(!ready[0].read && ready[1].read, "{ready:?}");
        drop(late.join().expect("the writer ends"));
    }
}
