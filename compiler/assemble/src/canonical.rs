//! The last step: what differs from build to build without meaning goes away, and times are clamped to the epoch.

use tree::{Kind, Tree, TreePath};

use crate::family;
use crate::inputs::Origin;
use std::collections::BTreeMap;

/// Files that hold secrets, backups, locks or logs of the build, whatever the package family; dropped wherever they come from.
const DROPPED: [&str; 12] = [
    "etc/.pwd.lock",
    "etc/group-",
    "etc/gshadow-",
    "etc/passwd-",
    "etc/shadow-",
    "etc/subgid-",
    "etc/subuid-",
    "var/cache/ldconfig/aux-cache",
    "var/lib/dbus/machine-id",
    "var/lib/systemd/credential.secret",
    "var/lib/systemd/random-seed",
    "var/log/faillog",
];

/// Folders whose files are caches, lists or logs; the folders themselves stay.
const EMPTIED: [&str; 2] = ["var/cache/man", "run"];

/// Drops what is volatile unless a package or the spec ships it, and clamps every time to the epoch.
pub(crate) fn canonicalise(tree: &mut Tree, origins: &BTreeMap<TreePath, Origin>, epoch_secs: i64) {
    let gone: Vec<TreePath> = tree
        .iter()
        .filter(|(path, _, node)| {
            let origin = origins.get(*path);
            let is_leaked = is_secret(path) && origin != Some(&Origin::Appliance);
            !node.is_dir() && (is_leaked || (is_volatile(path, &node.kind) && origin.is_none()))
        })
        .map(|(path, _, _)| path.clone())
        .collect();
    for path in &gone {
        tree.remove(path);
    }
    drop_empty_caches(tree, origins);
    let paths: Vec<TreePath> = tree.iter().map(|(path, _, _)| path.clone()).collect();
    for path in &paths {
        if let Some(node) = tree.get_mut(path) {
            match origins.get(path) {
                // What a base image holds is left as it is, so that its layers stay its own.
                Some(Origin::Image) => {}
                Some(_) => node.meta.mtime_secs = node.meta.mtime_secs.min(epoch_secs),
                None => node.meta.mtime_secs = epoch_secs,
            }
        }
    }
}

/// Whether this is a key that must be made anew on each machine; kept only where the spec itself brings it, and so has every
/// copy of the appliance known by it.
fn is_secret(path: &TreePath) -> bool {
    let path = path.as_bytes();
    let host_key = path.starts_with(b"etc/ssh/ssh_host_") && (path.ends_with(b"_key") || path.ends_with(b"_key.pub"));
    host_key || path == b"etc/ssl/private/ssl-cert-snakeoil.key" || path == b"etc/ssl/certs/ssl-cert-snakeoil.pem"
}

fn is_volatile(path: &TreePath, kind: &Kind) -> bool {
    let bytes = path.as_bytes();
    let debris = || family::DEBRIS.into_iter();
    let listed = DROPPED.iter().chain(debris().flat_map(|one| one.dropped)).any(|dropped| bytes == dropped.as_bytes());
    let emptied = EMPTIED
        .iter()
        .chain(debris().flat_map(|one| one.emptied))
        .any(|folder| bytes.strip_prefix(folder.as_bytes()).is_some_and(|rest| rest.starts_with(b"/")));
    let half_written = debris().flat_map(|one| one.endings).any(|ending| bytes.ends_with(ending.as_bytes()));
    listed || emptied || half_written || bytes.ends_with(b".pyc") || matches!(kind, Kind::Socket)
}

/// Removes `__pycache__` folders that no package ships and that hold nothing any more.
fn drop_empty_caches(tree: &mut Tree, origins: &BTreeMap<TreePath, Origin>) {
    let caches: Vec<TreePath> = tree
        .iter()
        .filter(|(path, _, node)| node.is_dir() && path.name() == b"__pycache__" && !origins.contains_key(*path))
        .map(|(path, _, _)| path.clone())
        .collect();
    for path in caches {
        if tree.children(&path).next().is_none() {
            tree.remove(&path);
        }
    }
}

#[cfg(test)]
mod tests {
    use tree::Node;

    use super::*;

    #[test]
    fn volatile_files_go_and_shipped_ones_stay() {
        let mut tree = Tree::default();
        let path = |text: &str| TreePath::new(text).unwrap();
        for name in [
            "etc/passwd-",
            "usr/lib/a/__pycache__/x.pyc",
            "usr/lib/b/__pycache__/y.pyc",
            "etc/ssh/ssh_host_rsa_key",
            "etc/ssh/ssh_host_ed25519_key",
            "etc/ssl/private/ssl-cert-snakeoil.key",
            "var/lib/apt/lists/x",
            "etc/x",
        ] {
            let mut node = Node::file(0o644, "");
            node.meta.mtime_secs = 50;
            tree.insert_with_parents(path(name), node).unwrap();
        }
        let origins = [
            (path("usr/lib/b/__pycache__/y.pyc"), Origin::Package("b".to_owned())),
            (path("etc/x"), Origin::Appliance),
            (path("etc/ssh/ssh_host_ed25519_key"), Origin::Appliance),
            (path("etc/ssl/private/ssl-cert-snakeoil.key"), Origin::Image),
        ]
        .into();
        canonicalise(&mut tree, &origins, 40);
        let files: Vec<_> = tree
            .iter()
            .filter(|(_, _, node)| !node.is_dir())
            .map(|(path, _, node)| (path.display(), node.meta.mtime_secs))
            .collect();
        let kept = ["/etc/ssh/ssh_host_ed25519_key", "/etc/x", "/usr/lib/b/__pycache__/y.pyc"];
        assert_eq!(files, kept.map(|name| (name.to_owned(), 40)));
        assert!(tree.get(&path("usr/lib/a/__pycache__")).is_none());
        assert!(tree.get(&path("var/lib/apt/lists")).is_some());
    }
}
