//! `run --vm`: a bundle as a machine, with the verbs that containers have; nothing of it is left and the bundle is as it was.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::disks;
use crate::kernel;
use crate::machine::FIRMWARE;
use crate::microvm::{SERVICES, Toy};
use crate::package::Package;
use crate::support::{program, skip, static_busybox};
use crate::toys;
use crate::world::Done;

const BOOTS: &str = "kernel \"linux-image-real\"\n    output \"microvm\"";

/// One service that keeps a note in a volume, on a root that can be written to.
const NOTES: &str = r#"
    packages "toy-shell"
    isolation "auto" { root "writable"; }
    volume "data" at="/data" size="64MiB"
    service "note" {
        run "/bin/sh" "-c" "echo more >> /data/notes; echo to stdout; echo to stderr >&2; touch /usr/mine; touch /tmp/up; exec sleep 1000"
        ready file="/tmp/up" within="120s"
    }
    network "none"
    resources { memory "256MiB"; }
"#;

fn packages() -> Vec<Package> {
    vec![toys::base(), toys::shell(static_busybox().unwrap()), kernel::package()]
}

impl Toy {
    fn json(&self, args: &[&str]) -> Value {
        let done = self.world.run(&[args, &["--json"]].concat()).succeeds();
        serde_json::from_str(&done.stdout).unwrap()
    }

    fn leave_running(&self) {
        let done = self.world.run(&["run", "-d", "--vm", "--name", "box", "out"]).succeeds();
        assert_eq!(done.stdout, "box\n");
    }

    fn exec(&self, script: &str) -> Done {
        self.world.run(&["exec", "box", "--", "/bin/sh", "-c", script])
    }

    /// The process of the machine and that of its supervisor.
    fn processes(&self) -> [Pid; 2] {
        let listed = self.json(&["ps"]);
        let number = |name: &str| Pid::from_raw(listed["instances"][0][name].as_i64().unwrap().try_into().unwrap());
        [number("pid"), number("supervisor")]
    }

    /// Waits until the supervisor has read what [`NOTES`] prints.
    #[track_caller]
    fn has_printed(&self) {
        let begun = std::time::Instant::now();
        while self.world.run(&["logs", "box"]).succeeds().stdout != "to stdout\n" {
            assert!(begun.elapsed() < crate::machine::PATIENCE, "{}", self.world.run(&["logs", "box"]).text());
        }
    }

    /// Neither a folder of an instance nor anything that a machine wrote.
    #[track_caller]
    pub fn is_clean(&self) {
        assert_eq!(self.world.run(&["ps", "--names"]).succeeds().stdout, "");
        assert_eq!(names(&self.world.path("cache/machines")), Vec::<String>::new());
        assert!(!self.world.path("state/box").exists());
    }
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn fetch(address: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.write_all(b"GET / HTTP/1.0\r\n\r\n").unwrap();
    let mut page = String::new();
    stream.read_to_string(&mut page).unwrap();
    page
}

#[test]
fn a_machine_answers_to_the_verbs_of_a_container() {
    let spec = SERVICES.replace("output \"ext4\"", BOOTS);
    let Some(toy) = Toy::new("a_machine_answers_to_the_verbs_of_a_container", &spec) else { return };
    let plan = toy.world.run(&["plan", "--vm", "out"]).succeeds().stdout;
    for word in ["QEMU's microvm", "-nic none", "appliance.agent.0", "tsc_early_khz=", "no network device"] {
        assert!(plan.contains(word), "{plan}");
    }
    let before = fs::read(toy.world.path("spec/out/root.ext4")).unwrap();
    toy.leave_running();
    toy.world.run(&["run", "-d", "--vm", "--name", "box", "out"]).fails(125, &["one of this name is running"]);
    let address = toy.world.run(&["port", "box", "8080"]).succeeds().stdout;
    assert!(fetch(address.trim()).contains("<h1>A toy page</h1>"));

    let done = toy.exec("echo in; echo out >&2; touch /usr/x; exit 7");
    assert_eq!((done.code, done.stdout.as_str()), (Some(7), "in\n"));
    assert!(done.stderr.contains("out\n") && done.stderr.contains("Read-only file system"), "{}", done.stderr);
    fs::write(toy.world.path("spec/there"), vec![7; 300_000]).unwrap();
    toy.world.run(&["cp", "there", "box:/tmp/there"]).succeeds();
    toy.world.run(&["cp", "box:/tmp/there", "back"]).succeeds();
    assert_eq!(fs::read(toy.world.path("spec/back")).unwrap(), vec![7; 300_000]);
    let logs = toy.world.run(&["logs", "box"]).succeeds();
    assert!(logs.stdout.contains("look: root is sealed\nlook: toy is writable\n"), "{}", logs.text());
    assert!(!logs.text().contains("Linux version"), "{}", logs.text());
    assert!(toy.json(&["stats", "box"])["instances"][0]["metrics"]["processes"].as_i64().unwrap() > 2);

    toy.world.run(&["pause", "box"]).fails(0, &["paused box", "appliance resume box"]);
    toy.exec("true").fails(125, &["failed to reach box: it is paused", "appliance resume box"]);
    toy.world.run(&["cp", "there", "box:/tmp/x"]).fails(1, &["reach box: it is paused", "appliance resume box"]);
    toy.world.run(&["stats", "box"]).fails(0, &["box: paused; it uses no processor", "of this host's memory"]);
    assert_eq!(toy.json(&["ps"])["instances"][0]["state"], "paused");
    assert_eq!(toy.json(&["pause", "box"])["changed"], false);
    toy.world.run(&["resume", "box"]).fails(0, &["box goes on"]);
    assert!(fetch(address.trim()).contains("<h1>A toy page</h1>"));

    let stopped = toy.json(&["stop", "box"]);
    let ended = &stopped["ended"][0];
    assert_eq!((ended["status"].as_i64(), &ended["left"]), (Some(143), &Value::Array(Vec::new())), "{stopped:#}");
    let made = ended["made"].to_string();
    for word in ["the machine", "listener at 127.0.0.1", "state/box"] {
        assert!(made.contains(word), "{made}");
    }
    assert_eq!(toy.world.run(&["wait", "box"]).code, Some(143));
    toy.world.run(&["rm", "box"]).succeeds();
    toy.is_clean();
    assert!(fs::read(toy.world.path("spec/out/root.ext4")).unwrap() == before, "the artifact was written");
}

#[test]
fn what_a_machine_writes_is_gone_but_its_volumes_and_nothing_outlives_a_kill() {
    let test = "what_a_machine_writes_is_gone_but_its_volumes_and_nothing_outlives_a_kill";
    let Some(toy) = Toy::with(test, packages, &format!("{NOTES}{BOOTS}")) else { return };
    let before = fs::read(toy.world.path("spec/out/root.ext4")).unwrap();
    toy.leave_running();
    assert_eq!(toy.exec("touch /usr/x && cat /data/notes").succeeds().stdout, "more\n");
    let logs = toy.world.run(&["logs", "box"]).succeeds();
    assert_eq!((logs.stdout.as_str(), logs.stderr.as_str()), ("to stdout\n", "to stderr\n"));
    assert_eq!(names(&toy.world.path("cache/machines")).len(), 1);
    let second = toy.world.run(&["run", "-d", "--vm", "--name", "other", "out"]);
    second.fails(125, &["the machine box has it", "appliance stop box"]);
    let receipt = toy.json(&["stop", "box"])["ended"][0]["removed"].to_string();
    assert!(receipt.contains("all that was written, in"), "{receipt}");
    toy.is_clean();

    // The volume is as it was, the root is as it was built. A machine that dies takes its instance with it.
    toy.leave_running();
    assert_eq!(toy.exec("ls /usr/x; cat /data/notes").stdout, "more\nmore\n");
    toy.has_printed();
    let [machine, supervisor] = toy.processes();
    kill(machine, Signal::SIGKILL).unwrap();
    crate::machine::wait_for_end(supervisor);
    // That is an end like others, and what it had printed is there to be read.
    toy.world.run(&["wait", "box"]).fails(137, &["the machine of box was lost: QEMU was ended by signal 9"]);
    toy.world.run(&["ps", "--all"]).fails(0, &["lost its machine, ended with 137"]);
    assert_eq!(toy.world.run(&["logs", "box"]).succeeds().stdout, "to stdout\n");
    toy.is_clean();

    // So does a supervisor that is killed; what it left is removed by the next command.
    toy.leave_running();
    toy.has_printed();
    let [machine, supervisor] = toy.processes();
    kill(supervisor, Signal::SIGKILL).unwrap();
    crate::machine::wait_for_end(machine);
    toy.is_clean();
    let logs = toy.world.run(&["logs", "box"]).fails(0, &["the supervisor of box was killed"]);
    assert_eq!(logs.stdout, "to stdout\n", "{}", logs.text());
    assert!(fs::read(toy.world.path("spec/out/root.ext4")).unwrap() == before, "the artifact was written");
    let listed = toy.json(&["volume", "ls"]).to_string();
    assert!(listed.contains("data.machine") && listed.contains("\"kind\":\"machine\""), "{listed}");
}

#[test]
fn a_machine_that_is_short_of_memory_gets_more_of_it() {
    let test = "a_machine_that_is_short_of_memory_gets_more_of_it";
    let info = fs::read_to_string("/proc/meminfo").unwrap_or_default();
    let available = info.lines().find_map(|line| line.strip_prefix("MemAvailable:")?.trim().strip_suffix(" kB"));
    if available.and_then(|text| text.parse().ok()).is_none_or(|kibibytes: u64| kibibytes < 1 << 20) {
        return skip(test, "this host has less than 1 GiB of memory to give");
    }
    let spec = NOTES.replace("memory \"256MiB\"", "memory \"192MiB\" max=\"640MiB\"");
    let Some(toy) = Toy::with(test, packages, &format!("{spec}{BOOTS}")) else { return };
    toy.leave_running();
    // Pages of 4 KiB.
    let pages = |counter: &str| -> u64 {
        let text = toy.exec("while read -r line; do echo $line; done < /proc/vmstat").succeeds().stdout;
        text.lines().find_map(|line| line.strip_prefix(counter)?.trim().parse().ok()).unwrap()
    };
    let has_in_balloon = |mebibytes: u64| {
        let begun = std::time::Instant::now();
        while pages("balloon_inflate ").saturating_sub(pages("balloon_deflate ")) < mebibytes << 8 {
            assert!(begun.elapsed() < crate::machine::PATIENCE, "{}", toy.world.run(&["logs", "box"]).text());
        }
    };
    has_in_balloon(400);
    toy.exec("busybox dd if=/dev/zero of=/dev/null bs=330M count=1").succeeds();
    assert!(pages("balloon_deflate ") > 0);
    // What lies idle goes back to the host, but for a rest that is not worth an order.
    has_in_balloon(300);
    toy.world.run(&["rm", "--force", "box"]).succeeds();
    toy.is_clean();
}

#[test]
fn a_disk_runs_by_firmware_and_its_service_gives_the_exit_code() {
    let test = "a_disk_runs_by_firmware_and_its_service_gives_the_exit_code";
    if program(&FIRMWARE).is_none() {
        return skip(test, "there is no OVMF (package ovmf)");
    }
    if let Err(reason) = kernel::stub() {
        return skip(test, &format!("there is no systemd stub: {reason}"));
    }
    let spec = r#"
    packages "toy-shell"
    service "short" { run "/bin/sh" "-c" "echo done; exit 7"; restart "never"; }
    network "none"
    isolation "vm"
    kernel "linux-image-real"
    output "qcow2"
"#;
    let Some(toy) = Toy::with(test, disks::packages, spec) else { return };
    let before = fs::read(toy.world.path("spec/out/disk.qcow2")).unwrap();
    let done = toy.world.run(&["run", "out"]);
    assert_eq!((done.code, done.stdout.as_str()), (Some(7), "done\n"), "{}", done.stderr);
    assert!(fs::read(toy.world.path("spec/out/disk.qcow2")).unwrap() == before, "the artifact was written");
    toy.is_clean();
}

#[test]
fn a_machine_that_does_not_come_up_shows_its_console() {
    let test = "a_machine_that_does_not_come_up_shows_its_console";
    let spec = SERVICES.replace("output \"ext4\"", BOOTS);
    let Some(toy) = Toy::with(test, packages, &spec) else { return };
    let root = toy.world.path("spec/out/root.ext4");
    let mut bytes = fs::read(&root).unwrap();
    let at = bytes.windows(11).position(|window| window == b"\"services\":").unwrap();
    bytes[at] ^= 1;
    fs::write(&root, bytes).unwrap();
    let done = toy.world.run(&["run", "--vm", "out"]);
    done.fails(125, &["bring the machine up", "the last lines of its console", "dm-verity device corrupted"]);
    toy.is_clean();

    let initrd = toy.world.path("spec/out/microvm/initrd");
    let mut bytes = fs::read(&initrd).unwrap();
    bytes.push(0);
    fs::write(&initrd, bytes).unwrap();
    toy.world.run(&["run", "--vm", "out"]).fails(125, &["initrd", "changed after the build"]);
    toy.is_clean();
}
