//! The ext4 writer on a small tree of special cases, in three ways: the readable layout, a pinned digest of the bytes,
//! and what e2fsprogs reads from it.

#![expect(clippy::disallowed_methods, reason = "these tests make files and ask tools")]

use std::path::Path;

use formats::ext4::{self, Options, PlanError, Size};
use tree::{Kind, NoBlobs, Node, Tree};

mod ext4_support;
use ext4_support::{Image, fixed, options, path, run, special, text};

/// BLAKE3 of the special tree's image. When it moves, `ext4::PROFILE` moves too.
const SPECIAL_DIGEST: &str = "c0b3bab13bfea5928db55fdf15373087637de43e8eead1136b5f6ba5403a7f9e";

#[test]
fn the_layout_is_the_one_on_record() {
    let (tree, _, options) = special();
    let dump = ext4::plan(&tree, &options).unwrap().dump(&tree);
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/ext4-special.txt");
    if std::env::var("UPDATE_SNAPSHOTS").is_ok() {
        std::fs::write(&file, &dump).unwrap();
    }
    assert_eq!(dump, std::fs::read_to_string(file).unwrap(), "set UPDATE_SNAPSHOTS=1 to record it anew");
}

#[test]
fn the_bytes_are_the_ones_on_record_every_time() {
    let (tree, made, options) = special();
    let first = Image::new(&tree, &made, &options).bytes();
    assert!(first == Image::new(&tree, &made, &options).bytes());
    assert_eq!(tree::Digest::of(&first).to_string(), SPECIAL_DIGEST);
}

#[test]
fn e2fsck_finds_nothing_with_and_without_journal_and_space() {
    let (tree, made, mut options) = special();
    let sizes = [
        Size::Minimal { free_bytes: 0, free_percent: 0 },
        Size::Minimal { free_bytes: 50 << 20, free_percent: 90 },
        Size::Fixed(1_000_000_000),
    ];
    for (journal, size) in [false, true].into_iter().flat_map(|journal| sizes.map(|size| (journal, size))) {
        options.journal = journal;
        options.size = size;
        let image = Image::new(&tree, &made, &options);
        image.check("e2fsck");
        if let Size::Minimal { free_bytes, free_percent } = size {
            assert!(image.layout.free_bytes() >= free_bytes);
            assert!(image.layout.free_bytes() * 100 >= image.layout.size_bytes() * u64::from(free_percent));
        }
    }
}

#[test]
fn debugfs_reads_each_special_case() {
    let (tree, made, options) = special();
    let image = Image::new(&tree, &made, &options);
    let check = |request: &str, expected: &[&str]| {
        let Some(said) = image.debugfs("debugfs", request) else { return };
        for words in expected {
            assert!(said.contains(words), "{request}: no `{words}` in\n{said}");
        }
    };
    check("stat plain", &["User: 70000   Group: -294967296", "Links: 3", "Mode:  0640", "2030"]);
    check("stat links/to-59", &["Type: symlink", "Fast link dest: \"ttttt", "Blockcount: 0"]);
    check("stat links/to-60", &["Type: symlink", "Blockcount: 8"]);
    check("stat dev/console", &["Type: character special", "Device major/minor number: 05:01"]);
    check("stat dev/large", &["Type: block special", "(New-style) Device major/minor number: 259:70000"]);
    check("stat dev/fifo", &["Type: FIFO", "Links: 2"]);
    check("stat dev/socket", &["Type: socket"]);
    check("stat times/before-1970", &["mtime: 0xfffeae80:00000000 -- Wed Dec 31 00:00:00 1969"]);
    check("stat times/year-2040", &["mtime: 0x83aa7e80:00000001 -- Sun Jan  1 00:00:00 2040"]);
    check("stat times/year-2400", &["mtime: 0x28cd9d00:00000003 -- Sat Jan  1 00:00:00 2400"]);
    check("ea_list xattr/capability", &["security.capability (20)"]);
    check("ea_list xattr/acl", &["system.posix_acl_access"]);
    check("ea_list xattr/big-1", &["user.big (2000)", "user.small (12) = \"in the inode\""]);
    check("ea_list xattr/many", &["security.e (500)", "user.a (30)", "user.bb (31)", "user.d-longer (33)"]);
    check("ex sparse/many-extents", &["0/ 1", "1/ 1"]);
    check("htree folder", &["Hash Version: 1", "Indirect levels: 0"]);
    check("ls -l lost+found", &[".."]);
    check("stats", &["Checksum type:            crc32c", "unsigned_directory_hash", "Filesystem state:         clean"]);
}

#[test]
fn dumpe2fs_reads_identity_and_features() {
    let (tree, made, options) = special();
    let image = Image::new(&tree, &made, &options);
    let Some(output) = run("dumpe2fs", "dumpe2fs", &[&"-h", &image.path()]) else { return };
    for line in [
        "Filesystem volume name:   test",
        "Filesystem UUID:          10325476-98ba-8cde-8001-23456789abcd",
        "Directory Hash Seed:      f0e1d2c3-b4a5-8697-8879-6a5b4c3d2e1f",
        "Filesystem created:       Mon Jan  1 ",
        "Filesystem features:      ext_attr resize_inode dir_index filetype extent flex_bg sparse_super large_file huge_file dir_nlink extra_isize metadata_csum",
    ] {
        assert!(text(&output).contains(line), "no `{line}` in\n{}", text(&output));
    }
}

/// The suite itself: the same check must accept what the reference tool makes of the same tree.
#[test]
fn e2fsck_finds_nothing_in_the_reference_tools_image_either() {
    let test = "reference image";
    let mut tree = Tree::default();
    for at in 0..300 {
        tree.insert_with_parents(path(format!("d/name-{at}")), Node::file(0o644, format!("{at}"))).unwrap();
    }
    let image = Image::new(&tree, &NoBlobs, &fixed(16 << 20));
    let source = image.folder("source");
    std::fs::create_dir(source.join("d")).unwrap();
    for at in 0..300 {
        std::fs::write(source.join(format!("d/name-{at}")), format!("{at}")).unwrap();
    }
    let reference = source.with_file_name("reference");
    let Some(made) = run(test, "mkfs.ext4", &[&"-q", &"-d", &source, &reference, &"16m"]) else { return };
    assert!(made.status.success(), "{}", text(&made));
    let listing = |of: &Path| {
        let output = run(test, "debugfs", &[&"-R", &"ls -p d", &of])?;
        let names =
            text(&output).lines().filter_map(|line| line.split('/').nth(5).map(str::to_owned)).collect::<Vec<_>>();
        Some(std::collections::BTreeSet::from_iter(names))
    };
    for of in [&reference, &image.path()] {
        let Some(output) = run(test, "e2fsck", &[&"-fn", of]) else { return };
        assert!(output.status.success(), "{}", text(&output));
    }
    assert_eq!(listing(&reference), listing(&image.path()));
}

#[test]
fn an_image_grows_offline_across_many_groups() {
    let (tree, made, options) = special();
    let image = Image::new(&tree, &made, &options);
    for size in ["700M", "40G"] {
        let Some(output) = run("resize2fs", "resize2fs", &[&"-f", &image.path(), &size]) else { return };
        assert!(output.status.success(), "{}", text(&output));
        image.check("resize2fs");
    }
}

#[test]
fn what_ext4_cannot_hold_is_refused_by_name() {
    let check = |name: &str, node: Node, expected: &str| {
        let mut tree = Tree::default();
        tree.insert(path(name), node).unwrap();
        let error = ext4::plan(&tree, &options()).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
    };
    let device = |major, minor| Node { kind: Kind::CharDevice { major, minor }, meta: tree::Meta::root(0o600) };
    let at = |mtime_secs| {
        let mut node = Node::file(0o644, "");
        node.meta.mtime_secs = mtime_secs;
        node
    };
    let with = |name: &str, size| {
        let mut node = Node::file(0o644, "");
        node.meta.xattrs.insert(name.into(), vec![1; size]);
        node
    };
    check("lost+found", Node::file(0o644, ""), "/lost+found");
    check("a", device(4096, 0), "4096:0");
    check("a", at(1 << 34), "time of /a");
    check("a", at(-(1 << 32)), "time of /a");
    check("a", Node::symlink(""), "link /a");
    check("a", Node::symlink("x".repeat(4096)), "link /a");
    check("a", with("user.large", 5000), "attribute user.large of /a");
    check("a", with("com.example", 5), "attribute com.example of /a");
    let size = |size_bytes| ext4::plan(&Tree::default(), &fixed(size_bytes)).unwrap_err();
    assert!(matches!(size(20_000), PlanError::NoSpace { needed_bytes: 40_000..400_000, .. }), "{}", size(20_000));
    assert!(matches!(size(9 << 40), PlanError::TooLarge { .. }));
}

#[test]
fn a_tree_that_was_not_planned_is_refused() {
    let with = |bytes: &str| {
        let mut tree = Tree::default();
        tree.insert(path("a"), Node::file(0o644, bytes)).unwrap();
        tree
    };
    let layout = ext4::plan(&with("a"), &options()).unwrap();
    let mut sink = formats::region::SeekSink::new(std::io::Cursor::new(Vec::new()));
    for other in [Tree::default(), with(""), with(&"a".repeat(5000))] {
        assert!(matches!(ext4::write(&layout, &other, &NoBlobs, &mut sink), Err(ext4::WriteError::OtherTree)));
    }
}

#[test]
fn a_time_of_zero_is_a_time() {
    Image::new(&Tree::default(), &NoBlobs, &Options { epoch_secs: 0, ..options() }).check("epoch 0");
}
