//! The volumes that runs have left: listed, and removed where no running instance uses them.
//!
//! A volume is the folder `APPLIANCE/VOLUME` below the volumes folder, or `APPLIANCE/VOLUME.machine` with the disk of one that
//! machines have: a name of the spec has no dot, so neither is taken for the other. Files in it may belong to subordinate ids, so the
//! helper process counts and removes, with the ids of runs.

use std::collections::BTreeMap;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::bind::Ids;
use crate::facts;
use crate::helper::{Failure, causes};
use crate::id_namespace::IdNamespace;
use crate::journal;
use crate::steps::Step;

/// The helper's second argument for this: `sizes` or `remove` follows, then volumes.
pub const VOLUMES_ARG: &str = "volumes";

/// How the folders of machines' volumes end.
pub const OF_MACHINE: &str = ".machine";

/// A volume on this host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldVolume {
    /// The appliance that it belongs to.
    pub appliance: String,
    /// Its name in the appliance.
    pub name: String,
    /// Whose it is: containers and machines of one appliance have volumes of their own.
    pub kind: VolumeKind,
    /// Its folder.
    pub folder: PathBuf,
    /// The space that it takes on the disk, in bytes; none where it cannot be looked at.
    pub size_bytes: Option<u64>,
    /// Running instances of the appliance.
    pub used_by: Vec<String>,
}

/// Who can read a volume.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum VolumeKind {
    /// Containers: it is a folder.
    Container,
    /// Machines: it is a disk.
    Machine,
}

/// What came of removing volumes.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Removed {
    /// What was there and is gone.
    pub removed: Vec<HeldVolume>,
    /// What could not be removed, with the reason.
    pub left: Vec<String>,
}

/// Why volumes cannot be listed or removed.
#[derive(Debug, thiserror::Error)]
pub enum VolumeError {
    /// A running instance uses one; nothing was removed.
    #[error("remove volumes of {appliance}: it is running, as {instance}")]
    InUse {
        /// The appliance.
        appliance: String,
        /// One of its instances.
        instance: String,
    },
    /// A folder cannot be read or the helper process failed.
    #[error("look after volumes in {folder}")]
    Io {
        /// The folder.
        folder: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// Every volume below the volumes folder, sorted by appliance and name. `helper` is the program that answers to
/// [`crate::HELPER_ARG`].
///
/// # Errors
/// When a folder cannot be read or the helper process fails.
pub fn volumes(volumes_folder: &Path, state_folder: &Path, helper: &Path) -> Result<Vec<HeldVolume>, VolumeError> {
    let failed = |source| VolumeError::Io { folder: volumes_folder.to_owned(), source };
    let mut found = list(volumes_folder).map_err(failed)?;
    if found.is_empty() {
        return Ok(found);
    }
    let live = journal::live(state_folder).map_err(failed)?;
    let places: Vec<String> = found.iter().map(HeldVolume::place).collect();
    let sizes: BTreeMap<String, u64> = ask(volumes_folder, helper, "sizes", &places).map_err(failed)?;
    for volume in &mut found {
        volume.size_bytes = sizes.get(&volume.place()).copied();
        volume.used_by = live.iter().filter(|instance| volume.is_of(&state_folder.join(instance))).cloned().collect();
    }
    Ok(found)
}

/// Removes these volumes and all that is in them; none of them when an instance of one of their appliances is running.
///
/// No instance starts meanwhile. What is a link is removed itself, not what it leads to.
///
/// # Errors
/// When an appliance is running, a folder cannot be read or the helper process fails.
pub fn remove_volumes(
    volumes_folder: &Path,
    state_folder: &Path,
    helper: &Path,
    volumes: &[HeldVolume],
) -> Result<Removed, VolumeError> {
    let failed = |source| VolumeError::Io { folder: volumes_folder.to_owned(), source };
    let Some(_quiet) = volumes.first().map(|_| journal::guard(state_folder)).transpose().map_err(failed)? else {
        return Ok(Removed::default());
    };
    let live = journal::live(state_folder).map_err(failed)?;
    let used =
        |instance: &&String| volumes.iter().any(|volume| volume.appliance == appliance_of(state_folder, instance));
    if let Some(instance) = live.iter().find(used) {
        return Err(VolumeError::InUse {
            appliance: appliance_of(state_folder, instance),
            instance: instance.to_owned(),
        });
    }
    let places: Vec<String> = volumes.iter().map(HeldVolume::place).collect();
    let left: BTreeMap<String, String> = ask(volumes_folder, helper, "remove", &places).map_err(failed)?;
    for volume in volumes {
        // The folder of an appliance goes with its last volume.
        let _ = std::fs::remove_dir(volumes_folder.join(&volume.appliance));
    }
    let removed = volumes.iter().filter(|volume| !left.contains_key(&volume.place())).cloned().collect();
    Ok(Removed { removed, left: left.into_iter().map(|(place, why)| format!("{place}: {why}")).collect() })
}

impl HeldVolume {
    /// Whether the instance in this folder has it.
    fn is_of(&self, instance: &Path) -> bool {
        journal::steps(instance).iter().any(|step| match step {
            Step::MakeVolume { folder } => *folder == self.folder,
            Step::MakeVolumeDisk { file, .. } => file.parent() == Some(&self.folder),
            _ => false,
        })
    }

    /// `APPLIANCE/VOLUME`.
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.appliance, self.name)
    }

    /// Where it is below the volumes folder.
    fn place(&self) -> String {
        let of_machine = if self.kind == VolumeKind::Machine { OF_MACHINE } else { "" };
        format!("{}{of_machine}", self.full_name())
    }
}

/// The appliance of an instance: its journal says it; one without that line is named after it ([`crate::instance_name`]).
fn appliance_of(state_folder: &Path, instance: &str) -> String {
    let named = || instance.rsplitn(3, '-').nth(2).unwrap_or(instance).to_owned();
    journal::appliance_of(state_folder, instance).unwrap_or_else(named)
}

fn list(volumes_folder: &Path) -> io::Result<Vec<HeldVolume>> {
    let mut found = Vec::new();
    for appliance in folders(volumes_folder)? {
        for place in folders(&volumes_folder.join(&appliance))? {
            let folder = volumes_folder.join(&appliance).join(&place);
            let (name, kind) = match place.strip_suffix(OF_MACHINE) {
                Some(name) => (name.to_owned(), VolumeKind::Machine),
                None => (place, VolumeKind::Container),
            };
            let (appliance, used_by) = (appliance.clone(), Vec::new());
            found.push(HeldVolume { appliance, name, kind, folder, size_bytes: None, used_by });
        }
    }
    Ok(found)
}

/// The names of the folders in a folder, or of links to some, sorted; none where there is no such folder.
fn folders(folder: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?.collect::<io::Result<Vec<_>>>()?,
    };
    let named = entries.into_iter().filter(|entry| entry.path().is_dir());
    let mut names: Vec<String> = named.filter_map(|entry| entry.file_name().into_string().ok()).collect();
    names.sort();
    Ok(names)
}

fn ask<T: serde::de::DeserializeOwned>(
    volumes_folder: &Path,
    helper: &Path,
    what: &str,
    names: &[String],
) -> io::Result<T> {
    let mut command = Command::new(helper);
    command.args([crate::HELPER_ARG, VOLUMES_ARG, what]).args(names);
    let output = command.current_dir(volumes_folder).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if !output.status.success() {
        return Err(io::Error::other("the helper process that looks after volumes failed"));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

/// The helper's side, in the volumes folder: prints sizes, or what could not be removed. Where this user may map no ids
/// now, it does what it can without.
pub fn volumes_main(arguments: &[String]) -> i32 {
    let Some((what, names)) = arguments.split_first() else { return 64 };
    let ids = Ids::choose(facts::privileged(), facts::subordinate_ids());
    let (uid_mappings, gid_mappings) = ids.mappings(host::effective_uid(), host::effective_gid());
    let namespace = IdNamespace { ids: &ids, uid_mappings: &uid_mappings, gid_mappings: &gid_mappings };
    let work = || -> Result<Vec<u8>, Failure> {
        Ok(match what.as_str() {
            "sizes" => serde_json::to_vec(&sizes(names))?,
            _ => serde_json::to_vec(&remove(names))?,
        })
    };
    match namespace.inside(work).or_else(|_| work()) {
        Ok(answer) => io::Write::write_all(&mut io::stdout(), &answer).map_or(1, |()| 0),
        Err(failure) => {
            eprintln!("{}", causes(failure.as_ref()));
            1
        }
    }
}

fn sizes(names: &[String]) -> BTreeMap<&str, u64> {
    names.iter().filter_map(|name| Some((name.as_str(), size_bytes(Path::new(name)).ok()?))).collect()
}

/// What it takes on the disk (`st_blocks` counts in units of 512 bytes, inode(7)).
fn size_bytes(path: &Path) -> io::Result<u64> {
    let meta = std::fs::symlink_metadata(path)?;
    let mut sum = meta.blocks() * 512;
    if meta.is_dir() {
        for entry in std::fs::read_dir(path)? {
            sum += size_bytes(&entry?.path())?;
        }
    }
    Ok(sum)
}

fn remove(names: &[String]) -> BTreeMap<&str, String> {
    let one = |path: &Path| {
        let is_dir = std::fs::symlink_metadata(path)?.is_dir();
        if is_dir { std::fs::remove_dir_all(path) } else { std::fs::remove_file(path) }
    };
    let reason = |name: &String| one(Path::new(name)).err().filter(|error| error.kind() != io::ErrorKind::NotFound);
    names.iter().filter_map(|name| Some((name.as_str(), reason(name)?.to_string()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instance_says_whose_it_is() {
        let state = tempfile::tempdir().unwrap();
        assert_eq!(appliance_of(state.path(), "my-web-app-123-456"), "my-web-app");
        assert_eq!(appliance_of(state.path(), "web-1-2"), "web");
        let (appliance, version) = ("web".to_owned(), "1".to_owned());
        let about = crate::About { appliance, version, detached: true, command: Vec::new(), open: Vec::new() };
        let _journal = journal::Journal::create(state.path(), "mine", &about).unwrap();
        assert_eq!(appliance_of(state.path(), "mine"), "web");
    }

    #[test]
    fn volumes_are_found_by_appliance_and_name_and_links_are_volumes_too() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["b/one", "a/two", "a/one", "a/one.machine", "elsewhere"] {
            std::fs::create_dir_all(folder.path().join(name)).unwrap();
        }
        std::os::unix::fs::symlink(folder.path(), folder.path().join("b/big")).unwrap();
        std::fs::write(folder.path().join("a/file"), "").unwrap();
        let names: Vec<String> = list(folder.path()).unwrap().iter().map(HeldVolume::full_name).collect();
        assert_eq!(names, ["a/one", "a/one", "a/two", "b/big", "b/one"]);
        let places: Vec<String> = list(folder.path()).unwrap().iter().map(HeldVolume::place).collect();
        assert_eq!(places, ["a/one", "a/one.machine", "a/two", "b/big", "b/one"]);
        assert_eq!(list(&folder.path().join("missing")).unwrap(), []);
    }
}
