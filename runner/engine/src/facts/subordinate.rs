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

/// Finds the user's first ranges and the two programs.
pub fn find(uid: u32) -> Result<SubordinateIds, NoSubordinateIds> {
    let name = user_name(&std::fs::read_to_string("/etc/passwd").unwrap_or_default(), uid);
    let of = |file: &str| {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        range(&text, &name, uid).ok_or_else(|| {
            let whom = if name.is_empty() { uid.to_string() } else { name.clone() };
            let remedy =
                format!("root gives them with: usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {whom}");
            NoSubordinateIds { why: format!("{file} has no range for {whom}"), remedy }
        })
    };
    let (uid_start, uid_count) = of("/etc/subuid")?;
    let (gid_start, gid_count) = of("/etc/subgid")?;
    let (newuidmap, newgidmap) = (tool("newuidmap")?, tool("newgidmap")?);
    Ok(SubordinateIds { uid_start, uid_count, gid_start, gid_count, newuidmap, newgidmap })
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
    text.lines().find_map(|line| {
        let mut fields = line.trim().split(':');
        let owner = fields.next()?;
        let own = (!name.is_empty() && owner == name) || owner == uid.to_string();
        let (start, count) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
        own.then_some((start, count))
    })
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
    fn ranges_are_found_by_name_or_number() {
        let text = "other:1:2\nann:100000:65536\n1001:200000:10\n";
        assert_eq!(range(text, "ann", 1000), Some((100_000, 65_536)));
        assert_eq!(range(text, "", 1001), Some((200_000, 10)));
        assert_eq!(range(text, "nobody", 7), None);
        assert_eq!(user_name("root:x:0:0::/:\nann:x:1000:1000::/:\n", 1000), "ann");
    }
}
