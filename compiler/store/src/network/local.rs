//! Mirrors that are folders: `file:` URLs and absolute paths.

use std::fs::File;
use std::io::{self, Read};
use std::path::PathBuf;

use super::partial::Partial;
use super::{Job, TransferError};
use crate::disk::at;

/// The path that a URL names, if it names one of this machine.
pub(super) fn path(url: &str) -> Option<PathBuf> {
    if url.starts_with('/') {
        return Some(PathBuf::from(url));
    }
    let rest = url.strip_prefix("file:")?;
    let rest = rest.strip_prefix("//").map_or(rest, |rest| rest.strip_prefix("localhost").unwrap_or(rest));
    let path = percent_decoded(rest)?;
    path.starts_with('/').then(|| PathBuf::from(path))
}

/// Copies the file, whole.
pub(super) fn copy(job: &Job, path: &std::path::Path, partial: &mut Partial) -> Result<(), TransferError> {
    let mut file = File::open(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => TransferError::Missing,
        _ => TransferError::Disk(at("open", path)(error)),
    })?;
    let found = file.metadata().map_err(at("look at", path))?.len();
    if let Some(expected) = job.size_bytes.filter(|&expected| expected != found) {
        return Err(TransferError::Size { host: path.display().to_string(), found, expected });
    }
    partial.restart()?;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = file.read(&mut buffer).map_err(at("read", path))?;
        if count == 0 {
            return Ok(());
        }
        if partial.len() + count as u64 > job.limit_bytes {
            return Err(TransferError::TooLarge { host: path.display().to_string(), limit: job.limit_bytes });
        }
        partial.push(buffer.get(..count).unwrap_or_default())?;
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let Some((&byte, after)) = rest.split_first() {
        rest = after;
        if byte == b'%' {
            let (hex, after) = rest.split_at_checked(2)?;
            out.push(u8::from_str_radix(std::str::from_utf8(hex).ok()?, 16).ok()?);
            rest = after;
        } else {
            out.push(byte);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn local_mirrors_are_told_from_others() {
        assert_eq!(path("/srv/a b"), Some("/srv/a b".into()));
        assert_eq!(path("file:///srv/a%20b"), Some("/srv/a b".into()));
        assert_eq!(path("file:/srv"), Some("/srv".into()));
        assert_eq!(path("file://localhost/srv"), Some("/srv".into()));
        assert_eq!(path("file://elsewhere/srv"), None);
        assert_eq!(path("http://example.org/"), None);
        assert_eq!(path("file:///bad%2"), None);
    }
}
