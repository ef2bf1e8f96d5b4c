//! What boots: kernels of another base, and kernels and disks that do not fit, by kernels that never run.

use std::fs;

use crate::archive::{Archive, DAY, FIRST_DAY, Release};
use crate::conformance::Ext4;
use crate::kernel_support::bz_image;
use crate::layout::Image;
use crate::toy_kernel::{RELEASE, ToyKernel, stub_package};
use crate::world::World;

/// An empty root, and what boots it.
fn scratch(lines: &str) -> String {
    format!(
        "appliance \"toy\" version=\"1.0.0\" {{\n    base \"scratch\"\n    file \"/bin/app\" text=\"a program\\n\" \
         mode=\"0755\"\n    network \"none\"\n{lines}\n}}\n"
    )
}

/// A world with the base `other` that has these kernels, and its stub.
fn world(kernels: &[ToyKernel]) -> World {
    let kernels = kernels.iter().map(ToyKernel::package);
    World::new().with_kernels(&kernels.chain([stub_package()]).collect::<Vec<_>>())
}

/// The lines of artifacts that are of the root.
fn root(artifacts: &str) -> Vec<&str> {
    artifacts.lines().filter(|line| line.starts_with("root")).collect()
}

#[test]
fn a_kernel_of_another_base_is_locked_and_verified_and_kept_out_of_the_root() {
    let world = world(&[ToyKernel::good()]);
    world.spec_text(scratch("    arch \"amd64\"\n    kernel base=\"other\"\n    output \"microvm\" \"raw\""));
    let first = world.build();
    for name in ["microvm/kernel", "microvm/initrd", "disk.raw", "root.ext4", "root.verity"] {
        assert!(first.contains(&format!("{name} ")), "{first}");
    }
    let lock = world.lock();
    for line in [
        "base \"scratch\" release=\"\" digest=\"\"\nepoch \"1970-01-01T00:00:00Z\"",
        "boot-base \"other\" release=\"one\" epoch=\"2023-11-14T22:13:20Z\" digest=\"",
        "boot-index \"other\" \"one\" date=\"2023-11-14T22:13:20Z\" key=\"",
        "    boot-package \"linux-image-toy\" \"1.0\"",
        "    boot-package \"systemd-boot-efi\" \"252.1\"",
    ] {
        assert!(lock.contains(line), "{line}\n{lock}");
    }
    assert!(!lock.contains("    package ") && !lock.contains("\nindex "), "{lock}");
    if let Some(disk) = Ext4::of(&world.path("spec/out/root.ext4")) {
        assert!(
            disk.has("/bin/app") && !disk.has("/boot") && !disk.has("/lib/modules") && !disk.has("/usr/lib/systemd")
        );
    }
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    world.run(&["build", "--locked", "--offline"]).succeeds();
    assert_eq!((world.artifacts("spec/out"), world.lock()), (first.clone(), lock.clone()));

    // A newer kernel waits until it is asked for, and changes nothing of the root then.
    let newer = ToyKernel { version: "2.0", ..ToyKernel::good() };
    let other = Archive { folder: world.path("other") };
    let release = Release { date: FIRST_DAY + DAY, ..Release::default() };
    other.publish(&[newer.package(), stub_package()], &release);
    assert_eq!((world.build(), world.lock()), (first.clone(), lock));
    world.run(&["lock", "--update", "gone"]).fails(2, &["the lock holds no such package"]);
    let done = world.run(&["lock", "--update", "linux-image-toy"]).succeeds();
    assert!(done.text().contains("linux-image-toy 1.0 → 2.0"), "{}", done.text());
    let second = world.build();
    assert_ne!(second, first);
    assert_eq!(root(&second), root(&first));

    // What the mirror gives is not what the index says.
    world.run(&["store", "clean", "--all"]);
    fs::remove_dir_all(world.path("cache")).unwrap();
    let path = newer.package().path();
    let mut bytes = fs::read(other.folder.join(&path)).unwrap();
    let last = bytes.len() - 1;
    bytes[last] ^= 1;
    other.write(&path, &bytes);
    fs::remove_dir_all(world.path("spec/out")).unwrap();
    world.run(&["build"]).fails(5, &["linux-image-toy"]);
    assert!(world.traces().is_empty(), "{:?}", world.traces());
}

#[test]
fn two_architectures_boot_with_the_kernels_that_the_other_base_names() {
    let world = world(&[ToyKernel::good(), ToyKernel::arm64()]);
    world.spec_text(scratch(
        "    arch \"amd64\" \"arm64\"\n    kernel base=\"other\"\n    output \"microvm\" \"qcow2\" \"vhdx\"",
    ));
    let artifacts = world.build();
    for name in ["microvm-amd64/vmlinux", "microvm-arm64/vmlinux", "disk-amd64.qcow2", "disk-arm64.vhdx"] {
        assert!(artifacts.contains(&format!("{name} ")), "{artifacts}");
    }
    let image = |arch: &str| fs::read(world.path(&format!("spec/out/microvm-{arch}/vmlinux"))).unwrap();
    assert_eq!(image("amd64"), b"\x7fELF a kernel");
    assert_eq!(image("arm64"), ToyKernel::arm64().image);
    let line = |arch: &str| fs::read_to_string(world.path(&format!("spec/out/microvm-{arch}/cmdline"))).unwrap();
    assert!(
        line("arm64").starts_with("console=ttyAMA0 panic=-1 reboot=t cryptomgr.notests quiet appliance.root=/dev/vda "),
        "{}",
        line("arm64")
    );
    assert!(line("amd64").starts_with("console=ttyS0 "), "{}", line("amd64"));
    world.run(&["build", "--locked", "--offline"]).succeeds();
}

#[test]
fn roots_with_packages_and_images_take_kernels_of_another_base_too() {
    let world = world(&[ToyKernel::good()]);
    world.spec("    packages \"toy-conf\"\n    network \"none\"\n    kernel base=\"other\"\n    output \"raw\"");
    let artifacts = world.build();
    let lock = world.lock();
    assert!(lock.contains("index \"toy\" \"one\"") && lock.contains("boot-index \"other\" \"one\""), "{lock}");
    world.spec("    packages \"toy-conf\"\n    network \"none\"\n    output \"ext4\"");
    let words = ["it was made with the kernel of the base other one", "boot-package removed: amd64 linux-image-toy"];
    world.run(&["build", "--locked"]).fails(7, &words);

    Image::good().write(&world.path("spec/image"));
    let text = scratch("    arch \"amd64\"\n    kernel base=\"other\"\n    output \"raw\"");
    world.spec_text(text.replace("base \"scratch\"", "base \"oci\" \"oci:image\""));
    let of_image = world.build();
    assert!(of_image.contains("disk.raw ") && of_image != artifacts, "{of_image}");
    assert!(world.lock().contains("boot-base \"other\" release=\"one\""), "{}", world.lock());
    world.run(&["build", "--locked", "--offline"]).succeeds();
}

/// Builds with this kernel, which must fail with these words, the last of them the place.
#[track_caller]
fn check_unfit(kernel: ToyKernel, lines: &str, words: &[&str]) {
    let world = world(&[kernel]);
    world.spec_text(scratch(&format!("    arch \"amd64\"\n{lines}")));
    world.run(&["build"]).fails(6, words);
    assert!(world.traces().is_empty(), "{:?}", world.traces());
}

#[test]
fn a_kernel_that_does_not_fit_is_told_with_its_place_and_what_to_do() {
    let both = "    kernel \"linux-image-toy\" base=\"other\"\n    output \"raw\"";
    check_unfit(
        ToyKernel::good().without("virtio_blk"),
        both,
        &[
            "boot on QEMU: the kernel 6.1.0-9-toy has no driver for virtio disks (virtio_blk)",
            "appliance.kdl:7:12",
            "name another kernel, such as Debian's linux-image-amd64",
            "kernel-unfit",
        ],
    );
    check_unfit(
        ToyKernel::good().without("hv_storvsc"),
        "    kernel base=\"other\"\n    output \"raw\" \"vhdx\"",
        &["boot on Hyper-V: the kernel 6.1.0-9-toy has no driver for Hyper-V's disks", "appliance.kdl:7:18"],
    );
    check_unfit(
        ToyKernel { module_for: "6.1.0-8-toy", ..ToyKernel::good() },
        both,
        &[
            "virtio_balloon.ko: it was built for the kernel \"6.1.0-8-toy\", and this is 6.1.0-9-toy",
            ":6:5",
            "--update",
        ],
    );
    let image = bz_image(b"\x1f\x8b", "6.1.0-7-toy (who@where) #1");
    check_unfit(
        ToyKernel { image, ..ToyKernel::good() },
        both,
        &["it calls itself 6.1.0-7-toy, but its package brings modules for 6.1.0-9-toy", ":6:5"],
    );
    check_unfit(
        ToyKernel { image: Vec::new(), ..ToyKernel::good() },
        both,
        &["none of the kernel's packages brings a vmlinuz in /boot", ":6:5", "name the package that brings the image"],
    );
    check_unfit(
        ToyKernel { image: b"strange".to_vec(), ..ToyKernel::good() },
        both,
        &["neither an x86 bzImage, an arm64 Image, nor an ELF file", &format!("/boot/vmlinuz-{RELEASE}"), ":6:5"],
    );
    check_unfit(
        ToyKernel { image: bz_image(b"something", &format!("{RELEASE} #1")), ..ToyKernel::good() },
        "    kernel \"linux-image-toy\" base=\"other\"\n    output \"microvm\"",
        &["its payload starts with [73, 6f, 6d, 65], which is no known compression", ":6:5"],
    );
}

#[test]
fn a_package_that_is_missing_where_a_machine_boots_is_told() {
    let world = World::new().with_kernels(&[ToyKernel::good().package()]);
    world.spec_text(scratch("    arch \"amd64\"\n    kernel base=\"other\"\n    output \"raw\""));
    world.run(&["build"]).fails(4, &["there is no package `systemd-boot-efi`"]);
    let empty = crate::package::Package::new("systemd-boot-efi", "252.1");
    let world = World::new().with_kernels(&[ToyKernel::good().package(), empty]);
    world.spec_text(scratch("    arch \"amd64\"\n    kernel base=\"other\"\n    output \"raw\""));
    let words = ["none of the packages to boot from brings /usr/lib/systemd/boot/efi/linuxx64.efi.stub", ":6:5"];
    world.run(&["build"]).fails(6, &words);
    world.spec_text(scratch(
        "    arch \"amd64\"\n    kernel \"linux-image-toi\" base=\"other\"\n    output \"microvm\"",
    ));
    world
        .run(&["build"])
        .fails(4, &["there is no package `linux-image-toi`", ":6:12", "did you mean `linux-image-toy`?"]);
}

#[test]
fn a_root_that_does_not_fit_its_disk_is_told_with_numbers_and_its_place() {
    let world = world(&[ToyKernel::good()]);
    let spec = |size: &str, root: &str, output: &str| {
        let lines = format!(
            "    arch \"amd64\"\n    kernel base=\"other\"\n    resources {{ disk \"{size}\"; }}\n    isolation \"auto\" {{ root \"{root}\"; }}\n    output \"{output}\""
        );
        world.spec_text(scratch(&lines));
    };
    let cases = [("36MiB", "36 MiB", "raw"), ("32KiB", "32 KiB", "microvm")];
    for (size, given, output, root) in cases
        .into_iter()
        .flat_map(|(size, given, output)| ["read-only", "writable"].map(|root| (size, given, output, root)))
    {
        spec(size, root, output);
        let message = format!("the root for amd64 does not fit a disk of {given}: its parts (");
        let done = world.run(&["build"]).fails(6, &[&message, "appliance.kdl:7:22", "write disk \""]);
        let text = done.text();
        let needed = text.split("write disk \"").nth(1).and_then(|rest| rest.split('"').next()).unwrap();
        spec(needed, root, output);
        world.build();
        fs::remove_dir_all(world.path("spec/out")).unwrap();
    }
}
