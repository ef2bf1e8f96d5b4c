//! Lines of a lock as nodes: the part of KDL that locks are written in, without recursion and with bounds.
//!
//! One node is one line: a bare name, quoted strings or whole numbers, `name=value` properties, `{` at the end to
//! open children. Blank lines and `//` comments may stand between.

use super::parse::LockError;

/// One line of a lock.
#[derive(Debug, Clone, Default)]
pub(super) struct Node {
    pub(super) name: String,
    pub(super) arguments: Vec<String>,
    pub(super) properties: Vec<(String, String)>,
    /// Whether children follow.
    pub(super) opens: bool,
    pub(super) line: usize,
}

/// The most values of one line.
const MAX_VALUES: usize = 32;

/// Reads a line; `None` when it says nothing.
pub(super) fn read_line(text: &str, line: usize) -> Result<Option<Node>, LockError> {
    let wrong = |problem: &str| LockError::Syntax { line, problem: problem.to_owned() };
    let mut rest = text.trim();
    if rest.is_empty() || rest.starts_with("//") {
        return Ok(None);
    }
    if rest.starts_with("<<<<<<<") || rest.starts_with("=======") || rest.starts_with(">>>>>>>") {
        return Err(wrong("two versions were merged here and not settled"));
    }
    let name_len = if rest.starts_with('}') { 1 } else { bare_len(rest) };
    let (name, after) = rest.split_at(name_len);
    if name.is_empty() {
        return Err(wrong("a name is expected here"));
    }
    let mut node = Node { name: name.to_owned(), line, ..Node::default() };
    rest = after;
    while !rest.trim_start().is_empty() {
        if !rest.starts_with([' ', '\t']) || node.opens || node.arguments.len() + node.properties.len() == MAX_VALUES {
            return Err(wrong("this does not belong here"));
        }
        rest = read_part(&mut node, rest.trim_start()).ok_or_else(|| wrong("a value cannot be read"))?;
    }
    Ok(Some(node))
}

/// Reads an argument, a property or the opening bracket; gives what follows.
fn read_part<'a>(node: &mut Node, text: &'a str) -> Option<&'a str> {
    if let Some(rest) = text.strip_prefix('{') {
        node.opens = true;
        return Some(rest);
    }
    if !text.starts_with(|c: char| c.is_ascii_alphabetic()) {
        let (value, rest) = read_value(text)?;
        node.arguments.push(value);
        return Some(rest);
    }
    let (name, rest) = text.split_at(bare_len(text));
    let (value, rest) = read_value(rest.strip_prefix('=')?)?;
    node.properties.push((name.to_owned(), value));
    Some(rest)
}

fn bare_len(text: &str) -> usize {
    text.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-')).unwrap_or(text.len())
}

fn read_value(text: &str) -> Option<(String, &str)> {
    match text.strip_prefix('"') {
        Some(quoted) => read_string(quoted),
        None => {
            let (digits, rest) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
            (!digits.is_empty()).then(|| (digits.to_owned(), rest))
        }
    }
}

fn read_string(text: &str) -> Option<(String, &str)> {
    let mut out = String::new();
    let mut chars = text.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some((out, text.get(at + 1..)?)),
            '\\' => match chars.next()?.1 {
                'u' => out.push(read_unicode(&mut chars)?),
                'n' => out.push('\n'),
                'r' => out.push('\r'),
                't' => out.push('\t'),
                c @ ('"' | '\\') => out.push(c),
                _ => return None,
            },
            c => out.push(c),
        }
    }
    None
}

/// `{X}` with one to six hexadecimal digits.
fn read_unicode(chars: &mut std::str::CharIndices<'_>) -> Option<char> {
    if chars.next()?.1 != '{' {
        return None;
    }
    let mut code = 0;
    for digits in 0..=6 {
        match chars.next()?.1 {
            '}' if digits > 0 => return char::from_u32(code),
            c => code = code * 16 + c.to_digit(16)?,
        }
    }
    None
}
