//! Subordinate ids: the ranges of `/etc/subuid` and `/etc/subgid` (subuid(5)) that this user may map, and the tools that do it.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// Ids that a user may map beside the own one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SubordinateIds {
    /// First user id.
    pub uid_start: u32,
    /// How many user ids.
    pub uid_count: u32,
    /// First group id.
    pub gid_start: u32,
    /// How many group ids.
    pub gid_count: u32,
    /// The program that maps user ids.
    pub newuidmap: PathBuf,
    /// The program that maps group ids.
    pub newgidmap: PathBuf,
}

/// Why a user has none.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NoSubordinateIds {
    /// The reason.
    pub why: String,
    /// What can be done about it.
    pub remedy: String,
}

/// The first id that is ever given.
const FIRST_GIVEN: u64 = 100_000;

/// How many ids a user is given: all 16-bit ones.
const GIVEN_COUNT: u64 = 65_536;

/// Finds the user's first ranges and the two programs.
pub fn find(uid: u32) -> Result<SubordinateIds, NoSubordinateIds> {
    let name = user_name(&std::fs::read_to_string("/etc/passwd").unwrap_or_default(), uid);
    let whom = if name.is_empty() { uid.to_string() } else { name.clone() };
    let texts = ["/etc/subuid", "/etc/subgid"].map(|file| std::fs::read_to_string(file).unwrap_or_default());
    let of = |file: &str, text: &str| {
        range(text, &name, uid).ok_or_else(|| NoSubordinateIds {
            why: format!("{file} has no range for {whom}"),
            remedy: remedy(&texts, &name, uid, &whom),
        })
    };
    let (uid_start, uid_count) = of("/etc/subuid", &texts[0])?;
    let (gid_start, gid_count) = of("/etc/subgid", &texts[1])?;
    let (newuidmap, newgidmap) = (tool("newuidmap")?, tool("newgidmap")?);
    Ok(SubordinateIds { uid_start, uid_count, gid_start, gid_count, newuidmap, newgidmap })
}

/// The command that gives what is missing: ids that nobody has, of users and of groups.
fn remedy(texts: &[String; 2], name: &str, uid: u32, whom: &str) -> String {
    let first = next_free(texts.iter().flat_map(|text| ranges(text)).map(|(_, range)| range));
    let options = texts.iter().zip(["--add-subuids", "--add-subgids"]);
    let missing = options.filter(|(text, _)| range(text, name, uid).is_none());
    let asked: Vec<String> =
        missing.map(|(_, option)| format!("{option} {first}-{}", first + GIVEN_COUNT - 1)).collect();
    format!("root gives them with: usermod {} {whom}", asked.join(" "))
}

/// The first id after all ranges, and after the ids that users of the host themselves may have: `SUB_UID_MIN` of
/// login.defs(5), where `useradd` begins too.
fn next_free(ranges: impl Iterator<Item = (u32, u32)>) -> u64 {
    let ends = ranges.map(|(start, count)| u64::from(start) + u64::from(count));
    ends.fold(FIRST_GIVEN, u64::max)
}

/// The ranges of all users: lines `OWNER:START:COUNT` (subuid(5)).
fn ranges(text: &str) -> impl Iterator<Item = (&str, (u32, u32))> {
    text.lines().filter_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        Some((owner, (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?)))
    })
}

fn user_name(passwd: &str, uid: u32) -> String {
    let own = |line: &str| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == uid.to_string()).then(|| name.to_owned())
    };
    passwd.lines().find_map(own).unwrap_or_default()
}

/// The first range of the user, by name or number.
fn range(text: &str, name: &str, uid: u32) -> Option<(u32, u32)> {
    let own = |owner: &str| (!name.is_empty() && owner == name) || owner == uid.to_string();
    ranges(text).find(|(owner, _)| own(owner)).map(|(_, range)| range)
}

fn tool(name: &str) -> Result<PathBuf, NoSubordinateIds> {
    let folders = ["/usr/bin", "/bin", "/usr/local/bin", "/run/wrappers/bin"];
    let found = folders.iter().map(|folder| Path::new(folder).join(name)).find(|path| path.exists());
    found.ok_or_else(|| NoSubordinateIds {
        why: format!("the program {name} is not installed"),
        remedy: "install the package uidmap".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_that_are_proposed_are_nobodys() {
        let check = |uids: &str, gids: &str, expected: &str| {
            let told = remedy(&[uids.to_owned(), gids.to_owned()], "ann", 1000, "ann");
            assert_eq!(told, format!("root gives them with: usermod {expected} ann"));
        };
        check("", "", "--add-subuids 100000-165535 --add-subgids 100000-165535");
        check("bob:100000:65536", "", "--add-subuids 165536-231071 --add-subgids 165536-231071");
        let odd = "eve:300000:10\nbob:100000:65536\nbad\nx:y:z\n";
        check(odd, "bob:7:7", "--add-subuids 300010-365545 --add-subgids 300010-365545");
        check("ann:100000:65536", "bob:100000:65536", "--add-subgids 165536-231071");
    }

    #[test]
    fn ranges_are_found_by_name_or_number() {
        let text = "other:1:2\nann:100000:65536\n1001:200000:10\n";
        assert_eq!(range(text, "ann", 1000), Some((100_000, 65_536)));
        assert_eq!(range(text, "", 1001), Some((200_000, 10)));
        assert_eq!(range(text, "nobody", 7), None);
        assert_eq!(user_name("root:x:0:0::/:\nann:x:1000:1000::/:\n", 1000), "ann");
    }
}
