//! What QEMU says in its own protocol (`docs/interop/qmp-spec.rst`, `qapi/run-state.json`, `qapi/block-core.json`): a JSON
//! object for each line, of which little is of interest here.

use serde_json::Value;

/// The longest line that is listened to. Answers to the orders of this crate have some hundred bytes.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// Longer words are cut before anybody reads them.
const MAX_REASON_CHARS: usize = 300;

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Said {
    /// The answer to the order with this number; QEMU's words where it would not.
    Answered {
        /// The number.
        number: u64,
        /// Whether it did it.
        result: Result<Option<GuestMemory>, String>,
    },
    /// An event.
    Happened(Happened),
    /// Anything else.
    Other,
}

/// What the machine's kernel says of its memory (`guest-stats`, `docs/interop/virtio-balloon-stats.rst`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct GuestMemory {
    /// Bytes that it could still give to programs.
    pub available: u64,
    /// When it said so, in seconds of QEMU's clock.
    pub updated: u64,
}

/// An event that is of interest.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Happened {
    /// The processors stand still.
    Stopped,
    /// They go on.
    Resumed,
    /// A disk could not be read or written, and the machine stands still because of that; why.
    DiskFailed(String),
    /// The machine is about to end; why, in QEMU's word.
    Ends(String),
}

/// Puts lines together.
#[derive(Debug, Default)]
pub struct Lines(Vec<u8>);

impl Lines {
    /// Takes bytes that arrived, and gives what the whole lines say.
    ///
    /// # Errors
    /// A line is too long or is no JSON; nothing after it can be trusted.
    pub fn push(&mut self, bytes: &[u8]) -> Result<Vec<Said>, String> {
        self.0.extend_from_slice(bytes);
        let mut all = Vec::new();
        while let Some(end) = self.0.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.0.drain(..=end).collect();
            if !line.iter().all(u8::is_ascii_whitespace) {
                all.push(understand(&line)?);
            }
        }
        match self.0.len() > MAX_LINE_BYTES {
            true => Err(format!("understand QEMU: a line of more than {MAX_LINE_BYTES} bytes")),
            false => Ok(all),
        }
    }
}

fn understand(line: &[u8]) -> Result<Said, String> {
    let value: Value = serde_json::from_slice(line).map_err(|error| format!("understand QEMU: {error}"))?;
    let event = value.get("event").and_then(Value::as_str);
    if let Some(happened) = event.and_then(|name| happened(name, value.get("data").unwrap_or(&Value::Null))) {
        return Ok(Said::Happened(happened));
    }
    let Some(number) = value.get("id").and_then(Value::as_u64) else { return Ok(Said::Other) };
    let refused = value.get("error").map(|error| text(error, "desc").unwrap_or_else(|| "no".to_owned()));
    match (refused, value.get("return")) {
        (Some(reason), _) => Ok(Said::Answered { number, result: Err(reason) }),
        (None, Some(value)) => Ok(Said::Answered { number, result: Ok(memory(value)) }),
        _ => Ok(Said::Other),
    }
}

/// A kernel that does not say something has all ones there.
fn memory(value: &Value) -> Option<GuestMemory> {
    let updated = value.get("last-update")?.as_u64()?;
    let available = value.get("stats")?.get("stat-available-memory")?.as_u64()?;
    (updated > 0 && available != u64::MAX).then_some(GuestMemory { available, updated })
}

fn happened(event: &str, data: &Value) -> Option<Happened> {
    match event {
        "STOP" => Some(Happened::Stopped),
        "RESUME" => Some(Happened::Resumed),
        "BLOCK_IO_ERROR" if data["action"] == "stop" => {
            let reason = text(data, "reason").unwrap_or_else(|| "it says no more".to_owned());
            Some(Happened::DiskFailed(reason))
        }
        "SHUTDOWN" => text(data, "reason").map(Happened::Ends),
        _ => None,
    }
}

/// A member that is a text, in one line of a length that can be shown.
fn text(value: &Value, name: &str) -> Option<String> {
    let text = value.get(name)?.as_str()?;
    Some(text.chars().map(|c| if c.is_control() { ' ' } else { c }).take(MAX_REASON_CHARS).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_come_in_parts_of_any_size() {
        let said = b"{\"QMP\":{\"version\":{}}}\r\n\r\n{\"return\":{},\"id\":1}\n{\"event\":\"SHUTDOWN\",\"data\":{\"guest\":true,\
                     \"reason\":\"guest-reset\"}}\n{\"event\":\"BLOCK_IO_ERROR\",\"data\":{\"action\":\"stop\",\"reason\":\"No space\\nleft\"}}\n\
                     {\"event\":\"BLOCK_IO_ERROR\",\"data\":{\"action\":\"report\",\"reason\":\"x\"}}\n{\"error\":{},\"id\":2}\n";
        let expected = [
            Said::Other,
            Said::Answered { number: 1, result: Ok(None) },
            Said::Happened(Happened::Ends("guest-reset".to_owned())),
            Said::Happened(Happened::DiskFailed("No space left".to_owned())),
            Said::Other,
            Said::Answered { number: 2, result: Err("no".to_owned()) },
        ];
        for size in [1, 2, 7, 1000] {
            let mut lines = Lines::default();
            let all: Vec<Said> = said.chunks(size).flat_map(|part| lines.push(part).unwrap()).collect();
            assert_eq!(all, expected, "{size}");
        }
    }

    #[test]
    fn memory_is_told_where_the_kernel_tells_it() {
        let said = |stats: &str| {
            let line = format!("{{\"return\":{{\"stats\":{stats},\"last-update\":9}},\"id\":3}}\n");
            match Lines::default().push(line.as_bytes()).unwrap().pop() {
                Some(Said::Answered { number: 3, result: Ok(memory) }) => memory,
                other => panic!("{other:?}"),
            }
        };
        let available = r#"{"stat-available-memory":4096,"stat-free-memory":1}"#;
        assert_eq!(said(available), Some(GuestMemory { available: 4096, updated: 9 }));
        assert_eq!((said(r#"{"stat-available-memory":18446744073709551615}"#), said("[]")), (None, None));
    }

    #[test]
    fn what_is_no_line_of_it_is_refused() {
        assert!(Lines::default().push(b"nonsense\n").is_err());
        let mut lines = Lines::default();
        let mut fed = 0;
        while lines.push(&[b'x'; 1000]).is_ok() {
            fed += 1000;
            assert!(fed <= MAX_LINE_BYTES);
        }
        let deep = [b"[".repeat(10_000), b"\n".to_vec()].concat();
        assert!(Lines::default().push(&deep).is_err());
    }
}
