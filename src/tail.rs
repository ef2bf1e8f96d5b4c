//! What services print, passed on as it comes and remembered a little, for the words at the end of a failed run.

use std::collections::VecDeque;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

/// Lines that are remembered, of all services together.
const MAX_LINES: usize = 400;

/// Bytes of a line that are remembered.
const MAX_LINE_BYTES: usize = 400;

/// The last lines of two streams.
#[derive(Debug, Default)]
pub struct Tail {
    lines: Arc<Mutex<Lines>>,
    pumps: Vec<JoinHandle<()>>,
}

#[derive(Debug, Default)]
struct Lines(VecDeque<String>);

impl Tail {
    /// A stream to hand to a program in place of this writer: what goes in is passed on to the writer and remembered.
    ///
    /// # Errors
    /// When the system gives no pipe.
    pub fn through(&mut self, to: impl Write + Send + 'static) -> io::Result<OwnedFd> {
        let (reader, writer) = io::pipe()?;
        let lines = Arc::clone(&self.lines);
        self.pumps.push(std::thread::spawn(move || pump(reader, to, &lines)));
        Ok(writer.into())
    }

    /// The lines, once all that was printed has been passed on; every handed-out stream must be closed by then.
    pub fn finish(self) -> Vec<String> {
        // A pump that panicked has passed on what it could.
        self.pumps.into_iter().for_each(|pump| drop(pump.join()));
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.0.drain(..).collect()
    }
}

/// Ends with the program, or when nobody takes its output any more: it then sees a closed pipe, as it would without this.
fn pump(mut from: PipeReader, mut to: impl Write, lines: &Mutex<Lines>) {
    let (mut buffer, mut pending) = ([0u8; 16 * 1024], Vec::new());
    loop {
        let chunk = match from.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => buffer.get(..count).unwrap_or_default(),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(_) => break,
        };
        if to.write_all(chunk).and_then(|()| to.flush()).is_err() {
            break;
        }
        remember(chunk, &mut pending, lines);
    }
    if !pending.is_empty() {
        remember(b"\n", &mut pending, lines);
    }
}

fn remember(chunk: &[u8], pending: &mut Vec<u8>, lines: &Mutex<Lines>) {
    for byte in chunk {
        match byte {
            b'\n' => {
                let text = String::from_utf8_lossy(pending).trim_end().to_owned();
                lines.lock().unwrap_or_else(PoisonError::into_inner).push(text);
                pending.clear();
            }
            byte if pending.len() < MAX_LINE_BYTES => pending.push(*byte),
            _ => {}
        }
    }
}

impl Lines {
    fn push(&mut self, line: String) {
        if self.0.len() >= MAX_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_passed_on_and_the_end_is_remembered() {
        let (mut passed, to) = io::pipe().unwrap();
        let reading = std::thread::spawn(move || {
            let mut all = String::new();
            passed.read_to_string(&mut all).map(|_| all).unwrap()
        });
        let mut tail = Tail::default();
        let mut stream = std::fs::File::from(tail.through(to).unwrap());
        let text: String = (0..1000).map(|number| format!("line {number}\n")).collect::<String>() + "without an end";
        stream.write_all(text.as_bytes()).unwrap();
        drop(stream);
        let lines = tail.finish();
        assert_eq!((lines.len(), lines.last().map(String::as_str)), (MAX_LINES, Some("without an end")));
        assert_eq!(reading.join().unwrap(), text);
    }

    #[test]
    fn a_line_without_an_end_takes_no_more_memory_than_its_part() {
        let lines = Mutex::new(Lines::default());
        let mut pending = Vec::new();
        remember(&vec![b'x'; 1 << 20], &mut pending, &lines);
        assert_eq!(pending.len(), MAX_LINE_BYTES);
    }
}
