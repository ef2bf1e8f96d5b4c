//! What could not be understood. A rule that looks for something elsewhere in the spec asks here first: what is not
//! found may stand in there, and then its absence is only a consequence of an error that was told.

use std::collections::BTreeSet;

use crate::suggest::nearest;
use crate::syntax::{Entry, Node};

/// Names, values and sections that were written and not understood.
#[derive(Debug, Default)]
pub(crate) struct Unread {
    /// Whole parts of the spec are missing: anything may stand there.
    pub parts: bool,
    texts: BTreeSet<String>,
    sections: BTreeSet<&'static str>,
}

impl Unread {
    /// A node that is not known here; `known` are those that are.
    pub fn node(&mut self, node: &Node, known: impl Iterator<Item = &'static str>) {
        self.sections.extend(nearest(node.name.trim_end_matches(':'), known));
        self.texts_of(node);
    }

    /// A value that cannot stand where it does.
    pub fn value(&mut self, entry: &Entry) {
        self.texts.extend(entry.value.as_string().map(str::to_owned));
        self.texts.insert(entry.written.clone());
    }

    /// Whether something of this name may have been meant there.
    pub fn may_hold(&self, name: &str) -> bool {
        self.parts || self.texts.contains(name)
    }

    /// Whether this section may have been meant there.
    pub fn may_hold_section(&self, section: &str) -> bool {
        self.parts || self.sections.contains(section)
    }

    fn texts_of(&mut self, node: &Node) {
        node.entries.iter().for_each(|entry| self.value(entry));
        node.children.iter().for_each(|child| self.texts_of(child));
    }
}
