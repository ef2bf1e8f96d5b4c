//! Utilities that tell about entries: `ls` in its plain forms, and `stat` with a format.

use tree::{Kind, Node, TreePath};

use super::{options, owner};
use crate::call::Call;
use crate::session::Unknown;

pub(super) fn ls(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "1 a|all A|almost-all d|directory L|dereference")?;
    let mut operands = if parsed.operands.is_empty() { vec![b".".to_vec()] } else { parsed.operands.clone() };
    operands.sort();
    let (mut plain, mut folders, mut status) = (Vec::new(), Vec::new(), 0);
    for path in operands {
        match call.resolve(&path).or_else(|errno| if parsed.has('L') { Err(errno) } else { call.resolve_link(&path) }) {
            Ok(found) if call.fs().is_dir(&found) && !parsed.has('d') => folders.push((path, found)),
            Ok(_) => plain.push(path),
            Err(errno) => {
                call.fail(format!("cannot access '{}': {errno}", String::from_utf8_lossy(&path)))?;
                status = 2;
            }
        }
    }
    for path in &plain {
        call.out([path, &b"\n"[..]].concat())?;
    }
    let titled = folders.len() + plain.len() > 1 || status != 0;
    for (index, (path, found)) in folders.iter().enumerate() {
        if titled {
            let gap: &[u8] = if index > 0 || !plain.is_empty() { b"\n" } else { b"" };
            call.out([gap, path, b":\n"].concat())?;
        }
        let mut names = call.fs().children(found);
        if parsed.has('a') {
            names.extend([b".".to_vec(), b"..".to_vec()]);
            names.sort();
        }
        for name in names.iter().filter(|name| parsed.has('a') || parsed.has('A') || !name.starts_with(b".")) {
            call.out([name, &b"\n"[..]].concat())?;
        }
    }
    Ok(status)
}

pub(super) fn stat(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "c:|format L|dereference 1:|printf")?;
    let (format, end): (Vec<u8>, &[u8]) = match (parsed.value('c'), parsed.value('1')) {
        (Some(format), None) if !format.contains(&b'\\') => (format.to_vec(), b"\n"),
        (None, Some(format)) => (unescaped(format).ok_or_else(|| call.unknown("a backslash in the format"))?, b""),
        (Some(_), None) => return Err(call.unknown("a backslash in the format")),
        _ => return Err(call.unknown("no format")),
    };
    let mut status = 0;
    for path in &parsed.operands {
        let found = if parsed.has('L') { call.resolve(path) } else { call.resolve_link(path) };
        match found {
            Ok(found) => {
                let mut line = described(call, &format, path, &found)?;
                line.extend_from_slice(end);
                call.out(line)?;
            }
            Err(errno) => status = call.fail(format!("cannot stat '{}': {errno}", String::from_utf8_lossy(path)))?,
        }
    }
    Ok(status)
}

/// The format of `--printf` with its escapes; none where one is not understood.
fn unescaped(format: &[u8]) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut bytes = format.iter();
    while let Some(&byte) = bytes.next() {
        out.push(match byte {
            b'\\' => match bytes.next()? {
                b'n' => b'\n',
                b't' => b'\t',
                b'\\' => b'\\',
                _ => return None,
            },
            byte => byte,
        });
    }
    Some(out)
}

fn described(call: &Call<'_, '_>, format: &[u8], shown: &[u8], path: &TreePath) -> Result<Vec<u8>, Unknown> {
    let mut out = Vec::new();
    let mut bytes = format.iter();
    while let Some(&byte) = bytes.next() {
        if byte != b'%' {
            out.push(byte);
            continue;
        }
        let letter = bytes.next().copied().unwrap_or_default();
        let Some(node) = call.fs().node(path) else { break };
        match letter {
            b'a' => out.extend(format!("{:o}", node.meta.mode).bytes()),
            b'u' => out.extend(node.meta.uid.to_string().bytes()),
            b'g' => out.extend(node.meta.gid.to_string().bytes()),
            b'U' => {
                out.extend(owner::name_of(call, b"/etc/passwd", node.meta.uid)?.unwrap_or_else(|| b"UNKNOWN".to_vec()))
            }
            b'G' => {
                out.extend(owner::name_of(call, b"/etc/group", node.meta.gid)?.unwrap_or_else(|| b"UNKNOWN".to_vec()))
            }
            b's' => out.extend(size(node).ok_or_else(|| call.unknown("the size of a folder"))?.to_string().bytes()),
            b'n' => out.extend(shown),
            b'F' => out.extend(kind_name(node).bytes()),
            // A root is one file system; which number it has differs from machine to machine.
            b'd' => out.push(b'1'),
            b'%' => out.push(b'%'),
            _ => return Err(call.unknown(format!("the format %{}", char::from(letter)))),
        }
    }
    Ok(out)
}

fn size(node: &Node) -> Option<u64> {
    match &node.kind {
        Kind::File(content) => Some(content.size_bytes()),
        Kind::Symlink(target) => Some(target.len() as u64),
        _ => None,
    }
}

fn kind_name(node: &Node) -> &'static str {
    match &node.kind {
        Kind::Dir => "directory",
        Kind::File(content) if content.size_bytes() == 0 => "regular empty file",
        Kind::File(_) => "regular file",
        Kind::Symlink(_) => "symbolic link",
        Kind::CharDevice { .. } => "character special file",
        Kind::BlockDevice { .. } => "block special file",
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
    }
}
