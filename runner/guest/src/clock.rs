//! What a machine that slept or was copied must be told: the time, and random numbers that no other copy has.
//!
//! A container has neither for itself; the kernel refuses both there, and that is the answer.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsRawFd;

use nix::errno::Errno;

/// `RNDADDENTROPY` of `random(4)`: `_IOW('R', 3, int[2])`.
const ADD_ENTROPY: u64 = 0x4008_5203;

/// `RNDRESEEDCRNG` of `random(4)`: `_IO('R', 7)`.
const RESEED: u64 = 0x5207;

/// The most bytes of a seed.
const MAX_SEED_BYTES: usize = 512;

/// `struct rand_pool_info` with its bytes.
#[repr(C)]
struct Pool {
    entropy_bits: libc::c_int,
    size_bytes: libc::c_int,
    bytes: [u8; MAX_SEED_BYTES],
}

/// Sets the clock; the error is a fragment after "failed to".
pub fn set(unix_ms: u64) -> Result<(), String> {
    let seconds = i64::try_from(unix_ms / 1000).unwrap_or(i64::MAX);
    let time = libc::timespec { tv_sec: seconds, tv_nsec: i64::try_from(unix_ms % 1000 * 1_000_000).unwrap_or(0) };
    // SAFETY: the call reads the time, which lives through it.
    let set = unsafe { libc::clock_settime(libc::CLOCK_REALTIME, &raw const time) };
    Errno::result(set).map(drop).map_err(|errno| format!("set the clock: {}", explain(errno)))
}

/// Mixes a seed into the kernel's random numbers and has them begin anew.
pub fn reseed(hex: &str) -> Result<(), String> {
    let digits: Option<Vec<u8>> =
        hex.bytes().map(|byte| (byte as char).to_digit(16).map(|digit| digit as u8)).collect();
    let digits = digits.filter(|digits| digits.len().is_multiple_of(2) && digits.len() <= 2 * MAX_SEED_BYTES);
    let digits =
        digits.ok_or(format!("read the seed: it is not an even number of at most {} digits", 2 * MAX_SEED_BYTES))?;
    let mut pool = Pool { entropy_bits: 0, size_bytes: 0, bytes: [0; MAX_SEED_BYTES] };
    for (byte, pair) in pool.bytes.iter_mut().zip(digits.chunks(2)) {
        *byte = pair.iter().fold(0, |sum, digit| sum << 4 | digit);
    }
    pool.size_bytes = (digits.len() / 2) as libc::c_int;
    pool.entropy_bits = pool.size_bytes * 8;
    let failed = |why: &str| format!("reseed the random numbers: {why}");
    let mut random = File::options().write(true).open("/dev/urandom").map_err(|error| failed(&error.to_string()))?;
    let bytes = pool.bytes.get(..digits.len() / 2).unwrap_or_default();
    random.write_all(bytes).map_err(|error| failed(&error.to_string()))?;
    // SAFETY: the request reads the pool, which lives through the call and says its size.
    let added = unsafe { libc::ioctl(random.as_raw_fd(), ADD_ENTROPY as _, &raw const pool) };
    Errno::result(added).map_err(|errno| failed(explain(errno)))?;
    // SAFETY: the request takes nothing.
    Errno::result(unsafe { libc::ioctl(random.as_raw_fd(), RESEED as _) })
        .map(drop)
        .map_err(|errno| failed(explain(errno)))
}

fn explain(errno: Errno) -> &'static str {
    match errno {
        Errno::EPERM => "it belongs to the host, which shares it with this appliance",
        errno => errno.desc(),
    }
}
