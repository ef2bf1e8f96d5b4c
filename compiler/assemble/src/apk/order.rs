//! In which order packages are installed, and which of them every root of a base has.

use std::collections::{BTreeMap, BTreeSet};

use packages::apk::parse_dependency;
use spec::base::BaseImage;

use super::package::Package;
use crate::error::AssembleError;

/// Sorts packages so that each comes after what it depends on, as far as circles allow.
pub(crate) fn install_order(packages: Vec<Package>) -> Result<Vec<Package>, AssembleError> {
    let info = |package: &Package| package.unpacked.control_files.get(".PKGINFO").cloned().unwrap_or_default();
    let infos: Vec<Vec<u8>> = packages.iter().map(info).collect();
    let order = packages::apk::install_order(&infos.iter().map(Vec::as_slice).collect::<Vec<_>>());
    let bad = |error: packages::apk::OrderError| AssembleError::BadControl {
        package: "of the root".to_owned(),
        what: error.to_string(),
    };
    let mut slots: Vec<Option<Package>> = packages.into_iter().map(Some).collect();
    Ok(order.map_err(bad)?.into_iter().filter_map(|at| slots.get_mut(at).and_then(Option::take)).collect())
}

/// Which packages every root of a base has: those that the base names, and all that these need.
pub(crate) fn in_every_root(packages: &[Package], base: &BaseImage) -> Vec<bool> {
    let mut providers: BTreeMap<&str, BTreeSet<usize>> = BTreeMap::new();
    for (at, package) in packages.iter().enumerate() {
        let provided = package.provides.iter().filter_map(|word| parse_dependency(word).ok()).map(|one| one.name);
        provided.chain([package.name.as_str()]).for_each(|name| _ = providers.entry(name).or_default().insert(at));
    }
    let of = |name: &str| providers.get(name).into_iter().flatten().copied();
    let mut seen = vec![false; packages.len()];
    let mut open: Vec<usize> = base.packages.iter().flat_map(|name| of(name)).collect();
    while let Some(at) = open.pop() {
        if !std::mem::replace(&mut seen[at], true) {
            let needs = packages[at].depends.iter().filter_map(|word| parse_dependency(word).ok());
            open.extend(needs.filter(|one| !one.is_conflict).flat_map(|one| of(one.name)));
        }
    }
    seen
}
