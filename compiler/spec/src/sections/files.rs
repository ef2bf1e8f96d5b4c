//! What the spec puts into the tree: files, folders and links.

use super::Body;
use crate::appliance::{Appliance, Entry, EntryKind};
use crate::explain::{BUILT_IN, Page};
use crate::item::Item;
use crate::report::Report;
use crate::table::{ArgRule, Kind, NodeRule, Occurs, PropRule};

const OWNER: PropRule = PropRule::new("owner", Kind::Line, "user that it belongs to").default("root");
const GROUP: PropRule = PropRule::new("group", Kind::Line, "group that it belongs to").default("the owner's");

/// `file`
pub(crate) const FILE: NodeRule = NodeRule {
    name: "file",
    doc: "A file or a whole folder from beside the spec (`from=`), or a file with the text given here (`text=`). It replaces a file of a package; of two lines that bring one file the later one wins. `{arch}` in `from=` stands for the name of each architecture that is built (`amd64`, `arm64`), so that each gets a file of its own: `from=\"bin/{arch}/tool\"`.",
    args: &[ArgRule::one("the path inside", Kind::Path)],
    props: &[
        PropRule::new(
            "from",
            Kind::Beside,
            "a file or folder beside the spec; of a folder, the bundle that is built and the lock are left out",
        ),
        PropRule::new("text", Kind::Text, "the contents"),
        OWNER,
        GROUP,
        PropRule::new("mode", Kind::Mode, "permissions of the file, or of every file of a folder")
            .default("0644; 0755 when the source can be run"),
    ],
    occurs: Occurs::Named,
    example: "file \"/opt/luna\" from=\"app/\" owner=\"luna\"",
    ..NodeRule::EMPTY
};

/// `dir`
pub(crate) const DIR: NodeRule = NodeRule {
    name: "dir",
    doc: "A folder.",
    args: &[ArgRule::one("the path inside", Kind::Path)],
    props: &[OWNER, GROUP, PropRule::new("mode", Kind::Mode, "permissions").default("0755")],
    occurs: Occurs::Named,
    example: "dir \"/var/lib/luna\" owner=\"luna\" mode=\"0750\"",
    ..NodeRule::EMPTY
};

/// `link`
pub(crate) const LINK: NodeRule = NodeRule {
    name: "link",
    doc: "A symbolic link.",
    args: &[ArgRule::one("the path inside", Kind::Path)],
    props: &[PropRule::new("to", Kind::Line, "what it points to, absolute or relative to the link").required()],
    occurs: Occurs::Named,
    example: "link \"/usr/local/bin/luna\" to=\"/opt/luna/bin/luna\"",
    ..NodeRule::EMPTY
};

/// The names of the three nodes.
pub(crate) const NAMES: [&str; 3] = ["file", "dir", "link"];

/// Decodes files, folders and links in the order written.
pub(crate) fn decode(body: Body<'_>, report: &mut Report<'_>) -> Vec<Entry> {
    let mut entries: Vec<(Entry, &Item)> = Vec::new();
    for item in body.0.iter().filter(|item| NAMES.contains(&item.rule.name)) {
        let Some(entry) = entry(item, report) else { continue };
        if matches!(entry.kind, EntryKind::Text(_)) {
            refuse_slash(item, report);
        }
        if entry.path == "/" {
            let error = report.error("bad-path", item.arg_place(0), "`/` itself cannot be set", "the root");
            error.help("name what is to be in it: file \"/etc/motd\" …");
        } else if let Some((_, first)) =
            entries.iter().find(|(other, first)| other.path == entry.path && first.rule.name != item.rule.name)
        {
            let message = format!("\"{}\" is set twice", entry.path);
            report
                .error("duplicate-name", item.arg_place(0), message, "again here")
                .also(first.arg_place(0), "first here")
                .help("one path is one thing; remove one of the two");
        }
        entries.push((entry, item));
    }
    refuse_inside_files(&entries, report);
    entries.into_iter().map(|(entry, _)| entry).collect()
}

/// Prints the entries.
pub(crate) fn explain(appliance: &Appliance, page: &mut Page<'_>) {
    for entry in &appliance.entries {
        let name = match entry.kind {
            EntryKind::From(_) | EntryKind::Text(_) => "file",
            EntryKind::Dir => "dir",
            EntryKind::Link(_) => "link",
        };
        let line = page.node(name, &format!("{name} {}", entry.path), BUILT_IN).arg(&entry.path);
        let line = match &entry.kind {
            EntryKind::From(from) => line.prop("from", from, BUILT_IN),
            EntryKind::Text(text) => line.prop("text", text, BUILT_IN),
            EntryKind::Link(to) => {
                line.prop("to", to, BUILT_IN).end();
                continue;
            }
            EntryKind::Dir => line,
        };
        let mode = entry.mode.map(|mode| format!("{mode:04o}"));
        line.prop("owner", &entry.owner, BUILT_IN)
            .maybe("group", entry.group.as_deref())
            .maybe("mode", mode.as_deref())
            .end();
    }
}

fn entry(item: &Item, report: &mut Report<'_>) -> Option<Entry> {
    let path = item.arg(0)?.to_owned();
    let kind = match item.rule.name {
        "dir" => EntryKind::Dir,
        "link" => EntryKind::Link(link_target(item, report)?),
        _ => file_kind(item, report)?,
    };
    let default_mode =
        matches!(kind, EntryKind::Dir).then_some(0o755).or(matches!(kind, EntryKind::Text(_)).then_some(0o644));
    let mode = item.number("mode").and_then(|mode| u16::try_from(mode).ok()).or(default_mode);
    Some(Entry { path, owner: item.text_or("owner", "root"), group: item.text("group").map(str::to_owned), mode, kind })
}

fn link_target(item: &Item, report: &mut Report<'_>) -> Option<String> {
    let to = item.text("to")?;
    if to.is_empty() {
        report
            .error("bad-path", item.prop_place("to"), "a link must point somewhere", "empty")
            .help("write to=\"/usr/bin/python3\"");
    }
    Some(to.to_owned())
}

fn file_kind(item: &Item, report: &mut Report<'_>) -> Option<EntryKind> {
    match (item.prop("from"), item.prop("text")) {
        (Some(_), Some(text)) => {
            let error =
                report.error("bad-value", text.place, "`file` takes `from=` or `text=`, not both", "one too many");
            error.also(item.prop_place("from"), "the other").help("keep the one that is meant");
            None
        }
        (None, None) => {
            let error =
                report.error("missing-property", item.place, "`file` has no contents", "neither `from=` nor `text=`");
            error.help("write from=\"path/beside/the/spec\" or text=\"…\"; a folder is made with `dir`");
            None
        }
        _ => item
            .text("from")
            .map(|from| EntryKind::From(from.to_owned()))
            .or_else(|| item.text("text").map(|text| EntryKind::Text(text.to_owned()))),
    }
}

/// Refuses a slash at the end of the path of one file: it says that a folder is meant, and which file in it is not said.
pub(crate) fn refuse_slash(item: &Item, report: &mut Report<'_>) {
    let (place, path) = (item.arg_place(0), item.arg(0).unwrap_or_default());
    let text = report.sources.get(place.source).map_or("", |source| source.text.as_str());
    let written = text.get(place.span.offset..place.span.offset + place.span.len).unwrap_or_default();
    if item.rule.name != "file" || path == "/" || !written.trim_end_matches('"').ends_with('/') {
        return;
    }
    let name = item.text("from").and_then(|from| from.rsplit('/').next()).unwrap_or("NAME");
    let message = format!("\"{path}/\" names a folder, and one file is put there");
    report.error("bad-path", place, message, "ends with `/`").help(format!(
        "write \"{path}\" if the file is to have this name, or \"{path}/{name}\" if it is to be in there"
    ));
}

/// A path below something that is no folder cannot be.
fn refuse_inside_files(entries: &[(Entry, &Item)], report: &mut Report<'_>) {
    for (entry, item) in entries {
        let below =
            |other: &Entry| entry.path.strip_prefix(other.path.as_str()).is_some_and(|rest| rest.starts_with('/'));
        let file = entries
            .iter()
            .find(|(other, _)| matches!(other.kind, EntryKind::Text(_) | EntryKind::Link(_)) && below(other));
        if let Some((other, first)) = file {
            let message = format!("\"{}\" is inside of \"{}\", which is no folder", entry.path, other.path);
            let error = report.error("bad-path", item.arg_place(0), message, "cannot be here");
            error.also(first.arg_place(0), "no folder").help("move one of the two");
        }
    }
}
