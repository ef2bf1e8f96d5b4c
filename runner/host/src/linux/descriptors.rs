//! Descriptors: handing them to another process, placing and locking them.

use std::io::{self, IoSlice, IoSliceMut};
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;

use nix::sys::socket::{ControlMessage, ControlMessageOwned, MsgFlags, recvmsg, sendmsg};

use super::check;

/// Sends bytes and descriptors in one message; at least one byte must go along.
pub fn send_with_fds(socket: &UnixStream, bytes: &[u8], fds: &[RawFd]) -> io::Result<usize> {
    let parts = [IoSlice::new(bytes)];
    let control = [ControlMessage::ScmRights(fds)];
    Ok(sendmsg::<()>(socket.as_raw_fd(), &parts, &control, MsgFlags::empty(), None)?)
}

/// Receives up to `buffer.len()` bytes and the descriptors, at most eight, that came with the first of them.
pub fn receive_with_fds(socket: &UnixStream, buffer: &mut [u8]) -> io::Result<(usize, Vec<OwnedFd>)> {
    let mut space = nix::cmsg_space!([RawFd; 8]);
    let mut parts = [IoSliceMut::new(buffer)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(raw) = control {
            // SAFETY: the kernel has just made these descriptors for this process and nobody else owns them.
            fds.extend(raw.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok((message.bytes, fds))
}

/// Puts a copy of the descriptor at this number, where it stays open over the start of a program.
///
/// Whatever had the number is closed: the caller must own it or know that it is free.
pub fn place_at(fd: &impl AsFd, number: RawFd) -> io::Result<()> {
    let raw = fd.as_fd().as_raw_fd();
    if raw == number {
        // SAFETY: fcntl on a live descriptor with an integer.
        return check(unsafe { libc::fcntl(raw, libc::F_SETFD, 0) }.into()).map(drop);
    }
    // SAFETY: `raw` is alive; the contract leaves `number` to the caller.
    check(unsafe { libc::dup2(raw, number) }.into()).map(drop)
}

/// A copy of the descriptor at the lowest free number that is not below this one, closed when a program is started.
pub fn duplicate_from(fd: &impl AsFd, lowest: RawFd) -> io::Result<OwnedFd> {
    // SAFETY: fcntl on a live descriptor with an integer; gives a new descriptor.
    let raw = check(unsafe { libc::fcntl(fd.as_fd().as_raw_fd(), libc::F_DUPFD_CLOEXEC, lowest) }.into())?;
    // SAFETY: the kernel has just made this descriptor for us.
    Ok(unsafe { OwnedFd::from_raw_fd(i32::try_from(raw).map_err(io::Error::other)?) })
}

/// Closes every descriptor from 3 on but these, and puts `/dev/null` in place of standard input.
///
/// For a freshly cloned child, which must hold nothing of its parent's: a socket's or a lock's other side
/// would take the child for the parent. Whatever owned the descriptors must not be used or dropped after it.
pub fn close_all_but(keep: &[RawFd]) -> io::Result<()> {
    let null = std::fs::File::open("/dev/null")?;
    place_at(&null, 0)?;
    drop(null);
    let mut sorted: Vec<RawFd> = keep.iter().copied().filter(|fd| *fd >= 3).collect();
    sorted.sort_unstable();
    let mut first = 3;
    for fd in sorted {
        close_range(first, fd - 1)?;
        first = fd + 1;
    }
    close_range(first, RawFd::MAX)
}

fn close_range(first: RawFd, last: RawFd) -> io::Result<()> {
    if first > last {
        return Ok(());
    }
    // SAFETY: close_range with integers; the contract of the only caller says that nothing closed here is used again.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) }).map(drop)
}

/// Marks every descriptor from this number on to be closed when a program is started.
pub fn close_on_exec_from(first: RawFd) -> io::Result<()> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: close_range with integers; with CLOEXEC nothing is closed now.
    check(unsafe { libc::syscall(libc::SYS_close_range, first, libc::c_uint::MAX, CLOSE_RANGE_CLOEXEC) }).map(drop)
}

/// Takes the lock of an open file, waiting for it; it is let go when the last copy of the descriptor is closed.
pub fn lock_exclusive(fd: &impl AsFd) -> io::Result<()> {
    lock(fd, libc::LOCK_EX)
}

/// Takes a share of the lock of an open file, waiting while somebody has it alone.
pub fn lock_shared(fd: &impl AsFd) -> io::Result<()> {
    lock(fd, libc::LOCK_SH)
}

fn lock(fd: &impl AsFd, kind: libc::c_int) -> io::Result<()> {
    loop {
        // SAFETY: flock on a live descriptor.
        match check(unsafe { libc::flock(fd.as_fd().as_raw_fd(), kind) }.into()) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            other => return other.map(drop),
        }
    }
}

/// Takes the lock of an open file if nobody has it; says whether it did.
pub fn try_lock_exclusive(fd: &impl AsFd) -> io::Result<bool> {
    // SAFETY: flock on a live descriptor.
    match check(unsafe { libc::flock(fd.as_fd().as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) }.into()) {
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
        other => other.map(|_| true),
    }
}

/// Waits until everything written to the file system of this descriptor is on its medium.
pub fn sync_file_system(fd: &impl AsFd) -> io::Result<()> {
    // SAFETY: syncfs on a live descriptor.
    check(unsafe { libc::syncfs(fd.as_fd().as_raw_fd()) }.into()).map(drop)
}
