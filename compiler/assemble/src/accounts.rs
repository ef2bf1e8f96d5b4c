//! The account databases of a tree: `passwd`, `group`, `shadow`, `gshadow`, read, changed and written back.
//!
//! Formats: passwd(5), group(5), shadow(5), gshadow(5). Lines keep their order; a shadow file that is absent stays absent.
//! Ids are given out by name, not by order: see [`Accounts::free_system_id`].

use tree::Digest;

use crate::files::{Files, PathProblem};

/// The account databases. Rows hold the colon-separated fields.
#[derive(Debug, Clone, Default)]
pub(crate) struct Accounts {
    passwd: Vec<Vec<String>>,
    group: Vec<Vec<String>>,
    shadow: Option<Vec<Vec<String>>>,
    gshadow: Option<Vec<Vec<String>>>,
    day: i64,
}

/// A user to add.
#[derive(Debug, Clone)]
pub(crate) struct NewUser<'a> {
    pub name: &'a str,
    pub uid: u32,
    pub gid: u32,
    pub comment: &'a str,
    pub home: &'a str,
    pub shell: &'a str,
    /// `*` for no password that could match, `!` for locked.
    pub password: &'a str,
}

/// The ids that are given out to system users and groups, adduser's range less 100, which is the group `users`.
const SYSTEM_IDS: std::ops::RangeInclusive<u32> = 101..=999;

impl Accounts {
    pub fn load(files: &Files<'_>) -> Result<Self, PathProblem> {
        let rows = |text: String| -> Vec<Vec<String>> {
            text.lines()
                .filter(|line| !line.is_empty())
                .map(|line| line.split(':').map(str::to_owned).collect())
                .collect()
        };
        let optional = |path: &str| -> Result<_, PathProblem> {
            if files.exists(path) { Ok(Some(rows(files.read_text(path)?))) } else { Ok(None) }
        };
        Ok(Self {
            passwd: rows(files.read_text("etc/passwd")?),
            group: rows(files.read_text("etc/group")?),
            shadow: optional("etc/shadow")?,
            gshadow: optional("etc/gshadow")?,
            day: files.epoch_secs.div_euclid(86_400),
        })
    }

    /// Writes all databases back; a shadow file belongs to the group `shadow`, mode 0640.
    pub fn save(&self, files: &mut Files<'_>) -> Result<(), PathProblem> {
        let text = |rows: &[Vec<String>]| rows.iter().map(|row| row.join(":") + "\n").collect::<String>();
        files.write("etc/passwd", 0o644, text(&self.passwd))?;
        files.write("etc/group", 0o644, text(&self.group))?;
        let shadow_gid = self.gid("shadow").unwrap_or(0);
        for (path, rows) in [("etc/shadow", &self.shadow), ("etc/gshadow", &self.gshadow)] {
            let Some(rows) = rows else { continue };
            files.write(path, 0o640, text(rows))?;
            let place = files.resolve(path, true)?;
            files.own(&place, 0, shadow_gid);
        }
        Ok(())
    }

    pub fn uid(&self, name: &str) -> Option<u32> {
        number(self.user_row(name)?, 2)
    }

    pub fn gid(&self, name: &str) -> Option<u32> {
        number(self.group_row(name)?, 2)
    }

    /// The primary group of a user.
    pub fn primary_gid(&self, name: &str) -> Option<u32> {
        number(self.user_row(name)?, 3)
    }

    pub fn home(&self, name: &str) -> Option<&str> {
        self.user_row(name)?.get(5).map(String::as_str)
    }

    pub fn user_of(&self, uid: u32) -> Option<&str> {
        self.passwd.iter().find(|row| number(row, 2) == Some(uid))?.first().map(String::as_str)
    }

    pub fn group_of(&self, gid: u32) -> Option<&str> {
        self.group.iter().find(|row| number(row, 2) == Some(gid))?.first().map(String::as_str)
    }

    /// The ids of the groups that name a user as a member, sorted.
    pub fn groups_of(&self, user: &str) -> Vec<u32> {
        let mut ids: Vec<u32> = self
            .group
            .iter()
            .filter(|row| members(row).any(|member| member == user))
            .filter_map(|row| number(row, 2))
            .collect();
        ids.sort_unstable();
        ids
    }

    pub fn user_names(&self) -> impl Iterator<Item = &str> {
        self.passwd.iter().filter_map(|row| row.first().map(String::as_str))
    }

    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        self.group.iter().filter_map(|row| row.first().map(String::as_str))
    }

    /// The line of a user as `getent passwd` prints it.
    pub fn passwd_line(&self, name: &str) -> Option<String> {
        self.user_row(name).map(|row| row.join(":"))
    }

    /// The line of a group as `getent group` prints it.
    pub fn group_line(&self, name: &str) -> Option<String> {
        self.group_row(name).map(|row| row.join(":"))
    }

    /// Adds a user whose password may age, as the distribution's own accounts and people have it.
    pub fn add_user(&mut self, user: &NewUser<'_>) {
        self.add(user, ["0", "99999", "7"]);
    }

    /// Adds a system user; useradd(8) leaves the password's ages empty for those.
    pub fn add_system_user(&mut self, user: &NewUser<'_>) {
        self.add(user, ["", "", ""]);
    }

    fn add(&mut self, user: &NewUser<'_>, ages: [&str; 3]) {
        let secret = if self.shadow.is_some() { "x" } else { user.password };
        let (uid, gid) = (user.uid.to_string(), user.gid.to_string());
        self.passwd
            .push([user.name, secret, &uid, &gid, user.comment, user.home, user.shell].map(str::to_owned).into());
        let day = self.day.to_string();
        if let Some(shadow) = &mut self.shadow {
            let row = [user.name, user.password, &day, ages[0], ages[1], ages[2], "", "", ""];
            shadow.push(row.map(str::to_owned).into());
        }
    }

    pub fn add_group(&mut self, name: &str, gid: u32) {
        let secret = if self.gshadow.is_some() { "x" } else { "*" };
        self.group.push([name, secret, &gid.to_string(), ""].map(str::to_owned).into());
        if let Some(gshadow) = &mut self.gshadow {
            gshadow.push([name, "!", "", ""].map(str::to_owned).into());
        }
    }

    /// Gives a group the password that no text encrypts to, in the way of systemd-sysusers(8).
    pub fn lock_group(&mut self, name: &str) {
        let row = self.gshadow.iter_mut().flatten().find(|row| named(row, name));
        if let Some(secret) = row.and_then(|row| row.get_mut(1)) {
            "!*".clone_into(secret);
        }
    }

    /// Adds a group whose line says that its password is elsewhere, whether there is a `gshadow` or not.
    pub fn add_shadowed_group(&mut self, name: &str, gid: u32) {
        self.add_group(name, gid);
        if let Some(secret) = self.group.last_mut().and_then(|row| row.get_mut(1)) {
            secret.replace_range(.., "x");
        }
    }

    /// Makes a user a member of a group; says whether the group exists.
    pub fn add_member(&mut self, group: &str, user: &str) -> bool {
        let Some(row) = self.group.iter_mut().find(|row| named(row, group)) else { return false };
        join_member(row, user);
        if let Some(row) = self.gshadow.as_mut().and_then(|rows| rows.iter_mut().find(|row| named(row, group))) {
            join_member(row, user);
        }
        true
    }

    pub fn remove_user(&mut self, name: &str) -> bool {
        let before = self.passwd.len();
        self.passwd.retain(|row| !named(row, name));
        if let Some(shadow) = &mut self.shadow {
            shadow.retain(|row| !named(row, name));
        }
        before != self.passwd.len()
    }

    pub fn remove_group(&mut self, name: &str) -> bool {
        let before = self.group.len();
        self.group.retain(|row| !named(row, name));
        if let Some(gshadow) = &mut self.gshadow {
            gshadow.retain(|row| !named(row, name));
        }
        before != self.group.len()
    }

    /// Changes one field of a user's `passwd` line: 4 comment, 5 home, 6 shell.
    pub fn set_user_field(&mut self, name: &str, field: usize, value: &str) -> bool {
        let cell = self.passwd.iter_mut().find(|row| named(row, name)).and_then(|row| row.get_mut(field));
        cell.map(|cell| *cell = value.to_owned()).is_some()
    }

    /// What `shadowconfig on` does: passwords move into shadow files, with the epoch's day as their last change.
    pub fn shadow_on(&mut self) {
        let day = self.day.to_string();
        if self.shadow.is_none() {
            let rows = self.passwd.iter_mut().map(|row| {
                let secret = std::mem::replace(&mut row[1], "x".to_owned());
                [&row[0], &secret, &day, "0", "99999", "7", "", "", ""].map(ToString::to_string).into()
            });
            self.shadow = Some(rows.collect());
        }
        if self.gshadow.is_none() {
            let rows = self.group.iter_mut().map(|row| {
                let secret = std::mem::replace(&mut row[1], "x".to_owned());
                let members = row.get(3).cloned().unwrap_or_default();
                [&row[0], &secret, "", &members].map(ToString::to_string).into()
            });
            self.gshadow = Some(rows.collect());
        }
    }

    /// An id for a system user or group of this name that is free as both, taken from a hash of the name, so that it does
    /// not depend on which packages came before: files on a volume keep their owner when a package is added.
    pub fn free_system_id(&self, name: &str) -> Option<u32> {
        let count = SYSTEM_IDS.end() - SYSTEM_IDS.start() + 1;
        let [a, b, c, d, ..] = Digest::of(format!("appliance system id {name}").as_bytes()).0;
        let first = u32::from_be_bytes([a, b, c, d]) % count;
        (0..count).map(|step| SYSTEM_IDS.start() + (first + step) % count).find(|id| self.is_free(*id))
    }

    /// Whether neither a user nor a group has this id.
    pub fn is_free(&self, id: u32) -> bool {
        self.user_of(id).is_none() && self.group_of(id).is_none()
    }

    fn user_row(&self, name: &str) -> Option<&Vec<String>> {
        self.passwd.iter().find(|row| named(row, name))
    }

    fn group_row(&self, name: &str) -> Option<&Vec<String>> {
        self.group.iter().find(|row| named(row, name))
    }
}

fn named(row: &[String], name: &str) -> bool {
    row.first().is_some_and(|first| first == name)
}

fn number(row: &[String], field: usize) -> Option<u32> {
    row.get(field)?.parse().ok()
}

fn members(row: &[String]) -> impl Iterator<Item = &str> {
    row.get(3).map_or("", String::as_str).split(',').filter(|member| !member.is_empty())
}

fn join_member(row: &mut Vec<String>, user: &str) {
    if members(row).any(|member| member == user) {
        return;
    }
    row.resize(4, String::new());
    if !row[3].is_empty() {
        row[3].push(',');
    }
    row[3].push_str(user);
}

#[cfg(test)]
mod tests {
    use tree::{NoBlobs, Tree};

    use super::*;

    #[test]
    fn accounts_survive_a_round_and_shadow_takes_the_passwords() {
        let mut tree = Tree::default();
        let mut files = Files { root: &mut tree, blobs: &NoBlobs, epoch_secs: 86_400 * 19_000 };
        files.write("etc/passwd", 0o644, "root:*:0:0:root:/root:/bin/bash\n").unwrap();
        files.write("etc/group", 0o644, "root:*:0:\nshadow:*:42:\n").unwrap();
        let mut accounts = Accounts::load(&files).unwrap();
        accounts.shadow_on();
        accounts.add_group("web", 700);
        accounts.add_user(&NewUser {
            name: "web",
            uid: 700,
            gid: 700,
            comment: "",
            home: "/srv",
            shell: "/bin/sh",
            password: "!",
        });
        assert!(accounts.add_member("shadow", "web"));
        accounts.save(&mut files).unwrap();
        assert_eq!(files.read_text("etc/shadow").unwrap(), "root:*:19000:0:99999:7:::\nweb:!:19000:0:99999:7:::\n");
        assert_eq!(files.read_text("etc/group").unwrap(), "root:x:0:\nshadow:x:42:web\nweb:x:700:\n");
        assert_eq!(files.stat("etc/shadow").unwrap().meta.gid, 42);
        assert_eq!(accounts.groups_of("web"), [42]);
    }

    #[test]
    fn an_id_depends_on_the_name_alone() {
        let mut accounts = Accounts::default();
        let first = accounts.free_system_id("messagebus").unwrap();
        accounts.add_group("other", accounts.free_system_id("other").unwrap());
        assert_eq!(accounts.free_system_id("messagebus"), Some(first));
        accounts.add_group("taken", first);
        assert_ne!(accounts.free_system_id("messagebus"), Some(first));
    }
}
