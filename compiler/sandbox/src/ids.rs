//! Which ids of the host stand for the ids inside: every id for root, subordinate ids for everyone else.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};

use nix::unistd::{Gid, Uid, User};

/// How many ids an appliance needs: all 16-bit ones, which holds `nobody` (65534) of every distribution.
const NEEDED: u32 = 65_536;

/// The id maps of a sandbox.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ids {
    /// Every id stands for itself.
    Root,
    /// Id 0 is this user; ids from 1 up are subordinate ids from these starts.
    Subordinate { uid: u32, gid: u32, uids: u32, gids: u32 },
}

impl Ids {
    /// The maps that this process may set up; `Err` says what is missing and what to do.
    pub(crate) fn of_this_user() -> Result<Self, String> {
        let (uid, gid) = (Uid::effective(), Gid::effective());
        if uid.is_root() {
            return Ok(Self::Root);
        }
        let name = User::from_uid(uid).ok().flatten().map_or_else(|| uid.to_string(), |user| user.name);
        let texts = ["/etc/subuid", "/etc/subgid"].map(|file| fs::read_to_string(file).unwrap_or_default());
        let range = |file: &str, text: &str| {
            first_range(text, &name, uid.as_raw()).ok_or_else(|| {
                let first = next_free(&texts);
                let given = format!("{first}-{}", first + u64::from(NEEDED) - 1);
                format!(
                    "{file} gives {name} no {NEEDED} subordinate ids; run: sudo usermod --add-subuids {given} --add-subgids {given} {name}"
                )
            })
        };
        let (uids, gids) = (range("/etc/subuid", &texts[0])?, range("/etc/subgid", &texts[1])?);
        Ok(Self::Subordinate { uid: uid.as_raw(), gid: gid.as_raw(), uids, gids })
    }

    /// Sets the maps of a process that has just entered a new user namespace.
    pub(crate) fn apply(&self, pid: u32) -> io::Result<()> {
        match self {
            Self::Root => ["uid_map", "gid_map"]
                .iter()
                .try_for_each(|map| fs::write(Path::new("/proc").join(pid.to_string()).join(map), "0 0 4294967295")),
            Self::Subordinate { uid, gid, uids, gids } => {
                set_map("newuidmap", pid, *uid, *uids)?;
                set_map("newgidmap", pid, *gid, *gids)
            }
        }
    }
}

fn set_map(tool: &str, pid: u32, own: u32, start: u32) -> io::Result<()> {
    let args = [pid, 0, own, 1, 1, start, NEEDED - 1].map(|number| number.to_string());
    let output = Command::new(tool).args(args).stdin(Stdio::null()).output().map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            io::Error::other(format!("there is no {tool}; on Debian: sudo apt-get install uidmap"))
        }
        _ => error,
    })?;
    if output.status.success() {
        return Ok(());
    }
    Err(io::Error::other(format!("{tool}: {}", String::from_utf8_lossy(&output.stderr).trim())))
}

/// The first id after the ranges of all users, at least the first that is ever given (`SUB_UID_MIN` of login.defs(5)).
fn next_free(texts: &[String; 2]) -> u64 {
    let number = |field: Option<&str>| field?.trim().parse::<u32>().ok().map(u64::from);
    let ends = texts.iter().flat_map(|text| text.lines()).filter_map(|line| {
        let mut fields = line.split(':').skip(1);
        Some(number(fields.next())? + number(fields.next())?)
    });
    ends.fold(100_000, u64::max)
}

/// The start of the first range that is long enough, from lines `NAME:START:COUNT` (subuid(5)).
fn first_range(text: &str, name: &str, id: u32) -> Option<u32> {
    text.lines().find_map(|line| {
        let mut fields = line.split(':');
        let owner = fields.next()?;
        let start: u32 = fields.next()?.trim().parse().ok()?;
        let count: u32 = fields.next()?.trim().parse().ok()?;
        let ours = owner == name || owner == id.to_string();
        (ours && count >= NEEDED - 1 && start.checked_add(count).is_some()).then_some(start)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ids_that_are_proposed_are_nobodys() {
        let check = |uids: &str, gids: &str, first: u64| {
            assert_eq!(next_free(&[uids.to_owned(), gids.to_owned()]), first, "{uids} {gids}");
        };
        check("", "bad\n", 100_000);
        check("low:5:10\nbob:100000:65536\n", "", 165_536);
        check("bob:100000:65536\n", "eve:300000:10\n", 300_010);
    }

    #[test]
    fn the_first_long_range_of_the_user_is_taken() {
        let text = "other:1:65536\nme:5:10\nme:100000:65536\n1000:9:65536\n";
        assert_eq!(first_range(text, "me", 1000), Some(100_000));
        assert_eq!(first_range(text, "you", 1000), Some(9));
        assert_eq!(first_range(text, "you", 1001), None);
        assert_eq!(first_range("me:x:y\nme\n", "me", 1), None);
    }
}
