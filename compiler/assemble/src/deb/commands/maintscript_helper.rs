//! `dpkg-maintscript-helper` (dpkg-maintscript-helper(1)): all of it serves upgrades, so at a first installation it does nothing.

use super::{Call, Unknown};

pub(super) fn call(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    const VERBS: [&str; 4] = ["rm_conffile", "mv_conffile", "symlink_to_dir", "dir_to_symlink"];
    let words: Vec<&str> = call.args.iter().map(String::as_str).collect();
    match words.as_slice() {
        ["supports", verb] => Ok(i32::from(!VERBS.contains(verb))),
        [verb, rest @ ..] if VERBS.contains(verb) => {
            match rest.iter().position(|word| *word == "--").and_then(|at| rest.get(at + 1..)) {
                Some(["install" | "configure"] | ["install" | "configure", ""] | ["triggered", ..]) => Ok(0),
                _ => call.unknown("only a first installation is understood"),
            }
        }
        _ => call.unknown("this use is not understood"),
    }
}
