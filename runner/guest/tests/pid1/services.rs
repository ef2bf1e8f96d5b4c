//! Services and commands under a real PID 1: order, readiness, restarts, the end, and what is said about it.

use crate::support::{Bench, Outcome, With, program, script, skip, text};
use bundle::guest::{Probe, Restart};

/// Runs services to their end.
fn check(bench: &Bench, args: &[&str], expected: (i32, &str, &str)) {
    let (status, out, err) = expected;
    assert_eq!(bench.run(args), Outcome { status: Some(status), out: out.to_owned(), err: err.to_owned() });
}

#[test]
fn a_command_runs_instead_of_the_services() {
    if skip("a_command_runs_instead_of_the_services") {
        return;
    }
    let bench = Bench::new(vec![script("web", "echo never")]);
    check(&bench, &["--", "sh", "-c", "echo hi; echo ho >&2; exit 7"], (7, "hi\n", "ho\n"));
    check(&bench, &["--", "sh", "-c", "kill -KILL $$"], (137, "", ""));
    check(&bench, &["--", "sh", "-c", "echo $USER $HOME ${APPLIANCE_SINGLE_ID-none}"], (0, "root /root none\n", ""));
    check(&bench, &["--", "cat"], (0, "", ""));
}

#[test]
fn what_cannot_start_is_explained() {
    if skip("what_cannot_start_is_explained") {
        return;
    }
    let bench = Bench::new(vec![]).env("PATH", "/usr/bin:/bin");
    let make = |name: &str, content: &[u8], mode: u32| {
        use std::os::unix::fs::PermissionsExt;
        let path = bench.path(name);
        std::fs::write(&path, content).expect("the folder is ours");
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).expect("the file is ours");
        text(&path)
    };
    let foreign = [b"\x7fELF\x02\x01\x01".as_slice(), &[0; 9], &[2, 0, 243, 0], &[0; 100]].concat();
    let (plain, script, data, elf) = (
        make("plain", b"#!/bin/sh\n", 0o644),
        make("script", b"#!/no/such/perl -w\n", 0o755),
        make("data", b"\0\0\0\0", 0o755),
        make("elf", &foreign, 0o755),
    );
    let own = if cfg!(target_arch = "aarch64") { "arm64" } else { "amd64" };
    let folder = text(bench.folder.path());
    let explained = |program: &str, status: i32, why: &str| {
        check(&bench, &["--", program], (status, "", &format!("appliance: failed to start the command: {why}\n")))
    };
    let folder_of_near = text(&bench.path("scripd"));
    explained("no-such-program", 127, "there is no program \"no-such-program\" in /usr/bin:/bin");
    explained("/no/such-program", 127, "/no/such-program does not exist in the appliance");
    explained(
        &folder_of_near,
        127,
        &format!("{folder_of_near} does not exist in the appliance; did you mean {script}?"),
    );
    explained(&plain, 126, &format!("{plain} is not executable; give it mode=\"0755\""));
    let text_file = make("text", b"root:x:0:0\n", 0o644);
    explained(&text_file, 126, &format!("{text_file} is not a program"));
    explained(
        &script,
        126,
        &format!("{script} needs the interpreter /no/such/perl, which does not exist in the appliance"),
    );
    explained(&data, 126, &format!("{data} is neither a program nor a script that begins with #!"));
    explained(&elf, 126, &format!("{elf} is a program for riscv64, but the appliance runs on {own}"));
    explained(&folder, 126, &format!("{folder} is a folder"));
}

#[test]
fn a_command_runs_as_a_user_that_is_there() {
    if skip("a_command_runs_as_a_user_that_is_there") {
        return;
    }
    let bench = Bench::new(vec![]);
    check(&bench, &["--user", "0:0", "--", "sh", "-c", "id -u; echo $USER"], (0, "0\nroot\n", ""));
    let outcome = bench.run(&["--user", "rooot", "--", "true"]);
    assert_eq!(outcome.status, Some(125));
    assert!(outcome.err.contains("find the user \"rooot\" in this appliance; did you mean \"root\"?"), "{outcome:?}");
}

#[test]
fn bad_settings_and_arguments_are_refused() {
    if skip("bad_settings_and_arguments_are_refused") {
        return;
    }
    let bench = Bench::new(vec![script("web", "true").after("db")]);
    let path = text(&bench.path("guest.json"));
    let refused = |args: &[&str], why: &str| check(&bench, args, (125, "", &format!("appliance: failed to {why}\n")));
    refused(&[], &format!("read the settings {path}: service web comes after db, which is not before it"));
    refused(&["--what"], "read the command line: \"--what\" is not known; a command comes after --");
    refused(&["--settings", "/no/such"], "read the settings /no/such: No such file or directory (os error 2)");
}

#[test]
fn services_start_in_order_and_lines_carry_their_name() {
    if skip("services_start_in_order_and_lines_carry_their_name") {
        return;
    }
    let bench = Bench::new(vec![]);
    let mark = bench.path("up");
    let db = script("db", "echo one; printf two; touch $D/up; while :; do sleep 0.05; done")
        .ready(Probe::File(text(&mark)), 60_000);
    let web = script("web", "test -e $D/up && echo three; exit 4").after("db");
    let bench = bench.with(vec![db, web]);
    check(&bench, &[], (4, "db: one\nweb: three\ndb: two\n", ""));
}

#[test]
fn every_probe_finds_its_service_ready() {
    if skip("every_probe_finds_its_service_ready") {
        return;
    }
    let bench = Bench::new(vec![]);
    let ready = |probe| {
        let db = script("db", "exec sleep 1000").ready(probe, 60_000);
        let web = script("web", "exit 9").after("db");
        check(&Bench::new(vec![db, web]), &[], (9, "", ""));
    };
    let server = std::net::TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = server.local_addr().expect("it is bound");
    std::thread::spawn(move || {
        use std::io::{Read, Write};
        let answers = ["HTTP/1.1 500 No\r\n\r\n", "", "HTTP/1.1 204 Yes\r\n\r\n", "HTTP/1.0 302 Yes\r\n\r\n"];
        for (answer, connection) in answers.iter().cycle().zip(server.incoming()) {
            let Ok(mut connection) = connection else { continue };
            let _ = connection.read(&mut [0; 512]);
            let _ = connection.write_all(answer.as_bytes());
        }
    });
    ready(Probe::Http(format!("http://{address}/ok?x")));
    ready(Probe::Http(format!("http://localhost:{}", address.port())));
    ready(Probe::Tcp(address.to_string()));
    ready(Probe::File("/".to_owned()));
    let count = format!("echo >>{0}; test $(wc -l <{0}) -gt 2", text(&bench.path("count")));
    ready(Probe::Exec(vec!["sh".into(), "-c".into(), count]));
}

#[test]
fn a_service_that_is_never_ready_fails_the_appliance() {
    if skip("a_service_that_is_never_ready_fails_the_appliance") {
        return;
    }
    let db = script("db", "exec sleep 1000").ready(Probe::File("/no/such".into()), 2_000);
    let web = script("web", "echo never").after("db");
    let err = "appliance: service db was not ready within 2 s: the file /no/such is not there\n\
               appliance: failed to start service web: it comes after db, which was not ready in time\n";
    check(&Bench::new(vec![db, web]), &[], (124, "", err));
    let broken = script("db", "exit 3").ready(Probe::File("/no/such".into()), 60_000);
    let err =
        "appliance: failed to start service web: it comes after db, which ended with status 3 before it was ready\n";
    check(&Bench::new(vec![broken, script("web", "echo never").after("db")]), &[], (3, "", err));
}

#[test]
fn what_the_probe_saw_last_is_said() {
    if skip("what_the_probe_saw_last_is_said") {
        return;
    }
    // Nobody answers where a socket is bound and does not listen, and nobody else can be given its port.
    let held = socket_that_does_not_listen();
    let late = |probe: Probe, seen: &str| {
        let bench = Bench::new(vec![script("db", "exec sleep 1000").ready(probe, 5_000)]);
        check(&bench, &[], (124, "", &format!("appliance: service db was not ready within 5 s: {seen}\n")));
    };
    let address = format!("127.0.0.1:{}", held.1);
    let (server, answers) = answering("HTTP/1.0 404 Not Found\r\n\r\n");
    let exec = || Probe::Exec(vec!["sh".into(), "-c".into(), "exit 2".into()]);
    std::thread::scope(|scope| {
        scope.spawn(|| late(Probe::Tcp(address.clone()), &format!("tcp {address}: connection refused")));
        let url = format!("http://{address}/up");
        scope.spawn(move || late(Probe::Http(url.clone()), &format!("{url}: connection refused")));
        scope.spawn(|| late(exec(), "`sh -c exit 2` ended with status 2"));
        let url = format!("http://{answers}/");
        scope.spawn(move || late(Probe::Http(url.clone()), &format!("{url}: status 404")));
    });
    drop(server);
}

#[test]
fn a_service_that_ends_well_before_it_is_ready_fails_the_appliance() {
    if skip("a_service_that_ends_well_before_it_is_ready_fails_the_appliance") {
        return;
    }
    let job = script("job", "exit 0").ready(Probe::File("/no/such".into()), 60_000);
    let web = script("web", "exec sleep 1000");
    let err = "appliance: service \"job\" ended with status 0 before it was ready\n";
    check(&Bench::new(vec![job.clone(), web.after("job")]), &[], (124, "", err));
    check(&Bench::new(vec![job]), &[], (124, "", err));
    // What it was there for is there, however quickly it ended.
    let bench = Bench::new(vec![]);
    let made = Probe::File(text(&bench.path("made")));
    let job = script("job", "touch $D/made").ready(made, 60_000);
    check(&bench.with(vec![job, script("web", "echo up").after("job")]), &[], (0, "web: up\n", ""));
}

#[test]
fn a_main_service_that_ends_well_says_why_all_stops() {
    if skip("a_main_service_that_ends_well_says_why_all_stops") {
        return;
    }
    let services = || vec![script("web", "exec sleep 1000"), script("init", "exit 0")];
    let err = "appliance: main service \"init\" ended with status 0, so the appliance stops; `main #true` on another service changes that\n";
    check(&Bench::new(services()), &[], (0, "", err));
}

#[test]
fn a_stop_before_the_services_are_ready_is_a_stop() {
    if skip("a_stop_before_the_services_are_ready_is_a_stop") {
        return;
    }
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let bench = Bench::new(vec![]);
        let first = script("first", "touch $D/up; exec sleep 1000").ready(Probe::File("/no/such".into()), 600_000);
        let bench = bench.with(vec![first, script("second", "echo never").after("first")]);
        let running = bench.start(&[]);
        while !bench.path("up").exists() {
            std::thread::yield_now();
        }
        running.signal(signal);
        let outcome = running.wait();
        assert_eq!((outcome.status, outcome.out.as_str()), (Some(143), ""), "{outcome:?}");
    }
}

/// A port of the loopback address that nobody listens on as long as this socket lives.
fn socket_that_does_not_listen() -> (std::os::fd::OwnedFd, u16) {
    use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, bind, getsockname, socket};
    use std::os::fd::AsRawFd;
    let held =
        socket(AddressFamily::Inet, SockType::Stream, SockFlag::SOCK_CLOEXEC, None).expect("a socket can be made");
    bind(held.as_raw_fd(), &SockaddrIn::new(127, 0, 0, 1, 0)).expect("a socket can be made");
    let port = getsockname::<SockaddrIn>(held.as_raw_fd()).expect("a socket can be made").port();
    (held, port)
}

/// A server that gives every connection this answer until the test is over.
fn answering(answer: &'static str) -> (std::thread::JoinHandle<()>, std::net::SocketAddr) {
    use std::io::{Read, Write};
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket can be made");
    let address = listener.local_addr().expect("a socket can be made");
    let serve = move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { continue };
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(answer.as_bytes());
        }
    };
    (std::thread::spawn(serve), address)
}

#[test]
fn services_restart_by_policy() {
    if skip("services_restart_by_policy") {
        return;
    }
    let counting = "echo >>$D/n; n=$(wc -l <$D/n); echo run $n; test $n -ge 3";
    let runs = "run 1\nrun 2\nrun 3\n";
    let again = |name: &str, numbers: std::ops::RangeInclusive<u32>, status: u8| -> String {
        let line = |number| {
            format!(
                "appliance: service {name:?} ended with status {status}; it starts again in 50 ms (failure {number} of 5)\n"
            )
        };
        numbers.map(line).collect()
    };
    check(
        &Bench::new(vec![script("web", counting).restart(Restart::OnFailure)]),
        &[],
        (0, runs, &again("web", 1..=2, 1)),
    );
    check(&Bench::new(vec![script("web", counting)]), &[], (1, "run 1\n", ""));
    let always = script("db", counting).restart(Restart::Always);
    let web = script("web", "until test -e $D/n && test $(wc -l <$D/n) -ge 5; do sleep 0.02; done");
    let outcome = Bench::new(vec![always, web]).run(&[]);
    assert!(
        outcome.status == Some(0) && outcome.out.starts_with("db: run 1\ndb: run 2\ndb: run 3\ndb: run 4\n"),
        "{outcome:?}"
    );
    let told = "appliance: service \"db\" ended with status 0; it starts again in 50 ms\n";
    assert!(outcome.err.starts_with(&(again("db", 1..=2, 1) + told)), "{outcome:?}");
}

#[test]
fn a_service_that_keeps_failing_is_given_up() {
    if skip("a_service_that_keeps_failing_is_given_up") {
        return;
    }
    let db = script("db", "echo x; exit 6").restart(Restart::Always);
    let web = script("web", "exec sleep 1000");
    let lines = "db: x\n".repeat(5);
    let again = |status: u8, number: u32| {
        format!(
            "appliance: service \"db\" ended with status {status}; it starts again in 50 ms (failure {number} of 5)\n"
        )
    };
    let given_up = |status: u8| {
        format!(
            "appliance: failed to keep service \"db\" running: it failed 5 times in a row, and now it ended with status {status}\n"
        )
    };
    let err: String = (1..5).map(|number| again(6, number)).collect();
    check(&Bench::new(vec![db, web]), &[], (6, &lines, &(err + &given_up(6))));
    let missing = program("db", &["/no/such"]).restart(Restart::OnFailure);
    let line = "appliance: failed to start service \"db\": /no/such does not exist in the appliance\n";
    let err: String = (1..5).map(|number| line.to_owned() + &again(127, number)).collect();
    check(&Bench::new(vec![missing]), &[], (127, "", &(err + line + &given_up(127))));
}

#[test]
fn everything_stops_in_reverse_order_when_the_main_service_ends() {
    if skip("everything_stops_in_reverse_order_when_the_main_service_ends") {
        return;
    }
    let waiting = |name: &str| {
        let text =
            format!("exec 2>/dev/null; trap 'echo stops; exit 0' TERM; touch $D/{name}; while :; do sleep 0.02; done");
        script(name, &text)
    };
    let bench = Bench::new(vec![]);
    let up = |name: &str| Probe::File(text(&bench.path(name)));
    let services = vec![
        waiting("one").ready(up("one"), 60_000),
        waiting("two").after("one").ready(up("two"), 60_000),
        script("main", "exit 5").after("two"),
    ];
    let bench = bench.with(services);
    check(&bench, &[], (5, "two: stops\none: stops\n", ""));
}

#[test]
fn what_does_not_stop_is_killed() {
    if skip("what_does_not_stop_is_killed") {
        return;
    }
    let stubborn = "trap '' TERM; touch $D/up; while :; do sleep 0.02; done";
    let db = script("db", stubborn).grace(50);
    let web = script("web", "until test -e $D/up; do sleep 0.02; done; exit 3");
    let err = "appliance: service \"db\" did not stop within 50 ms and was killed\n";
    check(&Bench::new(vec![db, web]), &[], (3, "", err));
}

#[test]
fn signals_reach_the_command_and_stop_the_services() {
    if skip("signals_reach_the_command_and_stop_the_services") {
        return;
    }
    let tell =
        |signal: &str| format!("trap 'echo {signal}; exit 3' {signal}; touch $D/up; while :; do sleep 0.02; done");
    let stopped = |bench: Bench, args: &[&str], signals: &[i32]| {
        let running = bench.start(args);
        while !bench.path("up").exists() {
            std::thread::yield_now();
        }
        signals.iter().for_each(|signal| running.signal(*signal));
        let outcome = running.wait();
        (outcome.status, outcome.out)
    };
    let command = |signal: &str, number: i32| {
        let text = tell(signal);
        let found = stopped(Bench::new(vec![]), &["--", "sh", "-c", &text], &[number]);
        assert_eq!(found, (Some(3), format!("{signal}\n")));
    };
    command("INT", libc::SIGINT);
    command("HUP", libc::SIGHUP);
    command("TERM", libc::SIGTERM);
    command("USR1", libc::SIGUSR1);
    let service = |text: &str, signals: &[i32]| stopped(Bench::new(vec![script("web", text)]), &[], signals);
    assert_eq!(service(&tell("TERM"), &[libc::SIGINT]), (Some(3), "TERM\n".to_owned()));
    let plain = "touch $D/up; while :; do sleep 0.02; done";
    assert_eq!(service(plain, &[libc::SIGTERM]), (Some(143), String::new()));
}

#[test]
fn a_second_request_to_stop_ends_all_grace() {
    if skip("a_second_request_to_stop_ends_all_grace") {
        return;
    }
    let bench =
        Bench::new(vec![script("web", "trap 'touch $D/asked' TERM; touch $D/up; while :; do sleep 0.02; done")]);
    let running = bench.start(&[]);
    for mark in ["up", "asked"] {
        while !bench.path(mark).exists() {
            std::thread::yield_now();
        }
        running.signal(libc::SIGTERM);
    }
    assert_eq!(running.wait().status, Some(137));
}

#[test]
fn orphans_are_reaped_and_ended() {
    if skip("orphans_are_reaped_and_ended") {
        return;
    }
    // The orphans outlive their parent; a zombie would show as Z in the list of processes.
    let text = "for i in 1 2 3 4 5; do (setsid sh -c 'exit 0' &) ; done; (setsid sh -c \
                'exec 2>/dev/null; trap \"touch $D/ended; exit\" TERM; touch $D/up; while :; do sleep 0.02; done' &); \
                until test -e $D/up; do sleep 0.02; done; \
                while cat /proc/[0-9]*/stat 2>/dev/null | grep -q ' Z '; do sleep 0.02; done; exit 2";
    let bench = Bench::new(vec![]);
    check(&bench, &["--", "sh", "-c", text], (2, "", ""));
    assert!(bench.path("ended").exists());
}

#[test]
fn a_flood_of_output_is_carried_whole() {
    if skip("a_flood_of_output_is_carried_whole") {
        return;
    }
    let flood = script("flood", "i=0; while test $i -lt 20000; do echo line $i; i=$((i+1)); done");
    let long = script("long", "head -c 100000 /dev/zero | tr '\\0' x");
    let outcome = Bench::new(vec![flood, long]).main(None).run(&[]);
    assert_eq!(outcome.status, Some(0));
    let expected: String = (0..20_000).map(|i| format!("flood: line {i}\n")).collect();
    let (flood, long): (Vec<&str>, Vec<&str>) =
        outcome.out.split_inclusive('\n').partition(|line| line.starts_with("flood: "));
    assert!(flood.concat() == expected, "{} of {} bytes came", flood.concat().len(), expected.len());
    assert_eq!(long.concat().matches('x').count(), 100_000);
}

#[test]
fn a_user_that_does_not_exist_here_is_named() {
    if skip("a_user_that_does_not_exist_here_is_named") {
        return;
    }
    let mut web = script("web", "echo $USER $HOME");
    web.user =
        bundle::guest::User { name: "luna".into(), uid: 1000, gid: 1000, groups: vec![], home: "/home/luna".into() };
    let uid_map = std::fs::read_to_string("/proc/self/uid_map").unwrap_or_default();
    // SAFETY: the call has no arguments and cannot fail.
    if unsafe { libc::geteuid() } == 0 && uid_map.contains("4294967295") {
        let mut web = web.clone();
        web.args = vec!["sh".into(), "-c".into(), "id -u; id -g; echo $USER".into()];
        return check(&Bench::new(vec![web]), &[], (0, "1000\n1000\nluna\n", ""));
    }
    let said =
        "appliance: user luna does not exist in this single-user container: web runs as the container's own user\n";
    check(&Bench::new(vec![web.clone()]), &[], (0, "luna /home/luna\n", said));
    let outcome = Bench::new(vec![web]).env("APPLIANCE_SINGLE_ID", "0").run(&[]);
    assert!(
        outcome.status == Some(126) && outcome.err.contains("failed to switch to user luna (uid 1000, gid 1000)"),
        "{outcome:?}"
    );
}

/// The five capability sets of a process, as its status file shows them.
const SETS: &str = "while read name value; do case $name in Cap*) echo $name $value;; esac; done < /proc/self/status";

#[test]
fn only_what_is_kept_reaches_a_program() {
    if skip("only_what_is_kept_reaches_a_program") {
        return;
    }
    let sets = |value: &str| ["Inh", "Prm", "Eff", "Bnd", "Amb"].map(|set| format!("Cap{set}: {value}\n")).concat();
    let none = sets("0000000000000000");
    check(&Bench::new(vec![script("web", SETS)]), &[], (0, &none, ""));
    check(&Bench::new(vec![]), &["--", "sh", "-c", SETS], (0, &none, ""));
    let kept = sets("0000000000000400");
    check(&Bench::new(vec![script("web", SETS)]).keeping(&["net_bind_service"]), &[], (0, &kept, ""));
    // SAFETY: the call has no arguments and cannot fail.
    if unsafe { libc::geteuid() } == 0 {
        let mut web = script("web", SETS);
        web.user = bundle::guest::User { name: "luna".into(), uid: 1000, gid: 1000, groups: vec![], home: "/".into() };
        check(&Bench::new(vec![web]).keeping(&["net_bind_service"]), &[], (0, &kept, ""));
    }
}

#[test]
fn closed_standard_streams_are_nothing_that_is_opened_later() {
    let bench = Bench::new(vec![]);
    bench.run(&["--", "true"]);
    let script = "exec \"$0\" --settings \"$1\" -- readlink /proc/self/fd/0 <&-";
    let settings = text(&bench.path("guest.json"));
    let mut command = std::process::Command::new("sh");
    let output =
        command.args(["-c", script, env!("CARGO_BIN_EXE_guest"), &settings]).output().expect("there is a shell");
    assert_eq!(String::from_utf8_lossy(&output.stdout), "/dev/null\n", "{output:?}");
}
