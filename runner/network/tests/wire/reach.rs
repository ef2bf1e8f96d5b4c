//! Servers on this host's own addresses, and an inside that tries to reach them in every way it has.

use std::collections::BTreeSet;
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, SocketAddrV4, TcpListener, UdpSocket};

use network::{Event, Host, Rules, World};
use smoltcp::socket::tcp::State;

use crate::guest::Guest;
use crate::town::{Town, outbound, served};

/// A server of both protocols at one address, which counts who came.
struct Server {
    tcp: TcpListener,
    udp: UdpSocket,
}

impl Server {
    fn at(address: Ipv4Addr) -> io::Result<Self> {
        // Another process may hold the same port of the other protocol: then another port is tried.
        for _ in 0..20 {
            let tcp = TcpListener::bind((address, 0))?;
            if let Ok(udp) = UdpSocket::bind(tcp.local_addr()?) {
                tcp.set_nonblocking(true)?;
                udp.set_nonblocking(true)?;
                return Ok(Self { tcp, udp });
            }
        }
        Err(io::Error::from(io::ErrorKind::AddrInUse))
    }

    fn address(&self) -> SocketAddrV4 {
        match self.tcp.local_addr().unwrap() {
            SocketAddr::V4(address) => address,
            SocketAddr::V6(address) => panic!("{address}"),
        }
    }

    /// How many connections and datagrams came since it was last asked.
    fn came(&self) -> usize {
        let connections = std::iter::from_fn(|| self.tcp.accept().ok()).count();
        connections + std::iter::from_fn(|| self.udp.recv_from(&mut [0; 100]).ok()).count()
    }
}

/// An address of this host that other hosts may reach it at.
fn outer_address() -> Option<Ipv4Addr> {
    let own = Host.own_addresses(Ipv4Addr::LOCALHOST.into()).unwrap();
    own.into_iter().find_map(|address| match address {
        IpAddr::V4(four) if !four.is_loopback() && !four.is_link_local() => Some(four),
        _ => None,
    })
}

/// The servers: one on the loopback address, one on an address of the host.
fn servers(test: &str) -> Option<[Server; 2]> {
    let servers = outer_address().map(|outer| [Server::at(Ipv4Addr::LOCALHOST).unwrap(), Server::at(outer).unwrap()]);
    if servers.is_none() {
        eprintln!("SKIP {test}: this host has no address but its loopback address");
    }
    servers
}

/// Tries all of them by both protocols, and waits until each was refused.
fn all_refused(guest: &mut Guest, to: &[SocketAddrV4]) {
    guest.seen.unreachable.clear();
    let refused = guest.refused(to);
    assert!(refused.values().all(|code| *code == Some(13)), "{refused:?}");
    guest.seen.unreachable.clear();
    for to in to {
        guest.datagram(6000, *to, b"hello");
    }
    guest.until("refusals of datagrams", |guest| (guest.seen.unreachable.len() >= to.len()).then_some(()));
}

#[test]
fn the_host_is_never_reached_whatever_is_listed() {
    let Some([inner, outer]) = servers("the_host_is_never_reached_whatever_is_listed") else { return };
    let port = inner.address().port();
    let mut to = vec![inner.address(), outer.address()];
    let spelled = ["127.0.0.2", "127.255.255.254", "0.0.0.0", "0.0.0.1", "169.254.169.254", "198.18.0.1", "224.0.0.1"];
    to.extend(spelled.map(|address| SocketAddrV4::new(address.parse().unwrap(), port)));
    let listed = [
        outbound(&["0.0.0.0/0", "127.0.0.1", &outer.address().to_string(), "::/0", "::ffff:127.0.0.1"]),
        outbound(&[]),
        outbound(&["a.example"]),
        Rules::full(),
    ];
    for rules in listed {
        let town = Town::default();
        let mut served = served(&town, rules);
        // Those that a guest's own stack does not even send are sent as datagrams by hand.
        let (sent, _): (Vec<_>, Vec<_>) =
            to.iter().partition(|to| !to.ip().is_unspecified() && !to.ip().is_multicast());
        all_refused(&mut served.guest, &sent);
        served.guest.seen.unreachable.clear();
        let by_hand: Vec<_> = to.iter().filter(|to| !sent.contains(to)).collect();
        by_hand.iter().for_each(|to| served.guest.datagram(6000, **to, b"hello"));
        served.guest.until("refusals", |guest| (guest.seen.unreachable.len() >= by_hand.len()).then_some(()));
        let (counts, events) = served.end();
        assert_eq!((inner.came(), outer.came(), counts.allowed), (0, 0, 0));
        assert!(town.dialled.lock().unwrap().is_empty());
        let denied: BTreeSet<_> = events.iter().map(|event| matches!(event, Event::Denied { .. })).collect();
        assert_eq!(denied, [true].into(), "{events:?}");
    }
}

/// As the host's own addresses are an argument, the same server is one of its own or a stranger.
#[test]
fn an_address_of_another_host_is_reached_where_it_is_listed() {
    let Some([inner, outer]) = servers("an_address_of_another_host_is_reached_where_it_is_listed") else { return };
    let town = Town { own: Some(vec![]), ..Town::default() };
    let range = format!("{}/32:{}", outer.address().ip(), outer.address().port());
    let mut served = served(&town, outbound(&[&range]));
    served.guest.connected(outer.address());
    served.guest.datagram(6001, outer.address(), b"hello");
    let mut came = 0;
    served.guest.until("both to arrive", |_| {
        came += outer.came();
        (came == 2).then_some(())
    });
    let other = SocketAddrV4::new(*outer.address().ip(), outer.address().port() ^ 1);
    all_refused(&mut served.guest, &[inner.address(), other]);
    let (counts, events) = served.end();
    assert_eq!((inner.came(), outer.came(), counts.allowed, counts.denied), (0, 0, 2, 4));
    let rule = events.iter().find_map(|event| match event {
        Event::Allowed { rule, .. } => Some(rule.as_str()),
        _ => None,
    });
    assert_eq!(rule, Some(format!("allow \"{range}\"").as_str()));
}

#[test]
fn a_name_leads_nowhere_that_its_address_does_not() {
    let Some([inner, outer]) = servers("a_name_leads_nowhere_that_its_address_does_not") else { return };
    let town = Town::default();
    let (home, shop) = (Ipv4Addr::new(10, 77, 0, 1), Ipv4Addr::new(93, 184, 216, 34));
    let public = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let lead = (SocketAddr::from((shop, 80)), public.local_addr().unwrap());
    let town = Town { leads: [lead].into(), ..town };
    let points = |to: Ipv4Addr| drop(town.names.lock().unwrap().insert("a.example".to_owned(), vec![to.into()]));
    let mut served = served(&town, outbound(&["a.example"]));
    let guest = &mut served.guest;
    // Before it was asked for, even the right address is a stranger's.
    all_refused(guest, &[SocketAddrV4::new(shop, 80)]);
    for to in [inner.address(), outer.address()] {
        points(*to.ip());
        assert_eq!(guest.ask("a.example", 1), (2, vec![]), "no mode reaches {to}: the inside is not sent there");
        all_refused(guest, &[to]);
    }
    points(home);
    assert_eq!(guest.ask("a.example", 1), (0, vec![home]));
    all_refused(guest, &[SocketAddrV4::new(home, 80)]);
    points(shop);
    assert_eq!(guest.ask("a.example", 1), (0, vec![shop]));
    let handle = guest.connected(SocketAddrV4::new(shop, 80));
    // It changes while the connection stands: that one stays where it was, and another gains nothing.
    points(*inner.address().ip());
    assert_eq!(guest.ask("a.example", 1), (2, vec![]));
    all_refused(guest, &[inner.address(), outer.address()]);
    assert_eq!(guest.socket(handle).state(), State::Established);
    let (_, events) = served.end();
    assert_eq!((inner.came(), outer.came()), (0, 0));
    assert_eq!(*town.dialled.lock().unwrap(), [SocketAddr::from((shop, 80))]);
    let told: Vec<String> = events.iter().map(ToString::to_string).collect();
    let misled = |to: SocketAddrV4, why: &str| {
        let line = format!("may not reach a.example: it leads to {}, which is never reached: {why}", to.ip());
        assert_eq!(told.iter().filter(|told| **told == line).count(), 1, "{line}: {told:#?}");
    };
    misled(inner.address(), "loopback, RFC 1122");
    misled(outer.address(), "an address of the host itself");
}

/// Without a list every name may be asked for, and the system's own resolver takes many spellings for an address.
#[test]
fn spellings_that_the_resolver_understands_gain_nothing() {
    let Some([inner, outer]) = servers("spellings_that_the_resolver_understands_gain_nothing") else { return };
    let town = Town::default();
    let mut served = served(&town, outbound(&[]));
    let guest = &mut served.guest;
    for name in ["localhost", "127.1", "2130706433", "0x7f000001", "0177.0.0.1", "127.0.0.1", "0"] {
        assert_eq!(guest.ask(name, 1), (2, vec![]), "{name}");
    }
    let (_, events) = served.end();
    let understood = events.iter().filter(|event| matches!(event, Event::Misled { .. })).count();
    assert!(understood > 0, "no resolver knows 127.0.0.1");
    assert_eq!((inner.came(), outer.came()), (0, 0));
    assert!(town.dialled.lock().unwrap().is_empty());
}
