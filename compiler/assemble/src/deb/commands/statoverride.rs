//! `dpkg-statoverride` (dpkg-statoverride(1)): owners and modes that replace those of packages.

use super::super::overrides::{Override, Overrides};
use super::{Call, Unknown};
use crate::accounts::Accounts;

pub(super) fn call(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let (mut action, mut update, mut force, mut words) = ("", false, false, Vec::new());
    for arg in call.args {
        match arg.as_str() {
            "--add" | "--remove" | "--list" => action = arg,
            "--update" => update = true,
            "--quiet" => {}
            "--force" | "--force-all" | "--force-statoverride-add" | "--force-statoverride-remove" => force = true,
            option if option.starts_with("--") => return call.unknown_option(option),
            word => words.push(word),
        }
    }
    match (action, words.as_slice()) {
        ("--list", words) => list(call, words.first().copied()),
        ("--remove", [path]) => remove(call, path, force),
        ("--add", [user, group, mode, path]) => {
            let mode = u16::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777);
            let Some(mode) = mode else { return call.fail(2, "error: the mode is not an octal number") };
            let one = Override { user: (*user).to_owned(), group: (*group).to_owned(), mode, path: (*path).to_owned() };
            add(call, one, update, force)
        }
        _ => call.unknown("this use is not understood"),
    }
}

fn list(call: &mut Call<'_, '_>, pattern: Option<&str>) -> Result<i32, Unknown> {
    if pattern.is_some_and(|pattern| pattern.contains(['*', '?', '['])) {
        return call.unknown("patterns are not understood");
    }
    let all = Overrides::load(call.files)?;
    let found: Vec<String> =
        all.lines.iter().filter(|one| pattern.is_none_or(|path| path == one.path)).map(Override::text).collect();
    found.iter().for_each(|line| call.say(line));
    Ok(i32::from(found.is_empty()))
}

fn remove(call: &mut Call<'_, '_>, path: &str, force: bool) -> Result<i32, Unknown> {
    let mut all = Overrides::load(call.files)?;
    let before = all.lines.len();
    all.lines.retain(|one| one.path != path);
    if all.lines.len() == before && !force {
        return call.fail(2, "error: no override present");
    }
    all.save(call.files)?;
    Ok(0)
}

fn add(call: &mut Call<'_, '_>, one: Override, update: bool, force: bool) -> Result<i32, Unknown> {
    let mut all = Overrides::load(call.files)?;
    let accounts = Accounts::load(call.files)?;
    let (Some(uid), Some(gid)) = (one.uid(&accounts), one.gid(&accounts)) else {
        return call.fail(2, &format!("error: user {} or group {} does not exist", one.user, one.group));
    };
    if all.of(&one.path).is_some() {
        if !force {
            return call.fail(2, &format!("error: an override for '{}' already exists", one.path));
        }
        all.lines.retain(|old| old.path != one.path);
    }
    if update && let Ok(place) = call.files.resolve(&one.path, true) {
        call.files
            .root
            .change(&place, &mut |node| (node.meta.uid, node.meta.gid, node.meta.mode) = (uid, gid, one.mode));
    }
    all.lines.push(one);
    all.save(call.files)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use tree::TreePath;

    use super::super::testing::run;

    #[test]
    fn an_override_is_kept_and_brought_about() {
        let prepare = |files: &mut crate::Files<'_>| {
            files.write("/etc/passwd", 0o644, "root:x:0:0::/:/bin/sh\n").unwrap();
            files.write("/etc/group", 0o644, "bus:x:105:\n").unwrap();
            files.write("/usr/helper", 0o755, "").unwrap();
        };
        let lines = [
            "dpkg-statoverride --list /usr/helper",
            "dpkg-statoverride --update --add root bus 4754 /usr/helper",
            "dpkg-statoverride --list /usr/helper",
            "dpkg-statoverride --add root bus 4754 /usr/helper",
            "dpkg-statoverride --add root nobody 4754 /x",
        ];
        let (tree, said) = run(prepare, &lines);
        assert_eq!(
            said,
            [
                "1",
                "0",
                "root bus 4754 /usr/helper\n0",
                "dpkg-statoverride: error: an override for '/usr/helper' already exists\n2",
                "dpkg-statoverride: error: user root or group nobody does not exist\n2"
            ]
        );
        let meta = &tree.get(&TreePath::new("/usr/helper").unwrap()).unwrap().meta;
        assert_eq!((meta.mode, meta.gid), (0o4754, 105));
    }
}
