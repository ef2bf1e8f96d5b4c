//! Makes a read-only device of the device mapper, by the three requests that this takes (kernel sources,
//! `include/uapi/linux/dm-ioctl.h`).

use std::fs::File;
use std::os::fd::AsRawFd;
use std::path::PathBuf;

use nix::errno::Errno;

/// Where requests go.
const CONTROL: &str = "/dev/mapper/control";

/// Bytes of `struct dm_ioctl`.
const HEADER_BYTES: usize = 312;

/// Bytes of `struct dm_target_spec`.
const TARGET_BYTES: usize = 40;

/// `DM_DEV_CREATE`, `DM_TABLE_LOAD`, `DM_DEV_SUSPEND`: `_IOWR(0xfd, 3 | 9 | 6, struct dm_ioctl)`.
const CREATE: u32 = 0xc138_fd03;
const LOAD: u32 = 0xc138_fd09;
const RESUME: u32 = 0xc138_fd06;

/// `DM_READONLY_FLAG`
const READ_ONLY: u32 = 1;

/// Makes the device of one target from its first sector on, and gives its path.
pub fn make(name: &str, target: &str, sectors: u64, parameters: &str) -> Result<PathBuf, String> {
    let control = File::options().read(true).write(true).open(CONTROL);
    let control = control.map_err(|error| format!("open {CONTROL}: {error}; is the module dm-mod there?"))?;
    let created = send(&control, CREATE, request(name, &[]))?;
    send(&control, LOAD, request(name, &table(target, sectors, parameters)))?;
    send(&control, RESUME, request(name, &[]))?;
    let device = created.get(40..).and_then(<[u8]>::first_chunk).map_or(0, |device| u64::from_le_bytes(*device));
    let minor = (device & 0xff) | ((device >> 12) & 0xf_ff00);
    Ok(PathBuf::from(format!("/dev/dm-{minor}")))
}

/// A request with what follows its header.
fn request(name: &str, data: &[u8]) -> Vec<u8> {
    let mut request = vec![0; HEADER_BYTES];
    let mut put = |at: usize, bytes: &[u8]| {
        request.iter_mut().skip(at).zip(bytes).for_each(|(place, byte)| *place = *byte);
    };
    let length = (HEADER_BYTES + data.len()) as u32;
    let targets = u32::from(!data.is_empty());
    put(0, &4_u32.to_le_bytes());
    put(12, &length.to_le_bytes());
    put(16, &(HEADER_BYTES as u32).to_le_bytes());
    put(20, &targets.to_le_bytes());
    put(28, &READ_ONLY.to_le_bytes());
    put(48, name.as_bytes());
    request.extend(data);
    request
}

/// One target with its parameters, which end with a zero byte.
fn table(target: &str, sectors: u64, parameters: &str) -> Vec<u8> {
    let mut table = Vec::with_capacity(TARGET_BYTES + parameters.len() + 8);
    table.extend(0_u64.to_le_bytes());
    table.extend(sectors.to_le_bytes());
    table.extend([0; 8]);
    table.extend(target.bytes().chain(std::iter::repeat(0)).take(16));
    table.extend(parameters.bytes().chain([0]));
    table.resize(table.len().next_multiple_of(8), 0);
    table
}

fn send(control: &File, request: u32, mut bytes: Vec<u8>) -> Result<Vec<u8>, String> {
    // SAFETY: the buffer starts with a header that tells its length, within which the kernel reads and writes.
    let answer = unsafe { libc::ioctl(control.as_raw_fd(), request as _, bytes.as_mut_ptr()) };
    Errno::result(answer).map(|_| bytes).map_err(|errno| match errno {
        Errno::ENOMEM => "the kernel has no memory for it".to_owned(),
        // A target that does not exist or does not understand its parameters.
        Errno::EINVAL => format!("{}; is its module there, and does the kernel's log say more?", errno.desc()),
        _ => errno.desc().to_owned(),
    })
}
