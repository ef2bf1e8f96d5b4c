//! Nodes against the table: unknown names, stray and missing values. Everything wrong is reported, each once.

use crate::item::{Item, Prop};
use crate::language::Language;
use crate::report::Report;
use crate::source::Place;
use crate::suggest::{elsewhere, nearest};
use crate::syntax::{Entry, Node};
use crate::table::{ArgRule, Count, Kind, NodeRule, PropRule};
use crate::value::{Decoded, Reading};

/// Decodes the nodes of one block. `owner` names the block in messages.
pub(crate) fn shape(
    nodes: &[Node],
    rules: &'static [NodeRule],
    owner: &str,
    reading: Reading<'_>,
    report: &mut Report<'_>,
) -> Vec<Item> {
    let mut items = Vec::new();
    for node in nodes {
        match rules.iter().find(|rule| rule.name == node.name) {
            Some(rule) => items.push(item_among(node, rule, rules, reading, report)),
            None => unknown_node(node, rules, owner, report),
        }
    }
    items
}

/// Decodes one node that has a rule.
pub(crate) fn item(node: &Node, rule: &'static NodeRule, reading: Reading<'_>, report: &mut Report<'_>) -> Item {
    item_among(node, rule, &[], reading, report)
}

/// The same, where nodes of these rules may stand beside it.
fn item_among(
    node: &Node,
    rule: &'static NodeRule,
    beside: &'static [NodeRule],
    reading: Reading<'_>,
    report: &mut Report<'_>,
) -> Item {
    if let Some(place) = node.annotation {
        let error =
            report.error("unexpected-annotation", place, "a node takes no (type) in front of it", "remove the (type)");
        error.help("the language knows what each node is; write its name alone");
    }
    let mut shaper = Shaper { rule, beside, reading, report, args: Vec::new(), props: Vec::new(), list: None };
    for (at, entry) in node.entries.iter().enumerate() {
        if let Some(rest) = node.entries.get(at..).filter(|_| shaper.runs_on(entry)) {
            rest.iter().for_each(|entry| shaper.report.unread.value(entry));
            break;
        }
        shaper.entry(entry);
    }
    shaper.refuse_missing(node);
    let (args, props) = (shaper.args, shaper.props);
    let children = if rule.children.is_empty() && !node.children.is_empty() {
        unexpected_block(node, rule, report);
        Vec::new()
    } else {
        shape(&node.children, rule.children, &format!("`{}`", rule.name), reading, report)
    };
    let has_unread = node.children.iter().any(|child| rule.children.iter().all(|known| known.name != child.name));
    Item { rule, place: node.place, args, props, children, has_unread }
}

struct Shaper<'a, 'r> {
    rule: &'static NodeRule,
    /// What may stand beside it.
    beside: &'static [NodeRule],
    reading: Reading<'a>,
    report: &'a mut Report<'r>,
    args: Vec<Decoded>,
    props: Vec<Prop>,
    /// The list property that values are being added to, its name as written and the name's place.
    list: Option<(&'static PropRule, Place)>,
}

impl Shaper<'_, '_> {
    fn entry(&mut self, entry: &Entry) {
        match &entry.key {
            Some((name, place)) => self.property(entry, name, *place),
            None => match self.list {
                Some((rule, place)) if self.args.len() >= self.needed_args() => {
                    self.push(rule.name, place, entry, rule.kind)
                }
                _ => self.argument(entry),
            },
        }
    }

    /// Tells of a value that is most likely the next line, the end of this one forgotten, or a property without its `=`:
    /// what follows is a consequence.
    fn runs_on(&mut self, entry: &Entry) -> bool {
        let written = entry.written.as_str();
        if entry.key.is_some() || self.list.is_some() || self.takes_argument() {
            return false;
        }
        let owner = self.rule.name;
        let is = |rule: &&NodeRule| rule.name == written;
        let help = if let Some(next) = self.beside.iter().find(is) {
            let example = first_line(next.example);
            format!("a line break or a `;` is missing in front of `{written}`, which is a line of its own: {example}")
        } else if let Some(child) = self.rule.children.iter().find(is) {
            format!("`{written}` is a line in the block: {owner} … {{ {} }}", first_line(child.example))
        } else if self.rule.props.iter().any(|prop| prop.name == written) {
            format!("a `=` is missing behind it: {written}=…")
        } else {
            return false;
        };
        let message = format!("`{owner}` takes no value `{written}`");
        self.report.error("unexpected-argument", entry.place, message, "not a value").help(help);
        true
    }

    /// Whether the rules have a place for one more value.
    fn takes_argument(&self) -> bool {
        let last = self.rule.args.last().is_some_and(|rule| matches!(rule.count, Count::Some | Count::Any));
        last || self.args.len() < self.rule.args.len()
    }

    fn needed_args(&self) -> usize {
        self.rule.args.iter().filter(|arg| matches!(arg.count, Count::One | Count::Some)).count()
    }

    fn argument(&mut self, entry: &Entry) {
        let index = self.args.len().min(self.rule.args.len().saturating_sub(1));
        let rule = self
            .rule
            .args
            .get(index)
            .filter(|rule| self.args.len() <= index || matches!(rule.count, Count::Some | Count::Any));
        let Some(rule) = rule else {
            return self.unexpected_argument(entry);
        };
        let owner = format!("{} of `{}`", rule.name, self.rule.name);
        let decoded = self.reading.decode(entry, rule.kind, &owner, self.report);
        self.args.push(decoded);
    }

    fn property(&mut self, entry: &Entry, name: &str, place: Place) {
        self.list = None;
        if let Some(before) = self.props.iter().find(|prop| prop.name == name) {
            let list = self.rule.props.iter().any(|rule| rule.name == name && rule.list);
            let help = if list {
                format!("put all values behind one `{name}`: {name}=\"a\" \"b\"")
            } else {
                format!("keep one `{name}`")
            };
            let (before, message) = (before.place, format!("`{name}` is set twice"));
            self.report
                .error("repeated-property", place, message, "set again here")
                .also(before, "first set here")
                .help(help);
            return;
        }
        match self.rule.props.iter().find(|rule| rule.name == name) {
            Some(rule) => {
                self.push(rule.name, place, entry, rule.kind);
                self.list = rule.list.then_some((rule, place));
            }
            None if self.rule.free.is_some() => self.push(name, place, entry, Kind::Text),
            None => self.unknown_property(name, place),
        }
    }

    fn push(&mut self, name: &str, place: Place, entry: &Entry, kind: Kind) {
        let owner = format!("`{name}` of `{}`", self.rule.name);
        let value = self.reading.decode(entry, kind, &owner, self.report);
        self.props.push(Prop { name: name.to_owned(), place, value });
    }

    fn unexpected_argument(&mut self, entry: &Entry) {
        let name = self.rule.name;
        let written = &entry.written;
        let message = match self.rule.args {
            [] => format!("`{name}` takes no value here"),
            [_] => format!("`{name}` takes one value"),
            all => format!("`{name}` takes at most {} values", all.len()),
        };
        let help = match self.rule.props {
            [] => format!("`{name}` is written so: {}", first_line(self.rule.example)),
            props => {
                format!("remove {written}, or name it: {}", words(props.iter().map(|rule| format!("{}=", rule.name))))
            }
        };
        self.report.error("unexpected-argument", entry.place, message, "one too many").help(help);
    }

    fn unknown_property(&mut self, name: &str, place: Place) {
        let owner = self.rule.name;
        let help = if let Some(near) = nearest(name, self.rule.props.iter().map(|rule| rule.name)) {
            format!("did you mean `{near}=`?")
        } else if let Some(child) = self.rule.children.iter().find(|child| child.name == name) {
            format!("`{name}` is a line in the block: {owner} … {{ {} }}", first_line(child.example))
        } else if self.rule.props.is_empty() {
            format!("`{owner}` is written so: {}", first_line(self.rule.example))
        } else {
            format!("`{owner}` has {}", words(self.rule.props.iter().map(|rule| format!("`{}=`", rule.name))))
        };
        self.report
            .error("unknown-property", place, format!("`{owner}` has no property `{name}`"), "unknown property")
            .help(help);
    }

    fn refuse_missing(&mut self, node: &Node) {
        let name = self.rule.name;
        let missing = |arg: &&ArgRule| matches!(arg.count, Count::One | Count::Some);
        if let Some(arg) = self.rule.args.get(self.args.len()).filter(missing) {
            let message = format!("`{name}` needs {}: {}", arg.name, arg.kind.what());
            let error = self.report.error("missing-argument", node.place, message, "missing behind this");
            error.help(format!("write {}", first_line(self.rule.example)));
        }
        for rule in self.rule.props.iter().filter(|rule| rule.required) {
            if !self.props.iter().any(|prop| prop.name == rule.name) {
                let message = format!("`{name}` needs `{}=`: {}", rule.name, rule.kind.what());
                let error =
                    self.report.error("missing-property", node.place, message, format!("has no `{}=`", rule.name));
                error.help(format!("write {}", first_line(self.rule.example)));
            }
        }
    }
}

fn unknown_node(node: &Node, rules: &'static [NodeRule], owner: &str, report: &mut Report<'_>) {
    let name = &node.name;
    report.unread.node(node, rules.iter().map(|rule| rule.name));
    let message = format!("{owner} has no section `{name}`");
    let known = || rules.iter().map(|rule| rule.name);
    let language = report.sources.language();
    let (home, foreign) = match language {
        Language::Spec => (crate::sections::home_of(name), elsewhere(name)),
        Language::BaseImage => (crate::base_table::home_of(name), None),
    };
    let help = if let Some(near) = nearest(name.trim_end_matches(':'), known()) {
        let colon = if name.ends_with(':') { "; there is no `:` behind names" } else { "" };
        format!("did you mean `{near}`?{colon}")
    } else if let Some((home, example)) = home {
        format!("`{name}` belongs into the block of `{home}`: {home} … {{ {} }}", first_line(example))
    } else if let Some(here) = foreign {
        here.to_owned()
    } else if rules.len() > 8 {
        "the spec reference lists every section; `appliance new --template minimal` shows the usual ones".to_owned()
    } else {
        format!("known here: {}", words(rules.iter().map(|rule| format!("`{}`", rule.name))))
    };
    report.error("unknown-node", node.place, message, "unknown").help(help);
}

fn unexpected_block(node: &Node, rule: &'static NodeRule, report: &mut Report<'_>) {
    let place = node.children.first().map_or(node.place, |child| child.place);
    let help = format!("`{}` is written so: {}", rule.name, first_line(rule.example));
    report.error("unexpected-block", place, format!("`{}` takes no block", rule.name), "cannot stand here").help(help);
}

/// The first line of an example, without what opens a block.
pub(crate) fn first_line(example: &str) -> &str {
    example.lines().next().unwrap_or_default().trim_end_matches('{').trim()
}

fn words(list: impl Iterator<Item = String>) -> String {
    list.collect::<Vec<_>>().join(", ")
}
