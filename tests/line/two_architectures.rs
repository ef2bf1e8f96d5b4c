//! The image of two architectures: one index names both, and skopeo, podman, registries and `run` each take the right one.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::conformance::{podman, podman_run, podman_runs_here};
use crate::image_tree::{INDEX, blob, image_tree, manifests, read};
use crate::package::Package;
use crate::registry::{Registry, copy};
use crate::support::{skip, static_busybox, tool};
use crate::toys;
use crate::world::{Done, World};

const ARCHES: [&str; 2] = ["amd64", "arm64"];

/// The architecture of this machine, and the other one.
const HOST: (&str, &str) = if cfg!(target_arch = "aarch64") { ("arm64", "amd64") } else { ("amd64", "arm64") };

/// Builds an appliance for both architectures, with the name of each in `/etc/arch`.
fn build(world: &World, packages: &str) -> String {
    for arch in ARCHES {
        fs::create_dir_all(world.path("spec").join(arch)).unwrap();
        fs::write(world.path("spec").join(arch).join("name"), format!("{arch}\n")).unwrap();
    }
    world.spec_text(format!(
        "appliance \"toy\" version=\"1.0.0\" {{\n    base \"toy\"\n    arch \"amd64\" \"arm64\"\n    {packages}\n    \
         file \"/etc/arch\" from=\"{{arch}}/name\"\n    output \"oci\"\n}}\n"
    ));
    world.build()
}

fn toy_world() -> World {
    World::of(&[toys::base(), Package::new("toy-x", "1")])
}

/// The image in the layout for each architecture.
#[track_caller]
fn assert_has_both(layout: &Path) {
    for arch in ARCHES {
        assert_eq!(image_tree(layout, arch)["/etc/arch"].content, format!("{arch}\n").into_bytes());
    }
}

#[test]
fn the_layout_names_one_index_of_both() {
    let world = toy_world();
    build(&world, "packages \"toy-x\"");
    let layout = world.path("spec/out/oci");
    let index = read(&layout.join("index.json"));
    let [only] = &index["manifests"].as_array().unwrap()[..] else { panic!("{index}") };
    assert_eq!(only["mediaType"], INDEX);
    assert_eq!(only["annotations"]["org.opencontainers.image.ref.name"], "toy:1.0.0");
    assert!(only["platform"].is_null(), "{only}");
    let bytes = fs::read(blob(&layout, only)).unwrap();
    assert_eq!(only["digest"], format!("sha256:{}", packages::Sha256::of(&bytes)));
    assert_eq!(only["size"], bytes.len());
    let nested = manifests(&layout);
    let platforms: Vec<_> = nested.iter().map(|one| one["platform"]["architecture"].clone()).collect();
    assert_eq!(platforms, ARCHES);
    assert!(nested.iter().all(|one| one["annotations"].is_null()), "below the first index nothing has a name");
    assert_has_both(&layout);
    // What the manifest of the bundle says of its size counts the nested index too.
    let sizes = fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|file| file.unwrap().metadata().unwrap().len());
    let own = ["index.json", "oci-layout"].map(|name| fs::metadata(layout.join(name)).unwrap().len());
    let artifacts = world.artifacts("spec/out");
    let oci = artifacts.lines().find_map(|line| line.strip_prefix("oci ")).unwrap();
    assert_eq!(oci.split(' ').next().unwrap(), (sizes.sum::<u64>() + own.iter().sum::<u64>()).to_string());
    world.run(&["plan", "out"]).succeeds();
}

#[test]
fn run_takes_the_image_of_this_machine() {
    let test = "run_takes_the_image_of_this_machine";
    let Some(program) = static_busybox() else { return skip(test, "no static busybox on this host") };
    let Some(world) = World::of(&[toys::base(), toys::shell(program)]).with_guest(test) else { return };
    build(&world, "packages \"toy-shell\"");
    let done = world.run(&["run", "out", "--", "sh", "-c", "cat /etc/arch"]);
    if done.code == Some(125) {
        return skip(test, done.stderr.trim());
    }
    assert_eq!((done.code, done.stdout.as_str()), (Some(0), format!("{}\n", HOST.0).as_str()), "{}", done.text());
}

#[test]
fn skopeo_copies_both_and_one_of_them() {
    let test = "skopeo_copies_both_and_one_of_them";
    let Some(skopeo) = tool("skopeo") else { return skip(test, "there is no skopeo") };
    let world = toy_world();
    build(&world, "packages \"toy-x\"");
    let (layout, from) = (world.path("spec/out/oci"), format!("oci:{}", world.path("spec/out/oci").display()));
    let named = format!("{from}:toy:1.0.0");
    for (number, from) in [&from, &named].into_iter().enumerate() {
        let copied = world.path(&format!("copied-{number}"));
        copy(&["--all", from, &format!("oci:{}:toy:1.0.0", copied.display())]).unwrap();
        assert_eq!(manifests(&copied), manifests(&layout), "{from}");
        assert_has_both(&copied);
    }
    for arch in ARCHES {
        let inspect = ["--insecure-policy", "--override-arch", arch, "inspect", &from];
        let inspected = Done::of(Command::new(&skopeo).args(inspect).output().unwrap()).succeeds();
        let inspected: serde_json::Value = serde_json::from_str(&inspected.stdout).unwrap();
        assert_eq!(inspected["Architecture"], arch);
    }
    // The way to `docker load`, whose files hold one image, is the same with the architecture said.
    let (gzip, archive) = (format!("oci:{}", world.path("gzip").display()), world.path("name.tar"));
    copy(&["--override-arch", HOST.1, "--dest-compress-format", "gzip", &from, &gzip]).unwrap();
    copy(&["--override-arch", HOST.1, &gzip, &format!("docker-archive:{}:toy:latest", archive.display())]).unwrap();
    let listed = Done::of(Command::new("tar").arg("-tf").arg(archive).output().unwrap()).succeeds();
    assert!(listed.stdout.contains("manifest.json"), "{}", listed.stdout);
}

#[test]
fn a_registry_keeps_both_and_gives_them_as_a_base() {
    let test = "a_registry_keeps_both_and_gives_them_as_a_base";
    let world = toy_world();
    let Some(registry) = Registry::start(test, &world, false) else { return };
    build(&world, "packages \"toy-x\"");
    registry.fill(&world, "out/oci", "team/toy:1.0.0", &["--all"]);
    let nested = read(&world.path("spec/out/oci/index.json"))["manifests"][0]["digest"].as_str().unwrap().to_owned();
    let from = format!("docker://{}/team/toy:1.0.0", registry.address);
    let back = world.path("back");
    copy(&["--src-tls-verify=false", "--all", &from, &format!("oci:{}", back.display())]).unwrap();
    assert_eq!(read(&back.join("index.json"))["manifests"][0]["digest"], nested.as_str());
    assert_has_both(&back);
    // The same two stand below another appliance, from the registry and from the folder.
    fs::rename(world.path("spec/out/oci"), world.path("spec/base")).unwrap();
    for base in [format!("{}/team/toy:1.0.0", registry.address), "oci:base".to_owned(), "oci:base:toy:1.0.0".to_owned()]
    {
        let _ = fs::remove_dir_all(world.path("spec/out"));
        let _ = fs::remove_file(world.path("spec/appliance.lock"));
        world.spec_text(format!(
            "appliance \"above\" version=\"1\" {{\n    base \"oci\" \"{base}\"\n    arch \"amd64\" \"arm64\"\n    \
             output \"oci\"\n}}\n"
        ));
        world.build();
        assert!(world.lock().contains(&format!("digest=\"{nested}\"")), "{base}: {}", world.lock());
        assert_has_both(&world.path("spec/out/oci"));
    }
}

#[test]
fn podman_pulls_either_and_runs_the_one_of_this_machine() {
    let test = "podman_pulls_either_and_runs_the_one_of_this_machine";
    let Some(program) = tool("podman") else { return skip(test, "there is no podman") };
    let Some(busybox) = static_busybox() else { return skip(test, "no static busybox on this host") };
    let world = World::of(&[toys::base(), toys::shell(busybox)]);
    if let Err(why) = podman_runs_here(&program, &world) {
        return skip(test, &why);
    }
    build(&world, "packages \"toy-shell\"");
    // It takes a path for a name, and a name has no capitals.
    let out = world.path("spec/out");
    let run = |command: &mut Command| Done::of(command.current_dir(&out).output().unwrap()).succeeds().stdout;
    let told =
        run(podman_run(&program, &world).args(["--entrypoint", "/bin/sh", "oci:oci:toy:1.0.0", "-c", "cat /etc/arch"]));
    assert_eq!(told.trim(), HOST.0);
    for arch in ARCHES {
        let id = run(podman(&program, &world).args(["pull", "--quiet", "--arch", arch, "oci:oci"]));
        let format = ["image", "inspect", "--format", "{{.Architecture}}", id.trim()];
        assert_eq!(run(podman(&program, &world).args(format)).trim(), arch);
    }
}
