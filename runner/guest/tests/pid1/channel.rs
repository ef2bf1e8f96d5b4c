//! The guest's end of the channel: ports, requests, events, and hosts that behave badly.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use crate::support::{Bench, Host, With, script, skip};
use bundle::channel::{Event, Happening, RefusalCode, Request, Response, ServiceState};

/// A server on a port of the loopback address that this test's guest shares.
fn serve(answer: fn(TcpStream)) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let port = listener.local_addr().expect("it is bound").port();
    std::thread::spawn(move || {
        listener.incoming().flatten().for_each(|connection| drop(std::thread::spawn(move || answer(connection))))
    });
    port
}

fn echo(mut connection: TcpStream) {
    let mut other = connection.try_clone().expect("a socket can be cloned");
    let _ = std::io::copy(&mut connection, &mut other);
    let _ = other.shutdown(Shutdown::Write);
}

fn open(host: &mut Host, port: u16) -> u32 {
    let wanted = host.session.open_port(port).expect("a stream is free");
    host.until(|happening| (*happening == Happening::Opened(wanted)).then_some(()));
    wanted
}

/// Sends everything on a stream, closes that half, and collects what comes back.
fn exchange(host: &mut Host, stream: u32, data: &[u8]) -> Vec<u8> {
    let (mut sent, mut finished, mut back) = (0, false, Vec::new());
    loop {
        sent += if finished { 0 } else { host.session.send(stream, &data[sent..]).expect("the stream is open") };
        if sent == data.len() && !finished {
            host.session.finish(stream).expect("the stream is open");
            finished = true;
        }
        match host.next().expect("the guest keeps the channel open") {
            Happening::Data { stream: from, bytes } if from == stream => {
                host.session.used(stream, bytes.len());
                back.extend(bytes);
            }
            Happening::Finished(from) if from == stream => return back,
            _ => {}
        }
    }
}

#[test]
fn ports_are_reached_through_the_channel() {
    if skip("ports_are_reached_through_the_channel") {
        return;
    }
    let port = serve(echo);
    let mut running = Bench::new(vec![script("web", "exec sleep 1000")]).start_with_channel(&[]);
    let host = running.host();
    host.until_ready();
    let data: Vec<u8> = (0..2_000_000_u32).map(|i| (i % 251) as u8).collect();
    for size in [0, 1, 65_536, data.len()] {
        let stream = open(host, port);
        assert!(exchange(host, stream, &data[..size]) == data[..size], "{size} bytes");
    }
    assert_eq!(host.ask(&Request::Stop { within_ms: None }), Response::Done);
    assert_eq!(host.events().last(), Some(&Event::Exited { status: 143 }));
    assert_eq!(running.wait().status, Some(143));
}

#[test]
fn a_port_where_nothing_listens_is_refused() {
    if skip("a_port_where_nothing_listens_is_refused") {
        return;
    }
    let port =
        TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a port is free").port();
    let mut running = Bench::new(vec![script("web", "exec sleep 1000")]).start_with_channel(&[]);
    let wanted = running.host().session.open_port(port).expect("a stream is free");
    let refused = running.host().until(|happening| match happening {
        Happening::Refused { stream, code, text } => Some((*stream, *code, text.clone())),
        _ => None,
    });
    assert_eq!(refused, (wanted, RefusalCode::NotListening, format!("nothing listens on port {port}")));
    running.host().ask(&Request::Stop { within_ms: None });
    running.wait();
}

#[test]
fn a_stream_that_nobody_reads_holds_up_no_other() {
    if skip("a_stream_that_nobody_reads_holds_up_no_other") {
        return;
    }
    let (deaf, port) = (
        serve(|connection| {
            std::thread::park();
            drop(connection)
        }),
        serve(echo),
    );
    let mut running = Bench::new(vec![script("web", "exec sleep 1000")]).start_with_channel(&[]);
    let host = running.host();
    host.until_ready();
    let slow = open(host, deaf);
    let block = vec![0; 64 * 1024];
    // More than the window and every buffer of the kernel between here and a server that never reads.
    for _ in 0..300 {
        host.session.send(slow, &block).expect("the stream is open");
        let quick = open(host, port);
        assert_eq!(exchange(host, quick, b"quick"), b"quick");
    }
    assert_eq!(host.session.sendable(slow), 0);
    host.session.reset(slow);
    host.ask(&Request::Stop { within_ms: None });
    running.wait();
}

#[test]
fn status_and_events_tell_the_story() {
    if skip("status_and_events_tell_the_story") {
        return;
    }
    let services = vec![script("db", "exec sleep 1000"), script("web", "exec sleep 1000").after("db")];
    let mut running = Bench::new(services).start_with_channel(&[]);
    let host = running.host();
    host.until_ready();
    let Response::Status(status) = host.ask(&Request::Status) else { panic!("status is answered with a status") };
    let seen: Vec<_> =
        status.services.iter().map(|service| (service.name.as_str(), service.state, service.restarts)).collect();
    assert_eq!(seen, [("db", ServiceState::Ready, 0), ("web", ServiceState::Ready, 0)]);
    assert!(status.ready && status.services.iter().all(|service| service.pid.is_some()));
    assert_eq!(host.ask(&Request::Stop { within_ms: None }), Response::Done);
    let service = |name: &str, state| Event::Service { name: name.to_owned(), state };
    let events = host.events();
    let stopped: Vec<_> =
        events.iter().skip_while(|event| **event != service("web", ServiceState::Exited(143))).cloned().collect();
    let expected = [
        service("web", ServiceState::Exited(143)),
        service("db", ServiceState::Stopping),
        service("db", ServiceState::Exited(143)),
        Event::Exited { status: 143 },
    ];
    assert_eq!(stopped, expected);
    running.wait();
}

#[test]
fn a_stop_with_a_deadline_kills_what_is_left() {
    if skip("a_stop_with_a_deadline_kills_what_is_left") {
        return;
    }
    let bench = Bench::new(vec![script("web", "trap '' TERM; touch $D/up; while :; do sleep 0.02; done")]);
    let mut running = bench.start_with_channel(&[]);
    running.host().until_ready();
    while !bench.path("up").exists() {
        std::thread::yield_now();
    }
    running.host().ask(&Request::Stop { within_ms: Some(50) });
    assert_eq!(running.wait().status, Some(137));
}

/// What the guest says before it closes the channel, and how it ends, when the host sends these bytes.
fn check_hostile(bytes: &[u8], said: &str) {
    let bench = Bench::new(vec![]);
    let mut running = bench.start_with_channel(&["--", "sh", "-c", "until test -e $D/go; do sleep 0.02; done; exit 5"]);
    let mut socket = running.host.take().expect("there is a channel").socket;
    socket.write_all(bytes).expect("the guest reads");
    let mut answer = Vec::new();
    let _ = socket.shutdown(Shutdown::Write);
    let _ = socket.read_to_end(&mut answer);
    std::fs::write(bench.path("go"), "").expect("the folder is ours");
    let outcome = running.wait();
    assert_eq!(outcome.status, Some(5), "the command goes on: {outcome:?}");
    assert!(outcome.err.contains(said) && (said.is_empty() == outcome.err.is_empty()), "{outcome:?}");
}

#[test]
fn a_bad_host_harms_no_service() {
    if skip("a_bad_host_harms_no_service") {
        return;
    }
    let hello = bundle::channel::Session::new(bundle::channel::Side::Host).output().to_vec();
    check_hostile(b"", "");
    check_hostile(&hello, "");
    check_hostile(b"GET / HTTP/1.1\r\nHost: example.org\r\n\r\n", "failed to understand the guest channel");
    check_hostile(&[0xff; 100_000], "failed to understand the guest channel");
    check_hostile(
        &[&hello[..], &[0, 0, 0, 0, 1, 0, 0, 0, 0x16]].concat(),
        "failed to follow the guest channel on stream 1",
    );
    check_hostile(&[&hello[..], &[0, 0, 1, 0, 0, 0]].concat(), "");
}

#[test]
fn bytes_that_come_one_by_one_are_understood() {
    if skip("bytes_that_come_one_by_one_are_understood") {
        return;
    }
    let port = serve(echo);
    let mut running = Bench::new(vec![script("web", "exec sleep 1000")]).start_with_channel(&[]);
    let host = running.host();
    let stream = host.session.open_port(port).expect("a stream is free");
    let output = host.session.output().to_vec();
    output.iter().for_each(|byte| host.socket.write_all(&[*byte]).expect("the guest reads"));
    host.session.wrote(output.len());
    host.until(|happening| (*happening == Happening::Opened(stream)).then_some(()));
    host.ask(&Request::Stop { within_ms: None });
    running.wait();
}

#[test]
fn the_end_of_the_channel_stops_services_only_when_told() {
    if skip("the_end_of_the_channel_stops_services_only_when_told") {
        return;
    }
    let bench = Bench::new(vec![script("web", "exec sleep 1000")]).env("APPLIANCE_CHANNEL_END", "stop");
    let mut running = bench.start_with_channel(&[]);
    running.host().until_ready();
    running.host = None;
    assert_eq!(running.wait().status, Some(143));
}

#[test]
fn the_channel_is_not_inherited_by_services() {
    if skip("the_channel_is_not_inherited_by_services") {
        return;
    }
    let text = "ls /proc/self/fd | tr '\\n' ' '; echo; env | grep -c APPLIANCE_";
    let running = Bench::new(vec![]).start_with_channel(&["--", "sh", "-c", text]);
    assert_eq!(running.wait().out, "0 1 2 3 \n0\n", "the fourth is the folder that `ls` reads");
}
