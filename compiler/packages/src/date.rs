//! Times as text: seconds since 1970 to `2025-05-17T08:55:38Z` and back, in the Gregorian calendar and UTC.

const DAY_SECS: i64 = 86_400;

/// `2025-05-17T08:55:38Z`.
pub(crate) fn format_utc(secs: i64) -> String {
    let (year, month, day) = civil(secs.div_euclid(DAY_SECS));
    let of_day = secs.rem_euclid(DAY_SECS);
    let (hours, minutes, seconds) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{year:04}-{month:02}-{day:02}T{hours:02}:{minutes:02}:{seconds:02}Z")
}

/// Seconds since 1970 of a text as [`format_utc`] writes it; `None` for anything else.
pub(crate) fn parse_utc(text: &str) -> Option<i64> {
    let part =
        |from: usize, to: usize| text.get(from..to).filter(|t| t.bytes().all(|c| c.is_ascii_digit()))?.parse().ok();
    let (year, month, day) = (part(0, 4)?, part(5, 7)?, part(8, 10)?);
    let of_day: i64 = part(11, 13)? * 3600 + part(14, 16)? * 60 + part(17, 19)?;
    let secs = days_since_1970(year, month, day) * DAY_SECS + of_day;
    (format_utc(secs) == text).then_some(secs)
}

/// Days from 1970-01-01, counting years from March so that the leap day is the last of its year.
pub(crate) fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let month_from_march = (month + 9) % 12;
    let leap_days = year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400);
    year * 365 + leap_days + (month_from_march * 153 + 2) / 5 + day - 1 - 719_468
}

/// Year, month and day of a day number: the estimate by mean year length is at most one too high.
fn civil(days: i64) -> (i64, i64, i64) {
    let guess = 1970 + days.div_euclid(365);
    let year = (guess - guess.abs() / 1460 - 2..=guess + 1)
        .rev()
        .find(|year| days_since_1970(*year, 1, 1) <= days)
        .unwrap_or(guess);
    let month = (1..=12).rev().find(|month| days_since_1970(year, *month, 1) <= days).unwrap_or(1);
    (year, month, days - days_since_1970(year, month, 1) + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn there_and_back() {
        for (secs, text) in [
            (0, "1970-01-01T00:00:00Z"),
            (1_747_472_138, "2025-05-17T08:55:38Z"),
            (1_709_208_000, "2024-02-29T12:00:00Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (1_735_689_599, "2024-12-31T23:59:59Z"),
            (4_102_444_800, "2100-01-01T00:00:00Z"),
            (253_402_300_799, "9999-12-31T23:59:59Z"),
        ] {
            assert_eq!(format_utc(secs), text);
            assert_eq!(parse_utc(text), Some(secs), "{text}");
        }
        for text in ["", "2025-02-30T00:00:00Z", "2025-05-17 08:55:38", "2025-05-17T08:55:60Z", "+025-05-17T08:55:38Z"]
        {
            assert_eq!(parse_utc(text), None, "{text}");
        }
        assert_eq!(format_utc(-1), "1969-12-31T23:59:59Z");
    }
}
