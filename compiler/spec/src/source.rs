//! The texts that a spec was read from, and places in them.

use crate::diagnostic::{Label, Span};
use crate::language::Language;

/// A named text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// How the user knows it: a path.
    pub name: String,
    /// The text.
    pub text: String,
}

/// Every text that was read for one spec: the spec first, then the fragments in the order of their `use`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Sources {
    list: Vec<Source>,
    /// For each source, the offsets at which its lines begin.
    lines: Vec<Vec<usize>>,
    language: Language,
}

impl Sources {
    /// One text of a spec alone.
    pub fn of(source: Source) -> Self {
        Self::in_language(Language::Spec, source)
    }

    /// One text alone, in a language.
    pub fn in_language(language: Language, source: Source) -> Self {
        let mut sources = Self { language, ..Self::default() };
        sources.add(source);
        sources
    }

    /// The same with one more text behind them, unless it is there.
    #[must_use]
    pub fn with(mut self, source: &Source) -> Self {
        if self.text(&source.name).is_none() {
            self.add(source.clone());
        }
        self
    }

    /// What the texts describe.
    pub(crate) fn language(&self) -> Language {
        self.language
    }

    /// The texts in reading order.
    pub fn iter(&self) -> impl Iterator<Item = &Source> {
        self.list.iter()
    }

    /// The text of the source of this name.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.list.iter().find(|source| source.name == name).map(|source| source.text.as_str())
    }

    /// Adds a source and gives its number.
    pub(crate) fn add(&mut self, source: Source) -> usize {
        let starts = source.text.bytes().enumerate().filter(|(_, byte)| *byte == b'\n').map(|(at, _)| at + 1);
        self.lines.push(std::iter::once(0).chain(starts).collect());
        self.list.push(source);
        self.list.len() - 1
    }

    /// The source of a number that `add` gave.
    pub(crate) fn get(&self, number: usize) -> Option<&Source> {
        self.list.get(number)
    }

    /// `name:line` of a place, for people.
    pub(crate) fn position(&self, place: Place) -> String {
        let name = self.get(place.source).map_or("", |source| source.name.as_str());
        format!("{name}:{}", self.line(place).0)
    }

    /// A label at a place.
    pub(crate) fn label(&self, place: Place, text: impl Into<String>) -> Label {
        let Some(source) = self.get(place.source) else {
            return Label { source: String::new(), span: place.span, line: 1, column: 1, text: text.into() };
        };
        let offset = floor_char(&source.text, place.span.offset);
        let (line, line_start) = self.line(place);
        Label {
            source: source.name.clone(),
            span: place.span,
            line,
            column: source.text.get(line_start..offset).unwrap_or_default().chars().count() + 1,
            text: text.into(),
        }
    }

    /// The number of a place's line, from 1, and where the line begins.
    fn line(&self, place: Place) -> (usize, usize) {
        let starts = self.lines.get(place.source).map_or(&[][..], Vec::as_slice);
        let line = starts.partition_point(|start| *start <= place.span.offset);
        (line.max(1), starts.get(line.saturating_sub(1)).copied().unwrap_or(0))
    }
}

/// A stretch of one of the [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// Number of the source.
    pub source: usize,
    /// Where in it.
    pub span: Span,
}

impl Place {
    /// A stretch of a source.
    pub fn new(source: usize, offset: usize, len: usize) -> Self {
        Self { source, span: Span { offset, len } }
    }
}

/// The nearest character boundary at or before an offset.
fn floor_char(text: &str, offset: usize) -> usize {
    (0..=offset.min(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0)
}
