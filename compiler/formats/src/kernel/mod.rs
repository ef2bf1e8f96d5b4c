//! Kernel images: which kind a file is, and the uncompressed kernel inside it.
//!
//! Input is a whole file in memory, as packages bring it; output is what direct boot takes: an ELF `vmlinux` from an
//! x86 bzImage, a flat `Image` for arm64. Nothing is executed, relocated or changed.

mod arm64;
mod lz4;
mod lzo;
mod payload;
mod x86;

pub use arm64::Arm64Image;
pub use payload::Packing;
pub use x86::BzImage;

/// The largest uncompressed kernel that is taken: today's are 30 to 80 MB, with debugging some 400 MB.
pub const MAX_KERNEL_BYTES: u64 = 1 << 30;

/// Why a kernel image is of no use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum KernelError {
    /// None of the kinds that are known here.
    #[error("read the kernel: it is neither an x86 bzImage, an arm64 Image, nor an ELF file")]
    Unknown,
    /// The file ends too early.
    #[error("read the kernel: the file is cut off, or its {0} is wrong")]
    Truncated(&'static str),
    /// An x86 boot protocol from before payloads could be found (2.08, Linux 2.6.26).
    #[error("read the kernel: its boot protocol {major}.{minor:02} is older than 2.08")]
    Protocol {
        /// Major version.
        major: u8,
        /// Minor version.
        minor: u8,
    },
    /// A compression that is recognised but has no decoder here.
    #[error(
        "unpack the kernel: it is compressed with {0}, which is not supported; gzip, xz, lzma, zstd, lz4 and lzo are"
    )]
    Unsupported(&'static str),
    /// A payload of no known compression.
    #[error("unpack the kernel: its payload starts with {0:02x?}, which is no known compression")]
    Packing([u8; 4]),
    /// The payload does not decompress.
    #[error("unpack the kernel: its {0} payload is damaged, or larger than allowed")]
    Damaged(&'static str),
    /// The payload decompresses to something else than a kernel.
    #[error("unpack the kernel: what comes out is no {0}")]
    Content(&'static str),
}

/// A kernel image by its kind.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Kernel<'a> {
    /// x86, compressed, with its own loader.
    BzImage(BzImage<'a>),
    /// arm64, not compressed.
    Arm64(Arm64Image<'a>),
    /// arm64, compressed: a whole file, or the payload of an EFI program that unpacks itself (`vmlinuz.efi`).
    Arm64Packed {
        /// How.
        packing: Packing,
        /// The compressed bytes; what follows them is ignored.
        payload: &'a [u8],
    },
    /// An ELF file, as it comes out of the linker.
    Elf(&'a [u8]),
}

impl<'a> Kernel<'a> {
    /// Recognises a kernel image by its header.
    ///
    /// # Errors
    /// When it is of no known kind, or its header contradicts its length.
    pub fn recognise(bytes: &'a [u8]) -> Result<Self, KernelError> {
        if bytes.starts_with(b"\x7fELF") {
            return Ok(Self::Elf(bytes));
        }
        if let Some(image) = x86::recognise(bytes)? {
            return Ok(Self::BzImage(image));
        }
        if let Some((packing, payload)) = arm64::zboot(bytes)? {
            return Ok(Self::Arm64Packed { packing, payload });
        }
        if let Some(image) = arm64::recognise(bytes)? {
            return Ok(Self::Arm64(image));
        }
        match Packing::of(bytes) {
            Some(packing) => Ok(Self::Arm64Packed { packing, payload: bytes }),
            None => Err(KernelError::Unknown),
        }
    }

    /// The uncompressed kernel: ELF for x86, a flat image for arm64, of at most `limit_bytes`.
    ///
    /// # Errors
    /// When the payload does not decompress within the limit, or to something else.
    pub fn unpack(&self, limit_bytes: u64) -> Result<Vec<u8>, KernelError> {
        match self {
            Self::Elf(bytes) => Ok(bytes.to_vec()),
            Self::Arm64(image) => Ok(image.bytes.to_vec()),
            Self::BzImage(image) => {
                let kernel = image.packing()?.unpack(image.payload, limit_bytes)?;
                if kernel.starts_with(b"\x7fELF") { Ok(kernel) } else { Err(KernelError::Content("ELF file")) }
            }
            Self::Arm64Packed { packing, payload } => {
                let kernel = packing.unpack(payload, limit_bytes)?;
                match arm64::recognise(&kernel)? {
                    Some(_) => Ok(kernel),
                    None => Err(KernelError::Content("arm64 Image")),
                }
            }
        }
    }

    /// The release that the header tells (`6.1.0-9-cloud-amd64`): of an x86 bzImage only.
    pub fn release(&self) -> Option<&'a str> {
        match self {
            Self::BzImage(image) => image.release,
            _ => None,
        }
    }
}
