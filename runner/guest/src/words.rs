//! Words that several messages share: how a process ended, and how long something takes.

use nix::sys::signal::Signal;

/// How a process ended; a status above 128 is that of a signal, as shells number them.
pub fn how_it_ended(status: u8) -> String {
    let signal = status.checked_sub(128).and_then(|number| Signal::try_from(i32::from(number)).ok());
    match signal {
        Some(signal) => format!("was ended by {signal} (status {status})"),
        None => format!("ended with status {status}"),
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
        assert_eq!(how_it_ended(200), "ended with status 200");
    }
}
