//! The fully expanded spec: every value of a checked appliance as KDL, with where it came from behind it. The
//! text is a valid spec again, and checks to the same appliance.

use crate::check::Checked;
use crate::origin::Origins;
use crate::sections;

/// What a value is from when nobody wrote it and no base image gave it.
pub(crate) const BUILT_IN: &str = "built-in";

/// Prints a checked appliance with every default, and the origin of each value as a comment.
pub fn explain(checked: &Checked) -> String {
    let mut page = Page { out: String::new(), depth: 0, prefix: Vec::new(), origins: &checked.origins };
    sections::explain(&checked.appliance, &checked.of_base, &mut page);
    page.out
}

/// The text being written.
pub(crate) struct Page<'a> {
    out: String,
    depth: usize,
    /// Keys of the blocks that are open.
    prefix: Vec<String>,
    origins: &'a Origins,
}

impl<'a> Page<'a> {
    /// Begins a node whose origin has this key; `default` is where it is from when it was not written.
    pub fn node(&mut self, name: &str, key: &str, default: &str) -> Line<'_, 'a> {
        let key = self.prefix.last().map_or_else(|| key.to_owned(), |block| format!("{block}/{key}"));
        let origin = self.origins.get(&key).unwrap_or(default).to_owned();
        Line { page: self, text: name.to_owned(), key, origin, others: Vec::new() }
    }

    /// Where the value of a key outside of all blocks was written, if it was.
    pub fn written(&self, key: &str) -> Option<&'a str> {
        self.origins.get(key)
    }

    /// A line that is only said, and no part of the spec.
    pub fn remark(&mut self, text: &str) {
        self.indent();
        self.out.push_str(&format!("// {text}\n"));
    }

    /// Ends the innermost block.
    pub fn close(&mut self) {
        self.prefix.pop();
        self.depth = self.depth.saturating_sub(1);
        self.indent();
        self.out.push_str("}\n");
    }

    fn indent(&mut self) {
        self.out.push_str(&"    ".repeat(self.depth));
    }
}

/// A node being written.
pub(crate) struct Line<'p, 'a> {
    page: &'p mut Page<'a>,
    text: String,
    key: String,
    origin: String,
    others: Vec<(String, String)>,
}

impl Line<'_, '_> {
    /// An argument in quotes.
    pub fn arg(self, text: &str) -> Self {
        self.bare(&quoted(text))
    }

    /// Arguments in quotes.
    pub fn args<'t>(self, texts: impl IntoIterator<Item = &'t String>) -> Self {
        texts.into_iter().fold(self, |line, text| line.arg(text))
    }

    /// An argument as it stands.
    pub fn bare(mut self, text: &str) -> Self {
        self.text = format!("{} {text}", self.text);
        self
    }

    /// A property in quotes, from `default` unless it was written.
    pub fn prop(mut self, name: &str, text: &str, default: &str) -> Self {
        self.note(name, default);
        self.bare(&format!("{}={}", key_text(name), quoted(text)))
    }

    /// A property in quotes that the whole node is about: its origin is the node's.
    pub fn only_prop(self, name: &str, text: &str) -> Self {
        self.bare(&format!("{}={}", key_text(name), quoted(text)))
    }

    /// A property as it stands.
    pub fn bare_prop(mut self, name: &str, text: &str, default: &str) -> Self {
        self.note(name, default);
        self.bare(&format!("{name}={text}"))
    }

    /// A property in quotes, if there is one.
    pub fn maybe(self, name: &str, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.prop(name, text, BUILT_IN),
            None => self,
        }
    }

    /// A property with several values in quotes, if there are any.
    pub fn list(mut self, name: &str, texts: &[String]) -> Self {
        if let Some((first, rest)) = texts.split_first() {
            self = rest.iter().fold(self.prop(name, first, BUILT_IN), |line, text| line.arg(text));
        }
        self
    }

    /// Ends the node.
    pub fn end(self) {
        self.finish("");
    }

    /// Ends the node by opening its block; keys of what follows are below this node's.
    pub fn open(self) {
        let key = self.key.clone();
        let page = self.finish(" {");
        page.depth += 1;
        page.prefix.push(key);
    }

    /// The same, but what follows keeps its own keys: the appliance's block is the top.
    pub fn open_top(self) {
        let page = self.finish(" {");
        page.depth += 1;
    }

    fn note(&mut self, name: &str, default: &str) {
        let origin = self.page.origins.get(&format!("{}.{name}", self.key)).unwrap_or(default).to_owned();
        self.others.push((name.to_owned(), origin));
    }
}

impl<'p, 'a> Line<'p, 'a> {
    fn finish(self, end: &str) -> &'p mut Page<'a> {
        let others = self.others.iter().filter(|(_, origin)| *origin != self.origin);
        let others: Vec<String> = others.map(|(name, origin)| format!("{name}: {origin}")).collect();
        let others = if others.is_empty() { String::new() } else { format!("; {}", others.join(", ")) };
        self.page.indent();
        self.page.out.push_str(&format!("{}{end} // {}{others}\n", self.text, self.origin));
        self.page
    }
}

/// Text in quotes, with escapes for everything that KDL does not take as it stands (KDL 2.0.0, sections 3.11 and 3.20).
pub(crate) fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c.is_control() || is_disallowed(c) => out.push_str(&format!("\\u{{{:x}}}", u32::from(c))),
            c => out.push(c),
        }
    }
    out.push('"');
    out
}

fn is_disallowed(c: char) -> bool {
    matches!(c, '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}' | '\u{2028}' | '\u{2029}')
}

/// A property's name, in quotes where KDL gives the bare word a meaning.
fn key_text(name: &str) -> String {
    let plain = name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '-')
        && !name.starts_with(|c: char| c.is_ascii_digit() || c == '-');
    let keyword = matches!(name, "true" | "false" | "null" | "inf" | "nan");
    if plain && !keyword { name.to_owned() } else { quoted(name) }
}
