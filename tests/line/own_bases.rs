//! Base images of one's own, made by nothing but what the page about them says: its commands sign the repositories, and its
//! examples are the bases.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::alpine;
use crate::apk_archive::Repository;
use crate::archive::{Archive, Release};
use crate::support::{skip, tool};
use crate::toys;
use crate::world::{Done, World};

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
        assert_eq!(disk.cat("/etc/apk/repositories"), "", "inside there is no such folder of the host");
        assert!(disk.has("/etc/apk/keys/me@example.org-1.rsa.pub"));
    }
}

#[test]
fn a_base_that_is_broken_is_told_to_those_who_name_it() {
    let world = World::new();
    let own = world.path("bases/mine");
    fs::create_dir_all(own.join("keys")).unwrap();
    fs::write(own.join("keys/toy.gpg"), b"x").unwrap();
    let on = |base: &str| {
        world.spec_text(format!(
            "appliance \"toy\" version=\"1\" {{\n    {base}\n    arch \"amd64\"\n    output \"oci\"\n}}\n"
        ));
    };
    let check = |bytes: &[u8], words: &[&str]| {
        fs::write(own.join("base.kdl"), bytes).unwrap();
        for base in ["base \"mine\"", "base \"toy\"\n    kernel base=\"mine\""] {
            on(base);
            for verb in ["check", "build", "explain"] {
                world.run(&[verb]).fails(3, words);
            }
        }
        world.run(&["new", "a", "--base", "mine"]).fails(3, words);
        assert!(!world.path("spec/a").exists());
        // A spec on another base, or one that is too broken to name any, has nothing to do with it.
        on("base \"toy\"");
        let checked = world.run(&["check"]).succeeds();
        assert!(!checked.text().contains("mine"), "{}", checked.text());
        on("base \"mine\" {");
        let told = world.run(&["check"]).fails(3, &["never closed"]);
        assert!(told.text().contains("appliance.kdl"), "{}", told.text());
        world.run(&["new", "b"]).succeeds();
        fs::remove_dir_all(world.path("spec/b")).unwrap();
        let unknown = world.run(&["new", "c", "--base", "min"]).fails(2, &["find the base"]);
        assert!(unknown.text().contains("mine"), "{}", unknown.text());
    };
    check(b"base \"mine\" family=\"deb\"\n", &["bases/mine/base.kdl:1:1:", "at least one `release`", "help: "]);
    check(b"base \"mine\" {\n", &["bases/mine/base.kdl:1:", "never closed", "help: "]);
    check(b"", &["bases/mine/base.kdl:1:1:", "describes no base image", "help: "]);
    check(b"base \xff\n", &["bases/mine/base.kdl:1:", "UTF-8"]);
    check(b"{\n  \"base\": 1\n}\n", &["bases/mine/base.kdl:1:1:", "a base image is no JSON", "base \"mine\" family="]);
    let text = fs::read_to_string(world.path("bases/toy/base.kdl")).unwrap();
    check(
        text.replace("\"toy\" family", "\"mine\" family").as_bytes(),
        &["bases/mine/base.kdl:", "keys/toy.gpg is no key of an archive: it should hold an OpenPGP public key", "`x`"],
    );
    fs::copy(world.path("bases/toy/keys/toy.gpg"), own.join("keys/toy.gpg")).unwrap();
    check(text.as_bytes(), &["bases/mine/base.kdl:", "is called \"toy\" here, and its folder `mine`", "rename"]);
    on("base \"toy\"");
    world.build();
    fs::write(own.join("base.kdl"), text.replace("\"toy\" family", "\"mine\" family")).unwrap();
    on("base \"mine\"");
    world.build();
}

#[test]
fn a_broken_base_takes_the_place_of_the_shipped_one_of_its_name() {
    let world = World::new();
    let write = |folder: &str, text: &str| {
        fs::create_dir_all(world.path("bases").join(folder)).unwrap();
        fs::write(world.path("bases").join(folder).join("base.kdl"), text).unwrap();
    };
    let check = |words: &[&str]| {
        for base in ["base \"debian\"", "base \"auto\"", "packages \"a\""] {
            world.spec_text(format!("appliance \"toy\" version=\"1\" {{\n    {base}\n    output \"oci\"\n}}\n"));
            world.run(&["check"]).fails(3, words);
        }
        world.run(&["new", "a"]).fails(3, words);
        world.run(&["new", "a", "--base", "alpine"]).succeeds();
        fs::remove_dir_all(world.path("spec/a")).unwrap();
    };
    write("debian", "base \"debian\" family=\"deb\"\n");
    check(&["bases/debian/base.kdl:1:", "at least one `release`"]);
    fs::remove_dir_all(world.path("bases/debian")).unwrap();
    // Called so inside alone: what its owner meant by the name is this one too.
    write("mine", "base \"debian\" family=\"deb\"\n");
    check(&["bases/mine/base.kdl:1:", "its folder `mine`"]);
}

#[test]
fn a_folder_of_bases_that_is_not_there_is_told() {
    let world = World::new();
    world.spec("    output \"oci\"");
    let run = |folder: &str| {
        let mut command = world.command(&["check"]);
        command.env("APPLIANCE_BASE_IMAGES", world.path(folder));
        Done::of(command.output().unwrap())
    };
    let told = run("nowhere").fails(3, &["no base \"toy\"", "warning: no base images of your own are read"]);
    assert!(told.text().contains("nowhere, which is not there"), "{}", told.text());
    run("spec/appliance.kdl").fails(3, &["no base \"toy\"", "spec/appliance.kdl: Not a directory"]);
    let told = run("bases").succeeds();
    assert!(!told.text().contains("warning"), "{}", told.text());
}

#[test]
fn what_an_archive_lacks_is_told_at_the_line_of_the_base() {
    let world = World::new();
    let own = world.path("bases/toy/base.kdl");
    let good = fs::read_to_string(&own).unwrap();
    let line = |text: &str| good.lines().position(|line| line.contains(text)).unwrap() + 1;
    world.spec("    output \"oci\"");
    let check = |from: &str, to: &str, code: i32, words: &[&str]| {
        assert!(good.contains(from), "{good}");
        fs::write(&own, good.replace(from, to)).unwrap();
        let place = format!("bases/toy/base.kdl:{}:", line(from));
        world.run(&["build"]).fails(code, &[&[place.as_str(), "help: "], words].concat());
    };
    check("component=\"main\"", "component=\"mian\"", 5, &["no component `mian`, only main", "did you mean \"main\"?"]);
    check(
        "component=\"main\"",
        "component=\"main\" \"extra\"",
        5,
        &["`extra`, only main", "write what it has: \"main\""],
    );
    check(
        "suite \"one\"",
        "suite \"oen\"",
        5,
        &["release of toy oen", "no such file", "is the suite's name right?", "--mirror"],
    );
    let archive = &world.path("mirror/toy");
    Archive { folder: archive.clone() }
        .publish(&toys::all(), &Release { suite: "two", codename: "tow", ..Release::default() });
    let mirror = format!("{}", archive.display());
    let mut command = world.command(&["build"]);
    fs::write(&own, &good).unwrap();
    let told = Done::of(command.env("APPLIANCE_MIRROR", mirror).output().unwrap());
    let told = told.fails(5, &["release of two (tow), not of one", "write what it has: \"two\" or \"tow\""]);
    assert!(told.text().contains(&format!("bases/toy/base.kdl:{}:", line("suite \"one\""))), "{}", told.text());
    check(
        "packages \"toy-base\"",
        "packages \"toy-bsae\"",
        4,
        &["which the base image asks for", "did you mean `toy-base`?"],
    );
    fs::write(&own, &good).unwrap();
    world.build();
}

#[test]
fn what_a_repository_lacks_is_told_at_the_line_of_the_spec() {
    let world = World::new();
    let repository = |more: &str| {
        fs::copy(world.path("bases/toy/keys/toy.gpg"), world.path("spec/toy.gpg")).unwrap();
        let url = format!("file://{}", world.archive.folder.display());
        world.spec(&format!("    repository \"{url}\" {more} key=\"toy.gpg\"\n    output \"oci\""));
        world.run(&["build"])
    };
    repository("suite=\"one\" component=\"mian\"")
        .fails(5, &["appliance.kdl:4:", "only main", "did you mean \"main\"?"]);
    repository("suite=\"wto\" component=\"main\"").fails(5, &["appliance.kdl:4:", "no such file", "help: "]);
    repository("suite=\"one\" component=\"main\"").succeeds();
}

#[test]
fn excluding_what_no_archive_has_is_told() {
    let world = World::new();
    world.spec("    exclude \"toy-tols\" \"strange\" \"toy-links\"\n    output \"oci\"");
    let told = world.run(&["build"]).succeeds();
    for words in [
        "appliance.kdl:4:13: warning: nothing comes of excluding \"toy-tols\"",
        "did you mean \"toy-tools\"?",
        "excluding \"strange\"",
    ] {
        assert!(told.text().contains(words), "{}", told.text());
    }
    assert!(!told.text().contains("\"toy-links\""), "{}", told.text());
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
