//! FAT volumes in three ways: the dump, a pinned digest, and what dosfstools and mtools read from them.

#![expect(clippy::disallowed_methods, reason = "these tests make files and ask tools")]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use formats::fat::{self, File, Layout, Options, PlanError, Size};
use formats::region::SeekSink;
use proptest::prelude::*;

mod disk_support;
use disk_support::{ask, run, text};

fn options(size: Size) -> Options {
    let label = "ESP".to_owned();
    Options { size, serial: 0x1234_abcd, label, epoch_secs: 1_709_210_096, sectors_before: 2048 }
}

fn minimal() -> Options {
    options(Size::Minimal { free_bytes: 0 })
}

/// Bytes that differ from file to file.
fn content(seed: usize, size: usize) -> Vec<u8> {
    (0..size).map(|at| ((at * (seed + 7)) >> 3) as u8).collect()
}

fn example() -> Vec<(String, Vec<u8>)> {
    let files = [
        ("EFI/BOOT/BOOTX64.EFI", 1_000_000),
        ("EFI/Linux/appliance-1.0.0+3-0.efi", 513),
        ("EFI/Linux/appliance-1.0.1+3-0.efi", 512),
        ("loader/loader.conf", 0),
        ("loader/entries/ein Name mit Umlaut äöü und ☃, der länger ist als dreizehn Zeichen.conf", 20),
        ("README.TXT", 5),
    ];
    files.iter().enumerate().map(|(seed, (path, size))| ((*path).to_owned(), content(seed, *size))).collect()
}

fn plan(files: &[(String, Vec<u8>)], options: &Options) -> Result<Layout, PlanError> {
    let files: Vec<_> =
        files.iter().map(|(path, bytes)| File { path: path.clone(), size_bytes: bytes.len() as u64 }).collect();
    fat::plan(&files, options)
}

fn image(layout: &Layout, files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let contents: Vec<&[u8]> = files.iter().map(|(_, bytes)| &bytes[..]).collect();
    let mut sink = SeekSink::new(std::io::Cursor::new(Vec::new()));
    fat::write(layout, &contents, &mut sink).unwrap();
    let mut image = sink.into_inner().into_inner();
    let data = layout.data_ranges();
    let outside = |at: &u64| !data.iter().any(|range| range.contains(at));
    assert!((0..image.len() as u64).filter(outside).all(|at| image[at as usize] == 0));
    image.resize(layout.size_bytes() as usize, 0);
    image
}

/// Asserts that `fsck.vfat` finds nothing and that mtools read every file.
fn verify(test: &str, layout: &Layout, files: &[(String, Vec<u8>)]) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("volume");
    std::fs::write(&path, image(layout, files)).unwrap();
    if let Some(output) = run(test, "fsck.vfat", &[&"-n", &"-v", &path]) {
        let said = text(&output);
        assert!(output.status.success(), "{said}");
        let complaint = ["Wrong", "uninitialized", "Reclaim", "differences", "Bad", "invalid"];
        assert!(!complaint.iter().any(|word| said.contains(word)), "{said}");
    }
    let out = folder.path().join("out");
    std::fs::create_dir(&out).unwrap();
    if ask(test, "mcopy", &[&"-s", &"-Q", &"-i", &path, &"::", &out]).is_some() {
        for (name, bytes) in files {
            assert!(std::fs::read(out.join(name)).unwrap() == *bytes, "{name}");
        }
    }
}

#[test]
fn the_volume_is_the_one_on_record() {
    let (files, options) = (example(), minimal());
    let layout = plan(&files, &options).unwrap();
    let file = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/fat.txt");
    if std::env::var("UPDATE_SNAPSHOTS").is_ok() {
        std::fs::write(&file, layout.dump()).unwrap();
    }
    assert_eq!(layout.dump(), std::fs::read_to_string(file).unwrap(), "set UPDATE_SNAPSHOTS=1 to record it anew");
    let digest = tree::Digest::of(&image(&layout, &files)).to_string();
    assert_eq!(digest, "6bd10541efd78b2fa3130d2ab73522cda3844e08f1f73d0bde3bab212481fda9");
}

#[test]
fn the_order_of_the_files_changes_nothing() {
    let mut files = example();
    let first = image(&plan(&files, &minimal()).unwrap(), &files);
    files.reverse();
    assert!(image(&plan(&files, &minimal()).unwrap(), &files) == first);
}

#[test]
fn tools_find_nothing_wrong_and_read_every_file() {
    let files = example();
    for size in [Size::Minimal { free_bytes: 0 }, Size::Minimal { free_bytes: 40 << 20 }, Size::Fixed(300 << 20)] {
        verify("fat tools", &plan(&files, &options(size)).unwrap(), &files);
    }
    verify("fat empty", &plan(&[], &minimal()).unwrap(), &[]);
}

#[test]
fn mtools_tell_label_serial_and_times() {
    let files = example();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("volume");
    std::fs::write(&path, image(&plan(&files, &minimal()).unwrap(), &files)).unwrap();
    let Some(said) = ask("fat mdir", "mdir", &[&"-i", &path, &"::"]) else { return };
    for words in ["Volume in drive : is ESP", "1234-ABCD", "2024-02-29  12:34"] {
        assert!(said.contains(words), "no `{words}` in\n{said}");
    }
}

#[test]
fn a_volume_that_is_too_small_says_what_would_fit() {
    let files = vec![("a".to_owned(), vec![1; 40 << 20])];
    let error = plan(&files, &options(Size::Fixed(34 << 20))).unwrap_err();
    let PlanError::NoSpace { needed_bytes, .. } = error else { panic!("{error}") };
    assert_eq!(
        error.to_string(),
        "a FAT32 volume of 35651584 bytes is too small: its files need 41943136 bytes, and with its tables \
         and the least size of FAT32 that is 42991616 bytes (41 MiB)"
    );
    assert!(plan(&files, &options(Size::Fixed(needed_bytes))).is_ok());
    let error = plan(&[], &options(Size::Fixed(1 << 20))).unwrap_err();
    assert!(error.to_string().contains("(33 MiB)"), "{error}");
}

#[test]
fn what_fat_cannot_hold_is_refused() {
    let refuse = |paths: &[&str]| {
        let files: Vec<_> = paths.iter().map(|path| ((*path).to_owned(), Vec::new())).collect();
        plan(&files, &minimal()).unwrap_err()
    };
    assert_eq!(refuse(&["a", "a"]), PlanError::Twice("a".to_owned()));
    assert_eq!(refuse(&["a", "a/b"]), PlanError::Twice("a/b".to_owned()));
    assert_eq!(refuse(&["a/b", "a"]), PlanError::Twice("a".to_owned()));
    assert!(matches!(refuse(&["a/x", "A/y"]), PlanError::Name { .. }));
    assert!(matches!(refuse(&["a//b"]), PlanError::Name { .. }));
    let large = [File { path: "a".to_owned(), size_bytes: 1 << 32 }];
    assert!(matches!(fat::plan(&large, &minimal()), Err(PlanError::File { .. })));
    let label = Options { label: "lower".to_owned(), ..minimal() };
    assert_eq!(plan(&[], &label), Err(PlanError::Label("lower".to_owned())));
}

#[test]
fn contents_that_are_not_the_planned_ones_are_refused() {
    let layout = plan(&[("a".to_owned(), vec![1, 2])], &minimal()).unwrap();
    let mut sink = SeekSink::new(std::io::Cursor::new(Vec::new()));
    let error = fat::write(&layout, &[b"abc"], &mut sink).unwrap_err();
    assert_eq!(error.to_string(), "write /a: it was planned with 2 bytes and has 3");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_files_are_read_back(
        sizes in prop::collection::btree_map(
            prop::collection::vec("[A-Za-z0-9ä][A-Za-z0-9 ._ä+~]{0,30}[A-Za-z0-9ä]", 1..4), 0..100_000_usize, 0..40,
        ),
    ) {
        let files: Vec<_> =
            sizes.iter().map(|(path, size)| (path.join("/"), content(path.len() + size, *size))).collect();
        // Names that differ only by case, and files that are also folders, are refused: nothing to read back.
        if let Ok(layout) = plan(&files, &minimal()) {
            verify("fat property", &layout, &files);
        }
    }
}
