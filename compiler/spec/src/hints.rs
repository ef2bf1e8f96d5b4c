//! What the tokens of a text tell about slips of syntax, in better words than a grammar has: missing quotes,
//! foreign quotes and commas, unclosed blocks. It also guards the KDL parser, which recurses, from deep nesting.

use crate::diagnostic::Diagnostic;
use crate::lexer::{Token, TokenKind};
use crate::source::{Place, Sources};
use crate::strays::{FOREIGN_QUOTES, NO_SPEC, Slip, strays};

/// Deepest nesting of blocks. The language needs four; the KDL parser recurses, so this also guards the stack.
pub const MAX_DEPTH: usize = 32;

/// Deepest nesting of braces when those inside of texts and comments are counted too. The KDL parser recovers from a
/// malformed text in its middle, and what was text is then read as blocks. A file of JSON as `text=` stays far below.
const MAX_BRACES: usize = 128;

/// Most words of one text: fifty times any spec seen. Names are compared with each other, so the time of a check
/// grows with the square of their number; this bounds it.
const MAX_WORDS: usize = 20_000;

/// Most slips told of at once: each costs a walk to its line, and nobody reads more.
const MAX_SLIPS: usize = 100;

const QUOTE_MISSING: &str = "a `\"` is missing in this line";

/// The slips that the tokens show. Err when the text nests too deep to be parsed.
pub(crate) fn hints(sources: &Sources, number: usize, tokens: &[Token]) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
    let text = sources.get(number).map_or("", |source| source.text.as_str());
    let hinter = Hinter { sources, number, text };
    let seen: Vec<Token> = tokens.iter().copied().filter(|token| token.kind != TokenKind::Space).collect();
    hinter.refuse_too_many(&seen)?;
    hinter.refuse_deep_braces()?;
    let mut found = hinter.blocks(&seen)?;
    let seen: Vec<Token> =
        seen.into_iter().filter(|token| token.kind != TokenKind::BlockComment { closed: true }).collect();
    let slips = strays(text, &seen, sources.language());
    // A file that begins with a block is one of another language: all else that could be said of it is a consequence.
    if let Some(first) = slips.first().filter(|slip| slip.message == NO_SPEC) {
        return Err(vec![hinter.error(first.message.clone(), first.token, first.label).help(first.help.clone())]);
    }
    let (odd, slips) = hinter.missing_quotes(&seen, slips);
    found.extend(slips.into_iter().map(|slip| hinter.error(slip.message, slip.token, slip.label).help(slip.help)));
    for (index, token) in seen.iter().enumerate() {
        if found.len() >= MAX_SLIPS {
            break;
        }
        let before = |back: usize| index.checked_sub(back).and_then(|at| seen.get(at)).copied();
        let slip = hinter.token(*token, before(1), before(2), seen.get(index + 1).copied());
        found.extend(slip.filter(|_| odd.is_empty() || !odd.contains(&hinter.line_start(token.start))));
    }
    Ok(found)
}

struct Hinter<'a> {
    sources: &'a Sources,
    number: usize,
    text: &'a str,
}

impl Hinter<'_> {
    fn refuse_too_many(&self, tokens: &[Token]) -> Result<(), Vec<Diagnostic>> {
        let quiet = |token: &&Token| !matches!(token.kind, TokenKind::Newline | TokenKind::LineComment);
        let Some(token) = tokens.iter().filter(quiet).nth(MAX_WORDS) else { return Ok(()) };
        let label = self.sources.label(Place::new(self.number, token.start, 0), "read up to here");
        let error = Diagnostic::error("too-large", format!("the file holds more than {MAX_WORDS} words")).at(label);
        Err(vec![error.help(self.sources.language().too_many_help())])
    }

    fn refuse_deep_braces(&self) -> Result<(), Vec<Diagnostic>> {
        let mut depth = 0usize;
        for (start, byte) in self.text.bytes().enumerate() {
            match byte {
                b'{' => depth += 1,
                b'}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if depth > MAX_BRACES {
                let label = self.sources.label(Place::new(self.number, start, 1), "too deep here");
                let error = Diagnostic::error(
                    "too-deep",
                    format!("braces nest deeper than {MAX_BRACES}, those in texts counted too"),
                )
                .at(label);
                return Err(vec![error.help(self.sources.language().too_deep_help())]);
            }
        }
        Ok(())
    }

    fn blocks(&self, tokens: &[Token]) -> Result<Vec<Diagnostic>, Vec<Diagnostic>> {
        let (mut found, mut open, mut suspect, mut dashes) = (Vec::new(), Vec::new(), None, 0);
        for token in tokens {
            dashes = if token.kind == TokenKind::Slashdash {
                dashes + 1
            } else if token.kind == TokenKind::Newline {
                dashes
            } else {
                0
            };
            match token.kind {
                TokenKind::Open => open.push(*token),
                TokenKind::Close => match open.pop() {
                    None => found.push(
                        self.error("this `}` closes nothing", *token, "no block is open here")
                            .help("remove it, or add the `{` that it belongs to"),
                    ),
                    // A `}` that stands further left than its block began most likely closes an outer one.
                    Some(opened) if self.indent(token.start) < self.indent(opened.start) => {
                        suspect = suspect.or(Some(opened))
                    }
                    Some(_) => {}
                },
                TokenKind::BlockComment { .. } if self.word_text(*token).matches("/*").count() > MAX_DEPTH => {
                    return Err(vec![self.too_deep(*token, "comments", "is a `*/` missing?")]);
                }
                _ => {}
            }
            if dashes > MAX_DEPTH {
                return Err(vec![self.too_deep(*token, "`/-`", "one `/-` comments out what follows it")]);
            }
            if open.len() > MAX_DEPTH {
                let what = self.sources.language().name();
                let help = format!("{what} nests no deeper than four blocks; is a `}}` missing above?");
                return Err(vec![self.too_deep(*token, "blocks", &help)]);
            }
        }
        found.extend(open.last().map(|innermost| self.unclosed(suspect.unwrap_or(*innermost), "block", "}")));
        Ok(found)
    }

    fn too_deep(&self, token: Token, what: &str, help: &str) -> Diagnostic {
        let label = self.sources.label(Place::new(self.number, token.start, 1), "too deep here");
        Diagnostic::error("too-deep", format!("{what} nest deeper than {MAX_DEPTH}")).at(label).help(help)
    }

    /// Where lines begin that have a quote too few: from there on, what was text is read as words and the other way
    /// round, so such a line gets one error, at the first place that shows it. The rest of the slips comes with them.
    fn missing_quotes(&self, seen: &[Token], slips: Vec<Slip>) -> (Vec<usize>, Vec<Slip>) {
        let slips = slips.into_iter().take(MAX_SLIPS);
        let unclosed = seen.iter().filter(|token| token.kind == TokenKind::Text { closed: false }).take(MAX_SLIPS);
        let unclosed: Vec<(usize, Token)> = unclosed.map(|token| (self.line_start(token.start), *token)).collect();
        let (mut odd, mut kept): (Vec<usize>, Vec<Slip>) = (Vec::new(), Vec::new());
        for slip in slips {
            let line = self.line_start(slip.token.start);
            if unclosed.iter().all(|(start, _)| *start != line) {
                kept.push(slip);
            } else if !odd.contains(&line) {
                odd.push(line);
                let help = "each text begins and ends with `\"`: look at the one in front of this";
                kept.push(Slip {
                    message: QUOTE_MISSING.to_owned(),
                    label: "read as no text",
                    help: help.to_owned(),
                    ..slip
                });
            }
        }
        (odd, kept)
    }

    fn line_start(&self, offset: usize) -> usize {
        self.text.get(..offset).and_then(|before| before.rfind('\n')).map_or(0, |at| at + 1)
    }

    fn token(
        &self,
        token: Token,
        before: Option<Token>,
        second: Option<Token>,
        after: Option<Token>,
    ) -> Option<Diagnostic> {
        match token.kind {
            TokenKind::Text { closed: false } => Some(self.unclosed_text(token)),
            TokenKind::Text { closed: true } => self.escape(token),
            TokenKind::BlockComment { closed: false } => Some(self.unclosed(token, "comment", "*/")),
            TokenKind::Word => self.word(token, after),
            TokenKind::Equals => self.equals(token, before, second, after),
            _ => None,
        }
    }

    fn word(&self, token: Token, after: Option<Token>) -> Option<Diagnostic> {
        let word = self.word_text(token);
        if matches!(word, "true" | "false" | "null" | "inf" | "-inf" | "nan") {
            let error = self.error(format!("`{word}` is written `#{word}`"), token, "needs a `#`");
            return Some(error.help(format!("write `#{word}`, or `\"{word}\"` if the word itself is meant")));
        }
        if word.starts_with(FOREIGN_QUOTES) {
            let error = self.error("text stands in double quotes", token, "these quotes mean nothing");
            return Some(error.help(format!("write \"{}\"", word.trim_matches(FOREIGN_QUOTES))));
        }
        if word.contains(',') {
            let error = self.error("values are separated by blanks, not by commas", token, "a comma");
            return Some(error.help("write \"a\" \"b\"; a comma that is meant stands in quotes"));
        }
        if word.starts_with('[') || word.ends_with(']') {
            let error = self.error("several values stand behind each other, without brackets", token, "a bracket");
            return Some(error.help("write \"a\" \"b\""));
        }
        self.needs_quotes(word, token, after)
    }

    fn needs_quotes(&self, word: &str, token: Token, after: Option<Token>) -> Option<Diagnostic> {
        if word.starts_with('#') {
            let known = matches!(word, "#true" | "#false" | "#null" | "#inf" | "#-inf" | "#nan");
            let error = || self.error(format!("`{word}` is no value"), token, "begins with `#`");
            return (!known).then(|| {
                error().help("comments begin with `//`; yes and no are `#true` and `#false`; text stands in quotes")
            });
        }
        let relation = word.ends_with(['<', '>'])
            && after.is_some_and(|after| after.kind == TokenKind::Equals && after.start == token.end);
        let digits = word.strip_prefix(['-', '+']).unwrap_or(word);
        let amount = digits.starts_with(|c: char| c.is_ascii_digit()) && !is_number(digits);
        if !relation && !amount && !word.contains(['/', '[', ']', '#']) {
            return None;
        }
        let shown = if relation { format!("{word}=…") } else { word.to_owned() };
        let error = self.error(format!("`{shown}` needs quotes"), token, "neither a plain word nor a number");
        Some(error.help(format!("write \"{shown}\": paths, versions and values with units stand in quotes")))
    }

    /// `=` has a name in front, which is not the node's own, and a value behind.
    fn equals(
        &self,
        token: Token,
        before: Option<Token>,
        second: Option<Token>,
        after: Option<Token>,
    ) -> Option<Diagnostic> {
        let begins = |token: Option<Token>| {
            token.is_none_or(|token| {
                matches!(token.kind, TokenKind::Newline | TokenKind::Semicolon | TokenKind::Open | TokenKind::Close)
            })
        };
        let is_value =
            |token: Token| matches!(token.kind, TokenKind::Word | TokenKind::Text { .. } | TokenKind::OpenType);
        let name = before.map_or("", |before| self.word_text(before));
        if begins(second) && before.is_some_and(is_value) {
            let value = after.filter(|after| is_value(*after)).map_or("…", |after| self.word_text(after));
            let error = self.error(format!("`{name}` takes no `=`"), token, "remove this");
            return Some(error.help(format!("write {name} {value}")));
        }
        let missing = !after.is_some_and(is_value);
        missing.then(|| {
            self.error(format!("`{name}` has no value behind `=`"), token, "a value is missing here")
                .help(format!("write {name}=\"…\""))
        })
    }

    /// The escapes of KDL 2.0.0, section 3.11.1.
    fn escape(&self, token: Token) -> Option<Diagnostic> {
        let text = self.word_text(token);
        let mut chars = text.char_indices().filter(|_| text.starts_with('"'));
        while let Some((at, c)) = chars.next() {
            let Some((_, escaped)) = (c == '\\').then(|| chars.next()).flatten() else { continue };
            if !matches!(escaped, 'n' | 'r' | 't' | '\\' | '"' | 'b' | 'f' | 's' | 'u') && !escaped.is_whitespace() {
                let place = Token { start: token.start + at, end: token.start + at + 1 + escaped.len_utf8(), ..token };
                let error = self.error(format!("`\\{escaped}` means nothing in a text"), place, "unknown escape");
                return Some(error.help(format!("write `\\\\{escaped}` for a backslash and `{escaped}`")));
            }
        }
        None
    }

    fn unclosed_text(&self, token: Token) -> Diagnostic {
        let line_end = self.text.get(token.start..).and_then(|tail| tail.find('\n')).unwrap_or(token.end - token.start);
        let token = Token { end: token.end.min(token.start + line_end).max(token.start + 1), ..token };
        self.error("this text is never closed", token, "opened here")
            .help("close it with `\"` on the same line; text of several lines stands between `\"\"\"` lines")
    }

    fn unclosed(&self, token: Token, what: &str, end: &str) -> Diagnostic {
        let token = Token { end: token.start + 1, ..token };
        self.error(format!("this {what} is never closed"), token, "opened here")
            .help(format!("add the missing `{end}`"))
    }

    fn error(&self, message: impl Into<String>, token: Token, label: &str) -> Diagnostic {
        let place = Place::new(self.number, token.start, token.end - token.start);
        Diagnostic::error("syntax", message).at(self.sources.label(place, label))
    }

    fn word_text(&self, token: Token) -> &str {
        self.text.get(token.start..token.end).unwrap_or_default()
    }

    /// Blanks in front of the line that holds a byte.
    fn indent(&self, offset: usize) -> usize {
        let before = self.text.get(..offset).unwrap_or_default();
        let line = before.rfind('\n').map_or(0, |at| at + 1);
        self.text.get(line..).unwrap_or_default().chars().take_while(|c| *c == ' ' || *c == '\t').count()
    }
}

/// Whether a word that begins with a digit is a number (KDL 2.0.0, section 3.15).
fn is_number(word: &str) -> bool {
    let radix = |digits: &str, radix| !digits.is_empty() && digits.chars().all(|c| c == '_' || c.is_digit(radix));
    match word.get(..2) {
        Some("0x") => radix(word.get(2..).unwrap_or_default(), 16),
        Some("0o") => radix(word.get(2..).unwrap_or_default(), 8),
        Some("0b") => radix(word.get(2..).unwrap_or_default(), 2),
        _ => {
            word.chars().all(|c| c.is_ascii_digit() || "_.eE+-".contains(c))
                && word.replace('_', "").parse::<f64>().is_ok()
        }
    }
}
