//! What layers make together: whiteouts, replaced entries, links within and across layers, and what is refused.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::io::{self, Read};

use formats::deb::ContentSink;
use formats::oci::Layering;
use formats::tar::{Limits, Writer};
use tree::{Content, Meta, Node, TreePath};

/// Keeps contents inline.
struct Keep;

impl ContentSink for Keep {
    fn take(&mut self, _: u64, content: &mut dyn Read) -> io::Result<Content> {
        let mut bytes = Vec::new();
        content.read_to_end(&mut bytes)?;
        Ok(Content::inline(bytes))
    }
}

/// A layer of lines: `d NAME`, `f NAME CONTENT`, `l NAME TARGET`, `h NAME FIRST-NAME`; a number before it is the mode.
fn layer(lines: &str) -> Vec<u8> {
    let mut out = Vec::new();
    for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let mut words = line.split(' ').peekable();
        let mode = words.next_if(|word| word.parse::<u16>().is_ok()).map(|word| u16::from_str_radix(word, 8).unwrap());
        let (kind, name, value) = (words.next().unwrap(), words.next().unwrap(), words.next().unwrap_or_default());
        let path = TreePath::new(name.replace("..", "PP")).unwrap();
        let mut writer = Writer::new(Vec::new());
        match kind {
            "d" => writer.entry(&path, &Node::dir(mode.unwrap_or(0o755)), &mut io::empty()).unwrap(),
            "f" => writer.entry(&path, &Node::file(mode.unwrap_or(0o644), value), &mut value.as_bytes()).unwrap(),
            "l" => writer.entry(&path, &Node::symlink(value), &mut io::empty()).unwrap(),
            "h" => {
                let first = TreePath::new(value.replace("..", "PP")).unwrap();
                writer.hard_link(&path, &Meta::root(0o644), &first).unwrap();
            }
            other => panic!("{other}"),
        }
        let mut bytes = writer.finish().unwrap();
        bytes.truncate(bytes.len() - 1024);
        hostile(&mut bytes);
        out.extend(bytes);
    }
    out.extend([0; 1024]);
    out
}

/// Names that the writer does not write: `PP` becomes `..`, and the sum of the header is made right again.
fn hostile(header: &mut [u8]) {
    for at in (0..99).chain(157..256) {
        if &header[at..at + 2] == b"PP" {
            header[at..at + 2].copy_from_slice(b"..");
        }
    }
    header[148..156].fill(b' ');
    let sum: u64 = header[..512].iter().map(|byte| u64::from(*byte)).sum();
    header[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

#[track_caller]
fn check(layers: &[&str], want: Result<&str, &str>) {
    let mut layering = Layering::default();
    let applied = layers.iter().try_for_each(|lines| layering.apply(&layer(lines)[..], Limits::default(), &mut Keep));
    match (applied, want) {
        (Ok(()), Ok(want)) => {
            let tree = layering.into_tree();
            let line = |(path, id, node): (&TreePath, _, &Node)| match &node.kind {
                tree::Kind::Dir => format!("{path}/"),
                tree::Kind::File(Content::Inline(bytes)) => {
                    let first = tree.iter().find(|(_, other, _)| *other == id).unwrap().0;
                    let text = String::from_utf8_lossy(bytes);
                    if first == path { format!("{path}={text}") } else { format!("{path}=={first}") }
                }
                tree::Kind::Symlink(target) => format!("{path}->{}", String::from_utf8_lossy(target)),
                other => panic!("{other:?}"),
            };
            let got: Vec<String> = tree.iter().skip(1).map(line).collect();
            assert_eq!(got.join(" "), want);
        }
        (Err(error), Err(want)) => {
            let text =
                format!("{error}: {}", std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default());
            assert!(text.contains(want), "{text}");
        }
        (applied, want) => panic!("{applied:?}, not {want:?}"),
    }
}

#[test]
fn whiteouts_hide_lower_layers_only() {
    check(&["d a\nf a/x 1\nf a/y 2", "f a/.wh.x"], Ok("/a/ /a/y=2"));
    check(&["d a\nf a/x 1", "f .wh.a"], Ok(""));
    check(&["f a 1", "f .wh.b\nf .wh.a\nf .wh.a"], Ok(""));
    // A whiteout does not hide what its own layer puts there, before it or behind it.
    check(&["d a\nf a/x 1", "f a/x 2\nf a/.wh.x"], Ok("/a/ /a/x=2"));
    check(&["d a\nf a/x 1", "f .wh.a\nd a\nf a/y 2"], Ok("/a/ /a/y=2"));
    check(&["d a\nf a/x 1", "d a\nf a/y 2\nf .wh.a"], Ok("/a/ /a/y=2"));
}

#[test]
fn an_opaque_folder_keeps_only_its_own() {
    let lower = "d a\nf a/x 1\nd a/b\nf a/b/c 2\nd a/k\nf a/k/l 3";
    check(&[lower, "d a\nf a/.wh..wh..opq\nf a/new 4"], Ok("/a/ /a/new=4"));
    check(&[lower, "f a/b/d 4\nf a/.wh..wh..opq"], Ok("/a/ /a/b/ /a/b/d=4"));
    check(&[lower, "f a/.wh..wh..opq\nf a/x 4\nf a/.wh..wh..opq"], Ok("/a/ /a/x=4"));
    check(&["f x 1\nd a", "f .wh..wh..opq\nf y 2"], Ok("/y=2"));
    // What a union file system notes for itself is no entry.
    check(&["f .wh..wh.aufs\nd .wh..wh.plnk\nf x 1"], Ok("/x=1"));
}

#[test]
fn of_one_name_the_last_counts() {
    check(&["f a 1\nf a 2"], Ok("/a=2"));
    check(&["f a 1\nd a\nf a/x 2"], Ok("/a/ /a/x=2"));
    check(&["d a\nf a/x 1", "f a 2"], Ok("/a=2"));
    check(&["l a b", "d a\nf a/x 1"], Ok("/a/ /a/x=1"));
    check(&["d a\nf a/x 1", "d a\nf a/y 2"], Ok("/a/ /a/x=1 /a/y=2"));
}

#[test]
fn hard_links_share_within_and_across_layers() {
    check(&["f a 1\nh b a"], Ok("/a=1 /b==/a"));
    check(&["f a 1", "h b a"], Ok("/a=1 /b==/a"));
    check(&["f a 1\nh b a", "f a 2"], Ok("/a=2 /b=1"));
    check(&["f a 1\nh b a", "f .wh.a"], Ok("/b=1"));
    check(&["f a 1\nh a a"], Ok("/a=1"));
    check(&["f a 1\nd b\nf b/x 2", "h b a"], Ok("/a=1 /b==/a"));
    check(&["l a x\nh b a"], Ok("/a->x /b->x"));
}

#[test]
fn what_leads_out_or_through_a_link_is_refused() {
    check(&["f ../x 1"], Err("`..`"));
    check(&["f a/../../x 1"], Err("`..`"));
    check(&["f a 1\nh b ../a"], Err("`..`"));
    check(&["h b nothing"], Err("no such file"));
    check(&["d a\nh b a"], Err("no such file"));
    check(&["d a", "l a /etc\nf a/passwd 1"], Err("the parent of /a/passwd is not a folder"));
    check(&["l a /etc", "f a/passwd 1"], Err("the parent of /a/passwd is not a folder"));
    check(&["d a\nf a/x 1", "l .wh.a x\nl a /etc\nf a/x 2"], Err("is not a folder"));
    check(&["f .wh.."], Err("hides nothing that can be named"));
    check(&["f .wh..."], Err("hides nothing that can be named"));
    check(&["f a/.wh."], Err("hides nothing that can be named"));
    check(&["f .wh.a/b 1"], Err("hides nothing that can be named"));
    check(&["d a\nf a/x 1", "h a a/x"], Err("holds entries"));
}

#[test]
fn metadata_is_the_last_entrys_and_foreign_labels_stay_behind() {
    let mut writer = Writer::new(Vec::new());
    let mut node = Node::file(0o4755, "x");
    (node.meta.uid, node.meta.gid, node.meta.mtime_secs) = (70_000, 12, 1_700_000_000);
    for name in ["security.capability", "security.selinux", "user.a", "user.overlay.opaque", "trusted.overlay.opaque"] {
        node.meta.xattrs.insert(name.into(), b"value".to_vec());
    }
    writer.entry(&TreePath::new("d/x").unwrap(), &node, &mut &b"x"[..]).unwrap();
    let upper = writer.finish().unwrap();
    let mut layering = Layering::default();
    layering.apply(&layer("700 d d\nf d/x 1")[..], Limits::default(), &mut Keep).unwrap();
    layering.apply(&upper[..], Limits::default(), &mut Keep).unwrap();
    let tree = layering.into_tree();
    let meta = &tree.get(&TreePath::new("d/x").unwrap()).unwrap().meta;
    assert_eq!((meta.mode, meta.uid, meta.gid, meta.mtime_secs), (0o4755, 70_000, 12, 1_700_000_000));
    let names: Vec<_> = meta.xattrs.keys().map(|name| String::from_utf8_lossy(name).into_owned()).collect();
    assert_eq!(names, ["security.capability", "user.a"]);
    // A folder that a layer does not name keeps what a lower one said.
    assert_eq!(tree.get(&TreePath::new("d").unwrap()).unwrap().meta.mode, 0o700);
}

#[test]
fn bounds_hold_over_all_layers() {
    let mut layering = Layering::default();
    let empty = layer("");
    (0..512).for_each(|_| layering.apply(&empty[..], Limits::default(), &mut Keep).unwrap());
    let error = layering.apply(&empty[..], Limits::default(), &mut Keep).unwrap_err().to_string();
    assert!(error.contains("more than 512 layers"), "{error}");
}
