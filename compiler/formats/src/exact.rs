//! Reading exactly as much as was stated: a whole buffer, or a content of a known size on its way to an archive.

use std::io::{self, Read, Write};

/// Why a content was not copied.
#[derive(Debug)]
pub(crate) enum CopyError {
    /// Its source failed.
    Read(io::Error),
    /// The output failed.
    Write(io::Error),
    /// It has more or fewer bytes than stated.
    Size,
}

/// Reads until the buffer is full or the input ends; gives the number of bytes.
pub(crate) fn fill(input: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(count) => filled += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Copies a content, which must be of this size.
pub(crate) fn copy(content: &mut dyn Read, size_bytes: u64, output: &mut dyn Write) -> Result<(), CopyError> {
    let mut buffer = [0; 64 * 1024];
    let mut left = size_bytes;
    loop {
        let count = match content.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(CopyError::Read(error)),
        };
        left = left.checked_sub(count as u64).ok_or(CopyError::Size)?;
        output.write_all(&buffer[..count]).map_err(CopyError::Write)?;
    }
    if left == 0 { Ok(()) } else { Err(CopyError::Size) }
}
