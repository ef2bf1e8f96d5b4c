//! What is installed in a base image already, by dpkg's own database: packages without contents that know their paths,
//! their triggers and the script that answers those.

use packages::deb::Stanzas;
use tree::{Tree, TreePath};

use super::control::Package;
use super::diversions::Diversions;
use super::unpack::Shipped;
use super::upgrade::Old;
use crate::error::AssembleError;
use crate::files::{Files, PathProblem};

/// Control files of an installed package that still matter when others come.
const KEPT: [&str; 5] = ["postinst", "postrm", "prerm", "templates", "triggers"];

/// Reads the packages of the tree's database, in its order, and who ships what; none where there is no database. Those
/// that a newer version in `new` takes the place of go there, and what they ship is nobody's.
pub(crate) fn read(
    files: &Files<'_>,
    new: &mut [Package],
    shipped: &mut Shipped,
) -> Result<Vec<Package>, AssembleError> {
    let status = files.read_text("/var/lib/dpkg/status").map_err(super::in_database)?;
    let diversions = Diversions::load(files).map_err(super::in_database)?;
    let mut packages = Vec::new();
    for paragraph in status.split("\n\n").map(str::trim).filter(|paragraph| !paragraph.is_empty()) {
        let package = package(files, paragraph).map_err(super::in_database)?;
        let package = package.ok_or_else(|| AssembleError::BadControl {
            package: format!("number {}", packages.len()),
            what: "dpkg's status file of the base image cannot be read there".to_owned(),
        })?;
        let list = files.read_text(format!("/var/lib/dpkg/info/{}.list", package.info_name()));
        let list = paths(&list.map_err(super::in_database)?);
        if let Some(newer) = new.iter_mut().find(|one| one.name == package.name && takes_place(one, &package)) {
            newer.upgrades = Some(Box::new(Old { package, list }));
            continue;
        }
        shipped.has(files, packages.len(), &package, list, &diversions);
        packages.push(package);
    }
    Ok(packages)
}

fn package(files: &Files<'_>, paragraph: &str) -> Result<Option<Package>, PathProblem> {
    let Some(Ok(stanza)) = Stanzas::new(paragraph).next() else { return Ok(None) };
    let need = |name: &str| stanza.get(name).filter(|value| super::control::is_word(value)).map(str::to_owned);
    let (Some(name), Some(arch)) = (need("Package"), need("Architecture")) else { return Ok(None) };
    let mut package = Package {
        name,
        // What was removed and left its configuration may have lost its version.
        version: need("Version").unwrap_or_else(|| "0".to_owned()),
        arch,
        fields: stanza.fields().map(|(name, value)| (name.to_owned(), value.to_owned())).collect(),
        control_files: Default::default(),
        tree: Tree::default(),
        installed: Some(format!("{paragraph}\n\n")),
        upgrades: None,
    };
    if stanza.get("Status").is_some_and(|status| status.ends_with(" installed")) {
        for kept in KEPT {
            let path = format!("/var/lib/dpkg/info/{}.{kept}", package.info_name());
            if files.exists(&path) {
                package.control_files.insert(kept.to_owned(), files.read(&path)?);
            }
        }
    }
    Ok(Some(package))
}

/// Whether a package is the same one as an installed one, in another version: of its architecture, or one of them is of all.
fn takes_place(new: &Package, old: &Package) -> bool {
    let installed = old.field("Status").is_some_and(|status| status.ends_with(" installed"));
    installed && (new.arch == old.arch || [&new.arch, &old.arch].into_iter().any(|arch| arch == "all"))
}

fn paths(list: &str) -> Vec<TreePath> {
    list.lines().filter_map(|line| TreePath::new(line).ok()).collect()
}
