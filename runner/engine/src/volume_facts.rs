//! What is unusual about a volume that a run is about to use: that it belongs to somebody else than the appliance's own
//! folder, and that another running instance uses it. It decides nothing and changes nothing.
//!
//! Runs with subordinate ids, runs without and runs by root give the same user inside different numbers on the host, so a
//! volume that one made is not the other's.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use host::RootDir;

use crate::bind::{Bound, Container, Ids};
use crate::journal;
use crate::layers::below;
use crate::steps::Step;
use crate::wire::{ForeignVolume, Report};

/// Everything that is worth a word.
pub fn unusual(bound: &Bound, container: &Container, folder: &Path) -> Vec<Report> {
    foreign(container, folder).map(Report::ForeignVolume).into_iter().chain(shared(bound, folder)).collect()
}

/// The volume's name, `APPLIANCE/VOLUME`.
fn name(folder: &Path) -> String {
    let part = |path: Option<&Path>| path.and_then(Path::file_name).unwrap_or_default().to_string_lossy().into_owned();
    format!("{}/{}", part(folder.parent()), part(Some(folder)))
}

/// Whose it is, where that is not who the appliance's own folder belongs to.
fn foreign(container: &Container, folder: &Path) -> Option<ForeignVolume> {
    let uid = folder.metadata().ok()?.uid();
    let at = container.config.mounts.iter().find(|mount| Path::new(&mount.source) == folder)?.destination.clone();
    let (wanted_uid, wanted_gid) = image_owner(container, Path::new(&at))?;
    // Services that may give files away have perhaps done so.
    let may_give_away = container.config.process.capabilities.ambient.iter().any(|name| name == "CAP_CHOWN");
    if uid == wanted_uid || (may_give_away && is_mapped(container, uid)) {
        return None;
    }
    let own = host::effective_uid();
    let why = match &container.ids {
        Ids::Subordinate(_) if uid == own => {
            "it was made for root of the appliance, or it was made when this user had no subordinate ids"
        }
        Ids::Single if uid != 0 => "it was made by a run with subordinate ids, and this run has none",
        _ if uid == 0 && own != 0 => "it was made by root",
        _ => "it was made with other ids, or for another user of the appliance",
    };
    Some(ForeignVolume {
        volume: name(folder),
        folder: folder.to_owned(),
        at,
        uid,
        wanted_uid,
        wanted_gid,
        why: why.to_owned(),
    })
}

/// The numbers on the host of whom the root's own folder there belongs to, which an empty volume gets too; none where they
/// cannot be found out.
fn image_owner(container: &Container, at: &Path) -> Option<(u32, u32)> {
    let from_top =
        container.layers.iter().rev().map(|layer| RootDir::open(&container.roots_folder.join(&layer.chain_id)));
    let layers: Vec<RootDir> = from_top.collect::<io::Result<_>>().ok()?;
    let container_root = (host::effective_uid(), host::effective_gid());
    owner_in(&layers, at.strip_prefix("/").unwrap_or(at), container_root)
}

/// Whose the folder is in layers, given from the top; what is missing is made by root. None where a link or a file is on the
/// way.
fn owner_in(layers: &[RootDir], at: &Path, root: (u32, u32)) -> Option<(u32, u32)> {
    let parents = at.ancestors().skip(1).filter(|path| !path.as_os_str().is_empty());
    for parent in parents {
        below::find(layers, parent).ok()?.is_none_or(|entry| entry.meta.is_dir()).then_some(())?;
    }
    match below::find(layers, at).ok()? {
        Some(entry) => entry.meta.is_dir().then(|| (entry.meta.uid(), entry.meta.gid())),
        None => Some(root),
    }
}

/// Whether a user of the host is one inside.
fn is_mapped(container: &Container, uid: u32) -> bool {
    let maps = &container.config.linux.uid_mappings;
    maps.is_empty() || maps.iter().any(|map| (map.host_id..map.host_id.saturating_add(map.size)).contains(&uid))
}

/// Who else uses it: running instances whose journals name it.
fn shared(bound: &Bound, folder: &Path) -> Option<Report> {
    let live = journal::live(&bound.state_folder).unwrap_or_default();
    let step = Step::MakeVolume { folder: folder.to_owned() };
    let uses = |instance: &String| {
        *instance != bound.instance && journal::steps(&bound.state_folder.join(instance)).contains(&step)
    };
    let instances: Vec<String> = live.into_iter().filter(uses).collect();
    (!instances.is_empty()).then(|| Report::SharedVolume { volume: name(folder), instances })
}

/// Whether no running machine has the disk of this volume: a file system has one master.
pub fn is_free(bound: &Bound, file: &Path) -> Result<(), String> {
    let live = journal::live(&bound.state_folder).unwrap_or_default();
    let has = |step: &Step| matches!(step, Step::MakeVolumeDisk { file: theirs, .. } if theirs == file);
    let uses = |instance: &&String| {
        **instance != bound.instance && journal::steps(&bound.state_folder.join(instance)).iter().any(has)
    };
    match live.iter().find(uses) {
        Some(instance) => Err(format!(
            "use the disk {}: the machine {instance} has it, and a disk is for one machine at a time; stop that one with: \
             appliance stop {instance}",
            file.display()
        )),
        None => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_named_by_its_appliance() {
        assert_eq!(name(Path::new("/x/volumes/toy/data")), "toy/data");
    }

    #[test]
    fn the_uppermost_folder_says_whose_a_volume_is() {
        let (low, top) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir_all(low.path().join("srv/data")).unwrap();
        std::fs::create_dir_all(top.path().join("srv")).unwrap();
        std::os::unix::fs::symlink("/etc", top.path().join("link")).unwrap();
        std::fs::write(top.path().join("srv/file"), "").unwrap();
        let layers = [RootDir::open(top.path()).unwrap(), RootDir::open(low.path()).unwrap()];
        let own = (host::effective_uid(), host::effective_gid());
        let check = |at: &str, owner| assert_eq!(owner_in(&layers, Path::new(at), (4_000_000, 5)), owner, "{at}");
        check("srv/data", Some(own));
        check("srv/missing/deep", Some((4_000_000, 5)));
        check("link/data", None);
        check("link", None);
        check("srv/file", None);
    }
}
