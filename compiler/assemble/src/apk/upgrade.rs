//! A newer version in the place of a package that the base image has, as `apk` does it: what only the old one shipped goes
//! away, and files below `/etc` that somebody changed stay (apk-package(5); apk(8), "upgrade").

use std::collections::BTreeMap;

use sha1::{Digest as _, Sha1 as Hasher};
use tree::{Kind, Node, TreePath};

use super::package::{Package, checksum};
use super::scripts::Scripts;
use super::unpack::{Shipped, is_protected};
use crate::error::AssembleError;
use crate::files::{Files, PathProblem};

/// The largest protected file that is compared.
const PROTECTED_BYTES: u64 = 64 << 20;

/// What comes before a package is unpacked.
pub(crate) fn before(files: &mut Files<'_>, new: &Package, scripts: &mut Scripts<'_>) -> Result<(), AssembleError> {
    match &new.upgrades {
        None => scripts.run(files, new, "pre-install", &[&new.version]),
        Some(old) => scripts.run(files, new, "pre-upgrade", &[&new.version, &old.version]),
    }
}

/// What comes after it is unpacked.
pub(crate) fn after(
    files: &mut Files<'_>,
    new: &Package,
    shipped: &Shipped,
    scripts: &mut Scripts<'_>,
) -> Result<(), AssembleError> {
    match &new.upgrades {
        None => scripts.run(files, new, "post-install", &[&new.version]),
        Some(old) => {
            remove_left(files, old, new, shipped).map_err(super::in_database)?;
            scripts.run(files, new, "post-upgrade", &[&new.version, &old.version])
        }
    }
}

/// Whether a file of a new version goes beside what stands in its place, because somebody changed that; `sum` is its
/// checksum in the new version.
pub(crate) fn goes_beside(
    files: &Files<'_>,
    package: &Package,
    path: &TreePath,
    place: &TreePath,
    sum: Option<&String>,
) -> Result<bool, PathProblem> {
    let Some(old) = package.upgrades.as_ref().filter(|_| is_protected(place)) else { return Ok(false) };
    let Some(there) = sum_at(files, place)? else { return Ok(false) };
    Ok(sum != Some(&there) && sums(old).get(path) != Some(&there.as_str()))
}

/// Removes what no package has any more: files and links that nobody changed below `/etc`, and folders that are empty then.
fn remove_left(files: &mut Files<'_>, old: &Package, new: &Package, shipped: &Shipped) -> Result<(), PathProblem> {
    let entry = old.installed.iter();
    let folders = entry.flat_map(|entry| &entry.folders).map(|folder| &folder.path).filter(|path| !path.is_root());
    let sums = sums(old);
    let has = |path: &TreePath| new.tree().get(path).is_some();
    for (path, sum) in sums.iter().filter(|(path, _)| !has(path)) {
        let Ok(place) = files.resolve(path.as_bytes(), false) else { continue };
        let is_kept = is_protected(&place) && sum_at(files, &place)?.as_deref() != Some(*sum);
        if !shipped.is_owned(&place) && !is_kept {
            files.root.remove(&place);
        }
    }
    let mut folders: Vec<&TreePath> = folders.filter(|path| !has(path)).collect();
    folders.sort_by(|a, b| b.cmp(a));
    for path in folders {
        let Ok(place) = files.resolve(path.as_bytes(), false) else { continue };
        let is_empty =
            files.tree().get(&place).is_some_and(Node::is_dir) && files.tree().children(&place).next().is_none();
        if is_empty && !shipped.is_owned(&place) {
            files.root.remove(&place);
        }
    }
    Ok(())
}

/// The files of an installed package with their checksums, empty where the database has none.
fn sums(old: &Package) -> BTreeMap<&TreePath, &str> {
    let files = old.installed.iter().flat_map(|entry| &entry.folders).flat_map(|folder| &folder.files);
    files.map(|(path, lines)| (path, sum_in(lines).unwrap_or_default())).collect()
}

/// The checksum among the lines of a file.
fn sum_in(lines: &[u8]) -> Option<&str> {
    let line = lines.split(|byte| *byte == b'\n').find_map(|line| line.strip_prefix(b"Z:"))?;
    std::str::from_utf8(line).ok()
}

/// The checksum of what stands at a place, as the database has it: of a file's content or of a link's target.
fn sum_at(files: &Files<'_>, place: &TreePath) -> Result<Option<String>, PathProblem> {
    let digest = match files.tree().get(place).map(|node| &node.kind) {
        Some(Kind::File(content)) => {
            Hasher::digest(files.blobs.bytes(content, PROTECTED_BYTES).map_err(PathProblem::Content)?)
        }
        Some(Kind::Symlink(target)) => Hasher::digest(target),
        _ => return Ok(None),
    };
    Ok(Some(checksum(&packages::Sha1(digest.into()))))
}
