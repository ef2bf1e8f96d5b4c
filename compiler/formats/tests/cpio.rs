//! cpio archives: what is written is read back equal, by this crate and by GNU cpio, and damage is refused.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test may compare with GNU cpio")]

use std::io::{Read, Write};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::process::{Command, Stdio};

use formats::cpio::{CpioError, Entry, Limits, Reader, WriteError, write_tree};
use tree::{Kind, Meta, NoBlobs, Node, Tree, TreePath};

fn path(text: &str) -> TreePath {
    TreePath::new(text).unwrap()
}

fn sample() -> Tree {
    let mut tree = Tree::default();
    let mut put = |name: &str, node: Node| tree.insert_with_parents(path(name), node).unwrap();
    put("init", Node::file(0o755, "#!/bin/sh\n"));
    put("lib/modules/a.ko", Node::file(0o644, vec![7; 4097]));
    put("lib/empty", Node::file(0o600, ""));
    put("link", Node::symlink("lib/empty"));
    put("dev/console", Node { kind: Kind::CharDevice { major: 5, minor: 1 }, meta: Meta::root(0o600) });
    put("dev/disk", Node { kind: Kind::BlockDevice { major: 254, minor: 300 }, meta: Meta::root(0o600) });
    put("pipe", Node { kind: Kind::Fifo, meta: Meta::root(0o622) });
    let meta = Meta { mtime_secs: 1_700_000_000, uid: 7, gid: 70_000, ..Meta::root(0o4711) };
    put("owned", Node { meta, ..Node::file(0, "abc") });
    tree.hard_link(&path("owned"), path("second")).unwrap();
    tree.hard_link(&path("owned"), path("lib/third")).unwrap();
    tree
}

fn read(bytes: &[u8], limits: Limits) -> Result<Vec<(Entry, Vec<u8>)>, CpioError> {
    let mut reader = Reader::new(bytes, limits);
    let mut entries = Vec::new();
    while let Some(entry) = reader.next_entry()? {
        let mut content = Vec::new();
        reader.read_to_end(&mut content)?;
        assert_eq!(content.len(), entry.size_bytes as usize);
        entries.push((entry, content));
    }
    Ok(entries)
}

#[test]
fn what_was_written_is_read_back() {
    let bytes = write_tree(&sample(), &NoBlobs, Vec::new()).unwrap();
    assert_eq!(bytes, write_tree(&sample(), &NoBlobs, Vec::new()).unwrap());
    let digest = tree::Digest::of(&bytes).to_string();
    assert_eq!(
        digest, "7bc03018089af6c3df7ca56b05d7a24667a6a27d9a6545f211e55620e2c26052",
        "the bytes of an archive changed"
    );
    let entries = read(&bytes, Limits::default()).unwrap();
    let lines: Vec<String> = entries
        .iter()
        .map(|(entry, content)| {
            let Entry { name, inode, mode, links, device, mtime_secs, uid, gid, .. } = entry;
            let name = String::from_utf8_lossy(name);
            format!("{name} {inode} {mode:o} {uid}:{gid} {links} {mtime_secs} {device:?} {}", content.len())
        })
        .collect();
    let expected = [
        "dev 1 40755 0:0 2 0 (0, 0) 0",
        "dev/console 2 20600 0:0 1 0 (5, 1) 0",
        "dev/disk 3 60600 0:0 1 0 (254, 300) 0",
        "init 4 100755 0:0 1 0 (0, 0) 10",
        "lib 5 40755 0:0 2 0 (0, 0) 0",
        "lib/empty 6 100600 0:0 1 0 (0, 0) 0",
        "lib/modules 7 40755 0:0 2 0 (0, 0) 0",
        "lib/modules/a.ko 8 100644 0:0 1 0 (0, 0) 4097",
        "lib/third 9 104711 7:70000 3 1700000000 (0, 0) 0",
        "link 10 120777 0:0 1 0 (0, 0) 9",
        "owned 9 104711 7:70000 3 1700000000 (0, 0) 0",
        "pipe 11 10622 0:0 1 0 (0, 0) 0",
        "second 9 104711 7:70000 3 1700000000 (0, 0) 3",
    ];
    assert_eq!(lines, expected);
    assert_eq!(entries[9].1, b"lib/empty");
}

#[test]
fn what_does_not_fit_is_refused() {
    let check = |node: Node, expected: &str| {
        let mut tree = Tree::default();
        tree.insert(path("x"), node).unwrap();
        let error = write_tree(&tree, &NoBlobs, Vec::new()).unwrap_err();
        assert_eq!(error.to_string(), expected);
        assert!(!matches!(error, WriteError::Io(_)));
    };
    let dated = |mtime_secs| Node { meta: Meta { mtime_secs, ..Meta::root(0o644) }, ..Node::file(0, "") };
    check(dated(-1), "write /x: its time does not fit a cpio archive, which holds 0 to 4294967295");
    check(dated(1 << 33), "write /x: its time does not fit a cpio archive, which holds 0 to 4294967295");
    let xattrs = [(b"user.a".to_vec(), b"b".to_vec())].into();
    let node = Node { meta: Meta { xattrs, ..Meta::root(0o644) }, ..Node::file(0, "") };
    check(node, "write /x: a cpio archive cannot hold its extended attributes");
}

#[test]
fn damage_is_refused() {
    let bytes = write_tree(&sample(), &NoBlobs, Vec::new()).unwrap();
    let error = |bytes: &[u8]| read(bytes, Limits::default()).unwrap_err().to_string();
    assert_eq!(error(b""), "read the cpio archive: it is cut off after 0 bytes");
    assert_eq!(error(&bytes[..200]), "read the cpio archive: it is cut off after 200 bytes");
    let mut other = bytes.clone();
    other[5] = b'7';
    assert_eq!(error(&other), "read the cpio header at byte 0: it is not of the `newc` form");
    let mut other = bytes.clone();
    other[6..14].copy_from_slice(b"+0000001");
    assert_eq!(error(&other), "read the cpio header at byte 0: bad number");
    let mut other = bytes.clone();
    other[94..102].copy_from_slice(b"ffffffff");
    assert_eq!(error(&other), "read the cpio archive: it holds more bytes in a name than the 4096 that are allowed");
    let tight = |limits| read(&bytes, limits).unwrap_err().to_string();
    let few = tight(Limits { entries: 3, ..Limits::default() });
    assert_eq!(few, "read the cpio archive: it holds more entries than the 3 that are allowed");
    let small = tight(Limits { content_bytes: 4000, ..Limits::default() });
    assert_eq!(small, "read the cpio archive: it holds more bytes of content than the 4000 that are allowed");
}

/// Extracts an archive with GNU cpio into a folder of its own, or says why not.
fn extract(bytes: &[u8], folder: &std::path::Path) -> Result<(), String> {
    let command = Command::new("cpio").args(["-idm", "--quiet"]).current_dir(folder).stdin(Stdio::piped()).spawn();
    let mut child = command.map_err(|error| format!("cpio cannot be started: {error}"))?;
    child.stdin.take().unwrap().write_all(bytes).unwrap();
    let status = child.wait().unwrap();
    assert!(status.success(), "cpio: {status}");
    Ok(())
}

#[test]
fn gnu_cpio_extracts_it_equal() {
    let folder = tempfile::tempdir().unwrap();
    if std::fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("SKIP gnu_cpio_extracts_it_equal: devices and owners need root");
        return;
    }
    let tree = sample();
    if let Err(reason) = extract(&write_tree(&tree, &NoBlobs, Vec::new()).unwrap(), folder.path()) {
        eprintln!("SKIP gnu_cpio_extracts_it_equal: {reason}");
        return;
    }
    let mut inodes = std::collections::BTreeMap::new();
    for (path, id, node) in tree.iter().filter(|(path, ..)| !path.is_root()) {
        let at = folder.path().join(String::from_utf8_lossy(path.as_bytes()).into_owned());
        let meta = std::fs::symlink_metadata(&at).unwrap();
        match &node.kind {
            Kind::Dir => assert!(meta.is_dir()),
            Kind::File(content) => {
                let tree::Content::Inline(bytes) = content else { panic!("the sample is inline") };
                assert_eq!(std::fs::read(&at).unwrap(), bytes[..]);
            }
            Kind::Symlink(target) => {
                assert_eq!(std::fs::read_link(&at).unwrap().as_os_str().as_encoded_bytes(), &target[..])
            }
            Kind::CharDevice { .. } => assert!(meta.file_type().is_char_device()),
            Kind::BlockDevice { .. } => assert_eq!(meta.rdev(), (254 << 8) | 44 | (1 << 20)),
            Kind::Fifo => assert!(meta.file_type().is_fifo()),
            Kind::Socket => panic!("the sample has none"),
        }
        if !matches!(node.kind, Kind::Symlink(_)) {
            assert_eq!((meta.mode() & 0o7777, meta.uid()), (node.meta.mode.into(), node.meta.uid), "{path}");
        }
        assert_eq!(*inodes.entry(id).or_insert(meta.ino()), meta.ino(), "{path}");
    }
}
