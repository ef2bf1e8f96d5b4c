//! Expansion of words: parameters, substitutions, arithmetic, field splitting and pathnames (POSIX.1 XCU 2.6).

use std::sync::Arc;

use tree::TreePath;

use crate::ast::{List, Operation, Parameter, Part, Word};
use crate::pattern::{self, Pattern};
use crate::session::Unknown;
use crate::shell::{Eval, Shell, Stop};
use crate::stream::{Buffer, Stream};

/// A piece of an expanded word before it is split into fields.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Item {
    /// Text of the script outside quotes.
    Plain(u8),
    Quoted(u8),
    /// What an expansion gave outside quotes: it is split at `IFS`.
    Split(u8),
    /// The end of a field of `$@`.
    Break,
    /// Quotes, which keep an empty field.
    Mark,
}

/// How literal text of a word counts.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Literal {
    Plain,
    Quoted,
    /// In the word of an unquoted `${x:-word}`.
    Split,
}

impl Shell<'_> {
    /// Expands words to fields.
    pub(crate) fn expand_words(&mut self, words: &[Word]) -> Eval<Vec<Vec<u8>>> {
        let mut fields = Vec::new();
        for word in words {
            let mut items = Vec::new();
            self.items(word, Literal::Plain, &mut items)?;
            for field in self.split(&items) {
                self.pathnames(field, &mut fields)?;
            }
        }
        Ok(fields)
    }

    /// Expands a word to one text, without splitting and pathnames.
    pub(crate) fn expand_text(&mut self, word: &Word) -> Eval<Vec<u8>> {
        Ok(self.expand_pattern(word)?.into_iter().map(|(byte, _)| byte).collect())
    }

    /// Expands a word to a pattern.
    pub(crate) fn expand_pattern(&mut self, word: &Word) -> Eval<Vec<(u8, bool)>> {
        let mut items = Vec::new();
        self.items(word, Literal::Plain, &mut items)?;
        let bytes = items.into_iter().filter_map(|item| match item {
            Item::Plain(byte) | Item::Split(byte) => Some((byte, false)),
            Item::Quoted(byte) => Some((byte, true)),
            Item::Break => Some((b' ', true)),
            Item::Mark => None,
        });
        Ok(bytes.collect())
    }

    /// Whether a text matches a pattern, counted as work.
    pub(crate) fn matches(&mut self, pattern: &Pattern, text: &[u8]) -> Result<bool, Unknown> {
        self.work((pattern.len() * text.len() / 16) as u64 + 1)?;
        Ok(pattern::matches(pattern, text))
    }

    /// That a parameter is not set, where `set -u` forbids it.
    pub(crate) fn unset(&mut self, name: &[u8]) -> Result<Stop, Unknown> {
        self.complain(&format!("{}: parameter not set", String::from_utf8_lossy(name)))?;
        Ok(Stop::Exit(2))
    }

    fn items(&mut self, word: &Word, literal: Literal, out: &mut Vec<Item>) -> Eval<()> {
        for part in word {
            match part {
                Part::Literal(text) => out.extend(text.iter().map(|&byte| match literal {
                    Literal::Plain => Item::Plain(byte),
                    Literal::Quoted => Item::Quoted(byte),
                    Literal::Split => Item::Split(byte),
                })),
                Part::Quoted(text) => {
                    out.push(Item::Mark);
                    out.extend(text.iter().map(|&byte| Item::Quoted(byte)));
                }
                Part::Double(parts) => {
                    if !self.is_no_arguments(parts) {
                        out.push(Item::Mark);
                    }
                    self.items(parts, Literal::Quoted, out)?;
                }
                Part::Parameter(parameter) => self.parameter(parameter, literal, out)?,
                Part::Substitution(list) => {
                    let text = self.substitute(list)?;
                    push(&text, literal, out);
                }
                Part::Arithmetic(word) => {
                    let text = self.expand_text(word)?;
                    let value = self.arithmetic(&text)?;
                    push(value.to_string().as_bytes(), literal, out);
                }
                Part::Tilde(name) => {
                    let home = match &name[..] {
                        b"" => self.state.vars.get(b"HOME").map(<[u8]>::to_vec),
                        b"root" => Some(b"/root".to_vec()),
                        _ => None,
                    };
                    let home = home.ok_or_else(|| self.unknown("a home folder after `~`"))?;
                    push(&home, Literal::Quoted, out);
                }
            }
            self.spend_bytes(0)?;
        }
        self.work(out.len() as u64 / 64)?;
        Ok(())
    }

    fn is_no_arguments(&self, parts: &Word) -> bool {
        match &parts[..] {
            [Part::Parameter(parameter)] => {
                parameter.name == b"@" && matches!(parameter.operation, Operation::Plain) && self.state.args.is_empty()
            }
            _ => false,
        }
    }

    fn parameter(&mut self, parameter: &Parameter, literal: Literal, out: &mut Vec<Item>) -> Eval<()> {
        let name = &parameter.name;
        let list = name == b"@" || name == b"*";
        let value = if list { None } else { self.value(name) };
        let is_set = if list { !self.state.args.is_empty() } else { value.is_some() };
        match &parameter.operation {
            Operation::Condition { sign, colon, word } => {
                let empty = if list {
                    self.state.args.iter().all(Vec::is_empty)
                } else {
                    value.as_deref().unwrap_or_default().is_empty()
                };
                let counts = is_set && !(*colon && empty);
                self.condition(parameter, (*sign, counts), word, value, literal, out)
            }
            Operation::Foreign(text) => {
                let (name, text) = (String::from_utf8_lossy(name), String::from_utf8_lossy(text));
                Err(self.unknown(format!("the expansion ${{{name}{text}}}")).into())
            }
            Operation::Plain if list => {
                self.arguments(name == b"*", literal, out);
                Ok(())
            }
            _ if list => Err(self.unknown("an operation on all arguments").into()),
            _ if value.is_none() && self.state.options.nounset => Err(self.unset(name)?),
            Operation::Plain => {
                push(&value.unwrap_or_default(), literal, out);
                Ok(())
            }
            Operation::Length => {
                push(value.unwrap_or_default().len().to_string().as_bytes(), literal, out);
                Ok(())
            }
            Operation::Trim { suffix, longest, word } => {
                let pattern = self.expand_pattern(word)?;
                let value = value.unwrap_or_default();
                let kept = self.trim(&value, &pattern, *suffix, *longest)?;
                push(kept, literal, out);
                Ok(())
            }
        }
    }

    fn condition(
        &mut self,
        parameter: &Parameter,
        (sign, counts): (u8, bool),
        word: &Word,
        value: Option<Vec<u8>>,
        literal: Literal,
        out: &mut Vec<Item>,
    ) -> Eval<()> {
        let name = &parameter.name;
        let inner = if literal == Literal::Quoted { Literal::Quoted } else { Literal::Split };
        match (sign, counts) {
            (b'+', true) | (b'-', false) => self.items(word, inner, out),
            (b'+', false) => Ok(()),
            (b'=', false) => {
                if !crate::variables::is_name(name) {
                    return Err(self.unknown("an assignment to an argument").into());
                }
                let value = self.expand_text(word)?;
                self.assign(name, value.clone())?;
                push(&value, literal, out);
                Ok(())
            }
            (b'?', false) => {
                let message = self.expand_text(word)?;
                let message = if message.is_empty() { b"parameter not set".to_vec() } else { message };
                self.complain(&format!("{}: {}", String::from_utf8_lossy(name), String::from_utf8_lossy(&message)))?;
                Err(Stop::Exit(2))
            }
            _ if name == b"@" || name == b"*" => {
                self.arguments(name == b"*", literal, out);
                Ok(())
            }
            _ => {
                push(&value.unwrap_or_default(), literal, out);
                Ok(())
            }
        }
    }

    fn arguments(&self, joined: bool, literal: Literal, out: &mut Vec<Item>) {
        let separator = match self.state.vars.get(b"IFS") {
            None => Some(b' '),
            Some(ifs) => ifs.first().copied(),
        };
        for (index, arg) in self.state.args.iter().enumerate() {
            match (index, joined && literal == Literal::Quoted) {
                (0, _) => {}
                (_, true) => out.extend(separator.map(Item::Quoted)),
                (_, false) => out.push(Item::Break),
            }
            if literal == Literal::Quoted {
                out.push(Item::Mark);
            }
            push(arg, literal, out);
        }
    }

    /// The value of a parameter that is not a list.
    fn value(&self, name: &[u8]) -> Option<Vec<u8>> {
        match name {
            b"#" => Some(self.state.args.len().to_string().into_bytes()),
            b"?" => Some(self.state.status.to_string().into_bytes()),
            b"$" => Some(b"2".to_vec()),
            b"!" => None,
            b"-" => Some(self.flags()),
            b"0" => Some(self.state.name.clone()),
            _ if name.first().is_some_and(u8::is_ascii_digit) => {
                let index: usize = std::str::from_utf8(name).ok()?.parse().ok()?;
                self.state.args.get(index.checked_sub(1)?).cloned()
            }
            b"LINENO" => Some(self.line.to_string().into_bytes()),
            _ => self.state.vars.get(name).map(<[u8]>::to_vec),
        }
    }

    fn flags(&self) -> Vec<u8> {
        let options = &self.state.options;
        let all = [
            (options.nounset, b'u'),
            (options.allexport, b'a'),
            (options.noclobber, b'C'),
            (options.xtrace, b'x'),
            (options.noglob, b'f'),
            (options.errexit, b'e'),
        ];
        all.into_iter().filter(|(on, _)| *on).map(|(_, letter)| letter).collect()
    }

    fn trim<'v>(
        &mut self,
        value: &'v [u8],
        pattern: &Pattern,
        suffix: bool,
        longest: bool,
    ) -> Result<&'v [u8], Unknown> {
        let mut cuts: Vec<usize> = (0..=value.len()).collect();
        if suffix != longest {
            cuts.reverse();
        }
        for cut in cuts {
            let (cut_off, kept) = if suffix { (&value[cut..], &value[..cut]) } else { (&value[..cut], &value[cut..]) };
            if self.matches(pattern, cut_off)? {
                return Ok(kept);
            }
        }
        Ok(value)
    }

    fn substitute(&mut self, list: &Arc<List>) -> Eval<Vec<u8>> {
        let buffer = Buffer::default();
        let line = self.line;
        let status = self.subshell(|shell| {
            shell.state.fds.insert(1, Stream::Output(buffer.clone()));
            shell.tested = false;
            shell.list(list)
        })?;
        self.line = line;
        self.substitution_status = Some(status);
        self.state.status = status;
        let mut text = buffer.take();
        text.retain(|byte| *byte != 0);
        while text.last() == Some(&b'\n') {
            text.pop();
        }
        Ok(text)
    }

    fn split(&self, items: &[Item]) -> Vec<Vec<(u8, bool)>> {
        #[derive(PartialEq)]
        enum At {
            Start,
            AfterBlank,
            AfterDelimiter,
            InField,
        }
        let ifs = self.state.vars.get(b"IFS").unwrap_or(b" \t\n");
        let mut fields = Vec::new();
        let mut field = Vec::new();
        let mut at = At::Start;
        for item in items {
            match *item {
                Item::Split(byte) if ifs.contains(&byte) => {
                    let blank = b" \t\n".contains(&byte);
                    match at {
                        At::InField => fields.push(std::mem::take(&mut field)),
                        At::Start | At::AfterDelimiter if !blank => fields.push(Vec::new()),
                        _ => {}
                    }
                    at = match (blank, at) {
                        (false, _) => At::AfterDelimiter,
                        (true, At::InField) => At::AfterBlank,
                        (true, before) => before,
                    };
                }
                Item::Break => {
                    if at == At::InField {
                        fields.push(std::mem::take(&mut field));
                    }
                    at = At::Start;
                }
                Item::Mark => at = At::InField,
                Item::Plain(byte) | Item::Split(byte) => {
                    field.push((byte, false));
                    at = At::InField;
                }
                Item::Quoted(byte) => {
                    field.push((byte, true));
                    at = At::InField;
                }
            }
        }
        if at == At::InField {
            fields.push(field);
        }
        fields
    }

    fn pathnames(&mut self, field: Vec<(u8, bool)>, out: &mut Vec<Vec<u8>>) -> Eval<()> {
        if !self.state.options.noglob && pattern::is_magic(&field) {
            let found = self.glob(&field)?;
            if !found.is_empty() {
                out.extend(found);
                return Ok(());
            }
        }
        out.push(field.into_iter().map(|(byte, _)| byte).collect());
        Ok(())
    }

    /// The paths that match a pattern, sorted; none when nothing does.
    fn glob(&mut self, pattern: &Pattern) -> Eval<Vec<Vec<u8>>> {
        let mut found: Vec<Vec<u8>> = vec![Vec::new()];
        let parts: Vec<&Pattern> = pattern.split(|(byte, _)| *byte == b'/').collect();
        for (index, part) in parts.iter().enumerate() {
            let mut next = Vec::new();
            for path in found {
                self.glob_part(path, part, index, &mut next)?;
            }
            found = next;
        }
        found.retain(|path| self.fs.resolve_link(&self.state.cwd, path).is_ok());
        found.sort();
        Ok(found)
    }

    fn glob_part(&mut self, path: Vec<u8>, part: &Pattern, index: usize, next: &mut Vec<Vec<u8>>) -> Eval<()> {
        let prefix = if index == 0 { path } else { [&path[..], b"/"].concat() };
        if !pattern::is_magic(part) {
            next.push(prefix.into_iter().chain(part.iter().map(|(byte, _)| *byte)).collect());
            return Ok(());
        }
        let folder =
            if prefix.is_empty() { Ok(self.state.cwd.clone()) } else { self.fs.resolve(&self.state.cwd, &prefix) };
        let Ok(folder) = folder else { return Ok(()) };
        let dotted = part.first().is_some_and(|(byte, _)| *byte == b'.');
        let mut names = self.members(&folder)?;
        if dotted {
            names.extend([b".".to_vec(), b"..".to_vec()]);
        }
        for name in names.iter().filter(|name| dotted || !name.starts_with(b".")) {
            if self.matches(part, name)? {
                next.push([&prefix[..], name].concat());
            }
        }
        Ok(())
    }

    fn members(&mut self, folder: &TreePath) -> Result<Vec<Vec<u8>>, Unknown> {
        let names = self.fs.children(folder);
        self.work(names.len() as u64)?;
        Ok(names)
    }
}

fn push(text: &[u8], literal: Literal, out: &mut Vec<Item>) {
    out.extend(
        text.iter().map(|&byte| if literal == Literal::Quoted { Item::Quoted(byte) } else { Item::Split(byte) }),
    );
}
