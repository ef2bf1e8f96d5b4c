//! Packages on images: what is refused and where in the spec, and what of an image moves when a package needs it newer.

use std::fs;

use crate::conformance::Ext4;
use crate::package::Package;
use crate::support::skip;
use crate::toys;
use crate::world::{Done, World};

/// What the toy distribution says of itself.
const RELEASE: &str = "file \"/etc/os-release\" text=\"ID=toy\\nVERSION_CODENAME=one\\n\"";

/// A world whose archive has these packages and whose image, the layout `base`, holds what this body says.
fn on_image(archive: &[Package], body: &str) -> World {
    let world = World::of(archive);
    world.spec(&format!("{body}\noutput \"oci\""));
    world.build();
    fs::rename(world.path("spec/out/oci"), world.path("spec/base")).unwrap();
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    fs::remove_file(world.path("spec/appliance.lock")).unwrap();
    world
}

/// Builds this body on the image; its first line is line 4 of the spec.
fn build(world: &World, body: &str) -> Done {
    world.spec_text(format!(
        "appliance \"above\" version=\"1\" {{\n    base \"oci\" \"oci:base\"\n    arch \"amd64\"\n{body}\n    output \"oci\" \"ext4\"\n}}\n"
    ));
    world.run(&["build"])
}

#[test]
fn what_an_image_holds_cannot_be_excluded() {
    let lib = || Package::new("toy-lib", "1.2");
    let user = Package::new("toy-user", "1").field("Conflicts", "toy-lib");
    let world = on_image(&[toys::base(), lib(), user], &format!("packages \"toy-lib\"\n{RELEASE}"));
    let words =
        ["appliance.kdl:4:", "\"toy-lib\" is excluded, and the image has toy-lib 1.2", "take an image without it"];
    build(&world, "exclude \"toy-lib\"").fails(4, &words);
    build(&world, "exclude \"toy-lib\"\npackages \"toy-user\"").fails(4, &words);
    build(&world, "exclude \"toy-none\"").succeeds();
    let conflict = ["appliance.kdl:4:", "toy-user cannot be together with toy-lib", "the image has toy-lib 1.2"];
    build(&world, "packages \"toy-user\"").fails(4, &conflict);
}

#[test]
fn an_image_without_packages_is_told_at_each_line_about_them() {
    let world = World::of(&[toys::base(), Package::new("toy-lib", "1.2")]);
    let image = |entries: &str| {
        world.spec_text(format!(
            "appliance \"bare\" version=\"1\" {{\n base \"scratch\"\n arch \"amd64\"\n{entries}\n output \"oci\"\n}}\n"
        ));
        world.build();
        let _ = fs::remove_dir_all(world.path("spec/base"));
        fs::rename(world.path("spec/out/oci"), world.path("spec/base")).unwrap();
        fs::remove_dir_all(world.path("spec/out")).unwrap();
        let _ = fs::remove_file(world.path("spec/appliance.lock"));
    };
    image("file \"/hello\" text=\"hello\"");
    let all = "packages \"toy-lib\"\nexclude \"toy-lib\"";
    let none = "has no meaning on this image: it has no package database that is known";
    let known =
        "take one of these bases, or an image of one: alpine (v3.20), debian (bookworm, trixie, sid), toy (one)";
    let both = [":4:", ":5:", "`packages` has no", "`exclude` has no", none, known, "2 errors", "with `file`"];
    build(&world, &all.replace("exclude \"toy-lib\"", "exclude \"toy-x\"")).fails(6, &both);
    build(&world, "exclude \"toy-lib\"").fails(6, &[":4:", "`exclude` has no meaning", none, known]);
    fs::write(world.path("spec/k.asc"), "a key").unwrap();
    build(&world, "repository \"https://x.example\" suite=\"s\" key=\"k.asc\"")
        .fails(6, &[":4:", "`repository` has no", none]);
    build(&world, "init \"systemd\"").fails(6, &[":4:", "`init` has no meaning on this image", none]);
    assert_eq!(world.traces(), [""; 0]);
    // Nothing about packages is asked of such an image, so nothing is refused.
    build(&world, "").succeeds();
    image("file \"/var/lib/rpm/rpmdb.sqlite\" text=\"\"");
    build(&world, "packages \"toy-lib\"").fails(6, &[":4:", "its packages are rpm's, which are not read", known]);
    image("file \"/var/lib/dpkg/status\" text=\"\"\nfile \"/lib/apk/db/installed\" text=\"\"");
    build(&world, "packages \"toy-lib\"").fails(6, &[":4:", "two package databases", known]);
    image("file \"/var/lib/dpkg/status\" text=\"\"\nfile \"/etc/os-release\" text=\"ID=strange\\n\"");
    build(&world, "packages \"toy-lib\"").fails(6, &[":4:", "says that it is `strange`", known]);
    image(&format!("file \"/var/lib/dpkg/status\" text=\"\"\n{RELEASE}"));
    build(&world, "packages \"so:x.1\" \"toy-lib~1\"").fails(
        6,
        &[":4:", "the image is toy's, and `so:x.1` is no package", "the rule of `toy-lib` has a `~`", "2 errors"],
    );
}

#[test]
fn each_architecture_gets_its_own_file() {
    let world = World::new();
    let program = |machine: u8| [&b"\x7fELF\x02\x01\x01"[..], &[0; 9], &[2, 0, machine, 0]].concat();
    for (arch, machine) in [("amd64", 62), ("arm64", 183)] {
        fs::create_dir_all(world.path("spec/bin").join(arch)).unwrap();
        fs::write(world.path("spec/bin").join(arch).join("tool"), program(machine)).unwrap();
        fs::write(world.path("spec/bin").join(arch).join("name"), arch).unwrap();
    }
    let spec = |files: &str| {
        world.spec_text(format!(
            "appliance \"two\" version=\"1\" {{\n    base \"scratch\"\n    arch \"amd64\" \"arm64\"\n{files}\n    output \"oci\" \"ext4\"\n}}\n"
        ));
    };
    spec("file \"/bin/tool\" from=\"bin/{arch}/tool\" mode=\"0755\"\nfile \"/etc/arch\" from=\"bin/{arch}/name\"");
    let checked = world.run(&["check"]).succeeds();
    assert!(!checked.text().contains("foreign-program"), "{}", checked.text());
    let first = world.build();
    assert_eq!(world.build(), first);
    // One program for both is told, by `check` as by `build`, and a missing one is an error.
    spec("file \"/bin/tool\" from=\"bin/amd64/tool\" mode=\"0755\"");
    for verb in ["check", "build"] {
        let told = world.run(&[verb]).succeeds();
        for word in [
            "appliance.kdl:4:",
            "foreign-program",
            "is a program for amd64, and arm64 cannot run it",
            "bin/{arch}/tool",
        ] {
            assert!(told.text().contains(word), "{verb}: {}", told.text());
        }
        // Quiet is about what goes as it should.
        let quiet = world.run(&[verb, "--quiet"]).succeeds();
        assert!(quiet.stderr.contains("is a program for amd64, and arm64 cannot run it"), "{verb}: {}", quiet.text());
        assert!(!quiet.stderr.contains("up to date") && !quiet.stderr.contains("valid"), "{verb}: {}", quiet.text());
    }
    // Nothing ran, so there is no table of what ran.
    let _ = fs::remove_dir_all(world.path("spec/out"));
    let detailed = world.run(&["build", "-v"]).succeeds();
    assert!(
        detailed.text().contains("built") && !detailed.text().contains("maintainer scripts"),
        "{}",
        detailed.text()
    );
    fs::remove_file(world.path("spec/bin/arm64/tool")).unwrap();
    spec("file \"/bin/tool\" from=\"bin/{arch}/tool\" mode=\"0755\"\nfile \"/etc/arch\" from=\"bin/{arch}/name\"");
    world.run(&["build"]).fails(3, &["there is no \"bin/arm64/tool\" beside the spec"]);
    spec("file \"/etc/arch\" from=\"bin/{arch}/name\"");
    world.build();
    for arch in ["amd64", "arm64"] {
        let Some(disk) = Ext4::of(&world.path(&format!("spec/out/root-{arch}.ext4"))) else {
            return skip("each_architecture_gets_its_own_file", "there is no debugfs");
        };
        assert_eq!(disk.cat("/etc/arch"), arch);
    }
}
