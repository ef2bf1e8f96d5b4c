//! EFI programs: PE images read as far as it takes to add sections to one (Microsoft's PE format specification).
//!
//! [`unified`] makes a unified kernel image: the systemd stub with kernel, initial file system and command line as
//! sections (UAPI group, "Unified Kernel Image"). [`Image`] reads an image and tells its Authenticode digest. [`Signer`]
//! signs one for Secure Boot.

mod certificate;
mod der;
mod image;
mod signer;
mod unified;

pub use certificate::{Certificate, certificate};
pub use image::{Image, Section};
pub use signer::{Signer, SignerError};
pub use unified::{Unified, unified};

/// Why an image is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PeError {
    /// Not a PE image for 64 bits.
    #[error("read the EFI program: it is no 64-bit PE image")]
    NotPe,
    /// A table or section outside the file.
    #[error("read the EFI program: its {0} lies outside the file")]
    Outside(&'static str),
    /// Alignments that are no powers of two, or zero.
    #[error("read the EFI program: its alignment {0} is no power of two between 512 and 1048576")]
    Alignment(u32),
    /// The headers have no room for another section.
    #[error("add sections to the EFI program: its headers have room for {room} more, and {wanted} are to be added")]
    Room {
        /// Sections that fit.
        room: usize,
        /// Sections to add.
        wanted: usize,
    },
    /// The image has a section of that name already.
    #[error("add sections to the EFI program: it has a section {0} already")]
    Double(&'static str),
    /// The result does not fit 32-bit offsets.
    #[error("add sections to the EFI program: together they are larger than 4 GiB")]
    Large,
    /// It is signed, and a change would break the signature.
    #[error("change the EFI program: it is signed; take one that is not")]
    Signed,
}
