//! Volumes, scratch folders and writable paths against the finished tree: what they are put on, and who can write there.

use std::collections::BTreeMap;

use bundle::guest::Settings;
use spec::{Appliance, Written};
use tree::{Meta, TreePath};

use crate::files::Files;
use crate::inputs::Origin;
use crate::mistake::{Mistake, Put, misplaced, whose};

/// What stands in the way of them.
pub(crate) fn mistakes(files: &Files<'_>, appliance: &Appliance, origins: &BTreeMap<TreePath, Origin>) -> Vec<Mistake> {
    let volumes = appliance.volumes.iter().map(|volume| (Written::Volume(volume.at.clone()), volume.at.as_str(), true));
    let scratch = &appliance.resources.scratch;
    let scratch = scratch.iter().map(|(path, _)| (Written::Scratch(path.clone()), path.as_str(), true));
    // A file can be writable by itself.
    let writable = &appliance.isolation.writable;
    let writable = writable.iter().map(|path| (Written::Writable(path.clone()), path.as_str(), false));
    let all = volumes.chain(scratch).chain(writable);
    all.filter_map(|(at, path, needs_folder)| mistake(files, at, path, needs_folder, origins)).collect()
}

fn mistake(
    files: &Files<'_>,
    at: Written,
    path: &str,
    needs_folder: bool,
    origins: &BTreeMap<TreePath, Origin>,
) -> Option<Mistake> {
    let place = match files.resolve(path, true) {
        Ok(place) => place,
        Err(problem) => return misplaced(files, at, path, Put::Folder, &problem, origins),
    };
    let node = files.tree().get(&place);
    if node.is_none_or(|node| node.is_dir() || !needs_folder) {
        return None;
    }
    let what = if matches!(at, Written::Volume(_)) { "a volume" } else { "a scratch folder" };
    let message = format!("\"{path}\" is a file{}, and {what} needs a folder", whose(&place, origins));
    let help = "name the folder that the file is in, or a folder of its own such as \"/data\"".to_owned();
    Some(Mistake { at, code: "bad-path", message, label: "not a folder", help })
}

/// Volumes that no service can write to, where only packages show it: those whose folder the spec makes are checked
/// with the spec. An empty volume takes the owner and the mode of its folder.
pub(crate) fn warnings(files: &Files<'_>, appliance: &Appliance, settings: &Settings) -> Vec<Mistake> {
    let users: Vec<_> = settings.services.iter().map(|service| &service.user).collect();
    let Some(last) = users.last().filter(|_| users.iter().all(|user| user.uid != 0)) else { return Vec::new() };
    let made = |path: &str| appliance.entries.iter().any(|entry| entry.path == path);
    let volumes = appliance.volumes.iter().map(|volume| volume.at.as_str()).filter(|path| !made(path));
    let closed = volumes.filter(|path| {
        let meta = files.stat(path).map(|node| &node.meta);
        meta.is_some_and(|meta| !users.iter().any(|user| lets_write(meta, user.uid, user.gid, &user.groups)))
    });
    closed
        .map(|path| Mistake {
            at: Written::Volume(path.to_owned()),
            code: "volume-not-writable",
            message: format!("no service can write to the volume at \"{path}\""),
            label: "takes owner and mode of its folder",
            help: format!("add: dir \"{path}\" owner=\"{}\"", last.name),
        })
        .collect()
}

fn lets_write(meta: &Meta, uid: u32, gid: u32, groups: &[u32]) -> bool {
    let bit = match () {
        () if meta.uid == uid => 0o200,
        () if meta.gid == gid || groups.contains(&meta.gid) => 0o020,
        () => 0o002,
    };
    meta.mode & bit != 0
}
