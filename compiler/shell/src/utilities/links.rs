//! The utility `ln`: hard and symbolic links.

use tree::Kind;

use super::options;
use crate::call::Call;
use crate::fs::Errno;
use crate::session::Unknown;

pub(super) fn ln(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(
        call,
        "s|symbolic f|force n|no-dereference T|no-target-directory t:|target-directory v|verbose",
    )?;
    if parsed.has('v') {
        return Err(call.unknown("the option -v"));
    }
    let is_folder = |call: &Call<'_, '_>, path: &[u8]| {
        let found = if parsed.has('n') { call.resolve_link(path) } else { call.resolve(path) };
        found.is_ok_and(|path| call.fs().is_dir(&path))
    };
    let links: Vec<(Vec<u8>, Vec<u8>)> = match (parsed.value('t'), &parsed.operands[..]) {
        (Some(folder), targets) => targets.iter().map(|target| (target.clone(), below(folder, target))).collect(),
        (None, [target]) => vec![(target.clone(), below(b".", target))],
        (None, [target, path]) if parsed.has('T') || !is_folder(call, path) => vec![(target.clone(), path.clone())],
        (None, [targets @ .., folder]) if is_folder(call, folder) && !parsed.has('T') => {
            targets.iter().map(|target| (target.clone(), below(folder, target))).collect()
        }
        _ => return Err(call.unknown("the operands")),
    };
    let mut status = 0;
    for (target, path) in links {
        if let Err(errno) = link(call, &target, &path, parsed.has('s'), parsed.has('f')) {
            status = call.fail(format!("failed to create link '{}': {errno}", String::from_utf8_lossy(&path)))?;
        }
    }
    Ok(status)
}

pub(super) fn below(folder: &[u8], path: &[u8]) -> Vec<u8> {
    let end = path.iter().rposition(|&byte| byte != b'/').map_or(0, |at| at + 1);
    let name = path[..end].rsplit(|&byte| byte == b'/').next().unwrap_or_default();
    let slash: &[u8] = if folder.ends_with(b"/") { b"" } else { b"/" };
    [folder, slash, name].concat()
}

fn link(call: &mut Call<'_, '_>, target: &[u8], path: &[u8], symbolic: bool, force: bool) -> Result<(), Errno> {
    let place = call.place(path, false)?;
    let existing = if symbolic { None } else { Some(call.resolve_link(target)?) };
    match call.fs().node(&place) {
        None => {}
        Some(node) if node.is_dir() => return Err(Errno::IsDir),
        Some(_) if !force => return Err(Errno::Exists),
        Some(_) if existing.as_ref().is_some_and(|existing| call.fs().id(existing) == call.fs().id(&place)) => {
            return Ok(());
        }
        Some(_) => call.fs_mut().remove(&place),
    }
    match existing {
        Some(existing) => call.fs_mut().hard_link(&existing, &place),
        None if target.is_empty() => Err(Errno::NoEntry),
        None => call.fs_mut().create(&place, Kind::Symlink(target.into()), 0o777),
    }
}
