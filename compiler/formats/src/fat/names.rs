//! Names of a folder: which are allowed, and the short name that stands for each long one.
//!
//! Long names are UTF-16 with up to 255 units (FATGEN103, "Long Directory Entries"); each has a short one of 8 and 3
//! characters. Names differ in more than case.

use std::collections::BTreeSet;

/// Units of the longest name.
const UNITS_MOST: usize = 255;

/// Why a name cannot be in a volume.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// No characters, or one of the two special names.
    #[error("`{0}` is not a name")]
    Special(String),
    /// A character that FAT reserves.
    #[error("the name `{0}` contains {1:?}, which FAT does not allow")]
    Character(String, char),
    /// The end of the name would be lost.
    #[error("the name `{0}` ends with a space or a dot, which FAT drops")]
    End(String),
    /// Too long.
    #[error("the name `{0}` is longer than {UNITS_MOST} characters")]
    Length(String),
    /// Two names that FAT takes for one.
    #[error("the name `{0}` differs from another in its folder only by case")]
    Case(String),
}

/// A name as its folder holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The short name, padded with spaces, without its dot.
    pub short: [u8; 11],
    /// The long name, empty when the short one says all.
    pub long: Vec<u16>,
}

/// The key by which names of one folder are compared and sorted.
///
/// # Errors
/// When FAT cannot hold the name.
pub fn key(name: &str) -> Result<String, NameError> {
    let wrong = |character: &char| character.is_control() || "\"*/:<>?\\|".contains(*character);
    if name.is_empty() || name == "." || name == ".." {
        return Err(NameError::Special(name.to_owned()));
    }
    if let Some(character) = name.chars().find(wrong) {
        return Err(NameError::Character(name.to_owned(), character));
    }
    if name.ends_with([' ', '.']) {
        return Err(NameError::End(name.to_owned()));
    }
    if name.encode_utf16().count() > UNITS_MOST {
        return Err(NameError::Length(name.to_owned()));
    }
    Ok(name.to_uppercase())
}

/// The names of one folder in the form in which it holds them.
pub fn shorten(names: &[&str]) -> Vec<Name> {
    let mut taken: BTreeSet<[u8; 11]> = names.iter().filter_map(|name| exact(name)).collect();
    let mut name_of = |name: &&str| match exact(name) {
        Some(short) => Name { short, long: Vec::new() },
        None => Name { short: alias(name, &mut taken), long: name.encode_utf16().collect() },
    };
    names.iter().map(&mut name_of).collect()
}

/// The name as a short one, when nothing of it is lost.
fn exact(name: &str) -> Option<[u8; 11]> {
    let (base, extension) = name.rsplit_once('.').unwrap_or((name, ""));
    let fits = |part: &str, most| part.len() <= most && part.bytes().all(is_short);
    let ends_with_dot = name.len() != base.len() && extension.is_empty();
    (!base.is_empty() && !ends_with_dot && fits(base, 8) && fits(extension, 3))
        .then(|| padded(base.as_bytes(), extension.as_bytes()))
}

/// A short name that stands for a long one, by the basis-name and numeric-tail rules (FATGEN103, "Name Limits").
fn alias(name: &str, taken: &mut BTreeSet<[u8; 11]>) -> [u8; 11] {
    let (base, extension) = name.trim_start_matches('.').rsplit_once('.').unwrap_or((name, ""));
    let reduce = |part: &str| -> Vec<u8> {
        let kept = part.chars().filter(|character| !matches!(character, ' ' | '.'));
        let upper = kept.map(|character| character.to_ascii_uppercase());
        upper.map(|character| u8::try_from(character).ok().filter(|byte| is_short(*byte)).unwrap_or(b'_')).collect()
    };
    let (base, mut extension) = (reduce(base), reduce(extension));
    extension.truncate(3);
    let mut number = 1_u32;
    loop {
        let tail = format!("~{number}");
        let head = &base[..base.len().min(8 - tail.len())];
        let short = padded(&[head, tail.as_bytes()].concat(), &extension);
        if taken.insert(short) {
            return short;
        }
        number += 1;
    }
}

fn padded(base: &[u8], extension: &[u8]) -> [u8; 11] {
    let mut short = [b' '; 11];
    short[..base.len()].copy_from_slice(base);
    short[8..8 + extension.len()].copy_from_slice(extension);
    short
}

fn is_short(byte: u8) -> bool {
    byte.is_ascii_uppercase() || byte.is_ascii_digit() || b"!#$%&'()-@^_`{}~".contains(&byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_names_are_unique_and_say_what_they_can() {
        let names =
            ["BOOTX64.EFI", "linux.efi", "Linux.EFI.old", ".hidden", "a b+c.conf", "LINUX~1.EFI", "ü.x", "LONGNAME9"];
        let short: Vec<String> =
            shorten(&names).iter().map(|name| String::from_utf8_lossy(&name.short).into_owned()).collect();
        let expected = [
            "BOOTX64 EFI",
            "LINUX~2 EFI",
            "LINUXE~1OLD",
            "HIDDEN~1   ",
            "AB_C~1  CON",
            "LINUX~1 EFI",
            "_~1     X  ",
            "LONGNA~1   ",
        ];
        assert_eq!(short, expected);
    }

    #[test]
    fn what_fat_does_not_allow_is_refused() {
        assert_eq!(key(".."), Err(NameError::Special("..".to_owned())));
        assert_eq!(key("a:b"), Err(NameError::Character("a:b".to_owned(), ':')));
        assert_eq!(key("a."), Err(NameError::End("a.".to_owned())));
        assert!(matches!(key(&"x".repeat(256)), Err(NameError::Length(_))));
        assert_eq!(key("Ünder"), Ok("ÜNDER".to_owned()));
    }
}
