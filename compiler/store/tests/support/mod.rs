//! What the tests of the store share: a web server with bad manners, and packages to serve.

#![allow(dead_code, reason = "every test file uses its own part of this")]

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use packages::{LockedPackage, Origin, Sha256};
use store::{Mirrors, Patience};
use tree::{Digest, Node};

#[path = "../../../formats/tests/debs/mod.rs"]
pub mod debs;

/// How the server behaves for one path, answer by answer; the last one stays.
#[derive(Clone)]
pub enum Manner {
    /// Gives the file, or the part asked for.
    Good,
    /// Answers with this status.
    Status(u16),
    /// Announces the whole, sends this many bytes, and closes.
    Truncate(usize),
    /// Sends this many bytes of the whole and then nothing, for longer than anyone waits.
    Stall(usize),
    /// Redirects here.
    Redirect(String),
    /// Sends a login page.
    WebPage,
    /// Sends other bytes of the same length.
    Corrupt,
    /// Sends the file and then more, without announcing a length.
    Endless,
    /// Ignores ranges.
    NoRange,
}

struct State {
    files: BTreeMap<String, (Vec<u8>, Vec<Manner>)>,
    log: Vec<String>,
}

/// A web server on the loopback address.
pub struct Server {
    pub url: String,
    state: Arc<Mutex<State>>,
}

impl Server {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let state = Arc::new(Mutex::new(State { files: BTreeMap::new(), log: Vec::new() }));
        let shared = state.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let state = shared.clone();
                std::thread::spawn(move || _ = answer(stream, &state));
            }
        });
        Self { url, state }
    }

    pub fn serve(&self, path: &str, bytes: &[u8], manners: &[Manner]) {
        self.state.lock().unwrap().files.insert(path.to_owned(), (bytes.to_vec(), manners.to_vec()));
    }

    /// The requests so far, as `PATH RANGE`.
    pub fn log(&self) -> Vec<String> {
        self.state.lock().unwrap().log.clone()
    }

    pub fn mirrors(&self) -> Mirrors {
        [("toy".to_owned(), vec![self.url.clone()])].into()
    }
}

fn answer(mut stream: TcpStream, state: &Mutex<State>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    let mut first = String::new();
    reader.read_line(&mut first)?;
    let path = first.split(' ').nth(1).unwrap_or_default().to_owned();
    let (mut range, mut etag) = (None, String::new());
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(start) = lower.strip_prefix("range: bytes=") {
            range = start.trim().trim_end_matches('-').parse::<usize>().ok();
        }
        if let Some(value) = lower.strip_prefix("if-none-match: ") {
            etag = value.trim().to_owned();
        }
    }
    let (bytes, manner) = {
        let mut state = state.lock().unwrap();
        state.log.push(format!("{path} {}", range.map_or_else(|| "whole".to_owned(), |start| start.to_string())));
        match state.files.get_mut(&path) {
            None => (Vec::new(), Manner::Status(404)),
            Some((bytes, manners)) => {
                let manner = if manners.len() > 1 {
                    manners.remove(0)
                } else {
                    manners.first().cloned().unwrap_or(Manner::Good)
                };
                (bytes.clone(), manner)
            }
        }
    };
    respond(&mut stream, &bytes, manner, range, &etag)
}

fn respond(
    stream: &mut TcpStream,
    bytes: &[u8],
    manner: Manner,
    range: Option<usize>,
    etag: &str,
) -> std::io::Result<()> {
    let tag = format!("\"{}\"", Digest::of(bytes));
    let head =
        |status: &str, more: &str| format!("HTTP/1.1 {status}\r\nConnection: close\r\nETag: {tag}\r\n{more}\r\n");
    let length = format!("Content-Length: {}\r\n", bytes.len());
    match manner {
        Manner::Good if etag == tag => write!(stream, "{}", head("304 Not Modified", "")),
        Manner::Good if range.is_some_and(|start| start < bytes.len()) => {
            let start = range.unwrap_or(0);
            let more = format!(
                "Content-Length: {}\r\nContent-Range: bytes {start}-{}/{}\r\n",
                bytes.len() - start,
                bytes.len() - 1,
                bytes.len()
            );
            write!(stream, "{}", head("206 Partial Content", &more))?;
            stream.write_all(&bytes[start..])
        }
        Manner::Good | Manner::NoRange => {
            write!(stream, "{}", head("200 OK", &length))?;
            stream.write_all(bytes)
        }
        Manner::Status(status) => write!(stream, "{}", head(&format!("{status} Because"), "Content-Length: 0\r\n")),
        Manner::Truncate(count) => {
            write!(stream, "{}", head("200 OK", &length))?;
            stream.write_all(&bytes[..count])
        }
        Manner::Stall(count) => {
            write!(stream, "{}", head("200 OK", &length))?;
            stream.write_all(&bytes[..count])?;
            stream.flush()?;
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        Manner::Redirect(to) => {
            write!(stream, "{}", head("302 Found", &format!("Location: {to}\r\nContent-Length: 0\r\n")))
        }
        Manner::WebPage => {
            let page = "<html>log in</html>";
            write!(
                stream,
                "{}{page}",
                head(
                    "200 OK",
                    &format!("Content-Type: text/html; charset=utf-8\r\nContent-Length: {}\r\n", page.len())
                )
            )
        }
        Manner::Corrupt => {
            write!(stream, "{}", head("200 OK", &length))?;
            stream.write_all(&vec![b'#'; bytes.len()])
        }
        Manner::Endless => {
            write!(stream, "{}", head("200 OK", ""))?;
            stream.write_all(bytes)?;
            loop {
                stream.write_all(&[0; 4096])?;
            }
        }
    }
}

/// The patience of a test with a server that answers: it may be slow on a busy machine.
pub const PATIENCE: Patience = Patience {
    connect: Duration::from_secs(20),
    stall: Duration::from_secs(20),
    tries: 3,
    backoff: Duration::from_millis(1),
};

/// A package of a few files; different numbers give different packages.
pub fn toy_deb(number: usize) -> Vec<u8> {
    let text = |n: usize| format!("content {n}\n").repeat(n + 1);
    let files: Vec<_> = (0..20)
        .map(|n| (format!("usr/share/toy-{number}/f{n:02}"), Node::file(0o644, text(n % 15 + number))))
        .collect();
    let large = vec![number as u8; 600_000];
    let mut entries: Vec<(&str, Node)> = files.iter().map(|(path, node)| (path.as_str(), node.clone())).collect();
    entries.push(("usr/share/large-a", Node::file(0o644, large.clone())));
    entries.push(("usr/share/large-b", Node::file(0o644, large)));
    entries.push(("usr/share/tail", Node::file(0o644, text(3))));
    debs::deb(&debs::control(), &debs::good_tar(&entries))
}

/// What a lock says of these bytes.
pub fn locked(name: &str, bytes: &[u8]) -> LockedPackage {
    LockedPackage {
        name: name.to_owned(),
        version: "1.0".to_owned(),
        arch: "all".to_owned(),
        origin: Origin { archive: "toy".to_owned(), suite: "stable".to_owned(), component: "main".to_owned() },
        path: format!("pool/{name}.deb"),
        size_bytes: bytes.len() as u64,
        digest: packages::ArchiveDigest::Sha256(Sha256::of(bytes)),
        blake3: Some(Digest::of(bytes)),
    }
}

/// An error with all its causes, as a person sees it.
pub fn shown(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(next) = cause {
        text = format!("{text}: {next}");
        cause = next.source();
    }
    text
}
