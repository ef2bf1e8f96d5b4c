//! Who a process runs as: found by name inside the appliance, and fitted to what this namespace can give.
//!
//! Input: the text of `passwd`, `group` and the id maps of the user namespace. It switches nothing itself.

use std::fs;

use bundle::guest::User;

/// The superuser, who commands run as when nobody else is named.
pub fn root() -> User {
    User { name: "root".to_owned(), uid: 0, gid: 0, groups: Vec::new(), home: "/root".to_owned() }
}

/// Finds who `--user` means: a login name of this appliance, `UID` or `UID:GID`.
pub fn find(wanted: &str) -> Option<User> {
    let passwd = fs::read_to_string("/etc/passwd").unwrap_or_default();
    let group = fs::read_to_string("/etc/group").unwrap_or_default();
    find_in(wanted, &passwd, &group)
}

/// Whether this user namespace has the user's ids; `true` when that cannot be found out.
pub fn is_mapped(user: &User) -> bool {
    let has = |file: &str, id: u32| fs::read_to_string(file).map_or(true, |map| map_has(&map, id));
    has("/proc/self/uid_map", user.uid) && has("/proc/self/gid_map", user.gid)
}

fn find_in(wanted: &str, passwd: &str, group: &str) -> Option<User> {
    let (number, gid) = wanted.split_once(':').map_or((wanted, None), |(uid, gid)| (uid, Some(gid)));
    let entry = passwd.lines().map(|line| line.split(':').collect::<Vec<_>>()).find(|fields| match fields.as_slice() {
        [name, _, uid, ..] => *name == wanted || *uid == number,
        _ => false,
    });
    let mut user = match entry.as_deref() {
        Some([name, _, uid, gid, _, home, ..]) => {
            let groups = groups_of(name, group);
            User {
                name: (*name).to_owned(),
                uid: uid.parse().ok()?,
                gid: gid.parse().ok()?,
                groups,
                home: (*home).to_owned(),
            }
        }
        _ => {
            let uid = number.parse().ok()?;
            User { name: number.to_owned(), uid, gid: uid, groups: Vec::new(), home: "/".to_owned() }
        }
    };
    if let Some(gid) = gid {
        user.gid = gid.parse().ok()?;
    }
    Some(user)
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
        let check = |wanted: &str, expected: Option<(u32, u32, &str, &[u32])>| {
            let found = find_in(wanted, passwd, group);
            let found = found.as_ref().map(|user| (user.uid, user.gid, user.home.as_str(), user.groups.as_slice()));
            assert_eq!(found, expected, "{wanted}");
        };
        check("luna", Some((1000, 1001, "/home/luna", &[29, 44])));
        check("1000", Some((1000, 1001, "/home/luna", &[29, 44])));
        check("1000:5", Some((1000, 5, "/home/luna", &[29, 44])));
        check("77", Some((77, 77, "/", &[])));
        check("nobody", None);
        check("1:x", None);
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
