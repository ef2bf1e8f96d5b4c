//! What the ext4 tests share: the special tree, contents made on demand, images in temporary files, and tools.
//!
//! A tool that is missing makes a test say that it is skipped, and why.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "these tests make files and ask tools")]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]
#![allow(dead_code, clippy::allow_attributes, reason = "each test file uses its own part of this")]

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use formats::ext4::{self, Layout, Options, Size};
use formats::region::SeekSink;
use tree::{Blobs, Content, Digest, Kind, Meta, Node, Tree, TreePath};

/// Identity of all test images.
pub const UUID: [u8; 16] = *b"\x10\x32\x54\x76\x98\xba\x8c\xde\x80\x01\x23\x45\x67\x89\xab\xcd";
/// Hash seed of all test images.
pub const SEED: [u8; 16] = *b"\xf0\xe1\xd2\xc3\xb4\xa5\x86\x97\x88\x79\x6a\x5b\x4c\x3d\x2e\x1f";
/// 2024-01-01.
pub const EPOCH: u64 = 1_704_067_200;

pub fn options() -> Options {
    Options { label: "test".to_owned(), ..Options::read_only(UUID, SEED, EPOCH) }
}

pub fn fixed(size_bytes: u64) -> Options {
    Options { size: Size::Fixed(size_bytes), ..options() }
}

pub fn path(text: impl AsRef<[u8]>) -> TreePath {
    TreePath::new(text).unwrap()
}

/// Contents by digest: zeros, with the letter `x` over each data range.
#[derive(Default)]
pub struct Made {
    ranges: BTreeMap<Digest, (u64, Vec<std::ops::Range<u64>>)>,
}

impl Made {
    /// Makes a content of this size with these ranges of data.
    pub fn content(&mut self, size_bytes: u64, ranges: Vec<std::ops::Range<u64>>) -> Content {
        let digest = Digest::of(format!("{size_bytes} {ranges:?}").as_bytes());
        self.ranges.insert(digest, (size_bytes, ranges));
        Content::Blob { digest, size_bytes }
    }

    /// The ranges of all contents, for the options of a plan.
    pub fn data_ranges(&self) -> BTreeMap<Digest, Vec<std::ops::Range<u64>>> {
        self.ranges.iter().map(|(digest, (_, ranges))| (*digest, ranges.clone())).collect()
    }
}

impl Blobs for Made {
    fn open(&self, digest: &Digest) -> io::Result<Box<dyn Read + Send + '_>> {
        let (size_bytes, ranges) = self.ranges.get(digest).ok_or(io::ErrorKind::NotFound)?;
        let mut reader: Box<dyn Read + Send> = Box::new(io::empty());
        let mut at = 0;
        for range in ranges {
            let (hole, data) = (range.start - at, range.end - range.start);
            reader = Box::new(reader.chain(io::repeat(0).take(hole)).chain(io::repeat(b'x').take(data)));
            at = range.end;
        }
        Ok(Box::new(reader.chain(io::repeat(0).take(size_bytes - at))))
    }
}

/// A tree with everything that ext4 treats in a way of its own, the contents of its sparse files, and its options.
pub fn special() -> (Tree, Made, Options) {
    let mut tree = Tree::default();
    let mut made = Made::default();
    let mut put = |name: &[u8], node: Node| tree.insert_with_parents(path(name), node).unwrap();
    let meta = |mode, uid, gid, mtime_secs| Meta { uid, gid, mtime_secs, ..Meta::root(mode) };
    put(b"empty", Node::file(0o644, ""));
    put(
        b"plain",
        Node { kind: Kind::File(Content::inline("hello\n")), meta: meta(0o640, 70_000, 4_000_000_000, 1_900_000_000) },
    );
    put(b"block-sized", Node::file(0o644, vec![b'b'; 4096]));
    put(b"zeros", Node::file(0o644, vec![0; 300_000]));
    put(b"large", Node::file(0o600, (0..3_000_000u32).map(|at| (at.wrapping_mul(at) >> 7) as u8).collect::<Vec<_>>()));
    for (name, secs) in [("before-1970", -86_400), ("year-2040", 2_208_988_800), ("year-2400", 13_569_465_600)] {
        put(
            format!("times/{name}").as_bytes(),
            Node { kind: Kind::File(Content::inline("t")), meta: meta(0o644, 0, 0, secs) },
        );
    }
    for length in [1, 59, 60, 203, 4095] {
        put(format!("links/to-{length}").as_bytes(), Node::symlink("t".repeat(length)));
    }
    let device = |kind| Node { kind, meta: Meta::root(0o660) };
    put(b"dev/console", device(Kind::CharDevice { major: 5, minor: 1 }));
    put(b"dev/large", device(Kind::BlockDevice { major: 259, minor: 70_000 }));
    put(b"dev/fifo", device(Kind::Fifo));
    put(b"dev/socket", device(Kind::Socket));
    put(b"sticky", Node::dir(0o1777));
    put(b"group", Node { kind: Kind::Dir, meta: meta(0o2775, 1, 2, 3) });
    put("n".repeat(255).as_bytes(), Node::file(0o644, "long name"));
    put(b"bytes-\xff\xfe \n=", Node::file(0o644, "not UTF-8"));
    put(vec!["deep"; 60].join("/").as_bytes(), Node::file(0o644, "deep"));
    for at in 0..120 {
        put(
            format!("folder/a-name-that-is-long-enough-to-fill-blocks-{at:03}").as_bytes(),
            Node::file(0o644, vec![b'f'; at]),
        );
    }
    let ranges = (0..20).map(|at| at * 100_000..at * 100_000 + 5000).collect();
    put(b"sparse/many-extents", Node { kind: Kind::File(made.content(3_000_000, ranges)), meta: Meta::root(0o644) });
    put(b"sparse/all-hole", Node { kind: Kind::File(made.content(1 << 32, vec![])), meta: Meta::root(0o644) });
    let last_byte = std::iter::once((1 << 30) - 1..1 << 30).collect();
    put(b"sparse/end", Node { kind: Kind::File(made.content(1 << 30, last_byte)), meta: Meta::root(0o644) });
    put_xattrs(&mut put);
    tree.insert(path("again"), Node::dir(0o755)).unwrap();
    tree.hard_link(&path("plain"), path("again/second")).unwrap();
    tree.hard_link(&path("plain"), path("a-third")).unwrap();
    tree.hard_link(&path("dev/fifo"), path("again/fifo")).unwrap();
    let options = Options { data_ranges: made.data_ranges(), ..options() };
    (tree, made, options)
}

fn put_xattrs(put: &mut dyn FnMut(&[u8], Node)) {
    let mut with = |name: &str, mut node: Node, xattrs: &[(&str, &[u8])]| {
        node.meta.xattrs = xattrs.iter().map(|(name, value)| (name.as_bytes().to_vec(), value.to_vec())).collect();
        put(name.as_bytes(), node);
    };
    let capability = [1, 0, 0, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0];
    let entry = |tag: u8, permissions: u8, id: [u8; 4]| [&[tag, 0, permissions, 0][..], &id].concat();
    let none = [0xff; 4];
    let acl = [
        &[2, 0, 0, 0][..],
        &entry(1, 6, none),
        &entry(2, 4, [0x70, 0x11, 1, 0]),
        &entry(4, 4, none),
        &entry(8, 5, [3, 0, 0, 0]),
        &entry(16, 5, none),
        &entry(32, 0, none),
    ]
    .concat();
    let big = [7; 2000];
    with("xattr/capability", Node::file(0o4755, "cap"), &[("security.capability", &capability)]);
    with("xattr/acl", Node::file(0o654, "acl"), &[("system.posix_acl_access", &acl)]);
    with("xattr/acl-dir", Node::dir(0o755), &[("system.posix_acl_default", &acl), ("user.x", b"")]);
    with("xattr/big-1", Node::file(0o644, "1"), &[("user.big", &big), ("user.small", b"in the inode")]);
    with("xattr/big-2", Node::file(0o644, "2"), &[("user.big", &big), ("trusted.other", b"o")]);
    with("xattr/link", Node::symlink("big-1"), &[("trusted.on-a-link", b"yes"), ("security.x", &[1; 100])]);
    with(
        "xattr/many",
        Node::file(0o644, ""),
        &[
            ("user.a", &[1; 30]),
            ("user.bb", &[2; 31]),
            ("user.c", &[3; 32]),
            ("user.d-longer", &[4; 33]),
            ("security.e", &[5; 500]),
        ],
    );
}

/// An image in a temporary folder that is removed with this value.
pub struct Image {
    folder: tempfile::TempDir,
    pub layout: Layout,
}

impl Image {
    /// Plans and writes a tree.
    pub fn new(tree: &Tree, blobs: &dyn Blobs, options: &Options) -> Self {
        let layout = ext4::plan(tree, options).unwrap();
        let image = Self { folder: tempfile::tempdir().unwrap(), layout };
        let file = File::create(image.path()).unwrap();
        let mut sink = SeekSink::new(file);
        ext4::write(&image.layout, tree, blobs, &mut sink).unwrap();
        sink.into_inner().set_len(image.layout.size_bytes()).unwrap();
        image
    }

    pub fn path(&self) -> PathBuf {
        self.folder.path().join("image")
    }

    /// Folder beside the image, for mounts and other trees.
    pub fn folder(&self, name: &str) -> PathBuf {
        let folder = self.folder.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        folder
    }

    pub fn bytes(&self) -> Vec<u8> {
        std::fs::read(self.path()).unwrap()
    }

    /// Checks the image with `e2fsck -fn`, which must find nothing.
    pub fn check(&self, test: &str) {
        if let Some(output) = run(test, "e2fsck", &[&"-fn", &self.path()]) {
            assert!(output.status.success(), "{}", text(&output));
        }
    }

    /// What `debugfs` says to a request.
    pub fn debugfs(&self, test: &str, request: &str) -> Option<String> {
        run(test, "debugfs", &[&"-R", &request, &self.path()]).map(|output| text(&output))
    }
}

/// Runs a tool; says on the standard error that the test is skipped where there is none.
pub fn run(test: &str, tool: &str, arguments: &[&dyn AsRef<Path>]) -> Option<Output> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    let arguments = arguments.iter().map(|argument| argument.as_ref());
    match Command::new(tool).args(arguments).env("PATH", path).env("LC_ALL", "C").env("DEBUGFS_PAGER", "cat").output() {
        Ok(output) => Some(output),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            skip(test, &format!("no {tool}"));
            None
        }
        Err(error) => panic!("{tool}: {error}"),
    }
}

pub fn skip(test: &str, reason: &str) {
    eprintln!("SKIP {test}: {reason}");
}

/// All that a tool said.
pub fn text(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}
