//! Layers as they come from friends and from enemies: whiteouts, links, wrong digests, ways out.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on has failed")]

#[expect(dead_code, reason = "each test file uses its own part of the support")]
mod support;

use std::io::Read;
use std::path::Path;

use support::{Entry, Toy, What, busybox, tar};

fn unpack(archive: &[u8]) -> (tempfile::TempDir, Result<(), String>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("root")).unwrap();
    let result = engine::layers::unpack(archive, &folder.path().join("root"), &[], true);
    (
        folder,
        result.map_err(|error| format!("{error}: {:?}", std::error::Error::source(&error).map(ToString::to_string))),
    )
}

/// The archive is refused, and nothing outside its folder was made.
fn check_refused(entries: &[Entry<'_>]) {
    let (folder, result) = unpack(&tar(entries));
    assert!(result.is_err());
    let outside: Vec<_> = std::fs::read_dir(folder.path()).unwrap().flatten().map(|entry| entry.file_name()).collect();
    assert_eq!(outside, ["root"]);
}

#[test]
fn ways_out_are_refused() {
    check_refused(&[("../evil", 0o644, 0, What::File(b"x"))]);
    check_refused(&[("a/../../evil", 0o644, 0, What::File(b"x"))]);
    check_refused(&[("out", 0o777, 0, What::Symlink("..")), ("out/evil", 0o644, 0, What::File(b"x"))]);
    check_refused(&[("out", 0o777, 0, What::Symlink("/")), ("out/tmp/evil", 0o644, 0, What::File(b"x"))]);
    check_refused(&[("link", 0o644, 0, What::HardLink("../../etc/passwd"))]);
    check_refused(&[("out", 0o777, 0, What::Symlink("/etc")), ("link", 0o644, 0, What::HardLink("out/passwd"))]);
    check_refused(&[(".wh...", 0o644, 0, What::File(b""))]);
}

#[test]
fn a_link_in_place_of_a_file_is_not_written_through() {
    let (folder, result) =
        unpack(&tar(&[("a", 0o777, 0, What::Symlink("../evil")), ("a", 0o644, 0, What::File(b"x"))]));
    assert_eq!(result, Ok(()));
    assert!(!folder.path().join("evil").exists());
    assert_eq!(std::fs::read(folder.path().join("root/a")).unwrap(), b"x");
}

#[test]
fn an_absolute_path_stays_inside() {
    let (folder, result) = unpack(&tar(&[("/etc/x", 0o644, 0, What::File(b"x"))]));
    assert_eq!(result, Ok(()));
    assert!(folder.path().join("root/etc/x").exists());
}

#[test]
fn broken_archives_are_errors() {
    let good = tar(&[("a", 0o644, 0, What::File(b"hello"))]);
    for length in [1, 100, 511, 513, 600] {
        assert!(unpack(&good[..length]).1.is_err(), "{length}");
    }
    let mut bad = good.clone();
    bad[0] ^= 1;
    assert!(unpack(&bad).1.is_err());
    // A size that no archive can have.
    let mut huge = good;
    huge[124..136].copy_from_slice(&[0x80, 0, 0, 0, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]);
    let sum: u32 = huge[..512]
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
        .sum();
    huge[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    assert!(unpack(&huge).1.is_err());
}

#[test]
fn long_names_and_attributes_are_read() {
    let name = "d/".repeat(80) + "file";
    let record = |key: &str, value: &str| {
        let body = format!(" {key}={value}\n");
        let length = (body.len()..).find(|length| length.to_string().len() + body.len() == *length).unwrap();
        format!("{length}{body}")
    };
    let records = record("path", &name) + &record("mtime", "12.5") + &record("SCHILY.xattr.user.test", "v");
    let mut archive = tar(&[("x", 0o644, 0, What::File(records.as_bytes()))]);
    archive.truncate(archive.len() - 1024);
    archive[156] = b'x';
    let sum: u32 = archive[..512]
        .iter()
        .enumerate()
        .map(|(at, byte)| if (148..156).contains(&at) { 32 } else { u32::from(*byte) })
        .sum();
    archive[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
    archive.extend(tar(&[("short", 0o644, 0, What::File(b"hello"))]));
    let mut reader = engine::layers::tar::Reader::new(&archive[..]);
    let entry = reader.next_entry().unwrap().unwrap();
    assert_eq!(String::from_utf8_lossy(&entry.path), name);
    assert_eq!((entry.mtime_secs, entry.xattrs["user.test"].as_slice()), (12, &b"v"[..]));
    let mut content = String::new();
    reader.read_to_string(&mut content).unwrap();
    assert_eq!(content, "hello");
    assert_eq!(reader.next_entry().unwrap(), None);
}

#[test]
fn upper_layers_hide_lower_ones() {
    let Some(busybox) = busybox() else {
        return support::skip("upper_layers_hide_lower_ones", "no static busybox").unwrap_or(());
    };
    let lower = tar(&[
        ("bin", 0o755, 0, What::Folder),
        ("bin/busybox", 0o755, 0, What::File(&busybox)),
        ("bin/sh", 0o777, 0, What::Symlink("busybox")),
        ("bin/ls", 0o777, 0, What::HardLink("bin/busybox")),
        ("a", 0o755, 0, What::Folder),
        ("a/gone", 0o644, 0, What::File(b"x")),
        ("a/stays", 0o644, 0, What::File(b"x")),
        ("b", 0o755, 0, What::Folder),
        ("b/old", 0o644, 0, What::File(b"x")),
    ]);
    let upper = tar(&[
        ("a/.wh.gone", 0o644, 0, What::File(b"")),
        ("b", 0o755, 0, What::Folder),
        ("b/.wh..wh..opq", 0o644, 0, What::File(b"")),
        ("b/new", 0o644, 0, What::File(b"x")),
    ]);
    for as_root in [true, false] {
        if as_root && !support::is_root() {
            continue;
        }
        let toy = Toy::of(&[lower.clone(), upper.clone()], |_| {}, as_root);
        let (text, status) = toy.shell("ls /a /b");
        if status == 125 {
            support::skip::<()>("upper_layers_hide_lower_ones", text.trim());
            continue;
        }
        assert_eq!(text, "/a:\nstays\n\n/b:\nnew\n", "as root: {as_root}");
    }
}

#[test]
fn a_layer_builds_on_the_files_below_it() {
    let test = "a_layer_builds_on_the_files_below_it";
    let Some(busybox) = busybox() else { return support::skip(test, "no static busybox").unwrap_or(()) };
    let shell = [
        ("bin", 0o755, 0, What::Folder),
        ("bin/busybox", 0o755, 0, What::File(&busybox)),
        ("bin/sh", 0o777, 0, What::Symlink("busybox")),
    ];
    let lowest = |text: &'static [u8]| {
        let more = [
            ("shared", 0o1770, 0, What::Folder),
            ("shared/text", 0o640, 0, What::File(text)),
            ("gone", 0o644, 0, What::File(b"gone\n")),
        ];
        tar(&shell
            .iter()
            .map(|(path, mode, owner, what)| (*path, *mode, *owner, what.clone()))
            .chain(more)
            .collect::<Vec<_>>())
    };
    let middle = tar(&[(".wh.gone", 0o644, 0, What::File(b"")), ("other", 0o755, 0, What::Folder)]);
    // Both links mean a file two layers below; the folder of the second is left out, which makes it no other folder.
    let links = tar(&[
        ("other/text", 0o640, 0, What::HardLink("shared/text")),
        ("shared/again", 0o640, 0, What::HardLink("other/text")),
    ]);
    for as_root in [true, false] {
        if as_root && !support::is_root() {
            continue;
        }
        // The same upper layers on another lower one: they are other folders of the cache.
        for text in [&b"one\n"[..], b"two\n"] {
            let toy = Toy::of(&[lowest(text), middle.clone(), links.clone()], |_| {}, as_root);
            let (said, status) = toy.shell("cat /other/text /shared/again; stat -c %a /shared /other/text");
            if status == 125 {
                support::skip::<()>(test, said.trim());
                continue;
            }
            let text = String::from_utf8_lossy(text);
            assert_eq!(said, format!("{text}{text}1770\n640\n"), "as root: {as_root}");
        }
        let hidden = tar(&[("link", 0o644, 0, What::HardLink("gone"))]);
        let toy = Toy::of(&[lowest(b""), middle.clone(), hidden], |_| {}, as_root);
        let (said, status) = toy.shell("true");
        assert!(status == 125 && said.contains("link"), "{said}");
    }
}

#[test]
fn a_changed_bundle_is_refused() {
    let Some(toy) = Toy::new("a_changed_bundle_is_refused", support::is_root(), |_| {}) else { return };
    let bundle = toy.folder.path().join("bundle");
    let change = |file: &Path, expected: &str| {
        let good = std::fs::read(file).unwrap();
        let mut bad = good.clone();
        let last = bad.len() - 1;
        bad[last] ^= 1;
        std::fs::write(file, bad).unwrap();
        // Out of the way: files of subordinate owners cannot be removed by the user whose ids they are.
        let cache = toy.work().join("cache");
        if cache.exists() {
            let aside = toy.work().join(format!("aside-{}", file.file_name().unwrap().to_string_lossy()));
            std::fs::rename(&cache, aside).unwrap();
        }
        let (text, status) = toy.shell("true");
        std::fs::write(file, good).unwrap();
        assert_eq!(status, 125);
        assert!(text.contains(expected), "{text}");
    };
    change(&bundle.join("plan.json"), "trust");
    change(&bundle.join("oci/index.json"), "trust");
    let mut blobs: Vec<_> =
        std::fs::read_dir(bundle.join("oci/blobs/sha256")).unwrap().flatten().map(|entry| entry.path()).collect();
    blobs.sort_by_key(|path| std::fs::metadata(path).unwrap().len());
    change(&blobs[0], "trust");
    change(blobs.last().unwrap(), "layer");
    assert_eq!(toy.shell("true").1, 0);
}
