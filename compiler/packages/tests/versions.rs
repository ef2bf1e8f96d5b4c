//! The version order against the reference tool's, and its own laws.
#![expect(clippy::disallowed_types, reason = "this test asks the reference tool")]

use std::cmp::Ordering;
use std::process::Command;

use packages::deb::{compare_versions, is_version};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, TestRng, TestRunner};

/// Versions that are alike enough for their order to depend on every rule.
fn version() -> impl Strategy<Value = String> {
    let part = prop::sample::select(vec!["0", "1", "2", "10", "01", "a", "b", "Z", "~", ".", "+", "rc", "deb"]);
    let upstream = prop::collection::vec(part.clone(), 0..6).prop_map(|parts| format!("1{}", parts.concat()));
    let revision = prop::option::of(prop::collection::vec(part, 1..4).prop_map(|parts| parts.concat()));
    let epoch = prop::option::of(prop::sample::select(vec!["0", "1", "10"]));
    (epoch, upstream, revision).prop_map(|(epoch, upstream, revision)| {
        let epoch = epoch.map(|epoch| format!("{epoch}:")).unwrap_or_default();
        let revision = revision.map(|revision| format!("-{revision}")).unwrap_or_default();
        format!("{epoch}{upstream}{revision}")
    })
}

#[test]
fn the_order_is_dpkgs() {
    let holds = |a: &str, relation: &str, b: &str| {
        Command::new("dpkg").args(["--compare-versions", a, relation, b]).status().map(|status| status.success())
    };
    if let Err(error) = holds("1", "eq", "1") {
        return eprintln!("SKIP the_order_is_dpkgs: dpkg: {error}");
    }
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(Default::default()));
    for _ in 0..300 {
        let (a, b) = (version(), version()).new_tree(&mut runner).unwrap().current();
        let relation = match compare_versions(&a, &b) {
            Ordering::Less => "lt",
            Ordering::Equal => "eq",
            Ordering::Greater => "gt",
        };
        assert!(holds(&a, relation, &b).unwrap(), "{a} {relation} {b}");
        assert!(is_version(&a), "{a}");
    }
}

proptest! {
    #[test]
    fn the_order_is_total(a in version(), b in version(), c in version()) {
        prop_assert_eq!(compare_versions(&a, &b), compare_versions(&b, &a).reverse());
        prop_assert_eq!(compare_versions(&a, &a), Ordering::Equal);
        if compare_versions(&a, &b).is_le() && compare_versions(&b, &c).is_le() {
            prop_assert!(compare_versions(&a, &c).is_le());
        }
    }

    #[test]
    fn any_text_can_be_compared(a in ".{0,20}", b in ".{0,20}") {
        prop_assert_eq!(compare_versions(&a, &b), compare_versions(&b, &a).reverse());
    }
}
