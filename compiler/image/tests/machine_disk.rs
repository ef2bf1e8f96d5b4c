//! Whole disks: every container of one pass is sound, equal to the raw disk, and the same however many threads work.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "these tests make files and ask tools")]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::fs::File;
use std::io::{self, Cursor, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};

use formats::ext4::{self, Options};
use formats::ovf::{Archive, Machine};
use formats::qcow2::Compression;
use image::{
    Container, DiskPlan, DiskSize, Ext4Source, FileDigests, Format, Identity, Partition, PartitionKind, Storage,
    write_containers,
};
use spec::appliance::Arch;
use tree::{Blobs, Content, Digest, Node, Tree, TreePath};

fn identity() -> Identity {
    Identity { lock_core: Digest::of(b"core"), epoch_secs: 1_704_067_200, tool_version: "1".to_owned() }
}

/// Contents that are told from their digests, and how often they were opened.
#[derive(Default)]
struct Made {
    opened: AtomicUsize,
}

impl Blobs for Made {
    fn open(&self, digest: &Digest) -> io::Result<Box<dyn Read + Send + '_>> {
        self.opened.fetch_add(1, Ordering::Relaxed);
        let large = content(digest.0[0]);
        Ok(Box::new(Cursor::new(large)))
    }
}

const LARGE_BYTES: usize = 3_000_000;

/// A third of zeros, a third that compresses and a third that does not.
fn content(seed: u8) -> Vec<u8> {
    let mut random = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(seed);
    let mut next = |at: usize| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        match at * 3 / LARGE_BYTES {
            0 => 0,
            1 => (at / 100) as u8,
            _ => random as u8,
        }
    };
    (0..LARGE_BYTES).map(&mut next).collect()
}

fn tree() -> Tree {
    let mut tree = Tree::default();
    for number in 0..40_u8 {
        let path = TreePath::new(format!("usr/lib/file-{number}")).unwrap();
        let node = match number % 10 {
            0 => {
                let kind =
                    tree::Kind::File(Content::Blob { digest: Digest([number; 32]), size_bytes: LARGE_BYTES as u64 });
                Node { kind, ..Node::file(0o644, "") }
            }
            _ => Node::file(0o644, vec![number; usize::from(number) * 1000]),
        };
        tree.insert_with_parents(path, node).unwrap();
    }
    tree
}

fn esp_files() -> Vec<(String, Vec<u8>)> {
    let boot = content(99)[1_500_000..].to_vec();
    vec![("EFI/BOOT/BOOTX64.EFI".to_owned(), boot), ("loader/loader.conf".to_owned(), b"timeout 0\n".to_vec())]
}

/// A tree with its layout and contents: what a disk is planned from.
struct Fixture {
    tree: Tree,
    layout: ext4::Layout,
    made: Made,
}

impl Fixture {
    fn new() -> Self {
        let tree = tree();
        let layout = ext4::plan(&tree, &Options::read_only([1; 16], [2; 16], 1_704_067_200)).unwrap();
        Self { tree, layout, made: Made::default() }
    }

    fn plan(&self, size: DiskSize) -> Result<DiskPlan<'_>, image::DiskError> {
        let root = Ext4Source { layout: &self.layout, tree: &self.tree, blobs: &self.made };
        let partitions = vec![Partition::esp(Arch::Amd64, esp_files(), &identity())?, Partition::root(root, true)];
        DiskPlan::new(Arch::Amd64, size, partitions, &identity())
    }
}

/// All formats with the names of their files.
fn formats(plan: &DiskPlan<'_>) -> Vec<(&'static str, Format)> {
    let content_id = plan.vmdk_content_id(&identity());
    let archive = Archive { name: "box".to_owned(), epoch_secs: 1_704_067_200 };
    let machine = Machine {
        name: "box".to_owned(),
        product: "A box".to_owned(),
        version: "1.0.0".to_owned(),
        cpus: 1,
        memory_mib: 256,
        disk_bytes: 0,
        disk_file: String::new(),
        network: false,
    };
    vec![
        ("disk.raw", Format::Raw),
        ("disk-zlib.qcow2", Format::Qcow2(Compression::Zlib)),
        ("disk-zstd.qcow2", Format::Qcow2(Compression::Zstd)),
        ("disk.vhdx", Format::Vhdx(plan.vhdx_ids(&identity()))),
        ("disk.vmdk", Format::Vmdk { content_id, file_name: "disk.vmdk".to_owned() }),
        ("box.ova", Format::Ova { content_id, archive, machine }),
    ]
}

/// Writes all formats into a folder in one pass.
fn write_all(plan: &DiskPlan<'_>, folder: &Path, workers: usize) -> Vec<(PathBuf, FileDigests)> {
    let formats = formats(plan);
    let mut files: Vec<File> = formats
        .iter()
        .map(|(name, _)| File::options().read(true).write(true).create_new(true).open(folder.join(name)).unwrap())
        .collect();
    let containers = formats
        .iter()
        .zip(&mut files)
        .map(|((_, format), output)| Container { format: format.clone(), output })
        .collect();
    let digests = write_containers(plan, containers, workers).unwrap();
    formats.iter().map(|(name, _)| folder.join(name)).zip(digests).collect()
}

/// What a tool says; it must succeed. Nothing, with a word about it, where there is no such tool.
fn ask(test: &str, tool: &str, arguments: &[&str]) -> Option<String> {
    let path = format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default());
    match Command::new(tool).args(arguments).env("PATH", path).env("LC_ALL", "C.UTF-8").output() {
        Ok(output) => {
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said).into_owned();
            assert!(output.status.success(), "{tool} {arguments:?}: {said}");
            Some(said)
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            eprintln!("SKIP {test}: no {tool}");
            None
        }
        Err(error) => panic!("{tool}: {error}"),
    }
}

#[test]
fn the_disk_and_its_containers_are_the_ones_on_record_whatever_the_number_of_threads() {
    let fixture = Fixture::new();
    let plan = fixture.plan(DiskSize::Minimal).unwrap();
    let mut record = plan.dump();
    let folder = tempfile::tempdir().unwrap();
    for (path, digests) in write_all(&plan, folder.path(), 1) {
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(digests, FileDigests::of(&bytes), "{}", path.display());
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        record.push_str(&format!("{name} {} bytes {}\n", digests.size_bytes, digests.blake3));
    }
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/snapshots/machine-disk.txt");
    if std::env::var("UPDATE_SNAPSHOTS").is_ok() {
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(&file, &record).unwrap();
    }
    assert_eq!(record, std::fs::read_to_string(file).unwrap(), "set UPDATE_SNAPSHOTS=1 to record it anew");
    for workers in [2, 5] {
        let folder = tempfile::tempdir().unwrap();
        for (path, digests) in write_all(&plan, folder.path(), workers) {
            assert!(record.contains(&digests.blake3), "{} with {workers} workers", path.display());
        }
    }
}

/// A program that says what it vouches for, as long for one hash as for any other.
fn program(root_hash: Option<&str>) -> io::Result<Vec<u8>> {
    Ok(format!("an EFI program for {}", root_hash.unwrap_or("no root at all")).into_bytes())
}

#[test]
fn a_root_that_proves_itself_is_read_once_also_with_its_parts_as_files() {
    let fixture = Fixture::new();
    let root = Ext4Source { layout: &fixture.layout, tree: &fixture.tree, blobs: &fixture.made };
    let (parts, proof) = Partition::proven(Arch::Amd64, root, &identity()).unwrap();
    assert_eq!(proof.root_hash(), None);
    let mut partitions = Vec::from(parts);
    let boot = Partition::boot(Arch::Amd64, &partitions, &program, Some(proof.clone()), &identity()).unwrap();
    partitions.push(boot);
    let plan = DiskPlan::new(Arch::Amd64, DiskSize::AtMost(1 << 30), partitions, &identity()).unwrap();
    let places = [PartitionKind::Root, PartitionKind::RootVerity].map(|kind| plan.part(kind).unwrap());

    let mut files: Vec<Cursor<Vec<u8>>> = (0..3).map(|_| Cursor::new(Vec::new())).collect();
    let formats = [Format::Raw, Format::Part(places[0].clone()), Format::Part(places[1].clone())];
    let outputs = files.iter_mut().map(|file| file as &mut dyn Storage);
    let containers = formats.into_iter().zip(outputs).map(|(format, output)| Container { format, output }).collect();
    let digests = write_containers(&plan, containers, 2).unwrap();
    assert_eq!(fixture.made.opened.load(Ordering::Relaxed), 4);

    let files: Vec<Vec<u8>> = files.into_iter().map(Cursor::into_inner).collect();
    for (file, digests) in files.iter().zip(digests) {
        assert_eq!(digests, FileDigests::of(file));
    }
    for (file, place) in files[1..].iter().zip(places) {
        assert!(*file == files[0][place.start as usize..place.end as usize]);
    }
    let hash = proof.root_hash().unwrap();
    let words = program(Some(&hash)).unwrap();
    assert!(files[0].windows(words.len()).any(|window| window == words), "the program names the hash");
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("root"), &files[1]).unwrap();
    std::fs::write(path("hashes"), &files[2]).unwrap();
    std::fs::write(path("disk"), &files[0]).unwrap();
    ask("machine disk", "veritysetup", &["verify", &path("root"), &path("hashes"), &hash]);
    if let Some(said) = ask("machine disk", "sgdisk", &["-v", &path("disk")]) {
        assert!(said.contains("No problems found"), "{said}");
    }
}

#[test]
fn a_program_that_comes_before_its_root_is_refused() {
    let fixture = Fixture::new();
    let root = Ext4Source { layout: &fixture.layout, tree: &fixture.tree, blobs: &fixture.made };
    let ([root, hashes], proof) = Partition::proven(Arch::Amd64, root, &identity()).unwrap();
    let boot = Partition::boot(Arch::Amd64, &[], &program, Some(proof), &identity()).unwrap();
    let plan = DiskPlan::new(Arch::Amd64, DiskSize::Minimal, vec![boot, root, hashes], &identity()).unwrap();
    let mut file = Cursor::new(Vec::new());
    let containers = vec![Container { format: Format::Raw, output: &mut file }];
    let error = write_containers(&plan, containers, 1).unwrap_err();
    assert!(error.to_string().contains("comes before the root"), "{error}");
}

#[test]
fn every_content_is_read_once_for_all_containers() {
    let fixture = Fixture::new();
    let folder = tempfile::tempdir().unwrap();
    write_all(&fixture.plan(DiskSize::Minimal).unwrap(), folder.path(), 2);
    assert_eq!(fixture.made.opened.load(Ordering::Relaxed), 4);
}

#[test]
fn tools_find_every_container_sound_and_equal_to_the_raw_disk() {
    let fixture = Fixture::new();
    // A given size, so that free space stands behind the root.
    let plan = fixture.plan(DiskSize::Exactly(200_000_000)).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let text = |name: &str| folder.path().join(name).display().to_string();
    write_all(&plan, folder.path(), 2);
    let raw = text("disk.raw");
    for (name, format) in
        [("disk-zlib.qcow2", "qcow2"), ("disk-zstd.qcow2", "qcow2"), ("disk.vhdx", "vhdx"), ("disk.vmdk", "vmdk")]
    {
        let Some(said) = ask("machine disk", "qemu-img", &["check", "-f", format, &text(name)]) else { return };
        assert!(said.contains("No errors") && !said.contains("leak"), "{name}: {said}");
        ask("machine disk", "qemu-img", &["compare", "-f", "raw", "-F", format, &raw, &text(name)]);
    }
    if ask("machine disk", "tar", &["xf", &text("box.ova"), "-C", &folder.path().display().to_string()]).is_some() {
        ask("machine disk", "qemu-img", &["compare", "-f", "raw", "-F", "vmdk", &raw, &text("box-disk.vmdk")]);
        let manifest = std::fs::read_to_string(text("box.mf")).unwrap();
        for name in ["box.ovf", "box-disk.vmdk"] {
            let sha256 = FileDigests::of(&std::fs::read(text(name)).unwrap()).sha256;
            assert!(manifest.contains(&format!("SHA256({name})= {sha256}\n")), "{manifest}");
        }
    }
}

#[test]
fn tools_find_the_partitions_and_both_file_systems_sound() {
    let fixture = Fixture::new();
    let plan = fixture.plan(DiskSize::Minimal).unwrap();
    let folder = tempfile::tempdir().unwrap();
    write_all(&plan, folder.path(), 2);
    let raw = folder.path().join("disk.raw");
    if let Some(said) = ask("machine disk", "sgdisk", &["-v", &raw.display().to_string()]) {
        assert!(said.contains("No problems found"), "{said}");
    }
    // `machine-disk.txt` has these places.
    let part = |name: &str, first: u64, last: u64| {
        let mut bytes = vec![0; ((last + 1 - first) * 512) as usize];
        let mut disk = File::open(&raw).unwrap();
        disk.seek(SeekFrom::Start(first * 512)).unwrap();
        disk.read_exact(&mut bytes).unwrap();
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path.display().to_string()
    };
    let dump = plan.dump();
    let mut places = dump.lines().skip(1).map(|line| {
        let (first, last) = line.split(' ').next().unwrap().split_once("..").unwrap_or(("0", "0"));
        (first.parse().unwrap(), last.parse().unwrap())
    });
    let (esp, root) = (places.next().unwrap(), places.next().unwrap());
    let (esp, root) = (part("esp", esp.0, esp.1), part("root", root.0, root.1));
    ask("machine disk", "fsck.vfat", &["-n", &esp]);
    ask("machine disk", "e2fsck", &["-fn", &root]);
    let out = folder.path().join("boot");
    if ask("machine disk", "mcopy", &["-i", &esp, "::EFI/BOOT/BOOTX64.EFI", &out.display().to_string()]).is_some() {
        assert!(std::fs::read(out).unwrap() == esp_files()[0].1);
    }
}

#[test]
fn a_disk_that_is_too_small_says_what_would_fit() {
    let fixture = Fixture::new();
    let Err(error) = fixture.plan(DiskSize::AtMost(40 << 20)) else { panic!("40 MiB are not enough") };
    let source = std::error::Error::source(&error).unwrap().to_string();
    assert_eq!(error.to_string(), "lay out the partitions of the disk for amd64");
    assert!(source.contains("is too small: its partitions (esp 33 MiB, root "), "{source}");
    assert!(source.contains("MiB or more"), "{source}");
}

/// An output that takes no more than some bytes.
struct Full(Cursor<Vec<u8>>, u64);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.position() > self.1 { Err(io::ErrorKind::StorageFull.into()) } else { self.0.write(bytes) }
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Read for Full {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        self.0.read(bytes)
    }
}

impl Seek for Full {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.0.seek(to)
    }
}

#[test]
fn a_full_disk_of_one_container_ends_the_pass_with_its_own_error() {
    let fixture = Fixture::new();
    let plan = fixture.plan(DiskSize::Minimal).unwrap();
    for (name, format) in formats(&plan) {
        let mut full = Full(Cursor::new(Vec::new()), 2 << 20);
        let mut other = Cursor::new(Vec::new());
        let containers = vec![
            Container { format: Format::Qcow2(Compression::Zstd), output: &mut other },
            Container { format, output: &mut full },
        ];
        let error = write_containers(&plan, containers, 2).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::StorageFull, "{name}: {error}");
    }
}

/// Contents that cannot be read.
struct Lost;

impl Blobs for Lost {
    fn open(&self, _: &Digest) -> io::Result<Box<dyn Read + Send + '_>> {
        Err(io::Error::new(io::ErrorKind::NotFound, "the store lost it"))
    }
}

#[test]
fn a_content_that_cannot_be_read_ends_the_pass_and_names_the_file() {
    let fixture = Fixture::new();
    let root = Ext4Source { layout: &fixture.layout, tree: &fixture.tree, blobs: &Lost };
    let plan = DiskPlan::new(Arch::Amd64, DiskSize::Minimal, vec![Partition::root(root, false)], &identity()).unwrap();
    let mut outputs: Vec<Cursor<Vec<u8>>> = formats(&plan).iter().map(|_| Cursor::new(Vec::new())).collect();
    let outputs = outputs.iter_mut().map(|output| output as &mut dyn Storage);
    let containers =
        formats(&plan).into_iter().zip(outputs).map(|((_, format), output)| Container { format, output }).collect();
    let error = write_containers(&plan, containers, 2).unwrap_err();
    assert!(error.to_string().contains("write /usr/lib/file-"), "{error}");
}
