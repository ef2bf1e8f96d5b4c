//! Alpine's version order against the real `apk version -t`, which is run from a published minirootfs.

#![expect(clippy::disallowed_types, clippy::disallowed_methods, reason = "the reference is a process")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "support/minirootfs.rs"]
mod minirootfs;

use std::cmp::Ordering;
use std::path::{Path, PathBuf};
use std::process::Command;

use packages::apk::{compare_versions, is_version};
use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::{Config, RngAlgorithm, TestRng, TestRunner};

/// Pairs of versions that are compared.
const PAIRS: usize = 1000;

/// The real `apk`: its program and the loader of its C library.
struct Apk {
    root: tempfile::TempDir,
    loader: PathBuf,
}

impl Apk {
    fn find() -> Result<Self, String> {
        let rootfs = minirootfs::minirootfs("x86_64")?;
        let root = tempfile::tempdir().unwrap();
        let unpacked = Command::new("tar")
            .arg("--extract")
            .arg("--file")
            .arg(rootfs)
            .arg("--directory")
            .arg(root.path())
            .args(["--no-same-owner", "./lib", "./usr/lib", "./sbin/apk"])
            .output();
        if !unpacked.is_ok_and(|output| output.status.success()) {
            return Err("tar cannot unpack the minirootfs".to_owned());
        }
        let loader = root.path().join("lib/ld-musl-x86_64.so.1");
        let apk = Self { root, loader };
        match apk.run(&["--version"]) {
            Some(_) => Ok(apk),
            None => Err("the apk of the minirootfs does not run here".to_owned()),
        }
    }

    fn run(&self, arguments: &[&str]) -> Option<String> {
        let root: &Path = self.root.path();
        let libraries = format!("{0}/lib:{0}/usr/lib", root.display());
        let mut command = Command::new(&self.loader);
        command.args(["--library-path", &libraries]).arg(root.join("sbin/apk")).args(arguments);
        let output = command.output().ok().filter(|output| output.status.success())?;
        String::from_utf8(output.stdout).ok()
    }
}

fn version() -> impl Strategy<Value = String> {
    let number = prop_oneof!["[0-9]", "[1-9][0-9]", "0[0-9]{1,3}", "[1-9][0-9]{3,7}"];
    let suffix = prop_oneof!["_alpha", "_beta", "_pre", "_rc", "_cvs", "_svn", "_git", "_hg", "_p"];
    let suffixes = prop::collection::vec((suffix, "[0-9]{0,3}"), 0..3);
    let revision = prop_oneof![Just(String::new()), "-r[0-9]{1,2}", Just("-r".to_owned())];
    (prop::collection::vec(number, 1..5), "[a-z]?", "[0-9]?", suffixes, revision).prop_map(
        |(n, letter, digit, s, r)| {
            let digit = if letter.is_empty() { String::new() } else { digit };
            let suffixes: String = s.into_iter().map(|(suffix, number)| suffix + &number).collect();
            n.join(".") + &letter + &digit + &suffixes + &r
        },
    )
}

#[test]
fn versions_are_ordered_as_apk_orders_them() {
    let apk = match Apk::find() {
        Ok(apk) => apk,
        Err(reason) => return eprintln!("SKIP versions_are_ordered_as_apk_orders_them: {reason}"),
    };
    let mut runner = TestRunner::new_with_rng(Config::default(), TestRng::deterministic_rng(RngAlgorithm::ChaCha));
    let mut draw = || version().new_tree(&mut runner).unwrap().current();
    for at in 0..PAIRS {
        let a = draw();
        // Versions that start alike differ where it is interesting.
        let b = if at % 2 == 0 { draw() } else { format!("{}{}", a.get(..a.len() - at % a.len()).unwrap(), draw()) };
        for one in [&a, &b] {
            let real = apk.run(&["version", "--check", "--quiet", one]).is_some_and(|refused| refused.is_empty());
            assert_eq!(is_version(one), real, "{one}");
        }
        if is_version(&a) && is_version(&b) {
            let expected = match apk.run(&["version", "--test", &a, &b]).unwrap().trim() {
                "<" => Ordering::Less,
                ">" => Ordering::Greater,
                "=" => Ordering::Equal,
                other => panic!("{other}"),
            };
            assert_eq!(compare_versions(&a, &b), expected, "{a} against {b}");
        }
    }
}

proptest! {
    #[test]
    fn the_order_is_one(a in version(), b in version(), c in version()) {
        prop_assert_eq!(compare_versions(&a, &b), compare_versions(&b, &a).reverse());
        prop_assert_eq!(compare_versions(&a, &a), Ordering::Equal);
        if compare_versions(&a, &b).is_lt() && compare_versions(&b, &c).is_lt() {
            prop_assert!(compare_versions(&a, &c).is_lt(), "{} {} {}", a, b, c);
        }
    }

    #[test]
    fn any_text_has_a_place(a in "[0-9a-z._r-]{0,12}", b in "\\PC{0,12}") {
        prop_assert_eq!(compare_versions(&a, &b), compare_versions(&b, &a).reverse());
    }
}
