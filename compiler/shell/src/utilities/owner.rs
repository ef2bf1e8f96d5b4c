//! Utilities that change owners and permissions, and the look-up of names in `/etc/passwd` and `/etc/group`.

use tree::{Kind, TreePath};

use super::{lines, options};
use crate::call::Call;
use crate::session::Unknown;

/// The user and group id of a user name or number; none for an unknown name.
pub(super) fn user(call: &Call<'_, '_>, name: &[u8]) -> Result<Option<(u32, u32)>, Unknown> {
    if let Some(fields) = record(call, b"/etc/passwd", name)? {
        return match (id(fields.get(2)), id(fields.get(3))) {
            (Some(uid), Some(gid)) => Ok(Some((uid, gid))),
            _ => Err(call.unknown("a malformed /etc/passwd")),
        };
    }
    Ok(id(Some(&name.to_vec())).map(|uid| (uid, uid)))
}

/// The id of a group name or number; none for an unknown name.
pub(super) fn group(call: &Call<'_, '_>, name: &[u8]) -> Result<Option<u32>, Unknown> {
    match record(call, b"/etc/group", name)? {
        Some(fields) => id(fields.get(2)).map(Some).ok_or_else(|| call.unknown("a malformed /etc/group")),
        None => Ok(id(Some(&name.to_vec()))),
    }
}

/// The name that a file such as `/etc/passwd` has for an id.
pub(super) fn name_of(call: &Call<'_, '_>, file: &[u8], wanted: u32) -> Result<Option<Vec<u8>>, Unknown> {
    let Ok(path) = call.resolve(file) else { return Ok(None) };
    let text = call.read_resolved(&path)?.unwrap_or_default();
    let mut records =
        lines(&text).into_iter().map(|line| line.split(|&byte| byte == b':').map(<[u8]>::to_vec).collect::<Vec<_>>());
    Ok(records.find(|fields| id(fields.get(2)) == Some(wanted)).and_then(|mut fields| fields.drain(..).next()))
}

fn record(call: &Call<'_, '_>, file: &[u8], name: &[u8]) -> Result<Option<Vec<Vec<u8>>>, Unknown> {
    let Ok(path) = call.resolve(file) else { return Ok(None) };
    let text = call.read_resolved(&path)?.unwrap_or_default();
    let line = lines(&text).into_iter().find(|line| line.split(|&byte| byte == b':').next() == Some(name));
    Ok(line.map(|line| line.split(|&byte| byte == b':').map(<[u8]>::to_vec).collect()))
}

fn id(text: Option<&Vec<u8>>) -> Option<u32> {
    let text = std::str::from_utf8(text?).ok()?;
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// A mode after a change such as `0644`, `u+x` or `go=`.
pub(super) fn new_mode(call: &Call<'_, '_>, text: &[u8], old: u16, folder: bool) -> Result<u16, Unknown> {
    let wrong = || call.unknown(format!("the mode {}", String::from_utf8_lossy(text)));
    if !text.is_empty() && text.iter().all(|byte| (b'0'..=b'7').contains(byte)) {
        let digits = std::str::from_utf8(text).map_err(|_| wrong())?;
        let mode = u16::from_str_radix(digits, 8).ok().filter(|mode| *mode <= 0o7777).ok_or_else(wrong)?;
        // GNU's tools keep a folder's set-id bits unless five digits are given.
        let kept = if folder && text.len() < 5 { old & 0o6000 } else { 0 };
        return Ok(mode | kept);
    }
    let mut mode = old;
    for clause in text.split(|&byte| byte == b',') {
        let end = clause.iter().position(|byte| b"+-=".contains(byte)).ok_or_else(wrong)?;
        let mut who = 0_u16;
        for letter in &clause[..end] {
            who |= match letter {
                b'u' => 0o4700,
                b'g' => 0o2070,
                b'o' => 0o1007,
                b'a' => 0o7777,
                _ => return Err(wrong()),
            };
        }
        let everyone = who == 0;
        let who = if everyone { 0o7777 & !call.umask() } else { who };
        let (sign, letters) = (clause[end], &clause[end + 1..]);
        let mut bits = 0_u16;
        for letter in letters {
            bits |= match letter {
                b'r' => 0o444,
                b'w' => 0o222,
                b'x' => 0o111,
                b'X' if folder || mode & 0o111 != 0 => 0o111,
                b'X' => 0,
                b's' => 0o6000,
                b't' => 0o1000,
                _ => return Err(wrong()),
            };
        }
        // The sticky bit needs no `o`, and `s` follows whom it is given to.
        let sticky = if who & 0o1000 != 0 || everyone || clause[..end].contains(&b'a') { 0o1000 } else { 0 };
        let bits = bits & ((who & 0o6777) | sticky);
        mode = match sign {
            b'+' => mode | bits,
            b'-' => mode & !bits,
            _ if everyone => return Err(wrong()),
            // A folder keeps its set-id bits unless they are named.
            _ if folder && !letters.contains(&b's') => (mode & !(who & 0o777)) | bits,
            _ => (mode & !(who & 0o6777)) | bits,
        };
    }
    Ok(mode)
}

/// The entries that an operand names: itself, or with all below it. Symbolic links below are not followed.
fn targets(
    call: &mut Call<'_, '_>,
    path: &[u8],
    recursive: bool,
    follow: bool,
) -> Result<Option<Vec<TreePath>>, Unknown> {
    let found = if follow { call.resolve(path) } else { call.resolve_link(path) };
    let found = match found {
        Ok(found) => found,
        Err(errno) => {
            call.fail(format!("cannot access '{}': {errno}", String::from_utf8_lossy(path)))?;
            return Ok(None);
        }
    };
    if !recursive {
        return Ok(Some(vec![found]));
    }
    let all: Vec<TreePath> = call.fs().tree().subtree(&found).map(|(path, _, _)| path.clone()).collect();
    call.work(all.len() as u64)?;
    Ok(Some(all))
}

fn is_link(call: &Call<'_, '_>, path: &TreePath) -> bool {
    call.fs().node(path).is_some_and(|node| matches!(node.kind, Kind::Symlink(_)))
}

pub(super) fn chmod(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let mut args = call.args();
    let at = args.iter().position(|arg| !matches!(&arg[..], b"-R" | b"-f" | b"--recursive" | b"--quiet" | b"--silent"));
    let rest = args.split_off(at.unwrap_or(args.len()));
    let recursive = args.iter().any(|arg| arg == b"-R" || arg == b"--recursive");
    let quiet = args.iter().any(|arg| arg != b"-R" && arg != b"--recursive");
    let reference = rest.first().and_then(|arg| arg.strip_prefix(b"--reference=")).map(<[u8]>::to_vec);
    let Some((mode, paths)) = rest.split_first() else { return Err(call.unknown("the operands")) };
    if (mode.starts_with(b"--") && reference.is_none())
        || paths.is_empty()
        || paths.iter().any(|path| path.starts_with(b"-"))
        || quiet
    {
        return Err(call.unknown("the options"));
    }
    let mode = match reference {
        Some(path) => {
            match call.resolve(&path).ok().and_then(|path| call.fs().node(&path).map(|node| node.meta.mode)) {
                Some(mode) => format!("{mode:05o}").into_bytes(),
                None => return call.fail("failed to get attributes"),
            }
        }
        None => mode.clone(),
    };
    let mut status = 0;
    for path in paths {
        let Some(all) = targets(call, path, recursive, true)? else {
            status = 1;
            continue;
        };
        for target in &all {
            if is_link(call, target) {
                continue;
            }
            let Some((old, folder)) = call.fs().node(target).map(|node| (node.meta.mode, node.is_dir())) else {
                continue;
            };
            let new = new_mode(call, &mode, old, folder)?;
            call.fs_mut().change(target, |node| node.meta.mode = new);
        }
    }
    Ok(status)
}

pub(super) fn chown(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    change_owner(call, false)
}

pub(super) fn chgrp(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    change_owner(call, true)
}

/// The user and the group that change.
type Ids = (Option<u32>, Option<u32>);

/// Reads `user`, `user:group`, `:group` and `user:`; none for a name that is not known.
fn owner(call: &Call<'_, '_>, text: &[u8], only_group: bool) -> Result<Option<Ids>, Unknown> {
    if only_group {
        return Ok(group(call, text)?.map(|gid| (None, Some(gid))));
    }
    let colon = text.iter().position(|&byte| byte == b':');
    let colon = match colon {
        // The older form `user.group`, unless that is a user.
        None if user(call, text)?.is_none() => text.iter().position(|&byte| byte == b'.'),
        colon => colon,
    };
    let (name, group_name) = colon.map_or((text, None), |at| (&text[..at], Some(&text[at + 1..])));
    let owner = if name.is_empty() { None } else { Some(user(call, name)?) };
    let Some(owner) = owner.map_or(Some(None), |found| found.map(Some)) else { return Ok(None) };
    let gid = match group_name {
        None => None,
        Some(b"") if name.iter().all(u8::is_ascii_digit) => return Err(call.unknown("an owner without its group")),
        Some(b"") => owner.map(|(_, gid)| gid),
        Some(name) => match group(call, name)? {
            Some(gid) => Some(gid),
            None => return Ok(None),
        },
    };
    Ok(Some((owner.map(|(uid, _)| uid), gid)))
}

fn change_owner(call: &mut Call<'_, '_>, only_group: bool) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "R|recursive h|no-dereference 1:|reference")?;
    let mut operands = &parsed.operands[..];
    let found = match (parsed.value('1'), operands) {
        (Some(path), _) => {
            let node = call.resolve(path).ok().and_then(|path| call.fs().node(&path));
            node.map(|node| (Some(node.meta.uid).filter(|_| !only_group), Some(node.meta.gid)))
        }
        (None, [text, rest @ ..]) => {
            operands = rest;
            owner(call, text, only_group)?
        }
        (None, []) => return Err(call.unknown("the operands")),
    };
    let Some((uid, gid)) = found else { return call.fail("invalid owner") };
    let mut status = 0;
    for path in operands {
        let Some(all) = targets(call, path, parsed.has('R'), !parsed.has('h') && !parsed.has('R'))? else {
            status = 1;
            continue;
        };
        for target in all {
            call.fs_mut().change(&target, |node| {
                node.meta.uid = uid.unwrap_or(node.meta.uid);
                node.meta.gid = gid.unwrap_or(node.meta.gid);
                // The kernel takes the set-id bits of a file whose owner changes (chown(2)).
                if matches!(node.kind, Kind::File(_)) {
                    let group_bit = if node.meta.mode & 0o10 != 0 { 0o2000 } else { 0 };
                    node.meta.mode &= !(0o4000 | group_bit);
                }
            });
        }
    }
    Ok(status)
}
