//! `dpkg-maintscript-helper` (dpkg-maintscript-helper(1)): what an upgrade does with configuration files that are given up or
//! get another name, and with folders and links that take each other's place. At a first installation it does nothing.
//!
//! Only what an installation calls is understood, not what an aborted one or a removal would.

mod conffiles;
mod links;
#[cfg(test)]
mod testing;

use packages::deb::compare_versions;
use tree::TreePath;

use super::{Call, Unknown};

const VERBS: [&str; 4] = ["rm_conffile", "mv_conffile", "symlink_to_dir", "dir_to_symlink"];

/// What one call is about.
struct Task {
    verb: String,
    /// The path that gives way, absolute.
    path: String,
    /// The new name of a configuration file, or the target of the link.
    other: String,
    /// The last version that has the path; empty for all.
    prior: String,
    /// The package, with its architecture where that is known.
    package: String,
    /// The version that was there; empty at a first installation.
    old: String,
}

pub(super) fn call(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let words: Vec<String> = call.args.to_vec();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["supports", verb] => Ok(i32::from(!VERBS.contains(verb))),
        [verb, rest @ ..] if VERBS.contains(verb) => {
            let Some(at) = rest.iter().position(|word| *word == "--") else { return call.unknown("`--` is missing") };
            let (own, script) = (&rest[..at], &rest[at + 1..]);
            let task = task(call, verb, own, script)?;
            act(call, &task, script.first().copied().unwrap_or_default())
        }
        _ => call.unknown("this use is not understood"),
    }
}

fn task(call: &Call<'_, '_>, verb: &str, own: &[&str], script: &[&str]) -> Result<Task, Unknown> {
    let word = |at: usize| own.get(at).copied().unwrap_or_default().to_owned();
    let after = if verb == "rm_conffile" { 1 } else { 2 };
    let path =
        if verb == "dir_to_symlink" { word(0).strip_suffix('/').map_or(word(0), str::to_owned) } else { word(0) };
    let mut task = Task {
        verb: verb.to_owned(),
        path,
        other: if after == 2 { word(1) } else { String::new() },
        prior: word(after),
        package: word(after + 1),
        old: script.get(1).copied().unwrap_or_default().to_owned(),
    };
    if task.package.is_empty() {
        let arch = (call.env)("DPKG_MAINTSCRIPT_ARCH").map(|arch| format!(":{arch}")).unwrap_or_default();
        task.package = format!("{}{arch}", (call.env)("DPKG_MAINTSCRIPT_PACKAGE").unwrap_or_default());
    }
    let is_wrong = !task.path.starts_with('/')
        || task.path.ends_with('/')
        || (after == 2 && task.other.is_empty())
        || (verb == "mv_conffile" && !task.other.starts_with('/'))
        || script.is_empty();
    if is_wrong { call.unknown("this use is not understood") } else { Ok(task) }
}

fn act(call: &mut Call<'_, '_>, task: &Task, action: &str) -> Result<i32, Unknown> {
    let script = (call.env)("DPKG_MAINTSCRIPT_NAME").unwrap_or_default();
    match (script.as_str(), action) {
        ("preinst", "install" | "upgrade") => match task.verb.as_str() {
            "rm_conffile" | "mv_conffile" => conffiles::prepare(call, task),
            "symlink_to_dir" => links::set_link_aside(call, task),
            _ => links::set_folder_aside(call, task),
        },
        ("postinst", "configure") => match task.verb.as_str() {
            "rm_conffile" => conffiles::finish_removal(call, task),
            "mv_conffile" => conffiles::finish_move(call, task),
            "symlink_to_dir" => links::forget_link(call, task),
            _ => links::put_link(call, task),
        },
        ("preinst" | "postinst" | "prerm", _) | ("postrm", "upgrade" | "remove" | "failed-upgrade" | "disappear") => {
            Ok(0)
        }
        _ => call.unknown("only what an installation calls is understood"),
    }
}

impl Task {
    /// Whether this is an upgrade from one of the versions that it is meant for.
    fn is_from_prior(&self) -> bool {
        let fits = || self.prior.is_empty() || compare_versions(&self.old, &self.prior).is_le();
        !self.old.is_empty() && fits()
    }

    /// The path with this at its end.
    fn path_with(&self, end: &str) -> String {
        format!("{}{end}", self.path)
    }
}

/// The lines of the list of a package; none where it is not installed.
fn list(call: &Call<'_, '_>, package: &str) -> Result<Vec<String>, Unknown> {
    let Some(base) = super::query::info_base(call, package) else { return Ok(Vec::new()) };
    Ok(call.files.read_text(format!("{base}.list"))?.lines().map(str::to_owned).collect())
}

/// The configuration files of a package as its paragraph has them: path, MD5, and what else stands behind it.
fn conffile_lines(call: &Call<'_, '_>, package: &str) -> Result<Vec<String>, Unknown> {
    let database = call.files.read_text("/var/lib/dpkg/status")?;
    let lines = super::query::find(&database, package).and_then(|stanza| stanza.get("Conffiles")).unwrap_or_default();
    Ok(lines.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect())
}

/// Moves an entry with all below it; a file or link takes the place of another one.
fn rename(call: &mut Call<'_, '_>, from: &str, to: &str) -> Result<(), Unknown> {
    if call.files.stat(to).is_some_and(tree::Node::is_dir) {
        return call.unknown("a folder stands where something would go");
    }
    let (from, to) = (call.files.resolve(from, false)?, call.files.resolve(to, false)?);
    if call.files.tree().get(&from).is_some_and(tree::Node::is_dir) && call.files.tree().get(&to).is_some() {
        return call.unknown("something stands where a folder would go");
    }
    if call.files.tree().id(&from) == call.files.tree().id(&to) {
        return call.unknown("two names of one file would become one");
    }
    call.files.root.remove(&to);
    let names: Vec<TreePath> = call.files.tree().subtree(&from).map(|(path, _, _)| path.clone()).collect();
    for old in &names {
        let below = old.as_bytes().get(from.as_bytes().len()..).unwrap_or_default();
        let new = to.join(below.strip_prefix(b"/").unwrap_or(below)).map_err(crate::files::PathProblem::Bad)?;
        let Some(node) = call.files.tree().get(old).cloned() else { continue };
        let put = if node.is_dir() { call.files.root.insert(new, node) } else { call.files.root.hard_link(old, new) };
        put.map_err(crate::files::PathProblem::Insert)?;
    }
    call.files.root.remove(&from);
    Ok(())
}
