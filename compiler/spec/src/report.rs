//! Where the stages of a check put what they find.

use crate::diagnostic::Diagnostic;
use crate::source::{Place, Sources};
use crate::unread::Unread;

/// Most diagnostics kept: nobody reads more, and each costs a walk to its line.
const MAX_FOUND: usize = 500;

/// Collects diagnostics about one set of sources.
#[derive(Debug)]
pub(crate) struct Report<'a> {
    /// The texts that places point into.
    pub sources: &'a Sources,
    /// What was found so far, in no order.
    pub found: Vec<Diagnostic>,
    /// What was written and not understood.
    pub unread: Unread,
}

impl<'a> Report<'a> {
    /// An empty report.
    pub fn new(sources: &'a Sources) -> Self {
        Self { sources, found: Vec::new(), unread: Unread::default() }
    }

    /// Adds an error with its main place; further labels and help may be added to what is returned.
    pub fn error(
        &mut self,
        code: &'static str,
        place: Place,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Entry<'_> {
        self.add(Diagnostic::error(code, message), place, label.into())
    }

    /// Adds a warning with its main place.
    pub fn warning(
        &mut self,
        code: &'static str,
        place: Place,
        message: impl Into<String>,
        label: impl Into<String>,
    ) -> Entry<'_> {
        self.add(Diagnostic::warning(code, message), place, label.into())
    }

    fn add(&mut self, diagnostic: Diagnostic, place: Place, label: String) -> Entry<'_> {
        if self.found.len() >= MAX_FOUND {
            return Entry { sources: self.sources, diagnostic: None };
        }
        self.found.push(diagnostic.at(self.sources.label(place, label)));
        Entry { sources: self.sources, diagnostic: self.found.last_mut() }
    }
}

/// A diagnostic that was just added, open for more words.
pub(crate) struct Entry<'r> {
    sources: &'r Sources,
    diagnostic: Option<&'r mut Diagnostic>,
}

impl Entry<'_> {
    /// Sets the help line.
    pub fn help(self, help: impl Into<String>) -> Self {
        self.maybe_help(Some(help))
    }

    /// Sets the help line, if there is one.
    pub fn maybe_help(mut self, help: Option<impl Into<String>>) -> Self {
        if let (Some(diagnostic), Some(help)) = (self.diagnostic.as_deref_mut(), help) {
            diagnostic.help = Some(help.into());
        }
        self
    }

    /// Points at one more place.
    pub fn also(mut self, place: Place, text: impl Into<String>) -> Self {
        if let Some(diagnostic) = self.diagnostic.as_deref_mut() {
            diagnostic.labels.push(self.sources.label(place, text));
        }
        self
    }
}
