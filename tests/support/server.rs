//! A web server on the loopback address for a folder, with bad manners where a test asks for them.

#![allow(dead_code, clippy::allow_attributes, reason = "every kind of test uses its own part of this")]

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

/// What is done to a request instead of answering it well.
#[derive(Clone, Copy, PartialEq)]
pub enum Manner {
    /// Answers with this status.
    Status(u16),
    /// Sends a login page.
    WebPage,
    /// Announces the whole, sends half of it and closes.
    Truncate,
    /// Announces the whole, sends half of it and then nothing more.
    Stall,
    /// Sends other bytes of the same length.
    Corrupt,
    /// Redirects to the same address.
    RedirectLoop,
    /// Sends nothing at all.
    Silence,
    /// Limits the rate, and asks to wait for so many seconds.
    Limit(u32),
    /// Limits the rate once, and then no more.
    LimitOnce,
    /// Asks for authentication of this kind.
    Ask(&'static str),
}

/// The server; it ends with the test process.
pub struct Server {
    /// Root of the archive that it serves.
    pub url: String,
    /// Where it listens: the name of a registry, whose paths are those of the folder too.
    pub address: String,
    state: Arc<State>,
}

struct State {
    folder: PathBuf,
    bad: Mutex<Vec<(String, Manner)>>,
    log: Mutex<Vec<String>>,
}

impl Server {
    /// Serves the archive `toy` of this folder.
    pub fn of(folder: PathBuf) -> Self {
        Self::start(folder, None)
    }

    /// The same with TLS.
    pub fn with_tls(folder: PathBuf, tls: rustls::ServerConfig) -> Self {
        Self::start(folder, Some(Arc::new(tls)))
    }

    fn start(folder: PathBuf, tls: Option<Arc<rustls::ServerConfig>>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let url = format!("{}://{address}/toy", if tls.is_some() { "https" } else { "http" });
        let state = Arc::new(State { folder, bad: Mutex::default(), log: Mutex::default() });
        let shared = state.clone();
        std::thread::spawn(move || {
            for mut stream in listener.incoming().flatten() {
                let (state, tls) = (shared.clone(), tls.clone());
                std::thread::spawn(move || match tls {
                    None => drop(answer(&mut stream, &state)),
                    Some(tls) => {
                        let connection = rustls::ServerConnection::new(tls).unwrap();
                        let mut stream = rustls::StreamOwned::new(connection, stream);
                        drop(answer(&mut stream, &state));
                        stream.conn.send_close_notify();
                        let _ = stream.flush();
                    }
                });
            }
        });
        Self { url, address, state }
    }

    /// From now on every path that contains `part` is answered so.
    pub fn misbehave(&self, part: &str, manner: Manner) {
        self.state.bad.lock().unwrap().push((part.to_owned(), manner));
    }

    pub fn behave(&self) {
        self.state.bad.lock().unwrap().clear();
    }

    /// The paths that were asked for.
    pub fn log(&self) -> Vec<String> {
        self.state.log.lock().unwrap().clone()
    }
}

impl State {
    /// How a path is answered this time.
    fn manner(&self, path: &str) -> Option<Manner> {
        let mut bad = self.bad.lock().unwrap();
        let at = bad.iter().position(|(part, _)| path.contains(part.as_str()))?;
        Some(if bad[at].1 == Manner::LimitOnce { bad.remove(at).1 } else { bad[at].1 })
    }
}

fn answer(mut stream: &mut (impl Read + Write), state: &State) -> std::io::Result<()> {
    let mut first = String::new();
    {
        // Nothing comes behind the head of a request.
        let mut reader = BufReader::new(&mut stream);
        // TLS where none is spoken is no text, or no request.
        if reader.read_line(&mut first).is_err() || !["GET ", "POST "].iter().any(|verb| first.starts_with(verb)) {
            drop(reader);
            return head(stream, "400 Bad Request", 0, "");
        }
        let mut line = String::from("more");
        while line.trim() != "" {
            line.clear();
            reader.read_line(&mut line)?;
        }
    }
    let path = first.split(' ').nth(1).unwrap_or_default();
    // A proxy is told the whole address.
    let path = path.strip_prefix("http://").map_or(path, |rest| &rest[rest.find('/').unwrap_or(rest.len())..]);
    let below = path.strip_prefix("/toy/").or(path.strip_prefix('/'));
    let (target, path) = (path.to_owned(), below.unwrap_or_default().to_owned());
    state.log.lock().unwrap().push(path.clone());
    let manner = state.manner(&path);
    let Ok(bytes) = fs::read(state.folder.join(&path)) else { return head(stream, "404 Not Found", 0, "") };
    match manner {
        None => {
            head(stream, "200 OK", bytes.len(), "")?;
            stream.write_all(&bytes)
        }
        Some(Manner::Status(status)) => head(stream, &format!("{status} Because"), 0, ""),
        Some(Manner::WebPage) => {
            let page = "<html>log in</html>";
            head(stream, "200 OK", page.len(), "Content-Type: text/html\r\n")?;
            stream.write_all(page.as_bytes())
        }
        Some(Manner::Truncate) => {
            head(stream, "200 OK", bytes.len(), "")?;
            stream.write_all(&bytes[..bytes.len() / 2])
        }
        Some(Manner::Stall) => {
            head(stream, "200 OK", bytes.len(), "")?;
            stream.write_all(&bytes[..bytes.len() / 2])?;
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        Some(Manner::Corrupt) => {
            head(stream, "200 OK", bytes.len(), "")?;
            stream.write_all(&vec![b'#'; bytes.len()])
        }
        Some(Manner::RedirectLoop) => head(stream, "302 Found", 0, &format!("Location: {target}\r\n")),
        Some(Manner::Silence) => {
            std::thread::sleep(Duration::from_secs(60));
            Ok(())
        }
        Some(Manner::Limit(secs)) => head(stream, "429 Slowly", 0, &format!("Retry-After: {secs}\r\n")),
        Some(Manner::LimitOnce) => head(stream, "429 Slowly", 0, "Retry-After: 0\r\n"),
        Some(Manner::Ask(kind)) => head(stream, "401 Who is there", 0, &format!("WWW-Authenticate: {kind}\r\n")),
    }
}

fn head(stream: &mut impl Write, status: &str, length: usize, more: &str) -> std::io::Result<()> {
    write!(stream, "HTTP/1.1 {status}\r\nConnection: close\r\nContent-Length: {length}\r\n{more}\r\n")
}
