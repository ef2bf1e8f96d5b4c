//! Debian's version order (Debian Policy 5.6.12): text in, order out.

use std::cmp::Ordering;

/// The order of two versions: epochs as numbers, then upstream version, then revision.
///
/// It is total over any text; whether a text is a version at all says [`is_version`].
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    let (a, b) = (Parts::of(a), Parts::of(b));
    compare_numbers(a.epoch, b.epoch)
        .then_with(|| compare_part(a.upstream, b.upstream))
        .then_with(|| compare_part(a.revision, b.revision))
}

/// Whether the text has a version's form: an upstream version that starts with a digit or letter, an epoch of digits
/// only, and no characters but letters, digits and `. + - ~ :`.
pub fn is_version(text: &str) -> bool {
    let allowed = |c: u8| c.is_ascii_alphanumeric() || matches!(c, b'.' | b'+' | b'-' | b'~' | b':' | b'_');
    let epoch_is_digits =
        text.split_once(':').is_none_or(|(e, _)| !e.is_empty() && e.bytes().all(|c| c.is_ascii_digit()));
    epoch_is_digits && text.bytes().all(allowed) && !Parts::of(text).upstream.is_empty()
}

struct Parts<'a> {
    epoch: &'a [u8],
    upstream: &'a [u8],
    revision: &'a [u8],
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        let (epoch, rest) = match text.split_once(':') {
            Some((epoch, rest)) if epoch.bytes().all(|c| c.is_ascii_digit()) => (epoch, rest),
            _ => ("", text),
        };
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        Self { epoch: epoch.as_bytes(), upstream: upstream.as_bytes(), revision: revision.as_bytes() }
    }
}

/// Compares runs of non-digits and runs of digits in turn.
fn compare_part(mut a: &[u8], mut b: &[u8]) -> Ordering {
    while !a.is_empty() || !b.is_empty() {
        let (words_a, rest_a) = a.split_at(run(a, |c| !c.is_ascii_digit()));
        let (words_b, rest_b) = b.split_at(run(b, |c| !c.is_ascii_digit()));
        let (digits_a, after_a) = rest_a.split_at(run(rest_a, |c| c.is_ascii_digit()));
        let (digits_b, after_b) = rest_b.split_at(run(rest_b, |c| c.is_ascii_digit()));
        let order = compare_words(words_a, words_b).then_with(|| compare_numbers(digits_a, digits_b));
        if order.is_ne() {
            return order;
        }
        (a, b) = (after_a, after_b);
    }
    Ordering::Equal
}

fn run(text: &[u8], inside: impl Fn(u8) -> bool) -> usize {
    text.iter().position(|c| !inside(*c)).unwrap_or(text.len())
}

/// Character by character: `~` before the end, the end before letters, letters before all else.
fn compare_words(a: &[u8], b: &[u8]) -> Ordering {
    let weight = |text: &[u8], at: usize| match text.get(at) {
        Some(b'~') => -1,
        None => 0,
        Some(c) if c.is_ascii_alphabetic() => i32::from(*c),
        Some(c) => i32::from(*c) + 256,
    };
    (0..a.len().max(b.len())).map(|at| weight(a, at).cmp(&weight(b, at))).find(|o| o.is_ne()).unwrap_or(Ordering::Equal)
}

/// Digit runs of any length, without turning them into machine numbers.
fn compare_numbers(a: &[u8], b: &[u8]) -> Ordering {
    let strip = |text: &[u8]| run(text, |c| c == b'0');
    let (a, b) = (a.split_at(strip(a)).1, b.split_at(strip(b)).1);
    a.len().cmp(&b.len()).then_with(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(low: &str, high: &str) {
        assert_eq!(compare_versions(low, high), Ordering::Less, "{low} < {high}");
        assert_eq!(compare_versions(high, low), Ordering::Greater, "{high} > {low}");
    }

    #[test]
    fn order() {
        check("1.0~rc1", "1.0");
        check("1.0", "1.0-1");
        check("1.0-1", "1.0-1+b1");
        check("1.9", "1.10");
        check("9", "1:1");
        check("1.0a", "1.0+");
        check("1.0-1~bpo", "1.0-1");
        check("1-2-3", "1-10-1");
        check("~~", "~~a");
        check("99999999999999999999998", "99999999999999999999999");
        assert_eq!(compare_versions("1.0-0", "1.0"), Ordering::Equal);
        assert_eq!(compare_versions("0:1.00", "1.0"), Ordering::Equal);
    }

    #[test]
    fn form() {
        for good in ["1", "1:2.3-4", "0~20210101", "2.36-9+deb12u10", "1:2:3-4"] {
            assert!(is_version(good), "{good}");
        }
        for bad in ["", "1:", ":1", "a:1", "1 2", "1/2", "-1", "é"] {
            assert!(!is_version(bad), "{bad}");
        }
    }
}
