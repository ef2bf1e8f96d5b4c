//! In which order packages are installed and which of them every root has; the deciding is [`packages::deb::Needs`]'s.

use packages::deb::{Needs, OrderError};
use spec::base::BaseImage;

use super::control::Package;
use crate::error::AssembleError;

/// Packages in the order in which they are installed.
#[derive(Debug)]
pub(crate) struct Ordered {
    pub packages: Vec<Package>,
    /// For each package whether every root of the base has it: what is essential, required or named by the base, and
    /// all that needs.
    pub in_every_root: Vec<bool>,
}

/// Sorts packages so that each comes after what it depends on, as far as circles allow.
///
/// The order depends on the set alone, not on the order in which it is given.
pub(crate) fn ordered(mut packages: Vec<Package>, base: &BaseImage) -> Result<Ordered, AssembleError> {
    packages.sort_by(|a, b| (&a.name, &a.arch, &a.version).cmp(&(&b.name, &b.arch, &b.version)));
    let texts: Vec<String> = packages.iter().map(|package| package.control_text("control")).collect();
    let controls: Vec<&[u8]> = texts.iter().map(String::as_bytes).collect();
    let needs = Needs::read(&controls).map_err(|error| unreadable(&packages, &error))?;
    let is_root = |package: &Package| {
        let required = base.with_required && package.field("Priority") == Some("required");
        package.is_essential() || required || base.packages.contains(&package.name)
    };
    let roots = packages.iter().enumerate().filter(|(_, package)| is_root(package)).map(|(at, _)| at);
    let reached = needs.closure(roots);
    let mut slots: Vec<Option<Package>> = packages.into_iter().map(Some).collect();
    let take = |at: usize| Some((slots.get_mut(at)?.take()?, *reached.get(at)?));
    let (packages, in_every_root) = needs.install_order().into_iter().filter_map(take).unzip();
    Ok(Ordered { packages, in_every_root })
}

fn unreadable(packages: &[Package], error: &OrderError) -> AssembleError {
    use std::error::Error;
    let package = match error {
        OrderError::NoControl(at) | OrderError::Syntax(at, _) => packages.get(*at).map(|package| package.name.clone()),
        OrderError::Relation(name, _) => Some(name.clone()),
    };
    let cause = error.source().map(|source| format!(": {source}")).unwrap_or_default();
    AssembleError::BadControl { package: package.unwrap_or_default(), what: format!("{error}{cause}") }
}

#[cfg(test)]
mod tests {
    use super::super::testing::package;
    use super::*;

    /// Control files in; names in order out, with a star at those that every root has.
    fn check(controls: &[&str], want: &str) {
        let packages = || controls.iter().map(|control| package(control, &[]));
        let mut base = spec::builtin_bases().remove(0);
        (base.packages, base.with_required) = (vec!["named".to_owned()], true);
        let shown = |packages: Vec<Package>| match ordered(packages, &base) {
            Err(error) => error.to_string(),
            Ok(Ordered { packages, in_every_root }) => {
                let star = |at: usize| if in_every_root[at] { "*" } else { "" };
                let name = |(at, package): (usize, Package)| package.name + star(at);
                packages.into_iter().enumerate().map(name).collect::<Vec<_>>().join(" ")
            }
        };
        assert_eq!(shown(packages().collect()), want);
        assert_eq!(shown(packages().rev().collect()), want, "the order in which packages are given matters");
    }

    #[test]
    fn needs_come_first_and_circles_end() {
        check(
            &["a\nDepends: b, d | c", "b", "c\nPre-Depends: x", "d", "e\nProvides: x\nDepends: a\nEssential: yes"],
            "b* d* a* e* c",
        );
        check(&["a\nDepends: b", "b\nDepends: a"], "b a");
        check(&["a\nDepends: b", "b\nPre-Depends: a"], "a b");
    }

    #[test]
    fn what_the_base_asks_for_is_in_every_root() {
        check(
            &["a\nPriority: required\nDepends: b", "b", "c\nDepends: named", "named\nDepends: d", "d"],
            "b* a* d* named* c",
        );
    }

    #[test]
    fn a_relation_that_cannot_be_read_is_named() {
        check(
            &["a", "b\nDepends: (x"],
            "read the control data of package b: read the relations of b: read the relation `(x`: that is no package name",
        );
    }
}
