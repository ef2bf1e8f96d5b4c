//! Nodes of one name brought together: what stands once, what stands many times, and what two sources set
//! differently. Its output holds each once-node and each name once.

use crate::item::Item;
use crate::report::Report;
use crate::table::Occurs;
use crate::value::Value;

/// Merges the items of one block. `owner` names the block in messages.
pub(crate) fn merge(items: Vec<Item>, report: &mut Report<'_>) -> Vec<Item> {
    let mut out: Vec<Item> = Vec::new();
    for mut item in items {
        item.children = merge(std::mem::take(&mut item.children), report);
        match out.iter().position(|known| same_subject(known, &item)) {
            Some(at) if item.rule.occurs != Occurs::Many => {
                if let Some(known) = out.get_mut(at) {
                    join(known, item, report);
                }
            }
            _ => out.push(item),
        }
    }
    out
}

fn same_subject(a: &Item, b: &Item) -> bool {
    let named = a.rule.occurs == Occurs::Named;
    let key = |item: &Item| item.args.first().map(|arg| arg.value.clone()).filter(|value| *value != Value::Bad);
    a.rule.name == b.rule.name && (!named || (key(a).is_some() && key(a) == key(b)))
}

fn join(known: &mut Item, item: Item, report: &mut Report<'_>) {
    if known.place.source == item.place.source {
        return repeated(known, &item, report);
    }
    if known.says_the_same(&item) {
        return;
    }
    if known.rule.occurs == Occurs::Named {
        return conflict(known, &item, report);
    }
    let args = |item: &Item| item.args.iter().map(|arg| arg.value.clone()).collect::<Vec<_>>();
    if known.args.is_empty() {
        known.args = item.args;
    } else if !item.args.is_empty() && args(known) != args(&item) {
        return conflict(known, &item, report);
    }
    for prop in item.props {
        match known.props.iter().find(|other| other.name == prop.name) {
            None => known.props.push(prop),
            Some(other) if other.value.value == prop.value.value => {}
            Some(other) => {
                let message = format!("`{}` of `{}` is set differently in two files", prop.name, known.rule.name);
                let error = report.error("conflict", prop.place, message, "set to another value here");
                error.also(other.place, "set here").help("keep one of the two");
            }
        }
    }
    let children = std::mem::take(&mut known.children).into_iter().chain(item.children).collect();
    known.children = merge(children, report);
}

fn repeated(known: &Item, item: &Item, report: &mut Report<'_>) {
    let name = item.rule.name;
    let subject = item.args.first().filter(|_| item.rule.occurs == Occurs::Named);
    let written = subject.map(|arg| {
        arg.text().map_or_else(
            || arg.number().map_or_else(String::new, |number| number.to_string()),
            |text| format!("\"{text}\""),
        )
    });
    let (code, message, help) = match written {
        Some(written) => (
            "duplicate-name",
            format!("there are two `{name}` {written}"),
            match item.args.first().and_then(|arg| arg.number()) {
                Some(_) => "remove one of the two".to_owned(),
                None => "give one of them another name, or remove it".to_owned(),
            },
        ),
        None if name == "ready" => (
            "repeated-node",
            "`ready` is written twice".to_owned(),
            "keep one of the two: a service has exactly one probe".to_owned(),
        ),
        None => ("repeated-node", format!("`{name}` is written twice"), format!("put everything into one `{name}`")),
    };
    report.error(code, item.arg_place(0), message, "again here").also(known.arg_place(0), "first here").help(help);
}

fn conflict(known: &Item, item: &Item, report: &mut Report<'_>) {
    let name = item.rule.name;
    let message = match item.arg(0).filter(|_| item.rule.occurs == Occurs::Named) {
        Some(subject) => format!("`{name}` \"{subject}\" is set differently in two files"),
        None => format!("`{name}` is set differently in two files"),
    };
    let error = report.error("conflict", item.arg_place(0), message, "set differently here");
    error.also(known.arg_place(0), "set here").help("keep one of the two");
}
