//! Where a planned ext4 image may hold data, compared with what the writer really gives.

#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::ops::Range;

use formats::ext4::{self, Options, Size};
use formats::region::RegionSink;
use tree::{Blobs, Tree};

mod ext4_support;
use ext4_support::{fixed, options, special};

/// Refuses regions outside of the ranges and counts what is not zero.
struct Within {
    ranges: Vec<Range<u64>>,
    written_bytes: u64,
}

impl RegionSink for Within {
    fn data(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        let end = offset + bytes.len() as u64;
        assert!(self.ranges.iter().any(|range| range.start <= offset && end <= range.end), "{offset}..{end}");
        self.written_bytes += bytes.len() as u64;
        Ok(())
    }
}

/// Bytes of the ranges and bytes that were written.
fn compare(tree: &Tree, blobs: &dyn Blobs, options: &Options) -> (u64, u64) {
    let layout = ext4::plan(tree, options).unwrap();
    let ranges = layout.data_ranges();
    assert!(ranges.is_sorted_by(|left, right| left.end < right.start));
    assert!(ranges.last().unwrap().end <= layout.size_bytes());
    let planned = ranges.iter().map(|range| range.end - range.start).sum();
    let mut sink = Within { ranges, written_bytes: 0 };
    ext4::write(&layout, tree, blobs, &mut sink).unwrap();
    (planned, sink.written_bytes)
}

#[test]
fn every_region_lies_where_the_plan_says_and_free_space_and_the_journal_do_not() {
    let (tree, made, options) = special();
    let sizes = [
        Size::Minimal { free_bytes: 0, free_percent: 0 },
        Size::Minimal { free_bytes: 900 << 20, free_percent: 0 },
        Size::Fixed(20 << 30),
    ];
    for (journal, size) in [false, true].into_iter().flat_map(|journal| sizes.map(|size| (journal, size))) {
        compare(&tree, &made, &Options { journal, size, ..options.clone() });
    }
    let empty = Options { journal: true, ..fixed(8 << 30) };
    let (planned, _) = compare(&Tree::default(), &tree::NoBlobs, &empty);
    assert!(planned < 16 << 20, "{planned}");
}

#[test]
fn a_tree_of_full_files_is_written_where_it_was_planned() {
    let mut tree = Tree::default();
    for file in 0..2000 {
        let node = tree::Node::file(0o644, vec![b'x'; 10_000]);
        tree.insert_with_parents(ext4_support::path(format!("folder-{}/{file}", file % 7)), node).unwrap();
    }
    let (planned, written) = compare(&tree, &tree::NoBlobs, &Options { journal: true, ..options() });
    assert!(planned * 100 <= written * 105, "{planned} planned, {written} written");
}
