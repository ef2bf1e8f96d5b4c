//! In which order packages are installed: dependencies first, essential packages before others, ties by name.

use std::collections::BTreeMap;

use packages::deb::parse_relations;
use spec::base::BaseImage;

use super::control::Package;

/// Sorts packages so that each comes after what it depends on, as far as circles allow.
///
/// The order depends on the set alone, not on the order in which it is given.
pub(crate) fn install_order(mut packages: Vec<Package>) -> Vec<Package> {
    packages.sort_by(|a, b| (!a.is_essential(), &a.name, &a.arch).cmp(&(!b.is_essential(), &b.name, &b.arch)));
    let needs = needs(&packages);
    let mut order = Vec::with_capacity(packages.len());
    let mut seen = vec![false; packages.len()];
    for start in 0..packages.len() {
        visit(start, &needs, &mut seen, &mut order);
    }
    let mut slots: Vec<Option<Package>> = packages.into_iter().map(Some).collect();
    order.into_iter().filter_map(|at| slots.get_mut(at).and_then(Option::take)).collect()
}

/// Which packages every root of a base has: what is essential, required or named by the base, and all that needs.
pub(crate) fn in_every_root(packages: &[Package], base: &BaseImage) -> Vec<bool> {
    let needs = needs(packages);
    let mut seen = vec![false; packages.len()];
    for (start, package) in packages.iter().enumerate() {
        let required = base.with_required && package.field("Priority") == Some("required");
        if package.is_essential() || required || base.packages.contains(&package.name) {
            visit(start, &needs, &mut seen, &mut Vec::new());
        }
    }
    seen
}

/// Depth first without recursion: a chain of dependencies may be as long as the set.
fn visit(start: usize, needs: &[Vec<usize>], seen: &mut [bool], order: &mut Vec<usize>) {
    if std::mem::replace(&mut seen[start], true) {
        return;
    }
    let mut stack = vec![(start, 0)];
    while let Some((at, next)) = stack.pop() {
        match needs[at].get(next) {
            None => order.push(at),
            Some(&need) => {
                stack.push((at, next + 1));
                if !std::mem::replace(&mut seen[need], true) {
                    stack.push((need, 0));
                }
            }
        }
    }
}

/// For each package the places of those that it needs, `Pre-Depends` first.
fn needs(packages: &[Package]) -> Vec<Vec<usize>> {
    let mut by_name: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for (at, package) in packages.iter().enumerate() {
        by_name.entry(&package.name).or_default().insert(0, at);
    }
    for (at, package) in packages.iter().enumerate() {
        package.provides().into_iter().for_each(|name| by_name.entry(name).or_default().push(at));
    }
    let of = |package: &Package, field: &str| -> Vec<usize> {
        let clauses = parse_relations(package.field(field).unwrap_or_default()).unwrap_or_default();
        // The first alternative that is installed is taken; the solver made sure that one of them holds.
        clauses
            .iter()
            .filter_map(|clause| clause.iter().find_map(|one| by_name.get(one.name)?.first()))
            .copied()
            .collect()
    };
    packages.iter().map(|package| [of(package, "Pre-Depends"), of(package, "Depends")].concat()).collect()
}

#[cfg(test)]
mod tests {
    use super::super::testing::package;
    use super::*;

    fn check(controls: &[&str], want: &str) {
        let packages = controls.iter().map(|control| package(control, &[])).collect();
        let names: Vec<String> = install_order(packages).into_iter().map(|package| package.name).collect();
        assert_eq!(names.join(" "), want);
    }

    #[test]
    fn needs_come_first_and_circles_end() {
        check(
            &["a\nDepends: b, d | c", "b", "c\nPre-Depends: x", "d", "e\nProvides: x\nDepends: a\nEssential: yes"],
            "b d a e c",
        );
        check(&["a\nDepends: b", "b\nDepends: a"], "b a");
        check(&["b\nDepends: a", "a\nDepends: b"], "b a");
    }
}
