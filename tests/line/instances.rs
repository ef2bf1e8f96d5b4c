//! Instances that go on without the command: `run -d` and the verbs that work on them, as root and as an ordinary user.

mod files;
mod words;

use std::fs;
use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;

use crate::run::{PATIENCE, Toy, WEB, check, fetch};
use crate::run_words::wait_for;
use crate::support::{skip, tool};
use crate::world::Done;

/// A web server that also prints, and counts its requests to stop.
const TALKER: &str = r#"
    service "web" {
        run "/bin/sh" "-c" "echo to stdout; echo to stderr >&2; exec httpd -f -p 127.0.0.1:8080 -h /srv/www"
        ready http="http://127.0.0.1:8080/" within="60s"
    }"#;

impl Toy {
    fn json(&self, args: &[&str]) -> Value {
        let done = self.verb(&[args, &["--json"]].concat()).succeeds();
        serde_json::from_str(&done.stdout).unwrap()
    }

    /// Starts an instance with this name.
    fn detach(&self, name: &str) {
        let done = self.verb(&["run", "out", "-d", "--name", name]).succeeds();
        assert_eq!(done.stdout, format!("{name}\n"));
    }

    fn exec(&self, name: &str, script: &str) -> Done {
        self.verb(&["exec", name, "--", "sh", "-c", script])
    }

    fn supervisor(&self, name: &str) -> Pid {
        let listed = self.json(&["ps"]);
        let all = listed["instances"].as_array().unwrap();
        let one = all.iter().find(|one| one["name"] == name).unwrap();
        Pid::from_raw(one["supervisor"].as_i64().unwrap().try_into().unwrap())
    }

    /// Ends an instance and all that is known of it.
    fn away(&self, name: &str) {
        self.verb(&["rm", "--force", name]).succeeds();
    }
}

#[test]
fn an_instance_goes_on_without_its_command_until_it_is_stopped() {
    check("an_instance_goes_on_without_its_command", WEB, |toy| {
        toy.detach("one");
        let listed = toy.json(&["ps"]);
        let one = &listed["instances"][0];
        assert_eq!((one["name"].as_str(), one["state"].as_str()), (Some("one"), Some("ready")), "{listed:#}");
        let address = toy.verb(&["port", "one", "8080"]).succeeds().stdout;
        assert!(fetch(address.trim()).unwrap().contains("A toy page"));
        assert_eq!(toy.verb(&["open", "one", "--print"]).succeeds().stdout, format!("http://{}/\n", address.trim()));
        toy.verb(&["port", "one", "9"]).fails(1, &["8080"]);
        toy.verb(&["ps"]).fails(0, &["one", &toy.name, "ready", address.trim()]);
        toy.verb(&["volume", "rm", "--all", &toy.name]).fails(1, &["it is running, as one"]);
        let stopped = toy.json(&["stop", "one"]);
        let ended = &stopped["ended"][0];
        assert_eq!(
            (ended["status"].as_i64(), ended["left"].as_array().map(Vec::len)),
            (Some(143), Some(0)),
            "{stopped:#}"
        );
        assert!(ended["made"].as_array().unwrap().len() >= 3, "{stopped:#}");
        assert_eq!(toy.verb(&["ps", "--names"]).succeeds().stdout, "");
        assert_eq!(toy.verb(&["ps", "--names", "--all"]).succeeds().stdout, "one\n");
        assert_eq!(toy.verb(&["wait", "one"]).code, Some(143));
        toy.verb(&["stop", "one"])
            .fails(0, &["one ended with status 143; only what it printed is kept", "appliance rm one"]);
        toy.verb(&["ps"]).fails(0, &["nothing runs; one has ended: appliance ps --all"]);
        toy.verb(&["rm", "one"]).succeeds();
        toy.verb(&["ps", "--all"]).fails(0, &["there are no instances"]);
        toy.verb(&["rm", "one"]).fails(0, &["there is no instance one"]);
    });
}

#[test]
fn where_tools_are_named_no_other_program_is_started() {
    check("where_tools_are_named", &format!("{WEB}\n    tools \"id\" \"echo\""), |toy| {
        toy.detach("one");
        assert_eq!(toy.verb(&["exec", "one", "--", "echo", "yes"]).succeeds().stdout, "yes\n");
        toy.exec("one", "true").fails(126, &["sh", "allows only its tools", "echo", "id"]);
        toy.verb(&["exec", "one", "--", "/bin/id"]).fails(126, &["/bin/id", "allows only its tools"]);
        toy.away("one");
    });
}

#[test]
fn a_command_in_an_instance_has_streams_a_user_and_an_exit_code() {
    check("a_command_in_an_instance", WEB, |toy| {
        toy.detach("one");
        assert_eq!(toy.exec("one", "exit 7").code, Some(7));
        let done = toy.exec("one", "echo out; echo err >&2; kill -9 $$");
        assert_eq!((done.code, done.stdout.as_str(), done.stderr.as_str()), (Some(137), "out\n", "err\n"));
        // By the appliance's name too, as long as only one runs.
        let mut child = toy.command(&["exec", "-i", &toy.name, "--", "tr", "a-z", "A-Z"]);
        let mut child = child.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        let mut input = child.stdin.take().unwrap();
        let writing = std::thread::spawn(move || input.write_all(&vec![b'x'; 1 << 20]).unwrap());
        let out = child.wait_with_output().unwrap().stdout;
        writing.join().unwrap();
        assert!(out.len() == 1 << 20 && out.iter().all(|byte| *byte == b'X'), "{}", out.len());
        // What binds the services binds it.
        let script = "grep -E '^(CapEff|CapBnd|NoNewPrivs|Seccomp):' /proc/self/status; mount -t tmpfs none /tmp && exit 1; exit 0";
        let done = toy.exec("one", script).succeeds();
        for line in ["CapEff:\t0000000000000000", "CapBnd:\t0000000000000000", "NoNewPrivs:\t1", "Seccomp:\t2"] {
            assert!(done.stdout.contains(line), "{}", done.text());
        }
        let groups = "cat /proc/self/cgroup; cat /proc/1/cgroup";
        let done = toy.exec("one", groups).succeeds();
        let lines: Vec<&str> = done.stdout.lines().collect();
        assert_eq!(lines[..lines.len() / 2], lines[lines.len() / 2..], "it is in the groups of PID 1");
        let args = ["exec", "-e", "A=b c", "-w", "/srv", "one", "--", "sh", "-c", "echo $A; pwd"];
        assert_eq!(toy.verb(&args).succeeds().stdout, "b c\n/srv\n");
        toy.verb(&["exec", "one", "--", "no-such-program"]).fails(127, &["no-such-program"]);
        toy.verb(&["exec", "--user", "nobody-here", "one", "--", "id"]).fails(126, &["nobody-here"]);
        toy.verb(&["exec", "onee", "--", "id"]).fails(125, &["did you mean one?"]);
        if toy.verb(&["exec", "--user", "0:0", "one", "--", "true"]).code == Some(0) {
            assert_eq!(toy.verb(&["exec", "--user", "0:0", "one", "--", "id", "-u"]).succeeds().stdout, "0\n");
        }
        toy.away("one");
    });
}

#[test]
fn a_command_in_an_instance_has_a_terminal() {
    if tool("script").is_none() {
        return skip("a_command_in_an_instance_has_a_terminal", "there is no script(1) to make a terminal with");
    }
    check("a_command_in_an_instance_has_a_terminal", WEB, |toy| {
        toy.detach("one");
        let inner =
            toy.command(&["exec", "-it", "one", "--", "sh", "-c", "test -t 0 && test -t 1 && echo terminal; exit 5"]);
        let words: Vec<String> = std::iter::once(inner.get_program())
            .chain(inner.get_args())
            .map(|word| format!("'{}'", word.to_string_lossy()))
            .collect();
        let mut command = Command::new("script");
        command.args(["-qec", &words.join(" "), "/dev/null"]);
        for (name, value) in inner.get_envs() {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        inner.get_current_dir().map(|folder| command.current_dir(folder));
        let done = Done::of(command.stdin(Stdio::null()).output().unwrap());
        assert_eq!((done.code, done.stdout.contains("terminal\r\n")), (Some(5), true), "{}", done.text());
        toy.away("one");
    });
}

#[test]
fn signals_go_through_to_a_command() {
    check("signals_go_through_to_a_command", WEB, |toy| {
        toy.detach("one");
        let script = "trap 'echo caught; exit 3' INT; echo up; while :; do sleep 0.02; done";
        let mut command = toy.command(&["exec", "one", "--", "sh", "-c", script]);
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn().unwrap();
        let mut out = std::io::BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        std::io::BufRead::read_line(&mut out, &mut line).unwrap();
        kill(Pid::from_raw(child.id().try_into().unwrap()), Signal::SIGINT).unwrap();
        std::io::Read::read_to_string(&mut out, &mut line).unwrap();
        assert_eq!((child.wait().unwrap().code(), line.as_str()), (Some(3), "up\ncaught\n"));
        toy.away("one");
    });
}

#[test]
fn what_an_instance_printed_is_kept_until_it_is_removed() {
    check("what_an_instance_printed_is_kept", TALKER, |toy| {
        toy.detach("one");
        let logs = toy.verb(&["logs", "one"]).succeeds();
        assert_eq!((logs.stdout.as_str(), logs.stderr.as_str()), ("to stdout\n", "to stderr\n"));
        let tail = toy.verb(&["logs", "--tail", "1", "one"]).succeeds();
        assert_eq!(tail.stdout.len() + tail.stderr.len(), "to stdout\n".len());
        let follower = toy.command(&["logs", "-f", "one"]).stdout(Stdio::piped()).spawn().unwrap();
        toy.verb(&["stop", "one"]).succeeds();
        assert_eq!(String::from_utf8_lossy(&follower.wait_with_output().unwrap().stdout), "to stdout\n");
        let logs = toy.verb(&["logs", "one"]).succeeds();
        assert_eq!((logs.stdout.as_str(), logs.stderr.as_str()), ("to stdout\n", "to stderr\n"));
        toy.verb(&["exec", "one", "--", "true"]).fails(125, &["it has ended with status 143", "appliance logs one"]);
        // Its name is free again, and what is kept stays until something of the next one runs.
        let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let wish = format!("8080={}", taken.local_addr().unwrap().port());
        toy.verb(&["run", "out", "-d", "--name", "one", "--port", &wish]).fails(125, &["something else listens there"]);
        assert_eq!(toy.verb(&["logs", "one"]).succeeds().stdout, "to stdout\n");
        toy.verb(&["run", "out", "-d", "--name", "two", "--port", &wish]).fails(125, &[]);
        assert_eq!(toy.verb(&["ps", "--all", "--names"]).succeeds().stdout, "one\n");
        let again = toy.verb(&["run", "out", "-d", "--name", "one"]).succeeds();
        let words = "what an earlier instance one printed is forgotten with it; it had ended with status 143";
        assert!(again.stderr.contains(words), "{}", again.text());
        toy.away("one");
        toy.verb(&["logs", "one"]).fails(1, &["there is none"]);
    });
}

/// Waits until a command has made the socket that it talks to the supervisor with.
fn has_connected(child: &mut Child) {
    let is_socket =
        |fd: fs::DirEntry| fs::read_link(fd.path()).is_ok_and(|to| to.to_string_lossy().starts_with("socket:"));
    let begun = Instant::now();
    while !fs::read_dir(format!("/proc/{}/fd", child.id())).unwrap().flatten().any(is_socket) {
        assert!(child.try_wait().unwrap().is_none() && begun.elapsed() < PATIENCE, "it does not connect");
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until the supervisor of an instance of [`TALKER`] has read what that prints.
fn has_printed(toy: &Toy, name: &str) {
    let begun = Instant::now();
    let logs = || toy.verb(&["logs", name]).succeeds();
    while !(logs().stdout == "to stdout\n" && logs().stderr == "to stderr\n") {
        assert!(begun.elapsed() < PATIENCE, "{}", logs().text());
    }
}

/// Waits until a process has ended, which its parent need not have noticed.
fn has_died(pid: i64) {
    let begun = Instant::now();
    let state = || fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    while !state().contains("State:\tZ") {
        assert!(begun.elapsed() < PATIENCE, "{}", state());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn what_is_asked_while_an_instance_ends_is_answered() {
    check("what_is_asked_while_an_instance_ends", TALKER, |toy| {
        toy.detach("one");
        let (supervisor, init) = (toy.supervisor("one"), toy.json(&["ps"])["instances"][0]["pid"].as_i64().unwrap());
        // Its supervisor stands still while everything in it ends; it finds these commands at its door afterwards.
        kill(supervisor, Signal::SIGSTOP).unwrap();
        kill(Pid::from_raw(init.try_into().unwrap()), Signal::SIGKILL).unwrap();
        has_died(init);
        let asked: [(&[&str], i32, &str); 8] = [
            (&["logs", "-f", "one"], 0, "to stdout\nto stderr\n"),
            (&["logs", "--tail", "2", "one"], 0, "to stdout\nto stderr\n"),
            (&["wait", "one"], 137, ""),
            (&["ps", "--all"], 0, "ended with 137\n"),
            (&["stop", "one"], 0, "one ended with status 137"),
            (&["exec", "one", "--", "true"], 125, "it has ended with status 137"),
            (&["stats", "one"], 1, "it has ended with status 137"),
            (&["port", "one"], 1, "it has ended with status 137"),
        ];
        let spawn = |args: &[&str]| toy.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let mut children: Vec<Child> = asked.iter().map(|(args, ..)| spawn(args)).collect();
        children.iter_mut().for_each(has_connected);
        kill(supervisor, Signal::SIGCONT).unwrap();
        for ((args, code, words), child) in asked.into_iter().zip(children) {
            let done = Done::of(child.wait_with_output().unwrap());
            assert_eq!(done.code, Some(code), "{args:?}: {}", done.text());
            assert!(done.text().contains(words), "{args:?}: {}", done.text());
        }
        toy.away("one");
    });
}

#[test]
fn a_name_belongs_to_one_instance() {
    check("a_name_belongs_to_one_instance", WEB, |toy| {
        toy.detach("one");
        toy.verb(&["run", "out", "-d", "--name", "one"])
            .fails(125, &["one of this name is running", "appliance stop one"]);
        toy.verb(&["run", "out", "--name", "a/b", "--", "true"]).fails(2, &["letters"]);
        let first = toy.verb(&["run", "-d", "out"]).succeeds().stdout;
        let second = toy.verb(&["run", "-d", "out"]).succeeds().stdout;
        assert_eq!((first.trim(), second.trim()), (&*toy.name, &*format!("{}-2", toy.name)));
        toy.verb(&["rm", "one"]).fails(1, &["it is running", "appliance stop one"]);
        toy.verb(&["stop", &toy.name, "one", second.trim()]).succeeds();
        toy.verb(&["rm", &toy.name, "one", second.trim()]).succeeds();
    });
}

#[test]
fn an_instance_stands_still_and_is_measured() {
    check("an_instance_stands_still", WEB, |toy| {
        toy.detach("one");
        let stats = toy.json(&["stats", "one"]);
        let metrics = &stats["instances"][0]["metrics"];
        assert!(metrics["processes"].as_u64() >= Some(2) && metrics["memory_bytes"].as_u64() > Some(0), "{stats:#}");
        toy.verb(&["pause", "one"]).fails(0, &["paused one", "appliance resume one"]);
        toy.verb(&["pause", "one"]).fails(0, &["one was paused already"]);
        assert_eq!(toy.json(&["ps"])["instances"][0]["state"], "paused");
        toy.verb(&["resume", "one"]).fails(0, &["one goes on"]);
        let told = toy.json(&["resume", "one"]);
        assert_eq!((&told["name"], &told["state"], &told["changed"]), (&"one".into(), &"ready".into(), &false.into()));
        assert_eq!(toy.verb(&["resume", "one", "-q"]).succeeds().text(), "");
        let address = toy.verb(&["port", "one", "8080"]).succeeds().stdout;
        assert!(fetch(address.trim()).unwrap().contains("A toy page"));
        toy.verb(&["pause", "one"]).succeeds();
        toy.verb(&["kill", "one"]).succeeds();
        assert_eq!(toy.verb(&["wait", "one"]).code, Some(137));
        toy.verb(&["rm", "one"]).succeeds();
    });
}

#[test]
fn files_are_copied_both_ways() {
    check("files_are_copied_both_ways", WEB, |toy| {
        toy.detach("one");
        let here = |name: &str| toy.world.path("work").join(name);
        fs::create_dir_all(here("in/deep")).unwrap();
        fs::write(here("in/deep/file"), vec![b'z'; 300_000]).unwrap();
        fs::write(here("in/run"), "#!/bin/sh\necho it runs\n").unwrap();
        fs::set_permissions(here("in/run"), fs::Permissions::from_mode(0o755)).unwrap();
        std::os::unix::fs::symlink("deep/file", here("in/link")).unwrap();
        let sparse = fs::File::create(here("in/sparse")).unwrap();
        sparse.set_len(64 << 20).unwrap();
        drop(sparse);
        fs::set_permissions(toy.world.path("work"), fs::Permissions::from_mode(0o777)).unwrap();
        let text = |path: std::path::PathBuf| path.display().to_string();
        toy.verb(&["cp", &text(here("in")), "one:/tmp"]).succeeds();
        let script = "/tmp/in/run; wc -c < /tmp/in/link; du -k /tmp/in/sparse 2>/dev/null | cut -f1; stat -c '%a %u' /tmp/in/run";
        let done = toy.exec("one", script);
        assert!(done.stdout.starts_with("it runs\n300000\n") && done.stdout.ends_with("755 0\n"), "{}", done.text());
        toy.exec("one", "echo changed > /tmp/in/deep/file").succeeds();
        toy.verb(&["cp", "one:/tmp/in", &text(here("out"))]).succeeds();
        assert_eq!(fs::read_to_string(here("out/link")).unwrap(), "changed\n");
        assert_eq!(fs::metadata(here("out/run")).unwrap().permissions().mode() & 0o777, 0o755);
        let sparse = fs::metadata(here("out/sparse")).unwrap();
        assert_eq!(sparse.len(), 64 << 20);
        assert!(sparse.blocks() < 1000, "a hole stays a hole");
        toy.verb(&["cp", &text(here("in/run")), "one:/etc/run"]).fails(1, &["Read-only file system"]);
        toy.verb(&["cp", "one:/no/such", "."]).fails(1, &["/no/such"]);
        toy.verb(&["cp", "a", "b"]).fails(2, &["INSTANCE:/PATH"]);
        toy.away("one");
    });
}

#[test]
fn a_run_in_the_foreground_is_an_instance_too() {
    check("a_run_in_the_foreground_is_an_instance_too", WEB, |toy| {
        let (mut child, _) = toy.start();
        let listed = toy.json(&["ps"]);
        let name = listed["instances"][0]["name"].as_str().unwrap().to_owned();
        assert!(name.starts_with(&format!("{}-", toy.name)), "{listed:#}");
        wait_for(toy, &mut child, &format!("it runs as {name}\n"));
        assert_eq!(toy.exec(&toy.name, "echo inside").succeeds().stdout, "inside\n");
        toy.verb(&["logs", &name]).fails(1, &["it was not started with -d"]);
        toy.verb(&["stop", &name]).succeeds();
        assert_eq!(child.wait().unwrap().code(), Some(143));
        assert_eq!(toy.verb(&["ps", "--all", "--names"]).succeeds().stdout, "");
    });
}

#[test]
fn a_killed_supervisor_is_repaired_by_the_next_command() {
    check("a_killed_supervisor_is_repaired", TALKER, |toy| {
        toy.detach("one");
        has_printed(toy, "one");
        kill(toy.supervisor("one"), Signal::SIGKILL).unwrap();
        let begun = Instant::now();
        while !toy.verb(&["ps", "--names"]).succeeds().stdout.is_empty() && begun.elapsed() < PATIENCE {}
        // How it ended is known as far as it can be, and told.
        toy.verb(&["ps", "--all"]).fails(0, &["one", "its supervisor was killed"]);
        toy.verb(&["wait", "one"]).fails(137, &["the supervisor of one was killed"]);
        let logs = toy.verb(&["logs", "one"]).fails(0, &["the supervisor of one was killed", "what was kept"]);
        assert_eq!(logs.stdout, "to stdout\n", "{}", logs.text());
        assert!(logs.stderr.starts_with("to stderr\n"), "{}", logs.text());
        toy.verb(&["exec", "one", "--", "true"]).fails(125, &["the supervisor of one was killed"]);
        assert_eq!(toy.json(&["stop", "one"])["ended"][0]["lost"], true);
        toy.verb(&["rm", "one"]).succeeds();
        assert_eq!(toy.left_in_the_end(), [""; 0]);
        toy.detach("one");
        has_printed(toy, "one");
        let follower =
            toy.command(&["logs", "-f", "one"]).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        kill(toy.supervisor("one"), Signal::SIGKILL).unwrap();
        let followed = Done::of(follower.wait_with_output().unwrap()).fails(0, &["the supervisor of one was killed"]);
        assert_eq!(followed.stdout, "to stdout\n", "{}", followed.text());
        toy.detach("one");
        toy.away("one");
    });
}

#[test]
fn what_cannot_get_ready_is_told_and_nothing_is_left() {
    let job =
        r#"service "job" { run "/bin/sh" "-c" "echo cannot go on; exit 3"; ready tcp="127.0.0.1:8080" within="60s"; }"#;
    check("what_cannot_get_ready_is_told", job, |toy| {
        toy.verb(&["run", "-d", "out", "--name", "one"]).fails(3, &["job", "cannot go on", "appliance logs one"]);
        toy.verb(&["ps", "--all"]).fails(0, &["one", "ended with 3"]);
        assert_eq!(toy.verb(&["logs", "one"]).succeeds().stdout, "cannot go on\n");
        toy.verb(&["rm", "one"]).succeeds();
        assert_eq!(toy.verb(&["ps", "--all", "--names"]).succeeds().stdout, "");
    });
}

#[test]
fn only_its_user_may_talk_to_an_instance() {
    check("only_its_user_may_talk_to_an_instance", WEB, |toy| {
        toy.detach("one");
        let mode = |path: &str| fs::metadata(toy.world.path(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("state/one/socket"), mode("state/one")), (0o600, 0o700));
        let status = fs::read_to_string(format!("/proc/{}/status", toy.supervisor("one"))).unwrap();
        let kilobytes = |name: &str| -> u64 {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_ascii_whitespace().nth(1).unwrap().parse().unwrap()
        };
        assert!(kilobytes("VmRSS:") <= 12 * 1024, "{status}");
        toy.away("one");
    });
}
