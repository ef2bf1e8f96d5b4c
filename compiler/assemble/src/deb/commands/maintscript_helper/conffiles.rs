//! Configuration files that a new version has no more (`rm_conffile`) or has under another name (`mv_conffile`): one that
//! nobody changed goes, one that somebody changed is kept.

use md5::{Digest, Md5};

use super::super::super::database::hex;
use super::{Call, Task, Unknown, conffile_lines, list, rename};

/// Before the new version is unpacked: sets the old file aside.
pub(super) fn prepare(call: &mut Call<'_, '_>, task: &Task) -> Result<i32, Unknown> {
    if !task.is_from_prior() || !call.files.exists(&task.path) || !list(call, &task.package)?.contains(&task.path) {
        return Ok(0);
    }
    let is_shipped = hex(&Md5::digest(call.files.read(&task.path)?)) == shipped_md5(call, task)?;
    match (is_shipped, task.verb.as_str()) {
        (true, _) => rename(call, &task.path, &task.path_with(".dpkg-remove"))?,
        (false, "rm_conffile") => rename(call, &task.path, &task.path_with(".dpkg-backup"))?,
        (false, _) => {}
    }
    Ok(0)
}

/// When the new version is configured: what nobody changed is removed, the rest kept beside its place.
pub(super) fn finish_removal(call: &mut Call<'_, '_>, task: &Task) -> Result<i32, Unknown> {
    if !task.is_from_prior() {
        return Ok(0);
    }
    let (backup, removed) = (task.path_with(".dpkg-backup"), task.path_with(".dpkg-remove"));
    if call.files.exists(&backup) {
        let kept = task.path_with(".dpkg-bak");
        call.say(&format!("Obsolete conffile {} has been modified by you.", task.path));
        call.say(&format!("Saving as {kept} ..."));
        rename(call, &backup, &kept)?;
    }
    if call.files.exists(&removed) {
        call.say(&format!("Removing obsolete conffile {} ...", task.path));
        call.files.remove(&removed);
    }
    Ok(0)
}

/// When the new version is configured: what somebody changed takes the new name.
pub(super) fn finish_move(call: &mut Call<'_, '_>, task: &Task) -> Result<i32, Unknown> {
    if !task.is_from_prior() {
        return Ok(0);
    }
    call.files.remove(task.path_with(".dpkg-remove"));
    if !call.files.exists(&task.path) || !list(call, &task.package)?.contains(&task.path) {
        return Ok(0);
    }
    call.say(&format!("Preserving user changes to {} (renamed from {})...", task.other, task.path));
    if call.files.exists(&task.other) {
        rename(call, &task.other, &format!("{}.dpkg-new", task.other))?;
    }
    rename(call, &task.path, &task.other)?;
    Ok(0)
}

/// The MD5 that the database has of the file, as the helper finds it: its path is a pattern there.
fn shipped_md5(call: &Call<'_, '_>, task: &Task) -> Result<String, Unknown> {
    if task.path.contains(['[', ']', '*', '\\', '^', '$', '\'']) {
        return call.unknown("the path holds characters that mean something else to it");
    }
    let is_it = |path: &str| {
        let mut pairs = task.path.bytes().zip(path.bytes());
        path.len() == task.path.len() && pairs.all(|(wanted, byte)| wanted == b'.' || wanted == byte)
    };
    let lines = conffile_lines(call, &task.package)?;
    let found = lines.iter().filter_map(|line| {
        let line = line.strip_suffix(" obsolete").unwrap_or(line);
        let (path, rest) = line.split_once(' ')?;
        is_it(path).then(|| rest.rsplit(' ').next().unwrap_or_default())
    });
    Ok(found.collect::<Vec<_>>().join("\n"))
}
