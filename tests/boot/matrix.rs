//! One body on Debian as every disk, with either init, on either root: twenty machines of which the same holds. A root that
//! is only read stops its machine when one byte of it has changed; one that is written to is there again the next time.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, OnceLock};

use bundle::channel::{Event, Request, Response, ServiceState};

use crate::live_world::{live_command, no_guest, unreachable};
use crate::machine::{FIRMWARE, Machine, Parts};
use crate::support::{program, skip, tool};
use crate::world::Done;

/// What an appliance with this init on this root is.
struct Body {
    init: &'static str,
    /// What is process 1 then.
    process: &'static str,
    root: &'static str,
    bundle: OnceLock<Result<Bundle, String>>,
    /// How many of its machines are still to come; the files of the bundle are large.
    left: AtomicUsize,
}

static BUILTIN_READ_ONLY: Body = Body::new("builtin", "init", "read-only");
static BUILTIN_WRITABLE: Body = Body::new("builtin", "init", "writable");
static SYSTEMD_READ_ONLY: Body = Body::new("systemd", "systemd", "read-only");
static SYSTEMD_WRITABLE: Body = Body::new("systemd", "systemd", "writable");

/// What boots it: a disk by UEFI, or the kernel directly.
const BOOTS: usize = 5;

macro_rules! machines {
    ($($name:ident: $body:ident as $boot:literal;)*) => { $(
        #[test]
        fn $name() {
            check(stringify!($name), &$body, $boot);
        }
    )* };
}

machines! {
    builtin_read_only_microvm: BUILTIN_READ_ONLY as "microvm";
    builtin_read_only_qcow2: BUILTIN_READ_ONLY as "qcow2";
    builtin_read_only_raw: BUILTIN_READ_ONLY as "raw";
    builtin_read_only_vhdx: BUILTIN_READ_ONLY as "vhdx";
    builtin_read_only_vmdk: BUILTIN_READ_ONLY as "vmdk";
    builtin_writable_microvm: BUILTIN_WRITABLE as "microvm";
    builtin_writable_qcow2: BUILTIN_WRITABLE as "qcow2";
    builtin_writable_raw: BUILTIN_WRITABLE as "raw";
    builtin_writable_vhdx: BUILTIN_WRITABLE as "vhdx";
    builtin_writable_vmdk: BUILTIN_WRITABLE as "vmdk";
    systemd_read_only_microvm: SYSTEMD_READ_ONLY as "microvm";
    systemd_read_only_qcow2: SYSTEMD_READ_ONLY as "qcow2";
    systemd_read_only_raw: SYSTEMD_READ_ONLY as "raw";
    systemd_read_only_vhdx: SYSTEMD_READ_ONLY as "vhdx";
    systemd_read_only_vmdk: SYSTEMD_READ_ONLY as "vmdk";
    systemd_writable_microvm: SYSTEMD_WRITABLE as "microvm";
    systemd_writable_qcow2: SYSTEMD_WRITABLE as "qcow2";
    systemd_writable_raw: SYSTEMD_WRITABLE as "raw";
    systemd_writable_vhdx: SYSTEMD_WRITABLE as "vhdx";
    systemd_writable_vmdk: SYSTEMD_WRITABLE as "vmdk";
}

/// The size of a disk that is written to, in MiB; of a volume; of a scratch folder.
const DISK_MIB: u64 = 600;
const VOLUME_MIB: u64 = 48;
const SCRATCH_MIB: u64 = 8;

impl Body {
    const fn new(init: &'static str, process: &'static str, root: &'static str) -> Self {
        Self { init, process, root, bundle: OnceLock::new(), left: AtomicUsize::new(BOOTS) }
    }

    fn is_writable(&self) -> bool {
        self.root == "writable"
    }

    fn spec(&self) -> String {
        let (init, root) = (self.init, self.root);
        let open = if self.is_writable() { "" } else { "writable \"/var/log\";" };
        format!(
            r#"appliance "matrix" version="1" {{
    base "debian" release="bookworm"
    arch "amd64"
    packages "busybox-static"
    init "{init}"
    user "web"
    file "/srv/index.html" text="<h1>one body</h1>\n"
    service "note" {{ run "sh" "-c" "touch /run/noted; exec sleep infinity"; ready file="/run/noted" within="300s"; }}
    service "web" user="web" {{
        after "note"
        run "busybox" "httpd" "-f" "-p" "127.0.0.1:8080" "-h" "/srv"
        ready http="http://127.0.0.1:8080/" within="300s"
    }}
    isolation "auto" {{ root "{root}"; {open} }}
    volume "data" at="/data" size="{VOLUME_MIB}MiB"
    resources {{ memory "512MiB"; disk "{DISK_MIB}MiB"; scratch "/scratch" size="{SCRATCH_MIB}MiB"; }}
    network "none" {{ port 8080; }}
    output "raw" "qcow2" "vhdx" "vmdk" "microvm"
}}
"#
        )
    }

    fn folder(&self) -> PathBuf {
        Path::new(env!("CARGO_TARGET_TMPDIR")).join("matrix").join(format!("{}-{}", self.init, self.root))
    }
}

/// A body that was built, for all of its machines.
struct Bundle {
    qemu: PathBuf,
    firmware: PathBuf,
    /// What makes a layer over a disk, which takes what is written, and what writes into it.
    qemu_img: PathBuf,
    qemu_io: PathBuf,
    out: PathBuf,
    /// Where the guest's settings stand in a disk and in the bare root, where both are only read.
    settings: Option<[usize; 2]>,
    /// What was drawn in its machines so far: their ids, and a random number in each life.
    drawn: Mutex<BTreeSet<String>>,
}

/// Words of the guest's settings that stand nowhere else in a root.
const SETTINGS: &[u8] = b"\"127.0.0.1:8080\"";

impl Bundle {
    fn made(body: &Body) -> Result<Self, String> {
        let tool = |name: &str, package| tool(name).ok_or(format!("there is no {name} (package {package})"));
        let qemu = tool("qemu-system-x86_64", "qemu-system-x86")?;
        let (qemu_img, qemu_io) = (tool("qemu-img", "qemu-utils")?, tool("qemu-io", "qemu-utils")?);
        let firmware = program(&FIRMWARE).ok_or("there is no OVMF (package ovmf)")?;
        let missing = unreachable().map(str::to_owned).or_else(|| no_guest("amd64"));
        let missing = missing.or_else(|| (!cfg!(target_arch = "x86_64")).then(|| "these are of amd64".to_owned()));
        if let Some(why) = missing {
            return Err(why);
        }
        let folder = body.folder();
        let _ = fs::remove_dir_all(&folder);
        fs::create_dir_all(folder.join("spec")).unwrap();
        fs::write(folder.join("spec/appliance.kdl"), body.spec()).unwrap();
        Done::of(live_command(&folder, &["build"]).output().unwrap()).succeeds();
        let out = folder.join("spec/out");
        let find = |name: &str| {
            let bytes = fs::read(out.join(name)).unwrap();
            bytes.windows(SETTINGS.len()).position(|window| window == SETTINGS).unwrap()
        };
        let settings = (!body.is_writable()).then(|| [find("disk.raw"), find("root.ext4")]);
        Ok(Self { qemu, firmware, qemu_img, qemu_io, out, settings, drawn: Mutex::default() })
    }

    /// No other machine drew this.
    #[track_caller]
    fn is_new(&self, drawn: &str) {
        assert!(self.drawn.lock().unwrap().insert(drawn.to_owned()), "two machines drew {drawn}");
    }

    /// A layer over a file of the bundle, larger than it if need be.
    fn layer(&self, name: &str, format: &str, mib: Option<u64>, folder: &Path) -> PathBuf {
        let layer = folder.join(format!("{}.qcow2", name.replace('/', "-")));
        let mut command = Command::new(&self.qemu_img);
        command.args(["create", "-q", "-f", "qcow2", "-F", format, "-b"]).arg(self.out.join(name)).arg(&layer);
        command.args(mib.map(|mib| format!("{mib}M")));
        assert!(command.status().unwrap().success());
        layer
    }
}

/// The disks of one machine: layers over those of the bundle.
struct Disks<'a> {
    bundle: &'a Bundle,
    body: &'a Body,
    boot: &'a str,
    first: PathBuf,
    volume: PathBuf,
    folder: tempfile::TempDir,
}

impl<'a> Disks<'a> {
    fn new(bundle: &'a Bundle, body: &'a Body, boot: &'a str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (first, format) =
            if boot == "microvm" { ("root.ext4".to_owned(), "raw") } else { (format!("disk.{boot}"), boot) };
        let first = bundle.layer(&first, format, None, folder.path());
        // A raw volume is small until its file is made larger.
        let volume = bundle.layer(&format!("volumes/data.{format}"), format, Some(VOLUME_MIB), folder.path());
        Self { bundle, body, boot, first, volume, folder }
    }

    fn start(&self) -> Machine {
        let (bundle, folder) = (self.bundle, self.folder.path());
        if self.boot != "microvm" {
            let more = [self.volume.as_path()];
            return Machine::from_disks(&bundle.qemu, &bundle.firmware, &self.first, "qcow2", &more, folder);
        }
        let file = |name: &str| bundle.out.join(name);
        let (kernel, initrd, hashes) = (file("microvm/kernel"), file("microvm/initrd"), file("root.verity"));
        let line = fs::read_to_string(file("microvm/cmdline")).unwrap();
        let mut disks = vec![("root", self.first.as_path())];
        disks.extend(hashes.exists().then_some(("hashes", hashes.as_path())));
        disks.push(("data", &self.volume));
        let parts =
            Parts { kernel: &kernel, initrd: &initrd, command_line: &line, disks: &disks, writable: true, folder };
        Machine::microvm(&bundle.qemu, &parts)
    }

    /// Changes a byte of what the guest reads to know its services.
    fn change_the_root(&self) {
        let [in_disk, in_root] = self.bundle.settings.unwrap();
        let at = if self.boot == "microvm" { in_root } else { in_disk };
        let mut command = Command::new(&self.bundle.qemu_io);
        let output =
            command.args(["-f", "qcow2", "-c", &format!("write -P 120 {at} 1")]).arg(&self.first).output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }
}

/// What is asked of each machine.
fn check(test: &str, body: &'static Body, boot: &str) {
    let _last = RemovedWithTheLast(body);
    let bundle = match body.bundle.get_or_init(|| Bundle::made(body)) {
        Ok(bundle) => bundle,
        Err(why) => return skip(test, why),
    };
    let disks = Disks::new(bundle, body, boot);
    let id = live(&disks, "touch /data/first");
    bundle.is_new(&id);
    if body.is_writable() {
        assert_eq!(live(&disks, "test -e /data/first && test -e /usr/first"), id, "a root that is kept keeps its id");
        return;
    }
    disks.change_the_root();
    let mut machine = disks.start();
    machine.wait_for_end();
    assert!(!machine.events.contains(&Event::Ready), "{:?}", machine.events);
    assert!(machine.console().contains("dm-verity device corrupted"), "{}", machine.console());
}

/// One life of a machine, from the readiness of its services to a clean end; gives its id.
fn live(disks: &Disks<'_>, script: &str) -> String {
    let (body, mut machine) = (disks.body, disks.start());
    machine.wait_for("the services' readiness", |event| *event == Event::Ready);
    check_verbs(&mut machine, body);
    assert_eq!(machine.run(script), (String::new(), 0));
    check_root(&mut machine, body);
    check_storage(&mut machine);
    let (id, _) = machine.run("cat /etc/machine-id");
    assert!(id.trim().len() == 32 && id.trim().bytes().all(|byte| byte.is_ascii_hexdigit()), "{id:?}");
    disks.bundle.is_new(&machine.run("cat /proc/sys/kernel/random/uuid").0);
    assert_eq!(machine.run("ls /var/lib/systemd/random-seed 2>/dev/null").0, "", "a seed is kept");

    assert_eq!(machine.ask(&Request::Stop { within_ms: None }), Response::Done);
    let exited = machine.wait_for("the end", |event| matches!(event, Event::Exited { .. }));
    assert_eq!(exited, Event::Exited { status: 143 });
    assert!(machine.wait_for_end(), "{}", machine.console());
    assert!(!machine.console().contains("failed to"), "{}", machine.console());
    id
}

fn check_verbs(machine: &mut Machine, body: &Body) {
    let Response::Status(status) = machine.ask(&Request::Status) else { panic!("no status") };
    let states: Vec<_> = status.services.iter().map(|service| (service.name.as_str(), service.state)).collect();
    assert_eq!(states, [("note", ServiceState::Ready), ("web", ServiceState::Ready)]);
    assert!(machine.fetch(8080, "GET / HTTP/1.0\r\n\r\n").contains("<h1>one body</h1>"));
    assert_eq!(machine.run("cat /proc/1/comm; exit 7"), (format!("{}\n", body.process), 7));
    let web = status.services[1].pid.unwrap();
    assert_eq!(machine.run(&format!("stat -c %U /proc/{web}")), ("web\n".to_owned(), 0));
    let Response::Metrics(metrics) = machine.ask(&Request::Metrics) else { panic!("no metrics") };
    assert!(metrics.processes >= 3, "{metrics:?}");
    let Response::Entry(entry) = machine.ask(&Request::Stat { path: "/srv/index.html".to_owned() }) else {
        panic!("no entry")
    };
    assert_eq!(entry.size_bytes, 18);
}

/// A root is as it was built but where the spec opens it, or it can be written to and has the size of its disk.
fn check_root(machine: &mut Machine, body: &Body) {
    if !body.is_writable() {
        let sealed = "for at in /usr /etc /srv /opt /var/lib; do touch $at/first 2>/dev/null && echo $at is open; done; touch /var/log/first";
        assert_eq!(machine.run(sealed), (String::new(), 0));
        return;
    }
    assert_eq!(machine.run("touch /usr/first"), (String::new(), 0));
    let (size, _) = machine.run("stat -f -c '%b %S' /");
    let mib = mib(&size);
    // A disk has tables and a system partition too.
    assert!((DISK_MIB * 9 / 10 - 40..=DISK_MIB).contains(&mib), "{size}");
}

/// A volume is a disk of its own; a scratch folder is memory.
fn check_storage(machine: &mut Machine) {
    let (said, _) = machine.run("for at in / /data /scratch; do stat -c %d $at; stat -f -c '%b %S %T' $at; done");
    let lines: Vec<&str> = said.lines().collect();
    let [root, _, data, data_size, scratch, scratch_size] = lines[..] else { panic!("{said}") };
    assert!(BTreeSet::from([root, data, scratch]).len() == 3, "{said}");
    assert!(
        data_size.ends_with(" ext2/ext3") && (VOLUME_MIB * 8 / 10..=VOLUME_MIB).contains(&mib(data_size)),
        "{said}"
    );
    assert!(scratch_size.ends_with(" tmpfs") && mib(scratch_size) == SCRATCH_MIB, "{said}");
}

/// The size that `stat` gives as a number of blocks and the size of one.
fn mib(said: &str) -> u64 {
    let numbers: Vec<u64> = said.split_whitespace().take(2).filter_map(|word| word.parse().ok()).collect();
    numbers.iter().product::<u64>() >> 20
}

/// Removes the files of a bundle when all of its machines are done with it.
struct RemovedWithTheLast(&'static Body);

impl Drop for RemovedWithTheLast {
    fn drop(&mut self) {
        if self.0.left.fetch_sub(1, Ordering::SeqCst) == 1 {
            let _ = fs::remove_dir_all(self.0.folder());
        }
    }
}
