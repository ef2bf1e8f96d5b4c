//! Cuts KDL text into tokens without judging them: the one view that the limits, the hints about
//! syntax and the formatter share. It accepts any text; every byte belongs to exactly one token.

/// What a token is (KDL 2.0.0, sections 3.1 to 3.19).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TokenKind {
    /// Blank space within a line.
    Space,
    /// One line break.
    Newline,
    /// `// …` up to the line break.
    LineComment,
    /// `/* … */`, nested; not closed when the flag is false.
    BlockComment {
        /// Whether the end was found.
        closed: bool,
    },
    /// A string in quotes of any kind; not closed when the flag is false.
    Text {
        /// Whether the end was found.
        closed: bool,
    },
    /// A bare word or number, or `#true` and its like.
    Word,
    /// `{`
    Open,
    /// `}`
    Close,
    /// `(`
    OpenType,
    /// `)`
    CloseType,
    /// `;`
    Semicolon,
    /// `=`
    Equals,
    /// `\`, which continues a line.
    Continue,
    /// `/-`, which comments out what follows.
    Slashdash,
}

/// A token and where it is, in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Token {
    /// What it is.
    pub kind: TokenKind,
    /// First byte.
    pub start: usize,
    /// First byte behind it.
    pub end: usize,
}

/// Cuts a text into tokens.
pub(crate) fn tokens(text: &str) -> Vec<Token> {
    let mut out = Vec::new();
    let mut start = 0;
    while let Some(rest) = text.get(start..).filter(|rest| !rest.is_empty()) {
        let (kind, len) = next(rest);
        let end = start + len.max(1);
        out.push(Token { kind, start, end });
        start = end;
    }
    out
}

/// Whether a character ends a line (KDL 2.0.0, section 3.19).
pub(crate) fn is_newline(c: char) -> bool {
    matches!(c, '\n' | '\r' | '\u{85}' | '\u{b}' | '\u{c}' | '\u{2028}' | '\u{2029}')
}

fn next(rest: &str) -> (TokenKind, usize) {
    let first = rest.chars().next().unwrap_or(' ');
    match first {
        '{' => (TokenKind::Open, 1),
        '}' => (TokenKind::Close, 1),
        '(' => (TokenKind::OpenType, 1),
        ')' => (TokenKind::CloseType, 1),
        ';' => (TokenKind::Semicolon, 1),
        '=' => (TokenKind::Equals, 1),
        '\\' => (TokenKind::Continue, 1),
        '"' => string(rest),
        '#' if raw_hashes(rest).is_some() => raw_string(rest),
        '/' if rest.starts_with("//") => (TokenKind::LineComment, rest.find(is_newline).unwrap_or(rest.len())),
        '/' if rest.starts_with("/*") => block_comment(rest),
        '/' if rest.starts_with("/-") => (TokenKind::Slashdash, 2),
        '\r' if rest.starts_with("\r\n") => (TokenKind::Newline, 2),
        c if is_newline(c) => (TokenKind::Newline, c.len_utf8()),
        c if is_space(c) => (TokenKind::Space, rest.find(|c| !is_space(c)).unwrap_or(rest.len())),
        _ => (TokenKind::Word, word_len(rest)),
    }
}

fn is_space(c: char) -> bool {
    c == '\u{feff}' || (c.is_whitespace() && !is_newline(c))
}

fn word_len(rest: &str) -> usize {
    let ends = |(at, c): &(usize, char)| {
        let tail = rest.get(*at..).unwrap_or_default();
        matches!(c, '{' | '}' | '(' | ')' | ';' | '=' | '\\' | '"')
            || is_newline(*c)
            || is_space(*c)
            || tail.starts_with("//")
            || tail.starts_with("/*")
            || (*c == '#' && raw_hashes(tail).is_some())
    };
    rest.char_indices().skip(1).find(ends).map_or(rest.len(), |(at, _)| at)
}

fn string(rest: &str) -> (TokenKind, usize) {
    let multi = rest.starts_with("\"\"\"");
    let quotes = if multi { "\"\"\"" } else { "\"" };
    let mut at = quotes.len();
    while let Some(tail) = rest.get(at..) {
        match tail.chars().next() {
            None => break,
            Some('\\') => at += escape_len(tail),
            Some(_) if tail.starts_with(quotes) => return (TokenKind::Text { closed: true }, at + quotes.len()),
            Some(c) if !multi && is_newline(c) => return (TokenKind::Text { closed: false }, at),
            Some(c) => at += c.len_utf8(),
        }
    }
    (TokenKind::Text { closed: false }, rest.len())
}

/// Length of an escape: a backslash before blank space swallows all of it, line breaks too.
fn escape_len(tail: &str) -> usize {
    let after = tail.get(1..).unwrap_or_default();
    let blank = after.find(|c: char| !c.is_whitespace()).unwrap_or(after.len());
    1 + if blank > 0 { blank } else { after.chars().next().map_or(0, char::len_utf8) }
}

/// Most `#` around a raw string: a bound on how far each `#` of a text is looked behind.
const MAX_HASHES: usize = 64;

/// Number of `#` that open a raw string here, if one does.
fn raw_hashes(rest: &str) -> Option<usize> {
    let hashes = rest.bytes().take(MAX_HASHES).take_while(|b| *b == b'#').count();
    rest.get(hashes..).filter(|tail| hashes > 0 && tail.starts_with('"')).map(|_| hashes)
}

fn raw_string(rest: &str) -> (TokenKind, usize) {
    let hashes = raw_hashes(rest).unwrap_or(1);
    let body = rest.get(hashes..).unwrap_or_default();
    let multi = body.starts_with("\"\"\"");
    let quotes = if multi { "\"\"\"" } else { "\"" };
    let end = format!("{quotes}{}", "#".repeat(hashes));
    let from = hashes + quotes.len();
    let tail = rest.get(from..).unwrap_or_default();
    for (at, c) in tail.char_indices() {
        if c == '"' && tail.get(at..).is_some_and(|tail| tail.starts_with(&end)) {
            return (TokenKind::Text { closed: true }, from + at + end.len());
        }
        if !multi && is_newline(c) {
            return (TokenKind::Text { closed: false }, from + at);
        }
    }
    (TokenKind::Text { closed: false }, rest.len())
}

fn block_comment(rest: &str) -> (TokenKind, usize) {
    let bytes = rest.as_bytes();
    let (mut depth, mut at) = (0usize, 0);
    while let Some(pair) = bytes.get(at..at + 2) {
        match pair {
            b"/*" => depth += 1,
            b"*/" => depth -= 1,
            _ => {
                at += 1;
                continue;
            }
        }
        at += 2;
        if depth == 0 {
            return (TokenKind::BlockComment { closed: true }, at);
        }
    }
    (TokenKind::BlockComment { closed: false }, rest.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, want: &[&str]) {
        let got: Vec<&str> = tokens(text)
            .iter()
            .filter(|token| token.kind != TokenKind::Space)
            .map(|token| &text[token.start..token.end])
            .collect();
        assert_eq!(got, want, "{text:?}");
    }

    #[test]
    fn every_kind() {
        check("a \"b\\\" {\" c=1GiB{}", &["a", "\"b\\\" {\"", "c", "=", "1GiB", "{", "}"]);
        check(
            "x #\"{\"\\\"# #true // {\n/* /* { */ */ y",
            &["x", "#\"{\"\\\"#", "#true", "// {", "\n", "/* /* { */ */", "y"],
        );
        check("\"\"\"\n{ \" \n\"\"\" z", &["\"\"\"\n{ \" \n\"\"\"", "z"]);
        check("\"open\nb", &["\"open", "\n", "b"]);
        check("a \\\n /-b;", &["a", "\\", "\n", "/-", "b", ";"]);
        check("\"a\\  \n  \" b", &["\"a\\  \n  \"", "b"]);
        check("\"a\\\\\" b", &["\"a\\\\\"", "b"]);
    }
}
