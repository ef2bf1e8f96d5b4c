//! Utilities that copy, move and remove: `cp`, `mv`, `rm`.

use tree::{Kind, Node, TreePath};

use super::links::below;
use super::options::{self, Parsed};
use crate::call::Call;
use crate::fs::Errno;
use crate::session::Unknown;

pub(super) fn rm(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "f|force r|recursive R d|dir i v|verbose")?;
    if parsed.has('v') || parsed.has('i') {
        return Err(call.unknown("the options"));
    }
    let recursive = parsed.has('r') || parsed.has('R');
    let mut status = 0;
    for path in &parsed.operands {
        let shown = String::from_utf8_lossy(path).into_owned();
        let last = path.rsplit(|&byte| byte == b'/').find(|part| !part.is_empty()).unwrap_or_default();
        if last == b"." || last == b".." || last.is_empty() && !path.is_empty() {
            return Err(call.unknown(format!("removing {shown}")));
        }
        let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1);
        match call.resolve_link(&path[..end]) {
            Err(Errno::NoEntry | Errno::NotDir) if parsed.has('f') => {}
            Err(errno) => status = call.fail(format!("cannot remove '{shown}': {errno}"))?,
            Ok(place) if call.fs().is_dir(&place) && !recursive => {
                if !parsed.has('d') || !call.fs().children(&place).is_empty() {
                    status = call.fail(format!("cannot remove '{shown}': Is a directory"))?;
                } else {
                    call.fs_mut().remove(&place);
                }
            }
            Ok(place) => call.fs_mut().remove(&place),
        }
    }
    Ok(status)
}

type Pair = (Vec<u8>, Vec<u8>);

/// The pairs of source and place that the operands mean.
fn pairs(call: &Call<'_, '_>, parsed: &Parsed) -> Result<Vec<Pair>, Unknown> {
    let folder = |path: &[u8]| call.resolve(path).is_ok_and(|path| call.fs().is_dir(&path));
    match (parsed.value('t'), &parsed.operands[..]) {
        (Some(target), sources) if folder(target) => {
            Ok(sources.iter().map(|source| (source.clone(), below(target, source))).collect())
        }
        (None, [sources @ .., target]) if !parsed.has('T') && folder(target) => {
            Ok(sources.iter().map(|source| (source.clone(), below(target, source))).collect())
        }
        (None, [source, target]) => Ok(vec![(source.clone(), target.clone())]),
        _ => Err(call.unknown("the operands")),
    }
}

pub(super) fn mv(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "f|force n|no-clobber T|no-target-directory t:|target-directory Z")?;
    if parsed.has('Z') {
        call.fail("warning: ignoring -Z; it requires an SELinux-enabled kernel")?;
    }
    let mut status = 0;
    for (source, target) in pairs(call, &parsed)? {
        let (shown, shown_target) =
            (String::from_utf8_lossy(&source).into_owned(), String::from_utf8_lossy(&target).into_owned());
        let end = source.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1);
        let from = match call.resolve_link(&source[..end]) {
            Ok(from) => from,
            Err(errno) => {
                status = call.fail(format!("cannot stat '{shown}': {errno}"))?;
                continue;
            }
        };
        let to = call.place(target.strip_suffix(b"/").unwrap_or(&target), false);
        let result = to.and_then(|to| {
            if parsed.has('n') && call.fs().node(&to).is_some() {
                return Ok(());
            }
            if from == to || call.fs().id(&from) == call.fs().id(&to) {
                return Err(Errno::Exists);
            }
            call.fs_mut().rename(&from, &to)
        });
        if let Err(errno) = result {
            status = call.fail(format!("cannot move '{shown}' to '{shown_target}': {errno}"))?;
        }
    }
    Ok(status)
}

/// How `cp` copies.
#[derive(Clone, Copy)]
struct Manner {
    recursive: bool,
    /// Links are copied as such.
    links: bool,
    /// Mode, owner and time are kept; extended attributes only with `-a`.
    keep: bool,
    keep_attributes: bool,
}

pub(super) fn cp(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(
        call,
        "a|archive r|recursive R p f|force d P|no-dereference L|dereference n|no-clobber T|no-target-directory t:|target-directory u|update 1:|preserve 2:|reflink 3|remove-destination Z",
    )?;
    let named = parsed.value('1').is_none_or(|what| what == b"mode,ownership,timestamps" || what == b"all");
    if parsed.has('u') || !named || parsed.value('2').is_some_and(|when| when != b"auto") {
        return Err(call.unknown("the options"));
    }
    let all = parsed.has('a') || parsed.value('1') == Some(b"all");
    let recursive = parsed.has('r') || parsed.has('R') || parsed.has('a');
    let links = match parsed.last_of("adPL") {
        Some('L') => false,
        Some(_) => true,
        None => recursive,
    };
    let manner = Manner { recursive, links, keep: all || parsed.has('p') || parsed.has('1'), keep_attributes: all };
    let mut status = 0;
    for (source, target) in pairs(call, &parsed)? {
        let target = if source.ends_with(b"/.") { parsed.operands.last().cloned().unwrap_or(target) } else { target };
        let shown = String::from_utf8_lossy(&source).into_owned();
        let found = if links { call.resolve_link(&source) } else { call.resolve(&source) };
        let result = match found {
            Err(_) if source == b"/dev/null" => empty_file(call, &target),
            Err(errno) => Err(errno),
            Ok(from) => {
                if call.fs().is_dir(&from) && !recursive {
                    status = call.fail(format!("-r not specified; omitting directory '{shown}'"))?;
                    continue;
                }
                call.place(target.strip_suffix(b"/").unwrap_or(&target), true).map(|to| (from, to))
            }
        };
        let copied = match result {
            Ok((_, to)) if parsed.has('n') && call.fs().node(&to).is_some() => Ok(()),
            Ok((from, to)) if from == to && from.is_root() => Ok(()),
            Ok((from, to)) if call.fs().id(&from) == call.fs().id(&to) => {
                status =
                    call.fail(format!("'{shown}' and '{}' are the same file", String::from_utf8_lossy(&target)))?;
                continue;
            }
            Ok((from, to)) => copy(call, &from, &to, manner)?,
            Err(errno) => Err(errno),
        };
        if let Err(errno) = copied {
            status = call.fail(format!("cannot copy '{shown}': {errno}"))?;
        }
    }
    Ok(status)
}

/// `cp /dev/null FILE` makes or empties a file; the place is given twice to say that all is done.
fn empty_file(call: &mut Call<'_, '_>, target: &[u8]) -> Result<(TreePath, TreePath), Errno> {
    let to = call.place(target, true)?;
    let mode = 0o666 & !call.umask();
    call.fs_mut().write(&to, Vec::new(), mode)?;
    Ok((TreePath::root(), TreePath::root()))
}

fn copy(call: &mut Call<'_, '_>, from: &TreePath, to: &TreePath, manner: Manner) -> Result<Result<(), Errno>, Unknown> {
    if to.starts_with(from) && call.fs().is_dir(from) {
        return Err(call.unknown("a copy of a folder into itself"));
    }
    let all: Vec<(TreePath, u32)> = match manner.recursive {
        true => {
            call.fs().tree().subtree(from).map(|(path, _, _)| (path.clone(), call.fs().tree().names(path))).collect()
        }
        false => vec![(from.clone(), 1)],
    };
    call.work(all.len() as u64)?;
    for (path, names) in all {
        if names > 1 && manner.keep_attributes {
            return Err(call.unknown("a copy of hard links"));
        }
        let Ok(place) = to.join(&path.as_bytes()[from.as_bytes().len()..]) else { return Ok(Err(Errno::TooLong)) };
        let Some(node) = call.fs().node(&path).cloned() else { continue };
        if matches!(node.kind, Kind::Symlink(_)) && !manner.links {
            return Err(call.unknown("following links below a folder"));
        }
        if let Err(errno) = copy_one(call, node, &place, manner)? {
            return Ok(Err(errno));
        }
    }
    Ok(Ok(()))
}

fn copy_one(
    call: &mut Call<'_, '_>,
    mut node: Node,
    place: &TreePath,
    manner: Manner,
) -> Result<Result<(), Errno>, Unknown> {
    if !matches!(node.kind, Kind::File(_) | Kind::Dir | Kind::Symlink(_)) {
        return Err(call.unknown("a copy of a special file"));
    }
    if !manner.keep_attributes {
        node.meta.xattrs.clear();
    }
    if !manner.keep {
        node.meta.mtime_secs = call.fs().mtime_secs;
        (node.meta.uid, node.meta.gid) = (0, 0);
        if !matches!(node.kind, Kind::Symlink(_)) {
            node.meta.mode &= 0o777 & !call.umask();
        }
    }
    let (old_dir, old_file) = match call.fs().node(place) {
        None => (false, false),
        Some(old) => (old.is_dir(), matches!(old.kind, Kind::File(_)) && matches!(node.kind, Kind::File(_))),
    };
    if old_dir != node.is_dir() && old_dir {
        return Ok(Err(Errno::IsDir));
    }
    if old_dir || old_file {
        // What stands there keeps its identity, and without -p its metadata.
        let mtime_secs = call.fs().mtime_secs;
        call.fs_mut().change(place, |old| {
            if manner.keep {
                old.meta = node.meta.clone();
            } else if !old_dir {
                old.meta.mtime_secs = mtime_secs;
            }
            old.kind = node.kind.clone();
        });
        return Ok(Ok(()));
    }
    Ok(call.fs_mut().insert(place, node))
}
