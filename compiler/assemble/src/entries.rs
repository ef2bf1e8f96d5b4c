//! Steps for what the spec itself puts into the tree: users, then files, folders and links.

use std::collections::BTreeMap;

use spec::appliance::{Entry, EntryKind, User};
use tree::{Kind, Node, TreePath};

use crate::accounts::{Accounts, NewUser, nearest};
use crate::error::AssembleError;
use crate::files::Files;
use crate::inputs::{Origin, Source};

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
    for user in users {
        add_user(&mut accounts, user)?;
    }
    for user in users {
        for group in &user.groups {
            if !accounts.add_member(group, &user.name) {
                let near = nearest(group, accounts.group_names());
                return Err(AssembleError::NoGroup {
                    doing: format!("add user {:?} to a group", user.name),
                    group: group.clone(),
                    near,
                });
            }
        }
    }
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

fn add_user(accounts: &mut Accounts, user: &User) -> Result<(), AssembleError> {
    let taken = |what: String| AssembleError::UserTaken { user: user.name.clone(), what };
    if accounts.uid(&user.name).is_some() {
        return Err(taken("a package already makes a user of this name".to_owned()));
    }
    if let Some(other) = accounts.user_of(user.uid) {
        return Err(taken(format!("its uid {} already belongs to {other}", user.uid)));
    }
    let gid = match accounts.gid(&user.name) {
        Some(gid) => gid,
        None => {
            if let Some(other) = accounts.group_of(user.uid) {
                return Err(taken(format!("the gid {} of its group already belongs to {other}", user.uid)));
            }
            accounts.add_group(&user.name, user.uid);
            user.uid
        }
    };
    let User { name, uid, home, shell, .. } = user;
    accounts.add_user(&NewUser { name, uid: *uid, gid, comment: "", home, shell, password: "!" });
    Ok(())
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

/// Puts the spec's files, folders and links, in the order written, over what packages left.
pub(crate) fn put_entries(
    files: &mut Files<'_>,
    entries: &[Entry],
    sources: &BTreeMap<String, Source>,
    origins: &mut BTreeMap<TreePath, Origin>,
) -> Result<(), AssembleError> {
    let accounts = Accounts::load(files).map_err(|source| AssembleError::Path {
        doing: "read the accounts in",
        path: "/etc".to_owned(),
        source,
    })?;
    for entry in entries {
        let owner = owner_of(&accounts, entry)?;
        put_entry(files, entry, owner, sources, origins)?;
    }
    Ok(())
}

fn owner_of(accounts: &Accounts, entry: &Entry) -> Result<(u32, u32), AssembleError> {
    let doing = || format!("set the owner of {}", entry.path);
    let no_user = || AssembleError::NoUser {
        doing: doing(),
        user: entry.owner.clone(),
        near: nearest(&entry.owner, accounts.user_names()),
    };
    // A root without packages has no accounts, but root is root everywhere.
    if entry.owner == "root" && entry.group.as_deref().is_none_or(|group| group == "root") {
        return Ok((0, 0));
    }
    let uid = accounts.uid(&entry.owner).ok_or_else(no_user)?;
    let gid = match &entry.group {
        None => accounts.primary_gid(&entry.owner).ok_or_else(no_user)?,
        Some(group) => accounts.gid(group).ok_or_else(|| AssembleError::NoGroup {
            doing: doing(),
            group: group.clone(),
            near: nearest(group, accounts.group_names()),
        })?,
    };
    Ok((uid, gid))
}

fn put_entry(
    files: &mut Files<'_>,
    entry: &Entry,
    owner: (u32, u32),
    sources: &BTreeMap<String, Source>,
    origins: &mut BTreeMap<TreePath, Origin>,
) -> Result<(), AssembleError> {
    let problem = |source| AssembleError::Path { doing: "put", path: entry.path.clone(), source };
    let mut put = |files: &mut Files<'_>, path: &[u8], mut node: Node| -> Result<(), AssembleError> {
        node = files.stamped(node);
        (node.meta.uid, node.meta.gid) = owner;
        // A folder is put where the way leads, also through a link such as /bin; anything else replaces what is there.
        let place =
            if node.is_dir() { dir_place(files, path) } else { files.put(path, node.clone()) }.map_err(problem)?;
        if node.is_dir() {
            files.root.insert(place.clone(), node).map_err(|error| problem(crate::PathProblem::Insert(error)))?;
        }
        origins.insert(place, Origin::Appliance);
        Ok(())
    };
    match &entry.kind {
        EntryKind::Text(text) => {
            put(files, entry.path.as_bytes(), Node::file(entry.mode.unwrap_or(0o644), text.as_bytes()))
        }
        EntryKind::Dir => put(files, entry.path.as_bytes(), Node::dir(entry.mode.unwrap_or(0o755))),
        EntryKind::Link(target) => put(files, entry.path.as_bytes(), Node::symlink(target)),
        EntryKind::From(from) => {
            let missing = || AssembleError::NoSource { path: entry.path.clone(), from: from.clone() };
            let source = sources.get(from).ok_or_else(missing)?;
            source_nodes(source, entry).into_iter().try_for_each(|(path, node)| put(files, &path, node))
        }
    }
}

fn dir_place(files: &mut Files<'_>, path: &[u8]) -> Result<TreePath, crate::PathProblem> {
    let place = files.make_dir(path, 0o755)?;
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
        let got = match put_entries(&mut files, &[entry], &sources, &mut BTreeMap::new()) {
            Err(error) => error.to_string(),
            Ok(()) => tree::dump(&tree)
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
            "set the owner of /opt/x: there is no user \"lunna\" in the image; did you mean \"luna\"?",
        );
        check(entry("root", EntryKind::From("gone".into())), "put /opt/x: its source \"gone\" was not read");
    }
}
