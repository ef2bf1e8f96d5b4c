//! `appliance logs`: what a detached instance printed, while it runs and after it has ended.

use std::io::{self, Write};
use std::path::Path;

use bundle::channel::{Happening, Piece, Pieces};
use engine::{Ask, Connection, ConnectionError, EndedInstance, LogsFrom, ended_output};

use crate::cli_instances::Logs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::instances::{Instances, Meant, ended_meanwhile, talking};
use crate::ui::Ui;

/// Prints what an instance printed, each stream to its own.
pub fn logs(args: &Logs, ui: &Ui) -> Result<Exit, Failure> {
    let instances = Instances::look(ui)?;
    match instances.meant(&args.instance)? {
        Meant::Live(found) => {
            let mut printed_to = None;
            let followed = found.connect().and_then(|mut connection| follow(&mut connection, args, &mut printed_to));
            followed.map(|()| Exit::Success).or_else(|error| {
                // It ended under the hand: the rest is what was kept.
                let Some(ended) = ended_meanwhile(&found, error)? else {
                    return Err(talking(&found, ConnectionError::Gone));
                };
                print_kept(&instances.state_folder, &ended, printed_to, args)
            })
        }
        Meant::Ended(ended) => print_kept(&instances.state_folder, &ended, None, args),
    }
}

/// Prints what is kept of an instance that has ended: from this position, else as much as was asked for.
fn print_kept(state_folder: &Path, ended: &EndedInstance, from: Option<u64>, args: &Logs) -> Result<Exit, Failure> {
    let all = ended_output(state_folder, &ended.name)
        .map_err(|error| Failure::doing(Exit::Failure, format!("read what {} printed", ended.name), error))?;
    let pieces = Pieces::default().push(&all).map_err(|error| Failure::new(Exit::Failure, error))?;
    let skipped = match from {
        Some(from) => usize::try_from(from.saturating_sub(ended.printed_from)).unwrap_or(usize::MAX),
        None => args.tail.map_or(0, |lines| before_tail(&pieces, lines)),
    };
    Ok(print_from(&pieces, skipped))
}

/// Prints what comes. `printed_to` is the position up to which that was done, once it is known where it begins.
///
/// # Errors
/// [`ConnectionError::Gone`] when the instance ended before all had come.
fn follow(connection: &mut Connection, args: &Logs, printed_to: &mut Option<u64>) -> Result<(), ConnectionError> {
    let (stream, said) = connection.begin(&Ask::Logs { tail: args.tail, follow: args.follow })?;
    let mut position = serde_json::from_value(said.json).map_or(0, |LogsFrom { from }| from);
    let mut pieces = Pieces::default();
    loop {
        *printed_to = Some(position);
        match connection.next_in_time(None)? {
            Happening::Data { stream: of, bytes } if of == stream => {
                connection.session().used(stream, bytes.len());
                let found = pieces.push(&bytes).map_err(|error| ConnectionError::Refused(error.to_string()))?;
                position += found.iter().map(|piece| bytes_of(piece).len() as u64).sum::<u64>();
                if !found.iter().all(print) {
                    return Ok(());
                }
            }
            Happening::Finished(of) if of == stream => return Ok(()),
            Happening::Reset(of) if of == stream => return Err(ConnectionError::Gone),
            _ => {}
        }
    }
}

/// `false` when nobody takes it any more, which is the reader's choice.
fn print(piece: &Piece) -> bool {
    let written = match piece {
        Piece::Out(bytes) => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
        Piece::Err(bytes) => io::stderr().write_all(bytes),
        _ => Ok(()),
    };
    written.is_ok()
}

fn bytes_of(piece: &Piece) -> &[u8] {
    match piece {
        Piece::Out(bytes) | Piece::Err(bytes) => bytes,
        _ => &[],
    }
}

/// How many bytes stand before the last `lines` lines of all streams together.
fn before_tail(pieces: &[Piece], lines: u64) -> usize {
    let all: Vec<u8> = pieces.iter().flat_map(|piece| bytes_of(piece).iter().copied()).collect();
    let body = all.strip_suffix(b"\n").unwrap_or(&all);
    let wanted = usize::try_from(lines).unwrap_or(usize::MAX);
    match wanted.checked_sub(1) {
        None => all.len(),
        Some(skip) => {
            body.iter().enumerate().rev().filter(|(_, byte)| **byte == b'\n').nth(skip).map_or(0, |(at, _)| at + 1)
        }
    }
}

fn print_from(pieces: &[Piece], mut skipped: usize) -> Exit {
    for piece in pieces {
        let bytes = bytes_of(piece);
        let rest = bytes.get(skipped.min(bytes.len())..).unwrap_or_default().to_vec();
        skipped = skipped.saturating_sub(bytes.len());
        let rest = if matches!(piece, Piece::Err(_)) { Piece::Err(rest) } else { Piece::Out(rest) };
        if !print(&rest) {
            break;
        }
    }
    Exit::Success
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_found_across_streams() {
        let pieces = [Piece::Out(b"one\ntw".to_vec()), Piece::Err(b"bad\n".to_vec()), Piece::Out(b"o\n".to_vec())];
        let found: Vec<usize> = [0, 1, 2, 3, 9].into_iter().map(|lines| before_tail(&pieces, lines)).collect();
        assert_eq!(found, [12, 10, 4, 0, 0]);
    }
}
