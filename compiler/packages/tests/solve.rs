//! What is chosen from toy catalogues, and what is said when nothing can be.

mod support;

use packages::{Pins, resolve_root};
use spec::{Label, Span};
use support::{catalog, requests, words};

/// `wish` against `lines` gives `expected`: `name=version` words, or the error's words.
#[track_caller]
fn check(lines: &str, wish: &str, expected: &str) {
    check_pinned(lines, wish, "", expected);
}

#[track_caller]
fn check_pinned(lines: &str, wish: &str, pinned: &str, expected: &str) {
    let catalog = catalog(lines);
    let pins: Pins = pinned
        .split_whitespace()
        .filter_map(|word| word.split_once('='))
        .map(|(name, version)| (name.to_owned(), version.to_owned()))
        .collect();
    let found = match resolve_root(&requests(wish), &catalog, &pins) {
        Ok(ids) => {
            let show = |id| format!("{}={}", catalog.package(id).name(), catalog.package(id).version());
            ids.into_iter().map(show).collect::<Vec<_>>().join(" ")
        }
        Err(errors) => words(&errors),
    };
    assert_eq!(found, expected);
}

#[test]
fn versions() {
    let lines = "a 1\na 2\na 1:0\nb 1; Depends: a (<< 2)\nc 1; Depends: a (= 2)\nd 1; Pre-Depends: b";
    check(lines, "a", "a=1:0");
    check(lines, "a<1:0", "a=2");
    check(lines, "b", "a=1 b=1");
    check(lines, "d", "a=1 b=1 d=1");
    check_pinned(lines, "a", "a=1", "a=1");
    check_pinned(lines, "c", "a=1", "a=2 c=1");
    check_pinned(lines, "a", "a=77", "a=1:0");
}

#[test]
fn essential_packages_are_in_every_root() {
    check("base 1; Essential: yes; Depends: libc\nlibc 1\na 1", "a", "a=1 base=1 libc=1");
}

#[test]
fn alternatives_and_virtual_packages() {
    let lines = "
        a 1; Depends: none | b | c
        b 1
        c 1
        d 1; Depends: mta
        exim 1; Provides: mta; Priority: optional; Conflicts: mta
        postfix 1; Provides: mta; Priority: extra; Conflicts: mta
        e 1; Depends: lib (>= 2)
        lib1 1; Provides: lib
        lib3 1; Provides: lib (= 3)
        lib4 1; Provides: lib (= 1)
        f 1; Depends: c | b, b
        g 1; Depends: python:any, foreign:i386 | c
        python 1";
    check(lines, "a", "a=1 b=1");
    check(lines, "a -b", "a=1 c=1");
    check(lines, "d", "d=1 exim=1");
    check(lines, "d postfix", "d=1 postfix=1");
    check_pinned(lines, "d", "postfix=1", "d=1 postfix=1");
    check(lines, "e", "e=1 lib3=1");
    check(lines, "g", "c=1 g=1 python=1");
    check(lines, "mta", "`mta` is no package of its own: several stand for it [write one of them: exim, postfix]");
}

/// As apt, which knows a package at its newest version only: an alternative that is there at its newest comes first.
#[test]
fn an_alternative_at_its_newest_version_comes_before_an_older_one() {
    let lines = "
        old 1
        old 2
        new 3
        a 1; Depends: old (<< 2) | new
        b 1; Depends: old | new
        c 1; Depends: old (<< 2) | gone
        d 1; Depends: old (<< 2) | d2 (<< 2)
        d2 1
        d2 2
        v 1; Provides: virtual
        v 2
        w 1; Provides: virtual
        e 1; Depends: virtual";
    check(lines, "a", "a=1 new=3");
    check(lines, "a -new", "a=1 old=1");
    check(lines, "b", "b=1 old=2");
    check(lines, "c", "c=1 old=1");
    check(lines, "d", "d=1 old=1");
    check(lines, "e", "e=1 w=1");
    check_pinned(lines, "a", "old=1", "a=1 old=1");
}

/// A wish is granted at its newest version, also where a dependency must then be older; what the base brings comes first.
#[test]
fn what_is_asked_for_is_as_new_as_it_can_be() {
    let lines = "a 1; Depends: d\na 2; Depends: d (<< 2)\nd 1\nd 2\nb 1; Depends: d, a\nc 1\nc 2; Depends: gone";
    check(lines, "a", "a=2 d=1");
    check(lines, "d a", "a=2 d=1");
    check(lines, "b", "a=1 b=1 d=2");
    check(lines, "c", "c=1");
    let catalog = catalog(lines);
    let with_base = packages::Requests { base_packages: vec!["d".to_owned()], ..requests("a") };
    let ids = resolve_root(&with_base, &catalog, &Pins::new()).unwrap();
    let found: Vec<_> = ids.iter().map(|id| (catalog.package(*id).name(), catalog.package(*id).version())).collect();
    assert_eq!(found, [("a", "1"), ("d", "2")]);
}

#[test]
fn breaks_reach_provided_names() {
    let lines = "
        a 1; Breaks: virtual (<< 2)
        b 1; Provides: virtual (= 1)
        b 2; Provides: virtual (= 2)
        c 1; Conflicts: b
        c 2; Conflicts: unversioned
        d 1; Provides: unversioned";
    check(lines, "a b", "a=1 b=2");
    check(lines, "c b", "b=2 c=2");
    check(lines, "c d", "c=1 d=1");
}

#[test]
fn one_version_of_two_indexes_is_taken_from_the_first() {
    let mut catalog = catalog("a 1\na 2");
    let updates = support::index_text("a 2; Depends: b\nb 1\na 0");
    catalog.add_index(support::origin("updates"), updates.as_bytes()).unwrap();
    let ids = resolve_root(&requests("a"), &catalog, &Pins::new()).unwrap();
    let shown: Vec<_> = ids.iter().map(|id| (catalog.package(*id), &catalog.package(*id).origin().suite)).collect();
    assert_eq!(format!("{shown:?}"), r#"[(a 2 amd64, "toy")]"#);
}

#[test]
fn wishes_that_cannot_be_granted() {
    check("nginx 1\ncurl 1", "ngnix", "there is no package `ngnix` [did you mean `nginx`?]");
    check(
        "nginx 1",
        "zzz yyyyyy",
        "there is no package `yyyyyy` [check the name, or add the repository that has it with `repository`]\n\
         there is no package `zzz` [check the name, or add the repository that has it with `repository`]",
    );
    check(
        "nodejs 18.20\nnodejs 17",
        "nodejs>=20",
        "no version of `nodejs` is >= 20: toy has 18.20 and 17 \
         [relax the rule, or add a repository that has such a version]",
    );
}

#[test]
fn conflicts_tell_the_whole_story() {
    check(
        "web 1; Depends: nodejs (>= 18)\nnodejs 16.20",
        "web",
        "these packages cannot be installed together: web needs nodejs >= 18; toy has 16.20 [drop or loosen one of: web]",
    );
    check(
        "web 1; Depends: nodejs\nnodejs 18; Depends: libuv1\nlibuv1 1",
        "web -libuv1",
        "these packages cannot be installed together: web needs nodejs; nodejs needs libuv1; you excluded libuv1 \
         [no longer exclude libuv1, or drop or loosen one of: web]",
    );
    check(
        "exim 1; Conflicts: mta; Provides: mta\npostfix 1; Conflicts: mta; Provides: mta",
        "exim postfix",
        "these packages cannot be installed together: exim cannot be together with postfix (it conflicts with mta) \
         [drop or loosen one of: exim, postfix]",
    );
    check(
        "a 1; Depends: c (= 1)\nb 1; Depends: c (= 2)\nc 1\nc 2",
        "a b",
        "these packages cannot be installed together: a needs c = 1; b needs c = 2; \
         only one version of c can be installed [drop or loosen one of: a, b]",
    );
    check(
        "base 1; Essential: yes\na 1",
        "a -base",
        "these packages cannot be installed together: every root of this base needs base; you excluded base \
         [no longer exclude base]",
    );
    check(
        "a 1; Depends: b (= one two)",
        "a",
        "these packages cannot be installed together: a cannot be used: \
         read the relation `b (= one two)`: that is no version rule [drop or loosen one of: a]",
    );
}

#[test]
fn errors_become_diagnostics_at_the_packages_they_are_about() {
    let catalog = catalog("web 1; Depends: nodejs\nnodejs 18");
    let errors = resolve_root(&requests("web -nodejs"), &catalog, &Pins::new()).unwrap_err();
    let label = |name: &str| Label {
        source: "appliance.kdl".to_owned(),
        span: Span { offset: 0, len: name.len() },
        line: 1,
        column: 1,
        text: name.to_owned(),
    };
    let diagnostic = errors[0].diagnostic(|name| Some(label(name)));
    assert_eq!(
        spec::plain(&[diagnostic]),
        "appliance.kdl:1:1: error: these packages cannot be installed together: web needs nodejs; \
         you excluded nodejs [package-conflict]\n    appliance.kdl:1:1: nodejs\n    \
         help: no longer exclude nodejs, or drop or loosen one of: web\n"
    );
}
