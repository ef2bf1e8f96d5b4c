//! Releases of Debian and Ubuntu are data alone: each of `base-images/` builds on an archive that is made here, and its
//! minimal root on the live one, where that answers, is clean for dpkg and apt inside.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use spec::base::{BaseImage, Family};

use crate::alpine_real::unpack_image;
use crate::archive::Release;
use crate::conformance::Ext4;
use crate::live::{inside, live_command};
use crate::package::{Package, Packing};
use crate::support::{is_root, skip};
use crate::toys;
use crate::world::{Done, World};

/// A world with the base image that ships, of which only the keys are the toy archive's, and an archive with its suites.
fn world(base: &BaseImage) -> World {
    let minimal = [
        toys::base().field("Provides", "usr-is-merged").packed(Packing::Zstd),
        Package::new("apt", "2").file("usr/bin/apt", 0o755, "no program\n").packed(Packing::Zstd),
    ];
    let mut world = World::of(&minimal);
    let suites: BTreeSet<(&str, &str)> = base
        .archives
        .iter()
        .flat_map(|archive| &archive.suites)
        .map(|suite| (suite.path.as_str(), suite.codename.as_deref().unwrap_or(&suite.path)))
        .collect();
    let (ready, dists) = (world.path("suites"), world.archive.folder.join("dists"));
    for (path, codename) in suites {
        let (suite, codename): (&'static str, &'static str) = (path.to_owned().leak(), codename.to_owned().leak());
        world.archive.publish(&minimal, &Release { suite, codename, ..Release::default() });
        fs::create_dir_all(ready.join(path).parent().unwrap()).unwrap();
        fs::rename(dists.join("one"), ready.join(path)).unwrap();
    }
    fs::remove_dir_all(&dists).unwrap();
    fs::rename(&ready, &dists).unwrap();

    let shipped = fs::read_to_string(format!("{}/base-images/{}/base.kdl", env!("CARGO_MANIFEST_DIR"), base.name));
    let mut lines: Vec<String> = Vec::new();
    for line in shipped.unwrap().replace(" \"universe\"", "").lines() {
        let line = if line.trim_start().starts_with("key ") { "            key \"keys/toy.gpg\"" } else { line };
        if lines.last().is_none_or(|last| last != line) {
            lines.push(line.to_owned());
        }
    }
    let own = world.path("bases").join(&base.name);
    fs::create_dir_all(own.join("keys")).unwrap();
    fs::write(own.join("base.kdl"), lines.join("\n")).unwrap();
    let key = fs::read_dir(world.path("bases/toy/keys")).unwrap().next().unwrap().unwrap().path();
    fs::copy(key, own.join("keys/toy.gpg")).unwrap();
    let mirror = |archive: &spec::base::Archive| format!("{}={}", archive.name, world.archive.folder.display());
    let mirrors: Vec<String> = base.archives.iter().map(mirror).collect();
    world.set_mirror(&mirrors.join(" "));
    world
}

#[test]
fn every_release_builds_by_its_data() {
    let shipped = spec::builtin_bases();
    let releases: Vec<&BaseImage> = shipped.iter().filter(|base| base.family == Family::Deb).collect();
    let names: BTreeSet<&str> = releases.iter().map(|base| base.release.as_str()).collect();
    assert_eq!(names.into_iter().collect::<Vec<_>>(), ["bookworm", "jammy", "noble", "sid", "trixie"]);
    for base in releases {
        let world = world(base);
        world.spec_text(format!(
            "appliance \"rel\" version=\"1\" {{\n base \"{}\" release=\"{}\"\n arch \"amd64\"\n output \"ext4\"\n}}\n",
            base.name, base.release
        ));
        world.build();
        let lock = world.lock();
        assert!(lock.contains("package apt ") || lock.contains("package \"apt\" "), "{lock}");
        for suite in base.archives.iter().filter(|archive| archive.arches.len() > 1).flat_map(|one| &one.suites) {
            assert!(lock.contains(&format!("\"{}\"", suite.path)), "{lock}\ndoes not name {}", suite.path);
        }
        let Some(disk) = Ext4::of(&world.path("spec/out/root.ext4")) else { continue };
        assert!(disk.stat("/bin").contains("Fast link dest: \"usr/bin\""), "{}", disk.stat("/bin"));
        let sources = disk.cat(&format!("/etc/apt/sources.list.d/{}.sources", base.archives[0].name));
        assert!(sources.contains(&format!("Suites: {}\n", base.release)), "{sources}");
        assert!(sources.contains(&base.archives[0].mirrors[0]), "{sources}");
    }
}

/// Builds the minimal root of a release from the live archive and looks at it from the inside.
fn check(test: &str, base: &str, release: &str) {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("spec")).unwrap();
    let spec =
        format!("appliance \"rel\" {{\n base \"{base}\" release=\"{release}\"\n arch \"amd64\"\n output \"oci\"\n}}\n");
    fs::write(folder.path().join("spec/appliance.kdl"), spec).unwrap();
    let run = |args: &[&str]| Done::of(live_command(folder.path(), args).output().unwrap());
    let locked = run(&["lock"]);
    if locked.code == Some(5) {
        return skip(test, &locked.text().lines().take(3).collect::<Vec<_>>().join("; "));
    }
    locked.succeeds();
    let built = run(&["build"]);
    if built.code == Some(5) || built.text().contains("subordinate") || built.text().contains("find the guest") {
        return skip(test, built.text().trim());
    }
    built.succeeds();
    if !is_root() || !cfg!(target_arch = "x86_64") {
        return skip(test, "it takes root on an x86_64 machine to look at the root from inside");
    }
    let root = folder.path().join("root");
    unpack_image(&folder.path().join("spec/out/oci"), &root);
    let mut mknod = Command::new("mknod");
    if !mknod.args(["-m", "666"]).arg(root.join("dev/null")).args(["c", "1", "3"]).status().unwrap().success() {
        return skip(test, "no device can be made here");
    }
    assert!(inside(&root, &["cat", "/etc/os-release"]).contains(&format!("VERSION_CODENAME={release}")));
    for silent in ["--verify", "--audit"] {
        assert_eq!(inside(&root, &["dpkg", silent]), "", "{release} dpkg {silent}");
    }
    let listed = inside(&root, &["dpkg-query", "-W", "-f", "${db:Status-Abbrev} ${Package}\n"]);
    assert!(listed.lines().count() > 60 && listed.lines().all(|line| line.starts_with("ii ")), "{listed}");
    inside(&root, &["apt-get", "check"]);
}

#[test]
fn trixie_is_clean_inside() {
    check("trixie_is_clean_inside", "debian", "trixie");
}

#[test]
fn sid_is_clean_inside() {
    check("sid_is_clean_inside", "debian", "sid");
}

#[test]
fn noble_is_clean_inside() {
    check("noble_is_clean_inside", "ubuntu", "noble");
}

#[test]
fn jammy_is_clean_inside() {
    check("jammy_is_clean_inside", "ubuntu", "jammy");
}
