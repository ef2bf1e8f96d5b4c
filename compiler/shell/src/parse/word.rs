//! Words: quoting, parameter expansions, command substitutions and arithmetic.

use std::sync::Arc;

use super::{Parser, SyntaxError};
use crate::ast::{Operation, Parameter, Part, Word};

type Parsed<T> = Result<T, SyntaxError>;

/// Where text stands, which decides what is special in it.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Word,
    Assigned,
    Double,
    Here,
    Arithmetic,
    /// The word of `${x:-word}`; whether double quotes are around it.
    Brace {
        double: bool,
    },
}

impl Place {
    fn is_quoted(self) -> bool {
        matches!(self, Self::Double | Self::Here | Self::Arithmetic | Self::Brace { double: true })
    }
}

impl Parser<'_> {
    /// A word, or none where an operator or the end stands.
    pub(super) fn word(&mut self) -> Parsed<Option<Word>> {
        let start = self.at;
        let word = self.parts(Place::Word)?;
        Ok((self.at > start && !word.is_empty()).then_some(word))
    }

    pub(super) fn required_word(&mut self) -> Parsed<Word> {
        self.nested(Self::word)?.ok_or_else(|| self.error("a word was expected"))
    }

    pub(super) fn assigned_word(&mut self) -> Parsed<Word> {
        self.parts(Place::Assigned)
    }

    pub(super) fn here_document(&mut self) -> Parsed<Word> {
        self.parts(Place::Here)
    }

    /// A variable name; empty where none stands.
    pub(super) fn name(&mut self) -> Vec<u8> {
        let mut name = Vec::new();
        while let Some(byte) = self.peek() {
            if !(byte == b'_' || byte.is_ascii_alphabetic() || (!name.is_empty() && byte.is_ascii_digit())) {
                break;
            }
            name.push(byte);
            self.bump();
        }
        name
    }

    pub(super) fn at_assignment(&mut self) -> bool {
        let (at, line) = (self.at, self.line);
        let found = !self.name().is_empty() && self.peek() == Some(b'=');
        (self.at, self.line) = (at, line);
        found
    }

    fn parts(&mut self, place: Place) -> Parsed<Word> {
        let mut word = Word::new();
        let mut parentheses = 0_u32;
        loop {
            let Some(byte) = self.peek() else { return self.end_of_text(place, word) };
            match (place, byte) {
                (
                    Place::Word | Place::Assigned,
                    b' ' | b'\t' | b'\n' | b';' | b'&' | b'|' | b'<' | b'>' | b'(' | b')',
                ) => return Ok(word),
                (Place::Double, b'"') | (Place::Brace { .. }, b'}') => return Ok(word),
                (Place::Arithmetic, b')') if parentheses == 0 => return Ok(word),
                (Place::Arithmetic, b'(' | b')') => {
                    parentheses = if byte == b'(' { parentheses + 1 } else { parentheses - 1 };
                    self.bump();
                    push(&mut word, byte);
                }
                (_, b'\\') => self.escape(place, &mut word),
                (_, b'$') => self.dollar(place, &mut word)?,
                (_, b'`') => word.push(self.backquoted(place)?),
                (Place::Word | Place::Assigned | Place::Brace { double: false }, b'\'') => {
                    word.push(self.single_quoted()?)
                }
                (Place::Word | Place::Assigned | Place::Brace { .. }, b'"') => word.push(self.double_quoted()?),
                (Place::Word | Place::Assigned | Place::Brace { double: false }, b'~')
                    if tilde_allowed(place, &word) =>
                {
                    word.push(self.tilde())
                }
                _ => {
                    self.bump();
                    push(&mut word, byte);
                }
            }
        }
    }

    fn end_of_text(&self, place: Place, word: Word) -> Parsed<Word> {
        match place {
            Place::Word | Place::Assigned | Place::Here => Ok(word),
            Place::Double => Err(self.error("a double quote is not closed")),
            Place::Arithmetic => Err(self.error("`))` was expected")),
            Place::Brace { .. } => Err(self.error("`}` was expected")),
        }
    }

    fn escape(&mut self, place: Place, word: &mut Word) {
        self.bump();
        let Some(byte) = self.raw() else { return push(word, b'\\') };
        let special: &[u8] = match place {
            Place::Double | Place::Arithmetic => b"$`\"\\",
            Place::Here => b"$`\\",
            Place::Brace { double: true } => b"$`\"\\}",
            _ => &[byte],
        };
        if special.contains(&byte) {
            self.bump();
            word.push(Part::Quoted(vec![byte]));
        } else {
            push(word, b'\\');
        }
    }

    fn single_quoted(&mut self) -> Parsed<Part> {
        self.bump();
        let mut text = Vec::new();
        loop {
            match self.bump() {
                None => return Err(self.error("a single quote is not closed")),
                Some(b'\'') => return Ok(Part::Quoted(text)),
                Some(byte) => text.push(byte),
            }
        }
    }

    fn double_quoted(&mut self) -> Parsed<Part> {
        self.bump();
        let word = self.nested(|parser| parser.parts(Place::Double))?;
        self.bump();
        Ok(Part::Double(word))
    }

    fn tilde(&mut self) -> Part {
        self.bump();
        let mut name = Vec::new();
        while let Some(byte) = self.peek().filter(|byte| byte.is_ascii_alphanumeric() || b"_-.".contains(byte)) {
            name.push(byte);
            self.bump();
        }
        Part::Tilde(name)
    }

    fn backquoted(&mut self, place: Place) -> Parsed<Part> {
        self.bump();
        let line = self.line;
        let mut text = Vec::new();
        loop {
            match self.bump() {
                None => return Err(self.error("a backquote is not closed")),
                Some(b'`') => break,
                Some(b'\\') => {
                    let next = self.bump().ok_or_else(|| self.error("a backquote is not closed"))?;
                    if !(b"$`\\".contains(&next) || (next == b'"' && place.is_quoted())) {
                        text.push(b'\\');
                    }
                    text.push(next);
                }
                Some(byte) => text.push(byte),
            }
        }
        let mut inner = Parser::new(&text, line, self.depth);
        let list = inner.nested(Parser::list)?;
        if inner.at < text.len() {
            return Err(inner.error("a command was expected"));
        }
        inner.read_here_documents()?;
        Ok(Part::Substitution(Arc::new(list)))
    }

    fn dollar(&mut self, place: Place, word: &mut Word) -> Parsed<()> {
        self.bump();
        let part = match self.peek() {
            Some(b'(') => self.nested(Self::parenthesized)?,
            Some(b'{') => self.nested(|parser| parser.braced(place))?,
            Some(byte) if byte.is_ascii_digit() || b"@*#?-$!".contains(&byte) => {
                self.bump();
                plain(vec![byte])
            }
            Some(byte) if byte == b'_' || byte.is_ascii_alphabetic() => plain(self.name()),
            _ => {
                push(word, b'$');
                return Ok(());
            }
        };
        word.push(part);
        Ok(())
    }

    fn parenthesized(&mut self) -> Parsed<Part> {
        self.bump();
        if self.take(b'(') {
            let word = self.parts(Place::Arithmetic)?;
            return if self.take_text(b"))") {
                Ok(Part::Arithmetic(word))
            } else {
                Err(self.error("`))` was expected"))
            };
        }
        let list = self.list()?;
        if self.take(b')') { Ok(Part::Substitution(Arc::new(list))) } else { Err(self.error("`)` was expected")) }
    }

    fn braced(&mut self, place: Place) -> Parsed<Part> {
        self.bump();
        let line = self.line;
        if self.text[self.at..].starts_with(b"#") && !self.text[self.at..].starts_with(b"#}") {
            self.bump();
            let name = self.parameter_name();
            return match self.take(b'}') {
                true => Ok(parameter(name, Operation::Length)),
                false => Err(self.error("`${#` is not followed by one parameter")),
            };
        }
        let name = self.parameter_name();
        if name.is_empty() {
            return Err(SyntaxError { line, what: "a parameter was expected after `${`".to_owned() });
        }
        let operation = self.operation(place)?;
        if !self.take(b'}') {
            return Err(self.error("`}` was expected"));
        }
        Ok(parameter(name, operation))
    }

    fn operation(&mut self, place: Place) -> Parsed<Operation> {
        let quoted = place.is_quoted();
        let next = self.peek();
        let colon = next == Some(b':');
        match next {
            Some(b'}') => return Ok(Operation::Plain),
            Some(sign @ (b'%' | b'#')) => {
                self.bump();
                let longest = self.take(sign);
                let word = self.parts(Place::Brace { double: false })?;
                return Ok(Operation::Trim { suffix: sign == b'%', longest, word });
            }
            Some(b':') => {
                self.bump();
            }
            _ => {}
        }
        if let Some(sign @ (b'-' | b'=' | b'?' | b'+')) = self.peek() {
            self.bump();
            let word = self.parts(Place::Brace { double: quoted })?;
            return Ok(Operation::Condition { sign, colon, word });
        }
        let start = self.at;
        self.parts(Place::Brace { double: quoted })?;
        Ok(Operation::Foreign(self.text[start..self.at].to_vec()))
    }

    fn parameter_name(&mut self) -> Vec<u8> {
        match self.peek() {
            Some(byte) if byte.is_ascii_digit() => {
                let mut name = Vec::new();
                while let Some(byte) = self.peek().filter(u8::is_ascii_digit) {
                    name.push(byte);
                    self.bump();
                }
                name
            }
            Some(byte) if b"@*#?-$!".contains(&byte) => {
                self.bump();
                vec![byte]
            }
            _ => self.name(),
        }
    }
}

fn parameter(name: Vec<u8>, operation: Operation) -> Part {
    Part::Parameter(Box::new(Parameter { name, operation }))
}

fn plain(name: Vec<u8>) -> Part {
    parameter(name, Operation::Plain)
}

fn push(word: &mut Word, byte: u8) {
    match word.last_mut() {
        Some(Part::Literal(text)) => text.push(byte),
        _ => word.push(Part::Literal(vec![byte])),
    }
}

fn tilde_allowed(place: Place, word: &Word) -> bool {
    word.is_empty()
        || (place == Place::Assigned && matches!(word.last(), Some(Part::Literal(text)) if text.ends_with(b":")))
}
