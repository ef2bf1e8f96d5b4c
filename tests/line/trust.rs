//! Keys that do not fit: each kind of misfit has its own words, the line of the spec or the place of the base's keys, and
//! what to do; with the key put right the next build works.

use std::fs;

use crate::apk_archive::{Apk, GOODLY, Repository, Sealed, write_base_image};
use crate::apks::{GOOD, OTHER, SHORT};
use crate::archive::{Archive, DAY, FIRST_DAY, Release, Signed};
use crate::package::Package;
use crate::signer::{Certificate, Signer};
use crate::world::World;

/// A key file: its name and bytes.
type KeyFile = (String, Vec<u8>);

/// A toy Alpine with one more repository, signed by the other key, of which the spec has this key file.
fn alpine_with_repository((name, bytes): &KeyFile) -> World {
    let world = alpine(&[GOOD.file()], GOODLY);
    let other = Repository(world.path("other"));
    other.publish(&[Apk::new("tool", "3-r0").file("tool", 0o755, "tool\n")], Sealed::By("RSA256", || &OTHER));
    put_key(&world, name, bytes);
    let url = format!("file://{}/", other.0.display());
    world.spec_text(format!(
        "appliance \"alp\" version=\"1\" {{\n    base \"alp\"\n    arch \"amd64\"\n    packages \"tool\"\n    repository \"{url}\" key=\"keys/{name}\"\n    output \"oci\"\n}}\n"
    ));
    world
}

/// A toy Alpine of one package, whose base has these keys and whose index is sealed so.
fn alpine(keys: &[KeyFile], sealed: Sealed) -> World {
    let mut world = World::new();
    let mirror = world.path("mirror/alp");
    write_base_image(&world.path("bases"), keys);
    world.set_mirror(&mirror.display().to_string());
    Repository(mirror.join("v1/main")).publish(&[crate::alpine::base()], sealed);
    world.spec_text("appliance \"alp\" version=\"1\" {\n    base \"alp\"\n    arch \"amd64\"\n    output \"oci\"\n}\n");
    world
}

fn put_key(world: &World, name: &str, bytes: &[u8]) {
    fs::create_dir_all(world.path("spec/keys")).unwrap();
    fs::write(world.path("spec/keys").join(name), bytes).unwrap();
}

/// A key file of a repository that must be told with this code and these words, at its place.
#[track_caller]
fn check_alpine(key: &KeyFile, code: i32, words: &[&str]) {
    let world = alpine_with_repository(key);
    let done = world.run(&["build"]).fails(code, &[&["appliance.kdl:5:"], words].concat());
    assert!(!done.text().contains("--mirror"), "{}", done.text());
    // What the file alone shows is found without a network.
    let checked = world.run(&["check"]);
    assert_eq!(checked.code == Some(3), code == 3, "{}", checked.text());
    let (name, pem) = OTHER.file();
    put_key(&world, &name, &pem);
    let text = fs::read_to_string(world.path("spec/appliance.kdl")).unwrap();
    world.spec_text(text.replace(&format!("keys/{}", key.0), &format!("keys/{name}")));
    world.build();
}

#[test]
fn a_key_that_does_not_fit_a_repository_of_alpine_is_told_at_its_line() {
    check_alpine(
        &GOOD.file(),
        5,
        &[
            "signed by other@example.org-2.rsa.pub, and only good@example.org-1.rsa.pub is trusted",
            "put the file `other@example.org-2.rsa.pub` with its public key beside the spec",
            "`key=` in place of keys/good@example.org-1.rsa.pub",
        ],
    );
    check_alpine(
        &OTHER.file_as("mine.rsa.pub"),
        5,
        &[
            "signed by other@example.org-2.rsa.pub; the key file mine.rsa.pub is that key",
            "rename keys/mine.rsa.pub to keys/other@example.org-2.rsa.pub",
            "write key=\"keys/other@example.org-2.rsa.pub\"",
        ],
    );
    check_alpine(
        &GOOD.file_as("other@example.org-2.rsa.pub"),
        5,
        &[
            "it is not by the key other@example.org-2.rsa.pub that is trusted",
            "get keys/other@example.org-2.rsa.pub anew",
        ],
    );
}

#[test]
fn a_file_that_is_no_key_of_alpine_is_told_with_what_it_holds() {
    let file = |bytes: &[u8]| ("k.rsa.pub".to_owned(), bytes.to_vec());
    let expected = "keys/k.rsa.pub is no key of the repository: it should hold an RSA public key in PEM (`PUBLIC KEY`)";
    let check =
        |bytes: &[u8], found: &str| check_alpine(&file(bytes), 3, &[expected, found, "public key that the owner"]);
    check(b"", "and it is empty");
    check(b"my key\n", "and it starts with `my key`");
    check(b"<!DOCTYPE html>\n<html>", "and it is a web page");
    check(b"-----BEGIN PGP PUBLIC KEY BLOCK-----\n\nx\n", "and it holds `PGP PUBLIC KEY BLOCK`");
    check(b"-----BEGIN PRIVATE KEY-----\nx\n", "and it is a private key (PRIVATE KEY)");
    check(&[0xff, 0xfe, 0], "and it is no text");
    check_alpine(&SHORT.file(), 3, &["it holds an RSA key of only 1024 bits"]);
}

/// A base image of Alpine with these keys on an index that is sealed so: refused with these words.
#[track_caller]
fn check_alpine_base(keys: &[KeyFile], sealed: Sealed, words: &[&str]) {
    let world = alpine(keys, sealed);
    world.run(&["build"]).fails(5, &[&["failed to verify the index of alp v1/main/x86_64"], words].concat());
    write_base_image(&world.path("bases"), &[OTHER.file(), GOOD.file()]);
    Repository(world.path("mirror/alp/v1/main")).publish(&[crate::alpine::base()], GOODLY);
    world.build();
}

#[test]
fn a_key_that_does_not_fit_a_base_of_alpine_is_told_with_the_place_of_its_keys() {
    let by_other = Sealed::By("RSA", || &OTHER);
    let put = "put the file `other@example.org-2.rsa.pub` with its public key into";
    check_alpine_base(
        &[GOOD.file()],
        by_other,
        &[
            "signed by other@example.org-2.rsa.pub, and only good@example.org-1.rsa.pub is",
            put,
            "bases/alp/keys",
            "base.kdl",
        ],
    );
    alpine(&[], by_other).run(&["build"]).fails(3, &["bases/alp/base.kdl:6:", "`archive` needs at least one `key`"]);
    let named = &[OTHER.file_as("mine.rsa.pub")];
    check_alpine_base(
        named,
        by_other,
        &["mine.rsa.pub is that key", "rename", "bases/alp/keys/mine.rsa.pub to other@"],
    );
    let wrong = &[GOOD.file_as("other@example.org-2.rsa.pub")];
    check_alpine_base(
        wrong,
        by_other,
        &["not by the key other@example.org-2.rsa.pub", "get the key", "bases/alp/keys"],
    );
    // What the file alone shows is told at its line, without a network.
    let none = &[("other@example.org-2.rsa.pub".to_owned(), b"no key".to_vec())];
    let words =
        &["bases/alp/base.kdl:9:", "keys/other@example.org-2.rsa.pub is no key of an archive", "RSA public key in PEM"];
    alpine(none, by_other).run(&["check"]).fails(3, words);
    check_alpine_base(&[GOOD.file()], Sealed::Not, &["it is not signed", "is this a mirror of alp?"]);
}

/// A toy Debian with one more repository, whose release is this and of which the spec has this key file: refused with this
/// code and these words, at its place.
#[track_caller]
fn check_debian(release: &Release, key: &[u8], code: i32, words: &[&str]) {
    let world = World::new();
    let other = Archive::below(&world.path("other"));
    let extra = Package::new("toy-extra", "1.0").needs("toy-base").file("usr/share/extra", 0o644, "extra\n");
    other.publish(std::slice::from_ref(&extra), release);
    let url = format!("file://{}", other.folder.display());
    world.spec(&format!(
        "    packages \"toy-extra\"\n    repository \"{url}\" suite=\"one\" key=\"extra.gpg\"\n    output \"oci\""
    ));
    fs::write(world.path("spec/extra.gpg"), key).unwrap();
    let done = world.run(&["build"]).fails(code, &[&["appliance.kdl:5:"], words].concat());
    assert!(!done.text().contains("--mirror"), "{}", done.text());
    other.publish(&[extra], &Release { signed: Signed::By(7), ..Release::default() });
    fs::write(world.path("spec/extra.gpg"), certificate(7, Certificate::default())).unwrap();
    world.build();
}

fn certificate(seed: u64, certificate: Certificate) -> Vec<u8> {
    Signer::new(seed).certificate(&certificate)
}

#[test]
fn a_key_that_does_not_fit_a_repository_of_debian_is_told_at_its_line() {
    let good = Release { signed: Signed::By(7), ..Release::default() };
    let other = certificate(8, Certificate::default());
    check_debian(
        &good,
        &other,
        5,
        &["it is signed by ", "and only ", " may sign it", "put the OpenPGP key ", "in place of extra.gpg"],
    );
    let expired = Certificate { primary_lifetime: 1, ..Certificate::default() };
    let late = Release { date: FIRST_DAY + DAY, ..good };
    check_debian(&late, &certificate(7, expired), 5, &["expired at ", "get the repository's newer key from its owner"]);
    check_debian(
        &Release { signed: Signed::Not, ..good },
        &other,
        5,
        &["it has no signature", "its owner has to sign it"],
    );
    let no_key = "extra.gpg is no key of the repository: it should hold an OpenPGP public key, armoured or binary";
    check_debian(&good, b"not a key", 3, &[no_key, "and it starts with `not a key`"]);
    check_debian(&good, &GOOD.file().1, 3, &[no_key, "and it holds `PUBLIC KEY`"]);
}

#[test]
fn a_key_that_does_not_fit_a_base_of_debian_is_told_with_the_place_of_its_keys() {
    let check = |key: &[u8], code: i32, words: &[&str]| {
        let world = World::new();
        world.spec("    output \"oci\"");
        let own = world.path("bases/toy/keys/toy.gpg");
        let good = fs::read(&own).unwrap();
        fs::write(&own, key).unwrap();
        world.run(&["build"]).fails(code, words);
        fs::write(&own, good).unwrap();
        world.build();
    };
    let place = "bases/toy/keys";
    check(&certificate(8, Certificate::default()), 5, &["it is signed by", "put the OpenPGP key ", place, "base.kdl"]);
    check(
        b"not a key",
        3,
        &["bases/toy/base.kdl:10:", "keys/toy.gpg is no key of an archive", "starts with `not a key`"],
    );
    let expired = Certificate { primary_lifetime: 1, ..Certificate::default() };
    check(&certificate(1, expired), 5, &["expired at", "put the archive's newer key into", place]);
}
