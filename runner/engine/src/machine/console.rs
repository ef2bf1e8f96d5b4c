//! The last lines of a machine's console, and of what QEMU itself says: what a user sees of a machine that does not come up.

use std::collections::VecDeque;
use std::io::Read;
use std::os::unix::net::UnixStream;

use super::outlets::is_for_later;

/// How much is kept: some hundred lines.
const KEPT_BYTES: usize = 64 * 1024;

/// How many of the last lines are shown: a kernel that stops says why some twenty lines before its last.
const SHOWN_LINES: usize = 30;

/// The last of what a machine printed where nobody looks.
#[derive(Debug, Default)]
pub struct Console(VecDeque<u8>);

impl Console {
    /// Takes more; the oldest goes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.0.extend(bytes);
        let over = self.0.len().saturating_sub(KEPT_BYTES);
        self.0.drain(..over);
    }

    /// Takes what has come on a socket, and closes it at its end; nothing waits.
    pub fn take_all(&mut self, from: &mut Option<UnixStream>) {
        let mut chunk = [0; 4096];
        // More than a socket holds; one who never stops talking must not keep everybody else waiting.
        for _ in 0..128 {
            match from.as_mut().map(|from| from.read(&mut chunk)) {
                Some(Ok(count @ 1..)) => self.push(chunk.get(..count).unwrap_or_default()),
                Some(Err(error)) if is_for_later(&error) => return,
                Some(_) => *from = None,
                None => return,
            }
        }
    }

    /// The last lines that say something, without what steers a terminal.
    pub fn last_lines(&self) -> Vec<String> {
        let bytes: Vec<u8> = self.0.iter().copied().collect();
        let text = plain(&String::from_utf8_lossy(&bytes));
        let lines: Vec<String> =
            text.lines().map(|line| line.trim_end().to_owned()).filter(|line| !line.is_empty()).collect();
        lines.iter().skip(lines.len().saturating_sub(SHOWN_LINES)).cloned().collect()
    }
}

/// Without escape sequences (ECMA-48: `ESC [`, parameters, a final letter) and other control characters.
fn plain(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text.chars().peekable();
    while let Some(next) = rest.next() {
        match next {
            '\x1b' => {
                if rest.next_if_eq(&'[').is_some() {
                    while rest.next_if(|c| !matches!(c, '@'..='~') && *c != '\n').is_some() {}
                    let _ = rest.next_if(|c| *c != '\n');
                }
            }
            '\n' | '\t' => out.push(next),
            c if c.is_control() => {}
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_plain_text() {
        let mut console = Console::default();
        for number in 0..20_000 {
            console.push(format!("\x1b[2J\x1b[01;32mline {number}\x1b[0m\r\n\r\n").as_bytes());
        }
        console.push(b"\x1b[\nKernel panic\xff \x07\x1b");
        let lines = console.last_lines();
        assert_eq!((lines.len(), lines[0].as_str(), lines[29].as_str()), (30, "line 19971", "Kernel panic\u{fffd}"));
        assert!(console.0.len() <= KEPT_BYTES);
        assert_eq!(Console::default().last_lines(), Vec::<String>::new());
    }
}
