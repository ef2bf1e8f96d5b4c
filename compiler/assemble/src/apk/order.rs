//! In which order packages are installed, and which of them every root of a base has.

use std::collections::{BTreeMap, BTreeSet};

use packages::apk::parse_dependency;
use spec::base::BaseImage;

use super::package::Package;
use crate::error::AssembleError;

/// Packages in the order in which they are installed.
#[derive(Debug)]
pub(crate) struct Ordered {
    pub packages: Vec<Package>,
    /// For each package whether every root of the base has it.
    pub in_every_root: Vec<bool>,
}

/// Sorts packages: what every root has comes first, since scripts of others count on it, and then each after what it
/// depends on, as far as circles allow. The order depends on the set alone.
pub(crate) fn ordered(packages: Vec<Package>, base: &BaseImage) -> Result<Ordered, AssembleError> {
    let in_every_root = in_every_root(&packages, base);
    let both = packages.into_iter().zip(&in_every_root);
    let (of_base, others): (Vec<_>, Vec<_>) = both.partition(|(_, is_base)| **is_base);
    let sorted = |part: Vec<(Package, &bool)>| install_order(part.into_iter().map(|(package, _)| package).collect());
    let (mut packages, others) = (sorted(of_base)?, sorted(others)?);
    let in_every_root = [vec![true; packages.len()], vec![false; others.len()]].concat();
    packages.extend(others);
    Ok(Ordered { packages, in_every_root })
}

fn install_order(packages: Vec<Package>) -> Result<Vec<Package>, AssembleError> {
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
fn in_every_root(packages: &[Package], base: &BaseImage) -> Vec<bool> {
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

#[cfg(test)]
mod tests {
    use packages::Unpacked;

    use super::*;

    #[test]
    fn the_base_comes_first_and_needs_come_before() {
        let package = |text: &str| {
            let info = format!("pkgver = 1\n{}", text.replace("; ", "\n"));
            let control_files = [(".PKGINFO".to_owned(), info.into_bytes())].into();
            Package::read(Unpacked { control_files, ..Unpacked::default() }, 0).unwrap()
        };
        let all = [
            "pkgname = 7zip; depend = b",
            "pkgname = named; depend = so:x",
            "pkgname = b",
            "pkgname = x; provides = so:x=1",
        ];
        let mut base = spec::builtin_bases().remove(0);
        base.packages = vec!["named".to_owned()];
        let order = ordered(all.iter().map(|text| package(text)).collect(), &base).unwrap();
        let names: Vec<&str> = order.packages.iter().map(|package| package.name.as_str()).collect();
        assert_eq!(names, ["x", "named", "b", "7zip"]);
        assert_eq!(order.in_every_root, [true, true, false, false]);
    }
}
