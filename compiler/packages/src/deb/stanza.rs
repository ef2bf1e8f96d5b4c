//! Control data: paragraphs of `Name: value` fields, read without copying (Debian Policy 5.1).
//!
//! Input is text; output is one [`Stanza`] after the other. Values keep their continuation lines as written.

/// Reads the stanzas of a text in order.
#[derive(Debug, Clone)]
pub struct Stanzas<'a> {
    rest: &'a str,
    line: usize,
}

/// One paragraph: non-empty, its lines checked to be fields, continuations or comments.
#[derive(Debug, Clone, Copy)]
pub struct Stanza<'a> {
    text: &'a str,
    /// Line on which it starts, from 1.
    pub line: usize,
}

/// A line that is neither a field nor its continuation.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct StanzaError {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong, in words.
    pub problem: &'static str,
}

impl<'a> Stanzas<'a> {
    /// Reads `text` from its start.
    pub fn new(text: &'a str) -> Self {
        Self { rest: text, line: 1 }
    }

    fn take_line(&mut self) -> Option<&'a str> {
        if self.rest.is_empty() {
            return None;
        }
        let (line, rest) = self.rest.split_once('\n').unwrap_or((self.rest, ""));
        self.rest = rest;
        self.line += 1;
        Some(line)
    }
}

impl<'a> Iterator for Stanzas<'a> {
    type Item = Result<Stanza<'a>, StanzaError>;

    fn next(&mut self) -> Option<Self::Item> {
        let (start, first_line) = loop {
            let before = self.rest;
            if !is_blank(self.take_line()?) {
                break (before, self.line - 1);
            }
        };
        let mut end = start.len() - self.rest.len();
        while let Some(line) = self.take_line() {
            if is_blank(line) {
                break;
            }
            end = start.len() - self.rest.len();
        }
        let text = start.get(..end).unwrap_or_default();
        Some(check(text, first_line).map(|()| Stanza { text, line: first_line }))
    }
}

/// A separator: Debian Policy 5.1 lets it hold spaces and tabs. `\r` comes from files edited elsewhere.
fn is_blank(line: &str) -> bool {
    line.bytes().all(|c| matches!(c, b' ' | b'\t' | b'\r'))
}

fn check(text: &str, first_line: usize) -> Result<(), StanzaError> {
    let mut in_field = false;
    for (number, line) in text.lines().enumerate() {
        let problem = match line.as_bytes().first() {
            Some(b'#') => continue,
            Some(b' ' | b'\t') if in_field => continue,
            Some(b' ' | b'\t') => "a continuation line without a field before it",
            _ if field_name(line).is_some() => {
                in_field = true;
                continue;
            }
            _ => "not a `Name: value` field",
        };
        return Err(StanzaError { line: first_line + number, problem });
    }
    Ok(())
}

/// The field's name if the line starts a field: printable ASCII without spaces and colons.
fn field_name(line: &str) -> Option<&str> {
    let name = line.get(..line.find(':')?)?;
    (!name.is_empty() && !name.starts_with('-') && name.bytes().all(|c| c.is_ascii_graphic())).then_some(name)
}

impl<'a> Stanza<'a> {
    /// Its fields as written, in order: name, and value without surrounding space but with its inner line breaks.
    pub fn fields(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut rest = self.text;
        std::iter::from_fn(move || {
            while rest.starts_with('#') {
                rest = rest.split_once('\n').map_or("", |(_, after)| after);
            }
            let colon = rest.find(':')?;
            let end = end_of_field(rest);
            let name = rest.get(..colon)?;
            let value = rest.get(colon + 1..end)?.trim();
            rest = rest.get(end..)?;
            Some((name, value))
        })
    }

    /// The value of the first field of this name, whatever its case.
    pub fn get(self, name: &str) -> Option<&'a str> {
        self.fields().find(|(field, _)| field.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }
}

/// Where the field at the start of `text` ends: after the last line that continues it.
fn end_of_field(text: &str) -> usize {
    let mut end = 0;
    loop {
        let Some(rest) = text.get(end..) else { return text.len() };
        match rest.find('\n') {
            None => return text.len(),
            Some(newline) => end += newline + 1,
        }
        if !text.as_bytes().get(end).is_some_and(|c| matches!(c, b' ' | b'\t')) {
            return end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &[&[(&str, &str)]]) {
        let read: Vec<Vec<(&str, &str)>> = Stanzas::new(text).map(|s| s.unwrap().fields().collect()).collect();
        assert_eq!(read, expected, "{text:?}");
    }

    #[test]
    fn paragraphs_and_fields() {
        check("", &[]);
        check("\n \n", &[]);
        check("A: 1\nB:2", &[&[("A", "1"), ("B", "2")]]);
        check("A: 1\n\n\n# x\nB: 2\n", &[&[("A", "1")], &[("B", "2")]]);
        check("A: 1\n more\n\tand\n# note\nB:\n x\n", &[&[("A", "1\n more\n\tand"), ("B", "x")]]);
        check("A: b: c\r\n\r\nD: e\r\n", &[&[("A", "b: c")], &[("D", "e")]]);
    }

    #[test]
    fn lines_that_are_no_fields_are_named() {
        let problem = |text| Stanzas::new(text).find_map(Result::err).map(|e| e.line);
        assert_eq!(problem("A: 1\n\n continued\n"), Some(3));
        assert_eq!(problem("A: 1\nno field\n"), Some(2));
        assert_eq!(problem(": x\n"), Some(1));
        assert_eq!(problem("-A: x\n"), Some(1));
        assert_eq!(problem("A b: x\n"), Some(1));
    }
}
