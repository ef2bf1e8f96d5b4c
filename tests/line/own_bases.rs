//! Base images of one's own, made by nothing but what the page about them says: its commands sign the repositories, and its
//! examples are the bases.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::alpine;
use crate::apk_archive::Repository;
use crate::support::{skip, tool};
use crate::toys;
use crate::world::World;

const PAGE: &str = include_str!("../../docs/base-images.md");

/// The block of this language in the section of this heading of the page.
fn block(heading: &str, language: &str) -> String {
    let section = PAGE.split("\n## ").find(|section| section.starts_with(heading)).unwrap();
    let block = section.split(&format!("```{language}\n")).nth(1).unwrap();
    block.split("```").next().unwrap().to_owned()
}

/// Runs the commands of a section in a folder, with a home of their own.
#[track_caller]
fn follow(heading: &str, folder: &Path) {
    let mut shell = Command::new("sh");
    shell.args(["-e", "-c", &block(heading, "sh")]).current_dir(folder).env("GNUPGHOME", folder.join("gnupg"));
    let output = shell.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A world of which the base is the example of this section, on the repository in `repo`.
fn world_with(heading: &str, world: &mut World) {
    let own = world.path("bases/mine");
    fs::create_dir_all(own.join("keys")).unwrap();
    let text = block(heading, "kdl").replace("/srv/repo", &world.path("repo").display().to_string());
    fs::write(
        own.join("base.kdl"),
        text.replace("\"busybox\"", "\"alp-base\"").replace("\"base-files\"", "\"toy-base\""),
    )
    .unwrap();
    world.set_mirror("");
    world.spec_text(
        "appliance \"own\" version=\"1\" {\n    base \"mine\"\n    arch \"amd64\"\n    output \"oci\" \"ext4\"\n}\n",
    );
}

#[test]
fn an_alpine_repository_becomes_a_base_as_the_page_says() {
    let test = "an_alpine_repository_becomes_a_base_as_the_page_says";
    if tool("openssl").is_none() || tool("tar").is_none() {
        return skip(test, "there is no openssl or no tar");
    }
    let heading = "An Alpine repository";
    let mut world = World::new();
    let repository = Repository(world.path("repo"));
    repository.publish(&[alpine::base()], crate::apk_archive::Sealed::Not);
    let folder = world.path("repo/x86_64");
    fs::rename(folder.join("APKINDEX.tar.gz"), folder.join("APKINDEX.unsigned.tar.gz")).unwrap();
    let root = world.path("");
    follow(heading, &root);
    world_with(heading, &mut world);
    world.run(&["build"]).fails(3, &["bases/mine/base.kdl:8:", "no key file \"keys/me@example.org-1.rsa.pub\""]);
    fs::copy(root.join("me@example.org-1.rsa.pub"), world.path("bases/mine/keys/me@example.org-1.rsa.pub")).unwrap();
    world.run(&["check"]).succeeds();
    let explained = world.run(&["explain"]).succeeds();
    let line = format!("the base image's archive mine, last of all from {}", world.path("repo").display());
    assert!(explained.text().contains(&line), "{}", explained.text());
    world.build();
    assert!(world.locked_version("alp-base").contains("path=\"x86_64/alp-base-1.0-r0.apk\""), "{}", world.lock());
    assert!(world.lock().contains("me@example.org-1.rsa.pub"), "{}", world.lock());
    if let Some(disk) = crate::conformance::Ext4::of(&world.path("spec/out/root.ext4")) {
        assert_eq!(disk.cat("/etc/apk/repositories"), format!("{}\n", world.path("repo").display()));
        assert!(disk.has("/etc/apk/keys/me@example.org-1.rsa.pub"));
    }
}

#[test]
fn a_base_that_is_broken_is_told_at_its_line() {
    let world = World::new();
    world.spec("    output \"oci\"");
    let own = world.path("bases/mine");
    fs::create_dir_all(own.join("keys")).unwrap();
    let check = |bytes: &[u8], words: &[&str]| {
        fs::write(own.join("base.kdl"), bytes).unwrap();
        for verb in ["check", "build"] {
            world.run(&[verb]).fails(3, words);
        }
    };
    check(b"base \"mine\" family=\"deb\"\n", &["bases/mine/base.kdl:1:1:", "at least one `release`", "help: "]);
    check(b"base \"mine\" {\n", &["bases/mine/base.kdl:1:", "never closed", "help: "]);
    check(b"", &["bases/mine/base.kdl:1:1:", "describes no base image", "help: "]);
    check(b"base \xff\n", &["bases/mine/base.kdl:1:", "UTF-8"]);
    let text = fs::read_to_string(world.path("bases/toy/base.kdl")).unwrap();
    fs::write(own.join("keys/toy.gpg"), b"x").unwrap();
    check(text.as_bytes(), &["bases/mine and ", "bases/toy both hold `toy`", "help: "]);
}

#[test]
fn a_debian_archive_becomes_a_base_as_the_page_says() {
    let test = "a_debian_archive_becomes_a_base_as_the_page_says";
    if let Some(missing) = ["gpg", "gpgconf", "dpkg-scanpackages"].into_iter().find(|name| tool(name).is_none()) {
        return skip(test, &format!("there is no {missing}"));
    }
    let heading = "A Debian archive";
    let mut world = World::new();
    let root = world.path("");
    fs::create_dir_all(root.join("repo/pool")).unwrap();
    let package = toys::base();
    let name = package.path().rsplit('/').next().unwrap().to_owned();
    fs::write(root.join("repo/pool").join(name), package.bytes()).unwrap();
    fs::create_dir(root.join("gnupg")).unwrap();
    assert!(Command::new("chmod").arg("700").arg(root.join("gnupg")).status().unwrap().success());
    follow(heading, &root);
    // The agent that gpg started has the key in its memory, and nothing more to do.
    let _ = Command::new("gpgconf").args(["--kill", "all"]).env("GNUPGHOME", root.join("gnupg")).status();
    world_with(heading, &mut world);
    fs::copy(root.join("mine.gpg"), world.path("bases/mine/keys/mine.gpg")).unwrap();
    world.run(&["check"]).succeeds();
    world.build();
    assert!(
        world.lock().contains("package toy-base ") || world.lock().contains("package \"toy-base\" "),
        "{}",
        world.lock()
    );
}
