//! Partition tables in three ways: the dump, a pinned digest, and what `sgdisk` says of them.

#![expect(clippy::disallowed_methods, reason = "these tests make files and ask tools")]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use formats::gpt::{self, Layout, Options, Partition, PlanError, Size, types};
use proptest::prelude::*;

mod disk_support;
use disk_support::{run, text};

const MIB: u64 = 1 << 20;

fn partition(number: u8, type_id: gpt::Guid, name: &str, size_bytes: u64) -> Partition {
    Partition { type_id, id: [number; 16], name: name.to_owned(), attributes: 0, size_bytes }
}

fn example(size: Size) -> Options {
    let root = partition(2, types::ROOT_X86_64, "root", 5 * MIB + 1);
    let verity = partition(3, types::ROOT_VERITY_X86_64, "root verity ☃", 4096);
    let partitions =
        vec![partition(1, types::ESP, "esp", 34 * MIB), Partition { attributes: types::READ_ONLY, ..root }, verity];
    Options { disk_id: [0x12; 16], size, partitions, grow_last: false }
}

fn image(layout: &Layout) -> Vec<u8> {
    let (mut image, (offset, tail)) = layout.regions();
    image.resize(offset as usize, 0);
    image.extend(tail);
    assert_eq!(image.len() as u64, layout.size_bytes());
    image
}

/// Asserts that `sgdisk` finds no problem; the disk may end in zeros that a sparse file does not hold.
fn verify(layout: &Layout) -> Option<String> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("disk");
    std::fs::write(&path, image(layout)).unwrap();
    let said = text(&run("sgdisk", "sgdisk", &[&"-v", &path])?);
    assert!(said.contains("No problems found"), "{said}");
    Some(text(&run("sgdisk", "sgdisk", &[&"-p", &"-i", &"2", &path])?))
}

#[test]
fn the_table_is_the_one_on_record() {
    let layout = gpt::plan(&example(Size::Minimal)).unwrap();
    let dump = "\
disk 12121212-1212-1212-1212-121212121212 45088768 bytes
2048..71679 c12a7328-f81f-11d2-ba4b-00a0c93ec93b 01010101-0101-0101-0101-010101010101 \"esp\" flags 0x0
71680..83967 4f68bce3-e8cd-4db1-96e7-fbcaf984b709 02020202-0202-0202-0202-020202020202 \"root\" flags 0x1000000000000000
83968..86015 2c7357ed-ebd2-46d9-aec1-23d437ec2bf5 03030303-0303-0303-0303-030303030303 \"root verity ☃\" flags 0x0
";
    assert_eq!(layout.dump(), dump);
    let digest = tree::Digest::of(&image(&layout)).to_string();
    assert_eq!(digest, "b95dcbeae4a01a76a8f67f59045e1cfe564aaef8cfbeb1b2ca8e71e47b2de71c");
}

#[test]
fn sgdisk_finds_no_problem_and_reads_what_was_asked_for() {
    for size in [Size::Minimal, Size::Fixed(44 * MIB), Size::Fixed(100_000_256)] {
        let Some(said) = verify(&gpt::plan(&example(size)).unwrap()) else { return };
        let words = ["First sector: 71680", "Last sector: 83967", "Partition name: 'root'", "x86-64 root", "10000000"];
        for words in words {
            assert!(said.contains(words), "no `{words}` in\n{said}");
        }
    }
}

#[test]
fn a_disk_that_is_too_small_says_what_would_fit() {
    let error = gpt::plan(&example(Size::Fixed(40 * MIB))).unwrap_err();
    assert_eq!(
        error.to_string(),
        "a disk of 41943040 bytes is too small: its partitions (esp 34 MiB, root 6 MiB, root verity ☃ 1 MiB) \
         and tables need 44057088 bytes; ask for a disk of 43 MiB or more"
    );
    let PlanError::NoSpace { needed_bytes, .. } = error else { panic!("{error}") };
    assert!(gpt::plan(&example(Size::Fixed(needed_bytes))).is_ok());
    assert!(gpt::plan(&example(Size::Fixed(needed_bytes - 512))).is_err());
}

#[test]
fn what_no_table_can_hold_is_refused() {
    let with = |partition: Partition| {
        gpt::plan(&Options { partitions: vec![partition], ..example(Size::Minimal) }).unwrap_err()
    };
    let good = partition(1, types::ESP, "esp", 1);
    assert_eq!(with(Partition { size_bytes: 0, ..good.clone() }), PlanError::Empty("esp".to_owned()));
    assert_eq!(with(Partition { size_bytes: u64::MAX, ..good.clone() }), PlanError::TooLarge);
    assert_eq!(with(Partition { id: [0x12; 16], ..good.clone() }), PlanError::Id("esp".to_owned()));
    let name = "x".repeat(37);
    assert_eq!(with(Partition { name: name.clone(), ..good.clone() }), PlanError::Name(name));
    let many = Options { partitions: vec![good; 129], ..example(Size::Minimal) };
    assert_eq!(gpt::plan(&many), Err(PlanError::Count(129)));
    assert_eq!(gpt::plan(&example(Size::Fixed(100))), Err(PlanError::Sectors(100)));
}

#[test]
fn the_last_partition_grows_to_the_end() {
    let options = Options { grow_last: true, ..example(Size::Fixed(64 * MIB)) };
    let layout = gpt::plan(&options).unwrap();
    assert_eq!(layout.places()[2].offset_bytes() + layout.places()[2].size_bytes(), 63 * MIB);
    verify(&layout);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn partitions_hold_what_was_asked_for_and_sgdisk_is_content(
        sizes in prop::collection::vec(1..20_000_000_u64, 0..9),
        more in prop::option::of(0..5000_u64),
        grow_last in any::<bool>(),
    ) {
        let partitions: Vec<_> =
            sizes.iter().enumerate().map(|(at, size)| partition(at as u8, types::LINUX_DATA, "data", *size)).collect();
        let mut options = Options { disk_id: [99; 16], size: Size::Minimal, partitions, grow_last };
        if let Some(more) = more {
            options.size = Size::Fixed(gpt::plan(&options).unwrap().size_bytes() + more * 512);
        }
        let layout = gpt::plan(&options).unwrap();
        for (place, size) in layout.places().iter().zip(&sizes) {
            prop_assert!(place.size_bytes() >= *size && place.offset_bytes().is_multiple_of(MIB));
        }
        verify(&layout);
    }
}
