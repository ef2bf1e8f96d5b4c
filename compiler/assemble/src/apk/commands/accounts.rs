//! busybox's `addgroup`, `adduser`, `delgroup` and `deluser`, and `getent`.
//!
//! Ids that are not asked for come from the lock or from the name, never from the order of calls.

use shell::Unknown;

use super::Call;
use crate::accounts::{Accounts, NewUser};

/// What the options say: letters without a value, letters with one, and the words.
struct Wish {
    flags: Vec<char>,
    values: Vec<(char, String)>,
    words: Vec<String>,
}

impl Wish {
    /// Reads options as getopt(3) does: several letters in one word, a value in the same word or the next.
    fn read(call: &Call<'_, '_, '_, '_>, flags: &str, valued: &str) -> Result<Self, Unknown> {
        let mut wish = Self { flags: Vec::new(), values: Vec::new(), words: Vec::new() };
        let mut args = call.args.iter();
        while let Some(arg) = args.next() {
            let Some(letters) = arg.strip_prefix('-').filter(|letters| !letters.is_empty()) else {
                wish.words.push(arg.clone());
                continue;
            };
            for (at, letter) in letters.char_indices() {
                if flags.contains(letter) {
                    wish.flags.push(letter);
                    continue;
                }
                let inline = letters.get(at + letter.len_utf8()..).filter(|rest| !rest.is_empty()).map(str::to_owned);
                match inline.or_else(|| args.next().cloned()).filter(|_| valued.contains(letter)) {
                    Some(value) => wish.values.push((letter, value)),
                    None => return call.unknown(&format!("the option -{letter} is not understood")),
                }
                break;
            }
        }
        Ok(wish)
    }

    fn has(&self, flag: char) -> bool {
        self.flags.contains(&flag)
    }

    fn value(&self, letter: char) -> Option<&str> {
        self.values.iter().rev().find(|(known, _)| *known == letter).map(|(_, value)| value.as_str())
    }

    /// A number that an option gives.
    fn number(&self, letter: char, call: &Call<'_, '_, '_, '_>) -> Result<Option<u32>, Unknown> {
        let Some(text) = self.value(letter) else { return Ok(None) };
        text.parse().map(Some).or_else(|_| call.unknown("an id that is no number"))
    }
}

/// `addgroup [-g GID] [-S] [USER] GROUP`
pub(super) fn addgroup(call: &mut Call<'_, '_, '_, '_>) -> Result<i32, Unknown> {
    let wish = Wish::read(call, "S", "g")?;
    let mut accounts = call.with(|files| Accounts::load(files))?;
    let name = match wish.words.as_slice() {
        [user, group] => return add_member(call, accounts, user, group),
        [name] if is_name(name) => name.clone(),
        _ => return call.unknown("this use is not understood"),
    };
    if accounts.gid(&name).is_some() {
        return call.fail(&format!("group '{name}' in use"));
    }
    let gid = match wish.number('g', call)? {
        Some(gid) if accounts.group_of(gid).is_some() => return call.fail(&format!("gid '{gid}' in use")),
        Some(gid) => gid,
        None if !wish.has('S') => return call.unknown("only system groups are made by packages"),
        None => match call.system.borrow().group_id(&accounts, &name) {
            Some(gid) => gid,
            None => return call.unknown("no id is free"),
        },
    };
    accounts.add_shadowed_group(&name, gid);
    call.system.borrow_mut().made_groups.insert(name);
    save(call, &accounts)
}

fn add_member(
    call: &mut Call<'_, '_, '_, '_>,
    mut accounts: Accounts,
    user: &str,
    group: &str,
) -> Result<i32, Unknown> {
    if accounts.uid(user).is_none() {
        return call.fail(&format!("unknown user {user}"));
    }
    if !accounts.add_member(group, user) {
        return call.fail(&format!("unknown group {group}"));
    }
    save(call, &accounts)
}

/// `adduser -S [-DH] [-u UID] [-G GROUP] [-h DIR] [-s SHELL] [-g GECOS] USER`, or `adduser USER GROUP`
pub(super) fn adduser(call: &mut Call<'_, '_, '_, '_>) -> Result<i32, Unknown> {
    let wish = Wish::read(call, "SDH", "uGhsg")?;
    let mut accounts = call.with(|files| Accounts::load(files))?;
    let name = match wish.words.as_slice() {
        [user, group] if wish.flags.is_empty() && wish.values.is_empty() => {
            return add_member(call, accounts, user, group);
        }
        [name] if is_name(name) => name.clone(),
        _ => return call.unknown("this use is not understood"),
    };
    if accounts.uid(&name).is_some() {
        return call.fail(&format!("user '{name}' in use"));
    }
    if !wish.has('S') {
        return call.unknown("only system users are made by packages");
    }
    let group = wish.value('G').unwrap_or("nogroup").to_owned();
    let Some(gid) = accounts.gid(&group) else { return call.fail(&format!("unknown group {group}")) };
    let asked = wish.number('u', call)?;
    let uid = match asked.or_else(|| call.system.borrow().user_id(&accounts, &name)) {
        Some(uid) if accounts.user_of(uid).is_some() => return call.fail(&format!("uid '{uid}' in use")),
        Some(uid) => uid,
        None => return call.unknown("no id is free"),
    };
    let default_home = format!("/home/{name}");
    let home = wish.value('h').unwrap_or(&default_home).to_owned();
    let (comment, shell) = (wish.value('g').unwrap_or("Linux User,,,"), wish.value('s').unwrap_or("/sbin/nologin"));
    if [&home, comment, shell].iter().any(|text| text.contains([':', '\n'])) {
        return call.unknown("a colon in a field");
    }
    accounts.add_user(&NewUser { name: &name, uid, gid, comment, home: &home, shell, password: "!" });
    accounts.add_member(&group, &name);
    call.system.borrow_mut().made_users.insert(name);
    save(call, &accounts)?;
    if wish.has('H') { Ok(0) } else { make_home(call, &home, uid, gid) }
}

/// Makes the folder, if the one above it is there, and gives it to the user.
fn make_home(call: &mut Call<'_, '_, '_, '_>, home: &str, uid: u32, gid: u32) -> Result<i32, Unknown> {
    let above = home.trim_end_matches('/').rsplit_once('/').map_or("/", |(above, _)| above).to_owned();
    let (has_skeleton, has_above) =
        call.with(|files| Ok((!files.names_in("/etc/skel").is_empty(), above.is_empty() || files.exists(&above))))?;
    if has_skeleton {
        return call.unknown("a home folder with the files of /etc/skel");
    }
    if !has_above {
        // It only complains.
        call.fail(&format!("{home}: No such file or directory"))?;
        return Ok(0);
    }
    call.with(|files| {
        let place = files.make_dir(home, 0o2755)?;
        files.root.change(&place, &mut |node| (node.meta.mode, node.meta.uid, node.meta.gid) = (0o2755, uid, gid));
        Ok(0)
    })
}

pub(super) fn deluser(call: &mut Call<'_, '_, '_, '_>) -> Result<i32, Unknown> {
    delete(call, Accounts::remove_user, "user")
}

pub(super) fn delgroup(call: &mut Call<'_, '_, '_, '_>) -> Result<i32, Unknown> {
    delete(call, Accounts::remove_group, "group")
}

fn delete(
    call: &mut Call<'_, '_, '_, '_>,
    remove: fn(&mut Accounts, &str) -> bool,
    what: &str,
) -> Result<i32, Unknown> {
    let [name] = call.args.as_slice() else { return call.unknown("this use is not understood") };
    let name = name.clone();
    let mut accounts = call.with(|files| Accounts::load(files))?;
    if !remove(&mut accounts, &name) {
        return call.fail(&format!("unknown {what} {name}"));
    }
    save(call, &accounts)
}

/// `getent passwd|group NAME…` (getent(1)).
pub(super) fn getent(call: &mut Call<'_, '_, '_, '_>) -> Result<i32, Unknown> {
    let accounts = call.with(|files| Accounts::load(files))?;
    let line: fn(&Accounts, &str) -> Option<String> = match call.args.first().map(String::as_str) {
        Some("passwd") => Accounts::passwd_line,
        Some("group") => Accounts::group_line,
        _ => return call.unknown("this database is not understood"),
    };
    let names: Vec<String> = call.args.iter().skip(1).cloned().collect();
    if names.is_empty() || names.iter().any(|name| name.parse::<u32>().is_ok()) {
        return call.unknown("this use is not understood");
    }
    for name in names {
        let Some(line) = line(&accounts, &name) else { return Ok(2) };
        call.inner.out(format!("{line}\n"))?;
    }
    Ok(0)
}

fn save(call: &mut Call<'_, '_, '_, '_>, accounts: &Accounts) -> Result<i32, Unknown> {
    call.with(|files| accounts.save(files)).map(|()| 0)
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"._-".contains(&c)) && !name.starts_with('-')
}

#[cfg(test)]
mod tests {
    use super::super::testing::run;

    /// What `/etc/passwd`, `/etc/group` and `/etc/shadow` gain; expected values are those of the real busybox 1.36.1, but
    /// for the numbers that nobody asked for.
    #[test]
    fn accounts_are_as_busybox_makes_them() {
        let files = [
            ("/etc/passwd", "root:x:0:0:root:/root:/bin/ash\n"),
            ("/etc/group", "root:x:0:root\naudio:x:18:\nnogroup:x:65533:\n"),
            ("/etc/shadow", "root:*::0:::::\n"),
            ("/usr/sbin/adduser", ""),
            ("/usr/sbin/addgroup", ""),
            ("/home/x", ""),
        ];
        let script = "addgroup -S -g 77 g2; adduser -SDH -u 101 a1; adduser -S -G audio -u 102 a4; addgroup a1 g2\n\
             adduser -S -D -H -h /srv/x -s /bin/sh -G g2 -g 'A B' -u 333 a5\n\
             addgroup -S g2 2>/dev/null || echo taken; adduser -S -G nosuch a6 2>/dev/null || echo unknown\n\
             tail -n 3 /etc/passwd; tail -n 3 /etc/group; tail -n 1 /etc/shadow";
        let want = "taken\nunknown\na1:x:101:65533:Linux User,,,:/home/a1:/sbin/nologin\n\
             a4:x:102:18:Linux User,,,:/home/a4:/sbin/nologin\na5:x:333:77:A B:/srv/x:/bin/sh\n\
             audio:x:18:a4\nnogroup:x:65533:a1\ng2:x:77:a1,a5\na5:!:1:0:99999:7:::\n";
        let (tree, said) = run(&files, script);
        assert_eq!(said, format!("{want}0"));
        assert!(tree.contains("d /home/a4 2755 102 18"), "{tree}");
        assert!(run(&files, "adduser -D person").1.contains("only system users"));
        assert!(run(&files, "adduser -S -k /x y").1.contains("the option -k"));
    }
}
