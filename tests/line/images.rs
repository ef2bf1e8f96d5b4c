//! Images of others as bases, from a layout and from a real registry on the loopback address that skopeo fills.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::apks::{entry, file, gzip};
use crate::conformance::Ext4;
use crate::layout::{Image, layer};
use crate::package::Package;
use crate::registry::{Registry, copy};
use crate::support::{is_root, skip, static_busybox, tool};
use crate::toys;
use crate::world::World;

/// Builds a toy image with this text in it, as the layout `NAME` beside the spec of the same world.
fn put_image(world: &World, name: &str, text: &str) {
    world.spec(&format!(
        "packages \"toy-x\"\nenv TOY=\"inherited\" LANG=\"C\"\nfile \"/etc/of-base\" text=\"{text}\"\nfile \"/etc/motd\" text=\"base\\n\"\noutput \"oci\""
    ));
    world.build();
    let status =
        Command::new("cp").arg("-r").arg(world.path("spec/out/oci")).arg(world.path("spec").join(name)).status();
    assert!(status.unwrap().success());
    fs::remove_file(world.path("spec/appliance.lock")).unwrap();
    fs::remove_dir_all(world.path("spec/out")).unwrap();
}

fn world_with_packages() -> World {
    World::of(&[toys::base(), Package::new("toy-x", "1")])
}

/// A spec that stands on an image.
fn standing_on(world: &World, reference: &str) {
    world.spec_text(format!(
        "appliance \"above\" version=\"1\" {{\n    base \"oci\" \"{reference}\"\n    arch \"amd64\"\n    env LANG=\"C.UTF-8\"\n    file \"/etc/motd\" text=\"above\\n\"\n    user \"luna\" uid=4321\n    dir \"/srv/luna\" owner=\"luna\"\n    output \"oci\" \"ext4\"\n}}\n"
    ));
}

fn json(path: &Path) -> serde_json::Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

/// A document of a layout that a descriptor names.
fn blob(layout: &Path, descriptor: &serde_json::Value) -> serde_json::Value {
    let digest = descriptor["digest"].as_str().unwrap();
    json(&layout.join("blobs/sha256").join(digest.strip_prefix("sha256:").unwrap()))
}

fn manifest(layout: &Path) -> serde_json::Value {
    blob(layout, &crate::image_tree::manifests(layout)[0])
}

/// The digests of the layers of an image.
fn layers(layout: &Path) -> Vec<String> {
    let manifest = manifest(layout);
    let digests =
        manifest["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].as_str().unwrap().to_owned());
    digests.collect()
}

#[test]
fn an_image_keeps_its_layers_under_an_appliance() {
    let world = world_with_packages();
    put_image(&world, "base", "one\\n");
    standing_on(&world, "oci:base");
    let first = world.build();
    let (below, all) = (layers(&world.path("spec/base")), layers(&world.path("spec/out/oci")));
    assert!(all.len() > below.len() && all.starts_with(&below), "{below:?} {all:?}");
    let config = blob(&world.path("spec/out/oci"), &manifest(&world.path("spec/out/oci"))["config"]);
    assert_eq!(config["rootfs"]["diff_ids"].as_array().unwrap().len(), all.len());
    assert_eq!(config["history"].as_array().unwrap().len(), all.len());
    let env = config["config"]["Env"].to_string();
    assert!(env.contains("TOY=inherited") && env.contains("LANG=C.UTF-8") && !env.contains("LANG=C\""), "{env}");
    let lock = world.lock();
    assert!(lock.contains("base \"oci\" release=\"oci:base\" digest=\"sha256:"), "{lock}");
    if let Some(disk) = Ext4::of(&world.path("spec/out/root.ext4")) {
        assert_eq!(disk.cat("/etc/of-base"), "one\n");
        assert_eq!(disk.cat("/etc/motd"), "above\n");
        assert!(disk.cat("/etc/passwd").contains("luna:!:4321:4321:"), "{}", disk.cat("/etc/passwd"));
        assert!(disk.cat("/var/lib/dpkg/status").contains("Package: toy-x"));
    }
    world.run(&["build", "--locked", "--offline"]).succeeds();
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    fs::remove_dir_all(world.path("cache")).unwrap();
    assert_eq!(world.build(), first, "another cache gives the same bytes");
    // Another image in its place is noticed.
    fs::remove_dir_all(world.path("spec/base")).unwrap();
    let text = fs::read_to_string(world.path("spec/appliance.kdl")).unwrap();
    let lock = world.lock();
    put_image(&world, "base", "two\\n");
    world.spec_text(text);
    fs::write(world.path("spec/appliance.lock"), lock).unwrap();
    world.run(&["build", "--locked"]).fails(7, &["the base image is"]);
    assert_ne!(world.build(), first);
}

#[test]
fn podman_sees_what_the_disk_holds() {
    let test = "podman_sees_what_the_disk_holds";
    let (Some(podman), Some(_)) = (tool("podman"), tool("debugfs")) else { return skip(test, "no podman or debugfs") };
    if !is_root() {
        return skip(test, "podman mounts images for root only");
    }
    let world = world_with_packages();
    put_image(&world, "base", "one\\n");
    standing_on(&world, "oci:base");
    world.build();
    let podman = |args: &[&str]| {
        let mut command = Command::new(&podman);
        command.arg("--root").arg(world.path("pod")).arg("--runroot").arg(world.path("podrun"));
        let output = command.args(["--storage-driver", "vfs", "--events-backend", "none"]).args(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
        output.status.success().then_some(text).ok_or(String::from_utf8_lossy(&output.stderr).into_owned())
    };
    let from = format!("oci:{}", world.path("spec/out/oci").display());
    let storage = format!("[vfs@{}+{}]", world.path("pod").display(), world.path("podrun").display());
    if let Err(why) = copy(&[&from, &format!("containers-storage:{storage}toy:latest")]) {
        return skip(test, &format!("skopeo cannot fill podman's storage: {why}"));
    }
    let mounted = podman(&["image", "mount", "toy:latest"]);
    let mounted = match mounted {
        Ok(mounted) => std::path::PathBuf::from(mounted),
        Err(why) => return skip(test, &format!("podman cannot mount here: {why}")),
    };
    let disk = Ext4::of(&world.path("spec/out/root.ext4")).unwrap();
    for file in ["etc/of-base", "etc/motd", "etc/passwd", "etc/hostname", "usr/lib/appliance/guest"] {
        assert_eq!(fs::read_to_string(mounted.join(file)).unwrap(), disk.cat(&format!("/{file}")), "{file}");
    }
    podman(&["image", "unmount", "--all"]).unwrap();
}

#[test]
fn an_appliance_on_an_image_runs() {
    let test = "an_appliance_on_an_image_runs";
    let Some(program) = static_busybox() else {
        return skip(test, "there is no static busybox (package busybox-static)");
    };
    let Some(world) = World::of(&[toys::base(), toys::shell(program)]).with_guest(test) else { return };
    world.spec("packages \"toy-shell\"\nenv TOY=\"inherited\"\nfile \"/etc/motd\" text=\"base\\n\"\noutput \"oci\"");
    world.build();
    fs::rename(world.path("spec/out/oci"), world.path("spec/base")).unwrap();
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    fs::remove_file(world.path("spec/appliance.lock")).unwrap();
    standing_on(&world, "oci:base");
    world.build();
    let done = world.run(&["run", "out", "--", "sh", "-c", "cat /etc/motd; echo $TOY; echo $LANG"]);
    if done.code == Some(125) {
        return skip(test, done.stderr.trim());
    }
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), "above\ninherited\nC.UTF-8\n"), "{}", done.text());
}

#[test]
fn a_tag_stays_what_it_was_until_the_lock_moves() {
    let world = world_with_packages();
    let Some(registry) = Registry::start("a_tag_stays_what_it_was_until_the_lock_moves", &world, false) else { return };
    put_image(&world, "one", "one\\n");
    put_image(&world, "two", "two\\n");
    registry.fill(&world, "one", "team/app:v1", &[]);
    standing_on(&world, &format!("{}/team/app:v1", registry.address));
    world.run(&["build", "--locked"]).fails(7, &["there is no lock yet"]);
    let first = world.build();
    assert!(layers(&world.path("spec/out/oci")).starts_with(&layers(&world.path("spec/one"))));
    // The tag moves; the lock does not, also where nothing is cached.
    registry.fill(&world, "two", "team/app:v1", &[]);
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    fs::remove_dir_all(world.path("cache")).unwrap();
    assert_eq!(world.build(), first);
    // Names move what they name: nothing else, and nothing that is not there.
    world.run(&["lock", "--update", "toy-x"]).fails(2, &["no such package", "--update base"]);
    let moved = world.run(&["lock", "--update", "base"]).succeeds();
    assert!(moved.text().contains("team/app:v1 sha256:"), "{}", moved.text());
    let again = world.run(&["lock", "--update", &format!("{}/team/app:v1", registry.address)]).succeeds();
    assert!(again.text().contains("nothing moved"), "{}", again.text());
    registry.fill(&world, "one", "team/app:v1", &[]);
    let moved = world.run(&["lock", "--update"]).succeeds();
    assert!(moved.text().contains("team/app:v1 sha256:"), "{}", moved.text());
    assert_eq!(world.build(), first);
    registry.fill(&world, "two", "team/app:v1", &[]);
    world.run(&["lock", "--update", "base"]).succeeds();
    assert_ne!(world.build(), first);
    assert!(layers(&world.path("spec/out/oci")).starts_with(&layers(&world.path("spec/two"))));
    // Without a network the cache is enough, and an empty one is told.
    drop(registry);
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    world.run(&["build", "--offline", "--locked"]).succeeds();
    fs::remove_dir_all(world.path("cache")).unwrap();
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    world.run(&["build", "--offline"]).fails(5, &["find the image", "without `--offline`"]);
    world.run(&["build"]).fails(5, &["pull the image", "talk to 127.0.0.1"]);
    assert!(world.traces().is_empty(), "{:?}", world.traces());
}

#[test]
fn what_skopeo_makes_of_an_image_is_the_same_base() {
    let test = "what_skopeo_makes_of_an_image_is_the_same_base";
    let world = world_with_packages();
    let Some(registry) = Registry::start(test, &world, false) else { return };
    put_image(&world, "one", "one\\n");
    // Docker's own documents with gzip layers, and plain layers in a tar file; the layers are plain in between.
    let plain = format!("dir:{}", world.path("plain").display());
    let archive = format!("docker-archive:{}:team/app:1", world.path("spec/app.tar").display());
    let hub = format!("docker://{}/team/app:gzip", registry.address);
    copy(&["--dest-decompress", &format!("oci:{}", world.path("spec/one").display()), &plain]).unwrap();
    copy(&["--format", "v2s2", "--dest-tls-verify=false", &plain, &hub]).unwrap();
    copy(&[&plain, &archive]).unwrap();
    for reference in [format!("{}/team/app:gzip", registry.address), "docker-archive:app.tar".to_owned()] {
        standing_on(&world, &reference);
        world.build();
        let Some(disk) = Ext4::of(&world.path("spec/out/root.ext4")) else { return skip(test, "there is no debugfs") };
        assert_eq!(disk.cat("/etc/of-base"), "one\n", "{reference}");
        assert!(disk.cat("/var/lib/dpkg/status").contains("Package: toy-x"), "{reference}");
        let to = format!("dir:{}", world.path("copied").display());
        copy(&[&format!("oci:{}", world.path("spec/out/oci").display()), &to]).unwrap();
        fs::remove_file(world.path("spec/appliance.lock")).unwrap();
    }
}

#[test]
fn a_registry_with_a_password_opens_to_who_is_logged_in() {
    let world = world_with_packages();
    let Some(registry) = Registry::start("a_registry_with_a_password_opens_to_who_is_logged_in", &world, true) else {
        return;
    };
    put_image(&world, "one", "one\\n");
    registry.fill(&world, "one", "team/app:v1", &["--dest-creds", "me:secret"]);
    standing_on(&world, &format!("{}/team/app:v1", registry.address));
    world.run(&["build"]).fails(5, &["refuses access", "podman login"]);
    let folder = world.path("home/.docker");
    fs::create_dir_all(&folder).unwrap();
    let auths = |auth: &str| format!(r#"{{"auths": {{"{}": {{"auth": "{auth}"}}}}}}"#, registry.address);
    fs::write(folder.join("config.json"), auths("bWU6d3Jvbmc=")).unwrap();
    world.run(&["build"]).fails(5, &["refuses access"]);
    // A helper answers in place of the file.
    let helper = world.path("docker-credential-toy");
    let script =
        "#!/bin/sh\nread server\necho '{\"ServerURL\":\"'$server'\",\"Username\":\"me\",\"Secret\":\"secret\"}'\n";
    let text = world.path("helper.sh");
    fs::write(&text, script).unwrap();
    crate::support::copy_program(&text, &helper);
    assert!(Command::new("chmod").arg("755").arg(&helper).status().unwrap().success());
    let helpers = format!(r#"{{"credHelpers": {{"{}": "toy"}}}}"#, registry.address);
    fs::write(folder.join("config.json"), helpers).unwrap();
    let path = format!("{}:/usr/bin:/bin", helper.parent().unwrap().display());
    let done = world.command(&["lock"]).env("PATH", path).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    fs::write(folder.join("config.json"), auths("bWU6c2VjcmV0")).unwrap();
    world.build();
}

#[test]
fn what_a_registry_lacks_is_told_part_by_part() {
    let world = world_with_packages();
    let Some(registry) = Registry::start("what_a_registry_lacks_is_told_part_by_part", &world, false) else { return };
    put_image(&world, "one", "one\\n");
    registry.fill(&world, "one", "team/app:v1", &[]);
    let fails = |name: &str, words: &[&str]| {
        standing_on(&world, &format!("{}/{name}", registry.address));
        let told = world.run(&["build"]).fails(5, &[&["appliance.kdl:2:", &registry.address], words].concat());
        assert!(!told.stderr.contains("proxy"), "{}", told.stderr);
    };
    fails("team/app:v2", &["no image team/app:v2: the repository is there, its tags are v1", "did you mean `v1`?"]);
    fails("team/ap:v1", &["has no image team/ap:v1: it has no repository team/ap", "help: check the name"]);
    let latest = "where a reference has no tag, `latest` is meant";
    fails("team/app", &["has no image team/app:latest: the repository is there", latest]);
    fails("team/ap", &["it has no repository team/ap,", latest]);
    // Of many tags those come first that begin like the one that was asked for.
    for tag in ["1.0", "1.1", "2.0", "2.1", "2.2", "2.3", "2.4", "2.5", "trixie-1", "trixie-2"] {
        registry.fill(&world, "one", &format!("team/app:{tag}"), &[]);
    }
    fails("team/app:trixie", &["its tags are trixie-1, trixie-2, ", " and others", "did you mean `trixie-1`?"]);
    standing_on(&world, &format!("{}/team/app:v1", registry.address));
    let text = fs::read_to_string(world.path("spec/appliance.kdl")).unwrap();
    world.spec_text(text.replace("\"amd64\"", "\"arm64\""));
    world.run(&["build"]).fails(5, &["linux/arm64", "there is linux/amd64"]);
    registry.fill(&world, "one", "team/app:latest", &[]);
    standing_on(&world, &format!("{}/team/app", registry.address));
    world.build();
    assert!(world.lock().contains("team/app:latest\" digest=\"sha256:"), "{}", world.lock());
    // A registry that is off is asked once and told once, without words of proxies, which do not stand before it.
    let address = registry.address.clone();
    drop(registry);
    standing_on(&world, &format!("{address}/team/app:v1"));
    let told =
        world.run(&["build"]).fails(5, &[&format!("talk to {address}: nothing listens there"), "start the registry"]);
    assert_eq!(told.stderr.matches("talk to").count(), 1, "{}", told.stderr);
    assert!(!told.stderr.contains("proxy"), "{}", told.stderr);
}

#[test]
fn the_example_stands_on_an_image_from_a_mirror() {
    let test = "the_example_stands_on_an_image_from_a_mirror";
    let Some(program) = static_busybox() else {
        return skip(test, "there is no static busybox (package busybox-static)");
    };
    let mut world = World::new();
    let Some(registry) = Registry::start(test, &world, false) else { return };
    // What stands for Docker Hub's image here is made of the host's program.
    fs::write(world.path("spec/busybox"), program).unwrap();
    world.spec_text(
        "appliance \"busybox\" { base \"scratch\"; file \"/bin/busybox\" from=\"busybox\" mode=\"0755\"; output \"oci\"; }\n",
    );
    let guest = World::new().with_guest(test);
    guest.iter().for_each(|guest| copy_folder(&guest.path("guest"), &world.path("guest")));
    world.build();
    registry.fill(&world, "out/oci", "library/busybox:1.37", &[]);
    fs::remove_dir_all(world.path("spec")).unwrap();
    copy_folder(&Path::new(env!("CARGO_MANIFEST_DIR")).join("specs/on-oci"), &world.path("spec"));
    world.set_mirror(&format!("docker.io=http://{}", registry.address));
    world.build();
    let lock = world.lock();
    assert!(lock.contains("release=\"docker.io/library/busybox:1.37\" digest=\"sha256:"), "{lock}");
    if guest.is_none() {
        return;
    }
    let done = world.run(&["run", "out", "--", "/bin/busybox", "cat", "/srv/www/index.html"]);
    if done.code == Some(125) {
        return skip(test, done.stderr.trim());
    }
    assert!(done.stdout.contains("came with the image"), "{}", done.text());
}

fn copy_folder(from: &Path, to: &Path) {
    let _ = fs::remove_dir_all(to);
    assert!(Command::new("cp").arg("-r").args([from, to]).status().unwrap().success());
}

/// The files of a disk with their contents; links with their targets.
pub fn files(world: &World, name: &str) -> BTreeMap<String, String> {
    let folder = world.path(name);
    fs::create_dir(&folder).unwrap();
    let request = format!("rdump / {}", folder.display());
    let disk = world.path("spec/out/root.ext4");
    let output = Command::new(tool("debugfs").unwrap()).args(["-R", &request]).arg(disk).output().unwrap();
    assert!(output.status.success());
    let mut found = BTreeMap::new();
    let mut open = vec![folder.clone()];
    while let Some(path) = open.pop() {
        let kind = fs::symlink_metadata(&path).unwrap().file_type();
        let name = path.strip_prefix(&folder).unwrap().display().to_string();
        let what = if kind.is_dir() {
            open.extend(fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
            "folder".to_owned()
        } else if kind.is_symlink() {
            format!("-> {}", fs::read_link(&path).unwrap().display())
        } else {
            String::from_utf8_lossy(&fs::read(&path).unwrap()).into_owned()
        };
        found.insert(name, what);
    }
    found
}

#[test]
fn packages_on_an_image_give_what_they_give_without_one() {
    let test = "packages_on_an_image_give_what_they_give_without_one";
    if tool("debugfs").is_none() {
        return skip(test, "there is no debugfs");
    }
    let world = World::new();
    let says = "file \"/etc/os-release\" text=\"NAME=Toy\\nID=toy\\nVERSION_CODENAME=one\\n\"";
    let (below, above) = (
        "\"toy-tools\" \"toy-trigger\" \"toy-conf\"",
        "\"toy-fonts\" \"toy-alt\" \"toy-user\" \"toy-divert\" \"toy-links\"",
    );
    world.spec(&format!("packages {below} {above}\n{says}\noutput \"ext4\""));
    world.build();
    let whole = files(&world, "whole");
    world.spec(&format!("packages {below}\n{says}\noutput \"oci\""));
    world.build();
    fs::rename(world.path("spec/out/oci"), world.path("spec/base")).unwrap();
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    let text = format!(
        "appliance \"toy\" version=\"1.0.0\" {{\n base \"oci\" \"oci:base\"\n arch \"amd64\"\n packages \"toy-base\" {above}\n output \"oci\" \"ext4\"\n}}\n"
    );
    world.spec_text(&text);
    world.build();
    let lock = world.lock();
    assert!(lock.contains("package \"toy-links\"") && !lock.contains("package \"toy-base\""), "{lock}");
    assert!(lock.contains("script \"toy-trigger\" \"triggers:/usr/share/toy-fonts\""), "{lock}");
    assert!(layers(&world.path("spec/out/oci")).starts_with(&layers(&world.path("spec/base"))));
    let stacked = files(&world, "stacked");
    assert_eq!(whole.get("var/lib/toy-trigger/seen").map(String::as_str), Some("/usr/share/toy-fonts\n"));
    assert!(whole.len() > 60, "{whole:?}");
    for (name, what) in &whole {
        // The settings of the guest say which of the two specs it was; marks of apt are of no consequence here.
        if name != "usr/lib/appliance/settings.json" {
            assert_eq!(stacked.get(name), Some(what), "{name}");
        }
    }
    assert_eq!(stacked.keys().collect::<Vec<_>>(), whole.keys().collect::<Vec<_>>());
    world.run(&["build", "--locked", "--offline"]).succeeds();
    let explained = world.run(&["explain"]).succeeds().stdout;
    assert!(explained.contains("// its distribution is toy one, by its /etc/os-release"), "{explained}");
    // What is there stays at its version, and what is unknown is told.
    world.spec_text(text.replace("\"toy-base\"", "\"toy-base>=2\""));
    world.run(&["build"]).fails(4, &["toy-base"]);
    world.spec_text(text.replace("\"toy-base\"", "\"toy-none\""));
    world.run(&["build"]).fails(4, &["toy-none"]);
}

#[test]
fn packages_need_a_distribution_that_is_known() {
    let world = world_with_packages();
    let above = |text: &str| {
        world.spec(&format!("{text}\noutput \"oci\""));
        world.build();
        let _ = fs::remove_dir_all(world.path("spec/base"));
        fs::rename(world.path("spec/out/oci"), world.path("spec/base")).unwrap();
        fs::remove_dir_all(world.path("spec/out")).unwrap();
        fs::remove_file(world.path("spec/appliance.lock")).unwrap();
        standing_on(&world, "oci:base");
        let text = fs::read_to_string(world.path("spec/appliance.kdl")).unwrap();
        world.spec_text(text.replace("user \"luna\"", "packages \"toy-x\"\n    user \"luna\""));
        world.run(&["build"])
    };
    let release = |id: &str| format!("file \"/etc/os-release\" text=\"ID={id}\\nVERSION_ID=1\\n\"");
    above(&release("strange")).fails(6, &["says that it is `strange 1`"]);
    above(&format!("{}\nfile \"/lib/apk/db/installed\" text=\"\"", release("toy")))
        .fails(6, &["two package databases"]);
    above("").fails(6, &["/etc/os-release"]);
    above(&release("toy")).succeeds();
    // What only another family has words for.
    let text = fs::read_to_string(world.path("spec/appliance.kdl")).unwrap();
    world.spec_text(text.replace("packages \"toy-x\"", "packages \"so:x.1\""));
    world.run(&["build"]).fails(6, &["the image is toy's", "`so:x.1` is no package of its"]);
    world.spec_text(text.replace("packages \"toy-x\"", "packages \"toy-x~1\""));
    world.run(&["build"]).fails(6, &["the rule of `toy-x` has a `~`"]);
}

#[test]
fn each_architecture_stands_on_its_own_image() {
    let world = world_with_packages();
    let both = |text: String| text.replace("arch \"amd64\"", "arch \"amd64\" \"arm64\"");
    let spec = world.path("spec/appliance.kdl");
    world.spec("packages \"toy-x\"\nfile \"/etc/of-base\" text=\"one\"\noutput \"oci\"");
    world.spec_text(both(fs::read_to_string(&spec).unwrap()));
    world.build();
    fs::rename(world.path("spec/out/oci"), world.path("spec/base")).unwrap();
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    standing_on(&world, "oci:base");
    world.spec_text(both(fs::read_to_string(&spec).unwrap()));
    world.build();
    let index = |layout: &Path| crate::image_tree::manifests(layout);
    let (below, above) = (world.path("spec/base"), world.path("spec/out/oci"));
    for (old, new) in index(&below).iter().zip(index(&above)) {
        assert_eq!(old["platform"], new["platform"]);
        let digests = |layout: &Path, manifest: &serde_json::Value| {
            let layers = blob(layout, manifest)["layers"].as_array().unwrap().clone();
            layers.iter().map(|layer| layer["digest"].to_string()).collect::<Vec<_>>()
        };
        assert!(digests(&above, &new).starts_with(&digests(&below, old)));
    }
    assert_eq!(index(&above).len(), 2);
    // A name chooses among the images of a layout, for every architecture.
    standing_on(&world, "oci:base:toy:1.0.0");
    world.spec_text(both(fs::read_to_string(&spec).unwrap()));
    world.build();
    standing_on(&world, "oci:base:toy:2");
    world.run(&["build"]).fails(5, &["no image of the name", "toy:1.0.0"]);
}

#[test]
fn a_link_to_a_file_of_a_lower_layer_runs() {
    let test = "a_link_to_a_file_of_a_lower_layer_runs";
    let Some(program) = static_busybox() else {
        return skip(test, "there is no static busybox (package busybox-static)");
    };
    let Some(world) = World::new().with_guest(test) else { return };
    let lower = [
        entry(b'5', "bin/", "", b""),
        file("bin/busybox", &program),
        entry(b'5', "srv/", "", b""),
        file("srv/text", b"of the lower layer\n"),
    ];
    // Whole programs may be links into what lies below.
    let upper = [entry(b'1', "bin/cat", "bin/busybox", b""), entry(b'1', "srv/same", "srv/text", b"")];
    let image = Image::of(vec![gzip(&layer(&lower)), gzip(&layer(&upper))]);
    Image { arches: &["amd64", "arm64"], ..image }.write(&world.path("spec/base"));
    standing_on(&world, "oci:base");
    let text = fs::read_to_string(world.path("spec/appliance.kdl")).unwrap();
    world.spec_text(text.replace("    arch \"amd64\"\n", ""));
    world.build();
    let done = world.run(&["run", "out", "--", "/bin/cat", "/srv/same", "/srv/text", "/etc/motd"]);
    if done.code == Some(125) {
        return skip(test, done.stderr.trim());
    }
    let expected = "of the lower layer\nof the lower layer\nabove\n";
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), expected), "{}", done.text());
}
