//! Archives and mirrors that lie, break or stall: each is told in words, leaves nothing half-written, and once it is
//! repaired the next build works.

use std::fs;

use crate::archive::{DAY, FIRST_DAY, Release, Signed};
use crate::package::{Package, Packing};
use crate::server::{Manner, Server};
use crate::toys;
use crate::world::World;

fn toy(version: &str) -> Package {
    Package::new("toy-a", version).needs("toy-base").file("usr/share/toy-a", 0o644, "toy\n".repeat(20_000))
}

fn packages() -> Vec<Package> {
    vec![toys::base(), toy("1.0")]
}

fn world() -> World {
    let world = World::of(&packages());
    world.spec("packages \"toy-a\"\noutput \"oci\"");
    world
}

/// After a failure: nothing under the final name, nothing beside it, and the repaired archive builds.
#[track_caller]
fn check_recovers(world: &World, repair: impl FnOnce(&World)) {
    assert_eq!(world.traces(), [""; 0]);
    repair(world);
    world.build();
    assert_eq!(world.traces(), ["out"]);
}

/// A release that must be refused with these words.
fn check_release(release: Release, words: &[&str]) {
    let world = world();
    world.archive.publish(&packages(), &release);
    world.run(&["build"]).fails(5, &[&["the release of toy one"], words].concat());
    check_recovers(&world, |world| world.archive.publish(&packages(), &Release::default()));
}

#[test]
fn a_release_that_nobody_trusted_vouches_for_is_refused() {
    check_release(Release { signed: Signed::By(2), ..Release::default() }, &["signed by", "may sign it"]);
    check_release(Release { signed: Signed::Not, ..Release::default() }, &["has no signature"]);
    check_release(Release { signed: Signed::Tampered, ..Release::default() }, &["changed after"]);
}

#[test]
fn a_release_that_is_not_the_one_asked_for_is_refused() {
    check_release(Release { valid_until: Some(FIRST_DAY + DAY), ..Release::default() }, &["was valid until", "stale"]);
    check_release(Release { codename: "two", ..Release::default() }, &["(two)", "not of one"]);
    let future = FIRST_DAY + 100 * 366 * DAY / 2;
    check_release(Release { date: future, valid_until: None, ..Release::default() }, &["clock"]);
}

#[test]
fn an_old_release_played_back_is_refused() {
    let world = world();
    world.archive.publish(&packages(), &Release { date: FIRST_DAY + DAY, ..Release::default() });
    world.build();
    world.archive.publish(&packages(), &Release::default());
    let lock = world.lock();
    world.run(&["lock", "--update"]).fails(5, &["played back"]);
    assert_eq!(world.lock(), lock);
}

/// A server that misbehaves on paths with this part; every failure is told with these words.
fn check_server(part: &str, manner: Manner, words: &[&str]) {
    let mut world = world();
    let server = Server::of(world.archive.folder.clone());
    world.set_mirror(&server.url);
    server.misbehave(part, manner);
    world.run(&["build"]).fails(5, words);
    check_recovers(&world, |_| server.behave());
}

#[test]
fn a_server_that_does_not_give_the_release_is_told() {
    check_server("InRelease", Manner::Status(404), &["InRelease", "404"]);
    check_server("InRelease", Manner::Status(500), &["InRelease", "500"]);
    check_server("InRelease", Manner::WebPage, &["InRelease", "web page"]);
    check_server("InRelease", Manner::RedirectLoop, &["InRelease", "redirect"]);
    check_server("InRelease", Manner::Truncate, &["InRelease"]);
    check_server("InRelease", Manner::Stall, &["InRelease"]);
    check_server("InRelease", Manner::Corrupt, &["the release of toy one", "no signature"]);
}

#[test]
fn a_server_that_does_not_give_the_index_is_told() {
    check_server("main/binary-", Manner::Status(404), &["the index of toy one main", "404"]);
    check_server("main/binary-", Manner::Status(500), &["the index of toy one main", "500"]);
    check_server("main/binary-", Manner::WebPage, &["the index of toy one main", "web page"]);
    check_server("main/binary-", Manner::Truncate, &["the index of toy one main"]);
    check_server("main/binary-", Manner::Stall, &["the index of toy one main"]);
    check_server("main/binary-", Manner::Corrupt, &["the index of toy one main", "signed index says"]);
}

#[test]
fn a_server_that_does_not_give_a_package_is_told() {
    check_server("toy-a_", Manner::Status(404), &["toy-a 1.0", "404"]);
    check_server("toy-a_", Manner::Status(503), &["toy-a 1.0", "503"]);
    check_server("toy-a_", Manner::WebPage, &["toy-a 1.0", "web page"]);
    check_server("toy-a_", Manner::RedirectLoop, &["toy-a 1.0", "redirect"]);
    check_server("toy-a_", Manner::Truncate, &["toy-a 1.0"]);
    check_server("toy-a_", Manner::Stall, &["toy-a 1.0"]);
    check_server("toy-a_", Manner::Corrupt, &["toy-a 1.0", "signed index says"]);
}

/// A pool that holds something else than the signed index says.
fn check_pool(spoil: fn(Vec<u8>) -> Vec<u8>, words: &[&str]) {
    let world = world();
    world.archive.write(&toy("1.0").path(), &spoil(toy("1.0").bytes()));
    world.run(&["build"]).fails(5, words);
    check_recovers(&world, |world| world.archive.publish(&packages(), &Release::default()));
}

#[test]
fn a_package_that_is_not_what_the_index_says_is_refused() {
    let flip = |mut bytes: Vec<u8>| {
        let middle = bytes.len() / 2;
        bytes[middle] ^= 1;
        bytes
    };
    check_pool(flip, &["toy-a 1.0", "signed index says"]);
    check_pool(|bytes| bytes[..bytes.len() - 10].to_vec(), &["toy-a 1.0"]);
    check_pool(|bytes| [bytes, vec![0; 10]].concat(), &["toy-a 1.0"]);
    check_pool(|_| Vec::new(), &["toy-a 1.0"]);
}

#[test]
fn an_index_with_other_sizes_or_digests_is_believed_over_the_pool() {
    let world = world();
    let deb = toy("1.0").bytes();
    let stanza = |size: usize, sha256: &str| {
        let base = toys::base();
        let base_sum = packages::Sha256::of(&base.bytes());
        format!(
            "{}Filename: {}\nSize: {}\nSHA256: {base_sum}\n\n{}Filename: {}\nSize: {size}\nSHA256: {sha256}\n\n",
            base.stanza(),
            base.path(),
            base.bytes().len(),
            toy("1.0").stanza(),
            toy("1.0").path()
        )
    };
    let sum = packages::Sha256::of(&deb).to_string();
    for (size, sum) in [(deb.len() + 1, sum.as_str()), (1, &sum), (deb.len(), &"0".repeat(64))] {
        world.archive.publish_index(&stanza(size, sum), &Release::default());
        let _ = fs::remove_file(world.path("spec/appliance.lock"));
        world.run(&["build"]).fails(5, &["toy-a 1.0"]);
        assert_eq!(world.traces(), [""; 0]);
    }
    let outside = stanza(deb.len(), &sum).replace("Filename: pool", "Filename: ../../pool");
    world.archive.publish_index(&outside, &Release::default());
    let _ = fs::remove_file(world.path("spec/appliance.lock"));
    world.run(&["build"]).fails(5, &["stays below the archive"]);
    assert_eq!(world.traces(), [""; 0]);
}

#[test]
fn every_compression_of_the_index_and_every_kind_of_mirror_gives_the_same_image() {
    let mut digests = Vec::new();
    for packing in [Packing::Plain, Packing::Gzip, Packing::Xz] {
        let world = world();
        world.archive.publish(&packages(), &Release { index: packing, ..Release::default() });
        digests.push(package_lines(&world));
    }
    for mirror in ["folder", "file", "http", "parent"] {
        let mut world = world();
        let folder = world.archive.folder.display().to_string();
        let server = Server::of(world.archive.folder.clone());
        match mirror {
            "file" => world.set_mirror(&format!("file://{folder}")),
            "http" => world.set_mirror(&server.url),
            "parent" => world.set_mirror(folder.strip_suffix("/toy").unwrap()),
            _ => world.set_mirror(&format!("toy={folder}")),
        }
        digests.push(package_lines(&world));
    }
    digests.dedup();
    assert_eq!(digests.len(), 1, "{digests:?}");
}

/// What was taken, as the lock has it after a build.
fn package_lines(world: &World) -> Vec<String> {
    world.build();
    world.lock().lines().filter(|line| line.trim_start().starts_with("package ")).map(str::to_owned).collect()
}

#[test]
fn a_repository_of_the_spec_is_trusted_by_its_own_key_only() {
    let world = world();
    let other = crate::archive::Archive::below(&world.path("other"));
    let extra = Package::new("toy-extra", "1.0").needs("toy-base").file("usr/share/extra", 0o644, "extra\n");
    let release = Release { signed: Signed::By(7), ..Release::default() };
    other.publish(std::slice::from_ref(&extra), &release);
    let server = Server::of(other.folder.clone());
    let spec = format!(
        "packages \"toy-a\" \"toy-extra\"\nrepository \"{}\" suite=\"one\" component=\"main\" key=\"extra.gpg\"\noutput \"oci\"",
        server.url
    );
    world.spec(&spec);
    let key = |seed| crate::signer::Signer::new(seed).certificate(&crate::signer::Certificate::default());
    world.run(&["build"]).fails(3, &["extra.gpg"]);
    fs::write(world.path("spec/extra.gpg"), key(8)).unwrap();
    world.run(&["build"]).fails(5, &["signed by"]);
    fs::write(world.path("spec/extra.gpg"), key(7)).unwrap();
    check_recovers(&world, |_| ());
    assert!(world.locked_version("toy-extra").contains("archive=\"http"));
}

#[test]
fn packages_that_cannot_be_had_together_are_told_at_the_line_that_asks() {
    let packages = [
        toys::base(),
        toy("1.0"),
        Package::new("toy-needs", "1.0").needs("toy-a (>= 2.0)"),
        Package::new("toy-hates", "1.0").field("Conflicts", "toy-a"),
        Package::new("toy-lost", "1.0").needs("toy-nowhere"),
        Package::new("mail-one", "1.0").field("Provides", "mail-server"),
        Package::new("mail-two", "1.0").field("Provides", "mail-server"),
    ];
    let world = World::of(&packages);
    let check = |spec: &str, words: &[&str]| {
        world.spec(&format!("{spec}\noutput \"oci\""));
        world.run(&["lock"]).fails(4, words);
        world.run(&["build"]).fails(4, words);
        assert_eq!((world.traces(), world.lock()), (vec![], String::new()));
    };
    check("packages \"toy-aa\"", &["toy-aa", "toy-a", "appliance.kdl:4"]);
    check("packages \"toy-a>=3\"", &["toy-a", "3", "1.0"]);
    check("packages \"toy-needs\"", &["toy-needs", "toy-a", "2.0", "1.0"]);
    check("packages \"toy-a\" \"toy-hates\"", &["toy-hates", "toy-a"]);
    check("packages \"toy-lost\"", &["toy-lost", "toy-nowhere"]);
    world.spec("packages \"mail-server\"\noutput \"oci\"");
    world.run(&["lock"]).fails(4, &["mail-one", "mail-two"]);
}

#[test]
fn a_failed_build_leaves_the_last_good_bundle() {
    let mut world = world();
    let good = world.build();
    let server = Server::of(world.archive.folder.clone());
    world.set_mirror(&server.url);
    world.archive.publish(&[toys::base(), toy("2.0")], &Release { date: FIRST_DAY + DAY, ..Release::default() });
    server.misbehave("toy-a_", Manner::Corrupt);
    world.run(&["lock", "--update"]).succeeds();
    world.run(&["build"]).fails(5, &["toy-a 2.0"]);
    assert_eq!((world.artifacts("spec/out"), world.traces()), (good.clone(), vec!["out".to_owned()]));
    server.behave();
    assert_ne!(world.build(), good);
}
