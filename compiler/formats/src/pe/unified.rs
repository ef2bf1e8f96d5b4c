//! A unified kernel image: sections added to the systemd stub.
//!
//! The stub's own sections, its SBAT data among them, stay as they are; its symbol table falls away. The same parts give
//! the same bytes: no time is written, and the checksum is that of the content.

use super::image::SECTION_BYTES;
use super::{Image, PeError};

/// Where the new sections start in memory: at whole pages, as the kernel behind them wants.
const PAGE_BYTES: u64 = 4096;

/// Initialised data that can be read (`IMAGE_SCN_CNT_INITIALIZED_DATA | IMAGE_SCN_MEM_READ`).
const READABLE_DATA: u32 = 0x4000_0040;

/// What goes into a unified kernel image.
#[derive(Debug, Clone, Copy)]
pub struct Unified<'a> {
    /// The unsigned stub (`linuxx64.efi.stub`).
    pub stub: &'a [u8],
    /// The text of `os-release`.
    pub os_release: &'a [u8],
    /// The kernel's command line, without a line end.
    pub command_line: &'a str,
    /// The kernel's release.
    pub release: &'a str,
    /// The initial file system, as the kernel takes it.
    pub initrd: &'a [u8],
    /// The kernel with its own EFI header: a bzImage.
    pub kernel: &'a [u8],
}

/// Puts the image together.
///
/// # Errors
/// When the stub is no PE image, is signed, or has no room for the sections.
pub fn unified(parts: Unified<'_>) -> Result<Vec<u8>, PeError> {
    let Unified { stub, os_release, command_line, release, initrd, kernel } = parts;
    // The kernel comes last: it may need room behind it in memory, which other stubs give it there.
    let sections: [(&'static str, &[u8]); 5] = [
        (".osrel", os_release),
        (".cmdline", command_line.as_bytes()),
        (".uname", release.as_bytes()),
        (".initrd", initrd),
        (".linux", kernel),
    ];
    let image = Image::read(stub)?;
    check(&image, &sections)?;
    let mut out = start(&image);
    let mut address = image.sections().iter().map(|section| end_in_memory(section.address, section.size_bytes)).max();
    let first_row = image.table + image.sections().len() * SECTION_BYTES;
    for (number, (name, content)) in sections.iter().enumerate() {
        let at = address.unwrap_or_default().next_multiple_of(PAGE_BYTES.max(image.section_alignment.into()));
        let row = row(name, content, at, out.len(), image.file_alignment)?;
        out[first_row + number * SECTION_BYTES..][..SECTION_BYTES].copy_from_slice(&row);
        out.extend_from_slice(content);
        out.resize(out.len().next_multiple_of(image.file_alignment as usize), 0);
        address = Some(at + content.len() as u64);
    }
    finish(&image, &mut out, address.unwrap_or_default(), sections.len())?;
    Ok(out)
}

fn check(image: &Image<'_>, sections: &[(&'static str, &[u8])]) -> Result<(), PeError> {
    if image.is_signed() {
        return Err(PeError::Signed);
    }
    let used = image.table + image.sections().len() * SECTION_BYTES;
    let room = (image.headers_bytes - used) / SECTION_BYTES;
    if room < sections.len() {
        return Err(PeError::Room { room, wanted: sections.len() });
    }
    match sections.iter().find(|(name, _)| image.sections().iter().any(|own| own.name == name.as_bytes())) {
        Some((name, _)) => Err(PeError::Double(name)),
        None => Ok(()),
    }
}

/// The stub up to the end of its last section, without its symbol table, filled up to the file's alignment.
fn start(image: &Image<'_>) -> Vec<u8> {
    let end = image.sections().iter().map(|section| section.file.end).max().unwrap_or(0).max(image.headers_bytes);
    let mut out = image.bytes[..end].to_vec();
    out.resize(out.len().next_multiple_of(image.file_alignment as usize), 0);
    // The place of the symbol table and the number of symbols.
    out[image.pe + 12..image.pe + 20].fill(0);
    out
}

fn row(
    name: &str,
    content: &[u8],
    address: u64,
    file_at: usize,
    file_alignment: u32,
) -> Result<[u8; SECTION_BYTES], PeError> {
    let number = |number: u64| u32::try_from(number).map(u32::to_le_bytes).map_err(|_| PeError::Large);
    let mut row = [0; SECTION_BYTES];
    row[..name.len()].copy_from_slice(name.as_bytes());
    row[8..12].copy_from_slice(&number(content.len() as u64)?);
    row[12..16].copy_from_slice(&number(address)?);
    row[16..20].copy_from_slice(&number((content.len() as u64).next_multiple_of(file_alignment.into()))?);
    row[20..24].copy_from_slice(&number(file_at as u64)?);
    row[36..40].copy_from_slice(&READABLE_DATA.to_le_bytes());
    Ok(row)
}

/// Makes the headers fit: number of sections, initialised data, size in memory, checksum.
fn finish(image: &Image<'_>, out: &mut [u8], memory_end: u64, added: usize) -> Result<(), PeError> {
    let large = |_| PeError::Large;
    let count = u16::try_from(image.sections().len() + added).map_err(large)?;
    let alignment = u64::from(image.section_alignment);
    let memory = u32::try_from(memory_end.next_multiple_of(alignment)).map_err(large)?;
    let optional = image.pe + 24;
    let kept = u32::from_le_bytes([out[optional + 8], out[optional + 9], out[optional + 10], out[optional + 11]]);
    let stub_end = image.sections().iter().map(|section| section.file.end).max().unwrap_or(0);
    let added_bytes = out.len() as u64 - (stub_end as u64).next_multiple_of(image.file_alignment.into());
    let data = u32::try_from(u64::from(kept) + added_bytes).map_err(large)?;
    out[image.pe + 6..image.pe + 8].copy_from_slice(&count.to_le_bytes());
    out[optional + 8..optional + 12].copy_from_slice(&data.to_le_bytes());
    out[optional + 56..optional + 60].copy_from_slice(&memory.to_le_bytes());
    set_checksum(out, image.checksum());
    Ok(())
}

/// Writes the checksum of all of it to its place.
pub(super) fn set_checksum(out: &mut [u8], at: usize) {
    out[at..at + 4].fill(0);
    let sum = checksum(out);
    out[at..at + 4].copy_from_slice(&sum.to_le_bytes());
}

fn end_in_memory(address: u32, size_bytes: u32) -> u64 {
    u64::from(address) + u64::from(size_bytes)
}

/// The sum of all 16-bit words, carries added back in, plus the length; the checksum's own place being zero.
fn checksum(bytes: &[u8]) -> u32 {
    let (words, rest) = bytes.as_chunks::<2>();
    let last = rest.first().copied().map_or(0, u64::from);
    let mut sum = words.iter().map(|word| u64::from(u16::from_le_bytes(*word))).sum::<u64>() + last;
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    (sum as u32).wrapping_add(bytes.len() as u32)
}
