//! What is chosen on top of what an image has, what of it moves, and what is said when nothing can be.

mod support;

use packages::deb::read_installed;
use packages::{Pins, Requests, resolve_root};
use support::{catalog, index_text, requests, words};

/// `wish` on an image that has `image` gives `expected`: what comes or moves, as `name=version` words, or the error's words.
#[track_caller]
fn check(lines: &str, image: &str, wish: &str, expected: &str) {
    let status = index_text(image).replace("Package: ", "Status: install ok installed\nPackage: ");
    let installed = read_installed(&status, "amd64").expect("a database");
    let mut catalog = catalog(lines);
    installed.add_to(&mut catalog).expect("packages of an index");
    let wish: Requests = installed.requests(&requests(wish), &catalog);
    let found = match resolve_root(&wish, &catalog, &Pins::new()) {
        Ok(ids) => {
            let packages = ids.into_iter().map(|id| catalog.package(id));
            let new = packages.filter(|one| installed.version_of(one.name()) != Some(one.version()));
            new.map(|one| format!("{}={}", one.name(), one.version())).collect::<Vec<_>>().join(" ")
        }
        Err(errors) => words(&errors),
    };
    assert_eq!(found, expected);
}

#[test]
fn what_the_image_has_stays_where_it_can() {
    let lines = "lib 2\nlib 3\nother 2\na 1; Depends: lib\nb 1; Depends: lib\nb 2; Depends: lib (>= 2)";
    let image = "lib 1\nother 1";
    check(lines, image, "lib", "");
    check(lines, image, "a", "a=1");
    // An older one that fits what is there comes before one that would move it.
    check(lines, image, "b", "b=1");
    check(
        lines,
        image,
        "new",
        "there is no package `new` [check the name, or add the repository that has it with `repository`]",
    );
}

#[test]
fn what_a_package_needs_newer_moves_and_nothing_else_does() {
    let lines = "
        lib 2
        lib-bin 2; Depends: lib (= 2)
        other 2
        a 1; Depends: lib (>= 2)
        c 1; Depends: lib (>= 3)
        d 1; Breaks: lib-bin (<< 2)";
    let image = "lib 1\nlib-bin 1; Depends: lib (= 1)\nother 1";
    check(lines, image, "a", "a=1 lib=2 lib-bin=2");
    check(lines, image, "lib>=2", "lib=2 lib-bin=2");
    check(lines, image, "d", "d=1 lib=2 lib-bin=2");
    check(lines, image, "other>1", "other=2");
    check(
        lines,
        image,
        "c",
        "these packages cannot be installed together: c needs lib >= 3; the image has 1, toy has 2 \
         [drop or loosen one of: c]",
    );
}

#[test]
fn a_conflict_says_what_comes_from_the_image() {
    let lines = "a 1; Conflicts: libfoo\nb 1; Depends: libfoo (<< 1.2)\nlibfoo 1.0";
    let image = "libfoo 1.2";
    check(
        lines,
        image,
        "a",
        "these packages cannot be installed together: a cannot be together with libfoo 1.2 (it conflicts with libfoo); \
         the image has libfoo 1.2 [drop or loosen one of: a]",
    );
    check(
        lines,
        image,
        "b",
        "these packages cannot be installed together: b needs libfoo < 1.2; the image has libfoo 1.2; \
         only one version of libfoo can be installed [drop or loosen one of: b]",
    );
    check(
        lines,
        image,
        "libfoo<1.2",
        "these packages cannot be installed together: the image has libfoo 1.2; \
         only one version of libfoo can be installed [drop or loosen one of: libfoo]",
    );
}
