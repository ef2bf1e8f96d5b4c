//! Kernels of toys: which modules are loaded and in which order, what is refused and in which words, and the initial file
//! system that comes of it.

#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test that cannot go on fails")]

#[path = "../../formats/tests/kernel_support/mod.rs"]
#[allow(dead_code, clippy::allow_attributes, reason = "made for the tests of another crate, which use all of it")]
mod kernel_support;

use assemble::kernel::{
    Initramfs, KernelPackage, KernelProblem, Machines, Platform, RootType, initramfs, plan_modules,
};
use bundle::boot::Boot;
use bundle::plan::Root;
use formats::cpio;
use kernel_support::{bz_image, module};
use tree::{Content, NoBlobs, Node, Tree, TreePath};

const RELEASE: &str = "6.1.0-9-toy";

/// Modules of a kernel that boots in QEMU: name, what they depend on, what they wish for.
const MODULES: [(&str, &str, &str); 12] = [
    ("drivers/virtio/virtio", "", ""),
    ("drivers/virtio/virtio_ring", "", ""),
    ("drivers/virtio/virtio_mmio", "virtio_ring,virtio", ""),
    ("drivers/block/virtio_blk", "virtio,virtio_ring", ""),
    ("drivers/char/virtio_console", "virtio,virtio_ring", ""),
    ("drivers/net/virtio_net", "net_failover,virtio_ring,virtio", ""),
    ("drivers/net/net_failover", "", ""),
    ("fs/overlayfs/overlay", "", ""),
    ("drivers/md/dm-mod", "dax", ""),
    ("drivers/md/dm-bufio", "dm-mod", ""),
    ("drivers/md/dm-verity", "dm-mod,dm-bufio", "pre: sha256-ssse3 nowhere"),
    ("arch/x86/crypto/sha256-ssse3", "", ""),
];

/// With a network.
fn on(platforms: &[Platform]) -> Machines<'_> {
    Machines { platforms, root: RootType::Ext4, network: true }
}

struct Toy {
    image: Vec<u8>,
    release: &'static str,
    modules: Vec<(String, Vec<u8>)>,
    builtin: String,
}

impl Toy {
    fn new() -> Self {
        let file = |(path, depends, wishes): &(&str, &str, &str)| {
            ((*path).to_owned(), module(info(path, RELEASE, depends, wishes).as_bytes()))
        };
        Self {
            image: bz_image(b"\x1f\x8b", &format!("{RELEASE} (who@where) #1")),
            release: RELEASE,
            modules: MODULES.iter().map(file).collect(),
            builtin: "kernel/fs/ext4/ext4.ko\nkernel/drivers/dax/dax.ko\n".to_owned(),
        }
    }

    fn without(mut self, path: &str) -> Self {
        self.modules.retain(|(own, _)| own != path);
        self
    }

    fn with(self, path: &str, release: &str, depends: &str) -> Self {
        let mut toy = self.without(path);
        toy.modules.push((path.to_owned(), module(info(path, release, depends, "").as_bytes())));
        toy
    }

    fn find(&self) -> Result<KernelPackage, KernelProblem> {
        let (mut image, mut modules) = (Tree::default(), Tree::default());
        let release = self.release;
        put(&mut image, &format!("boot/vmlinuz-{release}"), &self.image);
        put(&mut image, &format!("boot/config-{release}"), b"CONFIG_TOY=y\n");
        for (path, bytes) in &self.modules {
            put(&mut modules, &format!("lib/modules/{release}/kernel/{path}.ko"), bytes);
        }
        put(&mut modules, &format!("lib/modules/{release}/modules.builtin"), self.builtin.as_bytes());
        // Some distributions put the image and the modules into packages of their own.
        KernelPackage::find(&[&image, &modules], &NoBlobs)
    }

    fn plan(&self, platforms: &[Platform]) -> Result<Vec<String>, String> {
        let kernel = self.find().unwrap();
        let plan = plan_modules(&kernel, on(platforms), &NoBlobs).map_err(|error| error.to_string())?;
        Ok(plan.load.into_iter().map(|module| module.name).collect())
    }

    #[track_caller]
    fn fails(&self, platform: Platform, expected: &str) {
        assert_eq!(self.plan(&[platform]), Err(expected.to_owned()));
    }
}

fn info(path: &str, release: &str, depends: &str, wishes: &str) -> String {
    let name = path.rsplit('/').next().unwrap().replace('-', "_");
    let wishes = if wishes.is_empty() { String::new() } else { format!("softdep={wishes}\0") };
    format!("name={name}\0vermagic={release} SMP mod_unload \0depends={depends}\0{wishes}")
}

fn put(tree: &mut Tree, path: &str, bytes: &[u8]) {
    tree.insert_with_parents(TreePath::new(path).unwrap(), Node::file(0o644, bytes)).unwrap();
}

#[test]
fn modules_come_after_what_they_need() {
    let expected = [
        "virtio_ring",
        "virtio",
        "virtio_mmio",
        "virtio_blk",
        "virtio_console",
        "net_failover",
        "virtio_net",
        "overlay",
        "dm_mod",
        "dm_bufio",
        "sha256_ssse3",
        "dm_verity",
    ];
    let toy = Toy::new();
    assert_eq!(toy.plan(&[Platform::QemuMicrovm]).unwrap(), expected);
    assert_eq!(toy.plan(&[Platform::QemuMicrovm, Platform::QemuMicrovm]).unwrap(), expected);
    let kernel = toy.find().unwrap();
    let plan = plan_modules(&kernel, on(&[Platform::QemuMicrovm]), &NoBlobs).unwrap();
    assert_eq!(plan.builtin, ["ext4"]);
    assert_eq!(plan.absent, ["CRC-32C", "SHA-256", "virtio memory balloons", "virtio random numbers", "vsock"]);
}

#[test]
fn without_a_network_no_driver_for_one_is_loaded_or_missed() {
    let plan = |toy: &Toy, network| {
        let machines = Machines { network, ..on(&[Platform::QemuMicrovm]) };
        plan_modules(&toy.find().unwrap(), machines, &NoBlobs).map(|plan| plan.load.len())
    };
    assert_eq!(plan(&Toy::new(), true).unwrap(), 12);
    assert_eq!(plan(&Toy::new(), false).unwrap(), 10);
    let poor = Toy::new().without("drivers/net/virtio_net");
    assert_eq!(plan(&poor, false).unwrap(), 10);
    assert!(plan(&poor, true).unwrap_err().to_string().contains("virtio network cards"));
}

#[test]
fn a_kernel_that_does_not_fit_is_refused_in_words() {
    Toy::new().without("drivers/block/virtio_blk").fails(
        Platform::QemuMicrovm,
        "boot on QEMU's microvm: the kernel 6.1.0-9-toy has no driver for virtio disks (virtio_blk)",
    );
    Toy::new().fails(
        Platform::Vmware,
        "boot on VMware: the kernel 6.1.0-9-toy has no driver for VMware's disks (vmw_pvscsi with sd_mod, or nvme, or \
         mptspi with sd_mod)",
    );
    Toy::new().without("drivers/net/net_failover").fails(
        Platform::QemuMicrovm,
        "boot on QEMU's microvm: the kernel module virtio_net needs net_failover, which the kernel's package does not bring",
    );
    Toy::new().with("fs/overlayfs/overlay", "6.1.0-8-toy", "").fails(
        Platform::QemuMicrovm,
        "load the kernel module /lib/modules/6.1.0-9-toy/kernel/fs/overlayfs/overlay.ko: it was built for the kernel \
         \"6.1.0-8-toy\", and this is 6.1.0-9-toy",
    );
    Toy::new()
        .with("drivers/virtio/virtio_ring", RELEASE, "virtio_mmio")
        .fails(Platform::QemuMicrovm, "order the kernel modules: virtio_mmio needs itself through others");
    let mut broken = Toy::new();
    broken.modules[0].1.truncate(70);
    broken.fails(
        Platform::QemuMicrovm,
        "read the kernel module /lib/modules/6.1.0-9-toy/kernel/drivers/virtio/virtio.ko",
    );
}

#[test]
fn what_is_no_kernel_of_its_own_is_refused() {
    let error = |packages: &[&Tree]| KernelPackage::find(packages, &NoBlobs).unwrap_err().to_string();
    let mut empty = Tree::default();
    put(&mut empty, "usr/share/doc/linux/copyright", b"");
    let none = "find the kernel: none of the kernel's packages brings a vmlinuz in /boot or beside its modules";
    assert_eq!(error(&[&empty]), none);
    let (mut first, mut second) = (Tree::default(), Tree::default());
    put(&mut first, "boot/vmlinuz-1", b"");
    put(&mut second, "boot/vmlinuz-2", b"");
    let two = "find the kernel: its packages bring /boot/vmlinuz-1 and /boot/vmlinuz-2";
    assert_eq!(error(&[&first, &second]), two);
    let other = Toy { release: "6.1.0-8-toy", ..Toy::new() }.find().unwrap_err().to_string();
    let expected = "use the kernel: it calls itself 6.1.0-9-toy, but its package brings modules for 6.1.0-8-toy";
    assert_eq!(other, expected);
    let strange = Toy { image: b"strange".to_vec(), ..Toy::new() }.find().unwrap_err().to_string();
    assert_eq!(strange, "use the kernel /boot/vmlinuz-6.1.0-9-toy");
}

#[test]
fn the_initial_file_system_says_what_to_load() {
    let kernel = Toy::new().find().unwrap();
    let modules = plan_modules(&kernel, on(&[Platform::QemuMicrovm]), &NoBlobs).unwrap();
    let root = Root { read_only: true, writable: vec!["/var/lib/toy".to_owned()], scratch: vec![] };
    let parts = || Initramfs {
        guest: Content::inline("a guest"),
        modules: &modules,
        root: root.clone(),
        volumes: Vec::new(),
        epoch_secs: 1_700_000_000,
    };
    let tree = initramfs(parts());
    let archive = cpio::write_tree(&tree, &NoBlobs, Vec::new()).unwrap();
    assert_eq!(archive, cpio::write_tree(&initramfs(parts()), &NoBlobs, Vec::new()).unwrap());
    let at = |path: &str| tree.get(&TreePath::new(path).unwrap()).unwrap_or_else(|| panic!("there is no {path}"));
    assert_eq!(at("init").meta.mode, 0o755);
    at("dev/console");
    let tree::Kind::File(Content::Inline(json)) = &at("appliance/boot.json").kind else { panic!("no settings") };
    let boot: Boot = serde_json::from_slice(json).unwrap();
    assert_eq!(boot.modules.len(), 12);
    assert_eq!(boot.root, root);
    for name in &boot.modules {
        at(&format!("appliance/modules/{name}"));
    }
    assert!(tree.iter().all(|(_, _, node)| node.meta.mtime_secs == 1_700_000_000));
}
