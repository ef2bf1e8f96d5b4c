//! The bytes of `/etc/ld.so.cache` as glibc's own writer lays them out (glibc elf/cache.c, format `glibc-ld.so.cache1.1`).

use std::cmp::Ordering;
use std::collections::BTreeMap;

/// One library of the cache.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry {
    pub soname: String,
    pub path: String,
    /// Kind and machine, as glibc numbers them.
    pub flags: u32,
}

/// Marks the start of the extension sections.
const EXTENSION_MAGIC: u32 = 0xeaa4_2174;

/// Entries as the loader searches them: by name, the highest first; equal ones in the order they were found.
pub(super) fn encode(mut entries: Vec<Entry>, generator: &str) -> Vec<u8> {
    entries.sort_by(|a, b| compare_names(&b.soname, &a.soname).then(b.flags.cmp(&a.flags)));
    let (strings, offsets) = string_table(&entries);
    let base = 48 + 24 * entries.len();
    let extension = (base + strings.len()).next_multiple_of(4);
    let mut out = b"glibc-ld.so.cache1.1".to_vec();
    let number = |value: usize| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
    out.extend(number(entries.len()));
    out.extend(number(strings.len()));
    // 2 says little-endian; three bytes of padding.
    out.extend([2, 0, 0, 0]);
    out.extend(number(extension));
    out.extend([0; 12]);
    for entry in &entries {
        out.extend(entry.flags.to_le_bytes());
        out.extend(number(base + offsets.get(entry.soname.as_str()).copied().unwrap_or(0)));
        out.extend(number(base + offsets.get(entry.path.as_str()).copied().unwrap_or(0)));
        // The least kernel and the processor's capabilities: none.
        out.extend([0; 12]);
    }
    out.extend(&strings);
    out.resize(extension, 0);
    out.extend(EXTENSION_MAGIC.to_le_bytes());
    out.extend(number(1));
    out.extend([0; 8]);
    out.extend(number(extension + 24));
    out.extend(number(generator.len()));
    out.extend(generator.as_bytes());
    out
}

/// All names without repeats; a name that ends another shares its bytes. Sorted from the end, longer ones first.
fn string_table(entries: &[Entry]) -> (Vec<u8>, BTreeMap<&str, usize>) {
    let mut all: Vec<&str> = entries.iter().flat_map(|entry| [entry.soname.as_str(), entry.path.as_str()]).collect();
    all.sort_by(|a, b| from_the_end(a, b));
    all.dedup();
    let (mut table, mut offsets) = (Vec::new(), BTreeMap::new());
    let mut last: Option<(&str, usize)> = None;
    for name in all {
        let offset = match last {
            Some((previous, at)) if previous.ends_with(name) => at + previous.len() - name.len(),
            _ => {
                let at = table.len();
                table.extend_from_slice(name.as_bytes());
                table.push(0);
                at
            }
        };
        offsets.insert(name, offset);
        last = Some((name, offset));
    }
    (table, offsets)
}

fn from_the_end(a: &str, b: &str) -> Ordering {
    let tails = a.bytes().rev().zip(b.bytes().rev()).map(|(a, b)| b.cmp(&a)).find(|order| order.is_ne());
    tails.unwrap_or_else(|| b.len().cmp(&a.len()))
}

/// glibc's order of library names: runs of digits by value, a digit after what is no digit (dl-cache.c, `_dl_cache_libcmp`).
pub(super) fn compare_names(a: &str, b: &str) -> Ordering {
    let (mut a, mut b) = (a.as_bytes(), b.as_bytes());
    while let Some((&x, rest_a)) = a.split_first() {
        let y = b.first().copied().unwrap_or(0);
        match (x.is_ascii_digit(), y.is_ascii_digit()) {
            (true, true) => {
                let (number_a, after_a) = digits(a);
                let (number_b, after_b) = digits(b);
                if number_a != number_b {
                    return number_a.cmp(&number_b);
                }
                (a, b) = (after_a, after_b);
            }
            (true, false) => return Ordering::Greater,
            (false, true) => return Ordering::Less,
            (false, false) if x != y => return x.cmp(&y),
            (false, false) => (a, b) = (rest_a, b.get(1..).unwrap_or_default()),
        }
    }
    0.cmp(&b.first().copied().unwrap_or(0))
}

fn digits(text: &[u8]) -> (u64, &[u8]) {
    let end = text.iter().position(|c| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, rest) = text.split_at(end);
    (number.iter().fold(0_u64, |value, digit| value.saturating_mul(10).saturating_add(u64::from(digit - b'0'))), rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_sort_as_in_glibc() {
        assert_eq!(compare_names("libc.so.6", "libc.so.10"), Ordering::Less);
        assert_eq!(compare_names("libm-2.so", "libm.so"), Ordering::Less);
        assert_eq!(compare_names("libm1.so", "libm.so"), Ordering::Greater);
        assert_eq!(compare_names("ld.so", "ld.so"), Ordering::Equal);
        assert_eq!(compare_names("ld.so", "ld.so.1"), Ordering::Less);
    }

    #[test]
    fn names_share_their_tails() {
        let entry = |soname: &str| Entry { soname: soname.to_owned(), path: format!("/lib/{soname}"), flags: 0x303 };
        let bytes = encode(vec![entry("liba.so.1"), entry("libb.so.2")], "ldconfig");
        let text = String::from_utf8_lossy(&bytes).into_owned();
        assert!(text.contains("/lib/libb.so.2\0/lib/liba.so.1\0"), "{text:?}");
        assert_eq!(text.matches("liba.so.1").count(), 1);
        assert_eq!(bytes.len(), 48 + 2 * 24 + 32 + 24 + 8);
    }
}
