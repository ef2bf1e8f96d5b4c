//! The lock: written when absent, used when current, moved when the spec moves, refused when it must not.

use std::fs;

use crate::archive::{DAY, FIRST_DAY, Release};
use crate::package::Package;
use crate::toys;
use crate::world::World;

/// A mirror that nothing answers at.
const DEAD: &str = "http://127.0.0.1:9/toy";

fn toy(name: &str, version: &str) -> Package {
    let text = format!("{name} {version}\n");
    Package::new(name, version).needs("toy-base").file(&format!("usr/share/{name}"), 0o644, text)
}

/// An archive with `a` and `b` in their first versions, and a spec that asks for both.
fn first() -> World {
    let world = World::of(&[toys::base(), toy("toy-a", "1.0"), toy("toy-b", "1.0"), toy("toy-c", "1.0")]);
    world.spec("packages \"toy-a\" \"toy-b\"\noutput \"oci\"");
    world
}

/// A day later there are new versions beside the old ones.
fn next_day(world: &World) {
    let all = ["toy-a", "toy-b", "toy-c"].into_iter().flat_map(|name| [toy(name, "1.0"), toy(name, "2.0")]);
    let packages: Vec<Package> = all.chain([toys::base()]).collect();
    world.archive.publish(&packages, &Release { date: FIRST_DAY + DAY, ..Release::default() });
}

/// Whether `toy-a`, `toy-b` are locked in these versions.
#[track_caller]
fn check_versions(world: &World, a: &str, b: &str) {
    for (name, version) in [("toy-a", a), ("toy-b", b)] {
        let line = world.locked_version(name);
        assert!(line.contains(&format!("\"{name}\" \"{version}\"")), "{line}");
    }
}

#[test]
fn an_absent_lock_is_written_and_a_current_one_needs_no_network() {
    let mut world = first();
    let cold = world.build();
    check_versions(&world, "1.0", "1.0");
    let lock = world.lock();
    next_day(&world);
    world.set_mirror(DEAD);
    for args in [&["build"][..], &["build", "--offline"], &["build", "--locked"], &["build", "--locked", "--offline"]] {
        fs::remove_dir_all(world.path("spec/out")).unwrap();
        world.run(args).succeeds();
        assert_eq!((world.artifacts("spec/out"), world.lock()), (cold.clone(), lock.clone()), "{args:?}");
    }
}

#[test]
fn without_a_lock_or_a_cache_offline_says_what_is_missing() {
    let world = first();
    world.run(&["build", "--offline"]).fails(5, &["the release of toy one", "store"]);
    assert_eq!(world.traces(), [""; 0]);
    world.run(&["lock"]).succeeds();
    world.run(&["build", "--offline"]).fails(5, &["toy-"]);
    world.build();
}

#[test]
fn a_changed_spec_moves_the_lock_and_says_why() {
    let world = first();
    world.build();
    next_day(&world);
    world.spec("packages \"toy-a\" \"toy-b\" \"toy-c\"\noutput \"oci\"");
    let lock = world.lock();
    let refused = world.run(&["build", "--locked"]).fails(7, &["package added: toy-c", "appliance lock"]);
    assert!(!refused.text().contains("removed"), "{}", refused.text());
    assert_eq!(world.lock(), lock, "a refused lock is left alone");
    let done = world.run(&["build"]).succeeds();
    assert!(done.text().contains("the lock moves: package added: toy-c"), "{}", done.text());
    // What need not move does not.
    check_versions(&world, "1.0", "1.0");
    assert!(world.locked_version("toy-c").contains("\"2.0\""));
    world.spec("packages \"toy-c\"\noutput \"oci\"");
    world.run(&["build", "--locked"]).fails(7, &["package removed: toy-a", "package removed: toy-b"]);
    world.run(&["build"]).succeeds();
    assert!(!world.lock().contains("toy-a"));
}

#[test]
fn what_the_lock_does_not_depend_on_leaves_it_alone() {
    let world = first();
    world.build();
    let packages = |lock: String| -> Vec<String> {
        lock.lines().filter(|line| line.contains("package ") || line.starts_with("spec ")).map(str::to_owned).collect()
    };
    let before = packages(world.lock());
    next_day(&world);
    world.spec("packages \"toy-a\" \"toy-b\"\nfile \"/etc/motd\" text=\"new\\n\"\noutput \"oci\"");
    world.run(&["build", "--locked"]).succeeds();
    assert_eq!(packages(world.lock()), before);
}

#[test]
fn locked_without_a_lock_is_refused() {
    let world = first();
    world.run(&["build", "--locked"]).fails(7, &["there is no lock yet"]);
    assert_eq!((world.traces(), world.lock()), (vec![], String::new()));
}

#[test]
fn update_moves_what_was_named_and_nothing_else() {
    let world = first();
    world.run(&["lock"]).succeeds();
    next_day(&world);
    let kept = world.run(&["lock"]).succeeds();
    assert!(kept.text().contains("nothing moved"), "{}", kept.text());
    check_versions(&world, "1.0", "1.0");
    let moved = world.run(&["lock", "--update", "toy-a"]).succeeds();
    assert!(moved.text().contains("toy-a 1.0 → 2.0"), "{}", moved.text());
    check_versions(&world, "2.0", "1.0");
    world.run(&["lock", "--update", "toy-d"]).fails(2, &["toy-d", "no such package"]);
    check_versions(&world, "2.0", "1.0");
    world.run(&["lock", "--update"]).succeeds();
    check_versions(&world, "2.0", "2.0");
    world.build();
}

#[test]
fn a_damaged_lock_is_refused_and_left_alone() {
    let world = first();
    world.build();
    let good = world.lock();
    let cut: String = good.chars().take(good.len() / 2).collect();
    let cases = [
        (cut, "lock"),
        ("not a lock at all".to_owned(), "lock"),
        (String::new(), "lock"),
        (good.replace("lock version=1", "lock version=99"), "99"),
        (good.replace("sha256=\"", "sha256=\"z"), "sha256"),
        (good.replace("path=\"pool", "path=\"../../pool"), "path"),
    ];
    for (text, word) in cases {
        fs::write(world.path("spec/appliance.lock"), &text).unwrap();
        for args in [&["build"][..], &["build", "--locked"], &["lock"]] {
            world.run(args).fails(7, &["appliance.lock", word, "remove it and build again"]);
        }
        assert_eq!(world.lock(), text);
    }
    fs::write(world.path("spec/appliance.lock"), [0xff, 0xfe, 0x00]).unwrap();
    world.run(&["build"]).fails(7, &["appliance.lock"]);
    fs::remove_file(world.path("spec/appliance.lock")).unwrap();
    world.build();
    assert_eq!(world.lock(), good);
}

#[test]
fn a_lock_edited_by_hand_gives_nothing_that_it_does_not_say() {
    let world = first();
    world.build();
    let good = world.lock();
    let line = world.locked_version("toy-a");
    let sha256 = line.split("sha256=\"").nth(1).unwrap().split('"').next().unwrap();
    let blake3 = line.split("blake3=\"").nth(1).unwrap().split('"').next().unwrap();
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    // Another request: it is told that the lock moves, or refused.
    fs::write(
        world.path("spec/appliance.lock"),
        good.replace("request \"package\" \"toy-a\"", "request \"package\" \"toy-c\""),
    )
    .unwrap();
    world.run(&["build", "--locked"]).fails(7, &["package added: toy-a", "package removed: toy-c"]);
    // Other bytes: nothing has them.
    let zeros = "0".repeat(64);
    let other = good.replace(sha256, &zeros).replace(&format!(" blake3=\"{blake3}\""), "");
    fs::write(world.path("spec/appliance.lock"), other).unwrap();
    world.run(&["build", "--locked"]).fails(5, &["toy-a"]);
    // One digest of the two: they do not agree.
    fs::write(world.path("spec/appliance.lock"), good.replace(blake3, &zeros)).unwrap();
    world.run(&["build", "--locked"]).fails(5, &["toy-a"]);
    assert_eq!(world.traces(), [""; 0]);
}
