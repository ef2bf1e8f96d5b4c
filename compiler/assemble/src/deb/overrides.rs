//! dpkg's overridden owners and modes: `/var/lib/dpkg/statoverride`, lines of `USER GROUP MODE PATH`.

use tree::{Node, TreePath};

use crate::accounts::Accounts;
use crate::files::{Files, PathProblem};

pub(crate) const PATH: &str = "/var/lib/dpkg/statoverride";

/// One line.
#[derive(Debug, Clone)]
pub(crate) struct Override {
    pub user: String,
    pub group: String,
    pub mode: u16,
    pub path: String,
}

/// All overrides, with the accounts that their names are looked up in.
#[derive(Debug, Default)]
pub(crate) struct Overrides {
    pub lines: Vec<Override>,
    accounts: Accounts,
}

impl Overrides {
    pub fn load(files: &Files<'_>) -> Result<Self, PathProblem> {
        let text = files.read_text(PATH)?;
        let lines: Vec<Override> = text.lines().filter_map(parse_line).collect();
        let accounts = if lines.is_empty() { Accounts::default() } else { Accounts::load(files)? };
        Ok(Self { lines, accounts })
    }

    /// Writes the database, sorted by path.
    pub fn save(&mut self, files: &mut Files<'_>) -> Result<(), PathProblem> {
        self.lines.sort_by(|a, b| a.path.cmp(&b.path));
        let text: String = self.lines.iter().map(|one| format!("{}\n", one.text())).collect();
        files.write(PATH, 0o644, text)
    }

    pub fn of(&self, path: &str) -> Option<&Override> {
        self.lines.iter().find(|one| one.path == path)
    }

    /// The node with the owner and mode that the administrator or a script decided for its path.
    pub fn apply(&self, path: &TreePath, node: &Node) -> Node {
        let mut node = node.clone();
        if let Some(one) = (!self.lines.is_empty()).then(|| self.of(&path.display())).flatten()
            && let (Some(uid), Some(gid)) = (one.uid(&self.accounts), one.gid(&self.accounts))
        {
            (node.meta.uid, node.meta.gid, node.meta.mode) = (uid, gid, one.mode);
        }
        node
    }
}

impl Override {
    /// The user's id: by name, or `#NUMBER`.
    pub fn uid(&self, accounts: &Accounts) -> Option<u32> {
        self.user.strip_prefix('#').map_or_else(|| accounts.uid(&self.user), |number| number.parse().ok())
    }

    /// The group's id: by name, or `#NUMBER`.
    pub fn gid(&self, accounts: &Accounts) -> Option<u32> {
        self.group.strip_prefix('#').map_or_else(|| accounts.gid(&self.group), |number| number.parse().ok())
    }

    /// The line as the database and `dpkg-statoverride --list` have it.
    pub fn text(&self) -> String {
        format!("{} {} {:o} {}", self.user, self.group, self.mode, self.path)
    }
}

fn parse_line(line: &str) -> Option<Override> {
    let mut words = line.splitn(4, ' ');
    let (user, group, mode, path) = (words.next()?, words.next()?, words.next()?, words.next()?);
    let mode = u16::from_str_radix(mode, 8).ok().filter(|mode| *mode <= 0o7777)?;
    Some(Override { user: user.to_owned(), group: group.to_owned(), mode, path: path.to_owned() })
}
