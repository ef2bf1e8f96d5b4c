//! systemd as process 1: the example on live Debian, its units, what fails in it, and the agent.

use std::fs;
use std::path::{Path, PathBuf};

use bundle::channel::{Event, Request, Response, ServiceState};

use crate::live_world::{copy, live_command, no_guest, unreachable};
use crate::machine::{Machine, Parts};
use crate::support::{skip, tool};
use crate::world::Done;

/// The example, built.
struct Example {
    folder: tempfile::TempDir,
    qemu: PathBuf,
}

impl Example {
    /// Builds the example with these words of its spec changed; nothing, with the reason said, where that cannot be.
    fn with(test: &str, changes: &[(&str, &str)]) -> Option<Self> {
        let qemu = tool("qemu-system-x86_64").filter(|_| cfg!(target_arch = "x86_64"));
        let no_qemu = qemu.is_none().then(|| "there is no qemu-system-x86_64 (package qemu-system-x86)".to_owned());
        if let Some(why) = no_qemu.or_else(|| unreachable().map(str::to_owned)).or_else(|| no_guest("amd64")) {
            skip(test, &why);
            return None;
        }
        let folder = copy("systemd");
        let path = folder.path().join("spec/appliance.kdl");
        let text = changes.iter().fold(fs::read_to_string(&path).unwrap(), |text, (from, to)| {
            assert!(text.contains(from), "{from}");
            text.replace(from, to)
        });
        fs::write(&path, text).unwrap();
        let done = Done::of(live_command(folder.path(), &["build", "--scripts", "emulate-only"]).output().unwrap());
        assert_eq!(done.code, Some(0), "{}", done.text());
        Some(Self { folder, qemu: qemu? })
    }

    fn out(&self, name: &str) -> PathBuf {
        self.folder.path().join("spec/out").join(name)
    }

    /// Direct boot, with disks that cannot be written.
    fn microvm(&self, is_proven: bool) -> Machine {
        let (kernel, initrd) = (self.out("microvm/kernel"), self.out("microvm/initrd"));
        let line = fs::read_to_string(self.out("microvm/cmdline")).unwrap();
        assert!(line.contains(" appliance.init=/sbin/init"), "{line}");
        let (root, hashes) = (self.out("root.ext4"), self.out("root.verity"));
        let disks: [(&str, &Path); 2] = [("root", &root), ("hashes", &hashes)];
        let disks = if is_proven { &disks[..] } else { &disks[..1] };
        let folder = self.folder.path();
        let parts = Parts { kernel: &kernel, initrd: &initrd, command_line: &line, disks, writable: false, folder };
        Machine::microvm(&self.qemu, &parts)
    }
}

/// What holds wherever it boots: the services are units that are active, and every verb answers.
fn check_life(machine: &mut Machine) {
    machine.wait_for("the services' readiness", |event| *event == Event::Ready);
    let Response::Status(status) = machine.ask(&Request::Status) else { panic!("no status") };
    let states: Vec<_> = status.services.iter().map(|service| (service.name.as_str(), service.state)).collect();
    assert_eq!(states, [("stamp", ServiceState::Ready), ("web", ServiceState::Ready)]);
    assert!(machine.fetch(8080, "GET / HTTP/1.0\r\n\r\n").contains("<h1>A page from a unit</h1>"));
    let Response::Metrics(metrics) = machine.ask(&Request::Metrics) else { panic!("no metrics") };
    assert!(metrics.processes > 3, "{metrics:?}");

    // Process 1 is systemd, each service is the main process of its unit, as its user.
    assert_eq!(machine.run("cat /proc/1/comm"), ("systemd\n".to_owned(), 0));
    let web = status.services[1].pid.unwrap();
    let unit =
        "systemctl show -P MainPID appliance-web.service; systemctl is-active appliance-web.service; stat -c %U /proc/";
    assert_eq!(machine.run(&format!("{unit}{web}")), (format!("{web}\nactive\nweb\n"), 0));
    // What others see of readiness is the same.
    let (order, _) = machine
        .run("systemctl list-units --no-legend --plain 'appliance*' | while read a b c d e; do echo $a $c $d; done");
    let expected = "appliance-stamp.service active running\nappliance-web.service active running\nappliance.service active running\n";
    assert_eq!(order, expected);
    // Units of the spec's own files run beside them; nothing has failed, nobody can log in.
    assert_eq!(machine.run("until test -e /run/note; do sleep 0.2; done; cat /run/note"), ("noted\n".to_owned(), 0));
    let (failed, _) =
        machine.run("systemctl list-units --failed --no-legend --plain; systemctl is-active getty.target");
    assert_eq!(failed, "inactive\n");
    assert_eq!(machine.run("exit 7").1, 7);
}

#[test]
fn systemd_keeps_the_services_and_ends_with_the_agent() {
    let Some(example) = Example::with("systemd_keeps_the_services_and_ends_with_the_agent", &[]) else { return };
    let mut machine = example.microvm(true);
    check_life(&mut machine);
    // A service that ends starts again by its policy.
    machine.events.clear();
    assert_eq!(machine.run("systemctl kill --signal=KILL appliance-web.service"), (String::new(), 0));
    machine.wait_for("the restart", |event| matches!(event, Event::Restart { status: 137, failures: 1, .. }));
    let is_ready =
        |event: &Event| matches!(event, Event::Service { name, state: ServiceState::Ready } if name == "web");
    machine.wait_for("the service again", is_ready);
    assert!(machine.fetch(8080, "GET / HTTP/1.0\r\n\r\n").contains("<h1>A page from a unit</h1>"));
    // Another host that comes later is told how things stand.
    machine.rejoin(&example.folder.path().join("agent.sock"));
    machine.wait_for("the state for a host that comes later", |event| *event == Event::Ready);
    // Nothing decides any more when the agent is gone: the machine ends.
    machine.run("agent=$(systemctl show -P MainPID appliance.service); (sleep 1; kill -9 $agent) >/dev/null 2>&1 &");
    assert!(machine.wait_for_end(), "{}", machine.console());
}

#[test]
fn systemd_holds_what_fails_until_it_is_given_up() {
    // A root that could be written to, on a disk that cannot: what is written goes to memory.
    let changes = [
        ("root \"read-only\"\n        writable \"/var/log\"", "root \"writable\""),
        ("date > /run/stamp", "touch /usr/x && date > /run/stamp"),
        ("run \"/bin/busybox\" \"httpd\" \"-f\" \"-p\" \"127.0.0.1:8080\" \"-h\" \"/srv/www\"", "run \"/bin/false\""),
        ("        ready http=\"http://127.0.0.1:8080/\"\n", ""),
        ("exec sleep infinity", "trap '' TERM; while :; do sleep 1; done"),
        ("        ready file=\"/run/stamp\"\n", "        ready file=\"/run/stamp\"\n        stop within=\"1s\"\n"),
        ("output \"qcow2\" \"microvm\"", "output \"microvm\""),
    ];
    let Some(example) = Example::with("systemd_holds_what_fails_until_it_is_given_up", &changes) else { return };
    let mut machine = example.microvm(false);
    let exited = machine.wait_for("the end", |event| matches!(event, Event::Exited { .. }));
    assert_eq!(exited, Event::Exited { status: 1 });
    let restarts = machine.events.iter().filter(|event| matches!(event, Event::Restart { status: 1, .. }));
    assert_eq!(restarts.count(), 4, "{:?}", machine.events);
    let is_killed = |event: &Event| matches!(event, Event::Killed { name, within_ms: Some(1000) } if name == "stamp");
    assert!(machine.events.iter().any(is_killed), "{:?}", machine.events);
    assert!(machine.wait_for_end(), "{}", machine.console());
    let why = "appliance: failed to keep service \"web\" running: it failed 5 times in a row";
    assert!(machine.console().contains(why), "{}", machine.console());
}

#[test]
fn a_command_runs_in_place_of_the_units_of_services() {
    let changes = [("output \"qcow2\" \"microvm\"", "output \"microvm\"")];
    let Some(example) = Example::with("a_command_runs_in_place_of_the_units_of_services", &changes) else { return };
    let script = "cat /proc/1/comm; systemctl is-active appliance-web appliance-stamp; systemctl --failed --no-legend --plain; exit 6";
    let run = ["run", "--vm", "out", "--", "/bin/sh", "-c", script];
    let done = Done::of(live_command(example.folder.path(), &run).output().unwrap());
    assert_eq!((done.code, done.stdout.as_str()), (Some(6), "systemd\ninactive\ninactive\n"), "{}", done.text());
}
