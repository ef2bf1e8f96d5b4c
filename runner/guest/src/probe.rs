//! Finds out whether a service is ready: one attempt after the other, none of which blocks.
//!
//! Input: what is to be tried and whether the attempt's socket is ready. It decides nothing about the service.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpStream};
use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use bundle::guest::Probe;
use nix::poll::PollFlags;

use crate::connect;
use crate::words::{duration, how_it_ended};

/// Milliseconds after which an attempt that hangs is given up.
const ATTEMPT_MS: u64 = 5_000;

/// Milliseconds before the second attempt; doubled for each further one up to [`MAX_PAUSE_MS`].
const FIRST_PAUSE_MS: u64 = 10;

/// The longest pause between two attempts.
const MAX_PAUSE_MS: u64 = 250;

/// The longest status line that is waited for.
const MAX_ANSWER_BYTES: usize = 1024;

/// A service that is being probed.
#[derive(Debug)]
pub struct Prober {
    /// The service.
    pub service: usize,
    probe: Probe,
    attempt: Attempt,
    pause_ms: u64,
    /// What the last finished attempt saw.
    seen: Option<String>,
}

/// One attempt.
#[derive(Debug)]
enum Attempt {
    /// The next one begins then.
    Pause { until: u64 },
    /// A connection is being made.
    Connecting { socket: TcpStream, give_up: u64 },
    /// The request was sent and its answer is awaited.
    Reading { socket: TcpStream, answer: Vec<u8>, give_up: u64 },
    /// A program runs.
    Program { pid: u32, give_up: u64 },
}

/// What comes next.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing yet.
    Wait,
    /// The service is ready.
    Ready,
    /// Start this program as the service's user, then call [`Prober::runs`] or [`Prober::failed`].
    Run(Vec<String>),
    /// End this program: it hangs.
    Kill(u32),
}

impl Prober {
    /// Begins with an attempt at once.
    pub fn new(service: usize, probe: Probe, now: u64) -> Self {
        Self { service, probe, attempt: Attempt::Pause { until: now }, pause_ms: FIRST_PAUSE_MS, seen: None }
    }

    /// When [`Prober::advance`] must be called even if nothing happens.
    pub fn deadline(&self) -> u64 {
        match &self.attempt {
            Attempt::Pause { until } => *until,
            Attempt::Connecting { give_up, .. }
            | Attempt::Reading { give_up, .. }
            | Attempt::Program { give_up, .. } => *give_up,
        }
    }

    /// The socket to wait for, and for what.
    pub fn waits_for(&self) -> Option<(BorrowedFd<'_>, PollFlags)> {
        match &self.attempt {
            Attempt::Connecting { socket, .. } => Some((socket.as_fd(), PollFlags::POLLOUT)),
            Attempt::Reading { socket, .. } => Some((socket.as_fd(), PollFlags::POLLIN)),
            _ => None,
        }
    }

    /// The program that runs for the present attempt.
    pub fn pid(&self) -> Option<u32> {
        match self.attempt {
            Attempt::Program { pid, .. } => Some(pid),
            _ => None,
        }
    }

    /// Goes on after the deadline passed or the socket became ready.
    pub fn advance(&mut self, now: u64) -> Progress {
        if self.deadline() <= now {
            return match self.attempt {
                Attempt::Pause { .. } => self.begin(now),
                Attempt::Program { pid, .. } => {
                    self.attempt = Attempt::Program { pid, give_up: u64::MAX };
                    Progress::Kill(pid)
                }
                _ => self.failed(now, format!("no answer within {}", duration(ATTEMPT_MS))),
            };
        }
        let nothing = Attempt::Pause { until: now };
        match std::mem::replace(&mut self.attempt, nothing) {
            Attempt::Connecting { socket, give_up } => self.connected(now, socket, give_up),
            Attempt::Reading { socket, answer, give_up } => self.answered(now, socket, answer, give_up),
            other => {
                self.attempt = other;
                Progress::Wait
            }
        }
    }

    /// The program of [`Progress::Run`] was started.
    pub fn runs(&mut self, now: u64, pid: u32) {
        self.attempt = Attempt::Program { pid, give_up: now + ATTEMPT_MS };
    }

    /// The program of the present attempt ended.
    pub fn program_ended(&mut self, now: u64, status: u8) -> Progress {
        if status == 0 { Progress::Ready } else { self.failed(now, how_it_ended(status)) }
    }

    /// Whether what is waited for is there now, for what a look can tell: a service that ends leaves no time for an attempt.
    pub fn is_met(&self) -> bool {
        matches!(&self.probe, Probe::File(path) if Path::new(path).exists())
    }

    /// What is probed and what was seen last, for people.
    pub fn last_seen(&self) -> String {
        let what = match &self.probe {
            Probe::File(path) => format!("the file {path}"),
            Probe::Tcp(authority) => format!("tcp {authority}"),
            Probe::Http(url) => url.clone(),
            Probe::Exec(args) => format!("`{}`", args.join(" ")),
        };
        let hangs = match self.attempt {
            Attempt::Program { .. } => "has not ended yet",
            Attempt::Connecting { .. } | Attempt::Reading { .. } => "no answer yet",
            Attempt::Pause { .. } => "not tried yet",
        };
        let (seen, mid) = (self.seen.as_deref().unwrap_or(hangs), self.separator());
        format!("{what}{mid} {seen}")
    }

    /// Files and programs are what does something; to an address something happens.
    fn separator(&self) -> &'static str {
        if matches!(self.probe, Probe::File(_) | Probe::Exec(_)) { "" } else { ":" }
    }

    /// The attempt failed, having seen this; the next one comes after a pause.
    pub fn failed(&mut self, now: u64, seen: String) -> Progress {
        self.seen = Some(seen);
        self.attempt = Attempt::Pause { until: now + self.pause_ms };
        self.pause_ms = (self.pause_ms * 2).min(MAX_PAUSE_MS);
        Progress::Wait
    }

    fn begin(&mut self, now: u64) -> Progress {
        let address = match &self.probe {
            Probe::File(path) if Path::new(path).exists() => return Progress::Ready,
            Probe::File(_) => return self.failed(now, "is not there".to_owned()),
            Probe::Exec(args) => return Progress::Run(args.clone()),
            Probe::Http(url) => Url::parse(url).and_then(|url| address(url.authority, 80)),
            Probe::Tcp(authority) => address(authority, 0),
        };
        match address.map(connect::begin) {
            Some(Ok(socket)) => {
                self.attempt = Attempt::Connecting { socket, give_up: now + ATTEMPT_MS };
                Progress::Wait
            }
            Some(Err(errno)) => self.failed(now, reason(&errno.into())),
            None => self.failed(now, "is no address".to_owned()),
        }
    }

    fn connected(&mut self, now: u64, mut socket: TcpStream, give_up: u64) -> Progress {
        match connect::finish(&socket) {
            None => {
                self.attempt = Attempt::Connecting { socket, give_up };
                Progress::Wait
            }
            Some(Err(error)) => self.failed(now, reason(&error)),
            Some(Ok(())) => match &self.probe {
                Probe::Http(url) if socket.write_all(request(url).as_bytes()).is_ok() => {
                    self.attempt = Attempt::Reading { socket, answer: Vec::new(), give_up };
                    Progress::Wait
                }
                Probe::Http(_) => self.failed(now, "the connection was closed".to_owned()),
                _ => Progress::Ready,
            },
        }
    }

    fn answered(&mut self, now: u64, mut socket: TcpStream, mut answer: Vec<u8>, give_up: u64) -> Progress {
        let mut buffer = [0; 256];
        match socket.read(&mut buffer) {
            Ok(count) if count > 0 => answer.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return self.failed(now, reason(&error)),
            Ok(_) => return self.failed(now, "the connection was closed without an answer".to_owned()),
        }
        match status_of(&answer) {
            Some(200..=399) => Progress::Ready,
            None if answer.len() < MAX_ANSWER_BYTES => {
                self.attempt = Attempt::Reading { socket, answer, give_up };
                Progress::Wait
            }
            Some(status @ 1..) => self.failed(now, format!("status {status}")),
            _ => self.failed(now, "the answer is no HTTP".to_owned()),
        }
    }
}

/// The system's words for an error, without its number.
fn reason(error: &std::io::Error) -> String {
    let known = error.raw_os_error().map(|number| nix::errno::Errno::from_raw(number).desc().to_lowercase());
    known.unwrap_or_else(|| error.to_string())
}

/// Why a probe can never succeed, in a person's words; `None` when it can.
pub fn problem(probe: &Probe) -> Option<String> {
    match probe {
        Probe::Http(url) => match Url::parse(url) {
            None => Some(format!("the readiness probe {url:?} does not begin with http://")),
            Some(found) if address(found.authority, 80).is_none() => Some(unknown_host(found.authority)),
            Some(_) => None,
        },
        Probe::Tcp(authority) => address(authority, 0).is_none().then(|| unknown_host(authority)),
        Probe::Exec(args) => args.is_empty().then(|| "the readiness probe names no program".to_owned()),
        Probe::File(_) => None,
    }
}

fn unknown_host(authority: &str) -> String {
    format!("the readiness probe's address {authority:?} is not ADDRESS:PORT with an IP address or localhost")
}

struct Url<'a> {
    authority: &'a str,
    path: &'a str,
}

impl<'a> Url<'a> {
    fn parse(url: &'a str) -> Option<Self> {
        let rest = url.strip_prefix("http://")?;
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at_checked(end)?;
        Some(Self { authority, path: path.split('#').next().unwrap_or_default() })
    }
}

fn address(authority: &str, default_port: u16) -> Option<SocketAddr> {
    if let Ok(address) = authority.parse() {
        return Some(address);
    }
    let (host, port) = match authority.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, port.parse().ok()?),
        _ => (authority, default_port),
    };
    let ip = match host {
        "localhost" => IpAddr::V4(Ipv4Addr::LOCALHOST),
        host => host.trim_start_matches('[').trim_end_matches(']').parse().ok()?,
    };
    (port != 0).then_some(SocketAddr::new(ip, port))
}

fn request(url: &str) -> String {
    let (authority, path) = Url::parse(url).map_or(("", ""), |url| (url.authority, url.path));
    let slash = if path.starts_with('/') { "" } else { "/" };
    format!(
        "GET {slash}{path} HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: appliance-guest\r\nAccept: */*\r\nConnection: close\r\n\r\n"
    )
}

/// The status code of an answer's first line, once it is there (RFC 9112, section 4); 0 when it is no HTTP.
fn status_of(answer: &[u8]) -> Option<u16> {
    let head = answer.get(..12)?;
    let text = std::str::from_utf8(head).ok().filter(|text| text.starts_with("HTTP/1."));
    Some(text.and_then(|text| text.get(9..)).and_then(|code| code.parse().ok()).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood() {
        let check = |text: &str, expected: Option<&str>| {
            assert_eq!(address(text, 80).map(|a| a.to_string()).as_deref(), expected, "{text}")
        };
        check("127.0.0.1:8080", Some("127.0.0.1:8080"));
        check("127.0.0.1", Some("127.0.0.1:80"));
        check("localhost:1", Some("127.0.0.1:1"));
        check("[::1]:9", Some("[::1]:9"));
        check("[::1]", Some("[::1]:80"));
        check("example.org:80", None);
        check("localhost:99999", None);
        check("localhost:0", None);
        check("", None);
    }

    #[test]
    fn requests_are_made() {
        let check = |url: &str, expected: &str| assert!(request(url).starts_with(expected), "{url}");
        check("http://127.0.0.1:80/health?x=1#y", "GET /health?x=1 HTTP/1.1\r\nHost: 127.0.0.1:80\r\n");
        check("http://localhost", "GET / HTTP/1.1\r\nHost: localhost\r\n");
        check("http://localhost?x", "GET /?x HTTP/1.1\r\n");
    }

    #[test]
    fn what_was_seen_last_is_said() {
        let check = |probe: Probe, before: &str, seen: &str, after: &str| {
            let mut prober = Prober::new(0, probe, 0);
            assert_eq!(prober.last_seen(), before);
            prober.failed(0, seen.to_owned());
            assert_eq!(prober.last_seen(), after);
        };
        let url = || Probe::Http("http://localhost:1/x".to_owned());
        check(url(), "http://localhost:1/x: not tried yet", "status 404", "http://localhost:1/x: status 404");
        check(Probe::Tcp("[::1]:1".to_owned()), "tcp [::1]:1: not tried yet", "x", "tcp [::1]:1: x");
        let program = Probe::Exec(vec!["pg_isready".to_owned(), "-q".to_owned()]);
        check(program, "`pg_isready -q` not tried yet", "ended with status 2", "`pg_isready -q` ended with status 2");
        let mut missing = Prober::new(0, Probe::File("/no/such".to_owned()), 0);
        assert!(missing.advance(0) == Progress::Wait && !missing.is_met());
        assert_eq!(missing.last_seen(), "the file /no/such is not there");
        assert_eq!(reason(&std::io::Error::from_raw_os_error(111)), "connection refused");
    }

    #[test]
    fn answers_are_judged() {
        let check =
            |answer: &str, expected: Option<u16>| assert_eq!(status_of(answer.as_bytes()), expected, "{answer}");
        check("HTTP/1.1 200 OK\r\n", Some(200));
        check("HTTP/1.0 503", Some(503));
        check("HTTP/1.0 50", None);
        check("SSH-2.0-OpenSSH_9", Some(0));
        check("HTTP/1.1 abc", Some(0));
    }
}
