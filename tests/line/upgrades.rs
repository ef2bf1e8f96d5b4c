//! A package of an image that another one needs newer: what moves, and that the package managers themselves leave the same.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::alpine_real::{apk, compare, data, good, unpack_image};
use crate::apk_archive::{Apk, GOODLY};
use crate::apks::GOOD;
use crate::images::files;
use crate::layout::Image;
use crate::package::Package;
use crate::support::{is_root, skip, tool};
use crate::toys;
use crate::world::World;

const RELEASE: &str = "file \"/etc/os-release\" text=\"ID=toy\\nVERSION_CODENAME=one\\n\"";

/// Conffiles: one that both the user and the package change, one that is given up, one that the user changes, one that the package does.
const CONFFILES: [&str; 4] = ["both", "gone", "mine", "theirs"];

fn lib(version: &str) -> Package {
    let is_new = version == "2";
    let package = ["etc", "etc/toy", "usr", "usr/lib", "usr/lib/toy", "usr/share"]
        .iter()
        .fold(Package::new("toy-lib", version), |package, folder| package.dir(folder, 0o755))
        .file("usr/lib/toy/same", 0o644, "the same\n")
        .file("usr/lib/toy/library", 0o755, format!("library {version}\n"));
    let conffiles: Vec<&str> = CONFFILES.into_iter().filter(|name| !is_new || *name != "gone").collect();
    let package = conffiles.iter().fold(package, |package, name| {
        let text = if *name == "mine" { "shipped\n".to_owned() } else { format!("shipped by {version}\n") };
        package.file(&format!("etc/toy/{name}"), 0o644, text)
    });
    let listed: String = conffiles.iter().map(|name| format!("/etc/toy/{name}\n")).collect();
    let package = package.control("conffiles", 0o644, listed);
    if is_new {
        return package.file("usr/lib/toy/new", 0o644, "new\n");
    }
    package
        .dir("usr/share/toy-old", 0o755)
        .file("usr/share/toy-old/old", 0o644, "old\n")
        .file("usr/lib/toy/old", 0o644, "old\n")
        .link("usr/lib/toy/link", "old")
        .control("triggers", 0o644, "interest-noawait toy-given-up\n")
}

fn app() -> Package {
    Package::new("toy-app", "1")
        .needs("toy-lib (>= 2)")
        .dir("usr", 0o755)
        .dir("usr/lib", 0o755)
        .dir("usr/lib/app", 0o755)
}

/// A world whose image has the first packages and what a user changed, and whose archive has the others now.
fn world(first: &[Package], then: &[Package], changed: &str) -> World {
    let world = World::of(first);
    world.spec(&format!("packages \"toy-lib\"\n{RELEASE}\n{changed}\noutput \"oci\" \"ext4\""));
    world.build();
    fs::rename(world.path("spec/out/oci"), world.path("spec/base")).unwrap();
    fs::remove_file(world.path("spec/appliance.lock")).unwrap();
    world.archive.publish(then, &crate::archive::Release::default());
    world
}

fn stand_on_it(world: &World, packages: &str) {
    world.spec_text(format!(
        "appliance \"toy\" version=\"1\" {{\n base \"oci\" \"oci:base\"\n arch \"amd64\"\n packages {packages}\n output \"oci\" \"ext4\"\n}}\n"
    ));
}

const CHANGED: &str = "file \"/etc/toy/mine\" text=\"changed\\n\"\nfile \"/etc/toy/both\" text=\"changed\\n\"";

#[test]
fn a_package_of_the_image_moves_as_dpkg_moves_it() {
    let test = "a_package_of_the_image_moves_as_dpkg_moves_it";
    if tool("debugfs").is_none() {
        return skip(test, "there is no debugfs");
    }
    let world = world(&[toys::base(), lib("1")], &[toys::base(), lib("1"), lib("2"), app()], CHANGED);
    let before = files(&world, "theirs");
    assert!(before.contains_key("usr/share/toy-old/old") && before.contains_key("var/lib/dpkg/triggers/toy-given-up"));
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    stand_on_it(&world, "\"toy-app\"");
    world.run(&["build", "--scripts", "emulate-only"]).succeeds();
    let lock = world.lock();
    assert!(lock.contains("package \"toy-lib\" \"2\"") && !lock.contains("package \"toy-base\""), "{lock}");
    let ours = files(&world, "ours");
    for gone in ["usr/share/toy-old", "usr/lib/toy/old", "usr/lib/toy/link", "var/lib/dpkg/triggers/toy-given-up"] {
        assert!(!ours.contains_key(gone), "{gone} is still there");
    }
    let first = world.artifacts("spec/out");
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    fs::remove_dir_all(world.path("cache")).unwrap();
    assert_eq!(world.build(), first);
    let Some(dpkg) = tool("dpkg").filter(|_| is_root()) else { return skip(test, "it takes root and dpkg to compare") };

    let theirs = world.path("theirs");
    let debs = [lib("2"), app()].map(|package| rebuilt(&world, &package));
    let run = |root: &Path, args: &[&str]| {
        let mut command = Command::new(&dpkg);
        command.arg(format!("--root={}", root.display())).args([
            "--force-not-root",
            "--force-confold",
            "--log=/dev/null",
        ]);
        let output = command.args(args).output().unwrap();
        (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
    };
    let (good, said) = run(&theirs, &["--install", &debs[0], &debs[1]]);
    assert!(good, "{said}");
    assert_eq!(of_packages(&world.path("ours")), of_packages(&theirs));
    assert_eq!(stanzas(&world.path("ours")), stanzas(&theirs));
    assert_eq!(run(&world.path("ours"), &["--configure", "--pending"]), (true, String::new()));
}

/// What packages have below a root, with what is in it, and dpkg's lists and triggers.
fn of_packages(root: &Path) -> BTreeMap<String, String> {
    let mut found = BTreeMap::new();
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.strip_prefix(root).unwrap().display().to_string();
            if path.symlink_metadata().unwrap().is_dir() {
                open.push(path.clone());
            }
            let places = ["etc/toy", "usr/", "var/lib/dpkg/info/toy-", "var/lib/dpkg/triggers"];
            let is_own = name.starts_with("usr/lib/appliance") || name.ends_with("/Lock");
            // dpkg makes checksums for a package that ships none.
            if places.iter().any(|start| name.starts_with(start)) && !is_own && !name.ends_with(".md5sums") {
                let text = fs::read(&path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
                found.insert(name, text.unwrap_or_default());
            }
        }
    }
    found
}

/// The paragraphs of dpkg's status by their first lines.
fn stanzas(root: &Path) -> BTreeMap<String, String> {
    let text = fs::read_to_string(root.join("var/lib/dpkg/status")).unwrap();
    let name = |one: &str| one.lines().next().unwrap_or_default().to_owned();
    let all = text.split("\n\n").filter(|one| !one.is_empty());
    all.map(|one| (name(one), one.trim().to_owned())).collect()
}

/// A toy as dpkg-deb itself packs it: names begin with `./`.
fn rebuilt(world: &World, package: &Package) -> String {
    let (folder, archive) = (world.path("files"), world.path(&format!("{}.deb", package.name)));
    let _ = fs::remove_dir_all(&folder);
    let toy = world.archive.folder.join(package.path());
    good(Command::new("dpkg-deb").arg("--raw-extract").arg(toy).arg(&folder));
    good(Command::new("dpkg-deb").args(["--root-owner-group", "--build"]).arg(&folder).arg(&archive));
    archive.display().to_string()
}

#[test]
fn scripts_of_both_versions_are_told_of_the_move() {
    let test = "scripts_of_both_versions_are_told_of_the_move";
    let told = |package: Package| {
        let version = package.version.clone();
        ["preinst", "postinst", "prerm", "postrm"].iter().fold(package, |package, script| {
            package.script(script, &format!("echo \"{version} {script} $*\" >> /told"))
        })
    };
    let lib = |version| told(Package::new("toy-lib", version));
    let held = Package::new("toy-held", "1").needs("toy-lib (= 1)");
    let archive = [toys::base(), toys::tools(), lib("1"), lib("2"), app(), held];
    let world = world(&[toys::base(), toys::tools(), lib("1")], &archive, "");
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    // What fits the image comes without a move, and both together cannot be.
    stand_on_it(&world, "\"toy-held\"");
    world.run(&["build", "--scripts", "emulate-only"]).succeeds();
    assert!(!world.lock().contains("package \"toy-lib\""), "{}", world.lock());
    stand_on_it(&world, "\"toy-held\" \"toy-app\"");
    world
        .run(&["build"])
        .fails(4, &["toy-app needs toy-lib >= 2", "toy-held needs toy-lib = 1", "only one version of toy-lib"]);
    stand_on_it(&world, "\"toy-lib>=2\"");
    world.run(&["build", "--scripts", "emulate-only"]).succeeds();
    let lock = world.lock();
    for script in ["preinst", "postinst", "prerm", "postrm"] {
        assert!(lock.contains(&format!("script \"toy-lib\" \"{script}\"")), "{lock}");
    }
    if tool("debugfs").is_none() {
        return skip(test, "there is no debugfs");
    }
    let log = &files(&world, "found")["told"];
    let expected = "1 preinst install\n1 postinst configure \n1 prerm upgrade 2\n2 preinst upgrade 1 2\n1 postrm upgrade 2\n\
        2 postinst configure 1\n";
    assert_eq!(log, expected);
}

/// A toy library of Alpine, with files below /etc of each kind, and scripts that say how they were called.
fn apk_lib(version: &str) -> Apk {
    let is_new = version == "2-r0";
    let told = |name: &str| format!("echo \"{version} {name} $*\" >> /var/told");
    let package = ["pre-install", "post-install", "pre-upgrade", "post-upgrade"]
        .iter()
        .fold(Apk::new("upd-lib", version), |package, name| package.script(name, &told(name)))
        .dir("etc", 0o755)
        .dir("etc/upd", 0o755);
    let package = CONFFILES.iter().filter(|name| !is_new || **name != "gone").fold(package, |package, name| {
        let text = if *name == "mine" { "shipped\n".to_owned() } else { format!("shipped by {version}\n") };
        package.file(&format!("etc/upd/{name}"), 0o644, &text)
    });
    let package = package.dir("usr", 0o755).dir("usr/lib", 0o755).dir("usr/lib/upd", 0o755);
    let package = package.file("usr/lib/upd/library", 0o755, version);
    match is_new {
        true => package.file("usr/lib/upd/new", 0o644, "new\n"),
        false => package
            .file("usr/lib/upd/old", 0o644, "old\n")
            .link("usr/lib/upd/link", "old")
            .dir("usr/lib/upd-old", 0o755)
            .file("usr/lib/upd-old/old", 0o644, "old\n"),
    }
}

#[test]
fn a_package_of_the_image_moves_as_apk_moves_it() {
    let data = match data() {
        Ok(data) => data,
        Err(reason) => return skip("a_package_of_the_image_moves_as_apk_moves_it", &reason),
    };
    let (world, toys) = crate::alpine_real::world(&data);
    let app = Apk::new("upd-app", "1-r0").needs("upd-lib>=2");
    toys.publish(&[apk_lib("1-r0")], GOODLY);
    Image::of(vec![fs::read(&data.rootfs).unwrap()]).write(&world.path("spec/base"));
    let spec = fs::read_to_string(world.path("spec/appliance.kdl")).unwrap();
    let on = |image: &str, packages: &str, more: &str| {
        let text = spec.replace("base \"alpine\" release=\"3.20\"", &format!("base \"oci\" \"oci:{image}\""));
        world.spec_text(
            text.replace("packages \"alp-web~2\" \"so:libtoy.so.1\"", &format!("packages {packages}\n{more}")),
        );
    };
    let changed = "file \"/etc/upd/mine\" text=\"changed\\n\"\nfile \"/etc/upd/both\" text=\"changed\\n\"";
    on("base", "\"upd-lib\"", changed);
    world.run(&["build", "--scripts", "emulate-only"]).succeeds();
    fs::rename(world.path("spec/out/oci"), world.path("spec/older")).unwrap();
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    fs::remove_file(world.path("spec/appliance.lock")).unwrap();
    let theirs = world.path("theirs");
    unpack_image(&world.path("spec/older"), &theirs);
    toys.publish(&[apk_lib("1-r0"), apk_lib("2-r0"), app], GOODLY);
    on("older", "\"upd-app\"", "");
    world.run(&["build", "--scripts", "emulate-only"]).succeeds();
    let lock = world.lock();
    assert!(lock.contains("package \"upd-lib\" \"2-r0\"") && !lock.contains("package \"busybox\""), "{lock}");
    let ours = world.path("ours");
    unpack_image(&world.path("spec/out/oci"), &ours);
    take_away(&ours);
    for root in [&ours, &theirs] {
        good(Command::new("cp").arg("-r").arg(&toys.0).arg(root.join("toys")));
        fs::write(root.join("etc/apk/repositories"), "/toys\n").unwrap();
    }
    let (name, pem) = GOOD.file();
    fs::write(theirs.join("etc/apk/keys").join(name), pem).unwrap();
    apk(&theirs, &["add", "--no-network", "upd-app"]);
    compare(&theirs, &ours);
    let told = fs::read_to_string(ours.join("var/told")).unwrap();
    assert!(told.ends_with("2-r0 pre-upgrade 2-r0 1-r0\n2-r0 post-upgrade 2-r0 1-r0\n"), "{told}");
    assert_eq!(apk(&ours, &["audit", "--system"]), "");
    assert_eq!(apk(&ours, &["info", "-v"]), apk(&theirs, &["info", "-v"]));
    let nothing_to_do = apk(&ours, &["fix", "--simulate", "--no-network"]);
    assert!(nothing_to_do.starts_with("OK: ") && nothing_to_do.lines().count() == 1, "{nothing_to_do}");
}

/// What whiteouts of unpacked layers hide goes away, and they themselves.
fn take_away(root: &Path) {
    let mut open = vec![root.to_owned()];
    while let Some(folder) = open.pop() {
        for path in fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()) {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if let Some(hidden) = name.strip_prefix(".wh.") {
                let hidden = path.with_file_name(hidden);
                let gone = if hidden.is_dir() { fs::remove_dir_all(&hidden) } else { fs::remove_file(&hidden) };
                gone.unwrap_or_else(|error| panic!("{}: {error}", hidden.display()));
                fs::remove_file(&path).unwrap();
            } else if path.symlink_metadata().is_ok_and(|meta| meta.is_dir()) {
                // What was listed before its whiteout may be gone by now.
                open.push(path);
            }
        }
    }
}
