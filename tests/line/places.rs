//! Mistakes with where things are put: each is told at its line of the spec, with what to write instead, by `check` where
//! the spec and the files beside it show it, and by `build` where only packages do.

use std::fs;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;
use serde_json::Value;

use crate::support::{is_root, skip};
use crate::world::World;

/// The lines of the spec, the codes, the messages and the helps of what a verb finds.
fn told(world: &World, args: &[&str]) -> (i32, Vec<String>) {
    let done = world.run(&[&["--json"], args].concat());
    let value: Value = serde_json::from_str(&done.stdout).unwrap_or_else(|error| panic!("{error}: {}", done.text()));
    let line = |found: &Value| {
        let label = &found["labels"][0];
        assert!(label["text"].as_str().is_some_and(|text| !text.is_empty()), "{found:#}");
        let text = |name: &str| found[name].as_str().unwrap_or_default().to_owned();
        format!("{} {}: {} | {}", label["line"], text("code"), text("message"), text("help"))
    };
    let found = value["diagnostics"].as_array().into_iter().flatten().map(line).collect();
    (done.code.unwrap_or(-1), found)
}

#[track_caller]
fn check(world: &World, args: &[&str], code: i32, want: &[&str]) {
    assert_eq!(told(world, args), (code, want.iter().map(|line| (*line).to_owned()).collect()));
}

#[test]
fn what_only_packages_show_is_told_at_its_line() {
    let world = World::new();
    world.spec(
        "dir \"/etc/passwd\"\nfile \"/usr/share\" text=\"\"\nfile \"/etc/group/x\" text=\"\"\nvolume \"a\" at=\"/etc/shells\"\n\
         packages \"toy-conf\" \"toy-fonts\"",
    );
    world.run(&["check"]).succeeds();
    check(
        &world,
        &["build"],
        6,
        &[
            "4 bad-path: \"/etc/passwd\" is a file of the package toy-base, and a folder cannot take its place | name \
             another path; a file is replaced with: file \"/etc/passwd\" …",
            "5 bad-path: \"/usr/share\" is a folder of the package toy-fonts, and a file cannot take its place | name what is \
             to be in it: file \"/usr/share/NAME\" …",
            "6 bad-path: \"/etc/group/x\" is inside of \"/etc/group\", which is a file of the package toy-base | name a path \
             in a folder",
            "7 bad-path: \"/etc/shells\" is a file of the package toy-base, and a volume needs a folder | name the folder that \
             the file is in, or a folder of its own such as \"/data\"",
        ],
    );
    assert_eq!(world.traces(), [""; 0]);
}

#[test]
fn a_program_that_is_not_there_is_told_at_the_word() {
    let world = World::new();
    world.spec(
        "packages \"toy-tools\"\nservice \"a\" {\n    run \"/usr/bin/instal\" \"-d\"\n}\nservice \"b\" {\n    run \"updatealternatives\"\n}",
    );
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    check(
        &world,
        &["build"],
        6,
        &[
            "6 unknown-program: the program \"/usr/bin/instal\" of service \"a\" is not in the image | did you mean \
             \"/usr/bin/install\"?",
            &format!(
                "9 unknown-program: the program \"updatealternatives\" of service \"b\" is in no folder of the search path, \
                 which is {path} | did you mean \"update-alternatives\"?"
            ),
        ],
    );
    world.run(&["build"]).fails(6, &["appliance.kdl:6:9: error: ", "help: did you mean", "2 errors"]);
}

#[test]
fn users_that_packages_make_or_not_are_told_at_their_lines() {
    let world = World::new();
    world.spec("packages \"toy-user\"\nuser \"toyd\"\nuser \"web\" groups=\"toyds\"");
    check(
        &world,
        &["build"],
        6,
        &[
            "5 user-clash: a package already makes a user \"toyd\" | use it without this `user` line, or take another name",
            "6 unknown-group: there is no group \"toyds\" in the image | did you mean \"toyd\"?",
        ],
    );
}

#[test]
fn a_volume_that_its_service_cannot_write_is_told_once() {
    let world = World::new();
    let spec = |extra: &str| {
        world.spec(&format!(
            "packages \"toy-tools\"\nuser \"web\"\nservice \"a\" user=\"web\" {{\n    run \"/usr/bin/cat\"\n}}\n\
             volume \"data\" at=\"/var/lib/data\"\n{extra}"
        ));
    };
    let warning = "warning: no service can write to the volume at \"/var/lib/data\"";
    spec("");
    assert!(!world.run(&["check"]).succeeds().text().contains("warning"), "a package may make it");
    let built = world.run(&["build"]).succeeds().text();
    assert!(built.contains(warning) && built.contains("add: dir \"/var/lib/data\" owner=\"web\""), "{built}");
    spec("dir \"/var/lib/data\" owner=\"web\"");
    assert!(!world.run(&["build"]).succeeds().text().contains("warning"));
    spec("dir \"/var/lib/data\"");
    let built = world.run(&["build"]).succeeds().text();
    assert_eq!(built.matches(warning).count(), 1, "{built}");
}

#[test]
fn what_cannot_be_taken_from_beside_the_spec_is_told_at_its_line() {
    let world = World::new();
    let beside = |name: &str| world.path("spec").join(name);
    fs::create_dir_all(beside("app/sub")).unwrap();
    fs::create_dir_all(beside("out")).unwrap();
    for pipe in ["pipe", "app/sub/pipe", "out/pipe"] {
        mkfifo(&beside(pipe), Mode::S_IRWXU).unwrap();
    }
    world.spec("file \"/pipe\" from=\"pipe\"\nfile \"/app\" from=\"app\"\nfile \"/null\" from=\"null\"");
    std::os::unix::fs::symlink("/dev/null", beside("null")).unwrap();
    let help = "only files, folders and links can be put into an appliance; move it elsewhere";
    let pipe = format!("4 file-unusable: \"pipe\" is a named pipe | {help}");
    let inside = format!("5 file-unusable: \"app/sub/pipe\" is a named pipe | {help}");
    let null = format!("6 file-unusable: \"null\" is a device | {help}");
    check(&world, &["check", "--allow-outside"], 3, &[&pipe, &inside, &null]);
    check(&world, &["build", "--allow-outside"], 3, &[&pipe, &null]);
    // What builds write is not taken.
    fs::rename(beside("app/sub/pipe"), beside("out/pipe2")).unwrap();
    fs::remove_file(beside("pipe")).unwrap();
    world.spec("file \"/all\" from=\".\"");
    world.run(&["check"]).succeeds();
    fs::rename(beside("out/pipe2"), beside("app/sub/pipe")).unwrap();
    // What folders hold is read once by a build, and told then.
    fs::remove_dir_all(beside("out")).unwrap();
    world.spec("file \"/app\" from=\"app\"");
    let message = "what stands beside the spec cannot be taken: ./app/sub/pipe: is a device or pipe; only files, folders \
                   and links can be put into an appliance";
    check(&world, &["build"], 6, &[&format!("4 file-unusable: {message} | {help}")]);
}

#[test]
fn what_cannot_be_read_is_told_at_its_line() {
    let world = World::new();
    std::os::unix::fs::symlink("loop", world.path("spec/loop")).unwrap();
    world.spec("file \"/loop\" from=\"loop\"");
    world.run(&["check"]).fails(3, &["appliance.kdl:4:19: error: \"loop\" cannot be read: Too many levels", "help: "]);
    if is_root() {
        return skip("what_cannot_be_read_is_told_at_its_line", "root can read everything");
    }
    use std::os::unix::fs::PermissionsExt;
    fs::write(world.path("spec/key"), "secret").unwrap();
    fs::set_permissions(world.path("spec/key"), fs::Permissions::from_mode(0o000)).unwrap();
    world.spec("file \"/key\" from=\"key\"");
    let want =
        "4 file-unusable: \"key\" cannot be read: Permission denied | let yourself read it, as with: chmod -R u+rX key";
    check(&world, &["check"], 3, &[want]);
}

#[test]
fn what_two_lines_bring_and_what_a_volume_hides_is_told() {
    let world = World::new();
    fs::create_dir_all(world.path("spec/app/data")).unwrap();
    fs::write(world.path("spec/app/conf"), "one").unwrap();
    fs::write(world.path("spec/app/data/seed"), "seed").unwrap();
    world.spec("file \"/opt\" from=\"app\"\nfile \"/opt/conf\" text=\"two\"\nvolume \"d\" at=\"/opt/data\"");
    let done = world.run(&["check"]).succeeds().text();
    for words in [
        "appliance.kdl:4:6: warning: \"/opt/data/seed\" is never seen: the volume \"/opt/data\" is mounted over it",
        "appliance.kdl:5:6: warning: two lines bring \"/opt/conf\", and the later one wins [overwritten]",
        "appliance.kdl:4:6: overwritten there",
        "(2 warnings)",
    ] {
        assert!(done.contains(words), "{done}\ndoes not say {words:?}");
    }
    // The other way round, and below a file that comes from beside the spec.
    fs::write(world.path("spec/one"), "one").unwrap();
    world.spec("file \"/a\" from=\"one\"\nfile \"/a/b\" text=\"\"");
    world.run(&["check"]).fails(3, &["appliance.kdl:5:6: error: \"/a/b\" is inside of \"/a\", which is no folder"]);
}

/// A warning that is wrong teaches people to overlook all of them.
#[test]
fn examples_and_templates_have_no_such_warning() {
    let world = World::new();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let specs = fs::read_dir(root.join("specs")).unwrap().flatten().map(|entry| entry.path());
    let mut all: Vec<String> = specs.map(|path| path.display().to_string()).collect();
    for template in ["minimal", "web", "agent", "inference"] {
        world.run(&["new", template, "--template", template]).succeeds();
        all.push(template.to_owned());
    }
    for spec in all {
        let mut command = world.command(&["check", &spec]);
        command.env_remove("APPLIANCE_BASE_IMAGES");
        let done = crate::world::Done::of(command.output().unwrap()).succeeds();
        let text = done.text();
        let found: Vec<&str> = text.lines().filter(|line| line.contains("warning: ")).collect();
        assert!(found.iter().all(|line| line.contains("[not-yet]")), "{spec}: {text}");
    }
}

/// What nobody else brings is made for a volume or a writable path, and nothing is made in place of what somebody brings.
#[test]
fn places_that_can_be_written_belong_to_who_brings_them() {
    let world = World::new();
    let body = "packages \"toy-tools\"\nuser \"web\"\nservice \"a\" user=\"web\" {\n    run \"/usr/bin/cat\"\n}\n\
                file \"/data/conf\" text=\"one\"\nisolation \"auto\" { writable \"/data/conf\" \"/var/cache/a\"; }\noutput \"oci\"";
    // A home that is a volume is the user's.
    world.spec(&format!("{body}\nvolume \"home\" at=\"/home/web\""));
    assert!(!world.run(&["build"]).succeeds().text().contains("warning"));
    // Without the volume nobody makes anything in its place either.
    world.spec(body);
    world.run(&["build"]).succeeds();
}

/// What is shown first is copied first.
#[test]
fn the_specs_of_the_readme_are_good() {
    let world = World::new();
    let text = fs::read_to_string(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let specs: Vec<&str> = text.split("```kdl\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert!(specs.len() > 1, "{text}");
    fs::write(world.path("spec/index.html"), "a page").unwrap();
    fs::write(world.path("spec/page.py"), "print()").unwrap();
    for spec in specs {
        world.spec_text(spec);
        let mut command = world.command(&["check"]);
        command.env_remove("APPLIANCE_BASE_IMAGES");
        let done = crate::world::Done::of(command.output().unwrap()).succeeds();
        assert!(!done.text().contains("warning"), "{spec}{}", done.text());
    }
}
