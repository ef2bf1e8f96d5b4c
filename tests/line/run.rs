//! `appliance run`: a toy appliance around the host's static busybox, as root and as an ordinary user: what it may do,
//! how it ends, and that nothing of it is left, also after the hardest kills.

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::{is_root, skip, static_busybox, tool};
use crate::toys;
use crate::world::{Done, World};

/// What a hang costs a test before it fails; nothing that works comes near.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// A built appliance and the user who runs it.
pub struct Toy {
    pub world: World,
    pub name: String,
    pub user: Option<String>,
    program: PathBuf,
}

/// What stays in the folder of running instances: its lock, and whether this user may make namespaces.
const KEPT: [&str; 2] = ["lock", "user-namespaces"];

pub const WEB: &str = r#"
    service "web" user="web" {
        run "/bin/httpd" "-f" "-p" "127.0.0.1:8080" "-h" "/srv/www"
        ready http="http://127.0.0.1:8080/" within="60s"
    }"#;

impl Toy {
    /// A toy with these services for this user; none where that is not possible, with the reason said.
    pub fn new(test: &str, as_root: bool, services: &str) -> Option<Self> {
        if as_root && !is_root() {
            skip(test, "it needs root");
            return None;
        }
        Self::of(test, (is_root() && !as_root).then(|| "65534".to_owned()), services)
    }

    /// A toy for this user of the host, or who this test is.
    pub fn of(test: &str, user: Option<String>, services: &str) -> Option<Self> {
        let no = |reason: &str| {
            skip(test, reason);
            None
        };
        let Some(busybox) = static_busybox() else { return no("there is no static busybox (package busybox-static)") };
        let guests = Path::new(env!("CARGO_BIN_EXE_appliance")).parent().unwrap();
        let guest = format!("appliance-guest-{}", if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" });
        if !guests.join(&guest).exists() {
            return no("there is no guest beside the program (make debug)");
        }
        if user.is_some() && tool("setpriv").is_none() {
            return no("there is no setpriv to become an ordinary user");
        }
        let toy = Self::build(busybox, &guests.join(&guest), user, services);
        let probe = Done::of(toy.run(&["--", "true"]).output().unwrap());
        match probe.code {
            Some(0) => Some(toy),
            Some(125) => no(probe.stderr.trim()),
            _ => panic!("{}", probe.text()),
        }
    }

    fn build(busybox: Vec<u8>, guest: &Path, user: Option<String>, services: &str) -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let name = format!("toy{}x{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let world = World::of(&[toys::base(), toys::shell(busybox)]);
        fs::copy(guest, world.path("guest").join(guest.file_name().unwrap())).unwrap();
        world.spec_text(format!(
            r#"appliance "{name}" version="1.0.0" {{
    base "toy"
    packages "toy-shell"
    user "web" uid=1000 home="/srv/www"
    file "/srv/www/index.html" text="<h1>A toy page</h1>\n"
    {services}
    network "none" {{ port 8080 name="page"; }}
    volume "data" at="/data"
    output "oci"
}}
"#
        ));
        world.build();
        world.open_to_all();
        let program = crate::golden::program_for_all(&world);
        Self { world, name, user, program }
    }

    /// `appliance run out` with these further arguments.
    pub fn run(&self, args: &[&str]) -> Command {
        self.command(&[&["run", "out"], args].concat())
    }

    /// Any other verb, as the toy's user.
    pub fn verb(&self, args: &[&str]) -> Done {
        Done::of(self.command(args).output().unwrap())
    }

    pub fn command(&self, args: &[&str]) -> Command {
        let command = match &self.user {
            None => Command::new(&self.program),
            Some(user) => {
                let mut command = Command::new("setpriv");
                command.args(["--reuid", user, "--regid", user, "--clear-groups"]).arg(&self.program);
                command
            }
        };
        self.world.dressed(command, args)
    }

    /// Runs a shell script instead of the services.
    pub fn shell(&self, script: &str) -> Done {
        Done::of(self.run(&["--", "sh", "-c", script]).output().unwrap())
    }

    /// Starts the services and waits until the page is there.
    #[expect(clippy::zombie_processes, reason = "who starts it waits for it")]
    pub fn start(&self) -> (Child, String) {
        let log = fs::File::create(self.world.path("log")).unwrap();
        let mut command = self.run(&[]);
        let mut child = command.stdout(Stdio::null()).stderr(log).spawn().unwrap();
        let begun = Instant::now();
        loop {
            let log = self.log();
            let address = log.split("http://").nth(1).and_then(|rest| rest.split('/').next());
            let page = address.and_then(|address| fetch(address).ok()).unwrap_or_default();
            if page.contains("A toy page") {
                return (child, page);
            }
            if begun.elapsed() > PATIENCE {
                let _ = kill(pid(&child), Signal::SIGTERM);
                let _ = child.wait();
                panic!("no page: {log}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub fn log(&self) -> String {
        fs::read_to_string(self.world.path("log")).unwrap_or_default()
    }

    /// Everything that runs have left on the host.
    pub fn left(&self) -> Vec<String> {
        let state = fs::read_dir(self.world.path("state")).into_iter().flatten().flatten();
        let mut left: Vec<String> = state
            .filter(|entry| !KEPT.iter().any(|kept| entry.file_name() == *kept))
            .map(|entry| format!("state {:?}", entry.path()))
            .collect();
        let here = self.world.path("").display().to_string();
        let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap();
        left.extend(
            mounts.lines().filter(|line| line.contains(here.trim_end_matches('/'))).map(|line| format!("mount {line}")),
        );
        groups(Path::new("/sys/fs/cgroup"), &format!("-{}-", self.name), &mut left);
        left.extend(processes(here.trim_end_matches('/'), &self.name));
        left
    }

    /// Waits until nothing is left; what is left then.
    pub fn left_in_the_end(&self) -> Vec<String> {
        let begun = Instant::now();
        while !self.left().is_empty() && begun.elapsed() < PATIENCE {
            std::thread::sleep(Duration::from_millis(20));
        }
        self.left()
    }
}

pub fn fetch(address: &str) -> std::io::Result<String> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(b"GET / HTTP/1.0\r\nHost: toy\r\n\r\n")?;
    let mut page = String::new();
    stream.read_to_string(&mut page)?;
    Ok(page)
}

fn groups(folder: &Path, part: &str, left: &mut Vec<String>) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            if entry.file_name().to_string_lossy().contains(part) {
                left.push(format!("control group {:?}", entry.path()));
            }
            groups(&entry.path(), part, left);
        }
    }
}

/// Processes of this world, or whose host name is that of the appliance.
fn processes(folder: &str, name: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc").unwrap().flatten() {
        let read = |file: &str| {
            String::from_utf8_lossy(&fs::read(entry.path().join(file)).unwrap_or_default()).replace('\0', " ")
        };
        let line = read("cmdline");
        if line.contains(folder) || read("environ").contains(folder) || line.contains(name) {
            found.push(format!("process {:?} {line}", entry.file_name()));
        }
    }
    found
}

pub fn pid(child: &Child) -> Pid {
    Pid::from_raw(child.id().try_into().unwrap())
}

/// Waits for a command; gives its exit code.
pub fn end(child: &mut Child) -> Option<i32> {
    let begun = Instant::now();
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        assert!(begun.elapsed() < PATIENCE, "it does not end");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Does this with a toy of each user that this test can be.
pub fn check(test: &str, services: &str, verify: impl Fn(&Toy)) {
    for as_root in [true, false] {
        let Some(toy) = Toy::new(test, as_root, services) else { continue };
        verify(&toy);
        assert_eq!(toy.left_in_the_end(), [""; 0], "as root: {as_root}");
    }
}

#[test]
fn the_exit_code_is_the_commands() {
    check("the_exit_code_is_the_commands", WEB, |toy| {
        assert_eq!(toy.shell("exit 7").code, Some(7));
        assert_eq!(toy.shell("exit 0").code, Some(0));
        assert_eq!(toy.shell("kill -9 $$").code, Some(137));
        let missing = Done::of(toy.run(&["--", "/bin/no-such-program"]).output().unwrap());
        missing.fails(127, &["no-such-program"]);
        Done::of(toy.run(&["--", "/srv/www/index.html"]).output().unwrap()).fails(126, &["/srv/www/index.html"]);
        let quoted = Done::of(toy.run(&["--", "echo", "two words", "$HOME", ""]).output().unwrap());
        assert_eq!(quoted.stdout, "two words $HOME \n");
    });
}

#[test]
fn streams_pass_through() {
    check("streams_pass_through", WEB, |toy| {
        let mut command = toy.run(&["--", "sh", "-c", "tr a-z A-Z; echo to stderr >&2"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(b"loud\n").unwrap();
        let done = Done::of(child.wait_with_output().unwrap());
        assert_eq!(done.stdout, "LOUD\n");
        assert!(done.stderr.contains("to stderr\n"), "{}", done.stderr);
    });
}

#[test]
fn the_root_is_read_only_and_the_rest_is_gone_but_for_volumes() {
    check("the_root_is_read_only", WEB, |toy| {
        let script = "touch /made && exit 1; touch /etc/made && exit 2; touch /usr/bin/made && exit 3\n\
            echo lost > /tmp/file || exit 4; echo kept > /data/file || exit 5; echo lost > /run/file || exit 6; exit 0";
        let done = toy.shell(script);
        assert_eq!(done.code, Some(0), "{}", done.text());
        assert!(done.stderr.contains("Read-only file system"), "{}", done.stderr);
        assert_eq!(toy.shell("cat /data/file; cat /tmp/file /run/file 2>/dev/null; test -e /made").stdout, "kept\n");
    });
}

#[test]
fn there_is_no_network_and_little_power() {
    check("there_is_no_network_and_little_power", WEB, |toy| {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let script = format!(
            "grep -c : /proc/net/dev; busybox timeout 20 wget -q -O - http://127.0.0.1:{port}/ && exit 1\n\
             mount -t tmpfs none /tmp 2>/dev/null && exit 2; mknod /tmp/disk b 8 0 2>/dev/null && exit 3\n\
             hostname elsewhere 2>/dev/null && exit 4; cat /proc/kcore >/dev/null 2>&1 && test -s /proc/kcore && exit 5\n\
             grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/self/status; exit 0"
        );
        let done = toy.shell(&script);
        assert_eq!(done.code, Some(0), "{}", done.text());
        let lines: Vec<&str> = done.stdout.lines().collect();
        assert_eq!(lines[0], "1", "only the loopback device");
        listener.set_nonblocking(true).unwrap();
        assert!(listener.accept().is_err(), "nobody came to the host's own loopback address");
        assert!(done.stdout.contains("CapEff:\t0000000000000000"), "{}", done.stdout);
        assert!(done.stdout.contains("NoNewPrivs:\t1") && done.stdout.contains("Seccomp:\t2"), "{}", done.stdout);
    });
}

#[test]
fn a_service_opens_its_output_by_name() {
    let services = r#"
    service "one" user="web" { run "/bin/sh" "-c" "echo out > /dev/stdout && echo error > /dev/stderr && exit 4"; restart "never"; }"#;
    check("a_service_opens_its_output_by_name", services, |toy| {
        let done = Done::of(toy.run(&[]).output().unwrap());
        assert_eq!(done.code, Some(4), "{}", done.text());
        assert!(done.stdout.contains("out\n") && done.stderr.contains("error\n"), "{}", done.text());
    });
}

#[test]
fn the_page_is_reached_without_a_network_and_ctrl_c_stops() {
    check("the_page_is_reached", WEB, |toy| {
        let (mut child, page) = toy.start();
        assert!(page.starts_with("HTTP/1.") && page.contains("200 OK"), "{page}");
        kill(pid(&child), Signal::SIGINT).unwrap();
        assert_eq!(end(&mut child), Some(143), "{}", toy.log());
        assert!(!toy.log().contains("error"), "what was asked to stop did not fail: {}", toy.log());
    });
}

#[test]
fn a_service_that_does_not_listen_is_stopped_within_the_promised_time() {
    let deaf = WEB.replace(
        "run \"/bin/httpd\"",
        "run \"/bin/sh\" \"-c\" \"trap '' TERM INT HUP; httpd -p 127.0.0.1:8080 -h /srv/www; while :; do sleep 1; done\" \"sh\"",
    );
    check("a_service_that_does_not_listen_is_stopped", &deaf, |toy| {
        let (mut child, _) = toy.start();
        kill(pid(&child), Signal::SIGINT).unwrap();
        assert_eq!(end(&mut child), Some(137), "{}", toy.log());
        // A foreground run is promised to end within three seconds.
        assert!(toy.log().contains("did not stop within 2 s and was killed"), "{}", toy.log());
    });
}

#[test]
fn the_second_ctrl_c_does_not_wait() {
    let deaf = r#"
    service "deaf" {
        run "/bin/sh" "-c" "trap '' TERM INT HUP; httpd -p 127.0.0.1:8080 -h /srv/www; while :; do sleep 1; done"
        ready http="http://127.0.0.1:8080/" within="60s"
        stop within="600s"
    }"#;
    check("the_second_ctrl_c_does_not_wait", deaf, |toy| {
        let (mut child, _) = toy.start();
        kill(pid(&child), Signal::SIGINT).unwrap();
        // A second signal before the first was heard would be one with it.
        let begun = Instant::now();
        while !toy.log().contains("waiting for service \"deaf\"") {
            assert!(begun.elapsed() < PATIENCE, "{}", toy.log());
            std::thread::sleep(Duration::from_millis(10));
        }
        kill(pid(&child), Signal::SIGINT).unwrap();
        end(&mut child);
        assert!(toy.log().contains("service \"deaf\" was killed"), "{}", toy.log());
    });
}

#[test]
fn a_service_that_never_gets_ready_ends_the_run_with_words() {
    let never = r#"
    service "never" {
        run "/bin/sleep" "1000"
        ready tcp="127.0.0.1:8080" within="500ms"
    }"#;
    check("a_service_that_never_gets_ready", never, |toy| {
        let done = Done::of(toy.run(&[]).output().unwrap());
        let seen = "service never was not ready within 500 ms: tcp 127.0.0.1:8080: ";
        done.fails(124, &[seen, "service \"never\" was not ready in time", "within=", "-- /bin/sh"]);
    });
}

#[test]
fn a_service_that_crashes_ends_the_run_with_its_name_and_its_last_words() {
    let services = r#"
    service "quiet" { run "/bin/sh" "-c" "echo of no interest; exec sleep 1000"; }
    service "loud" {
        run "/bin/sh" "-c" "sleep 2; i=0; while [ $i -lt 20 ]; do i=$((i+1)); echo line $i >&2; done; kill -SEGV $$"
        after "quiet"
    }"#;
    check("a_service_that_crashes", services, |toy| {
        let done = Done::of(toy.run(&[]).output().unwrap());
        let words = "error: service \"loud\" was ended by SIGSEGV (status 139)\n  its last words:\n    line 11\n";
        let text = done.fails(139, &[words, "    line 20\n", "restart \"on-failure\""]).stderr;
        assert!(!text.contains("    line 10\n") && !text.contains("    of no interest"), "{text}");
        let done = Done::of(toy.run(&["--json"]).output().unwrap());
        let last: serde_json::Value = serde_json::from_str(done.stderr.lines().last().unwrap()).unwrap();
        let failed = &last["failed"];
        assert_eq!(
            (failed["service"].as_str(), failed["signal"].as_str()),
            (Some("loud"), Some("SIGSEGV")),
            "{last:#}"
        );
        assert_eq!((failed["lines"].as_array().unwrap().len(), failed["lines"][9].as_str()), (10, Some("line 20")));
    });
}

#[test]
fn a_service_that_ends_with_a_status_is_told_with_it() {
    let services = r#"service "job" { run "/bin/sh" "-c" "echo cannot go on; exit 3"; }"#;
    check("a_service_that_ends_with_a_status", services, |toy| {
        let done = Done::of(toy.run(&[]).output().unwrap());
        let done = done.fails(3, &["service \"job\" ended with status 3\n  its last words:\n    cannot go on\n"]);
        assert_eq!(done.stdout, "cannot go on\n", "the output goes where it went before");
    });
}

#[test]
fn services_start_in_order_and_the_main_one_gives_the_exit_code() {
    let services = r#"
    service "first" {
        run "/bin/sh" "-c" "echo first >> /tmp/order; touch /tmp/ready; exec sleep 1000"
        ready file="/tmp/ready" within="60s"
    }
    service "second" {
        run "/bin/sh" "-c" "echo second >> /tmp/order; cat /tmp/order; exit 5"
        after "first"
    }"#;
    check("services_start_in_order", services, |toy| {
        let done = Done::of(toy.run(&[]).output().unwrap());
        assert_eq!(done.code, Some(5), "{}", done.text());
        assert_eq!(done.stdout, "second: first\nsecond: second\n");
    });
}

#[test]
fn the_host_port_can_be_chosen_and_a_taken_one_is_told() {
    check("the_host_port_can_be_chosen", WEB, |toy| {
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = taken.local_addr().unwrap().port();
        let wish = format!("8080={port}");
        let done = Done::of(toy.run(&["--port", &wish]).output().unwrap());
        assert_eq!(done.code, Some(125), "{}", done.text());
        assert!(done.text().contains(&port.to_string()), "{}", done.text());
        let done = Done::of(toy.run(&["-p", &format!("{port}:8080")]).output().unwrap());
        done.fails(125, &[&port.to_string(), "--port 8080=HOSTPORT"]);
        let done = Done::of(toy.run(&["--port", "9999"]).output().unwrap());
        done.fails(125, &["9999", "declare"]);
    });
}

/// Takes a port of this host. Another test may have it for a while; a program that keeps it longer holds it as well.
fn hold_port(port: u16) -> Option<std::net::TcpListener> {
    let begun = Instant::now();
    loop {
        match std::net::TcpListener::bind(("127.0.0.1", port)) {
            Ok(held) => return Some(held),
            Err(_) if begun.elapsed() > PATIENCE => return None,
            Err(_) => std::thread::sleep(Duration::from_millis(5)),
        }
    }
}

#[test]
fn a_port_that_is_moved_is_told_with_the_reason() {
    let job = r#"service "job" { run "/bin/true"; }"#;
    check("a_port_that_is_moved", job, |toy| {
        let _taken = hold_port(8080);
        let done = Done::of(toy.run(&[]).output().unwrap());
        let text = done.fails(0, &["port 8080 is at http://127.0.0.1:"]).stderr;
        let line = text.lines().find(|line| line.starts_with("port 8080")).unwrap();
        assert!(line.contains("port 8080 of this host cannot be used: something else listens there"), "{line}");
        let done = Done::of(toy.run(&["--json"]).output().unwrap());
        let lines: Vec<serde_json::Value> =
            done.stderr.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        assert_eq!((&lines[0]["port"], &lines[0]["moved"]["wanted"]), (&8080.into(), &8080.into()), "{lines:#?}");
        assert_eq!(lines.last().unwrap()["ports"][0], lines[0]);
    });
}

#[test]
fn volumes_are_listed_and_removed_but_not_under_a_running_appliance() {
    check("volumes_are_listed_and_removed", WEB, |toy| {
        assert_eq!(toy.shell("echo kept > /data/file; chmod 700 /data").code, Some(0));
        let name = format!("{}/data", toy.name);
        let listed = toy.verb(&["volume", "ls", "--json"]).succeeds();
        let listed: serde_json::Value = serde_json::from_str(&listed.stdout).unwrap();
        let row = &listed["volumes"][0];
        assert_eq!((row["appliance"].as_str(), row["name"].as_str()), (Some(&*toy.name), Some("data")), "{listed:#}");
        assert!(row["bytes"].as_u64() > Some(0), "{listed:#}");
        let (mut child, _) = toy.start();
        toy.verb(&["volume", "rm", &name]).fails(1, &["it is running", "nothing was removed"]);
        assert!(toy.verb(&["volume", "ls"]).succeeds().stdout.contains(&format!("used by {}-", toy.name)));
        kill(pid(&child), Signal::SIGTERM).unwrap();
        end(&mut child);
        toy.verb(&["volume", "rm", &name]).fails(0, &[&format!("removed {name}, which containers had")]);
        toy.verb(&["volume", "rm", &name]).fails(1, &[&format!("remove the volume {name}: there is none")]);
        assert_eq!(toy.shell("ls /data").stdout, "");
        toy.verb(&["volume", "rm", &toy.name]).fails(2, &["--all"]);
        toy.verb(&["volume", "rm", "--all", &toy.name, "--kind", "machine"]).fails(1, &["there are none"]);
        toy.verb(&["volume", "rm", "--all", &toy.name, "--kind", "container"]).succeeds();
        assert_eq!(toy.verb(&["volume", "ls"]).succeeds().stdout, "");
    });
}

/// Kills, from among the command and its helpers, those that `choose` picks; then nothing is left, if need be after
/// the next run has cleaned up.
fn check_killed(test: &str, choose: fn(&[Pid]) -> &[Pid]) {
    for as_root in [true, false] {
        let Some(toy) = Toy::new(test, as_root, WEB) else { continue };
        for _ in 0..2 {
            let (mut child, _) = toy.start();
            let all = [vec![pid(&child)], children(pid(&child))].concat();
            assert!(all.len() > 1, "a run has a helper");
            for one in choose(&all) {
                kill(*one, Signal::SIGKILL).unwrap();
            }
            end(&mut child);
            let begun = Instant::now();
            while !toy.left().is_empty() && begun.elapsed() < PATIENCE {
                toy.shell("true");
            }
            assert_eq!(toy.left(), [""; 0], "as root: {as_root}");
        }
        assert_eq!(toy.shell("echo well").stdout, "well\n");
    }
}

fn children(of: Pid) -> Vec<Pid> {
    let text = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap_or_default();
    text.split_ascii_whitespace().filter_map(|word| word.parse().ok()).map(Pid::from_raw).collect()
}

#[test]
fn a_killed_command_leaves_nothing() {
    check_killed("a_killed_command_leaves_nothing", |all| &all[..1]);
}

#[test]
fn a_killed_helper_leaves_nothing() {
    check_killed("a_killed_helper_leaves_nothing", |all| &all[1..]);
}

#[test]
fn both_killed_leave_nothing() {
    check_killed("both_killed_leave_nothing", |all| all);
}

#[test]
fn a_run_says_that_nothing_is_left() {
    check("a_run_says_that_nothing_is_left", WEB, |toy| {
        let done = Done::of(toy.run(&["-v", "--", "true"]).output().unwrap());
        assert!(done.text().contains("nothing is left"), "{}", done.text());
        let done = Done::of(toy.run(&["--json", "--", "sh", "-c", "exit 3"]).output().unwrap());
        // Standard output belongs to what runs.
        assert_eq!(done.stdout, "");
        let value: serde_json::Value = serde_json::from_str(&done.stderr).unwrap();
        assert_eq!((value["status"].as_i64(), value["left"].as_array().map(Vec::len)), (Some(3), Some(0)), "{value:#}");
        assert_eq!(done.code, Some(3));
    });
}

#[test]
fn a_damaged_bundle_is_refused_before_anything_runs() {
    check("a_damaged_bundle_is_refused", WEB, |toy| {
        let plan = toy.world.path("spec/out/plan.json");
        let good = fs::read(&plan).unwrap();
        fs::write(&plan, String::from_utf8_lossy(&good).replace("read_only\": true", "read_only\": false")).unwrap();
        let done = toy.shell("true");
        assert_eq!(done.code, Some(125), "{}", done.text());
        assert!(done.text().contains("plan.json"), "{}", done.text());
        fs::write(&plan, good).unwrap();
        assert_eq!(toy.shell("true").code, Some(0));
    });
}
