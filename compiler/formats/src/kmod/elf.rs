//! One section of an ELF file by its name (System V ABI, "Object files", for 64 bits and little-endian data).

use super::KmodError;

/// Class 2 and data 1 in the identification: 64 bits, little end first.
const IDENTIFICATION: &[u8] = b"\x7fELF\x02\x01";

/// Offset in the ELF header of the section table's offset.
const TABLE_OFFSET: usize = 0x28;
/// Offset in the ELF header of the size of one section header.
const ENTRY_SIZE: usize = 0x3a;
/// Offset in the ELF header of their number.
const ENTRY_COUNT: usize = 0x3c;
/// Offset in the ELF header of the number of the section that holds their names.
const NAMES_INDEX: usize = 0x3e;

/// The bytes of the first section of this name; `None` when there is none.
pub(super) fn section<'a>(bytes: &'a [u8], name: &[u8]) -> Result<Option<&'a [u8]>, KmodError> {
    if !bytes.starts_with(IDENTIFICATION) {
        return Err(KmodError::Elf);
    }
    let table = KmodError::Outside("section table");
    let half = |at: usize| Some(usize::from(u16::from_le_bytes(*bytes.get(at..)?.first_chunk()?)));
    let table_at = long(bytes, TABLE_OFFSET).ok_or(table.clone())?;
    let header = || Some((half(ENTRY_SIZE)?, half(ENTRY_COUNT)?, half(NAMES_INDEX)?));
    let (size, count, names_index) = header().filter(|(size, ..)| *size >= 64).ok_or(table.clone())?;
    let length = size.checked_mul(count).ok_or(table.clone())?;
    let headers = part(bytes, table_at, length).ok_or(table)?;
    let names_header = headers.chunks_exact(size).nth(names_index).ok_or(KmodError::Outside("section names"))?;
    let names = content(bytes, names_header).ok_or(KmodError::Outside("section names"))?;
    for header in headers.chunks_exact(size) {
        let at = header.first_chunk().map_or(0, |at| u32::from_le_bytes(*at) as usize);
        let found = names.get(at..).and_then(|rest| rest.split(|byte| *byte == 0).next());
        if found == Some(name) {
            return content(bytes, header).map(Some).ok_or(KmodError::Outside("section .modinfo"));
        }
    }
    Ok(None)
}

/// A section's bytes: offset at 24, size at 32 of its header.
fn content<'a>(bytes: &'a [u8], header: &[u8]) -> Option<&'a [u8]> {
    part(bytes, long(header, 24)?, long(header, 32)?)
}

fn part(bytes: &[u8], at: usize, length: usize) -> Option<&[u8]> {
    bytes.get(at..at.checked_add(length)?)
}

fn long(bytes: &[u8], at: usize) -> Option<usize> {
    usize::try_from(u64::from_le_bytes(*bytes.get(at..)?.first_chunk()?)).ok()
}
