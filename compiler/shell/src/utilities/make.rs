//! Utilities that make entries: `mkdir`, `rmdir`, `touch`, `mktemp`, `install`.

use tree::{Content, Kind, TreePath};

use super::{options, owner};
use crate::call::Call;
use crate::fs::Errno;
use crate::session::Unknown;

pub(super) fn mkdir(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    // `-Z` sets a context of SELinux, which no tree has.
    let parsed = options::parse(call, "p|parents m:|mode v|verbose Z")?;
    if parsed.has('v') {
        return Err(call.unknown("the option -v"));
    }
    let usual = 0o777 & !call.umask();
    let mode = match parsed.value('m') {
        Some(text) => Some(owner::new_mode(call, text, 0o777, true)?),
        None => None,
    };
    let mut status = 0;
    for path in &parsed.operands {
        if let Err(errno) = make_folder(call, path, parsed.has('p'), mode, usual) {
            status = call.fail(format!("cannot create directory '{}': {errno}", String::from_utf8_lossy(path)))?;
        }
    }
    Ok(status)
}

/// Makes a folder, on demand with those above it; only a new one gets the mode.
fn make_folder(
    call: &mut Call<'_, '_>,
    path: &[u8],
    parents: bool,
    mode: Option<u16>,
    usual: u16,
) -> Result<(), Errno> {
    let trimmed = &path[..path.iter().rposition(|&byte| byte != b'/').map_or(path.len().min(1), |at| at + 1)];
    if let Ok(found) = call.resolve(trimmed) {
        return if parents && call.fs().is_dir(&found) { Ok(()) } else { Err(Errno::Exists) };
    }
    if call.resolve_link(trimmed).is_ok() {
        return Err(Errno::Exists);
    }
    if let Some(at) = trimmed.iter().rposition(|&byte| byte == b'/').filter(|at| *at > 0 && parents) {
        make_folder(call, &trimmed[..at], true, None, usual | 0o300)?;
    }
    let place = call.place(trimmed, false)?;
    call.fs_mut().create(&place, Kind::Dir, mode.unwrap_or(usual))
}

pub(super) fn rmdir(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "p|parents i|ignore-fail-on-non-empty")?;
    let mut status = 0;
    for path in &parsed.operands {
        let mut path = path.clone();
        loop {
            match remove_folder(call, &path) {
                Ok(()) => {}
                Err(Errno::NotEmpty) if parsed.has('i') => break,
                Err(errno) => {
                    status = call.fail(format!("failed to remove '{}': {errno}", String::from_utf8_lossy(&path)))?;
                    break;
                }
            }
            let parent = path.iter().rposition(|&byte| byte == b'/').filter(|at| *at > 0);
            match parent {
                Some(at) if parsed.has('p') => path.truncate(at),
                _ => break,
            }
        }
    }
    Ok(status)
}

fn remove_folder(call: &mut Call<'_, '_>, path: &[u8]) -> Result<(), Errno> {
    let place = call.resolve_link(path)?;
    if !call.fs().is_dir(&place) {
        return Err(Errno::NotDir);
    }
    if place.is_root() || !call.fs().children(&place).is_empty() {
        return Err(Errno::NotEmpty);
    }
    call.fs_mut().remove(&place);
    Ok(())
}

pub(super) fn touch(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "a m c|no-create h|no-dereference r:|reference")?;
    let reference = parsed
        .value('r')
        .map(|path| call.resolve(path).ok().and_then(|path| Some(call.fs().node(&path)?.meta.mtime_secs)));
    if reference == Some(None) {
        return call.fail("failed to get attributes of the reference");
    }
    let mode = 0o666 & !call.umask();
    let mut status = 0;
    for path in &parsed.operands {
        let result = call.place(path, !parsed.has('h')).and_then(|place| {
            if call.fs().node(&place).is_none() {
                return if parsed.has('c') || parsed.has('h') {
                    Ok(())
                } else {
                    call.fs_mut().write(&place, Vec::new(), mode)
                };
            }
            let mtime_secs = reference.flatten().unwrap_or(call.fs().mtime_secs);
            call.fs_mut().change(&place, |node| node.meta.mtime_secs = mtime_secs);
            Ok(())
        });
        if let Err(errno) = result {
            status = call.fail(format!("cannot touch '{}': {errno}", String::from_utf8_lossy(path)))?;
        }
    }
    Ok(status)
}

/// Names are counted, not random; they differ from those that stand there.
pub(super) fn mktemp(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(call, "d|directory q|quiet u|dry-run t p: T|tmpdir")?;
    let folder =
        parsed.value('p').map(<[u8]>::to_vec).or_else(|| call.env("TMPDIR")).unwrap_or_else(|| b"/tmp".to_vec());
    let template = match &parsed.operands[..] {
        [] => [&folder[..], b"/tmp.XXXXXXXXXX"].concat(),
        [template] if parsed.has('t') || parsed.has('p') || parsed.has('T') => [&folder[..], b"/", template].concat(),
        [template] => template.clone(),
        _ => return Err(call.unknown("the operands")),
    };
    let end = template.iter().rposition(|&byte| byte == b'X').map_or(0, |at| at + 1);
    let start = template[..end].iter().rposition(|&byte| byte != b'X').map_or(0, |at| at + 1);
    if end - start < 3 || template[end..].contains(&b'/') {
        return Err(call.unknown("the template"));
    }
    loop {
        call.work(1)?;
        call.shell.temporary_names += 1;
        let number = format!("{:0width$}", call.shell.temporary_names, width = end - start);
        let path = [&template[..start], number.as_bytes(), &template[end..]].concat();
        let place = match call.place(&path, false) {
            Ok(place) if call.fs().node(&place).is_some() => continue,
            Ok(place) => place,
            Err(errno) => {
                return call.fail(format!(
                    "failed to create file via template '{}': {errno}",
                    String::from_utf8_lossy(&template)
                ));
            }
        };
        if !parsed.has('u') {
            let (kind, mode) =
                if parsed.has('d') { (Kind::Dir, 0o700) } else { (Kind::File(Content::inline("")), 0o600) };
            if let Err(errno) = call.fs_mut().create(&place, kind, mode) {
                return call.fail(errno.to_string());
            }
        }
        call.out([&path[..], b"\n"].concat())?;
        return Ok(0);
    }
}

pub(super) fn install(call: &mut Call<'_, '_>) -> Result<i32, Unknown> {
    let parsed = options::parse(
        call,
        "d|directory D m:|mode o:|owner g:|group c p|preserve-timestamps T|no-target-directory t:|target-directory",
    )?;
    let mode = match parsed.value('m') {
        Some(text) => owner::new_mode(call, text, 0, parsed.has('d'))?,
        None => 0o755,
    };
    let (mut uid, mut gid) = (0, 0);
    if let Some(name) = parsed.value('o') {
        let Some(found) = owner::user(call, name)? else {
            return call.fail(format!("invalid user: '{}'", String::from_utf8_lossy(name)));
        };
        uid = found.0;
    }
    if let Some(name) = parsed.value('g') {
        let Some(found) = owner::group(call, name)? else {
            return call.fail(format!("invalid group: '{}'", String::from_utf8_lossy(name)));
        };
        gid = found;
    }
    let set = |call: &mut Call<'_, '_>, place: &TreePath| {
        call.fs_mut().change(place, |node| (node.meta.mode, node.meta.uid, node.meta.gid) = (mode, uid, gid));
    };
    if parsed.has('d') {
        for path in &parsed.operands {
            let made = make_folder(call, path, true, None, 0o755).and_then(|()| call.resolve(path));
            match made {
                Ok(place) => set(call, &place),
                Err(errno) => {
                    return call.fail(format!("cannot create directory '{}': {errno}", String::from_utf8_lossy(path)));
                }
            }
        }
        return Ok(0);
    }
    let (sources, target) = match (parsed.value('t'), &parsed.operands[..]) {
        (Some(target), sources) => (sources, target),
        (None, [sources @ .., target]) if !sources.is_empty() => (sources, &target[..]),
        _ => return Err(call.unknown("the operands")),
    };
    if parsed.has('D') {
        let upper = if parsed.has('t') {
            Some(target.len())
        } else {
            target.iter().rposition(|&byte| byte == b'/').filter(|at| *at > 0)
        };
        if let Some(Err(errno)) = upper.map(|end| make_folder(call, &target[..end], true, None, 0o755)) {
            return call.fail(format!("cannot create directory: {errno}"));
        }
    }
    for source in sources {
        let into = !parsed.has('T') && call.resolve(target).is_ok_and(|path| call.fs().is_dir(&path));
        let to = if into { super::links::below(target, source) } else { target.to_vec() };
        match install_file(call, source, &to, parsed.has('p'))? {
            Some(place) => set(call, &place),
            None => return Ok(1),
        }
    }
    Ok(0)
}

/// Puts a copy of a file in the place of what stands there; none when that fails, which is reported.
fn install_file(
    call: &mut Call<'_, '_>,
    source: &[u8],
    to: &[u8],
    keep_time: bool,
) -> Result<Option<TreePath>, Unknown> {
    let bytes = match call.read(source)? {
        Ok(bytes) => bytes,
        Err(errno) => {
            call.fail(format!("cannot stat '{}': {errno}", String::from_utf8_lossy(source)))?;
            return Ok(None);
        }
    };
    let mtime_secs = call.resolve(source).ok().and_then(|path| Some(call.fs().node(&path)?.meta.mtime_secs));
    let made = call.place(to, false).and_then(|place| {
        call.fs_mut().create(&place, Kind::File(Content::inline(bytes)), 0o600)?;
        Ok(place)
    });
    match made {
        Ok(place) => {
            if let Some(mtime_secs) = mtime_secs.filter(|_| keep_time) {
                call.fs_mut().change(&place, |node| node.meta.mtime_secs = mtime_secs);
            }
            Ok(Some(place))
        }
        Err(errno) => {
            call.fail(format!("cannot create regular file '{}': {errno}", String::from_utf8_lossy(to)))?;
            Ok(None)
        }
    }
}
