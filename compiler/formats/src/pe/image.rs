//! Reads the headers and the section table of a 64-bit PE image.

use std::ops::Range;

use sha2::{Digest as _, Sha256};

use super::PeError;

/// Offset in the file of the offset of the PE header.
const PE_POINTER: usize = 0x3c;

/// Bytes from the PE header's start to the optional header: the mark and the COFF header.
const COFF_BYTES: usize = 24;

/// Bytes of one section header.
pub(super) const SECTION_BYTES: usize = 40;

/// The mark of an optional header for 64 bits.
const PE32_PLUS: u16 = 0x20b;

/// Offsets in the optional header.
const SECTION_ALIGNMENT: usize = 32;
const FILE_ALIGNMENT: usize = 36;
const HEADERS_SIZE: usize = 60;
const CHECKSUM: usize = 64;
const DIRECTORY_COUNT: usize = 108;
/// The fifth directory: certificates, by offset in the file and size.
const SECURITY: usize = 112 + 4 * 8;

/// An image whose headers and sections lie within the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image<'a> {
    pub(super) bytes: &'a [u8],
    /// Offset of the PE header.
    pub(super) pe: usize,
    /// Offset of the section table.
    pub(super) table: usize,
    pub(super) section_alignment: u32,
    pub(super) file_alignment: u32,
    pub(super) headers_bytes: usize,
    sections: Vec<Section<'a>>,
}

/// One section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section<'a> {
    /// Its name, at most eight bytes.
    pub name: &'a [u8],
    /// Where it is in memory, from the image's start.
    pub address: u32,
    /// Its size in memory.
    pub size_bytes: u32,
    /// Where its bytes are in the file, padding included.
    pub file: Range<usize>,
}

impl<'a> Image<'a> {
    /// Reads an image.
    ///
    /// # Errors
    /// When it is none, or something lies outside the file.
    pub fn read(bytes: &'a [u8]) -> Result<Self, PeError> {
        let pe = number(bytes, PE_POINTER).filter(|_| bytes.starts_with(b"MZ")).ok_or(PeError::NotPe)? as usize;
        if pe.checked_add(4).and_then(|end| bytes.get(pe..end)) != Some(b"PE\0\0") {
            return Err(PeError::NotPe);
        }
        let headers = PeError::Outside("header");
        let optional = pe + COFF_BYTES;
        let optional_bytes = half(bytes, pe + 20).ok_or(headers.clone())?;
        let count = half(bytes, pe + 6).ok_or(headers.clone())?;
        let has_security = number(bytes, optional + DIRECTORY_COUNT).is_some_and(|count| count > 4);
        if half(bytes, optional) != Some(PE32_PLUS) || usize::from(optional_bytes) < SECURITY + 8 || !has_security {
            return Err(PeError::NotPe);
        }
        let alignment = |at: usize| {
            let alignment = number(bytes, optional + at).ok_or(headers.clone())?;
            let fits = alignment.is_power_of_two() && (512..=1 << 20).contains(&alignment);
            if fits { Ok(alignment) } else { Err(PeError::Alignment(alignment)) }
        };
        let (section_alignment, file_alignment) = (alignment(SECTION_ALIGNMENT)?, alignment(FILE_ALIGNMENT)?);
        let table = optional + usize::from(optional_bytes);
        let headers_bytes = number(bytes, optional + HEADERS_SIZE).ok_or(headers.clone())? as usize;
        let table_end = table + usize::from(count) * SECTION_BYTES;
        if table_end > headers_bytes || headers_bytes > bytes.len() {
            return Err(PeError::Outside("section table"));
        }
        let rows = bytes[table..table_end].chunks_exact(SECTION_BYTES);
        let sections = rows.map(|row| section(bytes, row)).collect::<Result<_, _>>()?;
        Ok(Self { bytes, pe, table, section_alignment, file_alignment, headers_bytes, sections })
    }

    /// The sections, in the table's order.
    pub fn sections(&self) -> &[Section<'a>] {
        &self.sections
    }

    /// The content of the first section of this name, without padding.
    pub fn content(&self, name: &str) -> Option<&'a [u8]> {
        let section = self.sections.iter().find(|section| section.name == name.as_bytes())?;
        let file = self.bytes.get(section.file.clone())?;
        Some(file.get(..section.size_bytes as usize).unwrap_or(file))
    }

    /// Whether there are certificates behind it.
    pub fn is_signed(&self) -> bool {
        number(self.bytes, self.security() + 4).is_some_and(|size| size > 0)
    }

    /// What a signature signs: SHA-256 of all but the checksum, the place that points to the signatures, and the
    /// signatures themselves (Microsoft, "Windows Authenticode Portable Executable Signature Format").
    pub fn authenticode_sha256(&self) -> [u8; 32] {
        let (checksum, security) = (self.checksum(), self.security());
        let signatures = number(self.bytes, security).filter(|_| self.is_signed());
        let end = signatures.map_or(self.bytes.len(), |at| self.bytes.len().min(at as usize)).max(security + 8);
        let mut hash = Sha256::new()
            .chain_update(&self.bytes[..checksum])
            .chain_update(&self.bytes[checksum + 4..security])
            .chain_update(&self.bytes[security + 8..end]);
        if signatures.is_none() {
            // A signature starts at a multiple of eight; what fills up to it is signed too.
            hash.update(&[0; 8][..self.bytes.len().next_multiple_of(8) - self.bytes.len()]);
        }
        hash.finalize().into()
    }

    /// Offset of the checksum.
    pub(super) fn checksum(&self) -> usize {
        self.pe + COFF_BYTES + CHECKSUM
    }

    /// Offset of the place that points to the signatures.
    pub(super) fn security(&self) -> usize {
        self.pe + COFF_BYTES + SECURITY
    }
}

fn section<'a>(bytes: &'a [u8], row: &'a [u8]) -> Result<Section<'a>, PeError> {
    let field = |at: usize| number(row, at).unwrap_or_default();
    let (start, length) = (field(20) as usize, field(16) as usize);
    // A section without content in the file may name any place.
    let file = if length == 0 { 0..0 } else { start..start.checked_add(length).ok_or(PeError::Outside("section"))? };
    bytes.get(file.clone()).ok_or(PeError::Outside("section"))?;
    let name = row[..8].split(|byte| *byte == 0).next().unwrap_or_default();
    Ok(Section { name, address: field(12), size_bytes: field(8), file })
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_le_bytes(*bytes))
}

fn half(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_le_bytes(*bytes))
}
