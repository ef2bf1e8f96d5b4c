//! Tokens that stand where nothing can be read: a `;` too many, a `{` or `=` without a name, words that touch, braces
//! and parentheses as other languages have them. Tokens in, slips out; it decides nothing about the language of the text.

use crate::language::Language;
use crate::lexer::{Token, TokenKind};

/// A slip, in words.
pub(crate) struct Slip {
    /// The token that shows it.
    pub token: Token,
    /// What is wrong.
    pub message: String,
    /// The words at the place.
    pub label: &'static str,
    /// What to do.
    pub help: String,
}

/// The slips of a text. `seen` are its tokens without blanks and without closed comments.
pub(crate) fn strays(text: &str, seen: &[Token], language: Language) -> Vec<Slip> {
    let strays = Strays { text, seen, language };
    let ends_commented_out = strays.closes_of_comments();
    let slips = (0..seen.len()).filter_map(|at| strays.slip(at, &ends_commented_out));
    slips.chain(forbidden(text, language)).collect()
}

struct Strays<'a> {
    text: &'a str,
    seen: &'a [Token],
    language: Language,
}

impl Strays<'_> {
    fn slip(&self, at: usize, ends_commented_out: &[usize]) -> Option<Slip> {
        let token = *self.seen.get(at)?;
        match token.kind {
            TokenKind::Semicolon if self.begins(at) && !self.is(at, 1, TokenKind::Close) => {
                Some(slip(token, "this `;` ends nothing", "nothing in front of it", "remove it"))
            }
            TokenKind::Equals if self.begins(at) => {
                Some(slip(token, "this `=` has no name in front", "a name is missing", "write name=\"value\""))
            }
            TokenKind::Open if self.begins(at) && !self.is(at, 1, TokenKind::Close) => Some(self.nameless_block(at)),
            TokenKind::Word if self.begins(at) && self.is_number(token) => {
                let message = format!("a line begins with a name, and `{}` is a number", self.word(token));
                Some(slip(token, message, "not a name", self.language.line_help()))
            }
            TokenKind::Word | TokenKind::Text { closed: true } => self.touching(at),
            TokenKind::OpenType | TokenKind::CloseType => self.parenthesis(at),
            TokenKind::Continue => self.continues_nothing(at),
            TokenKind::Slashdash => self.comments_nothing(at),
            TokenKind::Close if !ends_commented_out.contains(&at) => self.behind_block(at),
            _ => None,
        }
    }

    fn kind(&self, at: usize) -> Option<TokenKind> {
        self.seen.get(at).map(|token| token.kind)
    }

    fn before(&self, at: usize, back: usize) -> Option<Token> {
        at.checked_sub(back).and_then(|at| self.seen.get(at)).copied()
    }

    fn is(&self, at: usize, back: usize, kind: TokenKind) -> bool {
        self.before(at, back).is_some_and(|token| token.kind == kind)
    }

    /// Whether a token begins a line, or what follows a `{`, `}` or `;` as a line would.
    fn begins(&self, at: usize) -> bool {
        let Some(before) = self.before(at, 1) else { return true };
        let comment = usize::from(self.is(at, 2, TokenKind::LineComment));
        match before.kind {
            TokenKind::Newline => !self.is(at, 2 + comment, TokenKind::Continue),
            TokenKind::Open | TokenKind::Close | TokenKind::Semicolon => true,
            _ => false,
        }
    }

    fn word(&self, token: Token) -> &str {
        self.text.get(token.start..token.end).unwrap_or_default()
    }

    fn is_number(&self, token: Token) -> bool {
        let word = self.word(token);
        word.strip_prefix(['-', '+']).unwrap_or(word).starts_with(|c: char| c.is_ascii_digit())
    }

    fn nameless_block(&self, at: usize) -> Slip {
        let token = self.seen.get(at).copied().unwrap_or(Token { kind: TokenKind::Open, start: 0, end: 0 });
        let above = self.text.get(..token.start).unwrap_or_default().trim();
        let comment = usize::from(self.is(at, 2, TokenKind::LineComment));
        let named = self.before(at, 2 + comment).map(|token| token.kind);
        if above.is_empty() {
            let (what, begins) = (self.language.name(), self.language.begins());
            return slip(token, NO_SPEC, "begins here", format!("{what} is no JSON; it begins with: {begins}"));
        }
        let help =
            if self.is(at, 1, TokenKind::Newline) && matches!(named, Some(TokenKind::Word | TokenKind::Text { .. })) {
                "put the `{` at the end of the line above".to_owned()
            } else {
                format!("write in front of it what it belongs to, as in: {}", self.language.block())
            };
        slip(token, "no name stands in front of this block", "begins here", help)
    }

    /// `"a""b"`, `dir"/a"`, `"name":`
    fn touching(&self, at: usize) -> Option<Slip> {
        let (token, before) = (self.seen.get(at).copied()?, self.before(at, 1)?);
        let touches = before.end == token.start
            && matches!(before.kind, TokenKind::Word | TokenKind::Text { .. })
            && (token.kind != TokenKind::Word || before.kind != TokenKind::Word);
        // Commas, brackets and quotes of other languages are told of by themselves.
        if !touches || [token, before].iter().any(|one| self.is_foreign(*one)) {
            return None;
        }
        if self.word(token).starts_with(':') {
            let message = "there is no `:` behind names and values";
            return Some(slip(token, message, "remove this", "values are separated by blanks: name \"a\" \"b\""));
        }
        let help = format!("write {} {}", self.word(before), self.word(token));
        Some(slip(token, "a blank is missing in front of this", "touches what is before it", help))
    }

    fn is_foreign(&self, token: Token) -> bool {
        let word = self.word(token);
        token.kind == TokenKind::Word && (word.contains([',', '[', ']']) || word.starts_with(FOREIGN_QUOTES))
    }

    /// The one meaning that parentheses have, a type in front of a name or value, is refused with words of its own.
    fn parenthesis(&self, at: usize) -> Option<Slip> {
        let token = self.seen.get(at).copied()?;
        let is_word = |at| matches!(self.kind(at), Some(TokenKind::Word | TokenKind::Text { closed: true }));
        let is_type =
            |open: usize| is_word(open + 1) && self.kind(open + 2) == Some(TokenKind::CloseType) && is_word(open + 3);
        let touches = self.before(at, 1).is_some_and(|before| before.end == token.start && is_word(at - 1));
        let (good, opened) = match token.kind {
            TokenKind::OpenType => (is_type(at) && !touches, false),
            _ => (false, self.is(at, 2, TokenKind::OpenType)),
        };
        // A pair is told of once, where it opens.
        (!good && !opened).then(|| {
            slip(token, "parentheses mean nothing here", "remove it", "text that holds parentheses stands in quotes")
        })
    }

    fn continues_nothing(&self, at: usize) -> Option<Slip> {
        let ends_line = matches!(self.kind(at + 1), None | Some(TokenKind::Newline | TokenKind::LineComment));
        let token = self.seen.get(at).copied()?;
        (!ends_line).then(|| {
            let help = "remove it; text that holds a `\\` stands in quotes, where it is written `\\\\`";
            slip(token, "a `\\` stands at the end of a line, which goes on in the next one", "in the middle", help)
        })
    }

    fn comments_nothing(&self, at: usize) -> Option<Slip> {
        let mut behind = self.seen.iter().skip(at + 1);
        let next = behind.find(|token| !matches!(token.kind, TokenKind::Newline | TokenKind::LineComment));
        let nothing = next.is_none_or(|next| matches!(next.kind, TokenKind::Close | TokenKind::Semicolon));
        let token = self.seen.get(at).copied()?;
        nothing.then(|| slip(token, "`/-` comments out what follows it, and nothing follows", "remove it", "remove it"))
    }

    /// What follows a block belongs to no line: `} user "b"`.
    fn behind_block(&self, at: usize) -> Option<Slip> {
        let next = self.seen.get(at + 1).copied()?;
        let follows = matches!(next.kind, TokenKind::Word | TokenKind::Text { .. } | TokenKind::Open);
        follows.then(|| {
            let help = "put it into a line of its own, or a `;` behind the `}`";
            slip(next, "a block ends its line, and something stands behind it", "behind the `}`", help)
        })
    }

    /// Where blocks end that a `/-` comments out; values may follow those.
    fn closes_of_comments(&self) -> Vec<usize> {
        let (mut open, mut out) = (Vec::new(), Vec::new());
        for (at, token) in self.seen.iter().enumerate() {
            match token.kind {
                TokenKind::Open => open.push(self.is(at, 1, TokenKind::Slashdash)),
                TokenKind::Close if open.pop() == Some(true) => out.push(at),
                _ => {}
            }
        }
        out
    }
}

/// What is wrong with a text that begins with a block.
pub(crate) const NO_SPEC: &str = "no name stands in front of this block, the first thing in the file";

/// Quotes of other languages, of shells and of word processors.
pub(crate) const FOREIGN_QUOTES: [char; 8] = ['\'', '`', '“', '”', '„', '‘', '’', '«'];

fn slip(token: Token, message: impl Into<String>, label: &'static str, help: impl Into<String>) -> Slip {
    Slip { token, message: message.into(), label, help: help.into() }
}

/// The first character that no text may hold as it is (KDL 2.0.0, section 3.19, "Disallowed Literal Code Points").
fn forbidden(text: &str, language: Language) -> Option<Slip> {
    let is_forbidden = |c: char| {
        matches!(c, '\0'..='\u{8}' | '\u{e}'..='\u{1f}' | '\u{7f}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}'
            | '\u{2066}'..='\u{2069}' | '\u{feff}')
    };
    let (start, c) = text.char_indices().find(|(at, c)| is_forbidden(*c) && (*at, *c) != (0, '\u{feff}'))?;
    let token = Token { kind: TokenKind::Word, start, end: start + c.len_utf8() };
    let message = format!("the invisible character U+{:04X} cannot stand in {}", c as u32, language.name());
    let help =
        format!("delete it; it often comes along when text is copied. In a text it is written \\u{{{:x}}}", c as u32);
    Some(slip(token, message, "here, unseen", help))
}
