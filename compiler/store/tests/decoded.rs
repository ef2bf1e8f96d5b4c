//! Decoded packages: what is kept, what is found damaged, what is collected, and what two processes do at once.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod support;

use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command};
use std::time::Duration;

use store::{Garbage, Mirrors, Patience, Silent, Store};
use support::{PATIENCE, debs, locked, shown, toy_deb};
use tempfile::TempDir;
use tree::{Blobs, Content, Digest, Kind, Node};

use packages::{LockedPackage, Unpacked};

/// A mirror of toy packages in a folder.
fn mirror(folder: &Path, count: usize) -> (Vec<LockedPackage>, Mirrors) {
    std::fs::create_dir_all(folder.join("mirror/pool")).unwrap();
    let package = |number| {
        let bytes = toy_deb(number);
        let package = locked(&format!("toy{number}"), &bytes);
        std::fs::write(folder.join("mirror").join(&package.path), bytes).unwrap();
        package
    };
    let packages = (0..count).map(package).collect();
    (packages, [("toy".to_owned(), vec![folder.join("mirror").display().to_string()])].into())
}

fn check_contents(store: &Store, unpacked: &[Unpacked]) {
    for (path, _, node) in unpacked.iter().flat_map(|one| one.tree.iter()) {
        if let Kind::File(content) = &node.kind {
            let bytes = store.bytes(content, 1 << 30).unwrap();
            assert_eq!(Digest::of(&bytes), content.digest(), "{path}");
        }
    }
}

#[test]
fn a_package_is_decoded_once_and_its_contents_kept_once() {
    let folder = TempDir::new().unwrap();
    let (packages, mirrors) = mirror(folder.path(), 5);
    let root = folder.path().join("store");
    let store = Store::open(&root).unwrap();
    store.fetch(&packages, &mirrors, false, &Silent).unwrap();
    let cold = store.unpack(&packages, &Silent).unwrap();
    check_contents(&store, &cold);
    drop(store);
    std::fs::remove_dir_all(root.join("archives")).unwrap();
    let store = Store::open(&root).unwrap();
    store.fetch(&packages, &Mirrors::new(), true, &Silent).unwrap();
    let warm = store.unpack(&packages, &Silent).unwrap();
    check_contents(&store, &warm);
    for (cold, warm) in cold.iter().zip(&warm) {
        assert_eq!(tree::dump(&cold.tree), tree::dump(&warm.tree));
        assert_eq!(cold.control_files, warm.control_files);
    }
    let pack = root.join(format!("decoded/{}.v2/pack", packages[0].blake3.unwrap()));
    // Two large files are the same, and of the small ones five.
    assert!(std::fs::metadata(pack).unwrap().len() < 700_000);
    assert!(store.open(&Digest::of(b"unknown")).is_err());
}

#[test]
fn hostile_packages_are_refused_and_leave_nothing() {
    let folder = TempDir::new().unwrap();
    let bomb = debs::ar(&[
        ("debian-binary", b"2.0\n"),
        ("control.tar", &debs::control()),
        ("data.tar.zst", &zeros(200 << 20)),
    ]);
    let escape = debs::deb(&debs::control(), &debs::raw_tar(&[debs::raw_entry(b'0', "../x", "", b"")]));
    for (bytes, words) in
        [(bomb, "as only attacks do"), (escape, "the path contains `..`"), (b"<html>".to_vec(), "no `ar` archive")]
    {
        let package = locked("evil", &bytes);
        std::fs::create_dir_all(folder.path().join("pool")).unwrap();
        std::fs::write(folder.path().join(&package.path), bytes).unwrap();
        let mirrors = Mirrors::from([("toy".to_owned(), vec![folder.path().display().to_string()])]);
        let root = folder.path().join("store");
        let store = Store::open(&root).unwrap();
        store.fetch(std::slice::from_ref(&package), &mirrors, false, &Silent).unwrap();
        let text = shown(&store.unpacked(&package).unwrap_err());
        assert!(text.contains(words) && text.contains("unpack evil 1.0"), "{text}");
        assert_eq!(std::fs::read_dir(root.join("decoded")).unwrap().count(), 0);
        assert_eq!(store.usage().unwrap()[3].size_bytes, 0);
        assert!(tmp_bytes(&root) == 0);
    }
}

/// A tar archive of one file of zeros, compressed as far as it goes.
fn zeros(size: usize) -> Vec<u8> {
    let mut encoder = zstd::stream::write::Encoder::new(Vec::new(), 19).unwrap();
    let mut writer = formats::tar::Writer::new(&mut encoder);
    let content = Content::Blob { digest: Digest([0; 32]), size_bytes: size as u64 };
    let node = Node { kind: Kind::File(content), ..Node::file(0o644, "") };
    writer.entry(&tree::TreePath::new("zeros").unwrap(), &node, &mut std::io::repeat(0).take(size as u64)).unwrap();
    writer.finish().unwrap();
    encoder.finish().unwrap()
}

fn tmp_bytes(root: &Path) -> u64 {
    fn size(path: &Path) -> u64 {
        let members = std::fs::read_dir(path).unwrap().flatten();
        members
            .map(|member| if member.path().is_dir() { size(&member.path()) } else { member.metadata().unwrap().len() })
            .sum()
    }
    size(&root.join("tmp"))
}

#[test]
fn damage_is_found_and_made_good() {
    let folder = TempDir::new().unwrap();
    let (packages, mirrors) = mirror(folder.path(), 1);
    let root = folder.path().join("store");
    let decoded = root.join(format!("decoded/{}.v2", packages[0].blake3.unwrap()));
    let archive = root.join(format!("archives/{}.deb", packages[0].digest));
    let build = || {
        let store = Store::open(&root).unwrap();
        store.fetch(&packages, &mirrors, false, &Silent).unwrap();
        let unpacked = store.unpack(&packages, &Silent)?;
        check_contents(&store, &unpacked);
        Ok::<_, store::UnpackError>(())
    };
    build().unwrap();
    // As a power cut may leave them.
    for (file, length) in [("pack", 10), ("meta", 0), ("meta", 100)] {
        std::fs::File::options().write(true).open(decoded.join(file)).unwrap().set_len(length).unwrap();
        build().unwrap();
    }
    flip(&decoded.join("meta"));
    build().unwrap();
    flip(&decoded.join("pack"));
    flip(&archive);
    let store = Store::open(&root).unwrap();
    let mut damaged: Vec<_> = store.verify(&Silent).unwrap().into_iter().map(|damage| damage.path).collect();
    damaged.sort();
    assert_eq!(damaged.len(), 2, "{damaged:?}");
    assert!(damaged[1].ends_with(decoded.file_name().unwrap()));
    drop(store);
    build().unwrap();
    assert_eq!(Store::open(&root).unwrap().verify(&Silent).unwrap(), []);
    // Damage of an archive that is found while it is decoded.
    std::fs::remove_dir_all(&decoded).unwrap();
    flip(&archive);
    assert!(shown(&build().unwrap_err()).contains("was damaged and has been removed"));
    build().unwrap();
}

fn flip(path: &Path) {
    let mut bytes = std::fs::read(path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn layers_are_made_once_and_whole() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path()).unwrap();
    let key = Digest::of(b"key");
    assert_eq!(store.cached(&key), None);
    let failed = store.put(&key, |file| {
        file.write_all(b"half").unwrap();
        Err("disk full")
    });
    assert!(failed.is_err());
    assert_eq!(store.cached(&key), None);
    let path = store.put(&key, |file| file.write_all(b"whole")).unwrap();
    assert_eq!(std::fs::read(&path).unwrap(), b"whole");
    store.put(&key, |_| Err::<(), _>("made twice")).unwrap();
    std::fs::write(&path, b"shor").unwrap();
    assert_eq!(store.cached(&key), None);
}

#[test]
fn single_contents_are_kept() {
    let folder = TempDir::new().unwrap();
    let store = Store::open(folder.path()).unwrap();
    assert!(matches!(store.keep(&mut &b"small"[..]).unwrap(), Content::Inline(_)));
    let large = vec![7; 3_000_000];
    for _ in 0..2 {
        let content = store.keep(&mut &large[..]).unwrap();
        assert_eq!(content.digest(), Digest::of(&large));
        assert_eq!(store.bytes(&content, 1 << 30).unwrap(), large);
    }
    assert_eq!(tmp_bytes(folder.path()), 0);
}

#[test]
fn garbage_goes_and_what_is_in_use_stays() {
    let folder = TempDir::new().unwrap();
    let (packages, mirrors) = mirror(folder.path(), 4);
    let root = folder.path().join("store");
    let build = Store::open(&root).unwrap();
    build.fetch(&packages, &mirrors, false, &Silent).unwrap();
    let unpacked = build.unpack(&packages, &Silent).unwrap();
    let everything = Garbage { unused_for: Some(Duration::ZERO), ..Garbage::default() };
    let collector = Store::open(&root).unwrap();
    assert_eq!(collector.collect_garbage(&everything).unwrap().entries, 0);
    check_contents(&build, &unpacked);
    drop(build);
    let keep = [packages[0].digest.to_string(), packages[0].blake3.unwrap().to_string()].into();
    let collected = collector.collect_garbage(&Garbage { keep, ..everything.clone() }).unwrap();
    assert_eq!(collected.entries, 6);
    let left: u64 = collector.usage().unwrap().iter().map(|usage| usage.entries).sum();
    assert_eq!(left, 2);
    assert_eq!(collector.collect_garbage(&Garbage { limit_bytes: Some(0), ..Garbage::default() }).unwrap().entries, 2);
}

/// What a child process of a test does, told by the environment: fetch and decode all packages.
#[test]
fn child() {
    let Some(folder) = std::env::var_os("APPLIANCE_STORE_TEST") else { return };
    let folder = Path::new(&folder);
    let (packages, mirrors) =
        (toy_packages(), [("toy".to_owned(), vec![folder.join("mirror").display().to_string()])].into());
    let store = Store::open_with(&folder.join("store"), Patience { ..PATIENCE }).unwrap();
    store.fetch(&packages, &mirrors, false, &Silent).unwrap();
    let unpacked = store.unpack(&packages, &Silent).unwrap();
    check_contents(&store, &unpacked);
    store.put(&Digest::of(b"layer"), |file| (0..200).try_for_each(|_| file.write_all(&[1; 10_000]))).unwrap();
}

const CHILD_PACKAGES: usize = 30;

fn toy_packages() -> Vec<LockedPackage> {
    (0..CHILD_PACKAGES).map(|number| locked(&format!("toy{number}"), &toy_deb(number))).collect()
}

fn spawn(folder: &Path) -> Child {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command
        .args(["--exact", "child"])
        .env("APPLIANCE_STORE_TEST", folder)
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn processes_that_are_killed_leave_a_good_store() {
    let folder = TempDir::new().unwrap();
    mirror(folder.path(), CHILD_PACKAGES);
    let root = folder.path().join("store");
    for round in 0..25u64 {
        let mut child = spawn(folder.path());
        // Spread over the whole life of a process, and beyond it.
        std::thread::sleep(Duration::from_millis(round * round * 37 % 101 * 3));
        let _ = child.kill();
        child.wait().unwrap();
        let mut store = Store::open(&root).unwrap();
        let folders = || std::fs::read_dir(root.join("tmp")).unwrap().count();
        if folders() > 1 {
            // Tests beside this one start programs, and until such a child has become its program it holds our locks.
            std::thread::sleep(Duration::from_secs(1));
            drop(store);
            store = Store::open(&root).unwrap();
        }
        assert_eq!(folders(), 1, "only the living process has a folder");
        assert_eq!(store.verify(&Silent).unwrap(), []);
        if round % 5 == 4 {
            drop(store);
            for kind in ["decoded", "archives"] {
                std::fs::remove_dir_all(root.join(kind)).unwrap();
            }
        }
    }
    assert!(spawn(folder.path()).wait().unwrap().success());
}

#[test]
fn processes_at_once_share_the_work() {
    let folder = TempDir::new().unwrap();
    mirror(folder.path(), CHILD_PACKAGES);
    let children: Vec<_> = (0..4).map(|_| spawn(folder.path())).collect();
    for mut child in children {
        assert!(child.wait().unwrap().success());
    }
    let store = Store::open(&folder.path().join("store")).unwrap();
    assert_eq!(store.verify(&Silent).unwrap(), []);
    let decoded = store.usage().unwrap().into_iter().find(|usage| usage.kind == "decoded").unwrap();
    assert_eq!(decoded.entries, CHILD_PACKAGES as u64);
}

#[test]
fn a_full_disk_is_an_error_and_nothing_is_half_there() {
    let folder = TempDir::new().unwrap();
    mirror(folder.path(), CHILD_PACKAGES);
    // Files may not grow beyond 400 KiB in this process; writing more gives an error, as the signal is ignored.
    let limited = "trap '' XFSZ; ulimit -f 800; exec \"$0\" --exact child";
    let mut command = Command::new("sh");
    command.args(["-c", limited]).arg(std::env::current_exe().unwrap()).env("APPLIANCE_STORE_TEST", folder.path());
    let output = command.output().unwrap();
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(text.contains("File too large") || text.contains("FileTooLarge"), "{text}");
    let store = Store::open(&folder.path().join("store")).unwrap();
    assert_eq!(store.verify(&Silent).unwrap(), []);
    assert_eq!(tmp_bytes(&folder.path().join("store")), 0);
    drop(store);
    assert!(spawn(folder.path()).wait().unwrap().success());
}
