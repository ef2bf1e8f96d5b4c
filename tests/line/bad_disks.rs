//! Disks that are full, read-only or hold something else: told with the path, the old bundle stays, the next build works.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::process::Command;

use crate::support::{is_root, skip, tool};
use crate::world::{Done, World};

fn world() -> World {
    let world = World::new();
    world.spec("packages \"toy-large\" \"toy-many\"\noutput \"oci\" \"ext4\"");
    world
}

#[test]
fn what_is_not_a_bundle_is_not_replaced() {
    let world = world();
    fs::create_dir(world.path("spec/out")).unwrap();
    fs::write(world.path("spec/out/precious"), "data").unwrap();
    world.run(&["build"]).fails(6, &["out", "no bundle", "--output"]);
    assert_eq!(fs::read_to_string(world.path("spec/out/precious")).unwrap(), "data");
    assert_eq!(world.traces(), ["out"]);
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    fs::write(world.path("spec/out"), "a file").unwrap();
    let done = world.run(&["build"]);
    assert_eq!(done.code, Some(6), "{}", done.text());
    assert_eq!(fs::read_to_string(world.path("spec/out")).unwrap(), "a file");
    world.run(&["build", "--output", "elsewhere"]).succeeds();
    assert_eq!(world.traces(), ["out"]);
}

#[test]
fn a_folder_that_cannot_be_written_is_told() {
    let test = "a_folder_that_cannot_be_written_is_told";
    let world = world();
    fs::create_dir(world.path("closed")).unwrap();
    fs::set_permissions(world.path("closed"), fs::Permissions::from_mode(0o555)).unwrap();
    let args = ["build", "--output", "../closed/out"];
    let mut command = world.command(&args);
    if is_root() {
        if tool("setpriv").is_none() {
            return skip(test, "root may write anywhere and there is no setpriv to become another user");
        }
        world.open_to_all();
        fs::set_permissions(world.path("closed"), fs::Permissions::from_mode(0o555)).unwrap();
        let program = crate::golden::program_for_all(&world);
        command = Command::new("setpriv");
        command.args(["--reuid", "65534", "--regid", "65534", "--clear-groups"]).arg(program);
        command = world.dressed(command, &args);
        chown(world.path("spec"), Some(65534), Some(65534)).unwrap();
    }
    Done::of(command.output().unwrap()).fails(6, &["closed", "ermission denied"]);
    assert_eq!(fs::read_dir(world.path("closed")).unwrap().count(), 0);
    fs::set_permissions(world.path("closed"), fs::Permissions::from_mode(0o777)).unwrap();
    Done::of(command.output().unwrap()).succeeds();
}

/// Builds with a disk of this size at `place`, then again after it has grown.
fn check_full(test: &str, place: &str, size_kib: u32) {
    let world = world();
    let expected = world.build();
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    fs::remove_dir_all(world.path("cache")).unwrap();
    let spec = fs::read(world.path("spec/appliance.kdl")).unwrap();
    let place = world.path(place);
    fs::create_dir_all(&place).unwrap();
    fs::write(world.path("appliance.kdl"), spec).unwrap();
    let program = env!("CARGO_BIN_EXE_appliance");
    let script = format!(
        "mount -t tmpfs -o size={size_kib}k none '{0}' || exit 99\n\
         cp '{1}/appliance.kdl' '{1}/spec/'\ncd '{1}/spec'\n\
         '{program}' build; echo first $? >&2\nls -A >&2; echo listed >&2\n\
         mount -o remount,size=500m '{0}'\n'{program}' build -q || exit 98\ncp -r out '{1}/result'\nls -A '{1}/spec' >&2",
        place.display(),
        world.path("").display(),
    );
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", &script]);
    let done = Done::of(world.dressed(command, &[]).output().unwrap());
    if done.code == Some(99) || done.text().starts_with("unshare:") {
        return skip(test, &done.text());
    }
    let (first, second) = done.stderr.split_once("listed\n").unwrap_or_else(|| panic!("{}", done.text()));
    assert_eq!(done.code, Some(0), "{}", done.text());
    assert!(["first 1\n", "first 5\n", "first 6\n"].iter().any(|word| first.contains(word)), "{size_kib} KiB: {first}");
    assert!(first.contains("No space left on device"), "{size_kib} KiB: {first}");
    assert!(!first.contains("making") && !first.contains("panicked"), "{size_kib} KiB: {first}");
    assert!(!second.contains("making"), "{second}");
    assert_eq!(world.artifacts("result"), expected);
}

#[test]
fn a_full_disk_is_told_at_every_stage() {
    let test = "a_full_disk_is_told_at_every_stage";
    if !is_root() {
        return skip(test, "only root can make a small disk");
    }
    if tool("unshare").is_none() {
        return skip(test, "there is no unshare");
    }
    // While it fetches, while it unpacks, and while it writes layers into the cache.
    for size_kib in [8, 2_000, 20_000, 31_000] {
        check_full(test, "cache", size_kib);
    }
    // While it writes the lock, the layers and the disk.
    for size_kib in [12, 400, 2_000] {
        check_full(test, "spec", size_kib);
    }
}
