//! Pieces: what a verb's stream carries where it is more than one row of bytes, such as output and errors of a program.
//!
//! A piece is a kind `u8`, a length `u16` (little endian), and that many bytes. A peer's pieces are never held whole.

/// Bytes before a piece's own.
pub const PIECE_HEADER_BYTES: usize = 3;

/// The most bytes of one piece.
pub const MAX_PIECE_BYTES: usize = u16::MAX as usize;

const OUT: u8 = 1;
const ERR: u8 = 2;
const STATUS: u8 = 3;
const HOLE: u8 = 4;
const DIGEST: u8 = 5;

/// One piece.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Piece {
    /// Bytes of the output, or of a file.
    Out(Vec<u8>),
    /// Bytes of the errors; for a verb that is no program, why it failed.
    Err(Vec<u8>),
    /// How it ended, as exit statuses have it; the last piece.
    Status(u8),
    /// This many bytes of a file are zero and need no place on the disk.
    Hole(u64),
    /// SHA-256 of the file's pieces so far: of the bytes of each output, and of the eight bytes of each hole's length.
    Digest([u8; 32]),
}

/// Why bytes are no piece.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("understand a stream of the guest channel: a piece of kind {kind} and {length} bytes is not known")]
pub struct PieceError {
    /// The kind.
    pub kind: u8,
    /// The length that was announced.
    pub length: u16,
}

/// Puts pieces together from bytes that arrive in parts of any size; output is given on as it comes.
#[derive(Debug, Default)]
pub struct Pieces {
    /// What has arrived of a header, or of a piece that must be whole.
    held: Vec<u8>,
    /// Bytes of output or errors that are still to come, with their kind.
    passing: Option<(u8, usize)>,
}

/// The bytes before `length` bytes of output, or of errors.
pub fn piece_header(is_error: bool, length: u16) -> [u8; PIECE_HEADER_BYTES] {
    let [low, high] = length.to_le_bytes();
    [if is_error { ERR } else { OUT }, low, high]
}

impl Piece {
    /// Appends the piece's bytes; more than [`MAX_PIECE_BYTES`] are cut.
    pub fn encode(&self, out: &mut Vec<u8>) {
        let mut put = |kind: u8, bytes: &[u8]| {
            let bytes = bytes.get(..MAX_PIECE_BYTES).unwrap_or(bytes);
            out.push(kind);
            out.extend_from_slice(&(bytes.len() as u16).to_le_bytes());
            out.extend_from_slice(bytes);
        };
        match self {
            Self::Out(bytes) => put(OUT, bytes),
            Self::Err(bytes) => put(ERR, bytes),
            Self::Status(status) => put(STATUS, &[*status]),
            Self::Hole(length) => put(HOLE, &length.to_le_bytes()),
            Self::Digest(digest) => put(DIGEST, digest),
        }
    }
}

impl Pieces {
    /// Takes bytes that arrived and gives their pieces; output comes in as many parts as it arrives in.
    ///
    /// # Errors
    /// What came is no piece; nothing after it can be understood.
    pub fn push(&mut self, mut bytes: &[u8]) -> Result<Vec<Piece>, PieceError> {
        let mut found = Vec::new();
        while !bytes.is_empty() {
            let count = self.wants()?.min(bytes.len());
            let (taken, rest) = bytes.split_at_checked(count).unwrap_or((bytes, &[]));
            bytes = rest;
            found.extend(self.take(taken));
        }
        Ok(found)
    }

    /// How many bytes the present part still takes; never zero.
    fn wants(&self) -> Result<usize, PieceError> {
        match (self.passing, self.held.as_slice()) {
            (Some((_, left)), _) => Ok(left),
            (None, [kind, low, high, rest @ ..]) => {
                let length = u16::from_le_bytes([*low, *high]);
                let whole = match *kind {
                    STATUS => 1,
                    HOLE => 8,
                    DIGEST => 32,
                    _ => 0,
                };
                let fits = whole > rest.len() && usize::from(length) == whole;
                if fits { Ok(whole - rest.len()) } else { Err(PieceError { kind: *kind, length }) }
            }
            (None, held) => Ok(PIECE_HEADER_BYTES - held.len()),
        }
    }

    fn take(&mut self, taken: &[u8]) -> Option<Piece> {
        if let Some((kind, left)) = self.passing {
            let left = left - taken.len();
            self.passing = (left > 0).then_some((kind, left));
            return Some(if kind == OUT { Piece::Out(taken.to_vec()) } else { Piece::Err(taken.to_vec()) });
        }
        self.held.extend_from_slice(taken);
        let piece = match self.held.as_slice() {
            [kind @ (OUT | ERR), low, high] => {
                let left = usize::from(u16::from_le_bytes([*low, *high]));
                self.passing = (left > 0).then_some((*kind, left));
                None
            }
            [STATUS, _, _, status] => Some(Piece::Status(*status)),
            [HOLE, _, _, length @ ..] => Some(Piece::Hole(u64::from_le_bytes(length.try_into().ok()?))),
            [DIGEST, _, _, digest @ ..] => Some(Piece::Digest(digest.try_into().ok()?)),
            _ => return None,
        };
        self.held.clear();
        piece
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_back_however_they_are_cut() {
        let all = [
            Piece::Out(b"hello".to_vec()),
            Piece::Err(vec![7; 300]),
            Piece::Hole(1 << 40),
            Piece::Digest([9; 32]),
            Piece::Status(143),
        ];
        let mut bytes = Vec::new();
        all.iter().for_each(|piece| piece.encode(&mut bytes));
        for size in [1, 2, 3, 7, 1000] {
            let mut pieces = Pieces::default();
            let (mut out, mut err, mut rest) = (Vec::new(), Vec::new(), Vec::new());
            for part in bytes.chunks(size) {
                for piece in pieces.push(part).unwrap() {
                    match piece {
                        Piece::Out(bytes) => out.extend(bytes),
                        Piece::Err(bytes) => err.extend(bytes),
                        other => rest.push(other),
                    }
                }
            }
            assert_eq!((out.as_slice(), err.len(), rest.as_slice()), (b"hello".as_slice(), 300, &all[2..]), "{size}");
        }
    }

    #[test]
    fn what_is_no_piece_is_refused() {
        for bytes in [&[0, 1, 0, 0][..], &[3, 2, 0, 1, 1], &[9, 0, 0, 1], &[4, 0, 0, 1], &[5, 33, 0, 1]] {
            assert!(Pieces::default().push(bytes).is_err(), "{bytes:?}");
        }
        assert_eq!(Pieces::default().push(&[1, 0, 0, 3, 1, 0, 5]), Ok(vec![Piece::Status(5)]));
    }
}
