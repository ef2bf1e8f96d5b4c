//! Putting one package's files into the tree, as dpkg does: through linked folders, with diversions, replacements and
//! overridden owners. What conflicts is an error that names both packages.

use std::collections::BTreeMap;

use tree::{Kind, Node, NodeId, TreePath};

use super::control::Package;
use super::diversions::Diversions;
use super::overrides::Overrides;
use crate::error::AssembleError;
use crate::files::{Files, PathProblem};

/// Who ships what, in dpkg's terms: paths as packages write them.
#[derive(Debug, Default)]
pub(crate) struct Shipped {
    /// For each package, by its place, the paths that its list has.
    pub lists: Vec<Vec<TreePath>>,
    /// For each place in the tree that is no folder, the package that put it there and the path it used.
    owners: BTreeMap<TreePath, (usize, TreePath)>,
    /// For each folder of the tree, the first package that has it.
    folders: BTreeMap<TreePath, usize>,
}

impl Shipped {
    /// All places with the package that put them there.
    pub fn places(&self) -> impl Iterator<Item = (&TreePath, usize)> {
        self.owners
            .iter()
            .map(|(place, (at, _))| (place, *at))
            .chain(self.folders.iter().map(|(place, at)| (place, *at)))
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
    let state = |source| problem(&TreePath::root(), source);
    let diversions = Diversions::load(files).map_err(state)?;
    let overrides = Overrides::load(files).map_err(state)?;
    shipped.lists.resize_with(packages.len(), Vec::new);
    shipped.lists[at] = archive_order(package);
    let mut dirs = BTreeMap::from([(TreePath::root(), TreePath::root())]);
    let mut links: BTreeMap<NodeId, TreePath> = BTreeMap::new();
    for (path, id, node) in package.tree.iter() {
        if path.is_root() {
            put_root(files, node);
            continue;
        }
        let path = &diversions.place_of(path, &package.name);
        let mut place = place(files, &mut dirs, path).map_err(|source| problem(path, source))?;
        if node.is_dir() {
            place = put_dir(files, place, node).map_err(|source| problem(path, source))?;
            shipped.folders.entry(place.clone()).or_insert(at);
            dirs.insert(path.clone(), place);
            continue;
        }
        if loses_to_other(packages, at, path, &place, shipped)? || is_folder_under_link(files, &place, node) {
            continue;
        }
        match links.get(&id) {
            Some(first) => {
                files.root.hard_link(first, place.clone()).map_err(|error| problem(path, PathProblem::Insert(error)))?
            }
            None => files
                .root
                .insert(place.clone(), overrides.apply(path, node))
                .map_err(|error| problem(path, PathProblem::Insert(error)))?,
        }
        links.insert(id, place.clone());
        shipped.owners.insert(place, (at, path.clone()));
    }
    Ok(())
}

/// The paths in the order of the archive, which is the order of dpkg's list: folder by folder, links last.
fn archive_order(package: &Package) -> Vec<TreePath> {
    let is_link = |node: &Node| matches!(node.kind, Kind::Symlink(_));
    let mut paths: Vec<(bool, &TreePath)> = package.tree.iter().map(|(path, _, node)| (is_link(node), path)).collect();
    paths.sort_by(|a, b| a.0.cmp(&b.0).then_with(|| a.1.parts().cmp(b.1.parts())));
    paths.into_iter().map(|(_, path)| path.clone()).collect()
}

fn put_root(files: &mut Files<'_>, node: &Node) {
    let meta = &node.meta;
    files.root.change(&TreePath::root(), &mut |root| {
        (root.meta.mode, root.meta.uid, root.meta.gid) = (meta.mode, meta.uid, meta.gid)
    });
}

/// Where a path of a package goes, its folder looked up among those already placed.
fn place(files: &Files<'_>, dirs: &mut BTreeMap<TreePath, TreePath>, path: &TreePath) -> Result<TreePath, PathProblem> {
    let parent = path.parent().unwrap_or_else(TreePath::root);
    let folder = match dirs.get(&parent) {
        Some(folder) => folder.clone(),
        None => {
            let folder = files.resolve(parent.as_bytes(), true)?;
            dirs.insert(parent, folder.clone());
            folder
        }
    };
    folder.join(path.name()).map_err(PathProblem::Bad)
}

/// Puts a folder; one that exists, also behind a link, stays as it is, since the first package decides.
fn put_dir(files: &mut Files<'_>, place: TreePath, node: &Node) -> Result<TreePath, PathProblem> {
    match files.tree().get(&place).map(|old| &old.kind) {
        None => {
            files.root.insert(place.clone(), node.clone()).map_err(PathProblem::Insert)?;
            Ok(place)
        }
        Some(Kind::Dir) => Ok(place),
        Some(Kind::Symlink(_)) => {
            let behind = files.resolve(place.as_bytes(), true)?;
            if files.tree().get(&behind).is_some_and(Node::is_dir) {
                Ok(behind)
            } else {
                Err(PathProblem::NotDir(place))
            }
        }
        Some(_) => Err(PathProblem::NotDir(place)),
    }
}

/// dpkg never turns a folder into a link: the folder stays.
fn is_folder_under_link(files: &Files<'_>, place: &TreePath, node: &Node) -> bool {
    matches!(node.kind, Kind::Symlink(_)) && files.tree().get(place).is_some_and(Node::is_dir)
}

/// Whether the file of another package stays in place of this one's. The loser's list forgets the path.
fn loses_to_other(
    packages: &[Package],
    at: usize,
    path: &TreePath,
    place: &TreePath,
    shipped: &mut Shipped,
) -> Result<bool, AssembleError> {
    let Some((other, their_path)) = shipped.owners.get(place).cloned().filter(|(other, _)| *other != at) else {
        return Ok(false);
    };
    let (this, that) = (&packages[at], &packages[other]);
    if this.replaces(that) {
        shipped.lists[other].retain(|listed| *listed != their_path);
        return Ok(false);
    }
    if that.replaces(this) {
        shipped.lists[at].retain(|listed| listed != path);
        return Ok(true);
    }
    Err(AssembleError::FileConflict { path: path.clone(), package: this.name.clone(), other: that.name.clone() })
}

#[cfg(test)]
mod tests {
    use tree::{NoBlobs, Tree, dump};

    use super::super::testing::package;
    use super::*;

    fn check(packages: Vec<Package>, prepare: fn(&mut Files<'_>), want: &str) {
        let mut tree = Tree::default();
        let mut files = Files { root: &mut tree, blobs: &NoBlobs, epoch_secs: 0 };
        prepare(&mut files);
        let mut shipped = Shipped::default();
        let got = (0..packages.len()).try_for_each(|at| unpack(&mut files, &packages, at, &mut shipped));
        let got = match got {
            Err(error) => error.to_string(),
            Ok(()) => {
                let file = |line: &str| !line.starts_with("d ") && !line.contains("/var/lib");
                let word = |line: &str| line.split(' ').take(5).collect::<Vec<_>>().join(" ");
                dump(&tree).lines().filter(|line| file(line)).map(word).collect::<Vec<_>>().join(", ")
            }
        };
        assert_eq!(got, want);
    }

    #[test]
    fn the_package_that_replaces_wins() {
        let a = || package("a\nVersion: 1", &[("f x", "1")]);
        check(vec![a(), package("b\nReplaces: a (<< 2)", &[("f x", "22")])], |_| (), "f /x 0644 0 0");
        check(
            vec![a(), package("b\nReplaces: a (<< 1)", &[("f x", "22")])],
            |_| (),
            "unpack /x of package b: package a ships it too and nothing says which one wins",
        );
        check(
            vec![package("a\nReplaces: b", &[("f x", "1")]), package("b", &[("f x", "22")])],
            |_| (),
            "f /x 0644 0 0",
        );
    }

    #[test]
    fn linked_folders_are_followed_inside_the_tree_only() {
        let merged = |files: &mut Files<'_>| files.link("bin", "usr/bin").unwrap();
        let usr = || package("a", &[("d usr", ""), ("d usr/bin", ""), ("f usr/bin/x", "")]);
        check(
            vec![usr(), package("b", &[("d bin", ""), ("f bin/y", "")])],
            merged,
            "l /bin 0777 0 0, f /usr/bin/x 0644 0 0, f /usr/bin/y 0644 0 0",
        );
        check(
            vec![usr(), package("b", &[("d bin", ""), ("f bin/x", "")])],
            merged,
            "unpack /bin/x of package b: package a ships it too and nothing says which one wins",
        );
        let out = |target| package("o", &[("l out", target)]);
        check(
            vec![out("../../etc"), package("b", &[("d out", ""), ("f out/passwd", "")])],
            |_| (),
            "unpack /out of package b",
        );
        check(vec![out("out"), package("b", &[("d out", "")])], |_| (), "unpack /out of package b");
    }

    #[test]
    fn diversions_and_overrides_are_obeyed() {
        let prepare = |files: &mut Files<'_>| {
            files.write("var/lib/dpkg/diversions", 0o644, "/x\n/x.old\nb\n").unwrap();
            files.write("var/lib/dpkg/statoverride", 0o644, "#5 #6 4755 /y\n").unwrap();
        };
        check(
            vec![package("a", &[("f x", "1"), ("f y", "")]), package("b", &[("f x", "2")])],
            prepare,
            "f /x 0644 0 0, f /x.old 0644 0 0, f /y 4755 5 6",
        );
    }
}
