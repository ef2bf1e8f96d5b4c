//! Kernel images and modules: toys made here in every form, and Debian's own cloud kernel where it can be had.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "a test may compare with other tools")]

#[allow(dead_code, clippy::allow_attributes, reason = "every test of this crate uses its own part of this")]
mod kernel_support;

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use formats::kernel::{Kernel, KernelError, Packing};
use formats::kmod::{self, Builtin, KmodError, Module};
use kernel_support::{arm64, bz_image, debian_kernel, module, zboot};

const LIMIT_BYTES: u64 = 64 << 20;

fn elf() -> Vec<u8> {
    let mut elf = b"\x7fELF\x02\x01".to_vec();
    elf.extend((0..3_000_000u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 28) as u8));
    elf
}

/// Runs a compressor of this host; `None` when it is not there.
fn run(program: &str, args: &[&str], input: &[u8]) -> Option<Vec<u8>> {
    let command = Command::new(program).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn();
    let mut child = command.ok()?;
    let (mut stdin, input) = (child.stdin.take().unwrap(), input.to_vec());
    let feeder = std::thread::spawn(move || stdin.write_all(&input));
    let mut out = Vec::new();
    child.stdout.take().unwrap().read_to_end(&mut out).unwrap();
    feeder.join().unwrap().unwrap();
    assert!(child.wait().unwrap().success());
    Some(out)
}

/// The kernel in every compression that this host can make, with its length behind it where kernels put it.
fn packed(kernel: &[u8]) -> Vec<(Packing, Vec<u8>)> {
    let tools: [(Packing, &str, &[&str]); 7] = [
        (Packing::Gzip, "gzip", &["-9nc"]),
        (Packing::Xz, "xz", &["--check=crc32", "--x86", "--lzma2=dict=1MiB", "-c"]),
        (Packing::Lzma, "xz", &["--format=lzma", "-c"]),
        (Packing::Zstd, "zstd", &["-qc"]),
        (Packing::Lz4, "lz4", &["-lqc"]),
        (Packing::Lzo, "lzop", &["-9c"]),
        (Packing::Bzip2, "bzip2", &["-c"]),
    ];
    let mut all = Vec::new();
    for (packing, program, args) in tools {
        let Some(mut payload) = run(program, args, kernel) else {
            eprintln!("SKIP packed {}: {program} is not installed", packing.name());
            continue;
        };
        if packing != Packing::Gzip {
            payload.extend((kernel.len() as u32).to_le_bytes());
        }
        all.push((packing, payload));
    }
    all
}

#[test]
fn the_kernel_in_a_bz_image_comes_out_equal() {
    let elf = elf();
    for (packing, payload) in packed(&elf) {
        let image = bz_image(&payload, "6.1.0-9-toy (who@where) #1 SMP");
        let kernel = Kernel::recognise(&image).unwrap();
        assert_eq!(kernel.release(), Some("6.1.0-9-toy"), "{packing:?}");
        match packing {
            Packing::Bzip2 => {
                let error = kernel.unpack(LIMIT_BYTES).unwrap_err();
                assert_eq!(error, KernelError::Unsupported(packing.name()));
            }
            _ => {
                assert!(kernel.unpack(LIMIT_BYTES).unwrap() == elf, "{packing:?}");
                assert_eq!(kernel.unpack(1 << 20), Err(KernelError::Damaged(packing.name())));
                let cut = bz_image(&payload[..payload.len() / 2], "x");
                let cut = Kernel::recognise(&cut).unwrap().unpack(LIMIT_BYTES);
                assert!(cut.is_err() || packing == Packing::Lz4, "{packing:?}");
            }
        }
    }
}

#[test]
fn arm64_images_are_taken_plain_packed_and_as_efi_programs() {
    let image = arm64(100_000);
    let plain = Kernel::recognise(&image).unwrap();
    let Kernel::Arm64(header) = &plain else { panic!("{plain:?}") };
    assert_eq!(header.image_bytes, 200_000);
    assert_eq!(plain.unpack(LIMIT_BYTES).unwrap(), image);
    for (packing, payload) in packed(&image) {
        for file in [payload.clone(), zboot(&payload)] {
            let kernel = Kernel::recognise(&file).unwrap();
            assert!(matches!(&kernel, Kernel::Arm64Packed { packing: found, .. } if *found == packing));
            match packing {
                Packing::Bzip2 => assert!(kernel.unpack(LIMIT_BYTES).is_err()),
                _ => assert!(kernel.unpack(LIMIT_BYTES).unwrap() == image, "{packing:?}"),
            }
        }
    }
}

#[test]
fn what_is_no_kernel_is_refused_in_words() {
    let check = |bytes: &[u8], expected: &str| {
        let error = Kernel::recognise(bytes).and_then(|kernel| kernel.unpack(LIMIT_BYTES)).unwrap_err();
        assert_eq!(error.to_string(), expected);
    };
    check(b"", "read the kernel: it is neither an x86 bzImage, an arm64 Image, nor an ELF file");
    let good = bz_image(&packed(&elf())[0].1, "x");
    check(&good[..good.len() - 9], "read the kernel: the file is cut off, or its payload is wrong");
    let mut old = good.clone();
    (old[0x206], old[0x207]) = (5, 2);
    check(&old, "read the kernel: its boot protocol 2.05 is older than 2.08");
    let other = bz_image(b"something", "x");
    check(&other, "unpack the kernel: its payload starts with [73, 6f, 6d, 65], which is no known compression");
    let text = bz_image(&packed(b"no kernel")[0].1, "x");
    check(&text, "unpack the kernel: what comes out is no ELF file");
    check(&packed(b"no kernel")[0].1, "unpack the kernel: what comes out is no arm64 Image");
    let mut damaged = good.clone();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 0x55;
    check(&damaged, "unpack the kernel: its gzip payload is damaged, or larger than allowed");
}

const INFO: &[u8] = b"license=GPL\0vermagic=6.1.0-9-toy SMP mod_unload \0name=dm_toy\0alias=toy\0alias=pci:v*d1*\0\
    depends=dm-mod,dm_bufio\0softdep=pre: sha-256 crc32c post: late\0softdep=pre: more\0\0broken\0";

#[test]
fn a_module_tells_what_it_needs() {
    let read = Module::read(&module(INFO)).unwrap();
    let words = |words: &[&str]| words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>();
    let expected = Module {
        name: Some("dm_toy".to_owned()),
        vermagic: "6.1.0-9-toy SMP mod_unload ".to_owned(),
        aliases: words(&["toy", "pci:v*d1*"]),
        depends: words(&["dm_mod", "dm_bufio"]),
        soft_before: words(&["sha_256", "crc32c", "more"]),
        soft_after: words(&["late"]),
    };
    assert_eq!(read, expected);
    assert_eq!(read.release(), "6.1.0-9-toy");
    for (name, program) in [("dm-toy.ko.xz", "xz"), ("dm-toy.ko.zst", "zstd"), ("dm-toy.ko.gz", "gzip")] {
        assert_eq!(kmod::name_of_file(name).as_deref(), Some("dm_toy"));
        let Some(packed) = run(program, &["-c"], &module(INFO)) else {
            eprintln!("SKIP a_module_tells_what_it_needs: {program} is not installed");
            continue;
        };
        assert_eq!(kmod::unpack(name, &packed).unwrap(), module(INFO));
        assert!(matches!(kmod::unpack(name, &packed[..50]), Err(KmodError::Damaged(_))));
    }
    assert_eq!(kmod::name_of_file("modules.order"), None);
    assert_eq!(Module::read(b"\x7fELF\x01\x01"), Err(KmodError::Elf));
    assert_eq!(Module::read(&module(INFO)[..80]), Err(KmodError::Outside("section table")));
    assert_eq!(Module::read(&kernel_support::elf(&[(".text", b"x")])), Err(KmodError::NoInfo));
}

#[test]
fn the_lists_are_read_and_written() {
    let info = b"toy.alias=crypto-crc32c\0toy.license=GPL\0";
    let builtin = Builtin::read(b"kernel/fs/ext4/ext4.ko\nkernel/crypto/sha256-generic.ko\n\n", info);
    assert_eq!(builtin.names().collect::<Vec<_>>(), ["ext4", "sha256_generic"]);
    assert!(builtin.has("crypto_crc32c") && builtin.has("ext4") && !builtin.has("toy"));
    let row = |path: &str, needs: &[&str]| (path.to_owned(), needs.iter().map(|need| (*need).to_owned()).collect());
    let modules = BTreeMap::from([
        ("c".to_owned(), row("k/c.ko", &["b", "a", "gone"])),
        ("b".to_owned(), row("k/b.ko", &["a"])),
        ("a".to_owned(), row("k/a.ko", &[])),
    ]);
    assert_eq!(kmod::dependencies_text(&modules), "k/a.ko:\nk/b.ko: k/a.ko\nk/c.ko: k/b.ko k/a.ko\n");
}

#[test]
fn debians_kernel_unpacks_and_its_modules_depend_as_depmod_says() {
    let name = "debians_kernel_unpacks_and_its_modules_depend_as_depmod_says";
    let folder = tempfile::tempdir().unwrap();
    let package = match debian_kernel(folder.path()) {
        Ok(package) => package,
        Err(reason) => return eprintln!("SKIP {name}: {reason}"),
    };
    let image = std::fs::read(&package.image).unwrap();
    let kernel = Kernel::recognise(&image).unwrap();
    assert_eq!(kernel.release(), Some(package.release.as_str()));
    let elf = kernel.unpack(256 << 20).unwrap();
    assert!(elf.len() > 20 << 20, "{}", elf.len());
    // The same code in every other compression that kernels have.
    let start = &elf[..6 << 20];
    for (packing, payload) in packed(start).into_iter().filter(|(packing, _)| *packing != Packing::Bzip2) {
        let image = bz_image(&payload, "x");
        assert!(Kernel::recognise(&image).unwrap().unpack(LIMIT_BYTES).unwrap() == start, "{packing:?}");
    }

    let mut modules = BTreeMap::new();
    for path in package.modules() {
        let file = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = kmod::unpack(&file, &std::fs::read(&path).unwrap()).unwrap();
        let module = Module::read(&bytes).unwrap();
        assert_eq!(module.release(), package.release, "{path:?}");
        assert_eq!(module.name, kmod::name_of_file(&file), "{path:?}");
        let place = path.strip_prefix(&package.folder).unwrap().to_str().unwrap().to_owned();
        modules.insert(kmod::name_of_file(&file).unwrap(), (place, module.depends));
    }
    assert!(modules.len() > 500);
    let Some(expected) = package.depmod() else { return eprintln!("SKIP {name}: depmod is not installed") };
    // depmod's lines have an order of their own, and name what is needed in an order of its own; as sets they agree.
    let sets = |text: &str| -> BTreeMap<String, Vec<String>> {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        let sorted = |needs: &str| {
            let mut needs: Vec<String> = needs.split_ascii_whitespace().map(str::to_owned).collect();
            needs.sort();
            needs
        };
        lines.map(|(path, needs)| (path.to_owned(), sorted(needs))).collect()
    };
    let own = kmod::dependencies_text(&modules);
    assert_eq!(sets(&own), sets(&expected));
}
