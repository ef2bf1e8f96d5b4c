//! Text to nodes: the limits, the words for syntax errors, and the step from the KDL library's document to our
//! own small tree, in which every value has its place. It knows nothing of the spec language.

use kdl::{KdlDocument, KdlEntry, KdlNode, KdlValue};

use crate::diagnostic::Diagnostic;
use crate::hints;
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
            format!("the spec is {} bytes long; at most {MAX_SOURCE_BYTES} bytes (1 MiB) are read", self.text.len());
        Err(vec![
            Diagnostic::error("too-large", message)
                .at(self.sources.label(Place::new(self.number, 0, 0), "this file"))
                .help(
                    "move large contents into files beside the spec and take them in with `file \"/path\" from=\"…\"`",
                ),
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
            let message = in_our_words(diagnostic.message.as_deref().unwrap_or("this is not KDL"));
            out.push(
                Diagnostic::error("syntax", message)
                    .at(label)
                    .help(diagnostic.help.unwrap_or_else(|| SYNTAX_HELP.to_owned())),
            );
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

const SYNTAX_HELP: &str =
    "a node is a name, values, name=value pairs and perhaps a { block }: `service \"web\" user=\"www\" { … }`";

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

fn in_our_words(message: &str) -> String {
    match message {
        "Expected end of document" => "this cannot stand here".to_owned(),
        "Found invalid node name" => "a node must begin with a name".to_owned(),
        "Expected quoted string" => "this text holds an escape that KDL does not know".to_owned(),
        other => {
            let mut chars = other.chars();
            chars.next().map(|first| first.to_lowercase().chain(chars).collect()).unwrap_or_default()
        }
    }
}
