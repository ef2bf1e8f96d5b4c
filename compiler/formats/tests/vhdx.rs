//! Hyper-V's disk images in three ways: the dump, a pinned digest, and what `qemu-img` says of them.

#![expect(clippy::disallowed_methods, reason = "these tests make files and ask tools")]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::io::Cursor;
use std::path::Path;

use formats::region::{RegionSink, SeekSink};
use formats::vhdx::{BLOCK_BYTES, BlockSink, Ids, Layout, PlanError};
use proptest::prelude::*;

mod disk_support;
use disk_support::{Disk, agrees, ask};

const IDS: Ids = Ids {
    file_write: [0x11; 16],
    data_write: [0x22; 16],
    disk: *b"\x10\x32\x54\x76\x98\xba\x4c\xde\x80\x01#Eg\x89\xab\xcd",
};

fn plan(disk: &Disk) -> Layout {
    let data: Vec<_> = disk.regions.iter().map(|(offset, bytes)| *offset..offset + bytes.len() as u64).collect();
    Layout::new(IDS, disk.size_bytes, &data).unwrap()
}

fn write(disk: &Disk) -> Vec<u8> {
    let layout = plan(disk);
    let mut file = SeekSink::new(Cursor::new(Vec::new()));
    let mut blocks = BlockSink::new(&layout, &mut file).unwrap();
    disk.regions.iter().for_each(|(offset, bytes)| blocks.data(*offset, bytes).unwrap());
    let mut file = file.into_inner().into_inner();
    assert!(file.len() as u64 <= layout.file_bytes());
    file.resize(layout.file_bytes() as usize, 0);
    file
}

fn verify(test: &str, disk: &Disk) {
    let folder = tempfile::tempdir().unwrap();
    let (path, raw) = (folder.path().join("disk.vhdx"), folder.path().join("disk.raw"));
    std::fs::write(&path, write(disk)).unwrap();
    disk.write_raw(&raw);
    agrees(test, "vhdx", &path, &raw, true);
}

#[test]
fn the_image_is_the_one_on_record() {
    let disk = Disk::example();
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/vhdx.txt");
    let dump = plan(&disk).dump();
    if std::env::var("UPDATE_SNAPSHOTS").is_ok() {
        std::fs::write(&record, &dump).unwrap();
    }
    assert_eq!(dump, std::fs::read_to_string(record).unwrap(), "set UPDATE_SNAPSHOTS=1 to record it anew");
    assert_eq!(
        tree::Digest::of(&write(&disk)).to_string(),
        "3fefda8ec5b3afca7e2fd20a1ad63daafcb8c5934c94bc34425f8302046128ea"
    );
}

#[test]
fn qemu_agrees() {
    verify("vhdx", &Disk::example());
    verify("vhdx empty", &Disk { size_bytes: 100 << 20, regions: Vec::new() });
}

/// Comparing whole disks of several chunks would read gigabytes of zeros, so only the seams are read.
#[test]
fn qemu_finds_the_blocks_on_both_sides_of_a_chunk_s_end() {
    const CHUNK: u64 = 4096 * BLOCK_BYTES;
    let seam = |chunk: u64, seed: u8| (chunk * CHUNK - BLOCK_BYTES, vec![seed; 2 * BLOCK_BYTES as usize]);
    let disk = Disk { size_bytes: 2 * CHUNK + BLOCK_BYTES, regions: vec![seam(1, 3), seam(2, 5)] };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk.vhdx");
    std::fs::write(&path, write(&disk)).unwrap();
    for (offset, bytes) in &disk.regions {
        let request = format!("read -P {} {offset} {}", bytes[0], bytes.len());
        let Some(said) = ask("vhdx chunks", "qemu-io", &[&"-r", &"-f", &"vhdx", &"-c", &request, &path]) else {
            return;
        };
        assert!(said.starts_with("read 2097152/2097152") && !said.contains("failed"), "{said}");
    }
}

#[test]
fn data_where_the_plan_has_none_is_an_error_and_zeros_are_not() {
    let layout = Layout::new(IDS, 8 << 20, &[1..2, 5 << 20..6 << 20]).unwrap();
    let mut file = SeekSink::new(Cursor::new(Vec::new()));
    let mut blocks = BlockSink::new(&layout, &mut file).unwrap();
    blocks.data(BLOCK_BYTES - 1, &[1, 0]).unwrap();
    let error = blocks.data(3 * BLOCK_BYTES, &[0, 1]).unwrap_err();
    assert_eq!(error.to_string(), "the disk has data at 3145728, where its plan has none");
}

#[test]
fn disks_that_the_format_cannot_hold_are_refused() {
    assert_eq!(Layout::new(IDS, 65 << 40, &[]), Err(PlanError::TooLarge(65 << 40)));
    assert_eq!(Layout::new(IDS, 1000, &[]), Err(PlanError::Sectors(1000)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sparse_disk_is_read_back(
        parts in prop::collection::vec((0..5_000_000_u64, 1..3_000_000_usize, any::<u8>()), 0..6),
        tail_bytes in 1..100_000_000_u64,
    ) {
        verify("vhdx property", &Disk::new(&parts, tail_bytes));
    }
}
