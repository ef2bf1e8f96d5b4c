//! Images in files and folders beside the spec: an image layout in a tar file is the same image as the layout, and what is
//! wrong with one, or with how it is named, is told at its line.

use std::fs;
use std::path::Path;

use serde_json::json;

use crate::apks::file;
use crate::layout::{Image, layer};
use crate::world::World;

/// The layout in a folder as one tar file, as other tools write it.
fn packed(layout: &Path) -> Vec<u8> {
    let member = |name: String| file(&name, &fs::read(layout.join(&name)).unwrap());
    let blobs = fs::read_dir(layout.join("blobs/sha256")).unwrap();
    let mut names: Vec<String> =
        blobs.map(|blob| format!("blobs/sha256/{}", blob.unwrap().file_name().to_string_lossy())).collect();
    names.sort();
    names.extend(["index.json".to_owned(), "oci-layout".to_owned()]);
    layer(&names.into_iter().map(member).collect::<Vec<_>>())
}

/// The digests of the layers of the one image in a layout.
fn layers(layout: &Path) -> Vec<String> {
    let read = |path: &Path| serde_json::from_slice::<serde_json::Value>(&fs::read(path).unwrap()).unwrap();
    let index = read(&layout.join("index.json"));
    let digest = index["manifests"][0]["digest"].as_str().unwrap().replace(':', "/");
    let manifest = read(&layout.join("blobs").join(digest));
    manifest["layers"].as_array().unwrap().iter().map(|layer| layer["digest"].to_string()).collect()
}

fn standing_on(world: &World, reference: &str) {
    world.spec_text(format!(
        "appliance \"above\" version=\"1\" {{\n    base \"oci\" \"{reference}\"\n    arch \"amd64\"\n    output \"oci\" \"ext4\"\n}}\n"
    ));
}

/// An image, in a tar file as `base.tar`, that must be refused with these words; a good one in its place builds.
#[track_caller]
fn check(image: &Image, words: &[&str]) {
    let world = World::new();
    image.write(&world.path("base"));
    fs::write(world.path("spec/base.tar"), packed(&world.path("base"))).unwrap();
    standing_on(&world, "oci-archive:base.tar");
    let done = world.run(&["build"]).fails(5, &[&["appliance.kdl:2:", "help: "], words].concat());
    assert!(!done.stderr.contains("pull") && !done.stderr.contains("--mirror"), "{}", done.stderr);
    assert_eq!(world.traces(), [""; 0]);
    Image::good().write(&world.path("base"));
    fs::write(world.path("spec/base.tar"), packed(&world.path("base"))).unwrap();
    let _ = fs::remove_file(world.path("spec/appliance.lock"));
    world.build();
}

#[test]
fn a_layout_in_a_tar_file_is_the_image_of_the_layout() {
    let world = World::new();
    let named = Image {
        index: |it| it["manifests"][0]["annotations"] = json!({ "org.opencontainers.image.ref.name": "v1" }),
        ..Image::rich()
    };
    named.write(&world.path("spec/base"));
    fs::write(world.path("spec/base.tar"), packed(&world.path("spec/base"))).unwrap();
    fs::write(world.path("spec/base.tar.gz"), crate::apks::gzip(&packed(&world.path("spec/base")))).unwrap();
    standing_on(&world, "oci:base:v1");
    world.build();
    let first = layers(&world.path("spec/out/oci"));
    assert!(first.len() > 1, "{first:?}");
    for reference in ["oci-archive:base.tar:v1", "oci-archive:base.tar.gz:v1"] {
        fs::remove_file(world.path("spec/appliance.lock")).unwrap();
        fs::remove_dir_all(world.path("cache")).unwrap();
        standing_on(&world, reference);
        world.build();
        assert_eq!(layers(&world.path("spec/out/oci")), first, "{reference}");
    }
    standing_on(&world, "oci-archive:base.tar:v2");
    world.run(&["build"]).fails(5, &["it has no image of the name \"v2\"; it has \"v1\"", "help: "]);
}

#[test]
fn what_is_wrong_with_a_layout_in_a_tar_file_is_told() {
    let with = |manifest: fn(&mut serde_json::Value)| Image { manifest, ..Image::good() };
    check(&with(|it| it["layers"][0]["size"] = json!(2560)), &["its blob sha256:", "2048 bytes", "2560"]);
    let lost: fn(&mut serde_json::Value) = |it| it["layers"][0]["digest"] = json!(format!("sha256:{}", "0".repeat(64)));
    check(&with(lost), &["its blob sha256:0000", "is not there"]);
    let damage: fn(&Path) = |blobs| {
        for blob in fs::read_dir(blobs).unwrap().map(|blob| blob.unwrap().path()) {
            let size = fs::metadata(&blob).unwrap().len();
            fs::write(&blob, vec![b'#'; usize::try_from(size).unwrap()]).unwrap();
        }
    };
    check(&Image { blobs: damage, ..Image::good() }, &["holds other bytes than the digest says"]);
    check(&Image { index: |it| it["manifests"] = json!([]), ..Image::good() }, &["there is no image in it"]);
    check(&Image { index: |it| it["manifests"][0]["size"] = json!(7), ..Image::good() }, &["has 7 bytes"]);
}

/// A reference that names another kind of thing than stands there: told with how it is written.
#[track_caller]
fn check_kind(world: &World, reference: &str, words: &[&str]) {
    standing_on(world, reference);
    for verb in ["check", "build"] {
        let done = world.run(&[verb]);
        let told = done.text();
        assert!(done.code == Some(3) || (verb, done.code) == ("build", Some(5)) || done.code == Some(0), "{told}");
        if verb == "build" || done.code != Some(0) {
            for word in words.iter().chain(&["appliance.kdl:2:"]) {
                assert!(told.contains(word), "{told}\ndoes not say {word:?}");
            }
        }
    }
}

#[test]
fn a_file_that_is_named_as_another_kind_is_told_with_how_it_is_written() {
    let world = World::new();
    Image::good().write(&world.path("spec/base"));
    fs::write(world.path("spec/oci.tar"), packed(&world.path("spec/base"))).unwrap();
    let list = r#"[{"Config":"config.json","RepoTags":null,"Layers":[]}]"#;
    let docker = [file("manifest.json", list.as_bytes()), file("config.json", b"{}")];
    fs::write(world.path("spec/docker.tar"), layer(&docker)).unwrap();
    fs::write(world.path("spec/neither.tar"), layer(&[file("readme", b"x")])).unwrap();
    fs::create_dir(world.path("spec/empty")).unwrap();
    check_kind(
        &world,
        "oci:oci.tar",
        &["\"oci.tar\" is a file", "write \"oci-archive:oci.tar\" or \"docker-archive:oci.tar\""],
    );
    check_kind(&world, "docker-archive:base", &["\"base\" is a folder", "write \"oci:base\""]);
    check_kind(&world, "oci-archive:base", &["\"base\" is a folder", "write \"oci:base\""]);
    check_kind(&world, "docker-archive:oci.tar", &["there is an image layout in it", "write \"oci-archive:oci.tar\""]);
    check_kind(&world, "oci-archive:docker.tar", &["it is a docker-archive", "write \"docker-archive:docker.tar\""]);
    check_kind(&world, "oci-archive:neither.tar", &["there is no image layout in it"]);
    check_kind(&world, "docker-archive:neither.tar", &["it is no docker-archive"]);
    check_kind(&world, "oci:empty", &["it is no OCI image layout: it has no index.json"]);
    // A lock is made without a look at the files first.
    standing_on(&world, "oci:oci.tar");
    world.run(&["lock"]).fails(5, &["appliance.kdl:2:", "it is a file", "write \"oci-archive:oci.tar\""]);
    standing_on(&world, "oci:none");
    world.run(&["lock"]).fails(5, &["appliance.kdl:2:", "there is no such folder"]);
}
