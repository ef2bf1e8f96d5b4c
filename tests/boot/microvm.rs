//! Direct boot in QEMU's `microvm`: kernel, initial file system and root.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use assemble::kernel::Platform;
use bundle::boot::{CommandLine, Selector, Verity};
use bundle::channel::{Event, Request, Response, ServiceState};
use bundle::plan::{Plan, Root};
use formats::region::{RegionSink, SeekSink};
use formats::verity::{Hasher, Options};

use crate::disks::{KEEPING, mib};
use crate::kernel;
use crate::machine::{Machine, Parts};
use crate::package::Package;
use crate::support::{skip, static_busybox, tool};
use crate::toys;
use crate::world::World;

/// A toy appliance built by the command, with what boots it.
pub struct Toy {
    pub world: World,
    pub qemu: PathBuf,
}

pub const SERVICES: &str = r#"
    packages "toy-shell"
    user "web" uid=1000 home="/srv/www"
    file "/srv/www/index.html" text="<h1>A toy page</h1>\n"
    isolation "auto" { writable "/var/lib/toy"; }
    service "web" user="web" {
        run "/bin/httpd" "-f" "-p" "127.0.0.1:8080" "-h" "/srv/www"
        ready http="http://127.0.0.1:8080/" within="120s"
    }
    service "look" {
        run "/bin/sh" "-c" "touch /usr/x || echo root is sealed; touch /var/lib/toy/y && echo toy is writable; id; mount; touch /var/lib/toy/x; exec sleep 1000"
        ready file="/var/lib/toy/x" within="120s"
    }
    network "none" { port 8080 name="page"; }
    output "ext4"
"#;

impl Toy {
    pub fn new(test: &str, spec: &str) -> Option<Self> {
        let packages = || vec![toys::base(), toys::shell(static_busybox().unwrap()), kernel::package()];
        Self::with(test, packages, spec)
    }

    /// The same with an archive of these packages.
    pub fn with(test: &str, packages: impl Fn() -> Vec<Package>, spec: &str) -> Option<Self> {
        let no = |reason: &str| {
            skip(test, reason);
            None
        };
        let Some(qemu) = tool("qemu-system-x86_64") else {
            return no("there is no qemu-system-x86_64 (package qemu-system-x86)");
        };
        if static_busybox().filter(|_| cfg!(target_arch = "x86_64")).is_none() {
            return no("there is no static busybox of amd64 (package busybox-static)");
        }
        if let Err(reason) = kernel::debian() {
            return no(&format!("there is no Debian kernel: {reason}"));
        }
        let world = World::of(&packages()).with_guest(test)?;
        world.spec(spec);
        world.build();
        Some(Self { world, qemu })
    }

    fn root_plan(&self) -> Root {
        let plan: Plan = serde_json::from_slice(&fs::read(self.world.path("spec/out/plan.json")).unwrap()).unwrap();
        plan.root
    }

    /// Writes kernel and initial file system beside the bundle, and gives their paths.
    pub fn boot_files(&self) -> (PathBuf, PathBuf) {
        let (kernel, guest) = (kernel::debian().unwrap(), self.world.path("guest/appliance-guest-amd64"));
        let (image, initrd) = (self.world.path("kernel"), self.world.path("initrd"));
        fs::write(&image, &kernel.image).unwrap();
        let platforms = [Platform::QemuMicrovm, Platform::Qemu];
        fs::write(&initrd, kernel::initrd(kernel, &guest, &platforms, self.root_plan())).unwrap();
        (image, initrd)
    }

    /// Starts it from this root.
    pub fn start(&self, line: &CommandLine, disks: &[(&str, &Path)]) -> Machine {
        let (kernel, initrd) = self.boot_files();
        let (line, folder) = (line.to_string(), self.world.path(""));
        let parts =
            Parts { kernel: &kernel, initrd: &initrd, command_line: &line, disks, writable: false, folder: &folder };
        Machine::microvm(&self.qemu, &parts)
    }

    /// Starts what `output "microvm"` gives.
    pub fn start_bundle(&self, writable: bool) -> Machine {
        let file = |name: &str| self.world.path(&format!("spec/out/{name}"));
        let line = fs::read_to_string(file("microvm/cmdline")).unwrap();
        let (root, hashes) = (file("root.ext4"), file("root.verity"));
        // What this machine finds last is its first disk.
        let mut disks = vec![("root", root.as_path())];
        disks.extend(hashes.exists().then_some(("hashes", hashes.as_path())));
        let (kernel, initrd, folder) = (file("microvm/kernel"), file("microvm/initrd"), self.world.path(""));
        let parts =
            Parts { kernel: &kernel, initrd: &initrd, command_line: &line, disks: &disks, writable, folder: &folder };
        Machine::microvm(&self.qemu, &parts)
    }
}

pub fn root_line() -> CommandLine {
    CommandLine::new(Selector::Serial("root".to_owned()))
}

#[test]
fn services_get_ready_answer_and_stop() {
    let Some(toy) = Toy::new("services_get_ready_answer_and_stop", SERVICES) else { return };
    let disk = toy.world.path("spec/out/root.ext4");
    let before = fs::read(&disk).unwrap();
    let mut machine = toy.start(&root_line(), &[("root", &disk)]);

    machine.wait_for("the services' readiness", |event| *event == Event::Ready);
    let Response::Status(status) = machine.ask(&Request::Status) else { panic!("no status") };
    assert!(status.ready);
    let states: Vec<_> = status.services.iter().map(|service| (service.name.as_str(), service.state)).collect();
    assert_eq!(states, [("web", ServiceState::Ready), ("look", ServiceState::Ready)]);
    let page = machine.fetch(8080, "GET / HTTP/1.0\r\n\r\n");
    assert!(page.contains("<h1>A toy page</h1>"), "{page}");

    // Another host that comes later is told how things stand.
    machine.rejoin(&toy.world.path("agent.sock"));
    machine.wait_for("the state for a host that comes later", |event| *event == Event::Ready);

    assert_eq!(machine.ask(&Request::Stop { within_ms: None }), Response::Done);
    let exited = machine.wait_for("the end", |event| matches!(event, Event::Exited { .. }));
    assert!(matches!(exited, Event::Exited { status: 0 | 143 }), "{exited:?}");
    assert!(machine.wait_for_end(), "{}", machine.console());
    let console = machine.console();
    assert!(console.contains("look: root is sealed"), "{console}");
    assert!(console.contains("look: toy is writable"), "{console}");
    assert!(!console.contains("failed to"), "{console}");
    assert!(fs::read(&disk).unwrap() == before, "the disk was written");
}

#[test]
fn a_root_that_is_not_there_is_named_and_ends_the_machine() {
    let test = "a_root_that_is_not_there_is_named_and_ends_the_machine";
    let Some(toy) = Toy::new(test, SERVICES) else { return };
    let disk = toy.world.path("spec/out/root.ext4");
    let mut machine = toy.start(&CommandLine::new(Selector::Serial("other".to_owned())), &[("root", &disk)]);
    let failed = machine.wait_for("the reason", |event| matches!(event, Event::Failed { .. }));
    let reason = "find the block device serial:other: the kernel found only vda";
    assert_eq!(failed, Event::Failed { reason: reason.to_owned() });
    assert!(machine.wait_for_end());
    assert!(machine.console().contains(&format!("appliance: failed to {reason}")), "{}", machine.console());
}

/// Writes the hash tree of a disk beside it and gives its path and the root hash.
fn prove(toy: &Toy, disk: &Path) -> (PathBuf, String) {
    let (bytes, path) = (fs::read(disk).unwrap(), toy.world.path("verity"));
    let options = Options { uuid: [7; 16], salt: vec![3; 32] };
    let mut hasher = Hasher::new(options, bytes.len() as u64).unwrap();
    hasher.data(0, &bytes).unwrap();
    let (tree, mut sink) = (hasher.finish(), SeekSink::new(fs::File::create(&path).unwrap()));
    tree.write(&mut sink).unwrap();
    sink.into_inner().set_len(tree.size_bytes()).unwrap();
    (path, tree.root_hash_text())
}

#[test]
fn a_proven_root_boots_and_a_changed_one_does_not() {
    let Some(toy) = Toy::new("a_proven_root_boots_and_a_changed_one_does_not", SERVICES) else { return };
    let disk = toy.world.path("spec/out/root.ext4");
    let (hashes, root_hash) = prove(&toy, &disk);
    let mut line = root_line();
    line.verity = Some(Verity { device: Selector::Serial("hashes".to_owned()), root_hash });
    let mut machine = toy.start(&line, &[("root", &disk), ("hashes", &hashes)]);
    machine.wait_for("the services' readiness", |event| *event == Event::Ready);
    assert_eq!(machine.ask(&Request::Stop { within_ms: Some(2_000) }), Response::Done);
    assert!(machine.wait_for_end(), "{}", machine.console());
    drop(machine);

    // One bit of what the guest reads first.
    let mut bytes = fs::read(&disk).unwrap();
    let at = bytes.windows(11).position(|window| window == b"\"services\":").unwrap();
    bytes[at] ^= 1;
    let changed = toy.world.path("changed");
    fs::write(&changed, &bytes).unwrap();
    let mut machine = toy.start(&line, &[("root", &changed), ("hashes", &hashes)]);
    machine.wait_for_end();
    assert!(!machine.events.contains(&Event::Ready), "{:?}", machine.events);
    assert!(machine.console().contains("dm-verity device corrupted"), "{}", machine.console());
}

#[test]
fn the_microvm_of_a_bundle_boots() {
    let spec = SERVICES.replace("output \"ext4\"", "kernel \"linux-image-real\"\n    output \"microvm\"");
    let Some(toy) = Toy::new("the_microvm_of_a_bundle_boots", &spec) else { return };
    let file = |name: &str| toy.world.path(&format!("spec/out/{name}"));
    let artifacts = toy.world.artifacts("spec/out");
    for name in ["microvm/kernel", "microvm/vmlinux", "microvm/initrd", "microvm/cmdline", "root.ext4", "root.verity"] {
        assert!(artifacts.contains(&format!("{name} ")), "{artifacts}");
    }
    assert!(fs::read(file("microvm/vmlinux")).unwrap().starts_with(b"\x7fELF"));
    assert!(toy.world.lock().contains("    boot-package \"linux-image-real\" \"1.0\""), "{}", toy.world.lock());
    assert!(!toy.world.lock().contains("    package \"linux-image-real\""), "{}", toy.world.lock());
    let line = fs::read_to_string(file("microvm/cmdline")).unwrap();
    let start = "console=ttyS0 panic=-1 reboot=t no_timer_check cryptomgr.notests quiet appliance.root=/dev/vda appliance.hash=/dev/vdb appliance.roothash=";
    assert!(line.strip_prefix(start).is_some_and(|hash| hash.len() == 64), "{line}");
    let mut machine = toy.start_bundle(false);
    machine.wait_for("the services' readiness", |event| *event == Event::Ready);
    assert_eq!(machine.ask(&Request::Stop { within_ms: Some(2_000) }), Response::Done);
    assert!(machine.wait_for_end(), "{}", machine.console());

    // The same spec gives the same bytes again.
    let again = World::of(&[toys::base(), toys::shell(static_busybox().unwrap()), kernel::package()]);
    let again = again.with_guest("the_microvm_of_a_bundle_boots").unwrap();
    again.spec(&spec);
    assert_eq!(again.build(), artifacts);
}

#[test]
fn a_kernel_without_a_driver_is_refused_when_the_appliance_is_built() {
    let Some(toy) = Toy::new("a_kernel_without_a_driver_is_refused_when_the_appliance_is_built", "output \"ext4\"")
    else {
        return;
    };
    let poor = kernel::package_without("virtio_blk");
    let world = World::of(&[toys::base(), poor]).with_guest("a_kernel_without_a_driver").unwrap();
    world.spec("kernel \"linux-image-real\"\n    output \"microvm\"");
    world.run(&["build"]).fails(6, &["boot on QEMU's microvm", "has no driver for virtio disks (virtio_blk)"]);
    world.spec("kernel \"linux-image-reel\"\n    output \"microvm\"");
    world.run(&["build"]).fails(4, &["there is no package `linux-image-reel`", "linux-image-real", "appliance.kdl:4"]);
    drop(toy);
}

#[test]
fn a_writable_root_is_as_large_as_the_disk_that_was_asked_for_and_is_kept() {
    let test = "a_writable_root_is_as_large_as_the_disk_that_was_asked_for_and_is_kept";
    let Some(toy) = Toy::new(test, &KEEPING.replace("\"raw\"", "\"microvm\"")) else { return };
    let root = toy.world.path("spec/out/root.ext4");
    assert_eq!(fs::metadata(&root).unwrap().len(), 200 << 20);
    let life = || {
        let mut machine = toy.start_bundle(true);
        machine.wait_for("the service's readiness", |event| *event == Event::Ready);
        assert_eq!(machine.ask(&Request::Stop { within_ms: Some(2_000) }), Response::Done);
        assert!(machine.wait_for_end(), "{}", machine.console());
        let console = machine.console();
        assert!(!console.contains("failed to"), "{console}");
        console
    };
    let first = life();
    assert!(first.contains("nothing was kept") && (175..=200).contains(&mib(&first)), "{first}");
    let second = life();
    assert!(!second.contains("nothing was kept"), "{second}");
    let Some(e2fsck) = tool("e2fsck") else { return skip(test, "there is no e2fsck (package e2fsprogs)") };
    let check = Command::new(e2fsck).arg("-fn").arg(&root).output().unwrap();
    assert!(check.status.success(), "{}", String::from_utf8_lossy(&check.stdout));
}
