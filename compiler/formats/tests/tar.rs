//! The tar writer against GNU tar, and its bytes against themselves.

#![expect(clippy::disallowed_types, reason = "the reference tools are processes")]
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::Write;
use std::process::{Command, Stdio};

use formats::tar::{WriteError, Writer};
use tree::{Content, Digest, Kind, Meta, Node, TreePath};

fn path(text: impl AsRef<[u8]>) -> TreePath {
    TreePath::new(text).unwrap()
}

fn with_meta(mut node: Node, change: impl FnOnce(&mut Meta)) -> Node {
    change(&mut node.meta);
    node
}

/// Entries that reach every branch of the format.
fn sample() -> Vec<(TreePath, Node, Vec<u8>)> {
    let deep = format!("{}/{}", "d".repeat(90), "f".repeat(60));
    let tail = "n".repeat(120);
    let file = |bytes: &[u8]| Node::file(0o644, bytes);
    vec![
        (path(""), Node::dir(0o755), vec![]),
        (path("tmp"), Node::dir(0o1777), vec![]),
        (
            path("a"),
            with_meta(file(b"hello"), |m| (m.uid, m.gid, m.mtime_secs) = (1000, 100, 1_700_000_000)),
            b"hello".into(),
        ),
        (path(&deep), file(b""), vec![]),
        (path(&tail), file(&[7; 512]), vec![7; 512]),
        (path("grün"), Node::symlink(format!("/{tail}")), vec![]),
        (path(b"raw-\xff"), file(b"x"), b"x".into()),
        (path("big-ids"), with_meta(file(b""), |m| (m.uid, m.gid) = (3_000_000_000, 2_097_152)), vec![]),
        (path("old"), with_meta(file(b""), |m| m.mtime_secs = -5), vec![]),
        (
            path("caps"),
            with_meta(file(b""), |m| drop(m.xattrs.insert(b"security.capability".into(), vec![0, 10, 255]))),
            vec![],
        ),
        (path("null"), Node { kind: Kind::CharDevice { major: 1, minor: 3 }, meta: Meta::root(0o666) }, vec![]),
        (path("sda"), Node { kind: Kind::BlockDevice { major: 8, minor: 0 }, meta: Meta::root(0o660) }, vec![]),
        (path("pipe"), Node { kind: Kind::Fifo, meta: Meta::root(0o600) }, vec![]),
    ]
}

fn archive() -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (path, node, bytes) in sample() {
        writer.entry(&path, &node, &mut &bytes[..]).unwrap();
    }
    writer.hard_link(&path("zz"), &Meta::root(0o644), &path("a")).unwrap();
    writer.finish().unwrap()
}

/// What GNU tar lists, or the reason why it cannot be asked.
fn gnu_list(archive: &[u8]) -> Result<String, String> {
    let mut tar = Command::new("tar")
        .args([
            "--list",
            "--verbose",
            "--numeric-owner",
            "--full-time",
            "--utc",
            "--xattrs",
            "--xattrs-include=*",
            "--quoting-style=escape",
        ])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .env("LC_ALL", "C")
        .spawn()
        .map_err(|error| format!("tar cannot be started: {error}"))?;
    tar.stdin.take().unwrap().write_all(archive).unwrap();
    let output = tar.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    // It does not know the one keyword that names in no character set need, and reads them all the same.
    assert_eq!(String::from_utf8_lossy(&output.stderr), "tar: Ignoring unknown extended header keyword 'hdrcharset'\n");
    Ok(String::from_utf8(output.stdout).unwrap())
}

#[test]
fn gnu_tar_reads_what_is_written() {
    let listed = match gnu_list(&archive()) {
        Ok(listed) => listed,
        Err(reason) => return eprintln!("SKIP gnu_tar_reads_what_is_written: {reason}"),
    };
    let tail = "n".repeat(120);
    for line in [
        "drwxr-xr-x  0/0               0 1970-01-01 00:00:00 ./".to_owned(),
        "drwxrwxrwt  0/0               0 1970-01-01 00:00:00 tmp/".to_owned(),
        "-rw-r--r--  1000/100          5 2023-11-14 22:13:20 a".to_owned(),
        format!("-rw-r--r--  0/0               0 1970-01-01 00:00:00 {}/{}", "d".repeat(90), "f".repeat(60)),
        format!("-rw-r--r--  0/0             512 1970-01-01 00:00:00 {tail}"),
        format!("lrwxrwxrwx  0/0               0 1970-01-01 00:00:00 gr\\303\\274n -> /{tail}"),
        "-rw-r--r--  0/0               1 1970-01-01 00:00:00 raw-\\377".to_owned(),
        "-rw-r--r--  3000000000/2097152 0 1970-01-01 00:00:00 big-ids".to_owned(),
        "-rw-r--r--  0/0               0 1969-12-31 23:59:55 old".to_owned(),
        "crw-rw-rw-  0/0             1,3 1970-01-01 00:00:00 null".to_owned(),
        "brw-rw----  0/0             8,0 1970-01-01 00:00:00 sda".to_owned(),
        "prw-------  0/0               0 1970-01-01 00:00:00 pipe".to_owned(),
        "hrw-r--r--  0/0               0 1970-01-01 00:00:00 zz link to a".to_owned(),
    ] {
        let same = |listed: &str| listed.split_whitespace().filter(|word| *word != "*").eq(line.split_whitespace());
        assert!(
            listed.lines().any(|listed| same(&listed.replacen("-* ", "- ", 1).replace("-*", "-"))),
            "{line}\nis not in\n{listed}"
        );
    }
}

#[test]
fn the_bytes_are_pinned() {
    assert_eq!(Digest::of(&archive()).to_string(), "a228446d4682e643dc369fdf033e546e06d50510c2959631d7548923bee04bd7");
}

#[test]
fn what_the_format_cannot_hold_is_refused() {
    let refused =
        |node: Node, bytes: &[u8]| Writer::new(Vec::new()).entry(&path("x"), &node, &mut &bytes[..]).unwrap_err();
    assert!(matches!(refused(Node { kind: Kind::Socket, meta: Meta::root(0) }, b""), WriteError::Socket(_)));
    assert!(matches!(refused(Node::file(0, "abc"), b"ab"), WriteError::Size(_)));
    assert!(matches!(refused(Node::file(0, "abc"), b"abcd"), WriteError::Size(_)));
    let device = Node { kind: Kind::CharDevice { major: 1, minor: 1 << 30 }, meta: Meta::root(0) };
    assert!(matches!(refused(device, b""), WriteError::Device(_)));
    let xattr = with_meta(Node::dir(0), |m| drop(m.xattrs.insert(b"user.a=b".into(), vec![])));
    assert!(matches!(refused(xattr, b""), WriteError::Xattr(_)));
}

#[test]
fn a_size_over_8_gib_goes_to_the_extended_header() {
    struct Counting(u64, Vec<u8>);
    impl Write for Counting {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            if self.0 < 4096 {
                self.1.extend_from_slice(bytes);
            }
            self.0 += bytes.len() as u64;
            Ok(bytes.len())
        }
        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }
    let size_bytes = (8 << 30) + 1;
    let content = Content::Blob { digest: Digest([0; 32]), size_bytes };
    let node = Node { kind: Kind::File(content), meta: Meta::root(0o644) };
    let mut writer = Writer::new(Counting(0, Vec::new()));
    writer.entry(&path("big"), &node, &mut std::io::Read::take(std::io::repeat(0), size_bytes)).unwrap();
    let written = writer.finish().unwrap();
    assert_eq!(written.0, 3 * 512 + (8 << 30) + 512 + 1024);
    assert!(written.1[512..].starts_with(b"19 size=8589934593\n"));
}
