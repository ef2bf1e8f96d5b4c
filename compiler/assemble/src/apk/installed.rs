//! What is installed in a base image already, by apk's own database: packages without contents that know their paths,
//! their scripts and the folders that trigger them.

use std::collections::BTreeMap;
use std::io::Read;

use formats::tar::{Limits, Reader};
use packages::Unpacked;
use packages::apk::{InstalledEntry, parse_installed};
use tree::TreePath;

use super::database::FOLDER;
use super::package::{Package, SCRIPTS};
use super::unpack::Shipped;
use crate::error::AssembleError;
use crate::files::Files;

/// What the database says of a package, kept as it is.
#[derive(Debug, Default)]
pub(crate) struct Entry {
    /// The checksum by which the database names it, and scripts and triggers too.
    pub identity: String,
    /// The lines before its first folder.
    pub head: Vec<u8>,
    pub folders: Vec<Folder>,
}

/// A folder of an installed package.
#[derive(Debug)]
pub(crate) struct Folder {
    pub path: TreePath,
    /// Its own lines.
    pub head: Vec<u8>,
    /// Its files with their lines.
    pub files: Vec<(TreePath, Vec<u8>)>,
}

/// Whether a file system has a database.
pub(crate) fn is_there(files: &Files<'_>) -> bool {
    files.exists(format!("{FOLDER}/installed"))
}

/// Reads the packages of the tree's database, sorted by name, and who ships what; none where there is no database. Those
/// that a newer version in `new` takes the place of go there, and what they ship is nobody's.
pub(crate) fn read(
    files: &Files<'_>,
    new: &mut [Package],
    shipped: &mut Shipped,
) -> Result<Vec<Package>, AssembleError> {
    if !is_there(files) {
        return Ok(Vec::new());
    }
    if files.exists(format!("{FOLDER}/scripts.tar.gz")) {
        return Err(bad("its scripts are in scripts.tar.gz, as apk version 3 keeps them, and only version 2 is read"));
    }
    let bytes = files.read(format!("{FOLDER}/installed")).map_err(super::in_database)?;
    let mut entries = parse_installed(&bytes).map_err(|error| bad(&format!("its database: {error}")))?;
    // As the package manager itself leaves it from now on.
    entries.sort_by_key(|entry| (entry.field('P'), entry.field('V')));
    let mut scripts = scripts(files)?;
    let triggers = triggers(files)?;
    let mut packages = Vec::new();
    for entry in &entries {
        let package = package(entry, &mut scripts, &triggers)?;
        if let Some(newer) = new.iter_mut().find(|one| one.name == package.name) {
            newer.upgrades = Some(Box::new(package));
            continue;
        }
        shipped.has(files, packages.len(), &package);
        packages.push(package);
    }
    Ok(packages)
}

fn package(
    entry: &InstalledEntry<'_>,
    scripts: &mut BTreeMap<String, Vec<u8>>,
    triggers: &BTreeMap<String, Vec<String>>,
) -> Result<Package, AssembleError> {
    let (name, version, identity) = (entry.field('P'), entry.field('V'), entry.field('C'));
    let script = |kind: &&str| {
        let bytes = scripts.remove(&format!("{name}-{version}.{identity}.{kind}"))?;
        Some((format!(".{kind}"), bytes))
    };
    let control_files = SCRIPTS.iter().filter_map(script).collect();
    let words = |letter| entry.field(letter).split_ascii_whitespace().map(str::to_owned).collect();
    Ok(Package {
        name: name.to_owned(),
        version: version.to_owned(),
        lines: Vec::new(),
        depends: words('D'),
        provides: words('p'),
        replaces: words('r'),
        replaces_priority: entry.field('q').parse().unwrap_or(0),
        triggers: triggers.get(identity).cloned().unwrap_or_default(),
        built_secs: entry.field('t').parse().unwrap_or(0),
        unpacked: Unpacked { control_files, ..Unpacked::default() },
        installed: Some(owned(entry)?),
        upgrades: None,
    })
}

fn owned(entry: &InstalledEntry<'_>) -> Result<Entry, AssembleError> {
    let head = entry.fields.iter().map(|(letter, value)| format!("{letter}:{value}\n")).collect::<String>();
    let mut folders = Vec::new();
    for folder in &entry.folders {
        let bad = |path: &[u8]| bad(&format!("its database has the path `{}`", path.escape_ascii()));
        let path = match folder.path {
            b"" => TreePath::root(),
            path => TreePath::new(path).map_err(|_| bad(path))?,
        };
        let mut own = line(b"F:", folder.path);
        folder.access.iter().for_each(|access| own.extend(line(b"", access)));
        let mut below = Vec::new();
        for file in &folder.files {
            let described = file.lines.iter().map(|one| line(b"", one)).collect::<Vec<_>>().concat();
            let place = path.join(file.name).map_err(|_| bad(file.name))?;
            below.push((place, [line(b"R:", file.name), described].concat()));
        }
        folders.push(Folder { path, head: own, files: below });
    }
    Ok(Entry { identity: entry.field('C').to_owned(), head: head.into_bytes(), folders })
}

fn line(start: &[u8], text: &[u8]) -> Vec<u8> {
    [start, text, b"\n"].concat()
}

/// The scripts of all packages by the names that they have in `scripts.tar`.
fn scripts(files: &Files<'_>) -> Result<BTreeMap<String, Vec<u8>>, AssembleError> {
    let path = format!("{FOLDER}/scripts.tar");
    if !files.exists(&path) {
        return Ok(BTreeMap::new());
    }
    let archive = files.read(&path).map_err(super::in_database)?;
    let unreadable = |error: &dyn std::fmt::Display| bad(&format!("its scripts.tar: {error}"));
    let mut reader = Reader::new(archive.as_slice(), Limits::default());
    let mut scripts = BTreeMap::new();
    while let Some(entry) = reader.next_entry().map_err(|error| unreadable(&error))? {
        let mut bytes = Vec::new();
        reader.read_to_end(&mut bytes).map_err(|error| unreadable(&error))?;
        scripts.insert(String::from_utf8_lossy(&entry.name).into_owned(), bytes);
    }
    Ok(scripts)
}

/// The patterns of folders that trigger a package, by its checksum.
fn triggers(files: &Files<'_>) -> Result<BTreeMap<String, Vec<String>>, AssembleError> {
    let text = files.read_text(format!("{FOLDER}/triggers")).map_err(super::in_database)?;
    let one = |line: &str| {
        let (identity, patterns) = line.split_once(' ')?;
        Some((identity.to_owned(), patterns.split_ascii_whitespace().map(str::to_owned).collect()))
    };
    Ok(text.lines().filter_map(one).collect())
}

fn bad(what: &str) -> AssembleError {
    AssembleError::BadControl { package: "of the base image".to_owned(), what: what.to_owned() }
}
