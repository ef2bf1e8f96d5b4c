//! Packages of Alpine on top of an image that has some: of a toy image that is built here first, and of what is published
//! as Alpine's own image, there against the real `apk`.

use std::collections::BTreeMap;
use std::fs;
use std::process::Command;

use crate::alpine::all;
use crate::alpine_real::{apk, compare, data, good, unpack_image};
use crate::apk_archive::{Apk, GOODLY, Repository, write_base_image};
use crate::apks::GOOD;
use crate::images::files;
use crate::layout::Image;
use crate::support::{skip, tool};
use crate::world::World;

/// What a toy image says that it is.
const RELEASE: &str = "file \"/etc/os-release\" text=\"ID=alp\\nVERSION_ID=1.0.3\\n\"\nenv PATH=\"/bin\"";

const ABOVE: &str = "\"alp-web~2\" \"so:libtoy.so.1\"";

/// A world whose base is the toy Alpine with these packages.
fn world(packages: &[Apk]) -> World {
    let mut world = World::new();
    let mirror = world.path("mirror/alp");
    write_base_image(&world.path("bases"), &[GOOD.file()]);
    world.set_mirror(&mirror.display().to_string());
    Repository(mirror.join("v1/main")).publish(packages, GOODLY);
    world
}

/// Builds this on the toy Alpine.
fn build_base(world: &World, body: &str) {
    world.spec_text(format!("appliance \"alp\" version=\"1\" {{\n base \"alp\"\n arch \"amd64\"\n{body}\n}}\n"));
    world.build();
}

/// Makes what was built the image that a spec with this body stands on.
fn stand_on_it(world: &World, body: &str) {
    let _ = fs::remove_dir_all(world.path("spec/base"));
    fs::rename(world.path("spec/out/oci"), world.path("spec/base")).unwrap();
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    fs::remove_file(world.path("spec/appliance.lock")).unwrap();
    above(world, body);
}

fn above(world: &World, body: &str) {
    world.spec_text(format!(
        "appliance \"alp\" version=\"1\" {{\n base \"oci\" \"oci:base\"\n arch \"amd64\"\n{body}\n output \"oci\" \"ext4\"\n}}\n"
    ));
}

#[test]
fn packages_on_an_image_give_what_they_give_without_one() {
    let test = "packages_on_an_image_give_what_they_give_without_one";
    if tool("debugfs").is_none() {
        return skip(test, "there is no debugfs");
    }
    let world = world(&all());
    build_base(&world, &format!("packages {ABOVE}\n{RELEASE}\noutput \"ext4\""));
    let whole = files(&world, "whole");
    build_base(&world, &format!("{RELEASE}\noutput \"oci\""));
    stand_on_it(&world, &format!("packages {ABOVE}"));
    world.run(&["build", "--scripts", "emulate-only"]).succeeds();
    let lock = world.lock();
    assert!(lock.contains("package \"alp-web-doc\"") && !lock.contains("package \"alp-base\""), "{lock}");
    // The package of the image that answers to folders is told of the new ones.
    assert!(lock.contains("script \"alp-base\" \"trigger\""), "{lock}");
    let stacked = files(&world, "stacked");
    assert_eq!(stacked["seen"], "/srv/web\n/usr/share/toy\n");
    assert_eq!(stacked["etc/apk/world"], "alp-base\nalp-web~2\nso:libtoy.so.1\n");
    assert!(whole.len() > 30, "{whole:?}");
    for (name, what) in &whole {
        assert_eq!(stacked.get(name), Some(what), "{name}");
    }
    assert_eq!(stacked.keys().collect::<Vec<_>>(), whole.keys().collect::<Vec<_>>());
    world.run(&["build", "--locked", "--offline"]).succeeds();
    let first = world.artifacts("spec/out");
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    fs::remove_dir_all(world.path("cache")).unwrap();
    assert_eq!(world.build(), first);
}

#[test]
fn what_is_there_stays_and_counts() {
    let more = [all(), vec![Apk::new("libtoy", "1.5-r0").info("provides", "so:libtoy.so.1=1.0")]].concat();
    let newer = Apk::new("newer", "1-r0").needs("libtoy>=1.2");
    let world = world(&[more, vec![newer]].concat());
    build_base(&world, &format!("packages \"libtoy=1.0-r0\"\n{RELEASE}\noutput \"oci\""));
    stand_on_it(&world, "packages \"alp-web\" \"so:libtoy.so.1\" \"alp-base\"");
    world.build();
    let lock = world.lock();
    assert!(lock.contains("package \"alp-web\"") && !lock.contains("package \"libtoy\""), "{lock}");
    // What is asked for, or needed, in a newer version moves; what is asked for in an older one cannot be had.
    for wish in ["\"newer\"", "\"libtoy>=1.2\""] {
        above(&world, &format!("packages {wish}"));
        world.build();
        assert!(world.lock().contains("package \"libtoy\" \"1.5-r0\""), "{wish}: {}", world.lock());
    }
    above(&world, "packages \"libtoy<1.0\"");
    world.run(&["build"]).fails(4, &["libtoy"]);
    above(&world, "packages \"alp-wep\"");
    world.run(&["build"]).fails(4, &["alp-wep", "alp-web"]);
}

#[test]
fn a_file_of_the_image_is_replaced_only_by_who_may() {
    let clash = Apk::new("clash", "1-r0").file("usr/share/toy/own", 0o644, "mine\n");
    let may = Apk::new("may", "1-r0").info("replaces", "libtoy").file("usr/share/toy/own", 0o644, "may\n");
    let user = Apk::new("user", "1-r0").dir("etc", 0o755).file("etc/of-user", 0o644, "of a package\n");
    let world = world(&[all(), vec![clash, may, user]].concat());
    let mine = "file \"/etc/of-user\" text=\"of a user\\n\"";
    build_base(&world, &format!("packages \"libtoy\"\n{RELEASE}\n{mine}\noutput \"oci\""));
    stand_on_it(&world, "packages \"clash\"");
    world.run(&["build"]).fails(6, &["/usr/share/toy/own", "clash", "libtoy ships it too"]);
    above(&world, "packages \"may\" \"user\"");
    world.build();
    if tool("debugfs").is_none() {
        return skip("a_file_of_the_image_is_replaced_only_by_who_may", "there is no debugfs");
    }
    let found = files(&world, "found");
    assert_eq!(found["usr/share/toy/own"], "may\n");
    let paragraphs: BTreeMap<&str, &str> = found["lib/apk/db/installed"]
        .split("\n\n")
        .filter_map(|text| Some((text.split("\nP:").nth(1)?.split('\n').next()?, text)))
        .collect();
    assert!(paragraphs["libtoy"].contains("R:both") && !paragraphs["libtoy"].contains("R:own"), "{paragraphs:?}");
    assert!(paragraphs["may"].contains("R:own"), "{paragraphs:?}");
    // What somebody put below /etc stays.
    assert_eq!(found["etc/of-user"], "of a user\n");
    assert_eq!(found["etc/of-user.apk-new"], "of a package\n");
}

/// Building a package on an image with these files as its database fails with these words.
#[track_caller]
fn check_refused(world: &World, entries: &str, words: &[&str]) {
    world.spec_text(format!(
        "appliance \"bare\" version=\"1\" {{\n base \"scratch\"\n arch \"amd64\"\n{RELEASE}\n{entries}\n output \"oci\"\n}}\n"
    ));
    world.build();
    stand_on_it(world, "packages \"libtoy\"");
    world.run(&["build"]).fails(6, words);
    assert_eq!(world.traces(), [""; 0]);
    fs::remove_dir_all(world.path("spec/base")).unwrap();
}

#[test]
fn a_database_that_cannot_be_built_on_is_told() {
    let world = world(&all());
    let installed = |text: &str| format!("file \"/lib/apk/db/installed\" text=\"{text}\"");
    check_refused(&world, "", &["it has no package database that is known"]);
    check_refused(
        &world,
        &format!("{}\nfile \"/var/lib/dpkg/status\" text=\"\"", installed("")),
        &["two package databases, /var/lib/dpkg/status and /lib/apk/db/installed"],
    );
    check_refused(
        &world,
        "file \"/usr/lib/apk/db/installed\" text=\"\"",
        &["/usr/lib/apk/db/installed: it is apk version 3's"],
    );
    check_refused(&world, &installed("P:a\\nV:1\\nA:noarch\\nf:s\\n\\n"), &["a is in the state `broken: s`"]);
    check_refused(&world, &installed("junk"), &["/lib/apk/db/installed", "line 1: that is no letter"]);
    let third = format!("{}\nfile \"/lib/apk/db/scripts.tar.gz\" text=\"\"", installed(""));
    check_refused(&world, &third, &["apk version 3"]);
    let evil = installed("P:a\\nV:1\\nA:noarch\\nF:../../etc\\nR:passwd\\n\\n");
    check_refused(&world, &evil, &["its database has the path `../../etc`"]);
}

#[test]
fn the_published_image_takes_packages_as_apk_adds_them() {
    let data = match data() {
        Ok(data) => data,
        Err(reason) => return skip("the_published_image_takes_packages_as_apk_adds_them", &reason),
    };
    let (world, toys) = crate::alpine_real::world(&data);
    Image::of(vec![fs::read(&data.rootfs).unwrap()]).write(&world.path("spec/base"));
    let spec = fs::read_to_string(world.path("spec/appliance.kdl")).unwrap();
    world.spec_text(spec.replace("base \"alpine\" release=\"3.20\"", "base \"oci\" \"oci:base\""));
    world.run(&["build", "--scripts", "emulate-only"]).succeeds();
    let lock = world.lock();
    assert!(lock.contains("package \"alp-web\"") && !lock.contains("package \"busybox\""), "{lock}");
    let (ours, theirs) = (world.path("ours"), world.path("theirs"));
    unpack_image(&world.path("spec/out/oci"), &ours);
    fs::create_dir(&theirs).unwrap();
    good(Command::new("tar").arg("-xzf").arg(&data.rootfs).arg("-C").arg(&theirs));
    for root in [&ours, &theirs] {
        good(Command::new("cp").arg("-r").arg(&toys.0).arg(root.join("toys")));
    }
    let (name, pem) = GOOD.file();
    fs::write(theirs.join("etc/apk/keys").join(name), pem).unwrap();
    fs::write(theirs.join("etc/apk/repositories"), "/toys\n").unwrap();
    apk(&theirs, &["add", "--no-network", "alp-web~2", "so:libtoy.so.1"]);
    compare(&theirs, &ours);
    fs::write(ours.join("etc/apk/repositories"), "/toys\n").unwrap();
    // The package manager inside has nothing to complain about, nothing to mend, and goes on from here.
    assert_eq!(apk(&ours, &["audit", "--system"]), "");
    assert_eq!(apk(&ours, &["info", "-v"]), apk(&theirs, &["info", "-v"]));
    let nothing_to_do = apk(&ours, &["fix", "--simulate", "--no-network"]);
    assert!(nothing_to_do.starts_with("OK: ") && nothing_to_do.lines().count() == 1, "{nothing_to_do}");
    for root in [&ours, &theirs] {
        let removed = apk(root, &["del", "--no-network", "alp-web"]);
        assert!(removed.contains("Purging alp-web-doc"), "{removed}");
        apk(root, &["add", "--no-network", "alp-web"]);
    }
    assert_eq!(apk(&ours, &["audit", "--system"]), "");
}
