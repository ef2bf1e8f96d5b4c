//! Takes fuzz input apart into numbers, chunks and sections. Any input gives something.

/// Numbers and chunks from the front of some bytes; zeros once they have run out.
pub struct Pieces<'a>(pub &'a [u8]);

impl<'a> Pieces<'a> {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub fn byte(&mut self) -> u8 {
        let (first, rest) = self.0.split_first().unwrap_or((&0, &[]));
        self.0 = rest;
        *first
    }

    pub fn number(&mut self) -> u32 {
        [self.byte(), self.byte(), self.byte(), self.byte()].into_iter().fold(0, |sum, byte| sum << 8 | u32::from(byte))
    }

    /// A chunk of at most this many bytes.
    pub fn chunk(&mut self, length: usize) -> &'a [u8] {
        let (chunk, rest) = self.0.split_at(length.min(self.0.len()));
        self.0 = rest;
        chunk
    }
}

/// The parts of a text between lines that begin with `=== `: the rest of that line, and the bytes up to the next one.
pub fn sections(data: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut found: Vec<(String, Vec<u8>)> = Vec::new();
    for line in data.split_inclusive(|byte| *byte == b'\n') {
        match (line.strip_prefix(b"=== "), found.last_mut()) {
            (Some(title), _) => found.push((String::from_utf8_lossy(title).trim().to_owned(), Vec::new())),
            (None, Some((_, body))) => body.extend_from_slice(line),
            (None, None) => {}
        }
    }
    found
}
