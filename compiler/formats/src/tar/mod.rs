//! The tar format: a deterministic streaming writer and a strict bounded reader.
//!
//! Headers are POSIX.1-1988 `ustar`; what does not fit goes to POSIX.1-2001 pax extended headers
//! (IEEE Std 1003.1, `pax`, "ustar Interchange Format" and "pax Extended Header").
//! The reader also knows GNU long names (`L`, `K`) and base-256 numbers, and refuses sparse files.

mod header;
mod pax;
mod reader;
mod writer;

pub use reader::{Entry, EntryKind, Limits, Reader, TarError};
pub use writer::{WriteError, Writer};

/// Headers and contents are padded to this many bytes (IEEE Std 1003.1, ustar: "logical records of 512 octets").
const BLOCK_BYTES: usize = 512;
