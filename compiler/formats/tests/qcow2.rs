//! Compressed disk images in three ways: the dump, a pinned digest, and what `qemu-img` says of them.

#![expect(clippy::disallowed_methods, reason = "these tests make files and ask tools")]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::io::Cursor;
use std::path::Path;

use formats::qcow2::{CLUSTER_BYTES, Cluster, Compression, Encoder, Image, ReadError, Writer};
use proptest::prelude::*;

mod disk_support;
use disk_support::{Disk, agrees, ask};

const BOTH: [Compression; 2] = [Compression::Zlib, Compression::Zstd];

fn write(disk: &Disk, compression: Compression) -> Vec<u8> {
    let mut encoder = Encoder::new(compression).unwrap();
    let mut writer = Writer::new(Cursor::new(Vec::new()), disk.size_bytes, compression);
    for (index, cluster) in disk.clusters(CLUSTER_BYTES) {
        writer.put(index, &cluster, &encoder.encode(&cluster).unwrap()).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Asserts that our reader and QEMU's see the disk in the file, and that each cluster is counted as often as it is used.
fn verify(test: &str, disk: &Disk, file: &[u8]) {
    let image = Image::parse(file).unwrap();
    let expected = disk.clusters(CLUSTER_BYTES);
    let zeros = vec![0; CLUSTER_BYTES];
    let found: std::collections::BTreeMap<_, _> = image.clusters().unwrap().into_iter().collect();
    for (index, bytes) in &expected {
        let cluster = found.get(index).copied().unwrap_or(Cluster::Zero);
        assert!(image.read(*index, cluster).unwrap() == *bytes, "{index}");
    }
    assert!(found.keys().all(|index| expected.get(index).is_some_and(|bytes| *bytes != zeros)));
    let folder = tempfile::tempdir().unwrap();
    let (path, raw) = (folder.path().join("disk.qcow2"), folder.path().join("disk.raw"));
    std::fs::write(&path, file).unwrap();
    disk.write_raw(&raw);
    agrees(test, "qcow2", &path, &raw, true);
}

#[test]
fn the_image_is_the_one_on_record() {
    let disk = Disk::example();
    for (compression, name, digest) in [
        (BOTH[0], "qcow2-zlib.txt", "6b4a673830afe7333e8ef6d794999ee40f41adab7b2e4352b5b2bf8de7570d2e"),
        (BOTH[1], "qcow2-zstd.txt", "40f450c3aaa0be501b1744b2078edfa942fe926a8054d5b3a166bfff948dac75"),
    ] {
        let file = write(&disk, compression);
        let dump = Image::parse(&file).unwrap().dump().unwrap();
        let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots").join(name);
        if std::env::var("UPDATE_SNAPSHOTS").is_ok() {
            std::fs::write(&record, &dump).unwrap();
        }
        assert_eq!(dump, std::fs::read_to_string(record).unwrap(), "set UPDATE_SNAPSHOTS=1 to record it anew");
        assert_eq!(tree::Digest::of(&file).to_string(), digest, "{name}");
    }
}

#[test]
fn qemu_agrees_with_both_compressions() {
    let empty = Disk { size_bytes: 3 << 30, regions: Vec::new() };
    let odd =
        Disk { size_bytes: CLUSTER_BYTES as u64 * 3 + 512, regions: vec![(CLUSTER_BYTES as u64 * 3, vec![1; 512])] };
    for disk in [Disk::example(), empty, odd] {
        for compression in BOTH {
            verify("qcow2", &disk, &write(&disk, compression));
        }
    }
}

#[test]
fn the_reader_reads_what_qemu_wrote_and_ours_is_not_larger() {
    let disk = Disk::example();
    let folder = tempfile::tempdir().unwrap();
    let (path, raw) = (folder.path().join("disk.qcow2"), folder.path().join("disk.raw"));
    disk.write_raw(&raw);
    for compression in BOTH {
        let option = format!("compression_type={}", format!("{compression:?}").to_lowercase());
        let arguments: [&dyn AsRef<Path>; 8] = [&"convert", &"-c", &"-O", &"qcow2", &"-o", &option, &raw, &path];
        if ask("qcow2 convert", "qemu-img", &arguments).is_none() {
            return;
        }
        let theirs = std::fs::read(&path).unwrap();
        verify("qcow2 convert", &disk, &theirs);
        assert_eq!(Image::parse(&theirs).unwrap().compression(), compression);
        let ours = write(&disk, compression);
        assert!(ours.len() * 100 <= theirs.len() * 105, "{} and {}", ours.len(), theirs.len());
    }
}

#[test]
fn damage_is_told_in_words() {
    let file = write(&Disk::example(), Compression::Zstd);
    let with = |at: usize, bytes: &[u8]| {
        let mut file = file.clone();
        file[at..at + bytes.len()].copy_from_slice(bytes);
        let image = Image::parse(&file)?;
        image.clusters()?.into_iter().try_for_each(|(index, cluster)| image.read(index, cluster).map(drop))
    };
    assert_eq!(with(0, b"x"), Err(ReadError::Magic));
    assert_eq!(with(8, &[1]), Err(ReadError::Unsupported("a backing file")));
    assert!(matches!(with(40, &[9]), Err(ReadError::Outside { what: "the L1 table", .. })));
    assert_eq!(with(CLUSTER_BYTES, &[0; 8]), Err(ReadError::Compressed(0)));
    let l1 = u64::from_be_bytes(file[40..48].try_into().unwrap()) as usize;
    let first = file[l1..l1 + 8].to_vec();
    assert!(matches!(with(l1 + 8, &first), Err(ReadError::Twice(_))));
    assert_eq!(Image::parse(&file[..100]).unwrap_err(), ReadError::Magic);
    assert!(matches!(Image::parse(&file[..file.len() / 2]), Err(ReadError::Outside { .. })));
}

#[test]
fn clusters_out_of_order_are_refused() {
    let mut encoder = Encoder::new(Compression::Zstd).unwrap();
    let mut writer = Writer::new(Cursor::new(Vec::new()), 1 << 20, Compression::Zstd);
    let cluster = vec![1; CLUSTER_BYTES];
    let encoded = encoder.encode(&cluster).unwrap();
    writer.put(3, &cluster, &encoded).unwrap();
    assert!(writer.put(3, &cluster, &encoded).is_err());
    assert!(writer.put(16, &cluster, &encoded).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sparse_disk_is_read_back(
        parts in prop::collection::vec((0..2_000_000_u64, 1..300_000_usize, any::<u8>()), 0..12),
        tail_bytes in 0..100_000_000_u64,
        zstd in any::<bool>(),
    ) {
        let disk = Disk::new(&parts, tail_bytes);
        if disk.size_bytes > 0 {
            let file = write(&disk, BOTH[usize::from(zstd)]);
            verify("qcow2 property", &disk, &file);
        }
    }
}
