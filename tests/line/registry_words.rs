//! What is said of registries: at the line that names the image, with what to do, and each place once.

use std::fs;
use std::process::Command;

use crate::layout::Image;
use crate::server::{Manner, Server};
use crate::world::{Done, World};

/// A world with a registry that has a good image, `team/app:v1`, and a spec that stands on this of it.
fn world(reference: &str) -> (World, Server) {
    let world = World::new();
    Image::good().publish(&world.path("registry"), "team/app", "v1");
    let server = Server::of(world.path("registry"));
    standing_on(&world, &format!("{}/{reference}", server.address));
    (world, server)
}

/// The command, and nobody is hurried: the server of the test may be slow on a busy machine.
fn run(world: &World, args: &[&str]) -> Done {
    Done::of(patient(world, args).output().unwrap())
}

fn patient(world: &World, args: &[&str]) -> Command {
    let mut command = world.command(args);
    command.env("APPLIANCE_PATIENCE_MS", "20000");
    command
}

fn standing_on(world: &World, reference: &str) {
    world.spec_text(format!(
        "appliance \"above\" version=\"1\" {{\n    base \"oci\" \"{reference}\"\n    arch \"amd64\"\n    output \"oci\"\n}}\n"
    ));
}

#[test]
fn an_image_that_is_not_there_is_told_by_what_named_it() {
    let (world, server) = world("team/app:v2");
    let told = run(&world, &["build"])
        .fails(5, &["appliance.kdl:2:", "has no image team/app:v2", "check the name and the tag"]);
    assert_eq!(told.stderr.matches("team/app:v2").count(), 2, "{}", told.stderr);
    let digest = format!("sha256:{}", "0".repeat(64));
    standing_on(&world, &format!("{}/team/app@{digest}", server.address));
    let told = run(&world, &["build"])
        .fails(5, &[&format!("has no image team/app@{digest}"), "registries remove images", "lock --update"]);
    assert!(!told.stderr.contains("check the name and the tag"), "{}", told.stderr);
    // What the lock says of a tag, and is not there any more.
    standing_on(&world, &format!("{}/team/app:v1", server.address));
    world.build();
    fs::remove_dir_all(world.path("cache")).unwrap();
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    server.misbehave("manifests/sha256:", Manner::Status(404));
    run(&world, &["build"]).fails(5, &["has no image team/app@sha256:", "lock --update"]);
}

#[test]
fn a_registry_without_tls_is_told_as_such() {
    let (world, server) = world("team/app:v1");
    standing_on(&world, &format!("https://{}/team/app:v1", server.address));
    let words = ["appliance.kdl:2:", "InvalidContentType", "it does not speak TLS", "write http:// in front"];
    run(&world, &["build"]).fails(5, &words);
}

#[test]
fn a_mirror_of_a_registry_with_a_port_is_asked_first() {
    let (world, mirror) = world("team/app:v1");
    standing_on(&world, "localhost:9/team/app:v1");
    let build = |mirrors: &str| run(&world, &["build", "--mirror", mirrors]);
    build("localhost:9=somewhere").fails(2, &["localhost:5000=http://localhost:6000"]);
    build(&format!("localhost:8=http://{}", mirror.address)).fails(5, &["appliance.kdl:2:", "talk to localhost:9"]);
    build(&format!("localhost:9=http://{}", mirror.address)).succeeds();
    assert!(world.lock().contains("localhost:9/team/app:v1"), "{}", world.lock());
    // A mirror may have the repositories of a registry in a folder.
    let folder = world.path("registry/v2/proxy/hub");
    fs::create_dir_all(&folder).unwrap();
    fs::rename(world.path("registry/v2/team"), folder.join("team")).unwrap();
    for old in ["cache", "spec/out"] {
        fs::remove_dir_all(world.path(old)).unwrap();
    }
    build(&format!("localhost:9=http://{}", mirror.address)).fails(5, &["http://localhost:9", mirror.address.as_str()]);
    build(&format!("localhost:9=http://{}/v2/proxy/hub", mirror.address)).succeeds();
}

#[test]
fn a_file_of_credentials_that_is_broken_is_told() {
    let (world, server) = world("team/app:v1");
    let auths = |auth: &str| format!(r#"{{"auths": {{"{}": {{"auth": "{auth}"}}}}}}"#, server.address);
    let folder = world.path("home/.docker");
    fs::create_dir_all(&folder).unwrap();
    let file = folder.join("config.json");
    let check = |text: &str, words: &[&str]| {
        fs::write(&file, text).unwrap();
        let place = file.display().to_string();
        run(&world, &["build"]).fails(5, &[&["appliance.kdl:2:", &place, "podman login"], words].concat());
    };
    check(&auths("me:secret"), &["is no text in base 64"]);
    check(&auths("bWU="), &["is no NAME:PASSWORD in base 64"]);
    check("{", &["is not JSON as it should be"]);
    assert_eq!(world.traces(), [""; 0]);
    // The file that the environment names is the only one.
    let own = world.path("auth.json");
    let mut command = patient(&world, &["build"]);
    command.env("REGISTRY_AUTH_FILE", &own);
    Done::of(command.output().unwrap()).fails(5, &[&own.display().to_string(), "REGISTRY_AUTH_FILE"]);
    fs::write(&own, "{}").unwrap();
    Done::of(command.output().unwrap()).succeeds();
}

#[test]
fn what_a_tag_means_is_asked_once() {
    let (world, server) = world("team/app:v1");
    let asked = || server.log().iter().filter(|path| path.ends_with("manifests/v1")).count();
    world.build();
    assert_eq!(asked(), 1, "{:?}", server.log());
    fs::remove_file(world.path("spec/appliance.lock")).unwrap();
    run(&world, &["lock"]).succeeds();
    assert_eq!(asked(), 2, "{:?}", server.log());
    run(&world, &["lock", "--update"]).succeeds();
    assert_eq!(asked(), 3, "{:?}", server.log());
}

#[test]
fn check_says_that_no_registry_was_asked() {
    let (world, server) = world("team/app:v2");
    let address = &server.address;
    let checked = run(&world, &["check"]).succeeds();
    let told = format!("no registry was asked whether there is a {address}/team/app:v2; `appliance lock` asks");
    assert!(checked.stderr.contains(&told), "{}", checked.stderr);
    assert_eq!(server.log(), [""; 0]);
    Image::good().write(&world.path("spec/base"));
    standing_on(&world, "oci:base");
    let checked = run(&world, &["check"]).succeeds();
    assert!(!checked.stderr.contains("asked"), "{}", checked.stderr);
}

#[test]
fn explain_shows_what_is_known_of_the_image() {
    let (world, server) = world("team/app:v1");
    Image { config: |it| it["config"] = serde_json::json!({ "Env": ["TOY=inherited"] }), ..Image::good() }.publish(
        &world.path("registry"),
        "team/app",
        "v1",
    );
    let explain = || run(&world, &["explain"]).succeeds().stdout;
    let base = format!("base \"oci\" \"{}/team/app:v1\" // appliance.kdl:2", server.address);
    let before = explain();
    assert!(before.contains(&base) && before.contains("// there is no lock yet: `appliance lock`"), "{before}");
    assert_eq!(server.log(), [""; 0], "nobody is asked");
    world.build();
    let after = explain();
    let lock = world.lock();
    let digest = lock.split("digest=\"").nth(1).unwrap().split('"').next().unwrap();
    let known = format!("// appliance.lock has {digest} for linux/amd64\n");
    for line in
        [&base, &known, "// its image for linux/amd64 has 1 layer of ", "env TOY=\"inherited\" // the base image"]
    {
        assert!(after.contains(line), "{after}\ndoes not say {line:?}");
    }
    // It is a spec still.
    assert!(world.run_with(&after, &["fmt", "-"]).succeeds().stdout.contains("team/app:v1"), "{after}");
    fs::remove_dir_all(world.path("cache")).unwrap();
    let without = explain();
    assert!(without.contains(&known) && without.contains("the image is not in the cache"), "{without}");
    assert!(!world.path("cache").exists(), "explain makes nothing");
    standing_on(&world, &format!("{}/team/app:v2", server.address));
    let moved = explain();
    assert!(moved.contains("appliance.lock is of another base") && !moved.contains(digest), "{moved}");
    fs::write(world.path("spec/appliance.lock"), "no lock").unwrap();
    assert!(explain().contains("appliance.lock cannot be read"));
}

#[test]
fn another_image_is_told_by_its_reference_alone() {
    let world = World::new();
    for name in ["one", "two"] {
        Image::good().write(&world.path("spec").join(name));
    }
    standing_on(&world, "oci:one");
    world.build();
    standing_on(&world, "oci:two");
    let told =
        run(&world, &["build", "--locked"]).fails(7, &["it was made for the base oci:one", "the base is oci:two now"]);
    assert!(!told.stderr.contains("oci oci"), "{}", told.stderr);
}
