//! The `newc` form of cpio, in which Linux takes its initial file system.
//!
//! Layout as in the kernel's `Documentation/driver-api/early-userspace/buffer-format.rst`: for each entry a magic
//! and thirteen numbers of eight hexadecimal digits, the name with its NUL, the content; name and content are
//! padded so that the next part starts at a multiple of four. An entry `TRAILER!!!` ends the archive.

mod reader;
mod writer;

pub use reader::{CpioError, Entry, Limits, Reader};
pub use writer::{WriteError, Writer, write_tree};

const MAGIC: &[u8; 6] = b"070701";

const TRAILER: &[u8] = b"TRAILER!!!";

/// Magic and numbers together.
const HEADER_BYTES: usize = 6 + FIELDS * 8;

/// Number, in order: inode, mode, user, group, links, time, size, device (two), device meant (two), length of the
/// name with its NUL, and a checksum that this form leaves at zero.
const FIELDS: usize = 13;

/// The file type bits of a mode (POSIX, `sys/stat.h`, values as in Linux).
const TYPE_MASK: u32 = 0o170_000;

fn padding(length: u64) -> usize {
    (length.wrapping_neg() % 4) as usize
}
