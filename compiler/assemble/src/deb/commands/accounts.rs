//! Commands that make, change and look up users and groups (adduser(8), useradd(8), groupadd(8), usermod(8), getent(1)).
//!
//! Ids that are not asked for come from the lock or from the name, never from the order of calls.

use super::{Call, Unknown};
use crate::accounts::{Accounts, NewUser};

/// What the option parsers gather.
#[derive(Debug, Default)]
struct Wish {
    system: bool,
    group: bool,
    no_home: bool,
    make_home: bool,
    append: bool,
    uid: Option<u32>,
    gid: Option<String>,
    groups: Option<String>,
    home: Option<String>,
    shell: Option<String>,
    comment: Option<String>,
    words: Vec<String>,
}

/// An option without a value and what it means.
type Flag = (&'static str, fn(&mut Wish));

/// An option with a value and what it means.
type Value = (&'static str, fn(&mut Wish, String));

/// Reads options: those of `flags` take nothing, those of `values` take the next word or what follows `=`.
fn wish(call: &Call<'_, '_>, flags: &[Flag], values: &[Value]) -> Result<Wish, Unknown> {
    let mut wish = Wish::default();
    let mut args = call.args.iter();
    while let Some(arg) = args.next() {
        if !arg.starts_with('-') {
            wish.words.push(arg.clone());
            continue;
        }
        let (name, inline) =
            arg.split_once('=').map_or((arg.as_str(), None), |(name, value)| (name, Some(value.to_owned())));
        if let Some((_, set)) = flags.iter().find(|(flag, _)| *flag == name) {
            set(&mut wish);
        } else if let Some((_, set)) = values.iter().find(|(option, _)| *option == name) {
            let Some(value) = inline.or_else(|| args.next().cloned()) else {
                return call.unknown("an option lacks its value");
            };
            set(&mut wish, value);
        } else {
            return call.unknown_option(arg);
        }
    }
    Ok(wish)
}

const ADDUSER_FLAGS: &[Flag] = &[
    ("--system", |wish| wish.system = true),
    ("--group", |wish| wish.group = true),
    ("--no-create-home", |wish| wish.no_home = true),
    ("--disabled-password", |_| ()),
    ("--disabled-login", |_| ()),
    ("--quiet", |_| ()),
    ("-q", |_| ()),
    ("--force-badname", |_| ()),
    ("--allow-badname", |_| ()),
    ("--allow-bad-names", |_| ()),
    ("--debug", |_| ()),
];

const ADDUSER_VALUES: &[Value] = &[
    ("--home", |wish, value| wish.home = Some(value)),
    ("--shell", |wish, value| wish.shell = Some(value)),
    ("--ingroup", |wish, value| wish.gid = Some(value)),
    ("--gid", |wish, value| wish.gid = Some(value)),
    ("--uid", |wish, value| wish.uid = value.parse().ok()),
    ("--gecos", |wish, value| wish.comment = Some(value)),
    ("--comment", |wish, value| wish.comment = Some(value)),
];

pub(super) fn adduser(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let wish = wish(call, ADDUSER_FLAGS, ADDUSER_VALUES)?;
    match wish.words.clone().as_slice() {
        [user, group] if !wish.system => join(call, user, group),
        [name] if wish.system => add_system_user(call, name, &wish),
        [name] if wish.group => add_group(call, name, &wish),
        _ => call.unknown("only system users are made by packages"),
    }
}

pub(super) fn addgroup(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let mut wish = wish(call, ADDUSER_FLAGS, ADDUSER_VALUES)?;
    wish.uid = wish.uid.or_else(|| wish.gid.as_ref().and_then(|gid| gid.parse().ok()));
    match wish.words.clone().as_slice() {
        [user, group] => join(call, user, group),
        [name] => add_group(call, name, &wish),
        _ => call.unknown("a name is needed"),
    }
}

/// What only older versions of adduser do (Ubuntu 22.04): a user of the system gets a password that is none, by usermod.
const STAR: &str = "'-p', '*', $new_name";

fn add_system_user(call: &mut Call<'_, '_>, name: &str, wish: &Wish) -> Result<i32, Unknown> {
    let mut accounts = Accounts::load(call.files)?;
    if accounts.uid(name).is_some() {
        return Ok(0);
    }
    let gid = match &wish.gid {
        Some(group) => match group.parse().ok().or_else(|| accounts.gid(group)) {
            Some(gid) => gid,
            None => return call.fail(1, &format!("The group `{group}' does not exist.")),
        },
        None if wish.group => make_group(call, &mut accounts, name, wish.uid)?,
        None => accounts.gid("nogroup").unwrap_or(65534),
    };
    let home = wish.home.clone().unwrap_or_else(|| "/nonexistent".to_owned());
    let shell = wish.shell.clone().unwrap_or_else(|| "/usr/sbin/nologin".to_owned());
    let uid = make_user(call, &mut accounts, name, gid, wish, (&home, &shell))?;
    accounts.save(call.files)?;
    if !wish.no_home && home != "/nonexistent" && !call.files.exists(&home) {
        make_home(call, &home, uid, gid)?;
    }
    Ok(0)
}

fn make_user(
    call: &mut Call<'_, '_>,
    accounts: &mut Accounts,
    name: &str,
    gid: u32,
    wish: &Wish,
    place: (&str, &str),
) -> Result<u32, Unknown> {
    let pinned = wish.uid.or_else(|| call.system.pinned_user(name)).filter(|uid| accounts.user_of(*uid).is_none());
    // A group of the same name lends its number, as adduser does where it can.
    let own_group = accounts.gid(name).filter(|gid| accounts.user_of(*gid).is_none());
    let Some(uid) = pinned.or(own_group).or_else(|| accounts.free_system_id(name)) else {
        return call.unknown("no id is free");
    };
    let comment = wish.comment.clone().unwrap_or_default();
    let older = call.name == "adduser" && call.files.read_text("/usr/sbin/adduser")?.contains(STAR);
    let password = if older { "*" } else { "!" };
    let user = NewUser { name, uid, gid, comment: &comment, home: place.0, shell: place.1, password };
    if older {
        accounts.add_user(&user)
    } else {
        accounts.add_system_user(&user)
    }
    call.system.made_users.insert(name.to_owned());
    Ok(uid)
}

fn make_group(call: &mut Call<'_, '_>, accounts: &mut Accounts, name: &str, id: Option<u32>) -> Result<u32, Unknown> {
    if let Some(gid) = accounts.gid(name) {
        return Ok(gid);
    }
    let pinned = id.or_else(|| call.system.pinned_group(name)).filter(|gid| accounts.group_of(*gid).is_none());
    let Some(gid) = pinned.or_else(|| accounts.free_system_id(name)) else { return call.unknown("no id is free") };
    accounts.add_group(name, gid);
    call.system.made_groups.insert(name.to_owned());
    Ok(gid)
}

fn make_home(call: &mut Call<'_, '_>, home: &str, uid: u32, gid: u32) -> Result<(), Unknown> {
    let place = call.files.make_dir(home, 0o755)?;
    call.files.own(&place, uid, gid);
    Ok(())
}

fn add_group(call: &mut Call<'_, '_>, name: &str, wish: &Wish) -> Result<i32, Unknown> {
    let mut accounts = Accounts::load(call.files)?;
    if accounts.gid(name).is_some() {
        // addgroup --system is content with a group that is there, groupadd without -f is not.
        return if wish.system || wish.append {
            Ok(0)
        } else {
            call.fail(9, &format!("group '{name}' already exists"))
        };
    }
    if let Some(other) = wish.uid.and_then(|gid| accounts.group_of(gid)) {
        let what = format!("GID already in use by '{other}'");
        return call.fail(4, &what);
    }
    make_group(call, &mut accounts, name, wish.uid)?;
    accounts.save(call.files)?;
    Ok(0)
}

fn join(call: &mut Call<'_, '_>, user: &str, group: &str) -> Result<i32, Unknown> {
    let mut accounts = Accounts::load(call.files)?;
    if accounts.uid(user).is_none() {
        return call.fail(1, &format!("The user `{user}' does not exist."));
    }
    if !accounts.add_member(group, user) {
        return call.fail(1, &format!("The group `{group}' does not exist."));
    }
    accounts.save(call.files)?;
    Ok(0)
}

pub(super) fn groupadd(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let flags: &[Flag] = &[
        ("-r", |wish| wish.system = false),
        ("--system", |_| ()),
        ("-f", |wish| wish.append = true),
        ("--force", |wish| wish.append = true),
    ];
    let values: &[Value] =
        &[("-g", |wish, value| wish.uid = value.parse().ok()), ("--gid", |wish, value| wish.uid = value.parse().ok())];
    let wish = wish(call, flags, values)?;
    match wish.words.clone().as_slice() {
        [name] => add_group(call, name, &wish),
        _ => call.unknown("a name is needed"),
    }
}

pub(super) fn useradd(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let flags: &[Flag] = &[
        ("-r", |wish| wish.system = true),
        ("--system", |wish| wish.system = true),
        ("-M", |wish| wish.no_home = true),
        ("--no-create-home", |wish| wish.no_home = true),
        ("-m", |wish| wish.make_home = true),
        ("--create-home", |wish| wish.make_home = true),
        ("-U", |wish| wish.group = true),
        ("--user-group", |wish| wish.group = true),
    ];
    let wish = wish(call, flags, USER_VALUES)?;
    let ([name], true) = (wish.words.as_slice(), wish.system) else {
        return call.unknown("only system users are made by packages");
    };
    let mut accounts = Accounts::load(call.files)?;
    if accounts.uid(name).is_some() {
        return call.fail(9, &format!("user '{name}' already exists"));
    }
    let gid = match &wish.gid {
        Some(group) => match group.parse().ok().or_else(|| accounts.gid(group)) {
            Some(gid) => gid,
            None => return call.fail(6, &format!("group '{group}' does not exist")),
        },
        None => make_group(call, &mut accounts, name, wish.uid)?,
    };
    let home = wish.home.clone().unwrap_or_else(|| format!("/home/{name}"));
    let shell = wish.shell.clone().unwrap_or_else(|| "/bin/sh".to_owned());
    let uid = make_user(call, &mut accounts, name, gid, &wish, (&home, &shell))?;
    let groups = wish.groups.clone().unwrap_or_default();
    if !groups.split(',').filter(|group| !group.is_empty()).all(|group| accounts.add_member(group, name)) {
        return call.fail(6, "a group does not exist");
    }
    accounts.save(call.files)?;
    if wish.make_home {
        make_home(call, &home, uid, gid)?;
    }
    Ok(0)
}

const USER_VALUES: &[Value] = &[
    ("-u", |wish, value| wish.uid = value.parse().ok()),
    ("--uid", |wish, value| wish.uid = value.parse().ok()),
    ("-g", |wish, value| wish.gid = Some(value)),
    ("--gid", |wish, value| wish.gid = Some(value)),
    ("-G", |wish, value| wish.groups = Some(value)),
    ("--groups", |wish, value| wish.groups = Some(value)),
    ("-aG", |wish, value| (wish.append, wish.groups) = (true, Some(value))),
    ("-d", |wish, value| wish.home = Some(value)),
    ("--home", |wish, value| wish.home = Some(value)),
    ("--home-dir", |wish, value| wish.home = Some(value)),
    ("-s", |wish, value| wish.shell = Some(value)),
    ("--shell", |wish, value| wish.shell = Some(value)),
    ("-c", |wish, value| wish.comment = Some(value)),
    ("--comment", |wish, value| wish.comment = Some(value)),
];

pub(super) fn usermod(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let flags: &[Flag] = &[("-a", |wish| wish.append = true), ("--append", |wish| wish.append = true)];
    let wish = wish(call, flags, USER_VALUES)?;
    let [name] = wish.words.as_slice() else { return call.unknown("a name is needed") };
    if wish.uid.is_some() || wish.gid.is_some() || wish.groups.is_some() && !wish.append {
        return call.unknown("a change of ids or of all groups is not understood");
    }
    let mut accounts = Accounts::load(call.files)?;
    if accounts.uid(name).is_none() {
        return call.fail(6, &format!("user '{name}' does not exist"));
    }
    for group in wish.groups.iter().flat_map(|groups| groups.split(',')) {
        if !accounts.add_member(group, name) {
            return call.fail(6, &format!("group '{group}' does not exist"));
        }
    }
    for (field, value) in [(4, &wish.comment), (5, &wish.home), (6, &wish.shell)] {
        if let Some(value) = value {
            accounts.set_user_field(name, field, value);
        }
    }
    accounts.save(call.files)?;
    Ok(0)
}

pub(super) fn deluser(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    delete(call, Accounts::remove_user)
}

pub(super) fn delgroup(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    delete(call, Accounts::remove_group)
}

fn delete(call: &mut Call<'_, '_>, remove: fn(&mut Accounts, &str) -> bool) -> Result<i32, Unknown> {
    let flags: &[Flag] = &[("--system", |wish| wish.system = true), ("--quiet", |_| ())];
    let wish = wish(call, flags, &[])?;
    let [name] = wish.words.as_slice() else { return call.unknown("this use is not understood") };
    let mut accounts = Accounts::load(call.files)?;
    if !remove(&mut accounts, name) {
        return if wish.system { Ok(0) } else { call.fail(6, &format!("'{name}' does not exist")) };
    }
    accounts.save(call.files)?;
    Ok(0)
}

pub(super) fn getent(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let accounts = Accounts::load(call.files)?;
    let words: Vec<&str> = call.args.iter().map(String::as_str).collect();
    let (database, keys) = words.split_first().map_or(("", &[][..]), |(first, rest)| (*first, rest));
    let user = |key: &str| key.parse().ok().and_then(|uid| accounts.user_of(uid)).unwrap_or(key).to_owned();
    let group = |key: &str| key.parse().ok().and_then(|gid| accounts.group_of(gid)).unwrap_or(key).to_owned();
    let all_users = || accounts.user_names().map(str::to_owned).collect::<Vec<_>>();
    let all_groups = || accounts.group_names().map(str::to_owned).collect::<Vec<_>>();
    let lines: Vec<Option<String>> = match database {
        "passwd" if keys.is_empty() => all_users().iter().map(|name| accounts.passwd_line(name)).collect(),
        "group" if keys.is_empty() => all_groups().iter().map(|name| accounts.group_line(name)).collect(),
        "passwd" => keys.iter().map(|key| accounts.passwd_line(&user(key))).collect(),
        "group" => keys.iter().map(|key| accounts.group_line(&group(key))).collect(),
        _ => return call.unknown("this database is not understood"),
    };
    let missing = lines.iter().any(Option::is_none);
    lines.into_iter().flatten().for_each(|line| call.say(&line));
    Ok(if missing { 2 } else { 0 })
}

pub(super) fn shadowconfig(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    if call.args != ["on"] {
        return call.unknown("only `on` is understood");
    }
    let mut accounts = Accounts::load(call.files)?;
    accounts.shadow_on();
    accounts.save(call.files)?;
    Ok(0)
}

/// `update-passwd` adds the accounts of base-passwd's master files that are missing (update-passwd(8)).
pub(super) fn update_passwd(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    if let Some(option) = call.args.iter().find(|arg| !["--verbose", "-v"].contains(&arg.as_str())) {
        return call.unknown_option(option);
    }
    let mut accounts = Accounts::load(call.files)?;
    for line in call.files.read_text("/usr/share/base-passwd/group.master")?.lines() {
        if let [name, _, gid, ..] = line.split(':').collect::<Vec<_>>()[..]
            && accounts.gid(name).is_none()
        {
            let Ok(gid) = gid.parse() else { return call.unknown("a master file is malformed") };
            accounts.add_group(name, gid);
        }
    }
    for line in call.files.read_text("/usr/share/base-passwd/passwd.master")?.lines() {
        if let [name, _, uid, gid, comment, home, shell] = line.split(':').collect::<Vec<_>>()[..]
            && accounts.uid(name).is_none()
        {
            let (Ok(uid), Ok(gid)) = (uid.parse(), gid.parse()) else {
                return call.unknown("a master file is malformed");
            };
            accounts.add_user(&NewUser { name, uid, gid, comment, home, shell, password: "*" });
        }
    }
    accounts.save(call.files)?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;
    use crate::Files;

    fn check(lines: &[&str], want: &[&str]) {
        let prepare = |files: &mut Files<'_>| {
            files.write("/etc/passwd", 0o644, "root:x:0:0::/root:/bin/sh\n").unwrap();
            files.write("/etc/group", 0o644, "root:x:0:\naudio:x:29:\n").unwrap();
            files.write("/etc/shadow", 0o640, "root:*:1:0:99999:7:::\n").unwrap();
        };
        assert_eq!(run(prepare, lines).1, want);
    }

    #[test]
    fn system_users_get_the_same_id_in_any_order() {
        let bus = "adduser --system --quiet --home /nonexistent --no-create-home --disabled-password --group bus";
        let web = "useradd -r -g audio -d /srv -s /bin/false web";
        let look = "getent passwd bus web";
        let said = |lines: &[&str]| {
            run(|files| files.write("/etc/group", 0o644, "audio:x:29:\n").unwrap(), lines).1.pop().unwrap()
        };
        let first = said(&[bus, web, look]);
        assert!(first.starts_with("bus:!:") && first.contains("\nweb:!:"), "{first}");
        let sorted = |text: String| {
            let mut lines: Vec<_> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        assert_eq!(sorted(said(&[web, bus, look])), sorted(first));
    }

    #[test]
    fn lookups_and_changes() {
        check(
            &["groupadd -g 42 shadow", "getent group shadow", "getent group nobody", "groupadd shadow"],
            &["0", "shadow:*:42:\n0", "2", "groupadd: group 'shadow' already exists\n9"],
        );
        check(
            &["adduser root audio", "getent group audio", "usermod -aG gone root"],
            &["0", "audio:x:29:root\n0", "usermod: group 'gone' does not exist\n6"],
        );
        check(&["adduser luna"], &["`adduser luna`: only system users are made by packages"]);
        check(&["usermod -L root"], &["`usermod -L root`: the option -L is not understood"]);
    }
}
