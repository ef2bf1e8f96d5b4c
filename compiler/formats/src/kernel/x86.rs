//! The x86 boot protocol's header (kernel documentation, `arch/x86/boot.rst`).

use super::{KernelError, Packing};

/// Offset of the number of 512-byte sectors of real-mode code.
const SETUP_SECTS: usize = 0x1f1;
/// Offset of the mark 0xAA55.
const BOOT_FLAG: usize = 0x1fe;
/// Offset of the mark `HdrS`.
const HEADER: usize = 0x202;
/// Offset of the protocol's version, minor byte first.
const VERSION: usize = 0x206;
/// Offset of a pointer to the version text, less 0x200.
const KERNEL_VERSION: usize = 0x20e;
/// Offset of the payload's offset from the start of protected-mode code.
const PAYLOAD_OFFSET: usize = 0x248;
/// Offset of the payload's length.
const PAYLOAD_LENGTH: usize = 0x24c;

/// An x86 kernel with its own loader.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BzImage<'a> {
    /// The compressed kernel with, for all compressions but gzip, its length in four bytes behind it.
    pub payload: &'a [u8],
    /// The release that it names itself by.
    pub release: Option<&'a str>,
}

impl BzImage<'_> {
    /// How the payload is compressed.
    ///
    /// # Errors
    /// When that is unknown here.
    pub fn packing(&self) -> Result<Packing, KernelError> {
        let start = self.payload.first_chunk().copied().ok_or(KernelError::Truncated("payload"))?;
        Packing::of(self.payload).ok_or(KernelError::Packing(start))
    }
}

/// Reads the header; `None` when there is none.
pub(super) fn recognise(bytes: &[u8]) -> Result<Option<BzImage<'_>>, KernelError> {
    if bytes.get(HEADER..HEADER + 4) != Some(b"HdrS") || bytes.get(BOOT_FLAG..BOOT_FLAG + 2) != Some(b"\x55\xaa") {
        return Ok(None);
    }
    let [minor, major] = *bytes.get(VERSION..).and_then(<[u8]>::first_chunk).ok_or(KernelError::Truncated("header"))?;
    if (major, minor) < (2, 8) {
        return Err(KernelError::Protocol { major, minor });
    }
    // Zero sectors mean four, for loaders of the last century.
    let sectors = match bytes[SETUP_SECTS] {
        0 => 4,
        sectors => usize::from(sectors),
    };
    let offset = number(bytes, PAYLOAD_OFFSET)?;
    let length = number(bytes, PAYLOAD_LENGTH)?;
    let start = ((sectors + 1) * 512).checked_add(offset).ok_or(KernelError::Truncated("payload"))?;
    let payload = start.checked_add(length).and_then(|end| bytes.get(start..end));
    let payload = payload.filter(|payload| !payload.is_empty()).ok_or(KernelError::Truncated("payload"))?;
    Ok(Some(BzImage { payload, release: release(bytes) }))
}

/// The first word of the version text.
fn release(bytes: &[u8]) -> Option<&str> {
    let pointer = u16::from_le_bytes(*bytes.get(KERNEL_VERSION..)?.first_chunk()?);
    let text = bytes.get(usize::from(pointer).checked_add(0x200)?..)?;
    let word = text.iter().take(256).position(|byte| matches!(byte, 0 | b' '))?;
    std::str::from_utf8(text.get(..word)?).ok().filter(|word| pointer != 0 && !word.is_empty())
}

fn number(bytes: &[u8], at: usize) -> Result<usize, KernelError> {
    let number = bytes.get(at..).and_then(<[u8]>::first_chunk).ok_or(KernelError::Truncated("header"))?;
    usize::try_from(u32::from_le_bytes(*number)).map_err(|_| KernelError::Truncated("header"))
}
