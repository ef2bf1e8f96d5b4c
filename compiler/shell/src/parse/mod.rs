//! Reads the text of a script into its syntax: the cursor, its bounds and the entry point.
//! Nothing is expanded and no alias is known.

mod command;
mod word;

use std::sync::{Arc, OnceLock};

use crate::ast::{Script, Word};

/// Nesting of commands, quotes and expansions that is accepted; scripts of packages stay below 20, and more would endanger the stack.
const DEPTH: u32 = 64;
/// Length of a script that is accepted, in bytes.
const SIZE_BYTES: usize = 4 << 20;

/// Why a text is not a script.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {what}")]
pub struct SyntaxError {
    /// Line, from 1.
    pub line: u32,
    /// What is wrong, or was expected.
    pub what: String,
}

/// Reads a script.
///
/// # Errors
/// When the text does not follow the grammar, or is too large or nested too deeply.
pub fn parse(text: &[u8]) -> Result<Script, SyntaxError> {
    let mut parser = Parser::new(text, 1, 0);
    if text.len() > SIZE_BYTES {
        return Err(parser.error("the script is too large"));
    }
    let body = parser.list()?;
    if parser.at < text.len() {
        return Err(parser.error("a command was expected"));
    }
    parser.read_here_documents()?;
    Ok(Script { body: Arc::new(body) })
}

struct Pending {
    delimiter: Vec<u8>,
    quoted: bool,
    strip_tabs: bool,
    body: Arc<OnceLock<Word>>,
}

struct Parser<'t> {
    text: &'t [u8],
    at: usize,
    line: u32,
    depth: u32,
    pending: Vec<Pending>,
}

impl<'t> Parser<'t> {
    fn new(text: &'t [u8], line: u32, depth: u32) -> Self {
        Self { text, at: 0, line, depth, pending: Vec::new() }
    }

    fn error(&self, what: impl Into<String>) -> SyntaxError {
        SyntaxError { line: self.line, what: what.into() }
    }

    /// Runs `inner` one level deeper.
    fn nested<T>(&mut self, inner: impl FnOnce(&mut Self) -> Result<T, SyntaxError>) -> Result<T, SyntaxError> {
        if self.depth >= DEPTH {
            return Err(self.error("the script is nested too deeply"));
        }
        self.depth += 1;
        let result = inner(self);
        self.depth -= 1;
        result
    }

    /// The next byte, where a backslash before a newline joins lines.
    fn peek(&mut self) -> Option<u8> {
        while self.text[self.at..].starts_with(b"\\\n") {
            self.at += 2;
            self.line += 1;
        }
        self.raw()
    }

    fn raw(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn bump(&mut self) -> Option<u8> {
        let byte = self.raw()?;
        self.at += 1;
        if byte == b'\n' {
            self.line += 1;
        }
        Some(byte)
    }

    fn take(&mut self, byte: u8) -> bool {
        let found = self.peek() == Some(byte);
        if found {
            self.bump();
        }
        found
    }

    fn take_text(&mut self, text: &[u8]) -> bool {
        self.peek();
        let found = self.text[self.at..].starts_with(text);
        if found {
            self.at += text.len();
        }
        found
    }

    /// Skips blanks and a comment; stops before a newline.
    fn skip_blanks(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.bump();
        }
        if self.raw() == Some(b'#') {
            while self.raw().is_some_and(|byte| byte != b'\n') {
                self.at += 1;
            }
        }
    }

    fn skip_newlines(&mut self) -> Result<(), SyntaxError> {
        self.skip_blanks();
        while self.raw() == Some(b'\n') {
            self.newline()?;
            self.skip_blanks();
        }
        Ok(())
    }

    fn newline(&mut self) -> Result<(), SyntaxError> {
        self.bump();
        self.read_here_documents()
    }

    fn read_here_documents(&mut self) -> Result<(), SyntaxError> {
        for pending in std::mem::take(&mut self.pending) {
            let first_line = self.line;
            let mut body = Vec::new();
            while self.at < self.text.len() {
                let rest = &self.text[self.at..];
                let end = rest.iter().position(|&byte| byte == b'\n');
                let mut line = &rest[..end.unwrap_or(rest.len())];
                self.at += end.map_or(rest.len(), |end| end + 1);
                self.line += 1;
                if pending.strip_tabs {
                    let tabs = line.iter().take_while(|&&byte| byte == b'\t').count();
                    line = &line[tabs..];
                }
                if line == pending.delimiter {
                    break;
                }
                body.extend_from_slice(line);
                body.push(b'\n');
            }
            let word = match pending.quoted {
                true => vec![crate::ast::Part::Quoted(body)],
                false => Parser::new(&body, first_line, self.depth).nested(Parser::here_document)?,
            };
            // The cell was made with the redirection and nothing else fills it.
            let _ = pending.body.set(word);
        }
        Ok(())
    }
}
