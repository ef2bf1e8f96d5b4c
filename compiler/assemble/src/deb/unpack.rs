//! Putting one package's files into the tree, as dpkg does: through linked folders, with diversions, replacements and
//! overridden owners. What conflicts is an error that names both packages.

use std::collections::BTreeMap;

use tree::{Kind, Node, NodeId, TreePath};

use super::control::Package;
use super::diversions::Diversions;
use super::filters::Filters;
use super::overrides::Overrides;
use super::upgrade::{self, Goes};
use crate::error::AssembleError;
use crate::files::{Files, PathProblem};

/// Who ships what, in dpkg's terms: paths as packages write them.
#[derive(Debug, Default)]
pub(crate) struct Shipped {
    /// What is left out of packages: the system's own choice, which was made before any of them came.
    filters: Filters,
    /// For each package, by its place, the paths that its list has.
    pub lists: Vec<Vec<TreePath>>,
    /// For each place in the tree that is no folder, the package that put it there and the path it used.
    owners: BTreeMap<TreePath, (usize, TreePath)>,
    /// For each folder of the tree, the first package that has it.
    folders: BTreeMap<TreePath, usize>,
}

impl Shipped {
    /// Nothing yet, where these filters count.
    pub fn beside(filters: Filters) -> Self {
        Self { filters, ..Self::default() }
    }

    /// All places with the package that put them there.
    pub fn places(&self) -> impl Iterator<Item = (&TreePath, usize)> {
        self.owners
            .iter()
            .map(|(place, (at, _))| (place, *at))
            .chain(self.folders.iter().map(|(place, at)| (place, *at)))
    }

    /// Whether a package has what stands at a place.
    pub fn is_owned(&self, place: &TreePath) -> bool {
        self.owners.contains_key(place) || self.folders.contains_key(place)
    }

    /// Takes up what a package ships that is installed already. What is gone of it is nobody's.
    pub fn has(
        &mut self,
        files: &Files<'_>,
        at: usize,
        package: &Package,
        list: Vec<TreePath>,
        diversions: &Diversions,
    ) {
        let mut dirs = BTreeMap::new();
        for path in &list {
            let path = diversions.place_of(path, &package.name);
            let Ok(place) = place(files, &mut dirs, &path) else { continue };
            match files.tree().get(&place) {
                Some(node) if node.is_dir() => _ = self.folders.entry(place).or_insert(at),
                Some(_) => _ = self.owners.insert(place, (at, path)),
                None => {}
            }
        }
        self.lists.resize_with(at + 1, Vec::new);
        self.lists[at] = list;
    }

    /// Follows the files that scripts moved away when they diverted them, so that each still has its package.
    pub fn follow(&mut self, files: &Files<'_>, packages: &[Package], diversions: &Diversions) {
        for one in &diversions.0 {
            let (Ok(from), Ok(to)) = (files.resolve(&one.from, false), files.resolve(&one.to, false)) else { continue };
            let of_other = self.owners.get(&from).is_some_and(|(at, _)| packages[*at].name != one.package);
            let moved = files.tree().get(&from).is_none() && files.tree().get(&to).is_some();
            if let Some(owner) = (of_other && moved).then(|| self.owners.remove(&from)).flatten() {
                self.owners.insert(to, owner);
            }
        }
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
    shipped.follow(files, packages, &diversions);
    shipped.lists.resize_with(packages.len(), Vec::new);
    shipped.lists[at] = archive_order(package);
    let mut dirs = BTreeMap::from([(TreePath::root(), TreePath::root())]);
    let mut links: BTreeMap<NodeId, TreePath> = BTreeMap::new();
    for (path, id, node) in package.tree.iter() {
        refuse_device(package, path, node)?;
        if path.is_root() {
            put_root(files, node);
            continue;
        }
        if shipped.filters.leaves_out(path, node) {
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
        let diverts = diversions.of(&path.display()).is_some_and(|one| one.package == package.name);
        if (!diverts && loses_to_other(packages, at, path, &place, shipped)?)
            || is_folder_under_link(files, &place, node)
        {
            continue;
        }
        match upgrade::goes(files, package, path, node).map_err(|source| problem(path, source))? {
            Goes::There => {}
            goes => {
                if goes == Goes::Beside {
                    let beside = format!("{}.dpkg-dist", place.display());
                    files.put(beside, overrides.apply(path, node)).map_err(|source| problem(path, source))?;
                }
                shipped.owners.insert(place, (at, path.clone()));
                continue;
            }
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

/// No package may ship device files (Debian Policy 10.6); one in the image would give the appliance a disk of its host.
fn refuse_device(package: &Package, path: &TreePath, node: &Node) -> Result<(), AssembleError> {
    let kind = match node.kind {
        Kind::CharDevice { .. } => "character",
        Kind::BlockDevice { .. } => "block",
        _ => return Ok(()),
    };
    Err(AssembleError::Device { path: path.clone(), package: package.name.clone(), kind })
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

    /// What unpacking `b`, which has `/x` too, comes to after its script diverted the `/x` of `a`: the files, their packages.
    fn check_diverted(rename: bool, want: &str) {
        let packages = [package("a", &[("f x", "1")]), package("b", &[("f x", "22")])];
        let mut tree = Tree::default();
        let mut files = Files { root: &mut tree, blobs: &NoBlobs, epoch_secs: 0 };
        let mut shipped = Shipped::default();
        unpack(&mut files, &packages, 0, &mut shipped).unwrap();
        files.write("var/lib/dpkg/diversions", 0o644, "/x\n/x.a\nb\n").unwrap();
        if rename {
            let node = files.lstat("x").unwrap().clone();
            files.put("x.a", node).unwrap();
            files.remove("x");
        }
        unpack(&mut files, &packages, 1, &mut shipped).unwrap();
        let of = |(place, at): (&TreePath, usize)| {
            format!("{place} {} {}", packages[at].name, files.read_text(place.display()).unwrap())
        };
        assert_eq!(shipped.places().map(of).collect::<Vec<_>>().join(", "), want);
        assert_eq!(shipped.lists[0], shipped.lists[1], "dpkg's lists name what a package ships, diverted or not");
    }

    #[test]
    fn a_script_that_diverts_makes_place_for_its_own_file() {
        check_diverted(true, "/x b 22, /x.a a 1");
        check_diverted(false, "/x b 22");
    }

    #[test]
    fn devices_are_refused() {
        for (kind, word) in [
            (Kind::BlockDevice { major: 8, minor: 0 }, "block"),
            (Kind::CharDevice { major: 1, minor: 1 }, "character"),
        ] {
            let mut bad = package("a", &[("d dev", "")]);
            let mut node = Node::file(0o666, "");
            node.kind = kind;
            bad.tree.insert(TreePath::new("dev/x").unwrap(), node).unwrap();
            let want = format!(
                "unpack /dev/x of package a: it is a {word} device, and packages must not bring device files; \
                use another version of the package or exclude it"
            );
            check(vec![bad], |_| (), &want);
        }
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
