//! Random small trees: whatever is planned is written the same way twice, and `e2fsck` finds nothing in it.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use formats::ext4::{self, Options, Size};
use formats::region::RegionSink;
use proptest::prelude::*;
use tree::{Kind, Meta, NoBlobs, Node, Tree, TreePath};

mod ext4_support;
use ext4_support::{Image, options, run};

/// What is put into a tree: the folder and first name by number, and the entry.
type Entry = (u8, Vec<u8>, Node);

fn node() -> impl Strategy<Value = Node> {
    let kind = prop_oneof![
        Just(Kind::Dir),
        Just(Kind::Fifo),
        (0..20_000usize).prop_map(|size| Node::file(0, vec![7; size]).kind),
        (1..4096usize).prop_map(|length| Node::symlink(vec![b't'; length]).kind),
        (0..4096u32, 0..1_048_576u32).prop_map(|(major, minor)| Kind::CharDevice { major, minor }),
    ];
    let xattr = (prop_oneof![Just("user"), Just("security"), Just("trusted")], "[a-z]{1,20}", 0..300usize)
        .prop_map(|(prefix, name, size)| (format!("{prefix}.{name}").into_bytes(), vec![1; size]));
    let xattrs = prop::collection::btree_map(any::<u8>(), xattr, 0..4).prop_map(|map| map.into_values().collect());
    let meta = (0..0o10000u16, any::<u32>(), any::<u32>(), -(1i64 << 31)..(1 << 34) - (1 << 31), xattrs)
        .prop_map(|(mode, uid, gid, mtime_secs, xattrs)| Meta { mode, uid, gid, mtime_secs, xattrs });
    (kind, meta).prop_map(|(kind, meta)| Node { kind, meta })
}

fn entry() -> impl Strategy<Value = Entry> {
    (any::<u8>(), prop::collection::vec(1..=255u8, 1..100), node())
}

/// Puts each entry below one of the folders that are already there; a few also get a second name.
fn tree_of(entries: Vec<Entry>) -> Tree {
    let mut tree = Tree::default();
    let mut folders = vec![TreePath::root()];
    for (at, name, node) in entries {
        let folder = &folders[at as usize % folders.len()];
        let Ok(path) = folder.join(name) else { continue };
        if path == *folder || path.parent().as_ref() != Some(folder) || tree.get(&path).is_some() {
            continue;
        }
        let is_folder = node.is_dir();
        tree.insert(path.clone(), node).unwrap();
        if is_folder {
            folders.push(path);
        } else if at % 5 == 0 {
            let _ = tree.hard_link(&path, TreePath::new(format!("second-{at}")).unwrap());
        }
    }
    tree
}

/// Keeps the ends of regions, to see that they ascend.
#[derive(Default, PartialEq, Debug)]
struct Regions(Vec<(u64, Vec<u8>)>);

impl RegionSink for Regions {
    fn data(&mut self, offset_bytes: u64, bytes: &[u8]) -> std::io::Result<()> {
        let end = self.0.last().map_or(0, |(offset, bytes)| offset + bytes.len() as u64);
        assert!(offset_bytes >= end && !bytes.is_empty());
        self.0.push((offset_bytes, bytes.to_vec()));
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_random_tree_becomes_a_clean_image(
        entries in prop::collection::vec(entry(), 0..200),
        journal in any::<bool>(),
        free_percent in 0..50u8,
    ) {
        let tree = tree_of(entries);
        let size = Size::Minimal { free_bytes: 0, free_percent };
        let options = Options { journal, size, ..options() };
        let layout = ext4::plan(&tree, &options).unwrap();
        let regions = [(); 2].map(|()| {
            let mut regions = Regions::default();
            ext4::write(&layout, &tree, &NoBlobs, &mut regions).unwrap();
            regions
        });
        prop_assert!(regions[0] == regions[1]);
        let (end, bytes) = regions[0].0.last().unwrap();
        prop_assert!(end + bytes.len() as u64 <= layout.size_bytes());
        let image = Image::new(&tree, &NoBlobs, &options);
        if let Some(output) = run("random trees", "e2fsck", &[&"-fn", &image.path()]) {
            prop_assert!(output.status.success(), "{}\n{}", ext4_support::text(&output), layout.dump(&tree));
        }
    }
}
