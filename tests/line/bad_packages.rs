//! Hostile and broken packages that carry a good signature: the archive may be trusted, its packages still do not
//! get out of the root, and nothing of them is half-written.

use crate::archive::{DAY, FIRST_DAY, Release};
use crate::debs::{ar, raw_entry, raw_tar, seal};
use crate::package::{Package, Packing, pack};
use crate::support::{is_root, skip, static_busybox};
use crate::toys;
use crate::world::World;

fn good() -> Package {
    Package::new("toy-bad", "1.0").needs("toy-base").file("usr/share/toy-bad", 0o644, "good after all\n")
}

fn world_with(bad: Package) -> World {
    let world = World::of(&[toys::base(), toys::tools(), bad]);
    world.spec("packages \"toy-bad\"\noutput \"oci\" \"ext4\"");
    world
}

/// A package that must be refused with these words; the archive's next release is good again.
fn check(bad: Package, words: &[&str]) {
    let world = world_with(bad);
    world.run(&["build"]).fails(6, words);
    assert_eq!(world.traces(), [""; 0]);
    let mut better = good();
    better.version = "1.1".to_owned();
    world.archive.publish(&[toys::base(), better], &Release { date: FIRST_DAY + DAY, ..Release::default() });
    world.run(&["lock", "--update", "toy-bad"]).succeeds();
    world.build();
}

/// The same for a data archive of these raw entries.
fn check_entries(entries: &[Vec<u8>], words: &[&str]) {
    check_data("data.tar", &raw_tar(entries), words);
}

fn check_data(name: &str, data: &[u8], words: &[&str]) {
    let words = [&["toy-bad"], words].concat();
    check(good().raw(good().bytes_with_data(name, data)), &words);
}

#[test]
fn no_package_leaves_the_root() {
    check_entries(&[raw_entry(b'0', "./../outside", "", b"x")], &["`..`"]);
    check_entries(&[raw_entry(b'0', "./a/../../outside", "", b"x")], &["`..`"]);
    check_entries(&[raw_entry(b'0', "/outside", "", b"x")], &["absolute"]);
    check_entries(&[raw_entry(b'1', "./a", "../../outside", b"")], &["`..`"]);
    check_entries(&[raw_entry(b'1', "./a", "/etc/shadow", b"")], &["absolute"]);
    let through = [raw_entry(b'2', "./out", "/tmp", b""), raw_entry(b'0', "./out/file", "", b"x")];
    check_entries(&through, &["/out/file"]);
}

#[test]
fn links_out_of_the_root_stay_inside_it() {
    // Another package may go through a link that an earlier one brought: always below the root.
    let link = Package::new("toy-way", "1.0").needs("toy-base").link("srv", "/../../../../var/lib");
    let through = Package::new("toy-bad", "1.0").needs("toy-way").dir("srv", 0o755).file("srv/x", 0o644, "x\n");
    let world = World::of(&[toys::base(), link, through]);
    world.spec("packages \"toy-bad\"\noutput \"ext4\"");
    world.build();
    let root = crate::conformance::Ext4::of(&world.path("spec/out/root.ext4"));
    if let Some(root) = root {
        assert_eq!(root.cat("/var/lib/x"), "x\n");
    }
}

#[test]
fn malformed_archives_are_refused() {
    let bytes = good().bytes();
    check(good().raw(b"<!DOCTYPE html><html>".to_vec()), &["toy-bad", "`ar` archive"]);
    check(good().raw(bytes[..bytes.len() / 2].to_vec()), &["toy-bad", "cut off"]);
    check(good().raw(ar(&[("debian-binary", b"3.0\n")])), &["toy-bad", "version 3.0"]);
    check(good().raw(ar(&[("debian-binary", b"2.0\n"), ("data.tar", b"")])), &["toy-bad", "control.tar"]);
    let tar = raw_tar(&[raw_entry(b'0', "./a", "", b"x")]);
    let mut wrong = tar.clone();
    wrong[0] ^= 1;
    check_data("data.tar", &wrong, &["checksum"]);
    for (name, packing) in
        [("data.tar.xz", Packing::Xz), ("data.tar.gz", Packing::Gzip), ("data.tar.zst", Packing::Zstd)]
    {
        let packed = pack(&tar, packing);
        check_data(name, &packed[..packed.len() / 2], &["cut off"]);
        check_data(name, b"certainly not compressed", &["damaged"]);
    }
    check_data("data.tar.lzma", &tar, &["data.tar.lzma"]);
}

#[test]
fn bombs_are_refused() {
    let zeros = vec![0u8; 80 << 20];
    check_data("data.tar.xz", &pack(&[&huge_header()[..], &zeros].concat(), Packing::Xz), &["as only attacks do"]);
    let mut sparse = raw_entry(b'S', "./bomb", "", b"");
    // The real size of 100 GB, in the field where GNU tar keeps it.
    sparse[483..495].copy_from_slice(b"135103556400");
    seal(&mut sparse);
    check_entries(&[sparse], &["sparse"]);
}

/// The header of a file of 8 GiB - 1.
fn huge_header() -> Vec<u8> {
    let mut block = raw_entry(b'0', "./zeros", "", b"");
    block[124..135].copy_from_slice(b"77777777777");
    seal(&mut block);
    block
}

#[test]
fn a_package_that_lies_about_itself_is_refused() {
    let liar = Package::new("toy-other", "1.0").needs("toy-base").bytes();
    let world = world_with(good().raw(liar));
    world.run(&["build"]).fails(6, &["toy-bad 1.0", "toy-other 1.0"]);
    assert_eq!(world.traces(), [""; 0]);
}

#[test]
fn device_nodes_do_not_reach_the_image() {
    check_entries(&[raw_entry(b'4', "./disk", "", b"")], &["/disk", "block device", "another version"]);
    check_entries(&[raw_entry(b'3', "./memory", "", b"")], &["/memory", "character device", "another version"]);
}

#[test]
fn two_packages_with_the_same_file_are_told_apart() {
    let world = world_with(good().file("etc/issue", 0o644, "mine\n"));
    world.run(&["build"]).fails(6, &["/etc/issue", "toy-bad", "toy-base"]);
    assert_eq!(world.traces(), [""; 0]);
}

const PERL: &str = "#!/usr/bin/perl\nunlink '/etc/issue';\n";

#[test]
fn an_unknown_script_is_never_skipped() {
    let unknown = || good().control("postinst", 0o755, PERL);
    for args in [&["build", "--strict"][..], &["build", "--scripts", "strict"], &["build", "--scripts", "emulate-only"]]
    {
        let world = world_with(unknown());
        world.run(args).fails(6, &["postinst of package toy-bad", "perl", "sandbox"]);
        assert_eq!(world.traces(), [""; 0]);
    }
    // In the sandbox there is no perl either.
    let world = world_with(unknown());
    world.run(&["build"]).fails(6, &["postinst of package toy-bad"]);
    assert_eq!(world.traces(), [""; 0]);
}

#[test]
fn a_script_that_fails_fails_the_build_with_what_it_said() {
    let world = world_with(good().script("postinst", "echo 'the moon is in the wrong place' >&2\nexit 3"));
    world.run(&["build", "--strict"]).fails(6, &["postinst", "toy-bad", "status 3", "the moon is in the wrong place"]);
    assert_eq!(world.traces(), [""; 0]);
}

#[test]
fn a_script_that_is_not_understood_runs_in_the_sandbox_and_is_in_the_ledger() {
    let test = "a_script_that_is_not_understood_runs_in_the_sandbox";
    let Some(busybox) = static_busybox() else { return skip(test, "no static busybox on this host") };
    if !is_root() {
        return skip(test, "the sandbox of an ordinary user needs subordinate ids");
    }
    // dd with this option is nothing that the emulation knows.
    let script = "echo made | dd conv=swab of=/etc/made 2>/dev/null\nls /proc/self/ns >/dev/null";
    let bad = good().field("Pre-Depends", "toy-shell").script("postinst", script);
    let world = World::of(&[toys::base(), toys::shell(busybox), bad]);
    world.spec("packages \"toy-bad\"\noutput \"oci\" \"ext4\"");
    world.run(&["build", "--strict"]).fails(6, &["toy-bad"]);
    let done = world.run(&["build", "-v"]).succeeds();
    assert!(done.text().contains("run        toy-bad postinst"), "{}", done.text());
    assert!(world.lock().contains("\"toy-bad\" \"postinst\" class=\"run\""), "{}", world.lock());
    let first = world.artifacts("spec/out");
    if let Some(root) = crate::conformance::Ext4::of(&world.path("spec/out/root.ext4")) {
        assert_eq!(root.cat("/etc/made"), "amed\n");
    }
    std::fs::remove_dir_all(world.path("spec/out")).unwrap();
    std::fs::remove_dir_all(world.path("cache")).unwrap();
    assert_eq!(world.build(), first, "what ran in the sandbox gives the same bytes again");
}

#[test]
fn what_scripts_do_is_in_the_image() {
    let world = World::new();
    world.spec("packages \"toy-alt\" \"toy-conf\" \"toy-fonts\" \"toy-trigger\" \"toy-user\"\noutput \"ext4\"");
    world.run(&["build", "--strict"]).succeeds();
    let Some(root) = crate::conformance::Ext4::of(&world.path("spec/out/root.ext4")) else {
        return skip("what_scripts_do_is_in_the_image", "there is no debugfs");
    };
    assert_eq!(root.cat("/var/lib/toy-trigger/seen"), "/usr/share/toy-fonts\n");
    assert!(root.cat("/etc/passwd").contains("\ntoyd:"), "{}", root.cat("/etc/passwd"));
    assert!(root.stat("/usr/bin/pager").contains("/etc/alternatives/pager"), "{}", root.stat("/usr/bin/pager"));
    assert!(root.stat("/etc/alternatives/pager").contains("/usr/bin/toy-pager"));
    assert!(root.cat("/var/lib/dpkg/status").contains("Conffiles:\n /etc/toy/toy.conf "));
    for package in ["toy-alt", "toy-base", "toy-trigger"] {
        assert!(root.cat(&format!("/var/lib/dpkg/info/{package}.list")).starts_with("/.\n"), "{package}");
    }
}

#[test]
fn a_diversion_moves_the_file_of_another_package() {
    let world = World::new();
    world.spec("packages \"toy-divert\"\noutput \"ext4\"");
    world.run(&["build"]).succeeds();
    let Some(root) = crate::conformance::Ext4::of(&world.path("spec/out/root.ext4")) else {
        return skip("a_diversion_moves_the_file_of_another_package", "there is no debugfs");
    };
    assert_eq!(root.cat("/etc/issue"), "Toy GNU/Linux 1, diverted\n");
    assert_eq!(root.cat("/etc/issue.toy"), "Toy GNU/Linux 1\n");
    for package in ["toy-base", "toy-divert"] {
        let list = root.cat(&format!("/var/lib/dpkg/info/{package}.list"));
        assert!(list.contains("/etc/issue\n") && !list.contains("/etc/issue.toy"), "{package}: {list}");
    }
}
