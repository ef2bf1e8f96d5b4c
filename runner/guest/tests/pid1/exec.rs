//! Programs that the host runs in a running appliance, and what else it may ask.

use bundle::channel::{Exec, ExecNote, Happening, Piece, Pieces, Request, Response, TerminalSize};

use crate::support::{Bench, Host, Running, script, skip};

/// What a program printed, and its status.
#[derive(Debug, Default, PartialEq, Eq)]
struct Ended {
    out: String,
    err: String,
    status: Option<u8>,
}

fn ended(out: &str, err: &str, status: u8) -> Ended {
    Ended { out: out.to_owned(), err: err.to_owned(), status: Some(status) }
}

fn sh(text: &str) -> Exec {
    Exec {
        args: ["sh", "-c", text].map(str::to_owned).to_vec(),
        env: Default::default(),
        cwd: None,
        user: None,
        terminal: None,
    }
}

fn started(services: Vec<bundle::guest::Service>) -> Running {
    let mut running = Bench::new(services).start_with_channel(&[]);
    running.host().until_ready();
    running
}

fn sleeping() -> Running {
    started(vec![script("web", "exec sleep 1000")])
}

/// Asks for a program; its stream.
fn start(host: &mut Host, exec: Exec) -> u32 {
    let stream = host.session.request(&Request::Exec(exec)).expect("a stream is free");
    host.until(|happening| match happening {
        Happening::Response { open: true, response: Response::Done, .. } => Some(()),
        Happening::Response { response, .. } => panic!("{response:?}"),
        _ => None,
    });
    stream
}

/// Everything that comes on a stream until its end.
fn until_end(host: &mut Host, stream: u32) -> Ended {
    let (mut pieces, mut ended) = (Pieces::default(), Ended::default());
    loop {
        match host.next().expect("the guest keeps the channel open") {
            Happening::Data { stream: of, bytes } if of == stream => {
                host.session.used(stream, bytes.len());
                for piece in pieces.push(&bytes).expect("the guest sends pieces") {
                    match piece {
                        Piece::Out(bytes) => ended.out.push_str(&String::from_utf8_lossy(&bytes)),
                        Piece::Err(bytes) => ended.err.push_str(&String::from_utf8_lossy(&bytes)),
                        Piece::Status(status) => ended.status = Some(status),
                        other => panic!("{other:?}"),
                    }
                }
            }
            Happening::Finished(of) if of == stream => {
                host.session.reset(stream);
                return ended;
            }
            _ => {}
        }
    }
}

fn run(running: &mut Running, exec: Exec) -> Ended {
    let host = running.host();
    let stream = start(host, exec);
    host.session.finish(stream).expect("it is open");
    until_end(host, stream)
}

fn stop(mut running: Running) {
    running.host().ask(&Request::Stop { within_ms: None });
    running.wait();
}

#[test]
fn a_program_has_its_streams_and_its_status() {
    if skip("a_program_has_its_streams_and_its_status") {
        return;
    }
    let mut running = sleeping();
    assert_eq!(run(&mut running, sh("echo out; echo err >&2; exit 7")), ended("out\n", "err\n", 7));
    assert_eq!(run(&mut running, sh("kill -9 $$")), ended("", "", 137));
    assert_eq!(run(&mut running, sh("cat")), ended("", "", 0));
    // What is left in the background holds its output open; nobody waits for that.
    assert_eq!(run(&mut running, sh("sleep 1000 & echo gone")), ended("gone\n", "", 0));
    let with = Exec { env: [("A".to_owned(), "b".to_owned())].into(), cwd: Some("/usr".into()), ..sh("echo $A; pwd") };
    assert_eq!(run(&mut running, with), ended("b\n/usr\n", "", 0));
    let user = Exec { user: Some("0:0".into()), ..sh("id -u; echo $HOME") };
    assert_eq!(run(&mut running, user).status, Some(0));
    stop(running);
}

#[test]
fn input_and_output_flow_however_much_there_is() {
    if skip("input_and_output_flow_however_much_there_is") {
        return;
    }
    let mut running = sleeping();
    let host = running.host();
    let stream = start(host, sh("tr a b"));
    let (mut left, mut pieces, mut count) = (3 << 20, Pieces::default(), 0);
    let block = vec![b'a'; 1 << 16];
    while count < 3 << 20 {
        let sent = host.session.send(stream, &block[..block.len().min(left)]).unwrap_or(0);
        left -= sent;
        if left == 0 {
            let _ = host.session.finish(stream);
        }
        if let Some(Happening::Data { bytes, .. }) = host.next() {
            host.session.used(stream, bytes.len());
            for piece in pieces.push(&bytes).expect("the guest sends pieces") {
                let Piece::Out(bytes) = piece else { panic!("{piece:?}") };
                assert!(bytes.iter().all(|byte| *byte == b'b'));
                count += bytes.len();
            }
        }
    }
    assert_eq!(until_end(host, stream).status, Some(0));
    stop(running);
}

#[test]
fn who_does_not_read_stops_only_the_program_he_does_not_read() {
    if skip("who_does_not_read_stops_only_the_program_he_does_not_read") {
        return;
    }
    let mut running = sleeping();
    let flood = start(running.host(), sh("yes"));
    for _ in 0..20 {
        assert_eq!(run(&mut running, sh("echo quick")), ended("quick\n", "", 0));
    }
    let host = running.host();
    let note = serde_json::to_string(&ExecNote::Signal(9)).expect("plain data");
    host.session.note(flood, note).expect("it runs");
    assert!(matches!(host.ask(&Request::Status), Response::Status(_)));
    stop(running);
}

#[test]
fn signals_reach_the_program_past_its_input() {
    if skip("signals_reach_the_program_past_its_input") {
        return;
    }
    let mut running = sleeping();
    let host = running.host();
    let stream = start(host, sh("trap 'echo caught; exit 3' INT; echo up; while :; do sleep 0.02; done"));
    // More than the program, which never reads, has room for.
    host.session.send(stream, &vec![0; 128 * 1024]).expect("it is open");
    host.until(|happening| matches!(happening, Happening::Data { .. }).then_some(()));
    let note = serde_json::to_string(&ExecNote::Signal(2)).expect("plain data");
    host.session.note(stream, note).expect("it runs");
    assert_eq!(until_end(host, stream), ended("caught\n", "", 3));
    stop(running);
}

#[test]
fn a_terminal_has_a_size_and_takes_ctrl_c() {
    if skip("a_terminal_has_a_size_and_takes_ctrl_c") {
        return;
    }
    let mut running = sleeping();
    let host = running.host();
    let terminal = Some(TerminalSize { columns: 90, rows: 30 });
    let text =
        "tty >/dev/null || exit 9; trap 'stty size; echo caught; exit 4' INT; stty size; while :; do sleep 0.02; done";
    let stream = start(host, Exec { terminal, ..sh(text) });
    host.until(|happening| matches!(happening, Happening::Data { .. }).then_some(()));
    let note = ExecNote::Resize(TerminalSize { columns: 100, rows: 40 });
    host.session.note(stream, serde_json::to_string(&note).expect("plain data")).expect("it runs");
    host.session.note(stream, "{\"future\":1}".to_owned()).expect("what is not known is no harm");
    host.session.send(stream, b"\x03").expect("it is open");
    let ended = until_end(host, stream);
    assert_eq!(ended.status, Some(4), "{ended:?}");
    assert!(ended.out.contains("40 100\r\ncaught\r\n"), "{ended:?}");
    stop(running);
}

#[test]
fn the_end_of_input_is_heard_by_every_reader_of_a_terminal() {
    if skip("the_end_of_input_is_heard_by_every_reader_of_a_terminal") {
        return;
    }
    let mut running = sleeping();
    let host = running.host();
    let terminal = Some(TerminalSize { columns: 90, rows: 30 });
    let keys = "stty raw -echo; head -c 1 | od -An -tx1; stty sane";
    for (text, input, expected) in [
        // Each reads until the end, and the second one begins after the first one has heard of it.
        ("cat; cat; echo both", "", "both\r\n"),
        ("cat; sleep 0.3; cat >/dev/null; echo both", "abc", "abcabcboth\r\n"),
        // Keys are read, without a line or a word from the program.
        (&format!("cat; {keys}"), "", "04"),
        (keys, "", "0"),
    ] {
        let stream = start(host, Exec { terminal, ..sh(text) });
        host.session.send(stream, input.as_bytes()).expect("it is open");
        host.session.finish(stream).expect("it is open");
        let ended = until_end(host, stream);
        assert_eq!(ended.status, Some(0), "{text}: {ended:?}");
        assert!(ended.out.contains(expected), "{text}: {ended:?}");
    }
    stop(running);
}

#[test]
fn what_cannot_be_run_is_said_with_a_status() {
    if skip("what_cannot_be_run_is_said_with_a_status") {
        return;
    }
    let mut running = sleeping();
    let mut refused = |exec: Exec| match running.host().ask(&Request::Exec(exec)) {
        Response::NotStarted { reason, status } => (reason, status),
        other => panic!("{other:?}"),
    };
    let none = |args: &[&str]| Exec { args: args.iter().map(|arg| (*arg).to_owned()).collect(), ..sh("") };
    let (reason, status) = refused(none(&["no-such-program"]));
    assert!(status == 127 && reason.contains("no-such-program"), "{reason}");
    assert_eq!(refused(none(&[])).1, 127);
    assert_eq!(refused(none(&["/etc/passwd"])).1, 126);
    assert!(refused(Exec { user: Some("nobody-here".into()), ..sh("") }).0.contains("nobody-here"));
    assert!(refused(Exec { cwd: Some("/no/such".into()), ..sh("") }).0.contains("/no/such"));
    stop(running);
}

#[test]
fn a_program_that_nobody_wants_any_more_is_hung_up() {
    if skip("a_program_that_nobody_wants_any_more_is_hung_up") {
        return;
    }
    let bench = Bench::new(vec![script("web", "exec sleep 1000")]);
    let mut running = bench.start_with_channel(&[]);
    let host = running.host();
    host.until_ready();
    // A shell says of a child that a signal ended it, which nobody hears any more.
    let stream =
        start(host, sh("trap 'touch $D/hung-up; exit' HUP; echo up; exec 2>/dev/null; while :; do sleep 0.02; done"));
    host.until(|happening| matches!(happening, Happening::Data { .. }).then_some(()));
    host.session.reset(stream);
    while !bench.path("hung-up").exists() {
        assert!(matches!(host.ask(&Request::Status), Response::Status(_)));
    }
    stop(running);
}

#[test]
fn use_is_measured_and_what_belongs_to_the_host_is_refused() {
    if skip("use_is_measured_and_what_belongs_to_the_host_is_refused") {
        return;
    }
    let mut running = sleeping();
    let host = running.host();
    let Response::Metrics(metrics) = host.ask(&Request::Metrics) else { panic!("metrics are answered with metrics") };
    assert!(metrics.processes >= 2 && metrics.memory_bytes > 0 && metrics.disk_bytes > 0, "{metrics:?}");
    let seed = Request::Reseed { seed: "0g".to_owned() };
    assert!(matches!(host.ask(&seed), Response::Failed(reason) if reason.contains("digits")));
    stop(running);
}

#[test]
fn what_stands_still_goes_on_or_is_stopped() {
    if skip("what_stands_still_goes_on_or_is_stopped") {
        return;
    }
    let text = "while :; do date +%N > $D/tick.new; mv $D/tick.new $D/tick; sleep 0.01; done";
    let bench = Bench::new(vec![script("web", text)]);
    let mut running = bench.start_with_channel(&[]);
    let host = running.host();
    host.until_ready();
    let tick = || std::fs::read_to_string(bench.path("tick")).unwrap_or_default();
    let moves = |from: &str| {
        (0..4000).any(|_| {
            std::thread::sleep(std::time::Duration::from_millis(5));
            tick() != from
        })
    };
    assert!(moves(""));
    assert_eq!(host.ask(&Request::Pause), Response::Done);
    std::thread::sleep(std::time::Duration::from_millis(50));
    let before = tick();
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert_eq!(tick(), before);
    assert_eq!(host.ask(&Request::Resume), Response::Done);
    assert!(moves(&before));
    host.ask(&Request::Pause);
    host.ask(&Request::Stop { within_ms: None });
    assert_eq!(running.wait().status, Some(143));
}
