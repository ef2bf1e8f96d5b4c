//! Shell patterns: `*`, `?` and brackets, in the C locale, where quoted bytes stand for themselves (POSIX.1 XCU 2.13).

/// A byte of a pattern and whether it is quoted.
pub(crate) type Pattern = [(u8, bool)];

/// Whether a pattern has something to match by.
pub(crate) fn is_magic(pattern: &Pattern) -> bool {
    let bare = |wanted: u8| move |item: &(u8, bool)| *item == (wanted, false);
    // The command `[` is no pattern: a bracket needs its end.
    let bracket =
        pattern.iter().position(bare(b'[')).is_some_and(|at| pattern[at..].iter().any(|(byte, _)| *byte == b']'));
    bracket || pattern.iter().any(|item| bare(b'*')(item) || bare(b'?')(item))
}

/// A pattern from text of which nothing is quoted, as `find -name` takes it.
pub(crate) fn from_text(text: &[u8]) -> Vec<(u8, bool)> {
    text.iter().map(|byte| (*byte, false)).collect()
}

/// Whether the whole text matches a pattern of which nothing is quoted, as fnmatch(3) has it without flags: `*` stands for
/// slashes too.
pub fn text_matches(pattern: &[u8], text: &[u8]) -> bool {
    matches(&from_text(pattern), text)
}

/// Whether the whole text matches.
pub(crate) fn matches(pattern: &Pattern, text: &[u8]) -> bool {
    let (mut at, mut text_at) = (0, 0);
    let mut star: Option<(usize, usize)> = None;
    loop {
        let step = match pattern.get(at) {
            Some((b'*', false)) => {
                star = Some((at + 1, text_at));
                at += 1;
                continue;
            }
            None if text_at == text.len() => return true,
            None => None,
            Some(_) => text.get(text_at).and_then(|byte| one(pattern, at, *byte)),
        };
        match (step, star) {
            (Some(next), _) => {
                at = next;
                text_at += 1;
            }
            (None, Some((after, from))) if from < text.len() => {
                star = Some((after, from + 1));
                (at, text_at) = (after, from + 1);
            }
            _ => return false,
        }
    }
}

/// Matches one byte; gives where the pattern goes on.
fn one(pattern: &Pattern, at: usize, byte: u8) -> Option<usize> {
    match *pattern.get(at)? {
        (b'?', false) => Some(at + 1),
        (b'[', false) => match bracket(pattern, at + 1, byte) {
            Some((found, next)) => found.then_some(next),
            None => (byte == b'[').then_some(at + 1),
        },
        (b'\\', false) => match pattern.get(at + 1) {
            Some((escaped, _)) => (*escaped == byte).then_some(at + 2),
            None => (byte == b'\\').then_some(at + 1),
        },
        (own, _) => (own == byte).then_some(at + 1),
    }
}

/// Matches a bracket expression that starts after its `[`; none when it is not closed.
fn bracket(pattern: &Pattern, start: usize, byte: u8) -> Option<(bool, usize)> {
    let negated = matches!(pattern.get(start), Some((b'!' | b'^', false)));
    let first = start + usize::from(negated);
    let mut at = first;
    let mut found = false;
    loop {
        let (low, quoted) = *pattern.get(at)?;
        if low == b']' && !quoted && at > first {
            return Some((found != negated, at + 1));
        }
        if low == b'['
            && !quoted
            && matches!(pattern.get(at + 1), Some((b':', _)))
            && let Some((name, next)) = class_name(pattern, at + 2)
        {
            found |= in_class(&name, byte).unwrap_or(false);
            at = next;
            continue;
        }
        let (low, next) = bracket_byte(pattern, at)?;
        at = next;
        let range = matches!(pattern.get(at), Some((b'-', false)))
            && !matches!(pattern.get(at + 1), None | Some((b']', false)));
        if range {
            let (high, next) = bracket_byte(pattern, at + 1)?;
            at = next;
            found |= (low..=high).contains(&byte);
        } else {
            found |= low == byte;
        }
    }
}

fn bracket_byte(pattern: &Pattern, at: usize) -> Option<(u8, usize)> {
    match *pattern.get(at)? {
        (b'\\', false) => Some((pattern.get(at + 1)?.0, at + 2)),
        (byte, _) => Some((byte, at + 1)),
    }
}

fn class_name(pattern: &Pattern, start: usize) -> Option<(Vec<u8>, usize)> {
    let rest = pattern.get(start..)?;
    let end = rest.windows(2).position(|pair| pair[0].0 == b':' && pair[1].0 == b']')?;
    Some((rest[..end].iter().map(|(byte, _)| *byte).collect(), start + end + 2))
}

/// Whether a byte is in a named class of the C locale; none for an unknown name.
pub(crate) fn in_class(name: &[u8], byte: u8) -> Option<bool> {
    Some(match name {
        b"alpha" => byte.is_ascii_alphabetic(),
        b"digit" => byte.is_ascii_digit(),
        b"alnum" => byte.is_ascii_alphanumeric(),
        b"upper" => byte.is_ascii_uppercase(),
        b"lower" => byte.is_ascii_lowercase(),
        b"space" => byte.is_ascii_whitespace() || byte == 0x0b,
        b"blank" => byte == b' ' || byte == b'\t',
        b"punct" => byte.is_ascii_punctuation(),
        b"print" => (0x20..0x7f).contains(&byte),
        b"graph" => byte.is_ascii_graphic(),
        b"cntrl" => byte.is_ascii_control(),
        b"xdigit" => byte.is_ascii_hexdigit(),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_match_whole_texts() {
        let check = |pattern: &str, text: &str, expected: bool| {
            assert_eq!(matches(&from_text(pattern.as_bytes()), text.as_bytes()), expected, "{pattern} on {text}");
        };
        check("a*c", "abbc", true);
        check("a*c", "abbd", false);
        check("*.[ch]", "x.c", true);
        check("[!a-c]?", "dx", true);
        check("[]a]", "]", true);
        check("[[:digit:]]*", "7up", true);
        check("[a", "[a", true);
        check("\\*", "*", true);
        check("**a**", "bab", true);
        check("", "", true);
    }
}
