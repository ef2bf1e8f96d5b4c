//! Reads the script of `sed`; what it does not know is said in words.

use crate::regex::{Flavor, Regex};

pub(super) enum Address {
    Line(usize),
    Last,
    Regex(Regex),
}

pub(super) struct Step {
    pub first: Option<Address>,
    pub second: Option<Address>,
    pub negated: bool,
    pub command: Command,
}

pub(super) enum Command {
    /// The steps up to this index belong to it.
    Group {
        end: usize,
    },
    Delete,
    Print,
    Quit {
        status: i32,
        print: bool,
    },
    Number,
    Next,
    Append(Vec<u8>),
    Insert(Vec<u8>),
    Change(Vec<u8>),
    Translate(Box<[u8; 256]>),
    Substitute {
        regex: Regex,
        text: Vec<Text>,
        flags: Flags,
    },
}

/// A piece of a replacement.
pub(super) enum Text {
    Plain(Vec<u8>),
    Group(usize),
}

pub(super) struct Flags {
    pub global: bool,
    pub print: bool,
    /// The first match that is replaced, from 1.
    pub number: usize,
}

struct Reader<'t> {
    text: &'t [u8],
    at: usize,
    extended: bool,
    steps: Vec<Step>,
    open: Vec<usize>,
}

pub(super) fn parse(text: &[u8], extended: bool) -> Result<Vec<Step>, String> {
    let mut reader = Reader { text, at: 0, extended, steps: Vec::new(), open: Vec::new() };
    loop {
        reader.skip(b" \t\n;");
        if reader.peek() == Some(b'#') {
            return Err("a comment".to_owned());
        }
        if reader.peek().is_none() {
            break;
        }
        reader.step()?;
    }
    if reader.open.is_empty() { Ok(reader.steps) } else { Err("a group that is not closed".to_owned()) }
}

impl Reader<'_> {
    fn peek(&self) -> Option<u8> {
        self.text.get(self.at).copied()
    }

    fn skip(&mut self, bytes: &[u8]) {
        while self.peek().is_some_and(|byte| bytes.contains(&byte)) {
            self.at += 1;
        }
    }

    fn wrong(&self) -> String {
        format!("the script `{}`", String::from_utf8_lossy(self.text))
    }

    fn number(&mut self) -> Option<usize> {
        let rest = &self.text[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
    }

    fn address(&mut self) -> Result<Option<Address>, String> {
        let delimiter = match self.peek() {
            Some(byte) if byte.is_ascii_digit() => {
                let line = self.number().filter(|line| *line > 0).ok_or_else(|| self.wrong())?;
                return Ok(Some(Address::Line(line)));
            }
            Some(b'$') => {
                self.at += 1;
                return Ok(Some(Address::Last));
            }
            Some(b'/') => b'/',
            Some(b'\\') => {
                self.at += 1;
                self.peek().ok_or_else(|| self.wrong())?
            }
            _ => return Ok(None),
        };
        self.at += 1;
        let pattern = self.until(delimiter, true)?;
        let ignore_case = self.peek() == Some(b'I');
        self.at += usize::from(ignore_case);
        self.regex(&pattern, ignore_case).map(|regex| Some(Address::Regex(regex)))
    }

    fn regex(&self, pattern: &[u8], ignore_case: bool) -> Result<Regex, String> {
        if pattern.is_empty() {
            return Err("an empty regular expression".to_owned());
        }
        Regex::new(pattern, Flavor { extended: self.extended, ignore_case }).map_err(|error| error.0)
    }

    /// Text up to a delimiter, which a backslash makes plain.
    fn until(&mut self, delimiter: u8, pattern: bool) -> Result<Vec<u8>, String> {
        let mut out = Vec::new();
        loop {
            let byte = self.peek().ok_or_else(|| self.wrong())?;
            self.at += 1;
            match byte {
                _ if byte == delimiter => return Ok(out),
                b'\n' if pattern => return Err(self.wrong()),
                b'\\' => {
                    let next = self.peek().ok_or_else(|| self.wrong())?;
                    self.at += 1;
                    if next != delimiter {
                        out.extend([b'\\', next]);
                    } else if b"|+?(){}.*[]^$&\\n0123456789".contains(&delimiter) {
                        return Err(self.wrong());
                    } else {
                        out.push(next);
                    }
                }
                _ => out.push(byte),
            }
        }
    }

    fn step(&mut self) -> Result<(), String> {
        let first = self.address()?;
        let mut second = None;
        if first.is_some() && self.peek() == Some(b',') {
            self.at += 1;
            self.skip(b" \t");
            second = Some(self.address()?.ok_or_else(|| self.wrong())?);
        }
        self.skip(b" \t");
        let mut negated = false;
        while self.peek() == Some(b'!') {
            negated = true;
            self.at += 1;
            self.skip(b" \t");
        }
        let letter = self.peek().ok_or_else(|| self.wrong())?;
        self.at += 1;
        if letter == b'}' {
            if first.is_some() || negated {
                return Err(self.wrong());
            }
            let start = self.open.pop().ok_or_else(|| self.wrong())?;
            let end = self.steps.len();
            self.steps[start].command = Command::Group { end };
            return self.end();
        }
        let command = self.command(letter)?;
        if letter == b'{' {
            self.open.push(self.steps.len());
        }
        self.steps.push(Step { first, second, negated, command });
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        self.skip(b" \t");
        match self.peek() {
            None | Some(b';' | b'\n' | b'}') => Ok(()),
            Some(_) => Err(self.wrong()),
        }
    }

    fn command(&mut self, letter: u8) -> Result<Command, String> {
        let command = match letter {
            b'{' => return Ok(Command::Group { end: 0 }),
            b'a' => return self.text_of().map(Command::Append),
            b'i' => return self.text_of().map(Command::Insert),
            b'c' => return self.text_of().map(Command::Change),
            b'd' => Command::Delete,
            b'p' => Command::Print,
            b'=' => Command::Number,
            b'n' => Command::Next,
            b'q' | b'Q' => {
                self.skip(b" \t");
                let status = self.number().unwrap_or(0);
                Command::Quit { status: i32::try_from(status).map_err(|_| self.wrong())?, print: letter == b'q' }
            }
            b's' => self.substitute()?,
            b'y' => self.translate()?,
            other => return Err(format!("the command {}", char::from(other))),
        };
        self.end()?;
        Ok(command)
    }

    /// The text of `a`, `i` and `c`: the rest of the line, and more lines after a backslash.
    fn text_of(&mut self) -> Result<Vec<u8>, String> {
        self.skip(b" \t");
        if self.peek() == Some(b'\\') {
            self.at += 1;
            self.skip(b" \t");
            if self.peek() == Some(b'\n') {
                self.at += 1;
            }
        }
        let mut out = Vec::new();
        while let Some(byte) = self.peek() {
            self.at += 1;
            match byte {
                b'\n' => break,
                b'\\' => {
                    let next = self.peek().ok_or_else(|| self.wrong())?;
                    if next.is_ascii_alphanumeric() {
                        return Err(self.wrong());
                    }
                    self.at += 1;
                    out.push(next);
                }
                _ => out.push(byte),
            }
        }
        if out.is_empty() {
            return Err(self.wrong());
        }
        out.push(b'\n');
        Ok(out)
    }

    fn delimiter(&mut self) -> Result<u8, String> {
        let delimiter = self.peek().filter(|byte| !b"\\\n".contains(byte)).ok_or_else(|| self.wrong())?;
        self.at += 1;
        Ok(delimiter)
    }

    fn substitute(&mut self) -> Result<Command, String> {
        let delimiter = self.delimiter()?;
        let pattern = self.until(delimiter, true)?;
        let replacement = self.until(delimiter, false)?;
        let mut flags = Flags { global: false, print: false, number: 1 };
        let mut ignore_case = false;
        loop {
            match self.peek() {
                Some(b'g') => flags.global = true,
                Some(b'p') => flags.print = true,
                Some(b'i' | b'I') => ignore_case = true,
                Some(byte) if byte.is_ascii_digit() => {
                    flags.number = self.number().filter(|number| *number > 0).ok_or_else(|| self.wrong())?;
                    continue;
                }
                _ => break,
            }
            self.at += 1;
        }
        let regex = self.regex(&pattern, ignore_case)?;
        let text = self.replacement(&replacement, regex.groups())?;
        Ok(Command::Substitute { regex, text, flags })
    }

    fn replacement(&self, text: &[u8], groups: usize) -> Result<Vec<Text>, String> {
        let mut pieces = Vec::new();
        let mut plain = Vec::new();
        let mut bytes = text.iter().copied();
        while let Some(byte) = bytes.next() {
            let group = match byte {
                b'&' => 0,
                b'\\' => match bytes.next().ok_or_else(|| self.wrong())? {
                    digit @ b'0'..=b'9' => usize::from(digit - b'0'),
                    b'n' => {
                        plain.push(b'\n');
                        continue;
                    }
                    b't' => {
                        plain.push(b'\t');
                        continue;
                    }
                    letter if letter.is_ascii_alphabetic() => return Err(self.wrong()),
                    other => {
                        plain.push(other);
                        continue;
                    }
                },
                _ => {
                    plain.push(byte);
                    continue;
                }
            };
            if group > groups {
                return Err(self.wrong());
            }
            pieces.push(Text::Plain(std::mem::take(&mut plain)));
            pieces.push(Text::Group(group));
        }
        pieces.push(Text::Plain(plain));
        Ok(pieces)
    }

    fn translate(&mut self) -> Result<Command, String> {
        let delimiter = self.delimiter()?;
        let (from, to) = (self.until(delimiter, true)?, self.until(delimiter, true)?);
        if from.len() != to.len() || from.contains(&b'\\') || to.contains(&b'\\') {
            return Err(self.wrong());
        }
        let mut table: Box<[u8; 256]> = Box::new(std::array::from_fn(|byte| byte as u8));
        for (from, to) in from.iter().zip(to) {
            table[usize::from(*from)] = to;
        }
        Ok(Command::Translate(table))
    }
}
