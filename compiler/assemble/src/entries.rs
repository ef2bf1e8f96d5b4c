//! Steps for what the spec itself puts into the tree: users, then files, folders and links.

use std::collections::BTreeMap;

use spec::Written;
use spec::appliance::{Arch, Entry, EntryKind, User};
use tree::{Kind, Node, TreePath};

use crate::accounts::{Accounts, NewUser};
use crate::base_files;
use crate::error::AssembleError;
use crate::files::{Files, PathProblem};
use crate::inputs::{Origin, Source};
use crate::mistake::{self, Mistake, Put};

/// Adds the spec's users, each with a group of its name, and their home folders.
pub(crate) fn add_users(files: &mut Files<'_>, users: &[User]) -> Result<(), AssembleError> {
    if users.is_empty() {
        return Ok(());
    }
    let mut accounts = Accounts::load(files).map_err(|source| AssembleError::Path {
        doing: "read the accounts in",
        path: "/etc".to_owned(),
        source,
    })?;
    make_root(&mut accounts);
    let mut mistakes: Vec<Mistake> = users.iter().filter_map(|user| add_user(&mut accounts, user)).collect();
    for user in users {
        for group in &user.groups {
            if !accounts.add_member(group, &user.name) {
                let at = Written::Membership(user.name.clone(), group.clone());
                mistakes.push(no_group(at, group, &accounts));
            }
        }
    }
    AssembleError::of(mistakes)?;
    accounts.save(files).map_err(|source| AssembleError::Path {
        doing: "write the accounts in",
        path: "/etc".to_owned(),
        source,
    })?;
    users.iter().try_for_each(|user| make_home(files, user))
}

/// A root without packages has no accounts; where there are users, there is root.
fn make_root(accounts: &mut Accounts) {
    if accounts.user_names().next().is_none() && accounts.group_names().next().is_none() {
        accounts.add_group("root", 0);
        let (name, home, shell) = ("root", "/root", "/bin/sh");
        accounts.add_user(&NewUser { name, uid: 0, gid: 0, comment: "", home, shell, password: "*" });
    }
}

fn add_user(accounts: &mut Accounts, user: &User) -> Option<Mistake> {
    let clash = |message: String, help: &str| {
        let at = Written::User(user.name.clone());
        Some(Mistake { at, code: "user-clash", message, label: "exists already", help: help.to_owned() })
    };
    let name = &user.name;
    if accounts.uid(name).is_some() {
        let message = format!("a package already makes a user \"{name}\"");
        return clash(message, "use it without this `user` line, or take another name");
    }
    let free = "give this user another `uid=`, or leave it out";
    if let Some(other) = accounts.user_of(user.uid) {
        return clash(format!("the uid {} of \"{name}\" already belongs to \"{other}\"", user.uid), free);
    }
    let gid = match accounts.gid(name) {
        Some(gid) => gid,
        None => {
            if let Some(other) = accounts.group_of(user.uid) {
                let message = format!("the gid {} of the group of \"{name}\" already belongs to \"{other}\"", user.uid);
                return clash(message, free);
            }
            accounts.add_group(name, user.uid);
            user.uid
        }
    };
    let User { uid, home, shell, .. } = user;
    accounts.add_user(&NewUser { name, uid: *uid, gid, comment: "", home, shell, password: "!" });
    None
}

/// That nobody makes a group of this name.
fn no_group(at: Written, group: &str, accounts: &Accounts) -> Mistake {
    let help = match spec::nearest(group, accounts.group_names()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => "is the package that makes it in `packages`?".to_owned(),
    };
    let message = format!("there is no group \"{group}\" in the image");
    Mistake { at, code: "unknown-group", message, label: "not a group", help }
}

/// That nobody makes a user of this name.
pub(crate) fn no_user(at: Written, user: &str, accounts: &Accounts) -> Mistake {
    let help = match spec::nearest(user, accounts.user_names()) {
        Some(near) => format!("did you mean \"{near}\"?"),
        None => format!("add the line: user \"{user}\"; or is the package that makes it in `packages`?"),
    };
    let message = format!("there is no user \"{user}\" in the image");
    Mistake { at, code: "unknown-user", message, label: "not a user", help }
}

fn make_home(files: &mut Files<'_>, user: &User) -> Result<(), AssembleError> {
    if files.exists(&user.home) {
        return Ok(());
    }
    let problem = |source| AssembleError::Path { doing: "make the home folder", path: user.home.clone(), source };
    let place = files.make_dir(&user.home, 0o755).map_err(problem)?;
    files.own(&place, user.uid, user.uid);
    Ok(())
}

/// Puts the spec's files, folders and links, in the order written, over what packages left; gives what cannot be put.
pub(crate) fn put_entries(
    files: &mut Files<'_>,
    entries: &[Entry],
    (arch, sources): (Arch, &BTreeMap<String, Source>),
    origins: &mut BTreeMap<TreePath, Origin>,
) -> Result<Vec<Mistake>, AssembleError> {
    let accounts = Accounts::load(files).map_err(|source| AssembleError::Path {
        doing: "read the accounts in",
        path: "/etc".to_owned(),
        source,
    })?;
    let mut mistakes = Vec::new();
    for entry in entries {
        match owner_of(&accounts, entry) {
            Ok(owner) => mistakes.extend(put_entry(files, entry, owner, (arch, sources), origins)?),
            Err(mistake) => mistakes.push(*mistake),
        }
    }
    Ok(mistakes)
}

fn owner_of(accounts: &Accounts, entry: &Entry) -> Result<(u32, u32), Box<Mistake>> {
    let unknown = || Box::new(no_user(Written::Owner(entry.path.clone()), &entry.owner, accounts));
    // A root without packages has no accounts, but root is root everywhere.
    if entry.owner == "root" && entry.group.as_deref().is_none_or(|group| group == "root") {
        return Ok((0, 0));
    }
    let uid = accounts.uid(&entry.owner).ok_or_else(unknown)?;
    let gid = match &entry.group {
        None => accounts.primary_gid(&entry.owner).ok_or_else(unknown)?,
        Some(group) => accounts
            .gid(group)
            .ok_or_else(|| Box::new(no_group(Written::Group(entry.path.clone()), group, accounts)))?,
    };
    Ok((uid, gid))
}

/// Puts all that an entry brings, up to the first of it that cannot be put.
fn put_entry(
    files: &mut Files<'_>,
    entry: &Entry,
    owner: (u32, u32),
    (arch, sources): (Arch, &BTreeMap<String, Source>),
    origins: &mut BTreeMap<TreePath, Origin>,
) -> Result<Option<Mistake>, AssembleError> {
    let at_path = |node| vec![(entry.path.as_bytes().to_vec(), node)];
    let nodes = match &entry.kind {
        EntryKind::Text(text) => at_path(Node::file(entry.mode.unwrap_or(0o644), text.as_bytes())),
        EntryKind::Dir => at_path(Node::dir(entry.mode.unwrap_or(0o755))),
        EntryKind::Link(target) => at_path(Node::symlink(target)),
        EntryKind::From(from) => {
            let from = arch.fill(from);
            let source = sources.get(&from);
            let missing = || AssembleError::NoSource { path: entry.path.clone(), from };
            source_nodes(source.ok_or_else(missing)?, entry)
        }
    };
    for (path, mut node) in nodes {
        node = files.stamped(node);
        (node.meta.uid, node.meta.gid) = owner;
        let (put, at) = (Put::of(&node.kind), Written::Entry(entry.path.clone()));
        let shown = String::from_utf8_lossy(&path).into_owned();
        if let Some(folder) = folder_in_the_way(files, &path, put) {
            let (message, label, help) = mistake::over_folder(&shown, &folder, put, origins);
            return Ok(Some(Mistake { at, code: "bad-path", message, label, help }));
        }
        match put_node(files, &path, node) {
            Ok(place) => _ = origins.insert(place, Origin::Appliance),
            Err(source) => {
                let found = mistake::misplaced(files, at, &shown, put, &source, origins);
                let error = AssembleError::Path { doing: "put", path: entry.path.clone(), source };
                return found.map(Some).ok_or(error);
            }
        }
    }
    Ok(None)
}

/// The folder whose place something else would take, so that what is in it or looks for it there is lost. A link may
/// take the place of an empty folder, or of another link that is not part of the root's own layout.
fn folder_in_the_way(files: &Files<'_>, path: &[u8], put: Put) -> Option<TreePath> {
    let there = files.lstat(path).filter(|_| put != Put::Folder)?;
    let place = files.resolve(path, true).ok()?;
    if !files.tree().get(&place)?.is_dir() {
        return None;
    }
    let is_own = match there.kind {
        Kind::Dir => files.tree().children(&place).next().is_some() || base_files::is_system_folder(&place),
        _ => path.iter().filter(|&&byte| byte == b'/').count() == 1,
    };
    (put == Put::File || is_own).then_some(place)
}

/// A folder is put where the way leads, also through a link such as /bin; anything else replaces what is there.
fn put_node(files: &mut Files<'_>, path: &[u8], node: Node) -> Result<TreePath, PathProblem> {
    if !node.is_dir() {
        return files.put(path, node);
    }
    let place = files.make_dir(path, 0o755)?;
    files.root.insert(place.clone(), node).map_err(PathProblem::Insert)?;
    Ok(place)
}

/// The entries that a source brings, with their places in the image.
fn source_nodes(source: &Source, entry: &Entry) -> Vec<(Vec<u8>, Node)> {
    match source {
        Source::File(node) => vec![(entry.path.as_bytes().to_vec(), plain(node, entry.mode))],
        Source::Folder(folder) => folder
            .iter()
            .map(|(path, _, node)| {
                let place = if path.is_root() {
                    entry.path.as_bytes().to_vec()
                } else {
                    [entry.path.as_bytes(), b"/", path.as_bytes()].concat()
                };
                (place, plain(node, entry.mode))
            })
            .collect(),
    }
}

/// A node with the metadata that the language gives it: the host's owner, time and attributes do not come along.
fn plain(node: &Node, mode: Option<u16>) -> Node {
    let executable = node.meta.mode & 0o111 != 0;
    match &node.kind {
        Kind::Dir => Node::dir(mode.map_or(0o755, |mode| mode | (mode & 0o444) >> 2)),
        Kind::Symlink(target) => Node::symlink(target),
        kind => {
            Node { kind: kind.clone(), meta: tree::Meta::root(mode.unwrap_or(if executable { 0o755 } else { 0o644 })) }
        }
    }
}

#[cfg(test)]
mod tests {
    use tree::NoBlobs;

    use super::*;

    fn check(entry: Entry, want: &str) {
        let mut tree = tree::Tree::default();
        let mut files = Files { root: &mut tree, blobs: &NoBlobs, epoch_secs: 7 };
        files.write("etc/passwd", 0o644, "root:x:0:0::/root:/bin/sh\n").unwrap();
        files.write("etc/group", 0o644, "root:x:0:\n").unwrap();
        let luna =
            User { name: "luna".into(), uid: 1000, home: "/home/luna".into(), groups: vec![], shell: "/bin/sh".into() };
        add_users(&mut files, &[luna]).unwrap();
        let mut folder = tree::Tree::default();
        folder.insert(TreePath::new("run").unwrap(), Node::file(0o700, "#!")).unwrap();
        let file = Node::file(0o600, "print()");
        let sources = [("dir".to_owned(), Source::Folder(folder)), ("app.py".to_owned(), Source::File(file))].into();
        let got = match put_entries(&mut files, &[entry], (Arch::Arm64, &sources), &mut BTreeMap::new()) {
            Err(error) => error.to_string(),
            Ok(mistakes) if !mistakes.is_empty() => told(&mistakes),
            Ok(_) => tree::dump(&tree)
                .lines()
                .filter(|line| line.contains("/opt"))
                .map(|line| line.split(" 7").next().unwrap())
                .collect::<Vec<_>>()
                .join(", "),
        };
        assert_eq!(got, want);
    }

    fn entry(owner: &str, kind: EntryKind) -> Entry {
        Entry { path: "/opt/x".into(), owner: owner.into(), group: None, mode: None, kind }
    }

    #[test]
    fn sources_get_the_owner_and_modes_of_the_language() {
        check(
            entry("luna", EntryKind::From("dir".into())),
            "d /opt 0755 0 0, d /opt/x 0755 1000 1000, f /opt/x/run 0755 1000 1000",
        );
        check(entry("luna", EntryKind::From("app.py".into())), "d /opt 0755 0 0, f /opt/x 0644 1000 1000");
        check(entry("root", EntryKind::Link("y".into())), "d /opt 0755 0 0, l /opt/x 0777 0 0");
    }

    #[test]
    fn what_does_not_exist_is_named() {
        check(
            entry("lunna", EntryKind::Dir),
            "Owner(\"/opt/x\"): there is no user \"lunna\" in the image (did you mean \"luna\"?)",
        );
        check(entry("root", EntryKind::From("gone".into())), "put /opt/x: its source \"gone\" was not read");
    }

    fn told(mistakes: &[Mistake]) -> String {
        let lines = mistakes.iter().map(|one| format!("{:?}: {} ({})", one.at, one.message, one.help));
        lines.collect::<Vec<_>>().join("\n")
    }

    /// What is wrong with putting an entry into a root with a merged /usr.
    fn misplaced(path: &str, kind: EntryKind, want: &str) {
        let mut tree = tree::Tree::default();
        let mut files = Files { root: &mut tree, blobs: &NoBlobs, epoch_secs: 7 };
        files.write("etc/passwd", 0o644, "root:x:0:0::/root:/bin/sh\n").unwrap();
        files.write("usr/bin/sh", 0o755, "").unwrap();
        files.make_dir("tmp", 0o1777).unwrap();
        files.make_dir("srv", 0o755).unwrap();
        files.link("bin", "usr/bin").unwrap();
        files.link("usr/java", "bin").unwrap();
        files.link("circle", "circle").unwrap();
        let mut origins = BTreeMap::new();
        origins.insert(TreePath::new("etc/passwd").unwrap(), Origin::Base("base-passwd".into()));
        let entry = Entry { path: path.into(), owner: "root".into(), group: None, mode: None, kind };
        let mistakes = put_entries(&mut files, &[entry], (Arch::Amd64, &BTreeMap::new()), &mut origins).unwrap();
        assert_eq!(told(&mistakes).strip_prefix(&format!("Entry({path:?}): ")).unwrap_or_default(), want);
    }

    #[test]
    fn what_stands_in_the_way_is_told_at_the_entry() {
        let text = || EntryKind::Text(String::new());
        let link = || EntryKind::Link("x".into());
        misplaced("/etc/passwd", text(), "");
        misplaced("/srv", link(), "");
        misplaced("/usr/java", link(), "");
        misplaced("/bin/new", text(), "");
        misplaced("/bin", EntryKind::Dir, "");
        misplaced(
            "/etc/passwd",
            EntryKind::Dir,
            "\"/etc/passwd\" is a file of the package base-passwd, and a folder cannot take its place \
             (name another path; a file is replaced with: file \"/etc/passwd\" …)",
        );
        misplaced(
            "/etc/passwd/x",
            text(),
            "\"/etc/passwd/x\" is inside of \"/etc/passwd\", which is a file of the package base-passwd \
             (name a path in a folder)",
        );
        misplaced(
            "/srv",
            text(),
            "\"/srv\" is a folder of the base, and a file cannot take its place \
             (name what is to be in it: file \"/srv/NAME\" …)",
        );
        misplaced(
            "/tmp",
            link(),
            "\"/tmp\" is a folder of the base, and a link cannot take its place \
             (name what is to be in it: link \"/tmp/NAME\" …)",
        );
        misplaced(
            "/bin",
            link(),
            "\"/bin\" is a link to \"/usr/bin\", a folder of the base, and a link cannot take its place \
             (name what is to be in it: link \"/bin/NAME\" …)",
        );
        misplaced(
            "/circle/x",
            text(),
            "the links on the way to \"/circle/x\" lead in a circle \
             (name a path without these links, or correct the `link` lines)",
        );
    }
}
