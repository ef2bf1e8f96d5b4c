//! The bytes of folders: short entries, and the long ones that stand before them (FATGEN103, "FAT Directory Structure").

use super::ENTRY_BYTES;
use super::names::Name;

/// Units of a name that one long entry holds.
const UNITS_PER_ENTRY: usize = 13;

const ATTRIBUTE_LABEL: u8 = 0x08;
const ATTRIBUTE_FOLDER: u8 = 0x10;
const ATTRIBUTE_ARCHIVE: u8 = 0x20;
const ATTRIBUTE_LONG_NAME: u8 = 0x0f;

/// A date and a time as an entry holds them, to two seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    pub date: u16,
    pub time: u16,
}

impl Stamp {
    /// The stamp of this time, taken as UTC and within 1980 and 2107, all that FAT can say.
    pub fn new(epoch_secs: i64) -> Self {
        /// 1980-01-01 and the last two seconds of 2107.
        const RANGE: (i64, i64) = (315_532_800, 4_354_819_198);
        let secs = epoch_secs.clamp(RANGE.0, RANGE.1);
        let (year, month, day) = civil(secs / 86400);
        let second = secs % 86400;
        let date = ((year - 1980) << 9) | (month << 5) | day;
        let time = ((second / 3600) << 11) | ((second / 60 % 60) << 5) | (second % 60 / 2);
        Self { date: date as u16, time: time as u16 }
    }
}

/// Year, month and day of a day since 1970, from 1970 on, by counting in eras of 400 years that begin in March.
fn civil(days: i64) -> (i64, i64, i64) {
    let shifted = days + 719_468;
    let (era, day_of_era) = (shifted / 146_097, shifted % 146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    (year_of_era + era * 400 + i64::from(month <= 2), month, day)
}

/// What an entry points at.
pub struct Target {
    pub is_folder: bool,
    /// The first cluster, 0 for nothing and, from a folder, for the root.
    pub cluster: u32,
    /// Length of a file, 0 for a folder.
    pub size_bytes: u32,
}

/// Bytes of the entries of one name.
pub fn entries_bytes(name: &Name) -> u64 {
    (1 + name.long.len().div_ceil(UNITS_PER_ENTRY) as u64) * ENTRY_BYTES
}

/// The entry that names the volume; it is the root's first.
pub fn label(label: [u8; 11], stamp: Stamp) -> Vec<u8> {
    let target = Target { is_folder: false, cluster: 0, size_bytes: 0 };
    let mut entry = short(label, &target, stamp);
    entry[11] = ATTRIBUTE_LABEL;
    entry
}

/// The entries for a folder itself and for its parent, the first two of every folder but the root.
pub fn dots(own: u32, parent: u32, stamp: Stamp) -> Vec<u8> {
    let entry = |name: &[u8; 11], cluster| short(*name, &Target { is_folder: true, cluster, size_bytes: 0 }, stamp);
    [entry(b".          ", own), entry(b"..         ", parent)].concat()
}

/// The entries of one name: the parts of its long name from the last to the first, then the short entry.
pub fn named(name: &Name, target: &Target, stamp: Stamp) -> Vec<u8> {
    let checksum = name.short.iter().fold(0_u8, |sum, byte| sum.rotate_right(1).wrapping_add(*byte));
    let parts = name.long.chunks(UNITS_PER_ENTRY).enumerate();
    let last = parts.len();
    let mut out: Vec<u8> =
        parts.rev().flat_map(|(at, units)| long(at as u8 + 1, at + 1 == last, units, checksum)).collect();
    out.extend(short(name.short, target, stamp));
    out
}

fn long(number: u8, is_last: bool, units: &[u16], checksum: u8) -> Vec<u8> {
    /// Offsets of the units in an entry.
    const PLACES: [usize; UNITS_PER_ENTRY] = [1, 3, 5, 7, 9, 14, 16, 18, 20, 22, 24, 28, 30];
    let mut entry = vec![0; ENTRY_BYTES as usize];
    entry[0] = if is_last { number | 0x40 } else { number };
    entry[11] = ATTRIBUTE_LONG_NAME;
    entry[13] = checksum;
    // A name ends with a zero unless it fills its entry; what follows is all ones.
    let padded = units.iter().copied().chain([0]).chain(std::iter::repeat(0xffff));
    for (place, unit) in PLACES.into_iter().zip(padded) {
        entry[place..place + 2].copy_from_slice(&unit.to_le_bytes());
    }
    entry
}

fn short(name: [u8; 11], target: &Target, stamp: Stamp) -> Vec<u8> {
    let mut entry = vec![0; ENTRY_BYTES as usize];
    entry[..11].copy_from_slice(&name);
    entry[11] = if target.is_folder { ATTRIBUTE_FOLDER } else { ATTRIBUTE_ARCHIVE };
    for (at, value) in [(14, stamp.time), (16, stamp.date), (18, stamp.date), (22, stamp.time), (24, stamp.date)] {
        entry[at..at + 2].copy_from_slice(&u16::to_le_bytes(value));
    }
    entry[20..22].copy_from_slice(&((target.cluster >> 16) as u16).to_le_bytes());
    entry[26..28].copy_from_slice(&(target.cluster as u16).to_le_bytes());
    entry[28..32].copy_from_slice(&target.size_bytes.to_le_bytes());
    entry
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_utc_and_within_what_fat_can_say() {
        let stamp = |date, time| Stamp { date, time };
        assert_eq!(Stamp::new(0), stamp(1 << 5 | 1, 0));
        assert_eq!(Stamp::new(1_709_210_096), stamp(44 << 9 | 2 << 5 | 29, 12 << 11 | 34 << 5 | 28));
        assert_eq!(Stamp::new(i64::MAX), stamp(127 << 9 | 12 << 5 | 31, 23 << 11 | 59 << 5 | 29));
    }
}
