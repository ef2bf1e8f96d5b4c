//! The solver against trying every combination, on small random catalogues; readers against random bytes.
#![expect(clippy::unwrap_used, reason = "a test that cannot be set up should fail")]

mod support;

use std::collections::BTreeSet;

use packages::deb::{Needs, Stanzas, parse_relations, parse_release, read_packages};
use packages::{Catalog, Constraint, Package, PackageId, Pins, lock, resolve_root};
use proptest::prelude::*;
use spec::appliance::{Arch, Relation};
use support::{catalog, requests};

const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

fn constraint() -> impl Strategy<Value = String> {
    let name = prop::sample::select(vec!["a", "b", "c", "d", "e", "v", "w"]);
    let rule = prop::sample::select(vec!["", "", "", " (>= 2)", " (<< 2)", " (= 1)"]);
    (name, rule).prop_map(|(name, rule)| format!("{name}{rule}"))
}

/// A catalogue of at most ten packages: five names, two versions.
fn lines() -> impl Strategy<Value = String> {
    let clause = prop::collection::vec(constraint(), 1..3).prop_map(|one| one.join(" | "));
    let depends = prop::collection::vec(clause, 0..3).prop_map(|all| all.join(", "));
    let against = prop::collection::vec(constraint(), 0..2).prop_map(|all| all.join(", "));
    let provides = prop::sample::select(vec!["", "", "", "v", "w (= 2)", "v (= 1), w"]);
    let package = (any::<bool>(), depends, against, provides);
    prop::collection::vec(package, 10).prop_map(|packages| {
        let line = |(at, (there, depends, against, provides)): (usize, (bool, String, String, &str))| {
            let (name, version) = (NAMES[at / 2], at % 2 + 1);
            let text = format!("{name} {version}; Depends: {depends}; Conflicts: {against}; Provides: {provides}\n");
            if there { text } else { String::new() }
        };
        packages.into_iter().enumerate().map(line).collect()
    })
}

/// Whether this package fulfils the constraint by itself or by what it provides, told apart from the solver's code.
fn fulfils(catalog: &Catalog, package: Package<'_>, constraint: &Constraint) -> bool {
    let fits = |version: &str| {
        constraint.rule.as_ref().is_none_or(|rule| match rule.relation {
            Relation::Less => version < rule.version.as_str(),
            Relation::Equal => version == rule.version,
            _ => version >= rule.version.as_str(),
        })
    };
    let provided = catalog.rules().provides(package).unwrap();
    let by_provides = |p: &packages::Provided| {
        p.name == constraint.name && (constraint.rule.is_none() || p.version.is_some_and(fits))
    };
    (package.name() == constraint.name && fits(package.version())) || provided.iter().any(by_provides)
}

fn is_consistent(catalog: &Catalog, set: &[PackageId], wanted: &[&str]) -> bool {
    let all: Vec<Package<'_>> = set.iter().map(|id| catalog.package(*id)).collect();
    let names: BTreeSet<&str> = all.iter().map(|p| p.name()).collect();
    let fulfilled = |constraint: &Constraint| all.iter().any(|p| fulfils(catalog, *p, constraint));
    let content = |p: &Package<'_>| {
        let needs = catalog.rules().needs(*p, Arch::Amd64).unwrap();
        let conflicts = catalog.rules().conflicts(*p, Arch::Amd64).unwrap();
        let hit = |c: &Constraint| all.iter().any(|other| other.name() != p.name() && fulfils(catalog, *other, c));
        needs.iter().all(|clause| clause.iter().any(&fulfilled)) && !conflicts.iter().any(hit)
    };
    names.len() == all.len() && wanted.iter().all(|name| names.contains(name)) && all.iter().all(content)
}

fn any_consistent_set(catalog: &Catalog, wanted: &[&str]) -> bool {
    consistent_sets(catalog, wanted).next().is_some()
}

fn consistent_sets(catalog: &Catalog, wanted: &[&str]) -> impl Iterator<Item = Vec<PackageId>> {
    let ids: Vec<PackageId> = catalog.packages().map(|(id, _)| id).collect();
    let set =
        move |bits: u32| ids.iter().enumerate().filter(|(at, _)| bits >> at & 1 == 1).map(|(_, id)| *id).collect();
    let count = catalog.packages().count();
    (0..1u32 << count).map(set).filter(|set: &Vec<PackageId>| is_consistent(catalog, set, wanted))
}

/// The versions of these packages in a set.
fn versions<'a>(catalog: &'a Catalog, set: &[PackageId], names: &[&str]) -> Vec<&'a str> {
    let of = |name: &&str| set.iter().map(|id| catalog.package(*id)).find(|package| package.name() == *name);
    names.iter().filter_map(of).map(Package::version).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_solver_finds_a_set_exactly_when_there_is_one(lines in lines(), two in any::<bool>()) {
        let catalog = catalog(&lines);
        let wanted: Vec<&str> = if two { vec!["a", "b"] } else { vec!["a"] };
        let found = resolve_root(&requests(&wanted.join(" ")), &catalog, &Pins::new());
        match &found {
            Ok(set) => prop_assert!(is_consistent(&catalog, set, &wanted), "{lines} {set:?}"),
            Err(_) => prop_assert!(!any_consistent_set(&catalog, &wanted) || wanted.iter().any(|n| catalog.named(n).next().is_none()), "{lines}"),
        }
        let again = resolve_root(&requests(&wanted.join(" ")), &support::catalog(&lines), &Pins::new());
        prop_assert_eq!(found, again);
    }

    /// No package that is asked for is older than it could be with the others as new as they are, and neither is any other,
    /// with the same packages.
    #[test]
    fn what_is_chosen_is_as_new_as_it_can_be(lines in lines(), two in any::<bool>()) {
        let catalog = catalog(&lines);
        let wanted: Vec<&str> = if two { vec!["a", "b"] } else { vec!["a"] };
        let Ok(set) = resolve_root(&requests(&wanted.join(" ")), &catalog, &Pins::new()) else { return Ok(()) };
        let all: Vec<&str> = set.iter().map(|id| catalog.package(*id).name()).collect();
        for other in consistent_sets(&catalog, &wanted) {
            let newer = |names: &[&str]| {
                let (own, other) = (versions(&catalog, &set, names), versions(&catalog, &other, names));
                own != other && own.iter().zip(&other).all(|(own, other)| own <= other)
            };
            prop_assert!(!newer(&wanted), "{lines} {set:?} {other:?}");
            prop_assert!(other.len() != set.len() || versions(&catalog, &other, &all).len() != set.len() || !newer(&all), "{lines} {set:?} {other:?}");
        }
    }

    #[test]
    fn readers_survive_any_text(text in "[-A-Za-z0-9:=<>|,.()~ \t\r\n\"{}\\\\#]{0,200}") {
        Stanzas::new(&text).flatten().for_each(|stanza| assert!(stanza.fields().count() <= text.len()));
        let _ = (parse_relations(&text), read_packages(text.as_bytes(), "amd64"), parse_release(text.as_bytes()));
        let _ = (lock::parse(&text), lock::parse(&format!("lock version=1\n{text}")));
        let _ = Needs::read(&[text.as_bytes(), b"Package: a"]).map(|needs| needs.install_order());
    }
}
