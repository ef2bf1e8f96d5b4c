//! The packages of a kernel: locked beside the root, never in it.
#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test that cannot be set up should fail")]

mod support;

use std::collections::BTreeMap;

use packages::lock::{parse, render};
use packages::{Lock, RequestedBase, Requests, ResolveError, Update, resolve, resolve_boot};
use spec::appliance::Arch;
use support::{catalog, index_of};

const KERNELS: &str = "a 1
    linux-image-toy 1; Depends: linux-image-1-toy (= 1)
    linux-image-toy 2; Depends: linux-image-2-toy (= 2)
    linux-image-1-toy 1; Depends: kmod, initramfs-tools | linux-initramfs-tool
    linux-image-2-toy 2; Depends: kmod, linux-modules-2-toy, initramfs-tools | linux-initramfs-tool
    linux-modules-2-toy 2; Depends: wireless-regdb
    linux-image-broken 1; Depends: linux-image-gone";

fn requests(kernel: Option<&str>) -> Requests {
    let boot = kernel.map(|name| (Arch::Amd64, name.to_owned())).into_iter().collect();
    Requests { boot, ..support::requests("a") }
}

fn make(kernel: Option<&str>, previous: Option<(&Lock, &Update)>) -> Result<Lock, Vec<ResolveError>> {
    resolve(&requests(kernel), &[catalog(KERNELS)], Vec::new(), BTreeMap::new(), previous)
}

fn names(lock: &Lock) -> Vec<String> {
    lock.roots[0].boot.iter().map(|package| format!("{} {}", package.name, package.version)).collect()
}

#[test]
fn only_what_brings_the_kernel_is_taken_and_not_into_the_root() {
    let lock = make(Some("linux-image-toy"), None).unwrap();
    assert_eq!(names(&lock), ["linux-image-2-toy 2", "linux-image-toy 2", "linux-modules-2-toy 2"]);
    assert_eq!(lock.roots[0].packages.iter().map(|package| package.name.as_str()).collect::<Vec<_>>(), ["a"]);
    let text = render(&lock);
    assert_eq!(parse(&text).unwrap(), lock);
    assert_eq!(text.matches("    boot-package \"linux-").count(), 3, "{text}");
    let twice = text.replace("    boot-package \"linux-image-toy\"", "    boot-package \"linux-image-2-toy\"");
    assert!(parse(&twice).unwrap_err().to_string().contains("twice"));
    assert!(names(&make(None, None).unwrap()).is_empty());
}

#[test]
fn a_locked_kernel_stays_until_it_is_updated() {
    let mut old = make(Some("linux-image-toy"), None).unwrap();
    old.roots[0].boot.retain(|package| package.name == "linux-image-toy");
    old.roots[0].boot[0].version = "1".to_owned();
    let kept = make(Some("linux-image-toy"), Some((&old, &Update::Nothing))).unwrap();
    assert_eq!(names(&kept), ["linux-image-1-toy 1", "linux-image-toy 1"]);
    let moved = Update::Names(["linux-image-toy".to_owned()].into());
    let moved = make(Some("linux-image-toy"), Some((&old, &moved))).unwrap();
    assert_eq!(names(&moved).len(), 3);
    // Another kernel leaves the root's ids as they are.
    assert_eq!(kept.core_digest(), moved.core_digest());
}

#[test]
fn what_cannot_be_found_or_is_no_longer_asked_for_is_said() {
    let unknown = |name: &str| {
        let [ResolveError::Unknown { name, nearest, .. }] = &make(Some(name), None).unwrap_err()[..] else {
            panic!("one error, that the package is unknown")
        };
        (name.clone(), nearest.clone())
    };
    assert_eq!(unknown("linux-image-toi"), ("linux-image-toi".to_owned(), Some("linux-image-toy".to_owned())));
    assert_eq!(unknown("linux-image-broken").0, "linux-image-gone");
    let lock = make(Some("linux-image-toy"), None).unwrap();
    assert_eq!(lock.staleness(&requests(Some("linux-image-toy"))), Vec::<String>::new());
    assert_eq!(lock.staleness(&requests(None)), ["boot-package removed: amd64 linux-image-toy"]);
}

/// The same where the kernels come from another base, whose indexes are of these dates.
fn make_from(dates_secs: [i64; 2], previous: Option<(&Lock, &Update)>) -> Result<Lock, Vec<ResolveError>> {
    let base = RequestedBase { name: "other".to_owned(), release: "new".to_owned(), digest: "1".repeat(64) };
    let wish = Requests { boot_base: Some(base), ..requests(Some("linux-image-toy")) };
    let root = resolve(&wish, &[catalog("a 1")], vec![index_of("toy", 5)], BTreeMap::new(), previous)?;
    let indexes = vec![index_of("toy", dates_secs[0]), index_of("unused", dates_secs[1])];
    resolve_boot(&wish, &[catalog(KERNELS)], indexes, root, previous)
}

#[test]
fn a_kernel_of_another_base_has_a_part_of_the_lock_of_its_own() {
    let lock = make_from([1_700_000_000, 1_800_000_000], None).unwrap();
    assert_eq!(names(&lock), ["linux-image-2-toy 2", "linux-image-toy 2", "linux-modules-2-toy 2"]);
    assert_eq!(lock.roots[0].packages.len(), 1);
    assert_eq!((lock.epoch_secs, lock.boot_epoch_secs()), (5, 1_700_000_000));
    let text = render(&lock);
    assert_eq!(parse(&text).unwrap(), lock);
    let line = "boot-base \"other\" release=\"new\" epoch=\"2023-11-14T22:13:20Z\" digest=\"1111";
    assert!(text.contains(line) && text.contains("boot-index \"debian\" \"unused\""), "{text}");
    let stray = text.lines().filter(|line| !line.starts_with("boot-base")).collect::<Vec<_>>().join("\n");
    assert!(parse(&stray).unwrap_err().to_string().contains("belongs behind a `boot-base`"));

    // A later release of that base moves nothing of the root, and a locked kernel stays.
    let later = make_from([1_900_000_000, 0], Some((&lock, &Update::Nothing))).unwrap();
    assert_eq!((later.core_digest(), later.boot_epoch_secs()), (lock.core_digest(), 1_900_000_000));
    let changes = lock.staleness(&requests(Some("linux-image-toy")));
    assert!(changes.contains(&"it was made with the kernel of the base other new".to_owned()), "{changes:?}");
}
