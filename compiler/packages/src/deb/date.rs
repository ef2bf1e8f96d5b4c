//! Dates of a Release file (`Sat, 17 May 2025 08:55:38 UTC`): text to seconds since 1970.

use crate::date::days_since_1970;

const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];

/// Seconds since 1970 of a date in the form of RFC 5322 section 3.3, in UTC; `None` for anything else.
pub fn parse_date(text: &str) -> Option<i64> {
    let text = text.split_once(',').map_or(text, |(_, rest)| rest);
    let words: Vec<&str> = text.split_ascii_whitespace().take(6).collect();
    let [day, month, year, time, "UTC" | "GMT" | "Z" | "+0000"] = words.as_slice() else { return None };
    let month = 1 + MONTHS.iter().position(|m| m == month)? as i64;
    let (day, year) = (number(day, 1, 31)?, number(year, 1970, 9999)?);
    let clock: Vec<&str> = time.split(':').take(4).collect();
    let [hours, minutes, seconds] = clock.as_slice() else { return None };
    let seconds_of_day = number(hours, 0, 23)? * 3600 + number(minutes, 0, 59)? * 60 + number(seconds, 0, 60)?;
    Some(days_since_1970(year, month, day) * 86_400 + seconds_of_day)
}

fn number(text: &str, least: i64, most: i64) -> Option<i64> {
    let digits = text.len() <= 4 && text.bytes().all(|c| c.is_ascii_digit());
    text.parse().ok().filter(|n| digits && (least..=most).contains(n))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates() {
        for (text, expected) in [
            ("Thu, 01 Jan 1970 00:00:00 UTC", Some(0)),
            ("Sat, 17 May 2025 08:55:38 UTC", Some(1_747_472_138)),
            ("Thu, 29 Feb 2024 12:00:00 +0000", Some(1_709_208_000)),
            ("1 Mar 2024 00:00:00 GMT", Some(1_709_251_200)),
            ("Sat, 17 May 2025 08:55:38 +0200", None),
            ("Sat, 17 May 2025 08:55 UTC", None),
            ("Sat, +7 May 2025 08:55:38 UTC", None),
            ("soon", None),
            ("", None),
        ] {
            assert_eq!(parse_date(text), expected, "{text}");
        }
    }
}
