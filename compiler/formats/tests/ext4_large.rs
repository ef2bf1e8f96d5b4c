//! The ext4 writer at sizes where its structures change shape. All images are sparse files, so each is cheap.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use formats::ext4::{Options, Size};
use tree::{Kind, Meta, NoBlobs, Node, Tree};

mod ext4_support;
use ext4_support::{Image, Made, fixed, options, path};

fn sparse_file(made: &mut Made, size_bytes: u64, ranges: Vec<std::ops::Range<u64>>) -> Node {
    Node { kind: Kind::File(made.content(size_bytes, ranges)), meta: Meta::root(0o644) }
}

fn one(range: std::ops::Range<u64>) -> Vec<std::ops::Range<u64>> {
    std::iter::once(range).collect()
}

/// A folder with this many files, whose names fill this many bytes each.
fn folder(names: u32, name_bytes: usize) -> Tree {
    let mut tree = Tree::default();
    tree.insert(path("d"), Node::dir(0o755)).unwrap();
    for at in 0..names {
        tree.insert(path(format!("d/{at:0name_bytes$}")), Node::file(0o644, "")).unwrap();
    }
    tree
}

#[test]
fn a_folder_of_50_000_names_is_a_tree_of_one_level() {
    let test = "50,000 names";
    let image = Image::new(&folder(50_000, 12), &NoBlobs, &options());
    image.check(test);
    let Some(said) = image.debugfs(test, "htree d") else { return };
    assert!(said.contains("Indirect levels: 0"), "{said}");
    assert_eq!(image.debugfs(test, "ls -p d").unwrap().matches("/100644/").count(), 50_000);
}

#[test]
fn a_folder_of_long_names_is_a_tree_of_two_levels() {
    let test = "two levels";
    let image = Image::new(&folder(12_000, 250), &NoBlobs, &options());
    image.check(test);
    let Some(said) = image.debugfs(test, "htree d") else { return };
    assert!(said.contains("Indirect levels: 1"), "{said}");
    let name = format!("d/{:0250}", 11_999);
    assert!(image.debugfs(test, &format!("stat {name}")).unwrap().contains("Type: regular"));
}

/// The checker compares each name's hash with its place, so this also shows that bytes count as unsigned.
#[test]
fn a_folder_of_names_beyond_ascii_is_in_hash_order() {
    let mut tree = Tree::default();
    for at in 0..3000u32 {
        let name: Vec<u8> =
            (0..20).map(|byte| 0x80 | (at * 31 + byte * 7) as u8).chain(at.to_string().into_bytes()).collect();
        tree.insert(path(name), Node::file(0o644, "")).unwrap();
    }
    Image::new(&tree, &NoBlobs, &options()).check("names beyond ASCII");
}

#[test]
fn a_folder_with_more_folders_than_links_are_counted_says_so() {
    let test = "70,000 folders";
    let mut tree = Tree::default();
    for at in 0..70_000 {
        tree.insert(path(format!("{at}")), Node::dir(0o755)).unwrap();
    }
    let image = Image::new(&tree, &NoBlobs, &options());
    image.check(test);
    let Some(said) = image.debugfs(test, "stat /") else { return };
    assert!(said.contains("Links: 1 "), "{said}");
}

#[test]
fn a_file_of_9_gib_is_allocated_but_its_zeros_are_not_written() {
    let test = "9 GiB";
    let mut made = Made::default();
    let mut tree = Tree::default();
    let ranges = vec![0..10, (9 << 30) - 3..9 << 30];
    tree.insert(path("large"), sparse_file(&mut made, 9 << 30, ranges)).unwrap();
    tree.insert(path("small"), Node::file(0o644, "behind the large one")).unwrap();
    let image = Image::new(&tree, &made, &options());
    image.check(test);
    let Some(said) = image.debugfs(test, "stat large") else { return };
    assert!(said.contains(&format!("Size: {}", 9u64 << 30)), "{said}");
    assert!(image.debugfs(test, "cat small").unwrap().contains("behind the large one"));
}

#[test]
fn holes_that_are_named_are_not_allocated() {
    let test = "holes";
    let mut made = Made::default();
    let mut tree = Tree::default();
    // Enough extents for a second level of blocks, and a length that only a hole can have.
    let many: Vec<_> = (0..2000).map(|at| at * 8192..at * 8192 + 4096).collect();
    tree.insert(path("many-extents"), sparse_file(&mut made, 20 << 20, many)).unwrap();
    tree.insert(path("one-hole"), sparse_file(&mut made, 1 << 33, one(5 << 30..(5 << 30) + 1))).unwrap();
    let options = Options { data_ranges: made.data_ranges(), ..options() };
    let image = Image::new(&tree, &made, &options);
    assert!(image.layout.size_bytes() < 20 << 20);
    image.check(test);
    let Some(said) = image.debugfs(test, "ex many-extents") else { return };
    assert!(said.contains(" 2/ 2 "), "{said}");
    assert!(image.debugfs(test, "stat one-hole").unwrap().contains("Blockcount: 8\n"));
}

#[test]
fn an_image_of_1_tib_is_sparse_and_clean() {
    let test = "1 TiB";
    let mut made = Made::default();
    let mut tree = Tree::default();
    tree.insert(path("file"), Node::file(0o644, "small")).unwrap();
    tree.insert(path("across-groups"), sparse_file(&mut made, 1 << 30, one(0..1 << 20))).unwrap();
    let journal = Options { journal: true, ..fixed(1 << 40) };
    let image = Image::new(&tree, &made, &journal);
    assert_eq!(image.layout.size_bytes(), 1 << 40);
    image.check(test);
}

#[test]
fn more_inodes_than_blocks_make_larger_inode_tables() {
    let mut tree = Tree::default();
    for at in 0..60_000 {
        tree.insert(path(format!("{at}")), Node { kind: Kind::Fifo, meta: Meta::root(0o600) }).unwrap();
    }
    for size in
        [Size::Minimal { free_bytes: 0, free_percent: 0 }, Size::Minimal { free_bytes: 600 << 20, free_percent: 0 }]
    {
        Image::new(&tree, &NoBlobs, &Options { size, ..options() }).check("many inodes");
    }
}

#[test]
fn every_size_near_the_end_of_a_group_is_clean() {
    let mut tree = Tree::default();
    tree.insert(path("a"), Node::file(0o644, "a")).unwrap();
    let group_bytes = 32_768 * 4096_i64;
    for (groups, more) in
        [1, 2, 3, 16, 17, 33].into_iter().flat_map(|groups| [-4096, 0, 4096, 20 << 20].map(|more| (groups, more)))
    {
        let size_bytes = (group_bytes * groups + more) as u64;
        let image = Image::new(&tree, &NoBlobs, &fixed(size_bytes));
        assert!(image.layout.size_bytes() <= size_bytes);
        image.check("group ends");
    }
}
