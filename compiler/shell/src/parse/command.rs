//! Lists, pipelines, compound and simple commands, and redirections.

use std::sync::{Arc, OnceLock};

use super::{Parser, Pending, SyntaxError};
use crate::ast::{AndOr, Command, Join, Kind, List, Part, Pipeline, Redirect, RedirectKind, Word};

type Parsed<T> = Result<T, SyntaxError>;

/// Reserved words that end a list; what may follow decides the construct around it.
const CLOSERS: [&[u8]; 8] = [b"then", b"else", b"elif", b"fi", b"do", b"done", b"esac", b"}"];

impl Parser<'_> {
    /// Commands up to the end, a `)`, a `;;` or a closing reserved word.
    pub(super) fn list(&mut self) -> Parsed<List> {
        self.nested(|parser| {
            let mut list = List::new();
            loop {
                parser.skip_newlines()?;
                if parser.at_list_end() {
                    return Ok(list);
                }
                let mut and_or = parser.and_or()?;
                parser.skip_blanks();
                match parser.peek() {
                    Some(b'&') => {
                        parser.bump();
                        and_or.background = true;
                    }
                    Some(b';') if !parser.text[parser.at..].starts_with(b";;") => {
                        parser.bump();
                    }
                    Some(b'\n') => {}
                    _ if parser.at_list_end() => {}
                    _ => return Err(parser.error("the command should have ended here")),
                }
                list.push(and_or);
            }
        })
    }

    fn at_list_end(&mut self) -> bool {
        match self.peek() {
            None | Some(b')') => true,
            Some(b';') => self.text[self.at..].starts_with(b";;"),
            _ => self.reserved().is_some_and(|word| CLOSERS.contains(&word)),
        }
    }

    /// The unquoted word that stands here, if nothing of it needs the full rules.
    fn reserved(&mut self) -> Option<&[u8]> {
        self.peek();
        let rest = &self.text[self.at..];
        let end = rest.iter().position(|byte| !matches!(byte, b'a'..=b'z' | b'{' | b'}' | b'!')).unwrap_or(rest.len());
        let delimited =
            rest.get(end).is_none_or(|byte| b" \t\n;&|<>()".contains(byte)) || rest[end..].starts_with(b"\\\n");
        (end > 0 && delimited).then(|| &rest[..end])
    }

    fn take_reserved(&mut self, word: &[u8]) -> bool {
        let found = self.reserved() == Some(word);
        if found {
            self.at += word.len();
        }
        found
    }

    /// The reserved word that must stand here.
    fn demand(&mut self, word: &str) -> Parsed<()> {
        self.skip_newlines()?;
        if self.take_reserved(word.as_bytes()) { Ok(()) } else { Err(self.error(format!("`{word}` was expected"))) }
    }

    /// A list with at least one command.
    fn body(&mut self) -> Parsed<List> {
        let list = self.list()?;
        if list.is_empty() { Err(self.error("a command was expected")) } else { Ok(list) }
    }

    fn and_or(&mut self) -> Parsed<AndOr> {
        let first = self.pipeline()?;
        let mut rest = Vec::new();
        loop {
            self.skip_blanks();
            let join = if self.take_text(b"&&") {
                Join::And
            } else if self.take_text(b"||") {
                Join::Or
            } else {
                return Ok(AndOr { first, rest, background: false });
            };
            self.skip_newlines()?;
            rest.push((join, self.pipeline()?));
        }
    }

    fn pipeline(&mut self) -> Parsed<Pipeline> {
        let mut negated = false;
        self.skip_blanks();
        while self.take_reserved(b"!") {
            negated = !negated;
            self.skip_blanks();
        }
        let mut commands = vec![self.command()?];
        loop {
            self.skip_blanks();
            let rest = &self.text[self.at..];
            if !rest.starts_with(b"|") || rest.starts_with(b"||") {
                return Ok(Pipeline { negated, commands });
            }
            self.bump();
            self.skip_newlines()?;
            commands.push(self.command()?);
        }
    }

    fn command(&mut self) -> Parsed<Command> {
        self.skip_blanks();
        let line = self.line;
        let compound = self.nested(Self::compound)?;
        let Some(kind) = compound else { return self.simple() };
        let mut redirects = Vec::new();
        self.skip_blanks();
        while let Some(redirect) = self.redirect()? {
            redirects.push(redirect);
            self.skip_blanks();
        }
        Ok(Command { line, kind, redirects })
    }

    fn compound(&mut self) -> Parsed<Option<Kind>> {
        if self.take(b'(') {
            let list = self.body()?;
            return if self.take(b')') { Ok(Some(Kind::Subshell(list))) } else { Err(self.error("`)` was expected")) };
        }
        let word = self.reserved().unwrap_or_default().to_vec();
        let known: [&[u8]; 6] = [b"{", b"if", b"while", b"until", b"for", b"case"];
        if CLOSERS.contains(&&word[..]) {
            return Err(self.error(format!("`{}` is out of place", String::from_utf8_lossy(&word))));
        }
        if !known.contains(&&word[..]) {
            return Ok(None);
        }
        self.at += word.len();
        Ok(Some(match &word[..] {
            b"{" => {
                let list = self.body()?;
                self.demand("}")?;
                Kind::Group(list)
            }
            b"if" => self.if_command()?,
            b"for" => self.for_command()?,
            b"case" => self.case_command()?,
            other => {
                let until = other == b"until";
                let condition = self.body()?;
                Kind::Loop { until, condition, body: self.do_group()? }
            }
        }))
    }

    fn do_group(&mut self) -> Parsed<List> {
        self.demand("do")?;
        let list = self.body()?;
        self.demand("done")?;
        Ok(list)
    }

    fn if_command(&mut self) -> Parsed<Kind> {
        let mut branches = Vec::new();
        let mut otherwise = List::new();
        loop {
            let condition = self.body()?;
            self.demand("then")?;
            branches.push((condition, self.body()?));
            if self.take_reserved(b"elif") {
                continue;
            }
            if self.take_reserved(b"else") {
                otherwise = self.body()?;
            }
            self.demand("fi")?;
            return Ok(Kind::If { branches, otherwise });
        }
    }

    fn for_command(&mut self) -> Parsed<Kind> {
        self.skip_blanks();
        let name = self.name();
        if name.is_empty() {
            return Err(self.error("a variable name was expected after `for`"));
        }
        self.skip_newlines()?;
        let mut words = None;
        if self.take_reserved(b"in") {
            let mut list = Vec::new();
            loop {
                self.skip_blanks();
                match self.peek() {
                    Some(b';' | b'\n') => break,
                    _ => list.push(self.required_word()?),
                }
            }
            words = Some(list);
        }
        self.skip_blanks();
        self.take(b';');
        Ok(Kind::For { name, words, body: self.do_group()? })
    }

    fn case_command(&mut self) -> Parsed<Kind> {
        self.skip_blanks();
        let subject = self.required_word()?;
        self.demand("in")?;
        let mut arms = Vec::new();
        loop {
            self.skip_newlines()?;
            if self.take_reserved(b"esac") {
                return Ok(Kind::Case { subject, arms });
            }
            self.take(b'(');
            let mut patterns = Vec::new();
            loop {
                self.skip_blanks();
                patterns.push(self.required_word()?);
                self.skip_blanks();
                if self.take(b')') {
                    break;
                }
                if !self.take(b'|') {
                    return Err(self.error("`)` was expected after a pattern"));
                }
            }
            let body = self.list()?;
            arms.push((patterns, body));
            if !self.take_text(b";;") {
                self.demand("esac")?;
                return Ok(Kind::Case { subject, arms });
            }
        }
    }

    fn simple(&mut self) -> Parsed<Command> {
        let line = self.line;
        let (mut assignments, mut words, mut redirects) = (Vec::new(), Vec::<Word>::new(), Vec::new());
        loop {
            self.skip_blanks();
            if let Some(redirect) = self.redirect()? {
                redirects.push(redirect);
            } else if words.is_empty() && self.at_assignment() {
                let name = self.name();
                self.bump();
                assignments.push((name, self.nested(Self::assigned_word)?));
            } else {
                let Some(word) = self.nested(Self::word)? else { break };
                words.push(word);
                if words.len() == 1 && assignments.is_empty() && redirects.is_empty() {
                    self.skip_blanks();
                    if self.peek() == Some(b'(') {
                        return self.function(line, words);
                    }
                }
            }
        }
        if words.is_empty() && assignments.is_empty() && redirects.is_empty() {
            return Err(self.error("a command was expected"));
        }
        Ok(Command { line, kind: Kind::Simple { assignments, words }, redirects })
    }

    fn function(&mut self, line: u32, words: Vec<Word>) -> Parsed<Command> {
        let name = match words.first().map(Vec::as_slice) {
            Some([Part::Literal(name)]) => name.clone(),
            _ => return Err(self.error("a plain name was expected before `(`")),
        };
        self.bump();
        self.skip_blanks();
        if !self.take(b')') {
            return Err(self.error("`)` was expected"));
        }
        self.skip_newlines()?;
        let body = Arc::new(self.nested(Self::command)?);
        Ok(Command { line, kind: Kind::Function { name, body }, redirects: Vec::new() })
    }

    fn redirect(&mut self) -> Parsed<Option<Redirect>> {
        self.peek();
        let rest = &self.text[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        if digits > 4 || !matches!(rest.get(digits), Some(b'<' | b'>')) {
            return Ok(None);
        }
        let fd = std::str::from_utf8(&rest[..digits]).ok().and_then(|text| text.parse().ok());
        self.at += digits;
        let operators: [&[u8]; 9] = [b"<<-", b"<<", b"<>", b"<&", b"<", b">>", b">|", b">&", b">"];
        let Some(operator) = operators.into_iter().find(|operator| self.take_text(operator)) else {
            return Err(self.error("a redirection was expected"));
        };
        self.skip_blanks();
        if operator.starts_with(b"<<") {
            return self.here_redirect(fd, operator == b"<<-").map(Some);
        }
        let target = self.required_word()?;
        let kind = match operator {
            b"<" => RedirectKind::Read(target),
            b"<>" => RedirectKind::ReadWrite(target),
            b">>" => RedirectKind::Append(target),
            b"<&" => RedirectKind::Duplicate { word: target, default_fd: 0 },
            b">&" => RedirectKind::Duplicate { word: target, default_fd: 1 },
            b">|" => RedirectKind::Clobber(target),
            _ => RedirectKind::Write(target),
        };
        Ok(Some(Redirect { fd, kind }))
    }

    fn here_redirect(&mut self, fd: Option<u32>, strip_tabs: bool) -> Parsed<Redirect> {
        let word = self.required_word()?;
        let mut delimiter = Vec::new();
        let mut quoted = false;
        for part in &word {
            match part {
                Part::Literal(text) => delimiter.extend_from_slice(text),
                Part::Quoted(text) => {
                    quoted = true;
                    delimiter.extend_from_slice(text);
                }
                Part::Double(parts) => {
                    quoted = true;
                    for part in parts {
                        let (Part::Literal(text) | Part::Quoted(text)) = part else {
                            return Err(self.error("the end mark of a here-document is not plain"));
                        };
                        delimiter.extend_from_slice(text);
                    }
                }
                _ => return Err(self.error("the end mark of a here-document is not plain")),
            }
        }
        let body = Arc::new(OnceLock::new());
        self.pending.push(Pending { delimiter, quoted, strip_tabs, body: body.clone() });
        Ok(Redirect { fd, kind: RedirectKind::Here(body) })
    }
}
