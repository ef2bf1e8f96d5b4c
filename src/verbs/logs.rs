//! `appliance logs`: what a detached instance printed, while it runs and after it has ended.

use std::path::Path;

use bundle::channel::{Happening, Piece, Pieces};
use engine::{Ask, Connection, ConnectionError, EndedInstance, Found, LogsFrom, ended_output};

use crate::cli_instances::Logs;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::instances::{Instances, Meant, ended_meanwhile, odd_end, talking};
use crate::printer::Printer;
use crate::ui::Ui;

/// Prints what an instance printed, each stream to its own.
pub fn logs(args: &Logs, ui: &Ui) -> Result<Exit, Failure> {
    let instances = Instances::look(ui)?;
    let mut printer = Printer::new(ui.json);
    let printed = match instances.meant(&args.instance)? {
        Meant::Live(found) => follow(&found, args, &mut printer),
        Meant::Ended(ended) => kept(&instances.state_folder, *ended, None, args, &mut printer),
    };
    printer.finish();
    let odd = printed?.and_then(|ended| odd_end(&ended));
    odd.iter().for_each(|how| ui.warn(format!("{how}; above is what was kept of what it printed")));
    Ok(Exit::Success)
}

/// Prints what an instance that lives has printed, and the rest from what was kept where it ends under the hand; then it
/// gives how it ended.
fn follow(found: &Found, args: &Logs, printer: &mut Printer) -> Result<Option<EndedInstance>, Failure> {
    let mut printed_to = None;
    let heard = found.connect().and_then(|mut connection| hear(&mut connection, args, &mut printed_to, printer));
    heard.map(|()| None).or_else(|error| match ended_meanwhile(found, error)? {
        Some(ended) => kept(found.folder.parent().unwrap_or(&found.folder), ended, printed_to, args, printer),
        None => Err(talking(found, ConnectionError::Gone)),
    })
}

/// Prints what is kept of an instance that has ended: from this position, else as much as was asked for.
fn kept(
    state_folder: &Path,
    ended: EndedInstance,
    from: Option<u64>,
    args: &Logs,
    printer: &mut Printer,
) -> Result<Option<EndedInstance>, Failure> {
    let all = ended_output(state_folder, &ended.name)
        .map_err(|error| Failure::doing(Exit::Failure, format!("read what {} printed", ended.name), error))?;
    let pieces = Pieces::default().push(&all).map_err(|error| Failure::new(Exit::Failure, error))?;
    let skipped = match from {
        Some(from) => usize::try_from(from.saturating_sub(ended.printed_from)).unwrap_or(usize::MAX),
        None => args.tail.map_or(0, |lines| before_tail(&pieces, lines)),
    };
    print_from(&pieces, skipped, printer);
    Ok(Some(ended))
}

/// Prints what comes. `printed_to` is the position up to which that was done, once it is known where it begins.
///
/// # Errors
/// [`ConnectionError::Gone`] when the instance ended before all had come.
fn hear(
    connection: &mut Connection,
    args: &Logs,
    printed_to: &mut Option<u64>,
    printer: &mut Printer,
) -> Result<(), ConnectionError> {
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
                if !found.iter().all(|piece| printer.print(piece)) {
                    return Ok(());
                }
            }
            Happening::Finished(of) if of == stream => return Ok(()),
            Happening::Reset(of) if of == stream => return Err(ConnectionError::Gone),
            _ => {}
        }
    }
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

fn print_from(pieces: &[Piece], mut skipped: usize, printer: &mut Printer) {
    for piece in pieces {
        let bytes = bytes_of(piece);
        let rest = bytes.get(skipped.min(bytes.len())..).unwrap_or_default().to_vec();
        skipped = skipped.saturating_sub(bytes.len());
        let rest = if matches!(piece, Piece::Err(_)) { Piece::Err(rest) } else { Piece::Out(rest) };
        if !printer.print(&rest) {
            break;
        }
    }
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
