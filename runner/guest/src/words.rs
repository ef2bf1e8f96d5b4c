//! Words that several messages share: how a process ended, and how long something takes.

use nix::sys::signal::Signal;

use crate::memory::Shortage;

/// How a process ended; a status above 128 is that of a signal, as shells number them.
pub fn how_it_ended(status: u8) -> String {
    let signal = status.checked_sub(128).and_then(|number| Signal::try_from(i32::from(number)).ok());
    match signal {
        Some(signal) => format!("was ended by {signal} (status {status})"),
        None => format!("ended with status {status}"),
    }
}

impl Shortage {
    /// How a process ended for it, as in "it …".
    pub fn how(self) -> String {
        let limit = self.limit_bytes.map(|bytes| format!(", of which there may be {}", bytes_in_words(bytes)));
        format!("was killed because memory ran out{}", limit.unwrap_or_default())
    }
}

/// An amount of memory in the largest unit in which it is whole.
fn bytes_in_words(bytes: u64) -> String {
    match bytes {
        0 => "none".to_owned(),
        bytes if bytes.is_multiple_of(1 << 30) => format!("{} GiB", bytes >> 30),
        bytes if bytes.is_multiple_of(1 << 20) => format!("{} MiB", bytes >> 20),
        bytes => format!("{} KiB", bytes >> 10),
    }
}

/// A time in milliseconds, in seconds where those are whole.
pub fn duration(ms: u64) -> String {
    if ms.is_multiple_of(1000) { format!("{} s", ms / 1000) } else { format!("{ms} ms") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_and_ends_are_said() {
        assert_eq!((duration(1500), duration(2000)), ("1500 ms".to_owned(), "2 s".to_owned()));
        assert_eq!(how_it_ended(139), "was ended by SIGSEGV (status 139)");
        let how = |limit_bytes| Shortage { limit_bytes }.how();
        assert_eq!(how(Some(64 << 20)), "was killed because memory ran out, of which there may be 64 MiB");
        assert_eq!(how(None), "was killed because memory ran out");
        assert_eq!((bytes_in_words(3 << 30), bytes_in_words(1536)), ("3 GiB".to_owned(), "1 KiB".to_owned()));
        assert_eq!(how_it_ended(200), "ended with status 200");
    }
}
