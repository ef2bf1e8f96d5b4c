//! A newer version in the place of a package that the base image has, as dpkg does it: the old one's scripts are told, what
//! only it shipped goes away, and files that somebody may have changed stay (Debian Policy 6.6, 10.7; deb-conffiles(5)).

use std::collections::BTreeMap;

use md5::{Digest, Md5};
use tree::{Content, Kind, Node, TreePath};

use super::control::Package;
use super::database::hex;
use super::scripts::Scripts;
use super::unpack::Shipped;
use crate::error::AssembleError;
use crate::files::{Files, PathProblem};

/// The largest configuration file that is compared.
const CONFFILE_BYTES: u64 = 64 << 20;

/// A package that gives way to a newer version of itself.
#[derive(Debug)]
pub(crate) struct Old {
    pub package: Package,
    /// The paths of its list.
    pub list: Vec<TreePath>,
}

/// Where a file goes that a new version brings.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goes {
    /// To its place.
    There,
    /// Beside what somebody changed, as dpkg leaves it where nobody answers: with `.dpkg-dist` at its end.
    Beside,
    /// Nowhere: somebody changed or removed it, and the new version has the same as the old one.
    Nowhere,
}

impl Old {
    /// The configuration files of the old version with their MD5, by path with a slash before it.
    pub fn conffiles(&self) -> BTreeMap<&str, &str> {
        let lines = self.package.field("Conffiles").unwrap_or_default().lines();
        let marks = [" remove-on-upgrade", " obsolete"];
        lines
            .filter_map(|line| {
                let line = marks.iter().fold(line.trim(), |line, mark| line.strip_suffix(mark).unwrap_or(line));
                line.rsplit_once(' ')
            })
            .collect()
    }

    /// Configuration files that the new version has no more and that are still there; dpkg keeps them, and says so.
    pub fn obsolete(&self, files: &Files<'_>, new: &Package) -> Vec<(String, String)> {
        let dropped = new.removed_conffiles();
        let is_obsolete = |path: &str| {
            let shipped = TreePath::new(path).is_ok_and(|path| new.tree.get(&path).is_some());
            !shipped && !dropped.iter().any(|one| one == path) && files.lstat(path).is_some()
        };
        let all = self.conffiles().into_iter().filter(|(path, _)| is_obsolete(path));
        all.map(|(path, md5)| (path.to_owned(), format!("{md5} obsolete"))).collect()
    }
}

/// Where a file of a new version goes; whatever is no configuration file goes to its place.
pub(crate) fn goes(files: &Files<'_>, package: &Package, path: &TreePath, node: &Node) -> Result<Goes, PathProblem> {
    let (Some(old), Kind::File(content)) = (&package.upgrades, &node.kind) else { return Ok(Goes::There) };
    let shown = path.display();
    if !package.conffiles().contains(&shown) {
        return Ok(Goes::There);
    }
    let there = md5_at(files, &shown)?;
    let new = md5_of(files, content)?;
    let conffiles = old.conffiles();
    let was = conffiles.get(shown.as_str()).copied();
    Ok(match (there.as_deref(), was) {
        (None, None) => Goes::There,
        (Some(there), _) if there == new || Some(there) == was => Goes::There,
        (_, Some(was)) if was == new => Goes::Nowhere,
        _ => Goes::Beside,
    })
}

/// What comes before the new version is unpacked: both are told.
pub(crate) fn before(files: &mut Files<'_>, new: &Package, scripts: &mut Scripts<'_>) -> Result<(), AssembleError> {
    match &new.upgrades {
        None => scripts.run(files, new, "preinst", &["install"]),
        Some(old) => {
            scripts.run(files, &old.package, "prerm", &["upgrade", &new.version])?;
            scripts.run(files, new, "preinst", &["upgrade", &old.package.version, &new.version])
        }
    }
}

/// What comes after it is unpacked: the old one is told, and what is its alone goes away.
pub(crate) fn after(
    files: &mut Files<'_>,
    packages: &[Package],
    at: usize,
    shipped: &mut Shipped,
    scripts: &mut Scripts<'_>,
) -> Result<(), AssembleError> {
    let new = &packages[at];
    let Some(old) = &new.upgrades else { return Ok(()) };
    scripts.run(files, &old.package, "postrm", &["upgrade", &new.version])?;
    let obsolete: Vec<TreePath> =
        old.obsolete(files, new).iter().filter_map(|(path, _)| TreePath::new(path).ok()).collect();
    remove_left(files, old, &obsolete, shipped);
    drop_conffiles(files, old, new).map_err(super::in_database)?;
    remove_info(files, &old.package);
    shipped.lists[at].extend(obsolete);
    Ok(())
}

/// Removes what no package has any more, deepest first: files and links, and folders that are empty then.
fn remove_left(files: &mut Files<'_>, old: &Old, kept: &[TreePath], shipped: &Shipped) {
    let mut left: Vec<&TreePath> = old.list.iter().filter(|path| !path.is_root() && !kept.contains(path)).collect();
    let conffiles = old.conffiles();
    left.retain(|path| !conffiles.contains_key(path.display().as_str()));
    left.sort_by(|a, b| b.cmp(a));
    for path in left {
        let Ok(place) = files.resolve(path.as_bytes(), false) else { continue };
        if shipped.is_owned(&place) {
            continue;
        }
        let goes = match files.tree().get(&place) {
            Some(node) if node.is_dir() => files.tree().children(&place).next().is_none(),
            Some(_) => true,
            None => false,
        };
        if goes {
            files.root.remove(&place);
        }
    }
}

/// Configuration files that the new version says are to go: as they were shipped they go, changed they are set aside.
fn drop_conffiles(files: &mut Files<'_>, old: &Old, new: &Package) -> Result<(), PathProblem> {
    let conffiles = old.conffiles();
    for path in new.removed_conffiles() {
        let Some(node) = files.lstat(&path).cloned() else { continue };
        if md5_at(files, &path)?.as_deref() != conffiles.get(path.as_str()).copied() {
            files.put(format!("{path}.dpkg-old"), node)?;
        }
        files.remove(&path);
    }
    Ok(())
}

/// The old version's files of dpkg's database; those of the new one are written with all others.
fn remove_info(files: &mut Files<'_>, old: &Package) {
    let prefix = format!("{}.", old.info_name());
    for name in files.names_in("/var/lib/dpkg/info") {
        if name.strip_prefix(&prefix).is_some_and(|rest| !rest.contains('.')) {
            files.remove(format!("/var/lib/dpkg/info/{name}"));
        }
    }
}

/// The MD5 of a file; none where there is no file.
fn md5_at(files: &Files<'_>, path: &str) -> Result<Option<String>, PathProblem> {
    match files.stat(path).map(|node| &node.kind) {
        Some(Kind::File(content)) => md5_of(files, content).map(Some),
        _ => Ok(None),
    }
}

fn md5_of(files: &Files<'_>, content: &Content) -> Result<String, PathProblem> {
    Ok(hex(&Md5::digest(files.blobs.bytes(content, CONFFILE_BYTES).map_err(PathProblem::Content)?)))
}
