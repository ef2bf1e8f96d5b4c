//! What `appliance run` says while an appliance runs: its ports, restarts, a slow stop, users, volumes, and what to do.

use std::fs;
use std::os::unix::fs::{MetadataExt, chown};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};

use crate::run::{PATIENCE, Toy, WEB, check, end, pid};
use crate::support::{is_root, skip};
use crate::world::Done;

/// Starts a run whose words go to the log of the toy's world.
fn start(toy: &Toy, args: &[&str]) -> Child {
    let log = fs::File::create(toy.world.path("log")).unwrap();
    toy.run(args).stdout(Stdio::null()).stderr(log).spawn().unwrap()
}

/// Waits until the run has said this.
pub fn wait_for(toy: &Toy, child: &mut Child, words: &str) {
    let begun = Instant::now();
    while !toy.log().contains(words) {
        let ended = child.try_wait().unwrap();
        if ended.is_some() || begun.elapsed() > PATIENCE {
            let _ = kill(pid(child), Signal::SIGKILL);
            let _ = child.wait();
            panic!("{ended:?}: {}\ndoes not say {words:?}", toy.log());
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn events(text: &str) -> Vec<serde_json::Value> {
    text.lines().filter(|line| line.starts_with('{')).map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_port_is_told_when_the_services_are_ready() {
    let slow = r#"
    service "slow" {
        run "/bin/sh" "-c" "echo begun >&2; until test -e /data/go; do sleep 0.05; done; touch /tmp/up; exec sleep 1000"
        ready file="/tmp/up" within="60s"
    }"#;
    check("a_port_is_told_when_the_services_are_ready", slow, |toy| {
        let mut child = start(toy, &[]);
        wait_for(toy, &mut child, "begun");
        assert!(!toy.log().contains("port 8080"), "{}", toy.log());
        fs::write(toy.world.path(&format!("data/volumes/{}/data/go", toy.name)), "").unwrap();
        wait_for(toy, &mut child, "port 8080 is at http://127.0.0.1:");
        kill(pid(&child), Signal::SIGKILL).unwrap();
        child.wait().unwrap();
        toy.shell("rm -f /data/go");
    });
}

/// Runs a command with a port of its own; another program may be quicker to take it.
fn with_a_free_port(toy: &Toy) -> Done {
    for _ in 0..20 {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let wish = format!("8080={free}");
        let done = Done::of(toy.run(&["--json", "-p", &wish, "--", "true"]).output().unwrap());
        if !done.text().contains("listens there") {
            return done.fails(0, &[]);
        }
    }
    panic!("every port is taken");
}

#[test]
fn a_port_is_told_without_services_and_for_a_command_that_asks_for_it() {
    check("a_port_is_told_without_services", "", |toy| {
        let mut child = start(toy, &[]);
        wait_for(toy, &mut child, "port 8080 is at http://127.0.0.1:");
        kill(pid(&child), Signal::SIGTERM).unwrap();
        end(&mut child);
        let lines = events(&with_a_free_port(toy).stderr);
        assert_eq!((lines[0]["event"].as_str(), lines[0]["port"].as_u64()), (Some("port"), Some(8080)), "{lines:#?}");
        let done = Done::of(toy.run(&["--json", "--", "true"]).output().unwrap());
        let lines = events(&done.fails(0, &[]).stderr);
        assert_eq!((lines.len(), lines[0]["ports"][0]["port"].as_u64()), (1, Some(8080)), "{lines:#?}");
    });
}

#[test]
fn restarts_are_told_and_the_last_failure_too() {
    let services = r#"service "w" { run "/bin/sh" "-c" "exit 3"; restart "on-failure" delay="100ms"; }"#;
    check("restarts_are_told", services, |toy| {
        let done = Done::of(toy.run(&[]).output().unwrap());
        let first = "service \"w\" ended with status 3; it starts again in 100 ms (failure 1 of 5)";
        let last = "failed to keep service \"w\" running: it failed 5 times in a row";
        let text = done.fails(3, &[first, "(failure 4 of 5)", last]).stderr;
        assert!(!text.contains("`restart"), "it is restarted already: {text}");
        let done = Done::of(toy.run(&["--json"]).output().unwrap());
        let events = events(&done.stderr);
        let restarts: Vec<_> = events.iter().filter(|event| event["event"] == "restart").collect();
        assert_eq!(
            (restarts.len(), restarts[0]["status"].as_u64(), restarts[3]["failures"].as_u64()),
            (4, Some(3), Some(4))
        );
        assert!(events.iter().any(|event| event["event"] == "failed"), "{events:#?}");
    });
}

#[test]
fn ctrl_c_before_the_services_are_ready_is_a_stop_too() {
    let services = r#"
    service "first" {
        run "/bin/sh" "-c" "echo begun >&2; exec sleep 1000"
        ready file="/tmp/never" within="600s"
    }
    service "second" { run "/bin/sleep" "1000"; after "first"; }"#;
    check("ctrl_c_before_the_services_are_ready", services, |toy| {
        for signal in [Signal::SIGINT, Signal::SIGTERM] {
            let mut child = start(toy, &[]);
            wait_for(toy, &mut child, "begun");
            kill(pid(&child), signal).unwrap();
            assert_eq!(end(&mut child), Some(143), "{}", toy.log());
        }
    });
}

#[test]
fn what_ends_well_too_early_is_told() {
    let services = r#"
    service "job" { run "/bin/true"; ready file="/tmp/never" within="600s"; }
    service "web" { run "/bin/sleep" "1000"; after "job"; }"#;
    check("what_ends_well_too_early: a service", services, |toy| {
        let done = Done::of(toy.run(&[]).output().unwrap());
        done.fails(124, &["error: service \"job\" ended with status 0 before it was ready", "needs no `ready`"]);
    });
    let services = r#"
    service "web" { run "/bin/sleep" "1000"; }
    service "init" { run "/bin/true"; }"#;
    check("what_ends_well_too_early: the main service", services, |toy| {
        let words =
            "main service \"init\" ended with status 0, so the appliance stops; `main #true` on another service";
        assert!(Done::of(toy.run(&[]).output().unwrap()).fails(0, &[]).stderr.contains(words));
        let lines = events(&Done::of(toy.run(&["--json"]).output().unwrap()).stderr);
        assert!(lines.iter().any(|event| event["event"] == "main-ended" && event["name"] == "init"), "{lines:#?}");
    });
}

/// A service that does not end when it is asked to, before the time in place of `WITHIN` is over.
pub const DEAF: &str = r#"
    service "deaf" {
        run "/bin/sh" "-c" "trap '' TERM INT HUP; touch /tmp/up; while :; do sleep 1; done"
        ready file="/tmp/up" within="60s"
        stop within="WITHIN"
    }"#;

#[test]
fn a_slow_stop_says_what_it_waits_for_and_a_second_ctrl_c_kills() {
    check("a_slow_stop_says_what_it_waits_for", &DEAF.replace("WITHIN", "600s"), |toy| {
        let mut child = start(toy, &[]);
        wait_for(toy, &mut child, "port 8080 is at");
        kill(pid(&child), Signal::SIGINT).unwrap();
        wait_for(toy, &mut child, "waiting for service \"deaf\" to stop (up to 600 s; Ctrl-C again kills it)");
        kill(pid(&child), Signal::SIGINT).unwrap();
        assert_eq!(end(&mut child), Some(137), "{}", toy.log());
        assert!(toy.log().contains("service \"deaf\" was killed\n"), "{}", toy.log());
    });
}

#[test]
fn a_slow_stop_that_nobody_asked_for_says_what_it_waits_for_too() {
    let services =
        DEAF.replace("WITHIN", "2s") + "\n" + r#"service "job" { run "/bin/sh" "-c" "exit 5"; after "deaf"; }"#;
    check("a_slow_stop_that_nobody_asked_for", &services, |toy| {
        let done = Done::of(toy.run(&[]).output().unwrap());
        done.fails(
            5,
            &["waiting for service \"deaf\" to stop (up to 2 s)\n", "\"deaf\" did not stop within 2 s and was killed"],
        );
    });
}

#[test]
fn what_outlives_its_grace_is_told_to_be_killed() {
    check("what_outlives_its_grace_is_told", &DEAF.replace("WITHIN", "1500ms"), |toy| {
        let mut child = start(toy, &["--json"]);
        wait_for(toy, &mut child, "\"event\":\"port\"");
        kill(pid(&child), Signal::SIGTERM).unwrap();
        end(&mut child);
        let events = events(&toy.log());
        let killed = events.iter().find(|event| event["event"] == "killed").unwrap_or_else(|| panic!("{events:#?}"));
        assert_eq!((&killed["services"][0], &killed["within_ms"]), (&"deaf".into(), &1500.into()));
    });
}

/// Whether the toy's user has no subordinate ids.
fn has_one_id(toy: &Toy) -> bool {
    toy.verb(&["plan"]).succeeds().stdout.contains("a user namespace with one id")
}

#[test]
fn a_command_runs_as_a_user_of_the_appliance() {
    check("a_command_runs_as_a_user", WEB, |toy| {
        let as_user =
            |user: &str| Done::of(toy.run(&["--user", user, "--", "sh", "-c", "id -u; echo $USER"]).output().unwrap());
        // In a container with a single user there is nobody else to be.
        let uid = if has_one_id(toy) { "0" } else { "1000" };
        assert_eq!(as_user("web").fails(0, &[]).stdout, format!("{uid}\nweb\n"));
        assert_eq!(as_user("1000:1000").fails(0, &[]).stdout, format!("{uid}\nweb\n"));
        as_user("wep").fails(125, &["find the user \"wep\"", "did you mean \"web\"?"]);
        as_user("web:wep").fails(125, &["find the group \"wep\"", "did you mean \"web\"?"]);
        Done::of(toy.run(&["--user", "web"]).output().unwrap()).fails(2, &["COMMAND"]);
    });
}

#[test]
fn a_program_that_is_not_there_is_named_with_what_was_probably_meant() {
    check("a_program_that_is_not_there", WEB, |toy| {
        let run = |program: &str| Done::of(toy.run(&["--", program]).output().unwrap());
        run("/bin/slep").fails(127, &["/bin/slep does not exist in the appliance", "did you mean /bin/sleep?"]);
        run("slepp").fails(127, &["there is no program \"slepp\" in ", "did you mean sleep?"]);
        run("/srv/www/index.html").fails(126, &["/srv/www/index.html is not a program"]);
    });
}

#[test]
fn impossible_ports_and_files_that_are_not_there_are_told_with_what_to_do() {
    check("impossible_ports", WEB, |toy| {
        let port = |port: &str| Done::of(toy.run(&["-p", port]).output().unwrap());
        port("80801").fails(2, &["80801 is no port", "1 to 65535"]);
        port("0:8080").fails(2, &["0 is no port", "1 to 65535"]);
        port("8080=70000").fails(2, &["70000 is no port"]);
        port("http").fails(2, &["1 to 65535"]);
        port("9999").fails(125, &["port 9999 is not declared", "it declares 8080 (page)"]);
        let missing = toy.verb(&["run", "nope.kdl"]);
        missing.fails(125, &["run nope.kdl: there is no such file", "appliance run appliance.kdl"]);
    });
}

#[test]
fn what_the_spec_forbids_is_told_with_what_allows_it() {
    let services = r#"service "w" user="web" { run "/bin/httpd" "-f" "-p" "127.0.0.1:80" "-h" "/srv/www"; }"#;
    let low_port_is_refused = |toy: &Toy| {
        let unprivileged = "cat /proc/sys/net/ipv4/ip_unprivileged_port_start";
        toy.shell(unprivileged).stdout.trim().parse::<u16>().unwrap_or(0) > 80
    };
    check("what_the_spec_forbids_is_told: ports", services, |toy| {
        if !low_port_is_refused(toy) {
            return skip("what_the_spec_forbids_is_told: ports", "everyone may have low ports here");
        }
        Done::of(toy.run(&[]).output().unwrap()).fails(1, &["`capabilities \"net_bind_service\"`"]);
    });
    let services = r#"service "w" user="web" { run "/bin/sh" "-c" "echo x > /data/made"; }"#;
    check("what_the_spec_forbids_is_told: volumes", services, |toy| {
        if toy.user.is_some() {
            return skip(
                "what_the_spec_forbids_is_told: volumes",
                "with a single id every service may write everywhere",
            );
        }
        let done = Done::of(toy.run(&[]).output().unwrap());
        let text = done.fails(1, &["/data is a volume", "`dir \"/data\" owner=", "the `user` of the service"]).stderr;
        assert!(!text.contains("on-failure"), "it fails at once: {text}");
    });
    let services = r#"service "w" { run "/bin/sh" "-c" "echo x > /srv/www/made"; }"#;
    check("what_the_spec_forbids_is_told: writes", services, |toy| {
        Done::of(toy.run(&[]).output().unwrap()).fails(1, &["`writable \"/srv/www\"`"]);
    });
}

/// A user of this host with subordinate ids, who can be changed to.
fn user_with_ids() -> Option<(String, u32)> {
    let text = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let (passwd, groups) = (text("/etc/passwd"), text("/etc/subgid"));
    let uid = |name: &str| {
        let line = passwd.lines().find(|line| line.split(':').next() == Some(name))?;
        line.split(':').nth(2)?.parse().ok().filter(|uid| *uid != 0)
    };
    let ranges = text("/etc/subuid");
    let mut names = ranges.lines().filter_map(|line| line.split(':').next());
    names.find_map(|name| groups.contains(&format!("{name}:")).then(|| Some((name.to_owned(), uid(name)?)))?)
}

const VOLUME_OF_WEB: &str = r#"
    dir "/data" owner="web"
    service "job" user="web" { run "/bin/sh" "-c" "echo x >> /data/file"; }"#;

/// Runs a service that writes to its volume; then hands the volume to `other`, as if another kind of run had made it.
fn check_foreign(test: &str, toy: &Toy, other: u32, why: &str) {
    let job = || Done::of(toy.run(&[]).output().unwrap());
    let first = job().fails(0, &[]);
    assert!(!first.stderr.contains("belongs to"), "{test}: {}", first.stderr);
    let volume = toy.world.path(&format!("data/volumes/{}/data", toy.name));
    let owner = volume.metadata().unwrap().uid();
    assert_ne!(owner, other, "{test}");
    let hand_to = |uid: u32| {
        chown(&volume, Some(uid), Some(uid)).unwrap();
        chown(volume.join("file"), Some(uid), Some(uid)).unwrap();
    };
    hand_to(other);
    let name = format!("{}/data", toy.name);
    let done = job();
    assert_ne!(done.code, Some(0), "{test}: {}", done.text());
    let command = done.stderr.split("chown -R ").nth(1).and_then(|rest| rest.lines().next()).unwrap_or_default();
    assert!(done.stderr.contains("which deletes what is in it"), "{test}: {}", done.stderr);
    for word in [&format!("volume {name} belongs to user {other} of this host"), why, &format!("{}", volume.display())]
    {
        assert!(done.stderr.contains(word), "{test}: {}\ndoes not say {word}", done.stderr);
    }
    let words: Vec<&str> = command.split_whitespace().take(2).collect();
    let repaired = Command::new("chown").arg("-R").args(words).status().unwrap();
    assert!(repaired.success(), "{test}: {command}");
    assert_eq!(volume.metadata().unwrap().uid(), owner, "{test}");
    assert!(!job().fails(0, &[]).stderr.contains("belongs to"), "{test}");
}

#[test]
fn a_volume_of_other_ids_is_told_with_the_command_that_repairs_it() {
    let test = "a_volume_of_other_ids_is_told";
    if !is_root() {
        return skip(test, "only root gives files away");
    }
    if let Some(toy) = Toy::new(test, true, VOLUME_OF_WEB) {
        check_foreign(test, &toy, 0, "for another user of the appliance");
        let volume = toy.world.path(&format!("data/volumes/{}/data", toy.name));
        assert_eq!(volume.metadata().unwrap().uid(), 1000);
        assert!(!toy.shell("true").stderr.contains("belongs to"));
    }
    if let Some(toy) = Toy::new(test, false, VOLUME_OF_WEB) {
        check_foreign(test, &toy, 234_567, "made by a run with subordinate ids, and this run has none");
        assert!(Done::of(toy.run(&[]).output().unwrap()).stderr.contains("usermod --add-subuids"));
    }
    let Some((name, uid)) = user_with_ids() else {
        return skip(test, "no user of this host has subordinate ids");
    };
    if let Some(toy) = Toy::of(test, Some(name), VOLUME_OF_WEB) {
        check_foreign(test, &toy, uid, "made when this user had no subordinate ids");
        // An empty one is simply made anew.
        let volume = toy.world.path(&format!("data/volumes/{}/data", toy.name));
        fs::remove_file(volume.join("file")).unwrap();
        chown(&volume, Some(234_567), Some(234_567)).unwrap();
        let done = Done::of(toy.run(&[]).output().unwrap()).fails(0, &[]);
        assert!(!done.stderr.contains("belongs to"), "{}", done.stderr);
    }
}

#[test]
fn a_volume_that_another_instance_uses_is_told() {
    check("a_volume_that_another_instance_uses", WEB, |toy| {
        assert!(!toy.shell("true").stderr.contains("in use"));
        let (mut child, _) = toy.start();
        let done = toy.shell("true").fails(0, &[&format!("volume {}/data is in use by {}-", toy.name, toy.name)]);
        assert_eq!(done.stderr.lines().count(), 1, "{}", done.stderr);
        kill(pid(&child), Signal::SIGTERM).unwrap();
        end(&mut child);
    });
}

#[test]
fn a_plan_says_what_is_weaker() {
    check("a_plan_says_what_is_weaker", WEB, |toy| {
        let plan = toy.verb(&["plan"]).succeeds().stdout;
        let as_root = toy.user.is_none() && is_root();
        let words: &[&str] = match (as_root, has_one_id(toy)) {
            (true, _) => &["root runs it, so there is no user namespace", "run it as an ordinary user"],
            (false, true) => &["a user namespace with one id", "usermod --add-subuids"],
            (false, false) => &["a user namespace with subordinate ids"],
        };
        assert!(words.iter().all(|word| plan.contains(word)), "{plan}");
        assert_eq!(plan.contains("own user, mount"), !as_root, "{plan}");
    });
}
