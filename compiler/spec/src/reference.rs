//! The reference of the language as Markdown, from the same table that checks specs.

use crate::diagnostic::CODES;
use crate::sections::{APPLIANCE, BODY};
use crate::table::{ArgRule, Count, Kind, NodeRule, Occurs};

/// The whole reference as Markdown.
pub fn reference() -> String {
    let mut out = String::from(INTRODUCTION);
    node(&APPLIANCE, 2, &mut out);
    BODY.iter().for_each(|rule| node(rule, 2, &mut out));
    out.push_str("\n## Codes\n\nEvery message carries one of these; they stay the same from release to release.\n\n| code | meaning |\n|---|---|\n");
    out.extend(CODES.iter().map(|(code, meaning)| format!("| `{code}` | {meaning} |\n")));
    out
}

const INTRODUCTION: &str = "# Spec reference

<!-- Generated from the language's table by a test; run it with UPDATE=1 to write this file anew. -->

A spec is one KDL v2 file that describes one appliance. `appliance check` reports everything that is wrong with it
at once, `appliance explain` prints it with every default and where each value came from, and `appliance fmt`
lays it out.

Values carry their units: sizes `512MiB`, `1GiB` (KiB, MiB, GiB, TiB; kB, MB, GB, TB), times `500ms`, `1.5s`, `30m`
(ms, s, m, h, d), permissions `0644`. They stand in quotes. Yes and no are `#true` and `#false`.
";

/// A node with all that its block may hold, as Markdown under headings of this level and below.
pub(crate) fn section(rule: &NodeRule, level: usize) -> String {
    let mut out = String::new();
    node(rule, level, &mut out);
    out
}

fn node(rule: &NodeRule, level: usize, out: &mut String) {
    out.push_str(&format!("\n{} `{}`\n\n{}\n", "#".repeat(level), rule.name, rule.doc));
    out.push_str(&format!("\n```kdl\n{}\n```\n", rule.example));
    let rows: Vec<String> = rule.args.iter().map(argument).chain(properties(rule)).collect();
    if !rows.is_empty() {
        out.push_str(&format!("\n| what | takes | default |\n|---|---|---|\n{}", rows.concat()));
    }
    out.push_str(match rule.occurs {
        Occurs::Once => "",
        Occurs::Many => "\nMay be repeated; everything adds up.\n",
        Occurs::Named => "\nMay be repeated, each time with another first value.\n",
    });
    rule.children.iter().for_each(|child| node(child, level + 1, out));
}

fn argument(arg: &ArgRule) -> String {
    let count = match arg.count {
        Count::One => "",
        Count::Optional => ", may be left out",
        Count::Some => ", one or more",
        Count::Any => ", any number",
    };
    row(&format!("{}{count}", arg.name), arg.kind, arg.default.unwrap_or(""))
}

fn properties(rule: &NodeRule) -> impl Iterator<Item = String> {
    let free = rule.free.map(|doc| row(&format!("`NAME=` {doc}"), Kind::Text, ""));
    let props = rule.props.iter().map(|prop| {
        let list = if prop.list { "; several behind each other" } else { "" };
        let default = if prop.required { "must be given" } else { prop.default.unwrap_or("") };
        row(&format!("`{}=` {}{list}", prop.name, prop.doc), prop.kind, default)
    });
    props.chain(free)
}

fn row(what: &str, kind: Kind, default: &str) -> String {
    format!("| {what} | {} | {default} |\n", kind.what().replace('|', "\\|"))
}
