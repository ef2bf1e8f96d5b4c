//! Direct boot in QEMU's `microvm`: kernel, initial file system and root.

use std::fs;
use std::path::{Path, PathBuf};

use assemble::kernel::Platform;
use bundle::boot::{CommandLine, Selector};
use bundle::channel::{Event, Request, Response, ServiceState};
use bundle::plan::{Plan, Root};

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
    pub fn start_bundle(&self) -> Machine {
        let file = |name: &str| self.world.path(&format!("spec/out/{name}"));
        let line = fs::read_to_string(file("microvm/cmdline")).unwrap();
        let (root, hashes) = (file("root.ext4"), file("root.verity"));
        // What this machine finds last is its first disk.
        let mut disks = vec![("root", root.as_path())];
        disks.extend(hashes.exists().then_some(("hashes", hashes.as_path())));
        let (kernel, initrd, folder) = (file("microvm/kernel"), file("microvm/initrd"), self.world.path(""));
        let parts = Parts {
            kernel: &kernel,
            initrd: &initrd,
            command_line: &line,
            disks: &disks,
            writable: false,
            folder: &folder,
        };
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

#[test]
fn the_microvm_of_a_bundle_is_listed_and_the_same_again() {
    let test = "the_microvm_of_a_bundle_is_listed_and_the_same_again";
    let spec = SERVICES.replace("output \"ext4\"", "kernel \"linux-image-real\"\n    output \"microvm\"");
    let Some(toy) = Toy::new(test, &spec) else { return };
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

    // The same spec gives the same bytes again.
    let again = World::of(&[toys::base(), toys::shell(static_busybox().unwrap()), kernel::package()]);
    let again = again.with_guest(test).unwrap();
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
