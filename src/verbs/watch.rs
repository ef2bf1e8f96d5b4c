//! `appliance watch`: what happens to a path of an instance that runs, one change a line, until the instance ends.

use std::io::{self, Write};

use bundle::channel::{Change, ChangeKind, Happening, Piece, Pieces, Request};
use engine::{Connection, ConnectionError};
use serde_json::json;

use crate::cli_instances::Watch;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::instances::{Instances, connect, talking};
use crate::shown::{absolute, shown};
use crate::ui::Ui;

/// The longest line that a guest says: two names of at most 1280 bytes, escaped, and some.
const MAX_LINE_BYTES: usize = 32 * 1024;

/// Tells of every change until Ctrl-C, or the end of the instance or of the path.
pub fn watch(args: &Watch, ui: &Ui) -> Result<Exit, Failure> {
    let found = Instances::look(ui)?.live(&args.instance)?;
    let path = absolute(&args.path);
    let doing = |error: ConnectionError| match error {
        ConnectionError::Refused(reason) => {
            Failure::doing(Exit::Failure, format!("watch {path} in {}", found.name), reason)
        }
        error => talking(&found, error),
    };
    let mut connection = connect(&found)?;
    let wanted = Request::Watch { path: path.clone(), recursive: true };
    let (stream, _) = connection.begin(&wanted).map_err(doing)?;
    ui.detail(format!("watching {path} in {}", found.name));
    let telling = Telling { path: &path, ui, pieces: Pieces::default(), line: Vec::new() };
    match telling.until_end(&mut connection, stream) {
        Err(ConnectionError::Gone) => {
            ui.note(format!("{} has ended", found.name));
            Ok(Exit::Success)
        }
        ended => ended.map(|()| Exit::Success).map_err(doing),
    }
}

/// What comes of one path.
struct Telling<'a> {
    path: &'a str,
    ui: &'a Ui,
    pieces: Pieces,
    /// What has come of a line.
    line: Vec<u8>,
}

impl Telling<'_> {
    fn until_end(mut self, connection: &mut Connection, stream: u32) -> Result<(), ConnectionError> {
        loop {
            match connection.next_in_time(None)? {
                Happening::Data { stream: of, bytes } if of == stream => {
                    connection.session().used(stream, bytes.len());
                    let pieces = self.pieces.push(&bytes);
                    for piece in pieces.map_err(|error| ConnectionError::Refused(error.to_string()))? {
                        if !self.take(piece)? {
                            return Ok(());
                        }
                    }
                }
                Happening::Finished(of) if of == stream => return Ok(()),
                Happening::Reset(of) if of == stream => return Err(ConnectionError::Gone),
                _ => {}
            }
        }
    }

    /// Tells what a piece holds; `false` when nobody reads it any more.
    fn take(&mut self, piece: Piece) -> Result<bool, ConnectionError> {
        match piece {
            Piece::Out(bytes) => {
                for byte in bytes {
                    match byte {
                        b'\n' => {
                            if !self.tell()? {
                                return Ok(false);
                            }
                        }
                        _ if self.line.len() >= MAX_LINE_BYTES => {
                            return Err(ConnectionError::Refused("understand it: a line is too long".to_owned()));
                        }
                        byte => self.line.push(byte),
                    }
                }
            }
            Piece::Err(bytes) => return Err(ConnectionError::Refused(String::from_utf8_lossy(&bytes).into_owned())),
            _ => {}
        }
        Ok(true)
    }

    fn tell(&mut self) -> Result<bool, ConnectionError> {
        let line = std::mem::take(&mut self.line);
        let change: Change = serde_json::from_slice(&line)
            .map_err(|error| ConnectionError::Refused(format!("understand a change: {error}")))?;
        let text = if self.ui.json { data(&change, self.path) } else { words(&change, self.path) };
        // A closed pipe is the reader's choice.
        Ok(writeln!(io::stdout(), "{text}").and_then(|()| io::stdout().flush()).is_ok())
    }
}

/// A change with whole paths, as data.
fn data(change: &Change, path: &str) -> String {
    let place = |name: &Option<String>| name.as_ref().map(|name| below(path, name));
    let mut value = json!({ "change": change.change, "path": place(&change.name).unwrap_or_else(|| path.to_owned()) });
    if let Some(from) = place(&change.from) {
        value["from"] = from.into();
    }
    value.to_string()
}

/// The same in words.
fn words(change: &Change, path: &str) -> String {
    let place = change.name.as_ref().map_or_else(|| path.to_owned(), |name| below(path, name));
    let word = match change.change {
        ChangeKind::Created => "created",
        ChangeKind::Modified => "modified",
        ChangeKind::Described => "described",
        ChangeKind::Deleted => "deleted",
        ChangeKind::Moved => "moved",
        ChangeKind::Overflow => "overflow",
        ChangeKind::Unwatched => "unwatched",
        ChangeKind::Gone => "gone",
    };
    let more = match (change.change, &change.from) {
        (_, Some(from)) => format!(" from {}", shown(&below(path, from))),
        (ChangeKind::Overflow, _) => ": more happened than could be told, so look at everything again".to_owned(),
        (ChangeKind::Unwatched, _) => {
            ": there are too many folders, and this one and others are not watched".to_owned()
        }
        _ => String::new(),
    };
    format!("{word:<9} {}{more}", shown(&place))
}

fn below(path: &str, name: &str) -> String {
    format!("{}/{name}", path.trim_end_matches('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn changes_are_told_with_whole_paths() {
        let change = |change, name: Option<&str>, from: Option<&str>| Change {
            change,
            name: name.map(str::to_owned),
            from: from.map(str::to_owned),
        };
        let moved = change(ChangeKind::Moved, Some("b"), Some("x/a\u{1b}"));
        assert_eq!(words(&moved, "/srv"), "moved     /srv/b from /srv/x/a\\u{1b}");
        assert_eq!(data(&moved, "/"), r#"{"change":"moved","from":"/x/a\u001b","path":"/b"}"#);
        assert_eq!(words(&change(ChangeKind::Gone, None, None), "/srv"), "gone      /srv");
        assert!(words(&change(ChangeKind::Overflow, None, None), "/srv").contains("look at everything again"));
    }
}
