//! What a detached instance printed, in its folder as well: a supervisor that is killed takes its memory with it, and the
//! next command finds here what it had read.
//!
//! Two files: `printed`, and `printed.before` once the first one was full. Each begins with the position of its first byte
//! among all that was printed (eight bytes, little endian); pieces follow ([`bundle::channel::Piece`]).

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use bundle::channel::{MAX_PIECE_BYTES, Piece, Pieces};

use super::kept::{Kept, MAX_BYTES};

/// The file that is being written, and the one that is full.
const NAMES: [&str; 2] = ["printed", "printed.before"];

/// The largest file that is read back: a full one, with a last piece and the headers of small ones.
const MAX_FILE_BYTES: u64 = 4 * MAX_BYTES as u64;

/// The files of one instance.
#[derive(Debug)]
pub struct Spool {
    folder: PathBuf,
    /// None once it cannot be written to: what is printed is in memory all the same.
    file: Option<File>,
    file_bytes: usize,
    position: u64,
}

impl Spool {
    /// Begins in the instance's folder.
    ///
    /// # Errors
    /// The file cannot be made.
    pub fn begin(folder: &Path) -> io::Result<Self> {
        let file = Some(begin_file(folder, 0)?);
        Ok(Self { folder: folder.to_owned(), file, file_bytes: 0, position: 0 })
    }

    /// Adds what was printed. A file system without room costs the rest, and nothing else.
    pub fn push(&mut self, is_error: bool, bytes: &[u8]) {
        for part in bytes.chunks(MAX_PIECE_BYTES) {
            if self.write(is_error, part).is_err() {
                self.file = None;
            }
        }
    }

    fn write(&mut self, is_error: bool, part: &[u8]) -> io::Result<()> {
        if self.file_bytes >= MAX_BYTES && self.file.is_some() {
            let [name, before] = NAMES.map(|name| self.folder.join(name));
            std::fs::rename(name, before)?;
            (self.file, self.file_bytes) = (Some(begin_file(&self.folder, self.position)?), 0);
        }
        let Some(file) = &mut self.file else { return Ok(()) };
        let piece = if is_error { Piece::Err(part.to_vec()) } else { Piece::Out(part.to_vec()) };
        let mut text = Vec::with_capacity(part.len() + 3);
        piece.encode(&mut text);
        file.write_all(&text)?;
        self.file_bytes += text.len();
        self.position += part.len() as u64;
        Ok(())
    }
}

fn begin_file(folder: &Path, position: u64) -> io::Result<File> {
    let path = folder.join(NAMES[0]);
    let mut file = File::options().write(true).create(true).truncate(true).mode(0o600).open(path)?;
    file.write_all(&position.to_le_bytes())?;
    Ok(file)
}

/// What is in the folder of an instance whose supervisor is gone; nothing where it wrote none. A torn last piece counts as
/// far as it came.
pub fn read(folder: &Path) -> Kept {
    let [now, before] = NAMES.map(|name| read_file(&folder.join(name)).ok());
    let all: Vec<(u64, Vec<Piece>)> = [before, now].into_iter().flatten().flatten().collect();
    let mut kept = Kept::from(all.first().map_or(0, |(position, _)| *position));
    for (position, pieces) in all {
        if position != kept.end() {
            // What stood between them is not there: the later one counts.
            kept = Kept::from(position);
        }
        for piece in pieces {
            match piece {
                Piece::Out(bytes) => kept.push(false, &bytes),
                Piece::Err(bytes) => kept.push(true, &bytes),
                _ => {}
            }
        }
    }
    kept
}

fn read_file(path: &Path) -> io::Result<Option<(u64, Vec<Piece>)>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_FILE_BYTES).read_to_end(&mut bytes)?;
    let Some((position, rest)) = bytes.split_first_chunk() else { return Ok(None) };
    // What is no piece was not written by a supervisor.
    Ok(Pieces::default().push(rest).ok().map(|pieces| (u64::from_le_bytes(*position), pieces)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_printed_is_found_again_as_memory_has_it() {
        let folder = tempfile::tempdir().unwrap();
        assert!(read(folder.path()).as_pieces().is_empty());
        let (mut spool, mut kept) = (Spool::begin(folder.path()).unwrap(), Kept::default());
        let mut print = |is_error: bool, text: &[u8]| {
            spool.push(is_error, text);
            kept.push(is_error, text);
            let found = read(folder.path());
            assert_eq!((found.first(), found.end()), (kept.first(), kept.end()));
            assert!(found.as_pieces() == kept.as_pieces());
        };
        print(false, b"one\n");
        print(true, b"two\n");
        let line = [b"x".repeat(99), b"\n".to_vec()].concat();
        for number in 0..60 {
            print(number % 7 == 0, &line.repeat(700));
        }
    }

    #[test]
    fn files_that_are_torn_or_changed_give_what_they_can() {
        let folder = tempfile::tempdir().unwrap();
        let mut spool = Spool::begin(folder.path()).unwrap();
        spool.push(false, b"whole\n");
        spool.push(true, b"torn");
        let path = folder.path().join("printed");
        let bytes = std::fs::read(&path).unwrap();
        for length in 0..bytes.len() {
            std::fs::write(&path, &bytes[..length]).unwrap();
            assert!(read(folder.path()).end() <= 10);
        }
        std::fs::write(&path, &bytes[..bytes.len() - 1]).unwrap();
        assert_eq!(read(folder.path()).end(), 9);
        std::fs::write(&path, [&bytes[..], b"nonsense"].concat()).unwrap();
        assert_eq!(read(folder.path()).end(), 0);
        // One that does not go on where the other stopped.
        std::fs::write(folder.path().join("printed.before"), [&7_u64.to_le_bytes()[..], b"\x01\x01\0a"].concat())
            .unwrap();
        std::fs::write(&path, &bytes).unwrap();
        assert_eq!(read(folder.path()).end(), 10);
    }
}
