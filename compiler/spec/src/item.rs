//! A node that fits the table: its values decoded, each with its place. What is missing or bad was reported.

use crate::source::Place;
use crate::table::NodeRule;
use crate::value::Decoded;

/// A node that fits its rule.
#[derive(Debug, Clone)]
pub(crate) struct Item {
    /// Its rule.
    pub rule: &'static NodeRule,
    /// Where its name stands.
    pub place: Place,
    /// Its arguments.
    pub args: Vec<Decoded>,
    /// Its properties; a list property stands once for each of its values.
    pub props: Vec<Prop>,
    /// The nodes of its block.
    pub children: Vec<Item>,
    /// Whether its block also holds nodes that are not known there.
    pub has_unread: bool,
}

/// A property of an [`Item`].
#[derive(Debug, Clone)]
pub(crate) struct Prop {
    /// Its name.
    pub name: String,
    /// Where the name stands.
    pub place: Place,
    /// Its value.
    pub value: Decoded,
}

impl Item {
    /// The text of an argument, if it is there and good.
    pub fn arg(&self, index: usize) -> Option<&str> {
        self.args.get(index).and_then(Decoded::text)
    }

    /// The number of an argument, if it is there and good.
    pub fn arg_number(&self, index: usize) -> Option<u64> {
        self.args.get(index).and_then(Decoded::number)
    }

    /// The good texts of the arguments from an index on, with their places.
    pub fn texts_from(&self, index: usize) -> impl Iterator<Item = (&str, Place)> {
        self.args.iter().skip(index).filter_map(|arg| arg.text().map(|text| (text, arg.place)))
    }

    /// A property, also when its value is bad.
    pub fn prop(&self, name: &str) -> Option<&Prop> {
        self.props.iter().find(|prop| prop.name == name)
    }

    /// The text of a property, if it is there and good.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.prop(name).and_then(|prop| prop.value.text())
    }

    /// The text of a property, or a default.
    pub fn text_or(&self, name: &str, default: &str) -> String {
        self.text(name).unwrap_or(default).to_owned()
    }

    /// The number of a property, if it is there and good.
    pub fn number(&self, name: &str) -> Option<u64> {
        self.prop(name).and_then(|prop| prop.value.number())
    }

    /// The good texts of a list property, with their places.
    pub fn list<'a>(&'a self, name: &'a str) -> impl Iterator<Item = (&'a str, Place)> {
        self.props
            .iter()
            .filter(move |prop| prop.name == name)
            .filter_map(|prop| prop.value.text().map(|text| (text, prop.value.place)))
    }

    /// The first child of a name.
    pub fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.rule.name == name)
    }

    /// All children of a name.
    pub fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a Self> {
        self.children.iter().filter(move |child| child.rule.name == name)
    }

    /// The place of an argument, or of the name when it is absent.
    pub fn arg_place(&self, index: usize) -> Place {
        self.args.get(index).map_or(self.place, |arg| arg.place)
    }

    /// The place of a property's value, or of the name when it is absent.
    pub fn prop_place(&self, name: &str) -> Place {
        self.prop(name).map_or(self.place, |prop| prop.value.place)
    }

    /// Whether two items say the same, wherever they stand.
    pub fn says_the_same(&self, other: &Self) -> bool {
        let props = |item: &Self| {
            let mut props: Vec<_> =
                item.props.iter().map(|prop| (prop.name.clone(), format!("{:?}", prop.value.value))).collect();
            props.sort();
            props
        };
        self.args.iter().map(|arg| &arg.value).eq(other.args.iter().map(|arg| &arg.value))
            && props(self) == props(other)
            && self.children.len() == other.children.len()
            && self.children.iter().zip(&other.children).all(|(a, b)| a.rule.name == b.rule.name && a.says_the_same(b))
    }
}
