//! What ldconfig needs of an ELF file: is it a shared library of this machine, and what is its SONAME? (gABI, chapters 4 and 5.)
//!
//! Only little-endian 64-bit files are read; every offset and count is checked against the bytes.

/// A shared library.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Library {
    /// `e_machine`.
    pub machine: u16,
    /// The name it wants to be found by; `None` when it does not say.
    pub soname: Option<String>,
}

const TYPE_DYN: u16 = 3;
const SEGMENT_LOAD: u32 = 1;
const SEGMENT_DYNAMIC: u32 = 2;
const DYNAMIC_NULL: u64 = 0;
const DYNAMIC_STRTAB: u64 = 5;
const DYNAMIC_SONAME: u64 = 14;

/// Bytes of the header of a 64-bit file, and of an entry of its table of segments.
const HEADER_BYTES: usize = 64;
const SEGMENT_BYTES: usize = 56;

/// Libraries have some ten segments, and a dynamic section of a few hundred bytes.
const TABLE_LIMIT: usize = 1 << 20;

/// A SONAME becomes a file name, which Linux bounds.
const NAME_LIMIT: usize = 255;

/// Gives bytes of a file from an offset on, fewer where the file ends before. A library is large, and little is needed.
pub type Part<'a, E> = dyn FnMut(u64, usize) -> Result<Vec<u8>, E> + 'a;

/// Reads a shared library; `None` for anything else.
///
/// # Errors
/// What `part` reports.
pub fn library<E>(part: &mut Part<'_, E>) -> Result<Option<Library>, E> {
    let Some(header) = Header::read(&part(0, HEADER_BYTES)?) else { return Ok(None) };
    let segments = header.segments(&part(header.table_offset, header.table_bytes)?);
    let Some(dynamic) = segments.iter().find(|segment| segment.kind == SEGMENT_DYNAMIC) else { return Ok(None) };
    let size = usize::try_from(dynamic.size).unwrap_or(usize::MAX).min(TABLE_LIMIT);
    let names = Names::read(&part(dynamic.offset, size)?);
    let Names { soname: Some(name), strings: Some(strings) } = names else {
        return Ok(Some(Library { machine: header.machine, soname: None }));
    };
    let Some(offset) = in_file(&segments, strings).and_then(|at| at.checked_add(name)) else { return Ok(None) };
    let soname = text(&part(offset, NAME_LIMIT + 1)?);
    Ok(soname.map(|soname| Library { machine: header.machine, soname: Some(soname) }))
}

/// What the header tells.
struct Header {
    machine: u16,
    table_offset: u64,
    table_bytes: usize,
    entry_bytes: usize,
}

struct Segment {
    kind: u32,
    offset: u64,
    address: u64,
    size: u64,
}

impl Header {
    fn read(bytes: &[u8]) -> Option<Self> {
        if bytes.get(..7)? != b"\x7fELF\x02\x01\x01" || u16_at(bytes, 16)? != TYPE_DYN {
            return None;
        }
        let (entry_bytes, count) = (usize::from(u16_at(bytes, 54)?), usize::from(u16_at(bytes, 56)?));
        let table_bytes = (entry_bytes * count).min(TABLE_LIMIT);
        let header = Self { machine: u16_at(bytes, 18)?, table_offset: u64_at(bytes, 32)?, table_bytes, entry_bytes };
        (entry_bytes >= SEGMENT_BYTES).then_some(header)
    }

    fn segments(&self, table: &[u8]) -> Vec<Segment> {
        let segment = |entry: &[u8]| {
            let (offset, address, size) = (u64_at(entry, 8)?, u64_at(entry, 16)?, u64_at(entry, 32)?);
            Some(Segment { kind: u32_at(entry, 0)?, offset, address, size })
        };
        table.chunks(self.entry_bytes).map_while(segment).collect()
    }
}

/// Addresses in the dynamic section: of the SONAME among the strings, and of the strings.
struct Names {
    soname: Option<u64>,
    strings: Option<u64>,
}

impl Names {
    fn read(section: &[u8]) -> Self {
        let mut names = Self { soname: None, strings: None };
        for entry in section.chunks_exact(16) {
            match u64_at(entry, 0) {
                Some(DYNAMIC_STRTAB) => names.strings = u64_at(entry, 8),
                Some(DYNAMIC_SONAME) => names.soname = u64_at(entry, 8),
                Some(DYNAMIC_NULL) | None => break,
                Some(_) => {}
            }
        }
        names
    }
}

/// Where in the file an address is.
fn in_file(segments: &[Segment], address: u64) -> Option<u64> {
    let holds = |segment: &&Segment| {
        segment.kind == SEGMENT_LOAD && address >= segment.address && address - segment.address < segment.size
    };
    segments.iter().find(holds).and_then(|segment| (address - segment.address).checked_add(segment.offset))
}

fn text(rest: &[u8]) -> Option<String> {
    let end = rest.iter().take(NAME_LIMIT + 1).position(|&b| b == 0)?;
    String::from_utf8(rest.get(..end)?.to_vec()).ok().filter(|name| !name.is_empty() && !name.contains('/'))
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A library with one load segment, a dynamic section at 0x100 and its strings at 0x180.
    pub(super) fn sample(soname: &str) -> Vec<u8> {
        let mut bytes = vec![0; 0x200];
        bytes[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
        let mut put = |at: usize, value: &[u8]| bytes[at..at + value.len()].copy_from_slice(value);
        put(16, &3u16.to_le_bytes());
        put(18, &62u16.to_le_bytes());
        put(32, &64u64.to_le_bytes());
        put(54, &56u16.to_le_bytes());
        put(56, &2u16.to_le_bytes());
        put(64, &1u32.to_le_bytes());
        put(64 + 16, &0x1000u64.to_le_bytes());
        put(64 + 32, &0x200u64.to_le_bytes());
        put(120, &2u32.to_le_bytes());
        put(120 + 8, &0x100u64.to_le_bytes());
        put(120 + 32, &0x30u64.to_le_bytes());
        put(0x100, &14u64.to_le_bytes());
        put(0x108, &1u64.to_le_bytes());
        put(0x110, &5u64.to_le_bytes());
        put(0x118, &0x1180u64.to_le_bytes());
        put(0x181, soname.as_bytes());
        bytes
    }

    /// Reads a library that is all in memory.
    fn library(bytes: &[u8]) -> Option<Library> {
        let mut part = |offset: u64, count: usize| {
            let start = usize::try_from(offset).unwrap().min(bytes.len());
            Ok::<_, std::convert::Infallible>(bytes[start..start.saturating_add(count).min(bytes.len())].to_vec())
        };
        super::library(&mut part).unwrap()
    }

    #[test]
    fn a_soname_is_read_and_nothing_is_trusted() {
        let bytes = sample("libx.so.1");
        assert_eq!(library(&bytes), Some(Library { machine: 62, soname: Some("libx.so.1".to_owned()) }));
        assert_eq!(library(&sample("../x")), None);
        for end in 0..bytes.len() {
            let _ = library(&bytes[..end]);
        }
        for at in 0..0x190 {
            let mut broken = bytes.clone();
            broken[at] = 0xff;
            let _ = library(&broken);
        }
    }
}
