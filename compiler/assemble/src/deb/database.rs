//! dpkg's database as dpkg itself would leave it after installing everything at once, without backups, locks and logs.
//!
//! `status` has one stanza a package, sorted by name, fields in the order of dpkg's own writer; `info/` has the control
//! files and the path lists. Formats: dpkg(1) FILES, deb822(5), deb-triggers(5).

use std::collections::BTreeMap;

use md5::{Digest, Md5};
use packages::deb::{Dependency, parse_relations};
use spec::appliance::Relation;
use tree::TreePath;

use super::control::Package;
use super::triggers::Interests;
use super::unpack::Shipped;
use crate::files::{Files, PathProblem};

/// The order in which dpkg writes the fields that it knows; `Status` and `Conffiles` are made here. Others follow as read.
const FIELDS: [&str; 25] = [
    "Package",
    "Essential",
    "Protected",
    "Status",
    "Priority",
    "Section",
    "Installed-Size",
    "Origin",
    "Maintainer",
    "Bugs",
    "Architecture",
    "Multi-Arch",
    "Source",
    "Version",
    "Config-Version",
    "Replaces",
    "Provides",
    "Depends",
    "Pre-Depends",
    "Recommends",
    "Suggests",
    "Breaks",
    "Conflicts",
    "Enhances",
    "Conffiles",
];

/// Fields that dpkg parses as relations and writes back in one form.
const RELATIONS: [&str; 9] =
    ["Replaces", "Provides", "Depends", "Pre-Depends", "Recommends", "Suggests", "Breaks", "Conflicts", "Enhances"];

/// Control files that do not go to `info/`: dpkg keeps their contents in `status` or in path lists.
const NOT_KEPT: [&str; 2] = ["control", "list"];

/// Control files that are programs.
const SCRIPTS: [&str; 5] = ["preinst", "postinst", "prerm", "postrm", "config"];

/// Makes the empty database that scripts find before anything is unpacked.
pub(crate) fn create(files: &mut Files<'_>, arch: &str) -> Result<(), PathProblem> {
    for folder in ["alternatives", "info", "parts", "triggers", "updates"] {
        files.make_dir(format!("/var/lib/dpkg/{folder}"), 0o755)?;
    }
    files.write("/var/lib/dpkg/arch", 0o644, format!("{arch}\n"))?;
    files.write("/var/lib/dpkg/status", 0o644, "")?;
    files.write("/var/lib/dpkg/info/format", 0o644, "1\n")?;
    files.write("/var/lib/dpkg/triggers/File", 0o644, "")?;
    files.write("/var/lib/dpkg/triggers/Unincorp", 0o644, "")
}

/// Writes the whole database for what is unpacked.
pub(crate) fn write(files: &mut Files<'_>, packages: &[Package], shipped: &Shipped) -> Result<(), PathProblem> {
    let mut stanzas: BTreeMap<(&str, &str), String> = BTreeMap::new();
    for (package, list) in packages.iter().zip(&shipped.lists) {
        match &package.installed {
            Some(paragraph) => {
                stanzas.insert((&package.name, &package.arch), paragraph.clone());
                write_list(files, package, list)?;
            }
            None => {
                let conffiles = conffiles(files, package)?;
                stanzas.insert((&package.name, &package.arch), stanza(package, &conffiles));
                write_info(files, package, list)?;
            }
        }
    }
    let status: String = stanzas.into_values().collect();
    files.write("/var/lib/dpkg/status", 0o644, status)?;
    Interests::of(packages).save(files)
}

/// Writes the path list of a package, unless it stands there already.
fn write_list(files: &mut Files<'_>, package: &Package, list: &[TreePath]) -> Result<(), PathProblem> {
    let path = format!("/var/lib/dpkg/info/{}.list", package.info_name());
    let mut text = Vec::with_capacity(list.len() * 48);
    for path in list {
        text.push(b'/');
        text.extend_from_slice(if path.is_root() { b"." } else { path.as_bytes() });
        text.push(b'\n');
    }
    if list.is_empty() || files.exists(&path) && files.read(&path)? == text {
        return Ok(());
    }
    files.write(path, 0o644, text)
}

fn write_info(files: &mut Files<'_>, package: &Package, list: &[TreePath]) -> Result<(), PathProblem> {
    write_list(files, package, list)?;
    let base = format!("/var/lib/dpkg/info/{}", package.info_name());
    for (name, bytes) in
        package.control_files.iter().filter(|(name, _)| !NOT_KEPT.contains(&name.as_str()) && is_plain(name))
    {
        let mode = if SCRIPTS.contains(&name.as_str()) { 0o755 } else { 0o644 };
        files.write(format!("{base}.{name}"), mode, bytes.clone())?;
    }
    Ok(())
}

/// Whether a control file's name can be a suffix in `info/`.
fn is_plain(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c))
}

/// The conffiles of a package with the MD5 of what it ships.
fn conffiles(files: &Files<'_>, package: &Package) -> Result<Vec<(String, String)>, PathProblem> {
    let digest = |path: String| {
        let node = TreePath::new(&path).ok().and_then(|path| package.tree.get(&path));
        let digest = match node.map(|node| &node.kind) {
            Some(tree::Kind::File(content)) => {
                hex(&Md5::digest(files.blobs.bytes(content, 64 << 20).map_err(PathProblem::Content)?))
            }
            _ => "newconffile".to_owned(),
        };
        Ok((path, digest))
    };
    let own: Result<Vec<_>, _> = package.conffiles().into_iter().map(digest).collect();
    let obsolete = package.upgrades.iter().flat_map(|old| old.obsolete(files, package));
    Ok(own?.into_iter().chain(obsolete).collect())
}

/// A package's paragraph of `status`, with an empty line at its end.
fn stanza(package: &Package, conffiles: &[(String, String)]) -> String {
    let mut out = String::new();
    let mut line = |name: &str, value: &str| match value.starts_with('\n') {
        true => out.push_str(&format!("{name}:{value}\n")),
        false => out.push_str(&format!("{name}: {value}\n")),
    };
    for name in FIELDS {
        match name {
            "Status" => line(name, "install ok installed"),
            "Conffiles" if !conffiles.is_empty() => {
                line(name, &conffiles.iter().map(|(path, md5)| format!("\n {path} {md5}")).collect::<String>());
            }
            "Conffiles" | "Config-Version" => {}
            name if RELATIONS.contains(&name) => {
                if let Some(value) = package.field(name).filter(|value| !value.is_empty()) {
                    line(name, &relations(value));
                }
            }
            name => {
                if let Some(value) = package.field(name).filter(|value| !value.is_empty()) {
                    line(name, value);
                }
            }
        }
    }
    let known = |name: &str| {
        FIELDS.iter().any(|field| field.eq_ignore_ascii_case(name)) || name.eq_ignore_ascii_case("Description")
    };
    if let Some(description) = package.field("Description") {
        line("Description", description);
    }
    for (name, value) in package.fields.iter().filter(|(name, _)| !known(name)) {
        line(name, value);
    }
    out.push('\n');
    out
}

/// A relation field in dpkg's form; as written when it cannot be read.
fn relations(text: &str) -> String {
    match parse_relations(text) {
        Ok(clauses) => {
            let clause = |alternatives: Vec<Dependency<'_>>| {
                alternatives.into_iter().map(one_relation).collect::<Vec<_>>().join(" | ")
            };
            clauses.into_iter().map(clause).collect::<Vec<_>>().join(", ")
        }
        Err(_) => text.split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

fn one_relation(one: Dependency<'_>) -> String {
    let arch = one.arch.map(|arch| format!(":{arch}")).unwrap_or_default();
    let rule = one.rule.map(|(relation, version)| {
        let sign = match relation {
            Relation::Less => "<<",
            Relation::LessOrEqual => "<=",
            Relation::Equal => "=",
            Relation::GreaterOrEqual => ">=",
            Relation::Greater => ">>",
        };
        format!(" ({sign} {version})")
    });
    format!("{}{arch}{}", one.name, rule.unwrap_or_default())
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use tree::{NoBlobs, Tree};

    use super::super::testing::package;
    use super::super::unpack;
    use super::*;

    #[test]
    fn a_database_is_complete_and_in_dpkgs_order() {
        let control = "b\nVersion: 1-2\nHomepage: x\nDepends: libc6(>=2),\n  z | y\nMulti-Arch: same\nMaintainer: M <m@example.org>\nDescription: d\n more";
        let mut b = package(control, &[("d etc", ""), ("f etc/b.conf", "hello"), ("l a", "etc"), ("f z", "")]);
        b.control_files.insert("conffiles".to_owned(), b"/etc/b.conf\nremove-on-upgrade /etc/old\n".to_vec());
        b.control_files.insert("postinst".to_owned(), b"#!/bin/sh\n".to_vec());
        let packages = [b];
        let mut tree = Tree::default();
        let mut files = Files { root: &mut tree, blobs: &NoBlobs, epoch_secs: 0 };
        let mut shipped = Shipped::default();
        create(&mut files, "amd64").unwrap();
        unpack::unpack(&mut files, &packages, 0, &mut shipped).unwrap();
        write(&mut files, &packages, &shipped).unwrap();
        let want = "Package: b\nStatus: install ok installed\nMaintainer: M <m@example.org>\nArchitecture: amd64\nMulti-Arch: same\nVersion: 1-2\n\
            Depends: libc6 (>= 2), z | y\nConffiles:\n /etc/b.conf 5d41402abc4b2a76b9719d911017c592\nDescription: d\n more\nHomepage: x\n\n";
        assert_eq!(files.read_text("/var/lib/dpkg/status").unwrap(), want);
        assert_eq!(files.read_text("/var/lib/dpkg/info/b:amd64.list").unwrap(), "/.\n/etc\n/etc/b.conf\n/z\n/a\n");
        assert_eq!(files.stat("/var/lib/dpkg/info/b:amd64.postinst").unwrap().meta.mode, 0o755);
    }
}
