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
    for archive in &base.archives {
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

/// The keyring that apt checks this archive with: the distribution's own package's, else the base's keys, written here.
fn signed_by(files: &mut Files<'_>, archive: &Archive) -> Result<String, PathProblem> {
    let shipped = ["/usr/share/keyrings/debian-archive-keyring.gpg", "/usr/share/keyrings/ubuntu-archive-keyring.gpg"];
    if let Some(path) = shipped.into_iter().find(|path| files.exists(path)) {
        return Ok(path.to_owned());
    }
    let mut paths = Vec::new();
    for (name, bytes) in &archive.keys {
        let name = name.rsplit('/').next().unwrap_or(name);
        let path = format!("/etc/apt/keyrings/{name}");
        files.write(&path, 0o644, bytes.clone())?;
        paths.push(path);
    }
    Ok(paths.join(" "))
}

/// A source in the deb822 form (sources.list(5)).
fn sources(archive: &Archive, key: &str) -> String {
    let mut out = String::new();
    for suite in &archive.suites {
        if !out.is_empty() {
            out.push('\n');
        }
        let (uris, components) = (archive.mirrors.join(" "), suite.components.join(" "));
        out.push_str(&format!("Types: deb\nURIs: {uris}\nSuites: {}\nComponents: {components}\n", suite.path));
        if !key.is_empty() {
            out.push_str(&format!("Signed-By: {key}\n"));
        }
    }
    out
}
