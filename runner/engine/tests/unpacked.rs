//! The cache of unpacked layers gets smaller again: what no run has used for long goes, what one uses stays.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::path::PathBuf;

use engine::RootsTally;
use support::{Toy, User, signal, skip};

const HOUR: &str = "--collect=3600000";
const NOW: &str = "--collect=0";

fn ask(toy: &Toy, option: &str) -> RootsTally {
    let output = toy.run(&[option], &[]);
    assert!(output.status.success(), "{output:?}");
    serde_json::from_slice(&output.stdout).unwrap()
}

/// Everything in the folders of the cache.
fn entries(toy: &Toy) -> Vec<PathBuf> {
    let folders = std::fs::read_dir(toy.work().join("cache")).unwrap().flatten();
    folders.flat_map(|folder| std::fs::read_dir(folder.path()).unwrap().flatten()).map(|entry| entry.path()).collect()
}

fn check(toy: &Toy, kind: &str) {
    assert!(toy.work().join("cache").join(kind).is_dir(), "{kind}: {:?}", entries(toy));
    let whole = ask(toy, "--usage");
    assert_eq!((whole.entries, whole.left.as_slice()), (1, &[][..]));
    assert!(whole.size_bytes > 100_000, "{whole:?}");
    assert_eq!(ask(toy, HOUR), RootsTally::default());

    let mut running = toy.start(&[], "echo up; exec sleep 1000");
    assert_eq!(ask(toy, NOW), RootsTally::default());
    assert_eq!(ask(toy, "--usage"), whole);
    signal(&running, "-TERM");
    running.wait().unwrap();

    std::fs::create_dir(toy.work().join(format!("cache/{kind}/{}.partial", "0".repeat(64)))).unwrap();
    let removed = ask(toy, NOW);
    assert_eq!((removed.entries, removed.left.as_slice()), (1, &[][..]));
    assert!(removed.size_bytes >= whole.size_bytes, "{removed:?}");
    assert_eq!(entries(toy), Vec::<PathBuf>::new());
    assert_eq!(toy.shell("echo again"), ("again\n".to_owned(), 0));
}

#[test]
fn root_removes_what_is_unused() {
    let Some(toy) = Toy::new("root_removes_what_is_unused", true, |_| {}) else { return };
    check(&toy, "roots");
}

#[test]
fn a_user_with_one_id_removes_what_is_unused() {
    let test = "a_user_with_one_id_removes_what_is_unused";
    let Some(toy) = Toy::new(test, false, |_| {}) else { return };
    if !toy.work().join("cache/roots-single").exists() {
        return skip(test, "this user has subordinate ids").unwrap_or(());
    }
    check(&toy, "roots-single");
}

#[test]
fn a_user_with_subordinate_ids_removes_what_is_unused() {
    let test = "a_user_with_subordinate_ids_removes_what_is_unused";
    let user = User::with_subordinate_ids();
    if support::is_root() && user.is_none() {
        return skip(test, "no user of this machine has subordinate ids").unwrap_or(());
    }
    let Some(toy) = Toy::as_user(test, user.filter(|_| support::is_root()), |_| {}) else { return };
    if !toy.work().join("cache/roots-subordinate").exists() {
        return skip(test, "the user's subordinate ids cannot be used").unwrap_or(());
    }
    check(&toy, "roots-subordinate");
}
