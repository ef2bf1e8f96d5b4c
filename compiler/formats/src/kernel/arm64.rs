//! The arm64 kernel image (kernel documentation, `arch/arm64/booting.rst`) and the EFI program that holds a compressed
//! one (`drivers/firmware/efi/libstub/zboot-header.S`).

use super::{KernelError, Packing};

/// Offset of the magic of an image.
const MAGIC: usize = 56;
/// Offset of the image's size in memory, eight bytes.
const IMAGE_SIZE: usize = 16;
/// Bytes of the header.
const HEADER_BYTES: usize = 64;

/// An arm64 kernel that is not compressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arm64Image<'a> {
    /// The whole file.
    pub bytes: &'a [u8],
    /// What it takes in memory, its zeroed data included; 0 for kernels before 3.17, which do not say.
    pub image_bytes: u64,
}

/// Reads the header; `None` when there is none.
pub(super) fn recognise(bytes: &[u8]) -> Result<Option<Arm64Image<'_>>, KernelError> {
    if bytes.get(MAGIC..MAGIC + 4) != Some(b"ARM\x64") {
        return Ok(None);
    }
    let size = bytes.get(IMAGE_SIZE..).and_then(<[u8]>::first_chunk).filter(|_| bytes.len() >= HEADER_BYTES);
    let image_bytes = u64::from_le_bytes(*size.ok_or(KernelError::Truncated("header"))?);
    Ok(Some(Arm64Image { bytes, image_bytes }))
}

/// The payload of an EFI program that unpacks itself, as its header tells: `MZ`, `zimg` at 4, offset and length at 8,
/// the name of the compression at 24.
pub(super) fn zboot(bytes: &[u8]) -> Result<Option<(Packing, &[u8])>, KernelError> {
    if !bytes.starts_with(b"MZ") || bytes.get(4..8) != Some(b"zimg") {
        return Ok(None);
    }
    let header: &[u8; HEADER_BYTES] = bytes.first_chunk().ok_or(KernelError::Truncated("header"))?;
    let number = |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]) as usize;
    let payload = number(8).checked_add(number(12)).and_then(|end| bytes.get(number(8)..end));
    let payload = payload.ok_or(KernelError::Truncated("payload"))?;
    let start = payload.first_chunk().copied().ok_or(KernelError::Truncated("payload"))?;
    match Packing::of(payload) {
        Some(packing) => Ok(Some((packing, payload))),
        None => Err(KernelError::Packing(start)),
    }
}
