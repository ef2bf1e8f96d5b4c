//! What the command line says of slips and of what to do next, as somebody in a first hour meets it.

use std::fs;
use std::process::Command;

use crate::package::Package;
use crate::world::{Done, World};

#[test]
fn a_mirror_that_is_none_is_refused_at_once() {
    let world = World::new();
    world.spec("packages \"toy-conf\"\noutput \"oci\"");
    for verb in ["build", "lock", "run"] {
        let told = ["invalid value 'foo' for '--mirror", "http://HOST/PATH", "ARCHIVE="];
        world.run(&[verb, "--mirror", "foo"]).fails(2, &told);
    }
    world.run(&["build", "--mirror", "mirror.example.org/toy"]).fails(2, &["mean http://mirror.example.org/toy?"]);
    world.run(&["build", "--mirror", "toy=foo"]).fails(2, &["toy=foo"]);
    let value = world.run(&["build", "--json", "--mirror", "foo"]).stdout;
    let value: serde_json::Value = serde_json::from_str(&value).unwrap();
    assert!(value["help"].as_str().unwrap().contains("http://HOST/PATH"), "{value:#}");
    let with_environment = |mirror: &str| {
        let mut command = world.command(&["build"]);
        Done::of(command.env("APPLIANCE_MIRROR", mirror).output().unwrap())
    };
    with_environment("foo").fails(2, &["invalid value 'foo'", "http://HOST/PATH"]);
    assert!(!world.path("cache").exists(), "nothing was begun");
    // Nothing is no mirror; then the base image's own is asked, which does not exist.
    let told = with_environment("").text();
    assert!(!told.contains("invalid value"), "{told}");
}

#[test]
fn where_a_named_mirror_fails_the_next_is_asked() {
    let mut world = World::new();
    world.spec("packages \"toy-conf\"\noutput \"oci\"");
    let folder = world.archive.folder.display().to_string();
    world.set_mirror("http://127.0.0.1:9/dead/toy");
    // All that were asked are named, without a word before the error.
    let done =
        world.run(&["build"]).fails(5, &["127.0.0.1:9/dead/toy/", "127.0.0.1:9/toy/", "--mirror names one more"]);
    assert!(done.stderr.starts_with("error: "), "{}", done.stderr);
    let offline = world.run(&["build", "--offline"]).fails(5, &["--offline", "help: run it once without"]);
    assert_eq!(offline.text().matches("help").count(), 1, "{}", offline.text());
    fs::create_dir_all(world.path("home/.config/appliance")).unwrap();
    fs::write(world.path("home/.config/appliance/config.kdl"), format!("mirror \"{folder}\"\n")).unwrap();
    let done = world.run(&["build"]).succeeds();
    let warnings: Vec<&str> = done.stderr.lines().filter(|line| line.contains("dead")).collect();
    let [warning] = &warnings[..] else { panic!("{}", done.stderr) };
    assert!(
        warning.starts_with("warning: the release of toy one did not come from http://127.0.0.1:9/dead"),
        "{warning}"
    );
    assert!(warning.contains("refused") && warning.contains("next mirror"), "{warning}");
    // A mirror that does not have the archive is passed over without a word, and with one where -v asks for it.
    let elsewhere = crate::server::Server::of(world.path("nothing-here"));
    world.set_mirror(elsewhere.url.trim_end_matches("/toy"));
    let patient = |args: &[&str]| {
        let mut command = world.command(args);
        Done::of(command.env("APPLIANCE_PATIENCE_MS", "20000").output().unwrap()).succeeds()
    };
    let quiet = patient(&["lock", "--update"]);
    assert!(!quiet.text().contains(&elsewhere.address), "{}", quiet.text());
    let told = patient(&["lock", "--update", "-v"]);
    assert!(
        told.text().contains(&format!("the release of toy one is not at http://{}", elsewhere.address)),
        "{}",
        told.text()
    );
    // The number of its port may hold these digits by chance.
    let words = told.text().replace(&elsewhere.address, "");
    assert!(!words.contains("warning") && !words.contains("404"), "{words}");
    world.set_mirror("http://127.0.0.1:9/dead/toy");
    // An archive that no mirror has.
    fs::remove_file(world.path("home/.config/appliance/config.kdl")).unwrap();
    world.run(&["store", "clean", "--older-than", "0"]).succeeds();
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    world.run(&["build"]).fails(5, &["fetch toy-", "127.0.0.1:9/dead/toy/", "--mirror names one more"]);
}

#[test]
fn a_proxy_stands_before_other_machines_and_not_before_this_one() {
    let mut world = World::new();
    world.spec("    packages \"toy-conf\"\n    output \"oci\"");
    let proxy = crate::server::Server::of(world.archive.folder.clone());
    let build = |world: &World, variable: &str| {
        let mut command = world.command(&["build"]);
        command.env("APPLIANCE_PATIENCE_MS", "20000").env(variable, format!("http://{}", proxy.address));
        Done::of(command.output().unwrap()).succeeds()
    };
    for variable in ["http_proxy", "HTTP_PROXY", "all_proxy"] {
        world.set_mirror("http://mirror.example.org/toy");
        build(&world, variable);
        assert!(proxy.log().iter().any(|path| path.contains("toy-conf")), "{variable}: {:?}", proxy.log());
        fs::remove_dir_all(world.path("cache")).unwrap();
        fs::remove_dir_all(world.path("spec/out")).unwrap();
    }
    let (before, mirror) = (proxy.log().len(), crate::server::Server::of(world.archive.folder.clone()));
    world.set_mirror(&mirror.url);
    build(&world, "http_proxy");
    assert_eq!(proxy.log().len(), before);
}

#[test]
fn a_build_replaces_no_folder_that_is_not_its_own() {
    let world = World::new();
    world.spec("output \"oci\"");
    fs::create_dir_all(world.path("spec/mine/deep")).unwrap();
    fs::write(world.path("spec/mine/deep/notes"), "mine").unwrap();
    fs::write(world.path("spec/file"), "mine").unwrap();
    for (folder, code, why) in [
        (".", 2, "other things are in"),
        ("..", 2, "other things are in"),
        ("../spec", 2, "the spec is in it"),
        ("appliance.kdl", 2, "it is the spec"),
        ("file", 2, "a file of this name"),
        ("mine", 6, "is no bundle"),
    ] {
        world.run(&["build", "-o", folder]).fails(code, &[why, "build into", "--output out"]);
    }
    assert!(!world.path("cache").exists() && world.lock().is_empty(), "all of it is refused before any work");
    fs::create_dir(world.path("spec/empty")).unwrap();
    world.run(&["build", "-o", "empty"]).succeeds();
    assert_eq!(fs::read_to_string(world.path("spec/mine/deep/notes")).unwrap(), "mine");
}

#[test]
fn what_lies_in_a_bundle_and_is_not_of_a_build_stays() {
    let world = World::new();
    world.spec("output \"oci\"");
    let first = world.build();
    for name in ["notes.txt", "oci/readme", "own/deep/file"] {
        let path = world.path("spec/out").join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, name).unwrap();
    }
    std::os::unix::fs::symlink("nowhere", world.path("spec/out/link")).unwrap();
    world.spec("hostname \"other\"\noutput \"oci\"");
    let built = world.run(&["build"]).succeeds().text();
    for name in ["notes.txt", "oci/readme", "own/deep/file"] {
        assert_eq!(fs::read_to_string(world.path("spec/out").join(name)).unwrap(), name);
        assert!(built.contains(&format!("kept ./out/{name}")), "{built}");
    }
    assert!(fs::symlink_metadata(world.path("spec/out/link")).unwrap().is_symlink());
    assert_ne!(world.artifacts("spec/out"), first);
    assert!(world.run(&["build"]).succeeds().text().contains("up to date"));
    // What a build makes now has a name that somebody took: neither is lost.
    fs::write(world.path("spec/out/root.ext4"), "mine").unwrap();
    world.spec("output \"oci\" \"ext4\"");
    world.run(&["build"]).fails(6, &["out/root.ext4", "not of a build", "move it away"]);
    assert_eq!(fs::read_to_string(world.path("spec/out/root.ext4")).unwrap(), "mine");
    fs::remove_file(world.path("spec/out/root.ext4")).unwrap();
    world.run(&["build"]).succeeds();
    assert!(fs::metadata(world.path("spec/out/root.ext4")).unwrap().len() > 4096);
}

#[test]
fn a_folder_is_no_spec() {
    let world = World::new();
    fs::create_dir(world.path("spec/appliance.kdl")).unwrap();
    for verb in ["check", "build", "fmt", "lock", "explain"] {
        world.run(&[verb]).fails(3, &["appliance.kdl: it is a folder", "name the spec itself"]);
        world.run(&[verb, "."]).fails(3, &["appliance.kdl: it is a folder"]);
    }
}

#[test]
fn a_file_that_is_no_text_is_named_as_what_it_is() {
    let world = World::new();
    let text = "appliance \"x\" {\n}\n";
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (bytes, told) in [
        (&utf16[..], "UTF-16 text"),
        (b"\x7fELF\x02\x01\x01\0\0\x1b[31m", "no text but something else"),
        (b"appliance \"x\" {\n summary \"\xe9\"\n}", "0xE9"),
    ] {
        world.spec_text(bytes);
        for verb in ["check", "fmt", "build"] {
            let done = world.run(&[verb]).fails(3, &[told, "appliance.kdl:", "not-utf8"]);
            assert!(!done.text().contains('\u{1b}') && !done.text().contains('\0'), "{:?}", done.text());
        }
    }
}

#[test]
fn the_lock_is_said_to_move_when_it_does() {
    let world = World::new();
    world.spec("packages \"toy-conf\"\noutput \"oci\"");
    assert!(!world.run(&["build"]).succeeds().text().contains("the lock"));
    world.spec("packages \"toy-conf\" \"toy-links\"\noutput \"oci\"");
    let text = world.run(&["build"]).succeeds().text();
    assert!(text.contains("the lock moves: package added: toy-links"), "{text}");
    let renamed = fs::read_to_string(world.path("spec/appliance.kdl")).unwrap().replace("1.0.0", "1.0.1");
    world.spec_text(renamed);
    let text = world.run(&["build"]).succeeds().text();
    assert!(!text.contains("the lock moves"), "{text}");
    // What cannot be had moves nothing.
    let lock = world.lock();
    world.spec("packages \"toy-conf\" \"toy-nothing\"\noutput \"oci\"");
    let text = world.run(&["build"]).fails(4, &["toy-nothing"]).text();
    assert!(!text.contains("the lock") && world.lock() == lock, "{text}");
    // What was chosen and is not at hand moves nothing either.
    world.spec("packages \"toy-conf\" \"toy-links\" \"toy-many\"\noutput \"oci\"");
    let text = world.run(&["build", "--offline"]).fails(5, &["toy-many"]).text();
    assert!(!text.contains("the lock moves") && world.lock() == lock, "{text}");
}

#[test]
fn a_build_that_waits_for_another_one_says_so() {
    use std::io::{BufRead, BufReader};
    let world = World::new();
    world.spec("output \"oci\"");
    world.build();
    let mut locks = fs::read_dir(world.path("cache/locks")).unwrap().map(|entry| entry.unwrap().path());
    let turn = locks.find(|path| path.file_name().unwrap().to_str().unwrap().starts_with("output-")).unwrap();
    let other = fs::File::open(turn).unwrap();
    other.lock().unwrap();
    let mut child = world.command(&["build"]).stderr(std::process::Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(child.stderr.take().unwrap());
    said.read_line(&mut line).unwrap();
    assert_eq!(line, "waits for another build of ./out\n");
    drop(other);
    line.clear();
    said.read_line(&mut line).unwrap();
    assert!(line.contains("is up to date"), "{line}");
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_folder_without_a_spec_is_told_as_such() {
    let world = World::new();
    for verb in ["check", "build", "lock", "explain", "fmt"] {
        let told =
            ["there is no appliance.kdl in this folder", "help: name a spec or its folder", "appliance new NAME"];
        let text = world.run(&[verb]).fails(3, &told).text();
        assert!(!text.contains("os error"), "{text}");
        world.run(&[verb, "nowhere/x.kdl"]).fails(3, &["there is no folder nowhere"]);
    }
    fs::write(world.path("spec/other.kdl"), "appliance \"x\"\n").unwrap();
    world.run(&["check"]).fails(3, &["there is other.kdl"]);
}

#[test]
fn a_plan_is_that_of_a_spec_its_folder_or_its_bundle() {
    let world = World::new();
    world.run(&["plan"]).fails(125, &["neither a spec nor a bundle"]);
    world.run(&["plan", "nowhere"]).fails(125, &["no such file or folder"]);
    world.spec("output \"oci\"");
    world.run(&["plan"]).fails(125, &["no bundle in ./out yet", "appliance build ."]);
    world.build();
    let plan = world.run(&["plan", "out"]).succeeds().stdout;
    assert!(plan.starts_with("toy would run"), "{plan}");
    for what in [&[][..], &["."], &["appliance.kdl"], &["../spec"]] {
        assert_eq!(world.run(&[&["plan"], what].concat()).succeeds().stdout, plan, "{what:?}");
    }
}

#[test]
fn what_is_missing_offline_is_counted_and_the_first_of_it_named() {
    let many: Vec<Package> = (0..12).map(|number| Package::new(&format!("one-{number:02}"), "1.0")).collect();
    let world = World::of(&[vec![crate::toys::base(), crate::toys::tools()], many].concat());
    let names: Vec<String> = (0..12).map(|number| format!("\"one-{number:02}\"")).collect();
    world.spec(&format!("packages {}\noutput \"oci\"", names.join(" ")));
    world.run(&["lock"]).succeeds();
    let text = world.run(&["build", "--offline"]).fails(5, &["packages (", "more)", "appliance build"]).text();
    assert!(text.lines().count() < 6 && !text.contains("one-11"), "{text}");
    world.run(&["build"]).succeeds();
}

#[test]
fn the_next_step_is_said_and_not_where_nobody_reads_it() {
    let world = World::new();
    let made = world.run(&["new", "mine"]).succeeds();
    for step in ["appliance check mine", "appliance run mine ", "appliance build mine"] {
        assert!(made.stderr.contains(step), "{}", made.stderr);
    }
    world.spec_text("appliance \"toy\" {\n    base \"scratch\"\n    output \"oci\"\n}\n");
    let built = world.run(&["build"]).succeeds();
    assert!(built.stderr.contains("run it with: appliance run ./out") && built.stdout.is_empty(), "{}", built.text());
    for quiet in ["--quiet", "--json"] {
        assert_eq!(world.run(&["build", quiet]).succeeds().stderr, "");
    }
    assert_eq!(world.run(&["--quiet", "new", "other"]).succeeds().text(), "");
}

#[test]
fn a_bundle_for_other_processors_says_what_the_spec_lacks() {
    let world = World::new();
    let (own, other) = if cfg!(target_arch = "aarch64") { ("arm64", "amd64") } else { ("amd64", "arm64") };
    world.spec_text(format!(
        "appliance \"toy\" {{\n    base \"scratch\"\n    arch \"{other}\"\n    output \"oci\"\n}}\n"
    ));
    world.run(&["build"]).succeeds();
    let lacks = format!("it has no image for {own}, only for {other}");
    let help = format!("add `arch \"{own}\"` to the spec, as `arch \"{other}\" \"{own}\"`, and build it again");
    for verb in ["plan", "run"] {
        world.run(&[verb, "out"]).fails(125, &[&lacks, &help]);
    }
}

#[test]
fn a_check_misses_a_local_image_that_is_not_there() {
    let world = World::new();
    for (image, path) in [("oci:nowhere:v1", "nowhere"), ("docker-archive:nofile.tar", "nofile.tar")] {
        world.spec_text(format!("appliance \"toy\" {{\n    base \"oci\" \"{image}\"\n    output \"oci\"\n}}\n"));
        world.run(&["check"]).fails(3, &[&format!("there is no \"{path}\" beside the spec"), ":2:16"]);
    }
}

#[test]
fn a_cache_that_is_all_young_says_how_it_is_emptied() {
    let world = World::new();
    world.run(&["store", "clean"]).succeeds().fails(0, &["removed 0 entries"]);
    world.spec("packages \"toy-conf\"\noutput \"oci\"");
    world.build();
    for verb in ["clean", "gc"] {
        world.run(&["store", verb]).fails(0, &["the last 30 days", "appliance store clean --older-than 0"]);
    }
    let emptied = world.run(&["store", "clean", "--older-than", "0"]).succeeds().text();
    assert!(!emptied.contains("--older-than") && !emptied.contains("removed 0 "), "{emptied}");
    let again = world.run(&["store", "clean"]).succeeds().text();
    assert!(!again.contains("--older-than"), "{again}");
}

#[test]
fn near_misses_of_verbs_and_options_are_told() {
    let world = World::new();
    world.spec("output \"oci\"");
    for (args, meant) in [
        (&["chekc"][..], "'check'"),
        (&["biuld"], "'build'"),
        (&["build", "--ofline"], "'--offline'"),
        (&["store", "claen"], "'clean'"),
        (&["completion", "bahs"], "'bash'"),
        (&["build", "--scripts", "emulate"], "emulate-only"),
    ] {
        world.run(args).fails(2, &[meant, "similar"]);
    }
}

#[test]
fn completions_are_scripts_that_their_shells_take() {
    let world = World::new();
    for shell in ["bash", "zsh", "fish"] {
        let script = world.run(&["completion", shell]).succeeds().stdout;
        assert!(script.contains("appliance") && script.contains("offline"), "{shell}");
        if crate::support::tool(shell).is_none() {
            crate::support::skip("completions_are_scripts_that_their_shells_take", &format!("there is no {shell}"));
            continue;
        }
        let path = world.path(shell);
        fs::write(&path, script).unwrap();
        let done = Done::of(Command::new(shell).arg("-n").arg(&path).output().unwrap()).succeeds();
        assert_eq!(done.stderr, "");
    }
}
