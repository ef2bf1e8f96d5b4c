//! POSIX regular expressions over bytes in the C locale: the leftmost match and of those the longest.
//! Basic and extended syntax with GNU's additions (`\+`, `\|`, `\<`, `\w`, back references); work is counted.

mod matcher;
mod syntax;

/// A compiled expression.
#[derive(Debug)]
pub(crate) struct Regex {
    node: Node,
    groups: usize,
}

/// Where a match and its groups lie: start and end, group 0 being the whole.
pub(crate) type Captures = Vec<Option<(usize, usize)>>;

/// The expression is not understood, or matching took too many steps.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct RegexError(pub String);

/// How an expression is written.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Flavor {
    pub extended: bool,
    pub ignore_case: bool,
}

#[derive(Debug, Clone)]
enum Node {
    Empty,
    Byte(u8),
    Any,
    Set(Box<[bool; 256]>),
    Start,
    End,
    WordStart,
    WordEnd,
    WordBoundary,
    NotWordBoundary,
    Group(Box<Node>, usize),
    Sequence(Vec<Node>),
    Either(Vec<Node>),
    Repeat { node: Box<Node>, least: u32, most: u32 },
    Back(usize),
}

impl Regex {
    pub fn new(pattern: &[u8], flavor: Flavor) -> Result<Self, RegexError> {
        syntax::parse(pattern, flavor)
    }

    pub fn groups(&self) -> usize {
        self.groups
    }

    /// The leftmost-longest match that starts at `from` or later.
    pub fn find(&self, text: &[u8], from: usize) -> Result<Option<Captures>, RegexError> {
        matcher::find(&self.node, self.groups, text, from, false)
    }

    pub fn is_match(&self, text: &[u8]) -> Result<bool, RegexError> {
        matcher::find(&self.node, self.groups, text, 0, true).map(|found| found.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_leftmost_longest_match_is_found() {
        let check = |extended: bool, pattern: &str, text: &str, expected: Option<&str>| {
            let regex = Regex::new(pattern.as_bytes(), Flavor { extended, ignore_case: false }).unwrap();
            let found = regex.find(text.as_bytes(), 0).unwrap().and_then(|captures| captures[0]);
            assert_eq!(found.map(|(start, end)| &text[start..end]), expected, "{pattern} on {text}");
        };
        check(false, "a*b", "xaab", Some("aab"));
        check(false, "*a", "b*a", Some("*a"));
        check(false, r"\(ab\)*c", "xababc", Some("ababc"));
        check(false, r"\(a\)\1", "baa", Some("aa"));
        check(false, r"a\{2,3\}", "aaaa", Some("aaa"));
        check(false, "^b", "ab", None);
        check(false, "a^b$c", "a^b$c", Some("a^b$c"));
        check(true, "(a|ab)(c|bcd)?", "abcd", Some("abcd"));
        check(true, "x|xyz|xy", "xyz", Some("xyz"));
        check(true, "[^[:space:]]+$", "a bc", Some("bc"));
        check(true, "[]x]+", "a]x", Some("]x"));
        check(true, r"\bfoo\b", "a foo b", Some("foo"));
        check(true, "", "a", Some(""));
    }
}
