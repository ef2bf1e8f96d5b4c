//! Who a process runs as: found by name inside the appliance, and fitted to what this namespace can give.
//!
//! Input: the text of `passwd`, `group` and the id maps of the user namespace. It switches nothing itself.

use std::fs;

use bundle::guest::User;

use crate::near::nearest;

/// Names that are listed where none is near.
const LISTED_NAMES: usize = 12;

/// The superuser, who commands run as when nobody else is named.
pub fn root() -> User {
    User { name: "root".to_owned(), uid: 0, gid: 0, groups: Vec::new(), home: "/root".to_owned() }
}

/// Finds who `--user` means: `USER` or `USER:GROUP`, each a name of this appliance or a number, which needs no name.
///
/// # Errors
/// A fragment after "failed to", with the name that was probably meant.
pub fn find(wanted: &str) -> Result<User, String> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let group = fs::read_to_string("/etc/group").unwrap_or_default();
    find_in(wanted, &passwd, &group)
}

/// Whether this user namespace has the user's ids; `true` when that cannot be found out.
pub fn is_mapped(user: &User) -> bool {
    let has = |file: &str, id: u32| fs::read_to_string(file).map_or(true, |map| map_has(&map, id));
    has("/proc/self/uid_map", user.uid) && has("/proc/self/gid_map", user.gid)
}

fn find_in(wanted: &str, passwd: &str, group: &str) -> Result<User, String> {
    let (who, of_group) = wanted.split_once(':').map_or((wanted, None), |(who, group)| (who, Some(group)));
    let mut user =
        lines(passwd).find_map(|fields| user_of(who, &fields, group)).or_else(|| number(who)).ok_or_else(|| {
            let users =
                lines(passwd).filter_map(|fields| Some((fields.first()?.to_string(), fields.get(2)?.parse().ok()?)));
            format!("find the user {who:?} in this appliance{}", instead(who, "users", users.collect()))
        })?;
    if let Some(name) = of_group {
        let is_meant = |fields: &Vec<&str>| fields.first() == Some(&name) && !name.is_empty();
        let known = lines(group).find(is_meant).and_then(|fields| fields.get(2)?.parse().ok());
        user.gid = known.or_else(|| name.parse().ok()).ok_or_else(|| {
            let groups =
                lines(group).filter_map(|fields| Some((fields.first()?.to_string(), fields.get(2)?.parse().ok()?)));
            format!("find the group {name:?} in this appliance{}", instead(name, "groups", groups.collect()))
        })?;
    }
    Ok(user)
}

/// The lines of `passwd` and `group`, whose fields stand between colons (passwd(5), group(5)).
fn lines(text: &str) -> impl Iterator<Item = Vec<&str>> {
    text.lines().map(|line| line.split(':').collect())
}

/// The user of this line, if it is that of this name or number.
fn user_of(wanted: &str, fields: &[&str], group: &str) -> Option<User> {
    let [name, _, uid, gid, _, home, ..] = fields else { return None };
    if *name != wanted && *uid != wanted {
        return None;
    }
    let (uid, gid) = (uid.parse().ok()?, gid.parse().ok()?);
    Some(User { name: (*name).to_owned(), uid, gid, groups: groups_of(name, group), home: (*home).to_owned() })
}

/// A user without a name.
fn number(uid: &str) -> Option<User> {
    let id = uid.parse().ok()?;
    Some(User { name: uid.to_owned(), uid: id, gid: id, groups: Vec::new(), home: "/".to_owned() })
}

/// The name that was probably meant, else root's and those that were not made by packages: numbers from 1000 on; where there
/// are none of those, the first of all.
fn instead(wanted: &str, kind: &str, known: Vec<(String, u32)>) -> String {
    if let Some(near) = nearest(wanted, known.iter().map(|(name, _)| name.clone())) {
        return format!("; did you mean {near:?}?");
    }
    let is_own = |id: u32| (1000..65534).contains(&id);
    let has_own = known.iter().any(|(_, id)| is_own(*id));
    let listed = known.into_iter().filter(|(_, id)| !has_own || *id == 0 || is_own(*id)).map(|(name, _)| name);
    let own: Vec<String> = listed.take(LISTED_NAMES).collect();
    if own.is_empty() { String::new() } else { format!(": among its {kind} are {}", own.join(", ")) }
}

fn groups_of(name: &str, group: &str) -> Vec<u32> {
    let fields = group.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut groups: Vec<u32> = fields
        .filter_map(|fields| match fields.as_slice() {
            [_, _, gid, members] if members.split(',').any(|member| member == name) => gid.parse().ok(),
            _ => None,
        })
        .collect();
    groups.sort_unstable();
    groups
}

/// One line of an id map is: first id inside, first id outside, count (`user_namespaces(7)`).
fn map_has(map: &str, id: u32) -> bool {
    map.lines().any(|line| {
        let mut numbers = line.split_whitespace().map(|field| field.parse::<u64>().unwrap_or(0));
        let (first, _, count) = (numbers.next().unwrap_or(0), numbers.next(), numbers.next().unwrap_or(0));
        (first..first.saturating_add(count)).contains(&u64::from(id))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn users_are_found() {
        let passwd = "root:x:0:0:root:/root:/bin/sh\nluna:x:1000:1001::/home/luna:/bin/sh\nbad\n";
        let group = "video:x:44:root,luna\naudio:x:29:luna\nluna:x:1001:\n";
        let check = |wanted: &str, expected: Result<(u32, u32, &str, &[u32]), &str>| {
            let found = find_in(wanted, passwd, group);
            let found = found.as_ref().map(|user| (user.uid, user.gid, user.home.as_str(), user.groups.as_slice()));
            assert_eq!(found.map_err(String::as_str), expected, "{wanted}");
        };
        check("luna", Ok((1000, 1001, "/home/luna", &[29, 44])));
        check("1000", Ok((1000, 1001, "/home/luna", &[29, 44])));
        check("1000:5", Ok((1000, 5, "/home/luna", &[29, 44])));
        check("luna:audio", Ok((1000, 29, "/home/luna", &[29, 44])));
        check("77", Ok((77, 77, "/", &[])));
        check("77:video", Ok((77, 44, "/", &[])));
        check("lune", Err("find the user \"lune\" in this appliance; did you mean \"luna\"?"));
        check("nobody", Err("find the user \"nobody\" in this appliance: among its users are root, luna"));
        check("", Err("find the user \"\" in this appliance: among its users are root, luna"));
        check("luna:vide", Err("find the group \"vide\" in this appliance; did you mean \"video\"?"));
        check("1:x", Err("find the group \"x\" in this appliance: among its groups are luna"));
        check("1:", Err("find the group \"\" in this appliance: among its groups are luna"));
        let system = "root:x:0:0::/root:\ndaemon:x:1:1::/:\nwww-data:x:33:33::/:\nnobody:x:65534:65534::/:\n";
        let told = find_in("bob", system, "").map(|user| user.uid);
        let words = "find the user \"bob\" in this appliance: among its users are root, daemon, www-data, nobody";
        assert_eq!(told, Err(words.to_owned()));
    }

    #[test]
    fn id_maps_are_read() {
        let check = |map: &str, id: u32, expected: bool| assert_eq!(map_has(map, id), expected, "{map} {id}");
        check("         0       1000          1\n", 0, true);
        check("         0       1000          1\n", 1, false);
        check("0 1000 1\n1 100000 65536\n", 1000, true);
        check("0 0 4294967295", u32::MAX - 1, true);
        check("garbage", 0, false);
    }
}
