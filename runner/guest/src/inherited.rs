//! Takes over file descriptors that whoever started this program left open for it.

use std::os::fd::{FromRawFd, OwnedFd, RawFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};

/// The file descriptor with this number, which no program that is started gets. To be called before this program has opened
/// anything; the error is a fragment after "failed to …:".
pub fn take(number: &str) -> Result<OwnedFd, String> {
    let fd: RawFd =
        number.parse().ok().filter(|fd| *fd > 2).ok_or_else(|| format!("{number:?} is no file descriptor"))?;
    // SAFETY: asking for the flags of a number has no effect; a closed one gives an error.
    if unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(format!("file descriptor {fd} is not open"));
    }
    // SAFETY: the number is open, above the standard streams, and meant for nothing else in this program, which has
    // opened nothing yet.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    fcntl(&fd, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC)).map_err(|errno| errno.desc().to_owned())?;
    Ok(fd)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_descriptor_is_not_taken() {
        for wrong in ["", "x", "-1", "0", "2", "4294967296"] {
            assert_eq!(take(wrong).err(), Some(format!("{wrong:?} is no file descriptor")));
        }
        assert_eq!(take("1000000").err(), Some("file descriptor 1000000 is not open".to_owned()));
    }
}
