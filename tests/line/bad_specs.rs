//! Specs that are too large, too deep, no text, or ask for what is not there: told at once, before anything is made.

use std::fs;
use std::process::Command;

use crate::world::{Done, World};

/// A spec that every verb refuses with these words; nothing is fetched or made.
fn check(text: impl AsRef<[u8]>, code: i32, words: &[&str]) {
    let mut world = World::new();
    world.set_mirror("http://127.0.0.1:9/toy");
    world.spec_text(text);
    for verb in ["check", "explain", "lock", "build", "run"] {
        world.run(&[verb]).fails(code, words);
    }
    assert_eq!((world.traces(), world.lock()), (vec![], String::new()));
}

fn body(text: &str) -> String {
    format!("appliance \"toy\" version=\"1\" {{\n    base \"toy\"\n{text}\n}}\n")
}

#[test]
fn too_much_is_told_before_it_is_read() {
    check(body(&format!("    summary \"{}\"", "x".repeat(10 << 20))), 3, &["appliance.kdl", "large"]);
    check(body(&"    packages \"toy-conf\"\n".repeat(10 << 20 >> 4)), 3, &["appliance.kdl", "large"]);
    check("a {".repeat(100_000), 3, &["appliance.kdl", "too-"]);
    check("(".repeat(1_000_000), 3, &["appliance.kdl"]);
    check(format!("appliance \"x\" {}{}", "{ a ".repeat(5_000), "}".repeat(5_000)), 3, &["appliance.kdl", "too-"]);
}

#[test]
fn what_is_no_text_is_told_with_its_place() {
    check(b"appliance \"t\xff\xfe\" {\n}\n", 3, &["UTF-8"]);
    check([0u8; 1000], 3, &["appliance.kdl"]);
    check(b"\x7fELF\x02\x01\x01\0\0\0\0\0", 3, &["appliance.kdl"]);
    check("", 3, &["appliance.kdl"]);
}

#[test]
fn circles_are_told_with_all_their_members() {
    let service = |name: &str, after: &str| format!("service \"{name}\" {{ run \"/bin/true\"; after \"{after}\"; }}\n");
    check(
        body(&(service("one", "two") + &service("two", "three") + &service("three", "one"))),
        3,
        &["one", "two", "three"],
    );
    check(body(&service("self", "self")), 3, &["self"]);
}

#[test]
fn fragments_that_use_each_other_are_told() {
    let world = World::new();
    world.spec_text("appliance \"toy\" {\n    use \"a.kdl\"\n    base \"toy\"\n}\n");
    fs::write(world.path("spec/a.kdl"), "use \"b.kdl\"\n").unwrap();
    fs::write(world.path("spec/b.kdl"), "use \"a.kdl\"\n").unwrap();
    world.run(&["build"]).fails(3, &["a.kdl", "b.kdl"]);
    fs::write(world.path("spec/b.kdl"), "").unwrap();
    fs::remove_file(world.path("spec/b.kdl")).unwrap();
    world.run(&["build"]).fails(3, &["b.kdl"]);
    assert_eq!(world.traces(), [""; 0]);
}

#[test]
fn duplicate_names_are_told_with_both_places() {
    let twice = |one: &str| body(&format!("{one}\n{one}"));
    check(twice("service \"web\" { run \"/bin/true\"; }"), 3, &["web", ":3:", ":4:"]);
    check(twice("user \"luna\" uid=1000"), 3, &["luna", ":3:", ":4:"]);
    check(twice("hostname \"a\""), 3, &["hostname"]);
}

#[test]
fn all_mistakes_are_told_at_once_and_as_data() {
    let text = body("hostnam \"x\"\npackages 5\nservice \"web\" { }\nresources { memory 5; }");
    check(&text, 3, &["hostname", "service", "memory", "4 errors"]);
    let world = World::new();
    world.spec_text(&text);
    let done = world.run(&["--json", "check"]);
    let value: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
    assert_eq!((value["ok"].as_bool(), value["exit"].as_i64()), (Some(false), Some(3)));
    let found = value["diagnostics"].as_array().unwrap();
    assert!(found.len() >= 4, "{value:#}");
    assert!(found.iter().all(|one| one["code"].is_string() && one["message"].is_string()), "{value:#}");
}

#[test]
fn files_that_are_not_there_or_no_files_are_told() {
    let world = World::new();
    world.spec("packages \"toy-conf\"\nfile \"/opt/a\" from=\"nowhere/\"\noutput \"oci\"");
    for verb in ["check", "build", "run"] {
        world.run(&[verb]).fails(3, &["appliance.kdl:5:20", "there is no \"nowhere\" beside the spec", "file-missing"]);
    }
    // What reads no file does not ask for it.
    world.run(&["explain"]).succeeds();
    assert_eq!(world.traces(), [""; 0]);
    world.spec("file \"/opt/a\" from=\"../bases\"\noutput \"oci\"");
    world.run(&["build"]).fails(3, &["inside the spec's folder", "--allow-outside"]);
    world.run(&["build", "--allow-outside"]).succeeds();
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    nix::unistd::mkfifo(&world.path("spec/pipe"), nix::sys::stat::Mode::S_IRWXU).unwrap();
    world.spec("file \"/opt/a\" from=\"pipe\"\noutput \"oci\"");
    world.run(&["build"]).fails(3, &["appliance.kdl:4:20", "\"pipe\" is a named pipe"]);
    assert_eq!(world.traces(), [""; 0]);
}

#[test]
fn a_bundle_does_not_hold_the_one_before_it() {
    let world = World::new();
    world.spec("file \"/s\" from=\".\"\noutput \"oci\"");
    fs::write(world.path("spec/kept"), "1").unwrap();
    world.run(&["build"]).succeeds();
    let stamp = || fs::read(world.path("spec/out/bundle.json")).unwrap();
    let first = stamp();
    fs::create_dir(world.path("spec/.out.making-1")).unwrap();
    fs::write(world.path("spec/.out.making-1/half"), "2").unwrap();
    let again = world.run(&["--json", "build"]);
    let value: serde_json::Value = serde_json::from_str(&again.stdout).unwrap();
    assert_eq!((again.code, value["unchanged"].as_bool()), (Some(0), Some(true)), "{value:#}");
    assert_eq!(stamp(), first);
    fs::write(world.path("spec/kept"), "2").unwrap();
    world.run(&["build"]).succeeds();
    assert!(stamp() != first, "what is not the build's own is packed");
}

#[test]
fn links_do_not_lead_out_of_the_folder() {
    let world = World::new();
    fs::create_dir_all(world.path("secret/notes")).unwrap();
    for (name, text) in [("notes/a", "hidden"), ("frag.kdl", "hostname \"taken\"\n"), ("filter.json", "{}")] {
        fs::write(world.path("secret").join(name), text).unwrap();
    }
    fs::create_dir_all(world.path("spec/site")).unwrap();
    std::os::unix::fs::symlink(world.path("secret"), world.path("spec/sl")).unwrap();
    std::os::unix::fs::symlink(world.path("secret/notes/a"), world.path("spec/site/abs")).unwrap();
    std::os::unix::fs::symlink("site", world.path("spec/same")).unwrap();
    for line in [
        "file \"/s\" from=\"sl/notes/\"",
        "file \"/s\" from=\"site/abs\"",
        "use \"sl/frag.kdl\"",
        "isolation \"auto\" { seccomp \"sl/filter.json\"; }",
    ] {
        world.spec(&format!("{line}\noutput \"oci\""));
        for verb in ["check", "build", "lock", "explain"] {
            world.run(&[verb]).fails(3, &["appliance.kdl:4:", "the spec's folder", "path-outside"]);
        }
        world.run(&["check", "--allow-outside"]).succeeds();
    }
    // A link inside of a folder stays a link, and one that stays inside of the spec's folder may be followed.
    world.spec("file \"/s\" from=\"same/\"\noutput \"oci\"");
    world.run(&["build"]).succeeds();
}

#[test]
fn users_and_programs_that_are_not_in_the_image_are_told() {
    let world = World::new();
    world.spec("file \"/etc/x\" text=\"\" owner=\"nobdy\"\noutput \"oci\"");
    world.run(&["build"]).fails(3, &["there is no user \"nobdy\""]);
    world.spec("packages \"toy-conf\"\nservice \"web\" { run \"/usr/bin/nothing\"; }\noutput \"oci\"");
    world.run(&["build"]).fails(6, &["web", "/usr/bin/nothing"]);
    assert_eq!(world.traces(), [""; 0]);
}

#[test]
fn a_wrong_command_line_is_data_where_that_is_asked_for() {
    let world = World::new();
    for (args, word) in [
        (&["--json", "bild"][..], "bild"),
        (&["build", "--lockd", "--json"], "--lockd"),
        (&["run", "--json", "--port", "eighty"], "eighty"),
        (&["run", "--json", "--"], "missing behind"),
        (&["--json"], "requires a subcommand"),
    ] {
        let done = world.run(args);
        let value: serde_json::Value = serde_json::from_str(&done.stdout).unwrap();
        assert_eq!((done.code, value["exit"].as_i64(), done.stderr.as_str()), (Some(2), Some(2), ""), "{value:#}");
        assert!(value["error"][0].as_str().unwrap().contains(word) && value["ok"] == false, "{value:#}");
        assert!(value["help"].is_string(), "{value:#}");
    }
}

#[test]
fn a_guest_that_is_missing_is_told_with_where_it_was_looked_for() {
    let world = World::new();
    world.spec("output \"oci\"");
    fs::remove_file(world.path("guest/appliance-guest-amd64")).unwrap();
    // The real program may have a guest beside it.
    let program = crate::golden::program_for_all(&world);
    let done = Done::of(world.dressed(Command::new(&program), &["build"]).output().unwrap());
    let make = if cfg!(target_arch = "x86_64") { "make release" } else { "make guest ARCH=x86_64" };
    let beside = program.with_file_name("appliance-guest-amd64").display().to_string();
    let named = world.path("guest/appliance-guest-amd64").display().to_string();
    done.fails(6, &[&named, &beside, "lib/appliance/appliance-guest-amd64", make, "APPLIANCE_GUEST_DIR"]);
}

#[test]
fn a_wrong_command_line_is_told() {
    let world = World::new();
    world.spec("");
    world.run(&["bild"]).fails(2, &["build"]);
    world.run(&["build", "--lockd"]).fails(2, &["--locked"]);
    world.run(&["build", "missing.kdl"]).fails(3, &["missing.kdl", "appliance.kdl"]);
    world.run(&["run", "--port", "eighty"]).fails(2, &["eighty"]);
    world.run(&["run", "--port", "0:80"]).fails(2, &["0:80"]);
    world.run(&["run", "-p", "80=8080", "-p", "80=8081"]).fails(2, &["port 80", "once"]);
    world.run(&["run", "out", "--"]).fails(2, &["a command is missing behind `--`", "/bin/sh"]);
    world.run(&["new", "x", "--template", "wbe"]).fails(2, &["web"]);
    world.run(&["plan"]).fails(125, &["out"]);
    assert_eq!(world.traces(), [""; 0]);
}
