//! The database as `apk` version 2 would leave it: `lib/apk/db/installed`, `scripts.tar` and `triggers` (apk-package(5)).
//!
//! `installed` has one paragraph a package, sorted by name: the fields of an index, then for each folder `F:` with `M:` where
//! its owner or mode is unusual, then for each file of it `R:` with `a:` likewise and `Z:`, its checksum.

use std::collections::BTreeMap;

use packages::Sha1;
use sha1::{Digest as _, Sha1 as Hasher};
use tree::{Meta, Node, TreePath};

use super::installed::Entry;
use super::package::{Package, SCRIPTS, checksum};
use super::unpack::Shipped;
use crate::files::{Files, PathProblem};

/// The folder of the database.
pub(crate) const FOLDER: &str = "lib/apk/db";

/// The fields of an index entry in their order, with their names in `.PKGINFO`; a name with several lines is one field.
const FIELDS: [(char, &str); 15] = [
    ('P', "pkgname"),
    ('V', "pkgver"),
    ('A', "arch"),
    ('S', ""),
    ('I', "size"),
    ('T', "pkgdesc"),
    ('U', "url"),
    ('L', "license"),
    ('o', "origin"),
    ('m', "maintainer"),
    ('t', "builddate"),
    ('c', "commit"),
    ('k', "provider_priority"),
    ('D', "depend"),
    ('p', "provides"),
];

/// The fields that only the database has, after those.
const OWN_FIELDS: [(char, &str); 3] = [('i', "install_if"), ('r', "replaces"), ('q', "replaces_priority")];

/// Writes the whole database for what is unpacked; `packages` are in the order of installation.
pub(crate) fn write(files: &mut Files<'_>, packages: &[Package], shipped: &Shipped) -> Result<(), PathProblem> {
    let mut paragraphs: BTreeMap<(&str, usize), Vec<u8>> = BTreeMap::new();
    for (at, package) in packages.iter().enumerate() {
        paragraphs.insert((&package.name, at), paragraph(package, at, shipped));
    }
    files.write(format!("{FOLDER}/installed"), 0o644, paragraphs.into_values().flatten().collect::<Vec<u8>>())?;
    files.write(format!("{FOLDER}/scripts.tar"), 0o644, scripts(packages))?;
    let trigger = |package: &Package| format!("{} {}\n", package.identity(), package.triggers.join(" "));
    let triggers: String = packages.iter().filter(|package| !package.triggers.is_empty()).map(trigger).collect();
    files.write(format!("{FOLDER}/triggers"), 0o644, triggers)
}

/// A package's paragraph with an empty line at its end.
fn paragraph(package: &Package, at: usize, shipped: &Shipped) -> Vec<u8> {
    if let Some(entry) = &package.installed {
        return kept(entry, at, shipped);
    }
    let mut out = format!("C:{}\n", package.identity()).into_bytes();
    let archive = package.unpacked.archive.as_ref();
    for (letter, name) in FIELDS.into_iter().chain(OWN_FIELDS) {
        let values = package.lines.iter().filter(|(line, _)| line == name).map(|(_, value)| value.as_str());
        let mut value = values.collect::<Vec<_>>().join(" ");
        match (letter, archive) {
            // The signed index knows the file, and an index may give packages for all architectures that of its own.
            ('A', Some(archive)) => value.clone_from(&archive.arch),
            ('S', archive) => value = archive.map_or(0, |archive| archive.size_bytes).to_string(),
            _ => {}
        }
        // Description, home page and licence are written also where there are none.
        let says_nothing = value.is_empty() || letter == 'q' && value == "0";
        if "TUL".contains(letter) || !says_nothing {
            out.extend_from_slice(format!("{letter}:{value}\n").as_bytes());
        }
    }
    push_files(&mut out, package, at, shipped);
    out.push(b'\n');
    out
}

/// The paragraph of a package that is there already, without the files that another one took over.
fn kept(entry: &Entry, at: usize, shipped: &Shipped) -> Vec<u8> {
    let mut out = entry.head.clone();
    for folder in &entry.folders {
        out.extend_from_slice(&folder.head);
        let own = folder.files.iter().filter(|(path, _)| shipped.owns(at, path));
        own.for_each(|(_, lines)| out.extend_from_slice(lines));
    }
    out.push(b'\n');
    out
}

/// The folders of a package, each with its files.
fn push_files(out: &mut Vec<u8>, package: &Package, at: usize, shipped: &Shipped) {
    let mut below: BTreeMap<TreePath, Vec<(&TreePath, &Node)>> = BTreeMap::new();
    for (path, _, node) in package.tree().iter().filter(|(path, ..)| shipped.owns(at, path)) {
        below.entry(path.parent().unwrap_or_else(TreePath::root)).or_default().push((path, node));
    }
    let sums = package.checksums();
    let owners = shipped.owners.get(at);
    let owner = |path: &TreePath| owners.and_then(|owners| owners.get(path)).copied().unwrap_or((0, 0));
    for (folder, _, node) in package.tree().iter().filter(|(_, _, node)| node.is_dir()) {
        let files = below.get(folder).map(Vec::as_slice).unwrap_or_default();
        if folder.is_root() && files.is_empty() {
            continue;
        }
        push_line(out, b"F:", folder.as_bytes());
        push_access(out, 'M', &node.meta, owner(folder), 0o755);
        for (path, node) in files {
            push_line(out, b"R:", path.name());
            push_access(out, 'a', &node.meta, owner(path), 0o644);
            if let Some(sum) = sums.get(path) {
                push_line(out, b"Z:", checksum(sum).as_bytes());
            }
        }
    }
}

fn push_line(out: &mut Vec<u8>, start: &[u8], value: &[u8]) {
    out.extend_from_slice(start);
    out.extend_from_slice(value);
    out.push(b'\n');
}

/// Owner and mode, unless they are root's and the usual ones; attributes by the SHA-1 of their names and values.
fn push_access(out: &mut Vec<u8>, letter: char, meta: &Meta, (uid, gid): (u32, u32), usual: u16) {
    if (uid, gid, meta.mode) == (0, 0, usual) && meta.xattrs.is_empty() {
        return;
    }
    let mut line = format!("{letter}:{uid}:{gid}:{:o}", meta.mode);
    if !meta.xattrs.is_empty() {
        let mut hasher = Hasher::new();
        meta.xattrs.iter().for_each(|(name, value)| {
            hasher.update(name);
            hasher.update(value);
        });
        line.push_str(&format!(":{}", checksum(&Sha1(hasher.finalize().into()))));
    }
    push_line(out, line.as_bytes(), b"");
}

/// All scripts in one archive, in GNU tar's old format, as `apk` writes it.
fn scripts(packages: &[Package]) -> Vec<u8> {
    let mut out = Vec::new();
    for package in packages {
        for (script, bytes) in SCRIPTS.iter().filter_map(|name| Some((*name, package.script(name)?))) {
            let name = format!("{}-{}.{}.{script}", package.name, package.version, package.identity());
            if name.len() > 100 {
                push_member(&mut out, ("././@LongLink", b'L'), &[name.as_bytes(), b"\0"].concat(), 0);
            }
            push_member(&mut out, (&name, b'0'), bytes, package.built_secs);
        }
    }
    out.resize(out.len() + 1024, 0);
    out
}

/// A file of `root`'s with its header (tar(5), "Old-Style Archive Format" and "GNU Tar Archives").
fn push_member(out: &mut Vec<u8>, (name, kind): (&str, u8), bytes: &[u8], mtime_secs: i64) {
    let mut block = [0; 512];
    let mut put = |at: usize, bytes: &[u8]| {
        if let Some(place) = block.get_mut(at..at + bytes.len()) {
            place.copy_from_slice(bytes);
        }
    };
    put(0, name.as_bytes().get(..name.len().min(100)).unwrap_or_default());
    [(100, "0000755"), (108, "0000000"), (116, "0000000")].into_iter().for_each(|(at, text)| put(at, text.as_bytes()));
    put(124, format!("{:012o}", bytes.len()).as_bytes());
    put(136, format!("{:012o}", mtime_secs.max(0)).as_bytes());
    put(148, b"        ");
    put(156, &[kind]);
    put(257, b"ustar  \0root");
    put(297, b"root");
    let sum: u32 = block.iter().map(|byte| u32::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    out.extend_from_slice(&block);
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(512), 0);
}
