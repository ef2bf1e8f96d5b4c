//! `systemd-sysusers` (sysusers.d(5)): users and groups from the files that packages ship.

use super::{Call, Unknown};
use crate::accounts::{Accounts, NewUser};

const FOLDERS: [&str; 2] = ["/etc/sysusers.d", "/usr/lib/sysusers.d"];

pub(super) fn call(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    if let Some(option) = call.args.iter().find(|arg| arg.starts_with('-')) {
        return call.unknown_option(option);
    }
    let mut names: Vec<String> = call.args.to_vec();
    if names.is_empty() {
        names = FOLDERS
            .iter()
            .flat_map(|folder| call.files.names_in(folder))
            .filter(|name| name.ends_with(".conf"))
            .collect();
        names.sort();
        names.dedup();
    }
    let mut accounts = Accounts::load(call.files)?;
    for name in names {
        let path = FOLDERS.iter().map(|folder| format!("{folder}/{name}")).find(|path| call.files.exists(path));
        let Some(path) = path else { return call.fail(1, &format!("no file {name}")) };
        for line in call.files.read_text(&path)?.lines() {
            apply(call, &mut accounts, line)?;
        }
    }
    accounts.save(call.files)?;
    Ok(0)
}

fn apply(call: &mut Call<'_, '_>, accounts: &mut Accounts, line: &str) -> Result<(), Unknown> {
    let words = words(line);
    let field = |at: usize| words.get(at).map(String::as_str).filter(|word| *word != "-");
    let (Some(kind), Some(name)) = (field(0), field(1)) else { return Ok(()) };
    if kind.starts_with('#') {
        return Ok(());
    }
    if words.iter().any(|word| word.contains('%')) {
        return call.unknown("a specifier is not understood");
    }
    match kind.trim_end_matches('!') {
        "g" => group(call, accounts, name, field(2)).map(drop),
        "u" => user(call, accounts, name, [field(2), field(3), field(4), field(5)]),
        "m" => {
            let Some(target) = field(2) else { return call.unknown("a member line lacks its group") };
            if accounts.uid(name).is_none() {
                user(call, accounts, name, [None; 4])?;
            }
            group(call, accounts, target, None)?;
            accounts.add_member(target, name);
            Ok(())
        }
        "r" => Ok(()),
        _ => call.unknown("a line's type is not understood"),
    }
}

fn group(call: &mut Call<'_, '_>, accounts: &mut Accounts, name: &str, id: Option<&str>) -> Result<u32, Unknown> {
    if let Some(gid) = accounts.gid(name) {
        return Ok(gid);
    }
    let wanted = id
        .and_then(|id| id.parse().ok())
        .or_else(|| call.system.pinned_group(name))
        .filter(|gid| accounts.group_of(*gid).is_none());
    let Some(gid) = wanted.or_else(|| accounts.free_system_id(name)) else { return call.unknown("no id is free") };
    accounts.add_group(name, gid);
    accounts.lock_group(name);
    call.system.made_groups.insert(name.to_owned());
    Ok(gid)
}

fn user(
    call: &mut Call<'_, '_>,
    accounts: &mut Accounts,
    name: &str,
    [id, comment, home, shell]: [Option<&str>; 4],
) -> Result<(), Unknown> {
    if accounts.uid(name).is_some() {
        return Ok(());
    }
    let (uid, own_group) =
        id.and_then(|id| id.split_once(':')).map_or((id, None), |(uid, group)| (Some(uid), Some(group)));
    let gid = match own_group {
        Some(text) => match text.parse().ok().or_else(|| accounts.gid(text)) {
            Some(gid) => gid,
            None => return call.unknown("a user's group does not exist"),
        },
        None => group(call, accounts, name, uid)?,
    };
    let wanted = uid
        .and_then(|uid| uid.parse().ok())
        .or_else(|| call.system.pinned_user(name))
        .or(Some(gid))
        .filter(|uid| accounts.user_of(*uid).is_none());
    let Some(uid) = wanted.or_else(|| accounts.free_system_id(name)) else { return call.unknown("no id is free") };
    let (home, shell) = (home.unwrap_or("/"), shell.unwrap_or("/usr/sbin/nologin"));
    accounts.add_system_user(&NewUser {
        name,
        uid,
        gid,
        comment: comment.unwrap_or_default(),
        home,
        shell,
        password: "!*",
    });
    call.system.made_users.insert(name.to_owned());
    Ok(())
}

/// The words of a line; quotes hold spaces together.
pub(super) fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    let mut word = None;
    let mut quoted = false;
    for c in line.chars() {
        match c {
            '"' => {
                quoted = !quoted;
                word.get_or_insert_with(String::new);
            }
            c if c.is_whitespace() && !quoted => words.extend(word.take()),
            c => word.get_or_insert_with(String::new).push(c),
        }
    }
    words.extend(word);
    words
}

#[cfg(test)]
mod tests {
    use super::super::testing::{listing, run};

    #[test]
    fn lines_make_users_groups_and_members() {
        let prepare = |files: &mut crate::Files<'_>| {
            files.write("/etc/group", 0o644, "root:x:0:\n").unwrap();
            files.write("/etc/gshadow", 0o640, "root:*::\n").unwrap();
            files
                .write(
                    "/usr/lib/sysusers.d/a.conf",
                    0o644,
                    "# c\nu web 65 \"Web server\" /srv\ng tape 26\nm web tape\nr - 500-900\n",
                )
                .unwrap();
        };
        let (tree, said) = run(prepare, &["systemd-sysusers a.conf", "systemd-sysusers --dry-run"]);
        assert_eq!(said, ["0", "`systemd-sysusers --dry-run`: the option --dry-run is not understood"]);
        assert_eq!(
            listing(&tree)[..3],
            [
                "/etc/group root:x:0:\nweb:x:65:\ntape:x:26:web\n",
                "/etc/gshadow root:*::\nweb:!*::\ntape:!*::web\n",
                "/etc/passwd web:!*:65:65:Web server:/srv:/usr/sbin/nologin\n"
            ]
        );
    }
}
