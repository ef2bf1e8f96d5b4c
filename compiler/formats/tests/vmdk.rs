//! VMware's stream-optimised disks and the archives around them: the descriptor, pinned digests, and what `qemu-img` and
//! `tar` read from them.

#![expect(clippy::disallowed_methods, reason = "these tests make files and ask tools")]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::path::Path;

use formats::ovf::{self, Archive, ArchiveError, Machine};
use formats::vmdk::{Encoder, GRAIN_BYTES, Options, Writer};
use proptest::prelude::*;

mod disk_support;
use disk_support::{Disk, agrees, ask};

fn write(disk: &Disk) -> Vec<u8> {
    let content_id = *b"\x10\x32\x54\x76\x98\xba\xdc\xfe\x80\x01#Eg\x89\xab\xcd";
    let options = Options { size_bytes: disk.size_bytes, content_id, file_name: "disk.vmdk".to_owned() };
    let mut encoder = Encoder::default();
    let mut writer = Writer::new(Vec::new(), options).unwrap();
    for (index, grain) in disk.clusters(GRAIN_BYTES) {
        if let Some(compressed) = encoder.encode(&grain).unwrap() {
            writer.put(index, &compressed).unwrap();
        }
    }
    writer.finish().unwrap()
}

fn verify(test: &str, disk: &Disk) {
    let folder = tempfile::tempdir().unwrap();
    let (path, raw) = (folder.path().join("disk.vmdk"), folder.path().join("disk.raw"));
    std::fs::write(&path, write(disk)).unwrap();
    disk.write_raw(&raw);
    agrees(test, "vmdk", &path, &raw, true);
}

#[test]
fn the_image_is_the_one_on_record() {
    let file = write(&Disk::example());
    let descriptor = std::str::from_utf8(&file[512..]).unwrap_err().valid_up_to();
    let descriptor = String::from_utf8_lossy(&file[512..512 + descriptor]).replace('\0', "");
    assert!(descriptor.starts_with("# Disk DescriptorFile\nversion=1\nCID=6789abcd\n"), "{descriptor}");
    assert!(descriptor.contains("\nRW 1247232 SPARSE \"disk.vmdk\"\n"), "{descriptor}");
    assert_eq!(tree::Digest::of(&file).to_string(), "42e6462c2a82baface1d847c53cf21bb4a7d299dda0c00f047a9c004b7d15bb8");
}

#[test]
fn qemu_agrees() {
    verify("vmdk", &Disk::example());
    verify("vmdk empty", &Disk { size_bytes: 3 << 30, regions: Vec::new() });
}

fn machine() -> Machine {
    Machine {
        name: "web <1>".to_owned(),
        product: "A page & a server".to_owned(),
        version: "1.0.0".to_owned(),
        cpus: 2,
        memory_mib: 512,
        disk_bytes: 605 << 20,
        disk_file: "web-disk.vmdk".to_owned(),
        network: true,
    }
}

#[test]
fn the_descriptor_is_the_one_on_record_and_well_formed() {
    let descriptor = ovf::descriptor(&machine());
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/machine.ovf");
    if std::env::var("UPDATE_SNAPSHOTS").is_ok() {
        std::fs::write(&record, &descriptor).unwrap();
    }
    assert_eq!(descriptor, std::fs::read_to_string(&record).unwrap(), "set UPDATE_SNAPSHOTS=1 to record it anew");
    let script = "import sys, xml.dom.minidom; xml.dom.minidom.parse(sys.argv[1])";
    ask("ovf well-formed", "python3", &[&"-c", &script, &record]);
}

#[test]
fn the_archive_holds_descriptor_disk_and_manifest_in_that_order() {
    let archive = Archive { name: "web".to_owned(), epoch_secs: 1_704_067_200 };
    let disk = write(&Disk::new(&[(0, 1000, 2)], 0));
    let descriptor = ovf::descriptor(&machine());
    let head = archive.head(&descriptor, disk.len() as u64).unwrap();
    assert_eq!(head.len(), archive.head(&descriptor, 0).unwrap().len());
    let manifest = ovf::manifest(&[(&archive.descriptor_file(), "00"), (&archive.disk_file(), "ff")]);
    assert_eq!(manifest, "SHA256(web.ovf)= 00\nSHA256(web-disk.vmdk)= ff\n");
    let ova = [head, disk.clone(), archive.tail(disk.len() as u64, &manifest).unwrap()].concat();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("web.ova");
    std::fs::write(&path, ova).unwrap();
    if let Some(names) = ask("ova", "tar", &[&"tf", &path]) {
        assert_eq!(names, "web.ovf\nweb-disk.vmdk\nweb.mf\n");
        ask("ova", "tar", &[&"xf", &path, &"-C", &folder.path()]);
        assert!(std::fs::read(folder.path().join("web-disk.vmdk")).unwrap() == disk);
    }
}

#[test]
fn a_disk_of_8_gib_does_not_fit_an_archive() {
    let archive = Archive { name: "web".to_owned(), epoch_secs: 0 };
    assert!(matches!(archive.head("", 8 << 30), Err(ArchiveError::TooLarge(_))));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_sparse_disk_is_read_back(
        parts in prop::collection::vec((0..40_000_000_u64, 1..300_000_usize, any::<u8>()), 0..12),
        tail_bytes in 1..100_000_000_u64,
    ) {
        verify("vmdk property", &Disk::new(&parts, tail_bytes));
    }
}
