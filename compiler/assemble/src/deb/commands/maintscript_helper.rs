//! `dpkg-maintscript-helper` (dpkg-maintscript-helper(1)): all of it serves upgrades from certain versions, so at a first
//! installation, at an upgrade from a newer version than those, and where there is nothing to move, it does nothing.

use packages::deb::compare_versions;

use super::{Call, Unknown};

pub(super) fn call(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    const VERBS: [&str; 4] = ["rm_conffile", "mv_conffile", "symlink_to_dir", "dir_to_symlink"];
    let words: Vec<&str> = call.args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["supports", verb] => Ok(i32::from(!VERBS.contains(verb))),
        [verb, rest @ ..] if VERBS.contains(verb) => {
            let at = rest.iter().position(|word| *word == "--");
            let (own, script) = at.map_or((rest, &[][..]), |at| (&rest[..at], &rest[at + 1..]));
            match script {
                ["install" | "configure"] | ["install" | "configure", ""] | ["triggered", ..] => Ok(0),
                ["upgrade" | "configure", version, ..] if has_nothing_to_do(call, verb, own, version) => Ok(0),
                _ => call.unknown("only an upgrade that moves nothing is understood"),
            }
        }
        _ => call.unknown("this use is not understood"),
    }
}

/// Whether the version comes after those that it is meant for, or what it would move is not there.
fn has_nothing_to_do(call: &Call<'_, '_>, verb: &str, own: &[&str], version: &str) -> bool {
    let prior = if verb == "rm_conffile" { own.get(1) } else { own.get(2) };
    let is_later = |prior: &&&str| !prior.is_empty() && compare_versions(version, prior).is_gt();
    if prior.filter(is_later).is_some() {
        return true;
    }
    let Some(path) = own.first() else { return false };
    let there = call.files.lstat(path);
    match verb {
        "rm_conffile" | "mv_conffile" => there.is_none(),
        "symlink_to_dir" => there.is_none_or(tree::Node::is_dir),
        _ => there.is_none_or(|node| !node.is_dir()),
    }
}
