//! A spec as written: its text, the fragments that it uses, and their nodes in one list, every value with its
//! place. Nothing is checked against the language yet; that is `check`.

use std::collections::BTreeMap;

use crate::diagnostic::{Diagnostic, settle};
use crate::language::Language;
use crate::no_text::{NoText, no_text, not_utf8};
use crate::source::{Place, Source, Sources};
use crate::suggest::{elsewhere, nearest};
use crate::syntax::{self, Node};

/// Most fragments that one spec may use, and how deep they may use each other.
const MAX_FRAGMENTS: usize = 64;

/// A spec whose text is KDL and whose fragments were all found.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    pub(crate) sources: Sources,
    /// The `appliance` node itself, without its block.
    pub(crate) head: Node,
    /// The nodes of its block, those of fragments in place of their `use`.
    pub(crate) body: Vec<Node>,
    /// For each source, the folder that its paths are relative to, seen from the spec's folder.
    pub(crate) folders: Vec<String>,
}

impl Spec {
    /// The texts that it was read from, for rendering diagnostics and for the digest in the lock.
    pub fn sources(&self) -> &Sources {
        &self.sources
    }

    /// The names of the bases that it asks for, whether or not there are such.
    pub fn base_names(&self) -> Vec<String> {
        crate::sections::base::names(&self.body)
    }
}

/// Why there is no [`Spec`]: everything wrong, sorted by place, and the texts that the places point into.
#[derive(Debug, Clone, PartialEq)]
pub struct Rejected {
    /// What is wrong.
    pub diagnostics: Vec<Diagnostic>,
    /// The texts read so far.
    pub sources: Sources,
    /// What could be read all the same, if it is a spec; [`crate::check_rest`] says what is wrong with it.
    pub rest: Option<Box<Spec>>,
}

/// Where the texts of fragments come from.
pub trait Fragments {
    /// The bytes of a file by its path relative to the spec's folder, or why there are none.
    fn read(&self, path: &str) -> Result<Vec<u8>, String>;

    /// Whether links lead from this path to a file that must not be read, outside of the spec's folder.
    fn leads_outside(&self, _path: &str) -> bool {
        false
    }
}

/// Fragments that were read before; an empty map for a spec that uses none.
impl Fragments for BTreeMap<String, String> {
    fn read(&self, path: &str) -> Result<Vec<u8>, String> {
        self.get(path).map(|text| text.clone().into_bytes()).ok_or_else(|| "no such file".to_owned())
    }
}

/// Parses a spec and the fragments that it uses.
pub fn parse(source: &Source, fragments: &dyn Fragments) -> Result<Spec, Rejected> {
    let mut loader = Loader {
        fragments,
        sources: Sources::default(),
        folders: Vec::new(),
        problems: Vec::new(),
        stack: Vec::new(),
        done: Vec::new(),
    };
    let number = loader.add(source.clone(), String::new());
    let appliance = loader.appliance(number);
    let body = appliance.as_ref().map(|node| loader.expand(&node.children, number)).unwrap_or_default();
    let Loader { sources, folders, problems, .. } = loader;
    let spec = appliance.map(|node| {
        let head = Node { children: Vec::new(), ..node };
        Spec { sources: sources.clone(), head, body, folders }
    });
    match spec {
        Some(spec) if problems.is_empty() => Ok(spec),
        rest => Err(Rejected { diagnostics: settle(problems), sources, rest: rest.map(Box::new) }),
    }
}

/// Parses the bytes of a spec file; any bytes are safe.
///
/// # Errors
/// Everything that is wrong with it.
pub fn parse_bytes(name: &str, bytes: &[u8], fragments: &dyn Fragments) -> Result<Spec, Rejected> {
    parse(&read_text(Language::Spec, name, bytes)?, fragments)
}

/// The text in the bytes of a file in a language; any bytes are safe.
///
/// # Errors
/// When they hold none, with what they seem to hold instead.
pub fn read_text(language: Language, name: &str, bytes: &[u8]) -> Result<Source, Rejected> {
    let (source, bad) = decode(name, bytes);
    let Some(bad) = bad else { return Ok(source) };
    let sources = Sources::in_language(language, source);
    let diagnostics = vec![not_utf8(&sources, 0, &bad)];
    Err(Rejected { diagnostics, sources, rest: None })
}

struct Loader<'a> {
    fragments: &'a dyn Fragments,
    sources: Sources,
    folders: Vec<String>,
    problems: Vec<Diagnostic>,
    /// The fragments being expanded, outermost first, with the place of their `use`.
    stack: Vec<(String, Place)>,
    /// The fragments that are in the list already: using one twice adds nothing.
    done: Vec<String>,
}

impl Loader<'_> {
    fn add(&mut self, source: Source, folder: String) -> usize {
        self.folders.push(folder);
        self.sources.add(source)
    }

    /// The one `appliance` node of the spec.
    fn appliance(&mut self, number: usize) -> Option<Node> {
        let nodes = self.nodes(number)?;
        let (mut found, others): (Vec<Node>, Vec<Node>) = nodes.into_iter().partition(|node| node.name == "appliance");
        // Of a file that is something else, the first line tells enough.
        let is_other = |node: &&Node| {
            !is_nearly_appliance(&node.name)
                && crate::sections::home_of(&node.name).is_none()
                && elsewhere(&node.name).is_none()
        };
        let is_foreign = found.is_empty() && others.iter().all(|node| is_other(&node));
        others.iter().take(if is_foreign { 1 } else { usize::MAX }).for_each(|node| self.outside_appliance(node));
        for extra in found.iter().skip(1) {
            let first = found.first().map_or(extra.place, |node| node.place);
            let error = Diagnostic::error("repeated-node", "a file describes one appliance")
                .at(self.sources.label(extra.place, "a second one"));
            self.problems.push(
                error
                    .at(self.sources.label(first, "the first one"))
                    .help("put the second appliance into a file of its own"),
            );
        }
        if found.is_empty() && others.is_empty() {
            let error = Diagnostic::error("missing-appliance", "there is no `appliance` in this file");
            let error = error.at(self.sources.label(Place::new(number, 0, 0), "expected here"));
            self.problems.push(error.help("begin with: appliance \"my-app\" { … }"));
        }
        // What is most likely meant to be one is read on, so that everything else in it is told too.
        let near = || others.into_iter().find(|node| !node.children.is_empty() && is_nearly_appliance(&node.name));
        if found.is_empty() { near() } else { Some(found.swap_remove(0)) }
    }

    fn outside_appliance(&mut self, node: &Node) {
        let name = &node.name;
        let error = Diagnostic::error("unknown-node", format!("`{name}` cannot stand outside of `appliance`"));
        let help = if crate::sections::home_of(name).is_some() {
            "put it into the block of `appliance \"my-app\" { … }`".to_owned()
        } else if is_nearly_appliance(name) {
            let own = node.entries.iter().find(|entry| entry.key.is_none()).map(|entry| entry.written.as_str());
            format!("did you mean `appliance`? Write: appliance {} {{ … }}", own.unwrap_or("\"my-app\""))
        } else if let Some(here) = elsewhere(name) {
            format!("{here}; everything stands in the block of `appliance \"my-app\" {{ … }}`")
        } else {
            "a spec is one node: appliance \"my-app\" { … }".to_owned()
        };
        self.problems.push(error.at(self.sources.label(node.place, "not inside")).help(help));
    }

    fn nodes(&mut self, number: usize) -> Option<Vec<Node>> {
        match syntax::parse(&self.sources, number) {
            Ok(nodes) => Some(nodes),
            Err(problems) => {
                self.problems.extend(problems);
                None
            }
        }
    }

    /// The nodes with every `use` replaced by what it names.
    fn expand(&mut self, nodes: &[Node], number: usize) -> Vec<Node> {
        let mut out = Vec::new();
        for node in nodes {
            if node.name == "use" {
                out.extend(self.expand_use(node, number));
            } else {
                out.push(node.clone());
            }
        }
        out
    }

    fn expand_use(&mut self, node: &Node, number: usize) -> Vec<Node> {
        let mut out = Vec::new();
        let texts: Vec<_> = node
            .entries
            .iter()
            .filter(|entry| entry.key.is_none())
            .map(|entry| (entry.value.as_string(), entry.value_place))
            .collect();
        if texts.is_empty() || texts.len() != node.entries.len() || !node.children.is_empty() {
            self.problem(
                "bad-value",
                node.place,
                "`use` takes paths of fragments and nothing else".to_owned(),
                "write use \"common.kdl\"",
            );
        }
        for (text, place) in texts {
            match text {
                Some(text) => out.extend(self.fragment(text, place, number)),
                None => self.problem(
                    "wrong-type",
                    place,
                    "`use` takes a path in quotes".to_owned(),
                    "write use \"common.kdl\"",
                ),
            }
        }
        out
    }

    fn fragment(&mut self, text: &str, place: Place, number: usize) -> Vec<Node> {
        let folder = self.folders.get(number).cloned().unwrap_or_default();
        let inside = join_beside(&folder, text).filter(|path| !self.fragments.leads_outside(path));
        let Some(path) = inside else {
            self.problem(
                "path-outside",
                place,
                format!("the fragment \"{text}\" lies outside of the spec's folder"),
                "keep fragments beside the spec",
            );
            return Vec::new();
        };
        if self.stack.iter().any(|(open, _)| *open == path) {
            self.cycle(&path, place);
            return Vec::new();
        }
        if self.done.contains(&path) {
            return Vec::new();
        }
        if self.done.len() >= MAX_FRAGMENTS {
            self.problem(
                "too-deep",
                place,
                format!("a spec uses at most {MAX_FRAGMENTS} fragments"),
                "join some of them",
            );
            return Vec::new();
        }
        self.done.push(path.clone());
        let Some(number) = self.read(&path, place) else { return Vec::new() };
        self.stack.push((path, place));
        let nodes = self.nodes(number).unwrap_or_default();
        for node in nodes.iter().filter(|node| node.name == "appliance") {
            self.problem(
                "unknown-node",
                node.place,
                "a fragment holds sections, not an `appliance`".to_owned(),
                "remove `appliance … {` and its `}` here",
            );
        }
        let nodes: Vec<Node> = nodes.into_iter().filter(|node| node.name != "appliance").collect();
        let nodes = self.expand(&nodes, number);
        self.stack.pop();
        nodes
    }

    fn read(&mut self, path: &str, place: Place) -> Option<usize> {
        let bytes = match self.fragments.read(path) {
            Ok(bytes) => bytes,
            Err(why) => {
                self.problem(
                    "use-missing",
                    place,
                    format!("the fragment \"{path}\" cannot be read: {why}"),
                    "a fragment's path is relative to the file that uses it",
                );
                return None;
            }
        };
        let spec = self.sources.get(0).map_or("", |source| source.name.as_str());
        let beside = spec.rfind('/').and_then(|at| spec.get(..=at)).unwrap_or_default();
        let (source, bad) = decode(&format!("{beside}{path}"), &bytes);
        let folder = path.rfind('/').and_then(|at| path.get(..at)).unwrap_or_default().to_owned();
        let number = self.add(source, folder);
        if let Some(bad) = bad {
            self.problems.push(not_utf8(&self.sources, number, &bad));
            return None;
        }
        Some(number)
    }

    fn cycle(&mut self, path: &str, place: Place) {
        let from = self.stack.iter().position(|(open, _)| open == path).unwrap_or(0);
        let round: Vec<&str> = self.stack.iter().skip(from).map(|(open, _)| open.as_str()).chain([path]).collect();
        let first = self.stack.get(from).map_or(place, |(_, place)| *place);
        let error =
            Diagnostic::error("use-cycle", format!("fragments use each other in a circle: {}", round.join(" → ")));
        let error = error
            .at(self.sources.label(place, "this closes the circle"))
            .at(self.sources.label(first, "it begins here"));
        self.problems.push(error.help("remove one `use`; what both need goes into a fragment of its own"));
    }

    fn problem(&mut self, code: &'static str, place: Place, message: String, help: &str) {
        self.problems.push(Diagnostic::error(code, message).at(self.sources.label(place, "here")).help(help));
    }
}

fn is_nearly_appliance(name: &str) -> bool {
    nearest(name.trim_end_matches(':'), ["appliance"]).is_some()
}

/// A path seen from the spec's folder, if it stays inside.
pub(crate) fn join_beside(folder: &str, path: &str) -> Option<String> {
    if path.starts_with('/') || path.is_empty() {
        return None;
    }
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in path.split('/').filter(|part| !part.is_empty() && *part != ".") {
        if part == ".." {
            parts.pop()?;
        } else {
            parts.push(part);
        }
    }
    Some(parts.join("/"))
}

/// The text of bytes, and why they are none. More than the limit is never decoded: the limit is named by the text that
/// it was cut to. Of what is no text at all nothing is shown.
fn decode(name: &str, bytes: &[u8]) -> (Source, Option<NoText>) {
    let shown = bytes.get(..syntax::MAX_SOURCE_BYTES + 4).unwrap_or(bytes);
    let bad = no_text(shown, bytes.len());
    let readable = match &bad {
        None if shown.len() == bytes.len() => bytes,
        None => shown,
        Some(NoText::OtherEncoding { at, .. }) => shown.get(..*at).unwrap_or_default(),
        Some(NoText::Utf16 | NoText::Binary { .. }) => &[],
    };
    let text = match (std::str::from_utf8(bytes), &bad) {
        // All of a text that is too large, so that its size is told.
        (Ok(text), None) => text.to_owned(),
        _ => String::from_utf8_lossy(readable).into_owned(),
    };
    (Source { name: name.to_owned(), text }, bad)
}
