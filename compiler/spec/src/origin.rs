//! Where each value of an appliance was written, so that `explain` can say it. Values without a place here are
//! defaults, and the section that fills them knows from where.

use std::collections::BTreeMap;

use crate::item::Item;
use crate::source::Sources;
use crate::table::Occurs;

/// The written values: from a key such as `user luna.uid` to `file:line`.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Origins {
    written: BTreeMap<String, String>,
}

impl Origins {
    /// The origins of a head and a merged body.
    pub fn of(head: &Item, body: &[Item], sources: &Sources) -> Self {
        let mut origins = Self::default();
        origins.add(head, "", sources);
        body.iter().for_each(|item| origins.add(item, "", sources));
        origins
    }

    /// Where the value of a key was written, if it was.
    pub fn get(&self, key: &str) -> Option<&str> {
        self.written.get(key).map(String::as_str)
    }

    fn add(&mut self, item: &Item, prefix: &str, sources: &Sources) {
        let name = item.rule.name;
        let texts = item.texts_from(0).map(|(text, place)| (text.to_owned(), place));
        let numbers = item.args.iter().filter_map(|arg| arg.number().map(|number| (number.to_string(), arg.place)));
        let args: Vec<_> = texts.chain(numbers).collect();
        let key = match args.first() {
            Some((first, _)) if item.rule.occurs == Occurs::Named => format!("{prefix}{name} {first}"),
            _ => format!("{prefix}{name}"),
        };
        if item.rule.occurs == Occurs::Many {
            for (arg, place) in &args {
                self.put(format!("{key} {arg}"), sources.position(*place));
            }
        }
        for prop in &item.props {
            self.put(format!("{key}.{}", prop.name), sources.position(prop.place));
        }
        item.children.iter().for_each(|child| self.add(child, &format!("{key}/"), sources));
        self.put(key, sources.position(item.place));
    }

    /// The first writer of a value is its origin.
    fn put(&mut self, key: String, position: String) {
        self.written.entry(key).or_insert(position);
    }
}
