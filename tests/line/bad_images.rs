//! Images that lie or lead out of their root, and registries with bad manners: each is told in words, leaves nothing
//! half-written, and once it is repaired the next build works.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::apks::{entry, file, gzip, records};
use crate::layout::{Image, layer};
use crate::server::{Manner, Server};
use crate::world::{Done, World};

/// A spec that stands on an image.
fn put_spec(world: &World, reference: &str) {
    world.spec_text(format!(
        "appliance \"above\" version=\"1\" {{\n    base \"oci\" \"{reference}\"\n    arch \"amd64\"\n    output \"oci\" \"ext4\"\n}}\n"
    ));
}

/// An image that must be refused with this code and these words; a good one in its place builds.
#[track_caller]
fn check(image: &Image, code: i32, words: &[&str]) {
    let world = World::new();
    put_spec(&world, "oci:base");
    image.write(&world.path("spec/base"));
    let done = world.run(&["build"]).fails(code, words);
    if code == 5 {
        // At the line that names it, with what to do, and without a word of registries or paths.
        assert!(done.stderr.contains("appliance.kdl:2:") && done.stderr.contains("help: "), "{}", done.stderr);
        assert!(!done.stderr.contains("pull") && !done.stderr.contains("--mirror"), "{}", done.stderr);
        assert!(!done.stderr.contains(&world.path("spec").display().to_string()), "{}", done.stderr);
    }
    assert_eq!(world.traces(), [""; 0]);
    let _ = fs::remove_file(world.path("spec/appliance.lock"));
    Image::good().write(&world.path("spec/base"));
    world.build();
}

/// The same for an image of these layers.
#[track_caller]
fn check_layers(layers: &[&[Vec<u8>]], words: &[&str]) {
    let layers = layers.iter().map(|entries| layer(entries)).collect();
    check(&Image::of(layers), 6, &[&["unpack the layer sha256:"], words].concat());
}

#[test]
fn no_layer_leaves_the_root() {
    check_layers(&[&[file("../out", b"x")]], &["`../out`", "`..`"]);
    check_layers(&[&[file("a/../../out", b"x")]], &["`..`"]);
    check_layers(&[&[records(&[("path", "a/../../out")]), file("good", b"x")]], &["`a/../../out`", "`..`"]);
    check_layers(&[&[file("etc/.wh...", b"")]], &["hides nothing that can be named"]);
    check_layers(&[&[file("a", b"x"), entry(b'1', "b", "../../etc/shadow", b"")]], &["`..`"]);
    check_layers(&[&[entry(b'1', "b", "/etc/shadow", b"")]], &["place /b", "no such file"]);
    let replaced = [entry(b'2', "srv", "/tmp", b""), file("srv/through", b"x")];
    check_layers(&[&[entry(b'5', "srv/", "", b"")], &replaced], &["the parent of /srv/through is not a folder"]);
    let (link, through) = ([entry(b'2', "srv", "/tmp", b"")], [file("srv/through", b"x")]);
    check_layers(&[&link, &through], &["the parent of /srv/through is not a folder"]);
}

#[test]
fn a_layer_that_is_damaged_is_refused() {
    check_layers(&[&[records(&[("size", "1099511627776")]), file("a", b"x")]], &["bytes of contents"]);
    let cut = layer(&[file("a", b"xyz")]);
    let layers = |bytes: Vec<u8>| Image::of(vec![bytes]);
    let unpack = "unpack the layer sha256:";
    check(&layers(cut[..600].to_vec()), 6, &[unpack, "cut off"]);
    check(&layers([cut.clone(), vec![b'x'; 512]].concat()), 6, &[unpack, "something follows its end"]);
    let packed = gzip(&cut);
    check(&layers([packed.clone(), b"and more".to_vec()].concat()), 6, &[unpack]);
    check(&layers([packed.clone(), gzip(b"and more")].concat()), 6, &[unpack, "something follows its end"]);
    check(&layers(packed[..packed.len() - 9].to_vec()), 6, &[unpack]);
}

/// A good image with one thing changed.
fn with(change: impl FnOnce(&mut Image)) -> Image {
    let mut image = Image::good();
    change(&mut image);
    image
}

#[test]
fn documents_that_lie_are_refused() {
    let manifest = |change: fn(&mut Value)| with(|image| image.manifest = change);
    let index = |change: fn(&mut Value)| with(|image| image.index = change);
    check(&manifest(|it| it["layers"][0]["size"] = json!(2560)), 5, &["2048 bytes", "2560"]);
    check(&manifest(|it| it["layers"][0]["size"] = json!(1u64 << 40)), 5, &["2048 bytes", "1099511627776"]);
    check(&manifest(|it| it["layers"][0]["digest"] = json!(format!("sha256:{}", "0".repeat(64)))), 5, &["0000"]);
    check(&manifest(|it| it["layers"][0]["digest"] = json!("sha256:../../etc")), 5, &["is no SHA-256 digest"]);
    check(&manifest(|it| it["config"]["size"] = json!(1u64 << 40)), 5, &["1099511627776 bytes"]);
    check(&index(|it| it["manifests"][0]["size"] = json!(7)), 5, &["bytes", "7"]);
    check(&index(|it| it["manifests"][0]["size"] = json!(1u64 << 40)), 5, &["1099511627776"]);
    check(
        &with(|image| image.config = |it| it["rootfs"]["diff_ids"] = json!([])),
        5,
        &["lists 0 layers, its manifest 1"],
    );
    let wrong: fn(&mut Value) = |it| it["rootfs"]["diff_ids"][0] = json!(format!("sha256:{}", "0".repeat(64)));
    check(&with(|image| image.config = wrong), 6, &["as plain tar its SHA-256 is"]);
    let damage: fn(&Path) = |blobs| {
        for blob in fs::read_dir(blobs).unwrap().map(|blob| blob.unwrap().path()) {
            let size = fs::metadata(&blob).unwrap().len();
            fs::write(&blob, vec![b'#'; usize::try_from(size).unwrap()]).unwrap();
        }
    };
    check(&with(|image| image.blobs = damage), 5, &["other bytes than the digest says"]);
}

#[test]
fn what_is_no_image_for_this_machine_is_refused() {
    let manifest = |change: fn(&mut Value)| with(|image| image.manifest = change);
    let index = |change: fn(&mut Value)| with(|image| image.index = change);
    let odd: fn(&mut Value) = |it| it["layers"][0]["mediaType"] = json!("application/vnd.example.squashfs");
    check(&manifest(odd), 5, &["`application/vnd.example.squashfs`", "no image of a file system"]);
    let chart: fn(&mut Value) = |it| it["mediaType"] = json!("application/vnd.example.chart.v1+json");
    check(&manifest(chart), 5, &["`application/vnd.example.chart.v1+json`", "this is no image"]);
    let several: fn(&mut Value) =
        |it| it["manifests"][0]["mediaType"] = json!("application/vnd.oci.image.index.v1+json");
    check(&index(several), 5, &["announced as several images and is one"]);
    let foreign = with(|image| image.arches = &["s390x"]);
    check(&foreign, 5, &["find an image for linux/amd64", "there is linux/s390x"]);
    let several = with(|image| image.arches = &["s390x", "arm64"]);
    check(&several, 5, &["find an image for linux/amd64", "there is linux/s390x, linux/arm64"]);
    check(&index(|it| it["manifests"] = json!([])), 5, &["there is no image in it"]);
}

/// A good image in a registry that misbehaves on paths with this part; every failure is told with these words.
#[track_caller]
fn check_registry(part: &str, manner: Manner, words: &[&str]) {
    let (world, server) = in_a_registry();
    server.misbehave(part, manner);
    // Only what is silent on purpose is waited for in vain.
    let patience_ms = if matches!(manner, Manner::Silence | Manner::Stall) { "300" } else { "5000" };
    let mut command = world.command(&["build"]);
    let done = Done::of(command.env("APPLIANCE_PATIENCE_MS", patience_ms).output().unwrap());
    let done = done.fails(5, &[&["appliance.kdl:2:", "pull the image 127.0.0.1:", "help: "], words].concat());
    // One place was asked: it is named in the reference, and once more.
    let (message, _) = done.stderr.split_once("help: ").unwrap();
    assert_eq!(message.matches(&server.address).count(), 2, "{}", done.stderr);
    assert_eq!(world.traces(), [""; 0]);
    server.behave();
    world.build();
}

/// A spec that stands on a good image in a registry.
fn in_a_registry() -> (World, Server) {
    let world = World::new();
    Image::good().publish(&world.path("registry"), "team/app", "v1");
    let server = Server::of(world.path("registry"));
    put_spec(&world, &format!("{}/team/app:v1", server.address));
    (world, server)
}

#[test]
fn a_registry_with_bad_manners_is_told() {
    for part in ["manifests/v1", "manifests/sha256:", "blobs/sha256:"] {
        check_registry(part, Manner::Status(500), &["answered 500", "it is in trouble"]);
        check_registry(part, Manner::WebPage, &["answered with a web page"]);
        check_registry(part, Manner::RedirectLoop, &["redirects too often"]);
        check_registry(part, Manner::Silence, &["sent nothing for"]);
        check_registry(
            part,
            Manner::Limit(86_400),
            &["answered 429 and asks to wait 86400 seconds", "limits how much"],
        );
        check_registry(part, Manner::Limit(0), &["answered 429 and asks to wait 0 seconds"]);
        check_registry(part, Manner::Ask("Negotiate"), &["authentication of the kind `Negotiate`", "Basic and Bearer"]);
        check_registry(part, Manner::Ask("Basic realm=\"toy\""), &["refuses access", "podman login"]);
    }
    for part in ["manifests/sha256:", "blobs/sha256:"] {
        check_registry(part, Manner::Stall, &["127.0.0.1"]);
        check_registry(part, Manner::Truncate, &["127.0.0.1"]);
        check_registry(part, Manner::Corrupt, &["other bytes than the digest says"]);
    }
}

#[test]
fn a_registry_that_asks_to_wait_is_asked_again() {
    for part in ["manifests/v1", "manifests/sha256:", "blobs/sha256:"] {
        let (world, server) = in_a_registry();
        server.misbehave(part, Manner::LimitOnce);
        world.build();
        assert!(server.log().iter().filter(|path| path.contains(part)).count() > 1, "{:?}", server.log());
    }
}
