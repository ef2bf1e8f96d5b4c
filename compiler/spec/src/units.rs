//! Values with units: sizes, durations, permissions, processors. Text to number, and number back to the text
//! that `explain` prints; both directions are exact.

/// Units of sizes, largest first within each family.
const SIZES: &[(&str, u64)] = &[
    ("TiB", 1 << 40),
    ("GiB", 1 << 30),
    ("MiB", 1 << 20),
    ("KiB", 1 << 10),
    ("TB", 1_000_000_000_000),
    ("GB", 1_000_000_000),
    ("MB", 1_000_000),
    ("kB", 1_000),
    ("B", 1),
];

/// Units of durations in milliseconds, largest first.
const DURATIONS: &[(&str, u64)] = &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// Why a value with a unit cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum UnitError {
    /// There is a number and no unit.
    Missing,
    /// The number or the unit is not one.
    Unreadable,
    /// It does not fit.
    TooLarge,
}

/// Bytes of `1GiB`, `1.5GiB`, `500MB`.
pub(crate) fn size_bytes(text: &str) -> Result<u64, UnitError> {
    quantity(text, SIZES)
}

/// Milliseconds of `1.5s`, `30m`.
pub(crate) fn duration_ms(text: &str) -> Result<u64, UnitError> {
    quantity(text, DURATIONS)
}

/// Permission bits of `0644`.
pub(crate) fn mode(text: &str) -> Result<u16, UnitError> {
    if text.is_empty() || text.len() > 5 || !text.bytes().all(|b| (b'0'..=b'7').contains(&b)) {
        return Err(UnitError::Unreadable);
    }
    u16::from_str_radix(text, 8).ok().filter(|bits| *bits <= 0o7777).ok_or(UnitError::TooLarge)
}

/// The shortest exact text of a size.
pub(crate) fn size_text(bytes: u64) -> String {
    whole(bytes, SIZES)
}

/// The shortest exact text of a duration.
pub(crate) fn duration_text(ms: u64) -> String {
    whole(ms, DURATIONS)
}

/// Thousandths of a decimal number with its fraction rounded down, such as `0.5`.
pub(crate) fn thousandths(text: &str) -> Option<u64> {
    decimal(text, 1000)
}

/// A number of thousandths as a decimal number.
pub(crate) fn thousandths_text(milli: u64) -> String {
    let text = format!("{}.{:03}", milli / 1000, milli % 1000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn quantity(text: &str, units: &[(&str, u64)]) -> Result<u64, UnitError> {
    let text = text.trim();
    let digits = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(UnitError::Unreadable);
    }
    let unit = unit.trim_start();
    if unit.is_empty() {
        return Err(UnitError::Missing);
    }
    let factor = units.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit)).ok_or(UnitError::Unreadable)?.1;
    if !number.split('.').all(|part| !part.is_empty()) || number.matches('.').count() > 1 {
        return Err(UnitError::Unreadable);
    }
    decimal(number, factor).ok_or(UnitError::TooLarge)
}

/// A decimal number times a factor, rounded down, if it fits.
fn decimal(text: &str, factor: u64) -> Option<u64> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: u64 = whole.parse().ok()?;
    let places = u32::try_from(fraction.len()).ok().filter(|places| *places <= 9)?;
    let fraction: u64 = if fraction.is_empty() { 0 } else { fraction.parse().ok()? };
    let part = u128::from(fraction) * u128::from(factor) / u128::from(10u64.pow(places));
    whole.checked_mul(factor)?.checked_add(u64::try_from(part).ok()?)
}

fn whole(amount: u64, units: &[(&str, u64)]) -> String {
    let fits = |(_, factor): &&(&str, u64)| amount >= *factor && amount.is_multiple_of(*factor);
    let (name, factor) = units.iter().find(fits).or(units.last()).copied().unwrap_or(("", 1));
    format!("{}{name}", amount / factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        assert_eq!(size_bytes("1GiB"), Ok(1 << 30));
        assert_eq!(size_bytes("1.5 GiB"), Ok(3 << 29));
        assert_eq!(size_bytes("500MB"), Ok(500_000_000));
        assert_eq!(size_bytes("512"), Err(UnitError::Missing));
        assert_eq!(size_bytes("12XB"), Err(UnitError::Unreadable));
        assert_eq!(size_bytes("99999999TiB"), Err(UnitError::TooLarge));
        assert_eq!(size_text(3 << 29), "1536MiB");
        assert_eq!(size_text(0), "0B");
    }

    #[test]
    fn durations() {
        assert_eq!(duration_ms("1.5s"), Ok(1500));
        assert_eq!(duration_ms("30m"), Ok(1_800_000));
        assert_eq!(duration_ms("10"), Err(UnitError::Missing));
        assert_eq!(duration_text(1500), "1500ms");
        assert_eq!(duration_text(120_000), "2m");
    }

    #[test]
    fn modes_and_processors() {
        assert_eq!(mode("0644"), Ok(0o644));
        assert_eq!(mode("rwx"), Err(UnitError::Unreadable));
        assert_eq!(mode("77777"), Err(UnitError::TooLarge));
        assert_eq!(thousandths("0.5"), Some(500));
        assert_eq!(thousandths_text(2000), "2");
        assert_eq!(thousandths_text(1250), "1.25");
    }
}
