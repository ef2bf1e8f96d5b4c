//! The wire from end to end: an inside with a TCP/IP stack of its own, served over a socket pair, and servers on this host.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod guest;
mod reach;
mod town;

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, SocketAddrV4, TcpListener, TcpStream, UdpSocket};
use std::os::unix::net::UnixStream;
use std::sync::mpsc::channel;
use std::thread;

use network::{Rules, Wire};
use nix::sys::socket::{setsockopt, sockopt};
use smoltcp::socket::tcp::State;

use crate::guest::Guest;
use crate::town::{Served, Town, outbound, served};

/// A destination that leads where a test says.
const SHOP: SocketAddrV4 = SocketAddrV4::new(Ipv4Addr::new(93, 184, 216, 34), 80);

const MEGABYTE: usize = 1 << 20;

/// Bytes that tell where they were: no piece can be lost, doubled or moved unseen.
fn bytes(length: usize, seed: u32) -> Vec<u8> {
    (0..length as u32 / 4).flat_map(|at| (at.wrapping_mul(0x9e37_79b1) ^ seed).to_be_bytes()).collect()
}

/// A server, and an inside that reaches it at [`SHOP`].
fn shop() -> (TcpListener, Served) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let leads = [(SocketAddr::V4(SHOP), listener.local_addr().unwrap())].into();
    let town = Town { leads, ..Town::default() };
    (listener, served(&town, outbound(&["93.184.216.34:80"])))
}

/// Sends all of it, reads until the other side ends, and gives what came.
fn exchange(guest: &mut Guest, to: SocketAddrV4, sent: &[u8]) -> Vec<u8> {
    let handle = guest.connected(to);
    let (mut at, mut came) = (0, Vec::new());
    guest.until("the whole exchange", |guest| {
        let socket = guest.socket(handle);
        if at < sent.len() && socket.can_send() {
            at += socket.send_slice(&sent[at..]).unwrap();
            if at == sent.len() {
                socket.close();
            }
        }
        while socket.can_recv() {
            socket.recv(|bytes| (bytes.len(), came.extend_from_slice(bytes))).unwrap();
        }
        (at == sent.len() && matches!(socket.state(), State::TimeWait | State::Closed)).then_some(())
    });
    came
}

#[test]
fn megabytes_go_both_ways_at_once() {
    let (listener, mut served) = shop();
    let (there, back) = (bytes(6 * MEGABYTE, 1), bytes(5 * MEGABYTE, 2));
    let server = thread::spawn({
        let back = back.clone();
        move || {
            let (mut line, _) = listener.accept().unwrap();
            let mut writer = line.try_clone().unwrap();
            let writing = thread::spawn(move || {
                writer.write_all(&back).unwrap();
                writer.shutdown(Shutdown::Write).unwrap();
            });
            let mut came = Vec::new();
            line.read_to_end(&mut came).unwrap();
            writing.join().unwrap();
            came
        }
    });
    let came = exchange(&mut served.guest, SHOP, &there);
    assert!(server.join().unwrap() == there, "what the server got");
    assert!(came == back, "what came back");
    let (counts, events) = served.end();
    assert_eq!((counts.allowed, counts.denied, counts.crowded), (1, 0, 0));
    let told: Vec<String> = events.iter().map(ToString::to_string).collect();
    assert_eq!(told, ["reaches 93.184.216.34:80 (TCP): allow \"93.184.216.34:80\""]);
}

/// The inside ends first and still gets its answer: what clients of old protocols rely on.
#[test]
fn an_end_that_is_closed_still_gets_its_answer() {
    let (listener, mut served) = shop();
    let server = thread::spawn(move || {
        let (mut line, _) = listener.accept().unwrap();
        let mut came = Vec::new();
        line.read_to_end(&mut came).unwrap();
        line.write_all(&came.repeat(1000)).unwrap();
    });
    let came = exchange(&mut served.guest, SHOP, b"question");
    server.join().unwrap();
    assert_eq!(came, b"question".repeat(1000));
}

/// A side that does not read holds the other back, and then gets everything.
#[test]
fn who_does_not_read_holds_the_other_back() {
    let (listener, mut served) = shop();
    let (go, gone) = channel();
    let sent = bytes(12 * MEGABYTE, 3);
    let server = thread::spawn(move || {
        let (mut line, _) = listener.accept().unwrap();
        gone.recv().unwrap();
        let mut came = Vec::new();
        line.read_to_end(&mut came).unwrap();
        came
    });
    let guest = &mut served.guest;
    let handle = guest.connected(SHOP);
    let (mut at, mut idle, mut go) = (0, 0, Some(go));
    guest.until("everything to be taken", |guest| {
        let socket = guest.socket(handle);
        let taken = if at < sent.len() && socket.can_send() { socket.send_slice(&sent[at..]).unwrap() } else { 0 };
        at += taken;
        idle = if taken == 0 { idle + 1 } else { 0 };
        // Nothing moves any more, or nothing is left: now the server reads.
        if idle > 100 || at == sent.len() {
            go.take().into_iter().for_each(|go| go.send(()).unwrap());
        }
        (at == sent.len()).then(|| socket.close())
    });
    let is_over =
        |guest: &mut Guest| matches!(guest.socket(handle).state(), State::TimeWait | State::Closed).then_some(());
    // The server ends when it has everything.
    guest.until("the end", is_over);
    assert!(server.join().unwrap() == sent);
}

#[test]
fn an_inside_that_does_not_read_holds_the_server_back() {
    let (listener, mut served) = shop();
    let sent = bytes(12 * MEGABYTE, 4);
    let server = thread::spawn({
        let sent = sent.clone();
        move || listener.accept().unwrap().0.write_all(&sent).unwrap()
    });
    let guest = &mut served.guest;
    let handle = guest.connected(SHOP);
    guest.until("a full buffer", |guest| (guest.socket(handle).recv_queue() == 65536).then_some(()));
    for _ in 0..50 {
        guest.step();
    }
    let mut came = Vec::new();
    guest.until("everything", |guest| {
        let socket = guest.socket(handle);
        while socket.can_recv() {
            socket.recv(|bytes| (bytes.len(), came.extend_from_slice(bytes))).unwrap();
        }
        (!socket.may_recv()).then_some(())
    });
    server.join().unwrap();
    assert!(came == sent);
}

#[test]
fn a_reset_reaches_the_other_side() {
    let (listener, mut served) = shop();
    let guest = &mut served.guest;
    // By the server: it goes away with something unread.
    let handle = guest.connected(SHOP);
    let (line, _) = listener.accept().unwrap();
    let reset = nix::libc::linger { l_onoff: 1, l_linger: 0 };
    setsockopt(&line, sockopt::Linger, &reset).unwrap();
    drop(line);
    guest.until("a reset", |guest| (guest.socket(handle).state() == State::Closed).then_some(()));
    // By the inside.
    let handle = guest.connected(SHOP);
    let (mut line, _) = listener.accept().unwrap();
    guest.socket(handle).abort();
    let reader = thread::spawn(move || line.read(&mut [0; 10]).map_err(|error| error.kind()));
    guest.until("the server to notice", |_| reader.is_finished().then_some(()));
    assert_eq!(reader.join().unwrap(), Err(ErrorKind::ConnectionReset));
}

#[test]
fn nobody_there_is_a_refusal_and_no_answer_before() {
    let closed = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap();
    let town = Town { leads: [(SocketAddr::V4(SHOP), closed)].into(), ..Town::default() };
    let mut served = served(&town, outbound(&["93.184.216.34"]));
    let refused = served.guest.refused(&[SHOP]);
    // A reset, or the message that nobody listens at the port (RFC 792, code 3).
    assert!([None, Some(3)].contains(&refused[&SHOP]), "{refused:?}");
    let other = SocketAddrV4::new(Ipv4Addr::new(93, 184, 216, 35), 80);
    assert_eq!(served.guest.refused(&[other])[&other], Some(13), "forbidden by administration (RFC 1812)");
    let (counts, _) = served.end();
    assert_eq!((counts.allowed, counts.denied), (1, 1));
}

#[test]
fn many_connections_at_once_do_not_mix() {
    let (listener, mut served) = shop();
    thread::spawn(move || {
        for line in listener.incoming() {
            thread::spawn(move || echo(line.unwrap()));
        }
    });
    let guest = &mut served.guest;
    let handles: Vec<_> = (0..100_u32).map(|at| (guest.connect(SHOP), bytes(20_000, at))).collect();
    let mut states = vec![(0, Vec::new()); handles.len()];
    guest.until("all echoes", |guest| {
        for ((handle, sent), (at, came)) in handles.iter().zip(&mut states) {
            let socket = guest.socket(*handle);
            if *at < sent.len() && socket.can_send() {
                *at += socket.send_slice(&sent[*at..]).unwrap();
            }
            while socket.can_recv() {
                socket.recv(|bytes| (bytes.len(), came.extend_from_slice(bytes))).unwrap();
            }
        }
        handles.iter().zip(&states).all(|((_, sent), (_, came))| came.len() == sent.len()).then_some(())
    });
    assert!(handles.iter().zip(&states).all(|((_, sent), (_, came))| came == sent));
    assert_eq!(served.end().0.allowed, 100);
}

fn echo(mut line: TcpStream) {
    let mut bytes = [0; 4096];
    while let Ok(length @ 1..) = line.read(&mut bytes) {
        if line.write_all(&bytes[..length]).is_err() {
            break;
        }
    }
}

#[test]
fn datagrams_are_exchanged_with_who_was_asked_alone() {
    let server = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let stranger = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let town = Town { leads: [(SocketAddr::V4(SHOP), server.local_addr().unwrap())].into(), ..Town::default() };
    let mut served = served(&town, outbound(&["93.184.216.34:80"]));
    served.guest.datagram(5000, SHOP, b"hello");
    let answering = thread::spawn(move || {
        let mut bytes = [0; 2000];
        let (length, from) = server.recv_from(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"hello");
        answer(&stranger, from, b"I am not asked");
        // The second is longer than a packet: it is lost, and what comes after it is not.
        answer(&server, from, &[7; 1472]);
        answer(&server, from, &[8; 1473]);
        answer(&server, from, b"the end");
    });
    let seen = |guest: &mut Guest| guest.seen.datagrams.iter().any(|(_, _, bytes)| bytes == b"the end").then_some(());
    served.guest.until("the answers", seen);
    answering.join().unwrap();
    let wanted = [(SHOP, 5000, vec![7; 1472]), (SHOP, 5000, b"the end".to_vec())];
    assert_eq!(served.guest.seen.datagrams, wanted);
    let (counts, _) = served.end();
    // Its own stack answers what no socket of it takes: that is dropped too.
    assert!(counts.allowed == 1 && counts.dropped >= 1, "{counts:?}");
}

#[expect(clippy::disallowed_methods, reason = "a server answers who asked")]
fn answer(from: &UdpSocket, to: SocketAddr, bytes: &[u8]) {
    from.send_to(bytes, to).unwrap();
}

#[test]
fn names_are_answered_for_listed_names_alone() {
    let town = Town::default();
    let addresses = vec!["2001:db8::1".parse().unwrap(), [93, 184, 216, 34].into(), [93, 184, 216, 35].into()];
    town.names.lock().unwrap().insert("a.example".to_owned(), addresses);
    town.names.lock().unwrap().insert("six.example".to_owned(), vec!["2001:db8::1".parse().unwrap()]);
    town.names.lock().unwrap().insert("secret.example".to_owned(), vec![[93, 184, 216, 36].into()]);
    let mut served = served(&town, outbound(&["A.example:443", "six.example", "10.0.0.0/8"]));
    let guest = &mut served.guest;
    assert_eq!(guest.ask("a.EXAMPLE", 1), (0, vec![*SHOP.ip(), [93, 184, 216, 35].into()]));
    assert_eq!(guest.ask("a.example", 28), (0, vec![]), "there is no IPv6 inside");
    assert_eq!(guest.ask("six.example", 1), (0, vec![]));
    for name in ["secret.example", "example", "x.a.example", "localhost", "10.0.0.1", "0x7f000001"] {
        assert_eq!(guest.ask(name, 1), (3, vec![]), "{name}");
        assert_eq!(guest.ask(name, 16), (3, vec![]), "{name}: nothing leaves by other questions");
    }
    let (counts, events) = served.end();
    assert_eq!((counts.names, counts.unlisted_names), (2, 12));
    assert_eq!(events.len(), 6, "{events:?}");
    assert_eq!(events[0].to_string(), "may not ask for secret.example: no `allow` lists it");
}

#[test]
fn a_name_leads_to_those_of_its_addresses_that_can_be_reached() {
    let town = Town { own: Some(vec![]), ..Town::default() };
    let mixed = vec![[127, 0, 1, 1].into(), (*SHOP.ip()).into(), "::ffff:169.254.0.1".parse().unwrap()];
    town.names.lock().unwrap().insert("a.example".to_owned(), mixed);
    let mut served = served(&town, outbound(&["a.example"]));
    for _ in 0..2 {
        assert_eq!(served.guest.ask("a.example", 1), (0, vec![*SHOP.ip()]));
    }
    let told: Vec<String> = served.end().1.iter().map(ToString::to_string).collect();
    let wanted = [("127.0.1.1", "loopback, RFC 1122"), ("169.254.0.1", "link-local, RFC 3927")];
    let line = |(to, why)| format!("may not reach a.example: it leads to {to}, which is never reached: {why}");
    assert_eq!(told, wanted.map(line));
}

#[test]
fn a_lookup_that_fails_is_told_once() {
    let town = Town { fails: Some("Name or service not known"), ..Town::default() };
    let mut served = served(&town, outbound(&["*.example"]));
    for name in ["a.example", "a.example", "b.example"] {
        assert_eq!(served.guest.ask(name, 1), (2, vec![]), "{name}");
    }
    let told: Vec<String> = served.end().1.iter().map(ToString::to_string).collect();
    let line = |name| format!("asks for {name}, which the host could not look up: Name or service not known");
    assert_eq!(told, ["a.example", "b.example"].map(line));
}

#[test]
fn the_last_that_is_told_says_so() {
    let mut served = served(&Town::default(), outbound(&["a.example"]));
    for at in 0..300 {
        assert_eq!(served.guest.ask(&format!("n{at}.example"), 1).0, 3);
    }
    let (counts, events) = served.end();
    assert_eq!((counts.unlisted_names, events.len()), (300, 257));
    assert_eq!(events[256].to_string(), "had so many refusals that further ones are not told");
}

#[test]
fn what_is_no_packet_is_dropped_and_counted() {
    let mut served = served(&Town::default(), Rules::full());
    let odd: [&[u8]; 6] = [b"", b"x", &[0; 13], &[0xff; 60], &[0; 1514], &[0x45; 70000 - 4096]];
    for frame in odd {
        served.guest.frame(frame);
    }
    // What comes after it is answered.
    assert_eq!(served.guest.ask("a.example.invalid-", 28).0, 0);
    let (counts, events) = served.end();
    // Its own stack sends something too.
    assert!(counts.dropped >= odd.len() as u64, "{counts:?}");
    assert_eq!((counts.allowed, counts.denied, counts.unlisted_names, events), (0, 0, 0, vec![]));
}

#[test]
fn a_wire_that_carries_no_frames_ends() {
    let (mut wire, other) = UnixStream::pair().unwrap();
    let (_stop, stopped) = UnixStream::pair().unwrap();
    wire.write_all(b"GET / HTTP/1.1\r\n").unwrap();
    let error = network::serve(Wire::Stream(other.into()), Rules::full(), drop, stopped.into()).unwrap_err();
    assert_eq!(error.to_string(), "the wire tells a frame of 1195725856 bytes; the longest has 69632");
}

#[test]
fn the_end_of_the_wire_is_the_end() {
    let served = served(&Town::default(), Rules::full());
    assert_eq!(served.cut().unwrap().frames_in, 0);
}
