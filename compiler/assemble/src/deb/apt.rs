//! What apt needs so that it works inside: sources of the base, marks of what was installed as a dependency.

use std::collections::BTreeSet;

use spec::Appliance;
use spec::base::{Archive, BaseImage};

use super::control::Package;
use crate::files::{Files, PathProblem};

/// Writes apt's sources and marks, if apt is installed.
pub(crate) fn write(
    files: &mut Files<'_>,
    appliance: &Appliance,
    base: &BaseImage,
    packages: &[Package],
) -> Result<(), PathProblem> {
    if !packages.iter().any(|package| package.name == "apt") {
        return Ok(());
    }
    files.make_dir("/var/lib/apt/lists/partial", 0o755)?;
    files.make_dir("/var/cache/apt/archives/partial", 0o755)?;
    files.write("/var/lib/apt/extended_states", 0o644, marks(appliance, base, packages))?;
    // A source without an address would keep apt from all others.
    for archive in base.archives.iter().filter(|archive| archive.mirrors_inside().next().is_some()) {
        let key = signed_by(files, archive)?;
        files.write(format!("/etc/apt/sources.list.d/{}.sources", archive.name), 0o644, sources(archive, &key))?;
    }
    Ok(())
}

/// A mark for each package that nobody asked for, sorted; essential and required ones are not apt's to remove.
fn marks(appliance: &Appliance, base: &BaseImage, packages: &[Package]) -> String {
    let asked = appliance.packages.iter().map(|request| &request.name).chain(&base.packages);
    let asked: BTreeSet<&String> = asked.collect();
    let is_base = |package: &&Package| package.is_essential() || package.field("Priority") == Some("required");
    let auto = packages.iter().filter(|package| !asked.contains(&package.name) && !is_base(package));
    // apt keeps marks by the native architecture also for packages of all architectures.
    let native = packages.iter().map(|package| package.arch.as_str()).find(|arch| *arch != "all").unwrap_or("all");
    let mut marks: Vec<String> = auto
        .map(|package| format!("Package: {}\nArchitecture: {native}\nAuto-Installed: 1\n\n", package.name))
        .collect();
    marks.sort();
    marks.concat()
}

/// The keyring that apt checks this archive with: the distribution's own package's where the base trusts its keys alone, else
/// the base's keys, written here.
fn signed_by(files: &mut Files<'_>, archive: &Archive) -> Result<String, PathProblem> {
    let distributions = ["debian", "ubuntu"].into_iter().filter(|name| has_keys_of(archive, name));
    let mut shipped = distributions.map(|name| format!("/usr/share/keyrings/{name}-archive-keyring.gpg"));
    if let Some(path) = shipped.find(|path| files.exists(path)) {
        return Ok(path);
    }
    let mut paths = Vec::new();
    for (name, bytes) in &archive.keys {
        let path = format!("/etc/apt/keyrings/{}", keyring_name(name, bytes));
        files.write(&path, 0o644, bytes.clone())?;
        paths.push(path);
    }
    Ok(paths.join(" "))
}

/// Whether all keys of an archive are such as the distribution of this name has here.
fn has_keys_of(archive: &Archive, distribution: &str) -> bool {
    let own = spec::builtin_bases();
    let own = own.iter().filter(|base| base.name == distribution).flat_map(|base| &base.archives);
    let known: BTreeSet<&Vec<u8>> = own.flat_map(|own| &own.keys).map(|(_, bytes)| bytes).collect();
    archive.keys.iter().all(|(_, bytes)| known.contains(bytes))
}

/// The name of a key file by which apt knows whether it is armoured (apt-secure(8), sources.list(5) on Signed-By).
fn keyring_name(name: &str, bytes: &[u8]) -> String {
    let name = name.rsplit('/').next().unwrap_or(name);
    let extension = if bytes.trim_ascii_start().starts_with(b"-----BEGIN") { "asc" } else { "gpg" };
    match name.rsplit_once('.') {
        Some((_, own)) if own == extension => name.to_owned(),
        Some((stem, "gpg" | "asc")) => format!("{stem}.{extension}"),
        _ => format!("{name}.{extension}"),
    }
}

/// A source in the deb822 form (sources.list(5)).
fn sources(archive: &Archive, key: &str) -> String {
    let mut out = String::new();
    for suite in &archive.suites {
        if !out.is_empty() {
            out.push('\n');
        }
        let (uris, components) = (archive.mirrors_inside().collect::<Vec<_>>().join(" "), suite.components.join(" "));
        out.push_str(&format!("Types: deb\nURIs: {uris}\nSuites: {}\nComponents: {components}\n", suite.path));
        if !key.is_empty() {
            out.push_str(&format!("Signed-By: {key}\n"));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn archive(mirrors: &[&str], keys: &[(&str, &[u8])]) -> Archive {
        Archive {
            name: "mine".to_owned(),
            arches: Vec::new(),
            mirrors: mirrors.iter().map(|&mirror| mirror.to_owned()).collect(),
            suites: vec![spec::base::Suite {
                path: "stable".to_owned(),
                codename: None,
                components: vec!["main".to_owned()],
            }],
            keys: keys.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect(),
        }
    }

    #[test]
    fn sources_name_what_can_be_reached_from_inside() {
        let text = sources(&archive(&["/srv/repo", "https://a.example.org/d", "file:///x"], &[]), "/k.gpg");
        assert_eq!(
            text,
            "Types: deb\nURIs: https://a.example.org/d\nSuites: stable\nComponents: main\nSigned-By: /k.gpg\n"
        );
        assert_eq!(archive(&["/srv/repo", "file:///x"], &[]).mirrors_inside().count(), 0);
    }

    #[test]
    fn the_keyring_of_a_distribution_is_that_of_its_own_keys_alone() {
        let shipped = spec::builtin_bases();
        for name in ["debian", "ubuntu"] {
            let mut archives = shipped.iter().filter(|base| base.name == name).flat_map(|base| &base.archives);
            assert!(archives.clone().count() > 0 && archives.all(|archive| has_keys_of(archive, name)), "{name}");
        }
        let own = archive(&[], &[("mine.gpg", b"a key")]);
        assert!(!has_keys_of(&own, "debian") && !has_keys_of(&own, "ubuntu"));
    }

    #[test]
    fn the_name_of_a_key_file_says_whether_it_is_armoured() {
        let check = |name: &str, bytes: &[u8], expected: &str| assert_eq!(keyring_name(name, bytes), expected);
        check("mine.gpg", b"\x99", "mine.gpg");
        check("keys/mine.gpg", b"-----BEGIN PGP PUBLIC KEY BLOCK-----", "mine.asc");
        check("mine.asc", b"\x99", "mine.gpg");
        check("me@example.org", b"\x99", "me@example.org.gpg");
    }
}
