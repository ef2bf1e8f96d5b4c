//! Alpine's version order (apk-package(5), "Package version"): `digits{.digits}[letter]{_suffix[digits]}[-rN]`.

use std::cmp::Ordering;

/// The order of two versions.
///
/// It is total over any text: what is no version comes before every version, and by its bytes among its like.
pub fn compare_versions(a: &str, b: &str) -> Ordering {
    match (is_version(a), is_version(b)) {
        (true, true) => compare(a, b, false),
        (false, false) => a.cmp(b),
        (a_is, b_is) => a_is.cmp(&b_is),
    }
}

/// Whether `version` begins with all parts of `start`, as the rule `~` asks: 1.2.3 begins like 1.2, 1.25 does not.
pub fn begins_like(version: &str, start: &str) -> bool {
    compare(version, start, true).is_eq()
}

/// Whether the text has a version's form.
pub fn is_version(text: &str) -> bool {
    let mut parts = Parts::of(text);
    loop {
        match parts.next().0 {
            Kind::End => return !text.is_empty(),
            Kind::Invalid => return false,
            _ => {}
        }
    }
}

/// What a part of a version is. Of two versions that differ in the kind of a part, the one whose kind comes first here is
/// the higher one, unless the other is a suffix for what comes before a release.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// A number after a dot.
    Dotted,
    /// A number that starts the version, follows a letter, or follows the zeros of a dotted one.
    Number,
    Letter,
    Suffix,
    SuffixNumber,
    Revision,
    End,
    Invalid,
}

/// Suffixes in their order; those below zero come before the release itself.
const SUFFIXES: [(&str, i64); 9] =
    [("alpha", -4), ("beta", -3), ("pre", -2), ("rc", -1), ("cvs", 0), ("svn", 1), ("git", 2), ("hg", 3), ("p", 4)];

/// The longest number that the real `apk` reads.
const MAX_DIGITS: usize = 17;

fn compare(a: &str, b: &str, only_start: bool) -> Ordering {
    let (mut a, mut b) = (Parts::of(a), Parts::of(b));
    loop {
        let ((kind_a, value_a), (kind_b, value_b)) = (a.next(), b.next());
        if only_start && kind_b == Kind::End {
            return Ordering::Equal;
        }
        if kind_a != kind_b {
            return match (kind_a, kind_b) {
                (Kind::Suffix, _) if value_a < 0 => Ordering::Less,
                (_, Kind::Suffix) if value_b < 0 => Ordering::Greater,
                _ => kind_b.cmp(&kind_a),
            };
        }
        if value_a != value_b || matches!(kind_a, Kind::End | Kind::Invalid) {
            return value_a.cmp(&value_b);
        }
    }
}

/// The parts of a version, one after the other, and after the last one its end again and again.
struct Parts<'a> {
    rest: &'a str,
    /// What the rest starts with.
    kind: Kind,
}

impl<'a> Parts<'a> {
    fn of(text: &'a str) -> Self {
        Self { rest: text, kind: Kind::Number }
    }

    fn next(&mut self) -> (Kind, i64) {
        let kind = self.kind;
        let value = match kind {
            Kind::End | Kind::Invalid => return (kind, 0),
            // A mark that nothing follows is taken for zero, as the real `apk` does.
            _ if self.rest.is_empty() => Some(0),
            // A dotted number with leading zeros counts as a fraction: the more zeros the less, then what follows them.
            Kind::Dotted if self.rest.starts_with('0') => {
                let zeros = self.take(|c| c == '0').len();
                self.kind = Kind::Number;
                return (kind, 1 - zeros as i64);
            }
            Kind::Dotted | Kind::Number | Kind::SuffixNumber | Kind::Revision => {
                number(self.take(|c| c.is_ascii_digit()))
            }
            Kind::Letter => self.take_letter(),
            Kind::Suffix => self.take_suffix(),
        };
        match value {
            Some(value) => {
                self.kind = self.following(kind);
                (kind, value)
            }
            None => {
                self.kind = Kind::Invalid;
                (Kind::Invalid, 0)
            }
        }
    }

    fn take(&mut self, inside: impl Fn(char) -> bool) -> &'a str {
        let len = self.rest.find(|c| !inside(c)).unwrap_or(self.rest.len());
        let (taken, rest) = self.rest.split_at(len);
        self.rest = rest;
        taken
    }

    fn take_letter(&mut self) -> Option<i64> {
        let letter = self.rest.bytes().next()?;
        self.rest = self.rest.get(1..)?;
        Some(letter.into())
    }

    fn take_suffix(&mut self) -> Option<i64> {
        let (suffix, value) = SUFFIXES.iter().find(|(suffix, _)| self.rest.starts_with(suffix))?;
        self.rest = self.rest.get(suffix.len()..)?;
        Some(*value)
    }

    /// The kind of the part that follows one of `kind`; its mark is read over.
    fn following(&mut self, kind: Kind) -> Kind {
        let Some(first) = self.rest.chars().next() else { return Kind::End };
        let (next, mark) = match (kind, first) {
            (Kind::Number | Kind::Dotted, 'a'..='z') => return Kind::Letter,
            (Kind::Letter, '0'..='9') => return Kind::Number,
            (Kind::Suffix, '0'..='9') => return Kind::SuffixNumber,
            (_, '.') => (Kind::Dotted, 1),
            (_, '_') => (Kind::Suffix, 1),
            (_, '-') if self.rest.starts_with("-r") => (Kind::Revision, 2),
            _ => return Kind::Invalid,
        };
        self.rest = self.rest.get(mark..).unwrap_or_default();
        let in_order =
            next >= kind || matches!((next, kind), (Kind::Dotted, Kind::Number) | (Kind::Suffix, Kind::SuffixNumber));
        if in_order { next } else { Kind::Invalid }
    }
}

/// A run of digits; none is zero, and too many are no number.
fn number(digits: &str) -> Option<i64> {
    match digits.len() {
        0 => Some(0),
        1..=MAX_DIGITS => digits.parse().ok(),
        _ => None,
    }
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
        check("1.9", "1.10");
        check("1.0_alpha", "1.0_beta");
        check("1.0_rc2", "1.0");
        check("1.0", "1.0_p1");
        check("1.0_git20240101", "1.0_p1");
        check("1.0", "1.0a");
        check("1.0a", "1.0b");
        check("1.0", "1.0-r0");
        check("1.0-r9", "1.0-r10");
        check("1.0_rc1-r5", "1.0-r0");
        check("1.05", "1.5");
        check("1.005", "1.05");
        check("1", "1.0");
        check("1.2.3_git20230424", "1.2.5-r0");
        check("no version", "1");
        assert_eq!(compare_versions("01", "1"), Ordering::Equal);
    }

    #[test]
    fn form() {
        for good in ["1", "1.36.1-r29", "1.2.3_git20230424", "20240705-r0", "1.0a2_rc1_p3", "0.0.05"] {
            assert!(is_version(good), "{good}");
        }
        for bad in ["", "1-1", "1A", "1ab", "1_p1.2", "1a.2", "1_alphax", "1:2", "1+2", "é", "123456789012345678"] {
            assert!(!is_version(bad), "{bad}");
        }
    }

    #[test]
    fn versions_that_begin_alike() {
        for (version, start, expected) in [
            ("1.2.3-r4", "1.2", true),
            ("1.2", "1.2", true),
            ("1.2_rc1", "1.2", true),
            ("1.2-r1", "1.2-r1", true),
            ("1.25", "1.2", false),
            ("1", "1.2", false),
        ] {
            assert_eq!(begins_like(version, start), expected, "{version} ~ {start}");
        }
    }
}
