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

/// A SONAME becomes a file name, which Linux bounds.
const NAME_LIMIT: usize = 255;

/// Reads a shared library; `None` for anything else.
pub fn library(bytes: &[u8]) -> Option<Library> {
    if bytes.get(..7)? != b"\x7fELF\x02\x01\x01" || u16_at(bytes, 16)? != TYPE_DYN {
        return None;
    }
    let machine = u16_at(bytes, 18)?;
    let (table, entry_bytes, count) =
        (u64_at(bytes, 32)?, u64::from(u16_at(bytes, 54)?), u64::from(u16_at(bytes, 56)?));
    if entry_bytes < 56 {
        return None;
    }
    let segment = |at: u64| -> Option<[u64; 5]> {
        let start = usize::try_from(table.checked_add(at * entry_bytes)?).ok()?;
        let [kind, offset, address, size] = [
            u64::from(u32_at(bytes, start)?),
            u64_at(bytes, start + 8)?,
            u64_at(bytes, start + 16)?,
            u64_at(bytes, start + 32)?,
        ];
        Some([kind, offset, address, size, 0])
    };
    let segments: Vec<[u64; 5]> = (0..count).map_while(segment).collect();
    let [_, offset, _, size, _] = *segments.iter().find(|[kind, ..]| *kind == u64::from(SEGMENT_DYNAMIC))?;
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(size).ok()?)?.min(bytes.len());
    let (mut soname, mut strings) = (None, None);
    for entry in bytes.get(start..end)?.chunks_exact(16) {
        match u64_at(entry, 0)? {
            DYNAMIC_NULL => break,
            DYNAMIC_STRTAB => strings = u64_at(entry, 8),
            DYNAMIC_SONAME => soname = u64_at(entry, 8),
            _ => {}
        }
    }
    let in_file = |address: u64| {
        let holds = |segment: &&[u64; 5]| {
            segment[0] == u64::from(SEGMENT_LOAD) && address >= segment[2] && address - segment[2] < segment[3]
        };
        segments.iter().find(holds).and_then(|segment| (address - segment[2]).checked_add(segment[1]))
    };
    let name = match (soname, strings) {
        (Some(name), Some(strings)) => Some(text(bytes, in_file(strings)?.checked_add(name)?)?),
        _ => None,
    };
    Some(Library { machine, soname: name })
}

fn text(bytes: &[u8], offset: u64) -> Option<String> {
    let rest = bytes.get(usize::try_from(offset).ok()?..)?;
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
