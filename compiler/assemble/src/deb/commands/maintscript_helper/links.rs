//! A link that gives way to a folder (`symlink_to_dir`), and a folder that gives way to a link (`dir_to_symlink`).

use tree::Node;

use super::{Call, Task, Unknown, conffile_lines, list, rename};

/// What marks a folder that only catches files until its link is there.
const STAGING: &str = ".dpkg-staging-dir";

const BACKUP: &str = ".dpkg-backup";

/// Before the new version is unpacked: the link makes room.
pub(super) fn set_link_aside(call: &mut Call<'_, '_>, task: &Task) -> Result<i32, Unknown> {
    if task.is_from_prior() && leads_there(call, &task.path, &task.other) {
        rename(call, &task.path, &task.path_with(BACKUP))?;
    }
    Ok(0)
}

/// When the new version is configured: the old link is forgotten.
pub(super) fn forget_link(call: &mut Call<'_, '_>, task: &Task) -> Result<i32, Unknown> {
    let backup = task.path_with(BACKUP);
    if leads_there(call, &backup, &task.other) {
        call.files.remove(&backup);
    }
    Ok(0)
}

/// Before the new version is unpacked: a folder that holds nothing but the package's own makes room for one that is empty.
pub(super) fn set_folder_aside(call: &mut Call<'_, '_>, task: &Task) -> Result<i32, Unknown> {
    if !task.is_from_prior() || !is_folder(call, &task.path) {
        return Ok(0);
    }
    let inside = task.path_with("/");
    if conffile_lines(call, &task.package)?.iter().any(|line| line.starts_with(&inside)) {
        return call.unknown("the folder holds configuration files");
    }
    let owned = list(call, &task.package)?;
    let folder = call.files.resolve(&task.path, false)?;
    let below = |path: &tree::TreePath| path.display().strip_prefix(&folder.display()).unwrap_or_default().to_owned();
    let names: Vec<String> = call.files.tree().subtree(&folder).map(|(path, _, _)| below(path)).collect();
    if names.iter().any(|name| !owned.contains(&task.path_with(name))) {
        return call.unknown("the folder holds what is not the package's");
    }
    rename(call, &task.path, &task.path_with(BACKUP))?;
    call.files.make_dir(&task.path, 0o755)?;
    call.files.write(task.path_with(&format!("/{STAGING}")), 0o644, "")?;
    Ok(0)
}

/// When the new version is configured: what was put into the folder goes where the link leads, and the link takes its place.
pub(super) fn put_link(call: &mut Call<'_, '_>, task: &Task) -> Result<i32, Unknown> {
    let (backup, staging) = (task.path_with(BACKUP), task.path_with(&format!("/{STAGING}")));
    let is_file = |node: &Node| matches!(node.kind, tree::Kind::File(_));
    let is_staged = call.files.stat(&staging).is_some_and(is_file);
    if !call.files.stat(&backup).is_some_and(Node::is_dir) || !is_folder(call, &task.path) || !is_staged {
        return Ok(0);
    }
    call.files.remove(&staging);
    let (parent, _) = task.path.rsplit_once('/').unwrap_or_default();
    let target = if task.other.starts_with('/') { task.other.clone() } else { format!("{parent}/{}", task.other) };
    for name in call.files.names_in(&task.path) {
        if !call.files.stat(&target).is_some_and(Node::is_dir) {
            return call.unknown("the link would lead to no folder");
        }
        rename(call, &task.path_with(&format!("/{name}")), &format!("{target}/{name}"))?;
    }
    call.files.remove(&task.path);
    call.files.link(&task.path, &task.other)?;
    call.files.remove(&backup);
    Ok(0)
}

/// A folder, and no link to one.
fn is_folder(call: &Call<'_, '_>, path: &str) -> bool {
    call.files.lstat(path).is_some_and(Node::is_dir)
}

/// Whether this is a link with this target, as written or as the place that it leads to.
fn leads_there(call: &Call<'_, '_>, path: &str, target: &str) -> bool {
    let Some(written) = call.files.read_link(path) else { return false };
    written == target.as_bytes() || call.files.resolve(path, true).is_ok_and(|place| place.display() == target)
}
