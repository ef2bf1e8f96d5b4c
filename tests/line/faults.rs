//! Builds that are killed at any moment, and builds that meet: the next one succeeds with the same bytes.

use std::fs;
use std::process::Stdio;
use std::time::Duration;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::world::{Done, World};

fn world() -> World {
    let world = World::new();
    crate::golden::put_spec(&world.path("spec"), false);
    world
}

/// Delays that look random and are the same in every run (the constants are those of Numerical Recipes).
fn delays(seed: u32, longest_ms: u32) -> impl Iterator<Item = Duration> {
    let mut state = seed;
    std::iter::repeat_with(move || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        Duration::from_millis(u64::from((state >> 8) % longest_ms))
    })
}

/// Builds that get this signal after ever other times; then one that is left alone.
fn check_killed(signal: Signal, seed: u32, keep_cache: bool) {
    let world = world();
    let expected = world.build();
    let lock = world.lock();
    for delay in delays(seed, 450).take(14) {
        if !keep_cache {
            let _ = fs::remove_dir_all(world.path("cache"));
        }
        let _ = fs::remove_dir_all(world.path("spec/out"));
        let _ = fs::remove_file(world.path("spec/appliance.lock"));
        let mut child = world.command(&["build"]).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(delay);
        let _ = kill(Pid::from_raw(child.id().try_into().unwrap()), signal);
        let status = child.wait().unwrap();
        if world.path("spec/out").exists() {
            // What has its final name is complete.
            assert_eq!(world.artifacts("spec/out"), expected, "{delay:?}");
        } else {
            assert!(!status.success());
        }
        if signal != Signal::SIGKILL {
            let half: Vec<String> = world.traces().into_iter().filter(|name| name != "out").collect();
            assert_eq!(half, [""; 0], "{signal} after {delay:?}");
        }
    }
    assert_eq!(world.build(), expected);
    assert_eq!(world.traces(), ["out"]);
    assert!(world.lock() == lock, "{}", world.lock());
    world.run(&["store", "verify"]).succeeds();
}

#[test]
fn a_killed_build_with_an_empty_cache_leaves_the_next_one_whole() {
    check_killed(Signal::SIGKILL, 1, false);
}

#[test]
fn a_killed_build_leaves_a_cache_that_can_be_used() {
    check_killed(Signal::SIGKILL, 2, true);
}

#[test]
fn an_interrupted_build_leaves_nothing_behind() {
    check_killed(Signal::SIGINT, 3, false);
    check_killed(Signal::SIGTERM, 4, false);
}

/// Builds that start together, each with its output; all must end well with the same bytes.
fn check_together(world: &World, outputs: &[&str]) {
    let expected = world.build();
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    for _ in 0..3 {
        let _ = fs::remove_dir_all(world.path("cache"));
        let start = |output: &&str| {
            let mut command = world.command(&["build", "--output", output]);
            command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
        };
        let children: Vec<_> = outputs.iter().map(start).collect();
        for child in children {
            Done::of(child.wait_with_output().unwrap()).succeeds();
        }
        for output in outputs {
            assert_eq!(world.artifacts(&format!("spec/{output}")), expected);
        }
        let half: Vec<String> = world.traces().into_iter().filter(|name| name.contains("making")).collect();
        assert_eq!(half, [""; 0]);
    }
}

#[test]
fn builds_at_once_into_different_folders_share_the_cache() {
    check_together(&world(), &["out", "second", "third"]);
}

#[test]
fn builds_at_once_into_the_same_folder_leave_one_whole_bundle() {
    check_together(&world(), &["out", "out", "out"]);
}
