//! Text to nodes: the limits, the words for syntax errors, and the step from the KDL library's document to our
//! own small tree, in which every value has its place. It knows nothing of the spec language.

use kdl::{KdlDocument, KdlEntry, KdlNode, KdlValue};

use crate::diagnostic::Diagnostic;
use crate::hints;
use crate::language::Language;
use crate::lexer::{TokenKind, tokens};
use crate::source::{Place, Sources};

/// Largest text read: a hundred times any spec seen, and still parsed in well under a second.
pub const MAX_SOURCE_BYTES: usize = 1 << 20;

/// Most syntax errors shown for one text: after that many, the rest are consequences.
const MAX_SYNTAX_ERRORS: usize = 20;

/// One node as written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Node {
    /// Its name and where that is.
    pub name: String,
    /// Where the name is.
    pub place: Place,
    /// Arguments and properties in the order written.
    pub entries: Vec<Entry>,
    /// Nodes of the block behind it.
    pub children: Vec<Node>,
    /// A type annotation, which the language never uses.
    pub annotation: Option<Place>,
}

/// An argument or property as written.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// The property's name, and where it is.
    pub key: Option<(String, Place)>,
    /// The value.
    pub value: KdlValue,
    /// The value as it stands in the text.
    pub written: String,
    /// Where the whole entry is.
    pub place: Place,
    /// Where the value is.
    pub value_place: Place,
    /// Whether it carries a type annotation, which the language never uses.
    pub annotated: bool,
}

/// Parses the source of this number.
pub(crate) fn parse(sources: &Sources, number: usize) -> Result<Vec<Node>, Vec<Diagnostic>> {
    let text = sources.get(number).map_or("", |source| source.text.as_str());
    let reader = Reader { sources, number, text };
    reader.refuse_beyond_limits()?;
    let tokens = tokens(text);
    let hints = hints::hints(sources, number, &tokens)?;
    // The KDL parser recurses while it recovers from errors; a text with this many slips tells enough by itself.
    if hints.len() >= MAX_SYNTAX_ERRORS {
        return Err(hints);
    }
    match KdlDocument::parse_v2(text) {
        Ok(document) if hints.is_empty() => Ok(reader.nodes(&document)),
        Ok(_) => Err(hints),
        Err(error) => Err(reader.syntax_errors(hints, error.diagnostics)),
    }
}

struct Reader<'a> {
    sources: &'a Sources,
    number: usize,
    text: &'a str,
}

impl Reader<'_> {
    fn refuse_beyond_limits(&self) -> Result<(), Vec<Diagnostic>> {
        if self.text.len() <= MAX_SOURCE_BYTES {
            return Ok(());
        }
        let message =
            format!("the file is {} bytes long; at most {MAX_SOURCE_BYTES} bytes (1 MiB) are read", self.text.len());
        Err(vec![
            Diagnostic::error("too-large", message)
                .at(self.sources.label(Place::new(self.number, 0, 0), "this file"))
                .help(self.sources.language().too_large_help()),
        ])
    }

    /// Our hints first; of the library's errors one a line, and only on lines that no hint explains. Errors about
    /// braces and about the end of the text are consequences wherever there is another error.
    fn syntax_errors(&self, hints: Vec<Diagnostic>, found: Vec<kdl::KdlDiagnostic>) -> Vec<Diagnostic> {
        let mut explained: Vec<usize> =
            hints.iter().flat_map(|hint| hint.labels.iter().map(|label| label.line)).collect();
        let (consequences, causes): (Vec<_>, Vec<_>) = found.into_iter().partition(is_consequence);
        let mut out = hints;
        for diagnostic in causes.into_iter().chain(consequences).take(MAX_SYNTAX_ERRORS) {
            let label = self
                .sources
                .label(self.clip(diagnostic.span.offset(), diagnostic.span.len()), "the text stops making sense here");
            let last_line = label.line + self.line_breaks(label.span.offset, label.span.len);
            let idle = is_consequence(&diagnostic) && !out.is_empty();
            if idle || explained.iter().any(|line| (label.line..=last_line).contains(line)) {
                continue;
            }
            explained.push(label.line);
            let language = self.sources.language();
            let (message, help) = in_our_words(diagnostic.message.as_deref().unwrap_or_default(), language);
            out.push(Diagnostic::error("syntax", message).at(label).help(help));
        }
        out = crate::diagnostic::settle(out);
        out.truncate(MAX_SYNTAX_ERRORS);
        out
    }

    fn line_breaks(&self, offset: usize, len: usize) -> usize {
        self.text.as_bytes().get(offset..offset + len).map_or(0, |bytes| bytes.iter().filter(|b| **b == b'\n').count())
    }

    fn clip(&self, offset: usize, len: usize) -> Place {
        let offset = offset.min(self.text.len());
        Place::new(self.number, offset, len.min(self.text.len() - offset))
    }

    fn nodes(&self, document: &KdlDocument) -> Vec<Node> {
        document.nodes().iter().map(|node| self.node(node)).collect()
    }

    fn node(&self, node: &KdlNode) -> Node {
        Node {
            name: node.name().value().to_owned(),
            place: self.clip(node.name().span().offset(), node.name().span().len()),
            entries: node.entries().iter().map(|entry| self.entry(entry)).collect(),
            children: node.children().map(|children| self.nodes(children)).unwrap_or_default(),
            annotation: node.ty().map(|ty| self.clip(ty.span().offset(), ty.span().len())),
        }
    }

    fn entry(&self, entry: &KdlEntry) -> Entry {
        let place = self.clip(entry.span().offset(), entry.span().len());
        let written = self.text.get(place.span.offset..place.span.offset + place.span.len).unwrap_or_default();
        let skip = entry.name().map_or(0, |_| value_offset(written));
        Entry {
            // The library's span of a name takes in the `=`, so the place is made from the name's own length.
            key: entry.name().map(|name| {
                (name.value().to_owned(), Place::new(self.number, place.span.offset, skip.saturating_sub(1).max(1)))
            }),
            value: entry.value().clone(),
            written: written.get(skip..).unwrap_or_default().to_owned(),
            place,
            value_place: Place::new(self.number, place.span.offset + skip, place.span.len.saturating_sub(skip)),
            annotated: entry.ty().is_some(),
        }
    }
}

/// Where the value begins in `name=value`.
fn value_offset(written: &str) -> usize {
    let all = tokens(written);
    let after = all.iter().skip_while(|token| token.kind != TokenKind::Equals).skip(1);
    after.filter(|token| token.kind != TokenKind::Space).map(|token| token.start).next().unwrap_or(0)
}

fn is_consequence(diagnostic: &kdl::KdlDiagnostic) -> bool {
    diagnostic
        .message
        .as_deref()
        .is_some_and(|message| message.contains("losing '}'") || message == "Expected end of document")
}

/// What is wrong and what to do, for a message of the library, which speaks of its grammar.
fn in_our_words(message: &str, language: Language) -> (&'static str, String) {
    let says = |part: &str| message.contains(part);
    let line = || language.line_help();
    if message == "Expected end of document" {
        ("this cannot stand here", line())
    } else if says("instead of node name") {
        let help = format!("write in front of it what it belongs to, as in: {}", language.block());
        ("no name stands in front of this block", help)
    } else if says("node name") {
        ("a line must begin with a name", line())
    } else if says("multi-line") || says("multiline") || says("Multi-line") {
        (
            "this text of several lines is not written as one",
            "`\"\"\"` ends the line before the text and stands alone behind it; no line of the text begins further left than the last `\"\"\"`".to_owned(),
        )
    } else if says("newline in single-line") || says("closing quote") {
        ("this text is never closed", "close it with `\"` on the same line".to_owned())
    } else if says("quoted string") {
        (
            "this text cannot be read",
            "a `\\` in a text is written `\\\\`, a `\"` is written `\\\"`; a character by its number is written `\\u{1F600}`".to_owned(),
        )
    } else if says("number") || says("float") || says("integer") || says("Non-digit") {
        ("this is no number", "paths, versions and values with units stand in quotes".to_owned())
    } else if says("'}'") {
        ("something in this block cannot be read", line())
    } else if says("type annotation") {
        ("parentheses mean nothing here", "text that holds parentheses stands in quotes".to_owned())
    } else if says("identifier") {
        (
            "this word cannot be read",
            "text with other characters than letters, digits, `-`, `_` and `.` stands in quotes".to_owned(),
        )
    } else {
        ("this cannot be read", line())
    }
}
