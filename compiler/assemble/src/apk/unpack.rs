//! Putting one package's files into the tree, as `apk` does: through linked folders, with replacements and owners by name.
//! What conflicts is an error that names both packages.

use std::collections::{BTreeMap, BTreeSet};

use tree::{Kind, Node, NodeId, TreePath};

use super::package::{Package, checksum};
use super::upgrade;
use crate::accounts::Accounts;
use crate::error::AssembleError;
use crate::files::{Files, PathProblem};

/// Who ships what.
#[derive(Debug, Default)]
pub(crate) struct Shipped {
    /// For each package, by its place, the paths that are no folders and that it still owns.
    pub files: Vec<BTreeSet<TreePath>>,
    /// For each package, the owners of its paths that are not root's.
    pub owners: Vec<BTreeMap<TreePath, (u32, u32)>>,
    /// For each place in the tree that is no folder, the package that put it there and the path it used.
    places: BTreeMap<TreePath, (usize, TreePath)>,
    /// For each folder of the tree, the first package that has it.
    folders: BTreeMap<TreePath, usize>,
    /// The folders of the tree that packages brought which were not there before.
    changed: BTreeSet<TreePath>,
}

impl Shipped {
    /// All places with the package that put them there.
    pub fn places(&self) -> impl Iterator<Item = (&TreePath, usize)> {
        let files = self.places.iter().map(|(place, (at, _))| (place, *at));
        files.chain(self.folders.iter().map(|(place, at)| (place, *at)))
    }

    /// Whether a package, by its place, still owns this path of its.
    pub fn owns(&self, at: usize, path: &TreePath) -> bool {
        self.files.get(at).is_some_and(|files| files.contains(path))
    }

    /// Whether a package has what stands at a place.
    pub fn is_owned(&self, place: &TreePath) -> bool {
        self.places.contains_key(place) || self.folders.contains_key(place)
    }

    /// Takes up what a package ships that is there already. What is gone of it stays in the database.
    pub fn has(&mut self, files: &Files<'_>, at: usize, package: &Package) {
        let mut owned = BTreeSet::new();
        for folder in package.installed.iter().flat_map(|entry| &entry.folders) {
            owned.extend(folder.files.iter().map(|(path, _)| path.clone()));
            let Ok(behind) = files.resolve(folder.path.as_bytes(), true) else { continue };
            for (path, _) in &folder.files {
                let Ok(place) = behind.join(path.name()) else { continue };
                if files.tree().get(&place).is_some() {
                    self.places.insert(place, (at, path.clone()));
                }
            }
            if files.tree().get(&behind).is_some_and(Node::is_dir) {
                self.folders.entry(behind).or_insert(at);
            }
        }
        self.keep(at, owned, BTreeMap::new());
    }

    fn keep(&mut self, at: usize, files: BTreeSet<TreePath>, owners: BTreeMap<TreePath, (u32, u32)>) {
        self.files.resize_with(self.files.len().max(at + 1), BTreeSet::new);
        self.owners.resize_with(self.owners.len().max(at + 1), BTreeMap::new);
        (self.files[at], self.owners[at]) = (files, owners);
    }

    /// The folders that packages brought which were not there before, also where others have them too.
    pub fn changed(&self) -> impl Iterator<Item = &TreePath> {
        self.changed.iter()
    }

    /// The folders that packages brought.
    pub fn folders(&self) -> impl Iterator<Item = &TreePath> {
        self.folders.keys()
    }
}

/// Unpacks `packages[at]`; those before it have been unpacked.
pub(crate) fn unpack(
    files: &mut Files<'_>,
    packages: &[Package],
    at: usize,
    shipped: &mut Shipped,
) -> Result<(), AssembleError> {
    let package = &packages[at];
    let problem =
        |path: &TreePath, source| AssembleError::Unpack { path: path.clone(), package: package.name.clone(), source };
    let owners = owners(files, package).map_err(|source| problem(&TreePath::root(), source))?;
    let sums = package.upgrades.as_ref().map(|_| package.checksums()).unwrap_or_default();
    let mut taken = BTreeSet::new();
    let mut links: BTreeMap<NodeId, TreePath> = BTreeMap::new();
    for (path, id, node) in package.tree().iter().skip(1) {
        let mut node = node.clone();
        (node.meta.uid, node.meta.gid) = owners.get(path).copied().unwrap_or((node.meta.uid, node.meta.gid));
        let place = place(files, path).map_err(|source| problem(path, source))?;
        if node.is_dir() {
            put_dir(files, at, place, &node, shipped).map_err(|source| problem(path, source))?;
            continue;
        }
        if loses_to_other(packages, at, path, &place, shipped)? {
            continue;
        }
        let sum = sums.get(path).map(checksum);
        let changed = upgrade::goes_beside(files, package, path, &place, sum.as_ref());
        let place = match changed.map_err(|source| problem(path, source))? {
            true => beside(&place).map_err(|source| problem(path, source))?,
            false if package.upgrades.is_some() => place,
            false => beside_what_stands_there(files, place, &node, shipped).map_err(|source| problem(path, source))?,
        };
        let put = match links.get(&id) {
            Some(first) => files.root.hard_link(first, place.clone()),
            None => files.root.insert(place.clone(), node),
        };
        put.map_err(|error| problem(path, PathProblem::Insert(error)))?;
        links.insert(id, place.clone());
        shipped.places.insert(place, (at, path.clone()));
        taken.insert(path.clone());
    }
    shipped.keep(at, taken, owners);
    Ok(())
}

/// The owners of a package's paths by the accounts of the tree, where they are not root's; a name that is not there keeps
/// the number that the package has.
fn owners(files: &Files<'_>, package: &Package) -> Result<BTreeMap<TreePath, (u32, u32)>, PathProblem> {
    let names = &package.unpacked.owner_names;
    // All names of a file have its owner.
    let by_node: BTreeMap<NodeId, &[String; 2]> =
        package.tree().iter().filter_map(|(path, id, _)| Some((id, names.get(path)?))).collect();
    let accounts = if names.is_empty() { Accounts::default() } else { Accounts::load(files)? };
    let one = |(path, id, node): (&TreePath, NodeId, &Node)| {
        let (mut uid, mut gid) = (node.meta.uid, node.meta.gid);
        if let Some([user, group]) = by_node.get(&id) {
            uid = accounts.uid(user).unwrap_or(uid);
            gid = accounts.gid(group).unwrap_or(gid);
        }
        ((uid, gid) != (0, 0)).then(|| (path.clone(), (uid, gid)))
    };
    Ok(package.tree().iter().filter_map(one).collect())
}

/// Where a path of a package goes: links on the way are followed.
fn place(files: &Files<'_>, path: &TreePath) -> Result<TreePath, PathProblem> {
    let parent = path.parent().unwrap_or_else(TreePath::root);
    files.resolve(parent.as_bytes(), true)?.join(path.name()).map_err(PathProblem::Bad)
}

/// Puts a folder. Where several packages have it, it gets only the permissions that all give it, and the highest owner.
fn put_dir(
    files: &mut Files<'_>,
    at: usize,
    place: TreePath,
    node: &Node,
    shipped: &mut Shipped,
) -> Result<(), PathProblem> {
    let behind = match files.tree().get(&place).map(|old| &old.kind) {
        Some(Kind::Symlink(_)) => files.resolve(place.as_bytes(), true)?,
        _ => place,
    };
    match files.tree().get(&behind) {
        None => files.root.insert(behind.clone(), node.clone()).map_err(PathProblem::Insert)?,
        Some(old) if !old.is_dir() => return Err(PathProblem::NotDir(behind)),
        Some(_) => {
            let is_shared = shipped.folders.contains_key(&behind);
            files.root.change(&behind, &mut |old| {
                let (mode, owner) = (node.meta.mode, (node.meta.uid, node.meta.gid));
                let all = (old.meta.mode & mode, owner.max((old.meta.uid, old.meta.gid)));
                let (mode, owner) = if is_shared { all } else { (mode, owner) };
                (old.meta.mode, (old.meta.uid, old.meta.gid)) = (mode, owner);
            });
        }
    }
    shipped.changed.insert(behind.clone());
    shipped.folders.entry(behind).or_insert(at);
    Ok(())
}

/// A file below `/etc` that a script made is a user's, and stays: what a package brings then stands beside it.
fn beside_what_stands_there(
    files: &Files<'_>,
    place: TreePath,
    node: &Node,
    shipped: &Shipped,
) -> Result<TreePath, PathProblem> {
    let stands = files.tree().get(&place).is_some_and(|old| !is_same(&old.kind, &node.kind));
    if !is_protected(&place) || !stands || shipped.places.contains_key(&place) {
        return Ok(place);
    }
    beside(&place)
}

/// Whether what somebody changed at a place stays there.
pub(crate) fn is_protected(place: &TreePath) -> bool {
    place.as_bytes().starts_with(b"etc/") && !place.as_bytes().starts_with(b"etc/apk/")
}

/// The place of a new file beside one that stays.
fn beside(place: &TreePath) -> Result<TreePath, PathProblem> {
    let name = [place.name(), b".apk-new"].concat();
    place.parent().unwrap_or_else(TreePath::root).join(name).map_err(PathProblem::Bad)
}

/// Whether both hold the same; folders and devices never do.
fn is_same(a: &Kind, b: &Kind) -> bool {
    match (a, b) {
        (Kind::File(a), Kind::File(b)) => a.digest() == b.digest(),
        (Kind::Symlink(a), Kind::Symlink(b)) => a == b,
        _ => false,
    }
}

/// Whether the file of another package stays in place of this one's. The loser does not own the path any more.
fn loses_to_other(
    packages: &[Package],
    at: usize,
    path: &TreePath,
    place: &TreePath,
    shipped: &mut Shipped,
) -> Result<bool, AssembleError> {
    let Some((other, their_path)) = shipped.places.get(place).cloned().filter(|(other, _)| *other != at) else {
        return Ok(false);
    };
    let (this, that) = (&packages[at], &packages[other]);
    match (this.replaces(that), that.replaces(this)) {
        // Of two that replace each other the one with the higher priority keeps the file, then the later one.
        (mine, theirs) if theirs > mine => Ok(true),
        (Some(_), _) => {
            if let Some(files) = shipped.files.get_mut(other) {
                files.remove(&their_path);
            }
            Ok(false)
        }
        _ => Err(AssembleError::FileConflict {
            path: path.clone(),
            package: this.name.clone(),
            other: that.name.clone(),
        }),
    }
}
