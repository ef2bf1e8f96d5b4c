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
        Self { service, probe, attempt: Attempt::Pause { until: now }, pause_ms: FIRST_PAUSE_MS }
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
                _ => self.failed(now),
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
        if status == 0 { Progress::Ready } else { self.failed(now) }
    }

    /// The attempt failed; the next one comes after a pause.
    pub fn failed(&mut self, now: u64) -> Progress {
        self.attempt = Attempt::Pause { until: now + self.pause_ms };
        self.pause_ms = (self.pause_ms * 2).min(MAX_PAUSE_MS);
        Progress::Wait
    }

    fn begin(&mut self, now: u64) -> Progress {
        let address = match &self.probe {
            Probe::File(path) if Path::new(path).exists() => return Progress::Ready,
            Probe::File(_) => return self.failed(now),
            Probe::Exec(args) => return Progress::Run(args.clone()),
            Probe::Http(url) => Url::parse(url).and_then(|url| address(url.authority, 80)),
            Probe::Tcp(authority) => address(authority, 0),
        };
        match address.map(connect::begin) {
            Some(Ok(socket)) => {
                self.attempt = Attempt::Connecting { socket, give_up: now + ATTEMPT_MS };
                Progress::Wait
            }
            _ => self.failed(now),
        }
    }

    fn connected(&mut self, now: u64, mut socket: TcpStream, give_up: u64) -> Progress {
        match connect::finish(&socket) {
            None => {
                self.attempt = Attempt::Connecting { socket, give_up };
                Progress::Wait
            }
            Some(Err(_)) => self.failed(now),
            Some(Ok(())) => match &self.probe {
                Probe::Http(url) if socket.write_all(request(url).as_bytes()).is_ok() => {
                    self.attempt = Attempt::Reading { socket, answer: Vec::new(), give_up };
                    Progress::Wait
                }
                Probe::Http(_) => self.failed(now),
                _ => Progress::Ready,
            },
        }
    }

    fn answered(&mut self, now: u64, mut socket: TcpStream, mut answer: Vec<u8>, give_up: u64) -> Progress {
        let mut buffer = [0; 256];
        match socket.read(&mut buffer) {
            Ok(count) if count > 0 => answer.extend_from_slice(buffer.get(..count).unwrap_or_default()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            _ => return self.failed(now),
        }
        match status_of(&answer) {
            Some(200..=399) => Progress::Ready,
            None if answer.len() < MAX_ANSWER_BYTES => {
                self.attempt = Attempt::Reading { socket, answer, give_up };
                Progress::Wait
            }
            _ => self.failed(now),
        }
    }
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
