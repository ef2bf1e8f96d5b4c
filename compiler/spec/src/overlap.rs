//! Where files from beside the spec are put: what stands in their way, what hides them, and what overwrites what.

use crate::files_beside::{Beside, Standing};
use crate::item::Item;
use crate::placement;
use crate::report::Report;
use crate::sections::{Body, files};

/// Checks all of it.
pub(crate) fn check(body: &[Item], beside: &dyn Beside, report: &mut Report<'_>) {
    let body = Body(body);
    let on_distribution = !matches!(body.one("base").and_then(|item| item.arg(0)), Some("scratch" | "oci"));
    let entries: Vec<Put<'_>> = body
        .0
        .iter()
        .filter(|item| files::NAMES.contains(&item.rule.name))
        .filter_map(|item| put(item, beside))
        .collect();
    for (at, entry) in entries.iter().enumerate() {
        match (entry.kind, entry.from) {
            (Kind::File, Some(_)) => {
                if placement::is_system_folder(entry.path, on_distribution) {
                    placement::refuse_file_over_folder(entry.path, entry.item, report);
                }
                placement::refuse_mounts_on(entry.path, entry.item, body, report);
                let below = entries.iter().filter(|other| below(other.path, entry.path).is_some());
                below.for_each(|other| inside_of_file(other, entry, report));
            }
            (Kind::Folder, Some(from)) => {
                hidden(entry, from, body, beside, report);
                for (other_at, other) in entries.iter().enumerate() {
                    if let Some(rest) = below(other.path, entry.path) {
                        let (first, last) = if other_at < at { (other, entry) } else { (entry, other) };
                        overlapping(other, &format!("{from}/{rest}"), (first, last), beside, report);
                    }
                }
            }
            _ => {}
        }
    }
}

/// What an entry is, as far as that is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    File,
    Link,
    Folder,
    Unknown,
}

/// An entry of the spec.
struct Put<'a> {
    path: &'a str,
    from: Option<&'a str>,
    kind: Kind,
    item: &'a Item,
}

fn put<'a>(item: &'a Item, beside: &dyn Beside) -> Option<Put<'a>> {
    let from = item.text("from");
    let kind = match (item.rule.name, from) {
        ("dir", _) => Kind::Folder,
        ("link", _) => Kind::Link,
        (_, None) => Kind::File,
        (_, Some(from)) => match beside.standing(from) {
            Standing::File => Kind::File,
            Standing::Folder => Kind::Folder,
            _ => Kind::Unknown,
        },
    };
    Some(Put { path: item.arg(0)?, from, kind, item })
}

/// The rest of a path below a folder.
fn below<'a>(path: &'a str, folder: &str) -> Option<&'a str> {
    path.strip_prefix(folder)?.strip_prefix('/')
}

fn inside_of_file(entry: &Put<'_>, file: &Put<'_>, report: &mut Report<'_>) {
    let message = format!("\"{}\" is inside of \"{}\", which is no folder", entry.path, file.path);
    let error = report.error("bad-path", entry.item.arg_place(0), message, "cannot be here");
    error.also(file.item.prop_place("from"), "no folder").help("move one of the two");
}

/// Of a folder, what a volume or a scratch folder is mounted over.
fn hidden(entry: &Put<'_>, from: &str, body: Body<'_>, beside: &dyn Beside, report: &mut Report<'_>) {
    for mount in placement::mounts(body) {
        let (_, at, _) = mount;
        let folder = match below(at, entry.path) {
            Some(rest) => format!("{from}/{rest}"),
            None if at == entry.path => from.to_owned(),
            None => continue,
        };
        if let Some(name) = beside.files_in(&folder).first() {
            placement::hidden_by_mount(&format!("{at}/{name}"), entry.item, mount, report);
        }
    }
}

/// One entry is put into a folder that another one brings; `from` is what the folder has there.
fn overlapping(inner: &Put<'_>, from: &str, order: (&Put<'_>, &Put<'_>), beside: &dyn Beside, report: &mut Report<'_>) {
    match (inner.kind, beside.standing(from)) {
        (Kind::File | Kind::Link, Standing::File) => overwritten(inner.path, from, order, report),
        (Kind::File | Kind::Link, Standing::Folder) => two_kinds(inner.path, "a folder", from, order, report),
        (Kind::Folder, Standing::File) => two_kinds(inner.path, "a file", from, order, report),
        (Kind::Folder, Standing::Folder) => {
            let names = inner.from.map(|own| beside.files_in(own)).unwrap_or_default();
            let twice = names.iter().find(|name| beside.standing(&format!("{from}/{name}")) == Standing::File);
            if let Some(name) = twice {
                overwritten(&format!("{}/{name}", inner.path), &format!("{from}/{name}"), order, report);
            }
        }
        _ => {}
    }
}

fn overwritten(path: &str, from: &str, order: (&Put<'_>, &Put<'_>), report: &mut Report<'_>) {
    let (first, last) = order;
    let message = format!("two lines bring \"{path}\", and the later one wins");
    report
        .warning("overwritten", last.item.arg_place(0), message, "this one wins")
        .also(first.item.arg_place(0), "overwritten there")
        .help(format!("keep one of the two: remove \"{from}\", or a line; or change their order"));
}

fn two_kinds(path: &str, what: &str, from: &str, order: (&Put<'_>, &Put<'_>), report: &mut Report<'_>) {
    let (first, last) = order;
    let message = format!("two lines bring \"{path}\", and \"{from}\" is {what}");
    report
        .error("bad-path", last.item.arg_place(0), message, "cannot be here")
        .also(first.item.arg_place(0), "brought here too")
        .help("one path is one thing; rename one of the two");
}
