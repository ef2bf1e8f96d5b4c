//! Utilities about names: `basename`, `dirname`, `readlink`, `realpath`, `which`.

use tree::{Kind, TreePath};

use super::options;
use crate::call::Call;
use crate::fs::Errno;
use crate::session::Unknown;

fn without_slashes(path: &[u8]) -> &[u8] {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1);
    &path[..end]
}

pub(super) fn basename(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "+ s:|suffix a|multiple")?;
    let many = parsed.has('a') || parsed.has('s');
    let (names, suffix) = match &parsed.operands[..] {
        [name, suffix] if !many => (vec![name.clone()], suffix.clone()),
        [_] | [_, _, ..] if many || parsed.operands.len() == 1 => {
            (parsed.operands.clone(), parsed.value('s').unwrap_or_default().to_vec())
        }
        _ => return Err(call.unknown("the operands")),
    };
    for path in names {
        let path = if !path.is_empty() && without_slashes(&path).is_empty() { b"/" } else { without_slashes(&path) };
        let name = if path == b"/" { path } else { path.rsplit(|&byte| byte == b'/').next().unwrap_or_default() };
        let short = name.strip_suffix(&suffix[..]).filter(|short| !short.is_empty()).unwrap_or(name);
        call.out([short, b"\n"].concat())?;
    }
    Ok(0)
}

pub(super) fn dirname(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "+")?;
    if parsed.operands.is_empty() {
        return Err(call.unknown("the operands"));
    }
    for path in &parsed.operands {
        let trimmed = without_slashes(path);
        let folder = match trimmed.iter().rposition(|&byte| byte == b'/') {
            Some(at) => without_slashes(&trimmed[..at]),
            None if trimmed.is_empty() && !path.is_empty() => &b""[..],
            None => b".",
        };
        let folder = if folder.is_empty() { b"/" } else { folder };
        call.out([folder, b"\n"].concat())?;
    }
    Ok(0)
}

pub(super) fn readlink(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "f|canonicalize e|canonicalize-existing m n|no-newline q|quiet s|silent")?;
    let end: &[u8] = if parsed.has('n') { b"" } else { b"\n" };
    let mut status = 0;
    for path in &parsed.operands {
        let text = match parsed.last_of("fem") {
            Some('m') => return Err(call.unknown("the option -m")),
            Some('f') => call.place(path, true).ok().map(|path| path.display_bytes()),
            Some(_) => call.resolve(path).ok().map(|path| path.display_bytes()),
            None => call.resolve_link(path).ok().and_then(|path| match &call.fs().node(&path)?.kind {
                Kind::Symlink(target) => Some(target.to_vec()),
                _ => None,
            }),
        };
        match text {
            Some(text) => call.out([&text[..], end].concat())?,
            None => status = 1,
        }
    }
    Ok(status)
}

pub(super) fn realpath(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "e|canonicalize-existing m|canonicalize-missing q|quiet")?;
    let mut status = 0;
    for path in &parsed.operands {
        let found = match parsed.last_of("em") {
            Some('e') => call.resolve(path),
            Some(_) => even_missing(call, path)?,
            None => call.place(path, true),
        };
        match found {
            Ok(path) => call.out([&path.display_bytes()[..], b"\n"].concat())?,
            Err(_) if parsed.has('q') => status = 1,
            Err(errno) => status = call.fail(format!("{}: {errno}", String::from_utf8_lossy(path)))?,
        }
    }
    Ok(status)
}

/// The path where something would be, also when folders above it are missing.
fn even_missing(call: &Call<'_, '_>, path: &[u8]) -> Result<Result<TreePath, Errno>, Unknown> {
    let found = call.place(path, true);
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1);
    let Some(at) = path[..end].iter().rposition(|&byte| byte == b'/') else { return Ok(found) };
    if found != Err(Errno::NoEntry)
        || call.resolve_link(&path[..end]).is_ok()
        || path.split(|&byte| byte == b'/').any(|part| part == b"..")
    {
        return Ok(found);
    }
    if path.len() > 1024 {
        return Err(call.unknown("such a long path"));
    }
    let above = even_missing(call, if at == 0 { b"/" } else { &path[..at] })?;
    Ok(above.and_then(|above| above.join(&path[at + 1..end]).map_err(|_| Errno::TooLong)))
}

pub(super) fn which(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "s")?;
    let mut status = i32::from(parsed.operands.is_empty());
    for name in &parsed.operands {
        match call.shell.program_as(name) {
            Some(found) if !parsed.has('s') => call.out([&found[..], b"\n"].concat())?,
            Some(_) => {}
            None => status = 1,
        }
    }
    Ok(status)
}

/// A resolved path in full.
trait DisplayBytes {
    fn display_bytes(&self) -> Vec<u8>;
}

impl DisplayBytes for tree::TreePath {
    fn display_bytes(&self) -> Vec<u8> {
        [b"/", self.as_bytes()].concat()
    }
}
