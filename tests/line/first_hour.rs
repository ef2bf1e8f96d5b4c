//! What a newcomer does first: a template, its check, its expansion, one format, a build, a change, the cache.

use std::fs;
use std::process::Command;

use crate::support::{skip, tool};
use crate::world::{Done, World};

#[test]
fn every_template_checks_expands_and_is_formatted() {
    let world = World::new();
    for template in ["minimal", "web", "agent", "inference"] {
        world.run(&["new", template, "--template", template]).succeeds();
        let spec = format!("{template}/appliance.kdl");
        world.run(&["check", template]).succeeds();
        world.run(&["fmt", "--check", &spec]).succeeds();
        let expanded = world.run(&["explain", template]).succeeds();
        for word in ["base \"debian\"", "built-in", "isolation"] {
            assert!(expanded.stdout.contains(word), "{template}: {}", expanded.stdout);
        }
        world.run(&["new", template]).fails(1, &["choose another name"]);
    }
    world.run(&["new", "alp", "--base", "alpine"]).succeeds();
    let expanded = world.run(&["explain", "alp"]).succeeds().stdout;
    assert!(expanded.contains("alpine") && expanded.contains("v3.20"), "{expanded}");
    for brought in
        ["packages: alpine-baselayout ", "archive alpine: v3.20, ", "kernel, where one is booted: linux-virt"]
    {
        assert!(expanded.contains(&format!("// the base image's {brought}")), "{expanded}");
    }
    world.run(&["new", "other", "--base", "alpine", "--template", "web"]).fails(2, &["its packages", "minimal"]);
    world.run(&["new", "other", "--base", "alpin"]).fails(2, &["find the base \"alpin\"", "alpine, debian"]);
    world.run(&["new", "other", "--base", "oci"]).fails(2, &["base \"oci\" \"docker.io/"]);
    world.run(&["new", "other", "--base", "scratch"]).fails(2, &["base \"scratch\""]);
    world.run(&["new", "other", "--template", "wbe"]).fails(2, &["wbe", "web"]);
    world.run(&["new", "Not A Name"]).fails(2, &["Not A Name"]);
    assert!(!world.path("spec/other").exists() && !world.path("spec/Not A Name").exists());
}

#[test]
fn fmt_changes_only_the_form() {
    let world = World::new();
    world.spec_text(
        "appliance   \"toy\"  version=\"1\" {\nbase \"toy\"\n  packages    \"toy-conf\"\noutput \"oci\" \n}\n",
    );
    world.run(&["fmt", "--check"]).fails(1, &["appliance.kdl"]);
    let before = world.build();
    world.run(&["fmt"]).succeeds();
    world.run(&["fmt", "--check"]).succeeds();
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    assert_eq!(world.build(), before);
}

#[test]
fn a_spec_may_come_from_standard_input() {
    let world = World::new();
    let text = "appliance   \"toy\"  version=\"1\" {\nbase \"toy\"\n}\n";
    let formatted = world.run_with(text, &["fmt", "-"]).succeeds();
    assert_eq!(formatted.stdout, "appliance \"toy\" version=\"1\" {\n    base \"toy\"\n}\n");
    assert_eq!(world.run_with(&formatted.stdout, &["fmt", "--check", "-"]).succeeds().stdout, "");
    world.run_with(text, &["fmt", "--check", "-"]).fails(1, &["would format <stdin>"]);
    world.run_with("appliance {", &["fmt", "-"]).fails(3, &["<stdin>:1:"]);
    world.run_with(text, &["fmt", "-", "appliance.kdl"]).fails(2, &["alone"]);
    assert!(world.run_with(text, &["explain", "-"]).succeeds().stdout.contains("base \"toy\""));
    world.run_with(text, &["check", "-"]).fails(0, &["<stdin> is a valid spec of toy 1"]);
    world.run_with(&text.replace("base", "bse"), &["check", "-"]).fails(3, &["<stdin>:2:", "did you mean `base`?"]);
    world.run_with(text, &["build", "-"]).fails(3, &["needs a file"]);
    assert_eq!(world.traces(), [""; 0]);
}

#[test]
fn a_change_of_a_file_is_noticed_and_nothing_else_is_done_again() {
    let world = World::new();
    world.spec("packages \"toy-conf\"\nfile \"/etc/motd\" from=\"motd\"\noutput \"oci\" \"ext4\"");
    fs::write(world.path("spec/motd"), "one\n").unwrap();
    let first = world.build();
    assert!(world.run(&["build"]).succeeds().text().contains("up to date"));
    fs::write(world.path("spec/motd"), "two\n").unwrap();
    assert_ne!(world.build(), first);
    fs::write(world.path("spec/motd"), "one\n").unwrap();
    assert_eq!(world.build(), first);
    // A bundle that somebody changed is made again.
    let disk = world.path("spec/out/root.ext4");
    fs::write(&disk, "somebody was here").unwrap();
    assert_eq!(world.build(), first);
    assert!(fs::metadata(disk).unwrap().len() > 100_000);
}

#[test]
fn the_cache_is_shown_checked_and_cleaned() {
    let world = World::new();
    world.spec("packages \"toy-conf\"\noutput \"oci\"");
    let first = world.build();
    let path = world.run(&["store", "path"]).succeeds();
    assert_eq!(path.stdout.trim(), world.path("cache").display().to_string());
    let usage = world.run(&["--json", "store", "usage"]).succeeds();
    let usage: serde_json::Value = serde_json::from_str(&usage.stdout).unwrap();
    assert!(usage["usage"].as_array().unwrap().iter().any(|row| row["bytes"].as_u64() > Some(1000)), "{usage:#}");
    world.run(&["store", "verify"]).succeeds();
    let spoiled = spoil(&world.path("cache"));
    world.run(&["store", "verify"]).fails(1, &["was damaged and has been removed"]);
    assert!(!spoiled.exists());
    world.run(&["store", "verify"]).succeeds();
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    assert_eq!(world.build(), first);
    world.run(&["store", "clean", "--older-than", "0"]).succeeds();
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    assert_eq!(world.build(), first);
}

/// Changes a byte of the largest file of the cache.
fn spoil(cache: &std::path::Path) -> std::path::PathBuf {
    fn walk(folder: &std::path::Path, found: &mut Vec<(u64, std::path::PathBuf)>) {
        for entry in fs::read_dir(folder).unwrap().flatten() {
            let meta = entry.metadata().unwrap();
            if meta.is_dir() {
                walk(&entry.path(), found);
            } else {
                found.push((meta.len(), entry.path()));
            }
        }
    }
    let mut found = Vec::new();
    walk(cache, &mut found);
    let (_, path) = found.into_iter().max().unwrap();
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn results_are_data_where_that_is_asked_for() {
    let world = World::new();
    world.spec("packages \"toy-conf\"\noutput \"oci\"");
    let built = world.run(&["--json", "build"]).succeeds();
    let built: serde_json::Value = serde_json::from_str(&built.stdout).unwrap();
    assert_eq!((built["ok"].as_bool(), built["unchanged"].as_bool()), (Some(true), Some(false)));
    assert_eq!(built["manifest"]["name"], "toy");
    let failed = world.run(&["--json", "build", "nowhere.kdl"]);
    let value: serde_json::Value = serde_json::from_str(&failed.stdout).unwrap();
    assert_eq!((failed.code, value["exit"].as_i64(), value["ok"].as_bool()), (Some(3), Some(3), Some(false)));
    assert!(failed.stderr.is_empty(), "{}", failed.stderr);
    let plan = world.run(&["plan", "--oci"]).succeeds();
    let plan: serde_json::Value = serde_json::from_str(&plan.stdout).unwrap();
    assert_eq!((plan["root"]["readonly"].as_bool(), plan["ociVersion"].is_string()), (Some(true), true), "{plan:#}");
}

#[test]
fn completion_knows_templates_and_files() {
    let world = World::new();
    let script = |shell: &str| world.run(&["completion", shell]).succeeds().stdout;
    assert!(script("zsh").contains("NAME:(agent inference minimal web)") && script("zsh").contains("::spec -- "));
    assert!(
        script("zsh").contains("where only one runs:_appliance_instances'")
            && script("fish").contains("ps --all --names")
    );
    assert!(script("fish").contains("-l template -d 'The template to start from' -r -f -a \"agent"));
    let Some(bash) = tool("bash") else { return skip("completion_knows_templates_and_files", "there is no bash") };
    fs::write(world.path("spec/script"), script("bash")).unwrap();
    // Bash completes files itself where the function gives nothing.
    let words = "source ./script\ntry() { COMP_WORDS=(\"$@\"); COMP_CWORD=$(($# - 1)); COMPREPLY=()\n\
        _appliance_or_files appliance \"${COMP_WORDS[$COMP_CWORD]}\" \"${COMP_WORDS[$COMP_CWORD - 1]}\"; echo \"=${COMPREPLY[*]}\"; }\n\
        try appliance chec\ntry appliance new x --template ''\ntry appliance check ''\ntry appliance run ap\n\
        try appliance volume ''\ntry appliance build --lock\ncomplete -p appliance\n";
    let done = Done::of(Command::new(bash).args(["-c", words]).current_dir(world.path("spec")).output().unwrap());
    let lines: Vec<&str> = done.stdout.lines().collect();
    let files = "complete -o bashdefault -o default -F _appliance_or_files appliance";
    let expected = ["=check", "=agent inference minimal web", "=", "=", "=ls list rm remove help", "=--locked", files];
    assert_eq!(lines, expected, "{}", done.stderr);
}
