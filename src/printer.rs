//! Printing what an instance printed: as it came, each stream to its own, or as JSON, one object for each line.

use std::io::{self, Write};

use bundle::channel::Piece;
use serde_json::json;

/// Prints pieces.
#[derive(Debug)]
pub struct Printer {
    as_json: bool,
    /// The lines of output and errors that have not ended yet.
    begun: [Vec<u8>; 2],
}

impl Printer {
    /// Prints as it came, or as JSON.
    pub fn new(as_json: bool) -> Self {
        Self { as_json, begun: [Vec::new(), Vec::new()] }
    }

    /// Prints a piece; `false` when nobody takes it any more, which is the reader's choice.
    pub fn print(&mut self, piece: &Piece) -> bool {
        let written = match piece {
            Piece::Out(bytes) | Piece::Err(bytes) if self.as_json => {
                self.add(usize::from(matches!(piece, Piece::Err(_))), bytes)
            }
            Piece::Out(bytes) => io::stdout().write_all(bytes).and_then(|()| io::stdout().flush()),
            Piece::Err(bytes) => io::stderr().write_all(bytes),
            _ => Ok(()),
        };
        written.is_ok()
    }

    /// Prints lines that nothing ended.
    pub fn finish(&mut self) {
        for stream in 0..self.begun.len() {
            let rest = self.begun.get_mut(stream).map(std::mem::take).unwrap_or_default();
            if !rest.is_empty() {
                let _ = print_line(stream, &rest);
            }
        }
    }

    fn add(&mut self, stream: usize, bytes: &[u8]) -> io::Result<()> {
        let Some(begun) = self.begun.get_mut(stream) else { return Ok(()) };
        begun.extend(bytes);
        while let Some(end) = begun.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = begun.drain(..=end).collect();
            print_line(stream, line.get(..end).unwrap_or_default())?;
        }
        Ok(())
    }
}

fn print_line(stream: usize, line: &[u8]) -> io::Result<()> {
    let stream = if stream == 0 { "stdout" } else { "stderr" };
    let text = json!({ "stream": stream, "line": String::from_utf8_lossy(line) });
    writeln!(io::stdout(), "{text}").and_then(|()| io::stdout().flush())
}
