//! Reads the text of an expression, basic or extended (POSIX.1 XBD 9.3 and 9.4).

use super::{Flavor, Node, Regex, RegexError};
use crate::pattern::in_class;

/// Nesting of groups and count of repetitions that are accepted.
const DEPTH: u32 = 30;
const REPEATS: u32 = 255;

struct Reader<'p> {
    pattern: &'p [u8],
    at: usize,
    flavor: Flavor,
    groups: usize,
    depth: u32,
}

pub(super) fn parse(pattern: &[u8], flavor: Flavor) -> Result<Regex, RegexError> {
    let mut reader = Reader { pattern, at: 0, flavor, groups: 0, depth: 0 };
    let node = reader.alternatives()?;
    if reader.at < pattern.len() || pattern.len() > 1 << 14 {
        return Err(reader.wrong());
    }
    Ok(Regex { node, groups: reader.groups })
}

impl Reader<'_> {
    fn wrong(&self) -> RegexError {
        RegexError(format!("the regular expression `{}`", String::from_utf8_lossy(self.pattern)))
    }

    /// Whether an operator stands here: bare in extended syntax, after a backslash in basic.
    fn at_operator(&self, operator: u8) -> bool {
        let rest = &self.pattern[self.at..];
        if self.flavor.extended { rest.first() == Some(&operator) } else { rest.starts_with(&[b'\\', operator]) }
    }

    fn take_operator(&mut self, operator: u8) -> bool {
        let found = self.at_operator(operator);
        if found {
            self.at += if self.flavor.extended { 1 } else { 2 };
        }
        found
    }

    fn alternatives(&mut self) -> Result<Node, RegexError> {
        if self.depth > DEPTH {
            return Err(self.wrong());
        }
        self.depth += 1;
        let mut all = vec![self.sequence()?];
        while self.take_operator(b'|') {
            all.push(self.sequence()?);
        }
        self.depth -= 1;
        Ok(if all.len() == 1 { all.remove(0) } else { Node::Either(all) })
    }

    fn sequence(&mut self) -> Result<Node, RegexError> {
        let mut nodes = Vec::new();
        while self.at < self.pattern.len() && !self.at_operator(b'|') && !(self.depth > 1 && self.at_operator(b')')) {
            let start = nodes.iter().all(|node| matches!(node, Node::Start));
            let node = self.atom(start)?;
            nodes.push(self.repeated(node)?);
        }
        Ok(match nodes.len() {
            0 => Node::Empty,
            1 => nodes.remove(0),
            _ => Node::Sequence(nodes),
        })
    }

    fn atom(&mut self, start: bool) -> Result<Node, RegexError> {
        if self.take_operator(b'(') {
            self.groups += 1;
            let group = self.groups;
            let node = self.alternatives()?;
            return if self.take_operator(b')') { Ok(Node::Group(Box::new(node), group)) } else { Err(self.wrong()) };
        }
        let byte = self.pattern[self.at];
        self.at += 1;
        match byte {
            b'.' => Ok(Node::Any),
            b'[' => self.bracket(),
            b'^' if self.flavor.extended || start => Ok(Node::Start),
            b'$' if self.flavor.extended || self.at_end() => Ok(Node::End),
            b'*' if !self.flavor.extended && start => Ok(Node::Byte(b'*')),
            b'*' | b'+' | b'?' | b'{' if self.flavor.extended => Err(self.wrong()),
            b'\\' => self.escape(),
            byte => Ok(self.byte(byte)),
        }
    }

    fn at_end(&self) -> bool {
        self.at == self.pattern.len() || self.at_operator(b'|') || (self.depth > 1 && self.at_operator(b')'))
    }

    fn byte(&self, byte: u8) -> Node {
        if self.flavor.ignore_case && byte.is_ascii_alphabetic() {
            let mut set = Box::new([false; 256]);
            set[byte.to_ascii_lowercase() as usize] = true;
            set[byte.to_ascii_uppercase() as usize] = true;
            return Node::Set(set);
        }
        Node::Byte(byte)
    }

    fn escape(&mut self) -> Result<Node, RegexError> {
        let Some(&byte) = self.pattern.get(self.at) else { return Err(self.wrong()) };
        self.at += 1;
        let class = |negated: bool, check: fn(u8) -> bool| {
            Node::Set(Box::new(std::array::from_fn(|byte| check(byte as u8) != negated)))
        };
        Ok(match byte {
            b'1'..=b'9' => {
                let group = usize::from(byte - b'0');
                if group > self.groups {
                    return Err(self.wrong());
                }
                Node::Back(group)
            }
            b'n' => Node::Byte(b'\n'),
            b't' => Node::Byte(b'\t'),
            b'<' => Node::WordStart,
            b'>' => Node::WordEnd,
            b'b' => Node::WordBoundary,
            b'B' => Node::NotWordBoundary,
            b'w' | b'W' => class(byte == b'W', is_word),
            b's' | b'S' => class(byte == b'S', |byte| byte.is_ascii_whitespace() || byte == 11),
            byte if byte.is_ascii_alphanumeric() || byte == b'`' || byte == b'\'' => return Err(self.wrong()),
            b'+' | b'?' | b'{' | b'}' | b'(' | b')' | b'|' if !self.flavor.extended => return Err(self.wrong()),
            byte => Node::Byte(byte),
        })
    }

    fn repeated(&mut self, mut node: Node) -> Result<Node, RegexError> {
        loop {
            let anchor = matches!(node, Node::Start | Node::End | Node::WordStart | Node::WordEnd | Node::WordBoundary);
            let (least, most) = if self.pattern.get(self.at) == Some(&b'*') {
                if anchor && !self.flavor.extended {
                    return Ok(node);
                }
                self.at += 1;
                (0, u32::MAX)
            } else if self.take_operator(b'+') {
                (1, u32::MAX)
            } else if self.take_operator(b'?') {
                (0, 1)
            } else if self.take_operator(b'{') {
                self.interval()?
            } else {
                return Ok(node);
            };
            if anchor || (matches!(node, Node::Repeat { .. }) && most > 1) {
                return Err(self.wrong());
            }
            node = Node::Repeat { node: Box::new(node), least, most };
        }
    }

    fn interval(&mut self) -> Result<(u32, u32), RegexError> {
        let least = self.count();
        let most = match self.pattern.get(self.at) {
            Some(b',') => {
                self.at += 1;
                self.count().or(Some(u32::MAX))
            }
            _ => least,
        };
        let least = least.unwrap_or(0);
        match most {
            Some(most)
                if self.take_operator(b'}')
                    && least <= most
                    && least <= REPEATS
                    && (most <= REPEATS || most == u32::MAX) =>
            {
                Ok((least, most))
            }
            _ => Err(self.wrong()),
        }
    }

    fn count(&mut self) -> Option<u32> {
        let rest = &self.pattern[self.at..];
        let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
        self.at += digits;
        std::str::from_utf8(&rest[..digits]).ok()?.parse().ok()
    }

    fn bracket(&mut self) -> Result<Node, RegexError> {
        let mut set = Box::new([false; 256]);
        let negated = self.pattern.get(self.at) == Some(&b'^');
        self.at += usize::from(negated);
        let first = self.at;
        loop {
            let rest = &self.pattern[self.at..];
            match rest {
                [b']', ..] if self.at > first => break,
                [b'[', b':', after @ ..] => {
                    let end = after.windows(2).position(|pair| pair == b":]").ok_or_else(|| self.wrong())?;
                    for byte in 0..=255 {
                        set[usize::from(byte)] |= in_class(&after[..end], byte).ok_or_else(|| self.wrong())?;
                    }
                    self.at += end + 4;
                }
                [b'[', b'.' | b'=', ..] | [] => return Err(self.wrong()),
                [low, b'-', high, ..] if *high != b']' => {
                    if high < low || *high == b'[' || *high == b'\\' {
                        return Err(self.wrong());
                    }
                    set[usize::from(*low)..=usize::from(*high)].fill(true);
                    self.at += 3;
                }
                // GNU's sed takes these two for a tab and a newline, grep for two bytes each.
                [b'\\', b'n' | b't', ..] => return Err(self.wrong()),
                [byte, ..] => {
                    set[usize::from(*byte)] = true;
                    self.at += 1;
                }
            }
        }
        self.at += 1;
        if self.flavor.ignore_case {
            for byte in b'a'..=b'z' {
                let either = set[usize::from(byte)] || set[usize::from(byte.to_ascii_uppercase())];
                set[usize::from(byte)] = either;
                set[usize::from(byte.to_ascii_uppercase())] = either;
            }
        }
        if negated {
            set.iter_mut().for_each(|member| *member = !*member);
        }
        Ok(Node::Set(set))
    }
}

pub(super) fn is_word(byte: u8) -> bool {
    byte == b'_' || byte.is_ascii_alphanumeric()
}
