//! Builds small Debian packages, good and hostile ones, for the tests of the crates that read them.

use std::io::Write;

use formats::tar::Writer;
use tree::{Kind, Meta, Node, TreePath};

/// An archive of these members.
pub fn ar(members: &[(&str, &[u8])]) -> Vec<u8> {
    let mut out = b"!<arch>\n".to_vec();
    for (name, content) in members {
        writeln!(out, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, "100644", content.len()).unwrap();
        out.extend_from_slice(content);
        if content.len() % 2 == 1 {
            out.push(b'\n');
        }
    }
    out
}

/// A package of these control and data archives, uncompressed.
pub fn deb(control: &[u8], data: &[u8]) -> Vec<u8> {
    ar(&[("debian-binary", b"2.0\n"), ("control.tar", control), ("data.tar", data)])
}

/// The smallest control archive.
pub fn control() -> Vec<u8> {
    good_tar(&[("control", Node::file(0o644, "Package: x\n"))])
}

/// An archive of good entries, by the project's own writer.
pub fn good_tar(entries: &[(&str, Node)]) -> Vec<u8> {
    let mut writer = Writer::new(Vec::new());
    for (path, node) in entries {
        let bytes = match &node.kind {
            Kind::File(tree::Content::Inline(bytes)) => bytes.to_vec(),
            _ => Vec::new(),
        };
        writer.entry(&TreePath::new(path).unwrap(), node, &mut &bytes[..]).unwrap();
    }
    writer.finish().unwrap()
}

/// One entry as raw bytes, with any name, type and link that a hostile archive may have.
pub fn raw_entry(kind: u8, name: &str, link: &str, content: &[u8]) -> Vec<u8> {
    let mut block = [0u8; 512];
    block[..name.len()].copy_from_slice(name.as_bytes());
    for (at, text) in [
        (100, "0000644"),
        (108, "0000000"),
        (116, "0000000"),
        (136, "00000000000"),
        (257, "ustar\x0000"),
        (329, "0000001"),
        (337, "0000003"),
    ] {
        block[at..at + text.len()].copy_from_slice(text.as_bytes());
    }
    block[124..135].copy_from_slice(format!("{:011o}", content.len()).as_bytes());
    block[156] = kind;
    block[157..157 + link.len()].copy_from_slice(link.as_bytes());
    seal(&mut block);
    let mut out = block.to_vec();
    out.extend_from_slice(content);
    out.resize(out.len().next_multiple_of(512), 0);
    out
}

/// Sets the checksum of a header block.
pub fn seal(block: &mut [u8]) {
    block[148..156].fill(b' ');
    let sum: u32 = block[..512].iter().map(|&b| u32::from(b)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

/// An archive of raw entries with its end mark.
pub fn raw_tar(entries: &[Vec<u8>]) -> Vec<u8> {
    [&entries.concat()[..], &[0; 1024]].concat()
}

/// Metadata with another owner, so that something other than zeros is tested.
pub fn owned(mut node: Node, uid: u32) -> Node {
    node.meta = Meta { uid, gid: uid, ..node.meta };
    node
}
