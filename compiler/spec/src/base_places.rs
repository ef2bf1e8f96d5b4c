//! Where a `base.kdl` says what only a later stage can judge: which suites, components and packages there are.

use std::collections::BTreeMap;

use crate::diagnostic::Label;
use crate::item::Item;
use crate::source::{Place, Sources};

/// Something that a base image says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum BasePlace {
    /// This archive.
    Archive(InArchive),
    /// This suite of this archive, by its path.
    Suite(InArchive, String),
    /// This component of this suite of this archive.
    Component(InArchive, String, String),
    /// This package: of every root, a kernel, or the one with the EFI stub.
    Package {
        /// Codename of the release.
        release: String,
        /// The package.
        name: String,
    },
}

/// An archive of a release.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct InArchive {
    /// Codename of the release.
    pub release: String,
    /// Name of the archive.
    pub archive: String,
}

/// Every place of a base image; the first where something is said twice.
pub(crate) fn places(base: &Item, sources: &Sources) -> BTreeMap<BasePlace, Label> {
    let mut found = BTreeMap::new();
    for release in base.all("release") {
        let name = release.arg(0).unwrap_or_default();
        let packages = packages(release)
            .map(|(package, place)| (BasePlace::Package { release: name.to_owned(), name: package.to_owned() }, place));
        let suites = release.all("archive").flat_map(|archive| suites(name, archive));
        for (what, place) in packages.chain(suites) {
            found.entry(what).or_insert_with(|| sources.label(place, "asked for here"));
        }
    }
    found
}

fn packages(release: &Item) -> impl Iterator<Item = (&str, Place)> {
    let roots = release.all("packages").flat_map(|item| item.texts_from(0));
    let kernels = release.all("kernel").filter_map(|item| Some((item.text("package")?, item.prop_place("package"))));
    let stubs = release.all("efi-stub").flat_map(|item| item.texts_from(0));
    roots.chain(kernels).chain(stubs)
}

fn suites(release: &str, archive: &Item) -> Vec<(BasePlace, Place)> {
    let here = InArchive { release: release.to_owned(), archive: archive.arg(0).unwrap_or_default().to_owned() };
    let mut found = vec![(BasePlace::Archive(here.clone()), archive.arg_place(0))];
    for item in archive.all("suite") {
        let path = item.arg(0).unwrap_or_default().to_owned();
        let component =
            |(text, place): (&str, Place)| (BasePlace::Component(here.clone(), path.clone(), text.to_owned()), place);
        found.extend(item.list("component").map(component));
        found.push((BasePlace::Suite(here.clone(), path.clone()), item.arg_place(0)));
    }
    found
}
