//! Lays a spec out: four blanks a level, one blank between values, at most one empty line in a row. Comments and
//! strings are kept byte for byte, and what the text means never changes. Doing it twice changes nothing.

use crate::diagnostic::Diagnostic;
use crate::lexer::{Token, TokenKind, tokens};
use crate::source::{Source, Sources};
use crate::syntax::{self, Node};

/// Lays a spec or fragment out anew; `name` is how the source is called in errors.
pub fn format(name: &str, text: &str) -> Result<String, Vec<Diagnostic>> {
    let before = nodes(name, text)?;
    let mut layout =
        Layout { text, out: String::new(), depth: 0, empty_lines: 0, blanks: 0, line: Line::Fresh, continued: false };
    tokens(text).iter().for_each(|token| layout.token(*token));
    let out = layout.finish();
    // The layout is a matter of taste, the meaning is not: should they ever disagree, the text stays as it is.
    let same = nodes(name, &out).is_ok_and(|after| same_meaning(&before, &after));
    Ok(if same { out } else { text.to_owned() })
}

/// Where the current line stands.
#[derive(PartialEq, Clone, Copy)]
enum Line {
    /// Nothing is on it.
    Fresh,
    /// The last token takes a blank behind it.
    Spaced,
    /// The last token sticks to the next one.
    Sticky,
}

struct Layout<'a> {
    text: &'a str,
    out: String,
    depth: usize,
    empty_lines: usize,
    /// Blanks right before this token.
    blanks: usize,
    line: Line,
    /// Whether this line continues the one before.
    continued: bool,
}

impl Layout<'_> {
    fn token(&mut self, token: Token) {
        let text = self.text.get(token.start..token.end).unwrap_or_default();
        if !matches!(token.kind, TokenKind::Space | TokenKind::LineComment) {
            self.blanks = 0;
        }
        match token.kind {
            TokenKind::Space => self.blanks = text.chars().count(),
            TokenKind::Newline => self.newline(),
            TokenKind::Open => {
                self.word("{", true);
                self.depth += 1;
            }
            TokenKind::Close => {
                self.depth = self.depth.saturating_sub(1);
                self.word("}", true);
            }
            TokenKind::Semicolon => self.glue(";"),
            TokenKind::Equals => {
                self.glue("=");
                self.line = Line::Sticky;
            }
            TokenKind::CloseType => {
                self.glue(")");
                self.line = Line::Sticky;
            }
            TokenKind::OpenType | TokenKind::Slashdash => self.word(text, false),
            TokenKind::Continue => {
                self.word("\\", true);
                self.continued = true;
            }
            TokenKind::LineComment => {
                // Comments that were lined up stay lined up: only tabs and the end of the line are touched.
                let blanks = self.blanks.saturating_sub(1);
                if self.line == Line::Spaced {
                    self.out.push_str(&" ".repeat(blanks));
                }
                self.word(text.trim_end(), true);
            }
            TokenKind::BlockComment { .. } | TokenKind::Text { .. } | TokenKind::Word => self.word(text, true),
        }
    }

    fn newline(&mut self) {
        if self.line == Line::Fresh {
            self.empty_lines += 1;
            return;
        }
        self.out.push('\n');
        self.line = Line::Fresh;
        self.empty_lines = 0;
    }

    fn word(&mut self, text: &str, spaced: bool) {
        match self.line {
            Line::Fresh => {
                let opened = self.out.trim_end().ends_with('{') || self.out.is_empty();
                if self.empty_lines > 0 && !opened && text != "}" {
                    self.out.push('\n');
                }
                self.empty_lines = 0;
                let extra = usize::from(std::mem::take(&mut self.continued));
                self.out.push_str(&"    ".repeat(self.depth + extra));
            }
            Line::Spaced => self.out.push(' '),
            Line::Sticky => {}
        }
        self.out.push_str(text);
        self.line = if spaced { Line::Spaced } else { Line::Sticky };
    }

    /// Text without a blank in front.
    fn glue(&mut self, text: &str) {
        if self.line == Line::Fresh {
            return self.word(text, true);
        }
        self.out.push_str(text);
        self.line = Line::Spaced;
    }

    fn finish(mut self) -> String {
        self.out.truncate(self.out.trim_end().len());
        if !self.out.is_empty() {
            self.out.push('\n');
        }
        self.out
    }
}

fn nodes(name: &str, text: &str) -> Result<Vec<Node>, Vec<Diagnostic>> {
    let mut sources = Sources::default();
    let number = sources.add(Source { name: name.to_owned(), text: text.to_owned() });
    syntax::parse(&sources, number)
}

fn same_meaning(a: &[Node], b: &[Node]) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| {
            let entries = |node: &Node| {
                node.entries
                    .iter()
                    .map(|entry| (entry.key.clone().map(|key| key.0), entry.value.clone()))
                    .collect::<Vec<_>>()
            };
            a.name == b.name
                && entries(a) == entries(b)
                && a.annotation.is_some() == b.annotation.is_some()
                && same_meaning(&a.children, &b.children)
        })
}
