//! What a spec says of its disks beside their formats.

use std::fs;

use crate::toy_kernel::{ToyKernel, stub_package};
use crate::world::World;

#[test]
fn a_qcow2_disk_is_compressed_as_the_spec_says_with_its_volumes() {
    // The incompatible feature of a compression type other than zlib (QEMU's `docs/interop/qcow2.txt`, "Header").
    let is_zstd = |bytes: &[u8]| bytes[79] & 8 != 0;
    let world = World::new().with_kernels(&[ToyKernel::good().package(), stub_package()]);
    for (choice, zstd) in [("", true), (" compression=\"zlib\"", false), (" compression=\"zstd\"", true)] {
        world.spec_text(format!(
            "appliance \"toy\" {{\n    base \"scratch\"\n    arch \"amd64\"\n    kernel base=\"other\"\n    file \
             \"/bin/app\" text=\"a program\\n\"\n    volume \"data\" at=\"/data\" size=\"64MiB\"\n    output \
             \"qcow2\"{choice}\n}}\n"
        ));
        world.build();
        for file in ["disk.qcow2", "volumes/data.qcow2"] {
            let disk = fs::read(world.path("spec/out").join(file)).unwrap();
            assert_eq!((&disk[..4], is_zstd(&disk)), (&b"QFI\xfb"[..], zstd), "{file} {choice}");
        }
        let explained = world.run(&["explain"]).succeeds();
        let shown = if zstd { "compression=\"zstd\"" } else { "compression=\"zlib\"" };
        assert!(explained.text().contains(&format!("output \"qcow2\" {shown} // ")), "{}", explained.text());
    }
}
