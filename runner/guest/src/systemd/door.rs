//! The agent's door: what units and the agent say to each other, one message at a time (unix(7), `SOCK_SEQPACKET`).

use std::fs::DirBuilder;
use std::io::{IoSlice, IoSliceMut};
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::DirBuilderExt;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, Backlog, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, accept4, bind,
    connect, getsockopt, listen, recvmsg, sendmsg, socket, sockopt,
};

/// The folder of the door; nobody else may enter it.
const FOLDER: &str = "/run/appliance";

/// The door.
const DOOR: &str = "/run/appliance/units";

/// The longest message; the reason of a failed start is cut to it.
const MAX_BYTES: usize = 4096;

/// What is said at the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Word {
    /// A unit: this is the process of this service.
    Unit(String),
    /// A unit: the program could not be started.
    Failed { status: u8, reason: String },
    /// A unit: the process of this service ended.
    Ended { status: u8, name: String },
    /// The agent: become the service's program, with the streams that come along.
    Go,
    /// The agent: the service does not start again.
    Over,
}

impl Word {
    fn text(&self) -> String {
        match self {
            Self::Unit(name) => format!("unit {name}"),
            Self::Failed { status, reason } => format!("failed {status} {reason}"),
            Self::Ended { status, name } => format!("ended {status} {name}"),
            Self::Go => "go".to_owned(),
            Self::Over => "over".to_owned(),
        }
    }

    fn parse(text: &str) -> Option<Self> {
        let (word, rest) = text.split_once(' ').unwrap_or((text, ""));
        let numbered = || rest.split_once(' ').and_then(|(status, rest)| Some((status.parse().ok()?, rest.to_owned())));
        Some(match word {
            "unit" => Self::Unit(rest.to_owned()),
            "failed" => numbered().map(|(status, reason)| Self::Failed { status, reason })?,
            "ended" => numbered().map(|(status, name)| Self::Ended { status, name })?,
            "go" => Self::Go,
            "over" => Self::Over,
            _ => return None,
        })
    }
}

/// What came through a connection.
#[derive(Debug)]
pub enum Heard {
    /// A message, with the streams that came along.
    Word(Word, Vec<OwnedFd>),
    /// Nothing yet.
    Silence,
    /// The other side has gone, or says what is not understood.
    Gone,
}

/// Opens the door. The listener does not block.
pub fn open() -> Result<OwnedFd, String> {
    let failed = |errno: Errno| format!("open {DOOR} for the units: {}", errno.desc());
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(FOLDER)
        .map_err(|error| format!("make the folder {FOLDER}: {error}"))?;
    let _ = nix::unistd::unlink(DOOR);
    let listener = seqpacket(SockFlag::SOCK_NONBLOCK).map_err(failed)?;
    let address = UnixAddr::new(DOOR).map_err(failed)?;
    bind(listener.as_raw_fd(), &address).map_err(failed)?;
    listen(&listener, Backlog::MAXCONN).map_err(failed)?;
    Ok(listener)
}

/// Comes to the door. The connection blocks.
pub fn knock() -> nix::Result<OwnedFd> {
    let connection = seqpacket(SockFlag::empty())?;
    connect(connection.as_raw_fd(), &UnixAddr::new(DOOR)?)?;
    Ok(connection)
}

/// Takes who has come: the connection, which does not block, and its process. Others than root are sent away.
pub fn admit(listener: &OwnedFd) -> Option<(OwnedFd, u32)> {
    loop {
        let number = accept4(listener.as_raw_fd(), SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK).ok()?;
        // SAFETY: the kernel has just given this number to this program, which keeps it nowhere else.
        let connection = unsafe { OwnedFd::from_raw_fd(number) };
        let Ok(who) = getsockopt(&connection, sockopt::PeerCredentials) else { continue };
        if who.uid() == 0 {
            return Some((connection, who.pid().unsigned_abs()));
        }
    }
}

/// Says something, with these streams.
pub fn say(to: BorrowedFd<'_>, word: &Word, streams: &[RawFd]) -> nix::Result<()> {
    let text = word.text();
    let bytes = text.as_bytes();
    let parts = [IoSlice::new(bytes.get(..MAX_BYTES).unwrap_or(bytes))];
    let rights = [ControlMessage::ScmRights(streams)];
    let rights = if streams.is_empty() { &[][..] } else { &rights[..] };
    sendmsg::<()>(to.as_raw_fd(), &parts, rights, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}

/// Hears one message.
pub fn hear(from: BorrowedFd<'_>) -> Heard {
    let mut buffer = [0; MAX_BYTES];
    let mut space = nix::cmsg_space!([RawFd; 2]);
    let mut parts = [IoSliceMut::new(&mut buffer)];
    let heard = recvmsg::<()>(from.as_raw_fd(), &mut parts, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC);
    let (count, streams) = match heard {
        Err(Errno::EAGAIN | Errno::EINTR) => return Heard::Silence,
        Err(_) => return Heard::Gone,
        Ok(heard) => (heard.bytes, heard.cmsgs().map_or_else(|_| Vec::new(), |all| all.flat_map(owned).collect())),
    };
    let text = String::from_utf8_lossy(buffer.get(..count).unwrap_or_default());
    Word::parse(&text).map_or(Heard::Gone, |word| Heard::Word(word, streams))
}

fn owned(message: ControlMessageOwned) -> Vec<OwnedFd> {
    let ControlMessageOwned::ScmRights(numbers) = message else { return Vec::new() };
    // SAFETY: the kernel has just given these numbers to this program, which keeps them nowhere else.
    numbers.into_iter().map(|number| unsafe { OwnedFd::from_raw_fd(number) }).collect()
}

fn seqpacket(flags: SockFlag) -> nix::Result<OwnedFd> {
    socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC | flags, None)
}

#[cfg(test)]
mod tests {
    use std::os::fd::AsFd;

    use nix::sys::socket::socketpair;

    use super::*;

    #[test]
    fn what_is_said_is_heard() {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let (one, other) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap();
        let words = [
            Word::Unit("a b".into()),
            Word::Failed { status: 127, reason: "it is not there".into() },
            Word::Ended { status: 0, name: "web".into() },
            Word::Go,
            Word::Over,
        ];
        for word in &words {
            say(one.as_fd(), word, &[0, 1][..usize::from(*word == Word::Go) * 2]).unwrap();
        }
        for word in words {
            let Heard::Word(heard, streams) = hear(other.as_fd()) else { panic!("{word:?} was not heard") };
            assert_eq!((heard, streams.len()), (word.clone(), usize::from(word == Word::Go) * 2));
        }
        assert!(matches!(hear(other.as_fd()), Heard::Silence));
        drop(one);
        assert!(matches!(hear(other.as_fd()), Heard::Gone));
    }

    #[test]
    fn what_says_nothing_is_refused() {
        for text in ["", "gone", "ended web", "ended 300 web", "failed"] {
            assert_eq!(Word::parse(text), None, "{text}");
        }
    }
}
