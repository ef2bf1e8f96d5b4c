//! The closed vocabulary of what a run makes on the host. Each step can be taken and undone, here, side by side.
//!
//! What is made inside the container's own namespaces ends with them and needs no undoing.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::bind::OVERLAY;
use crate::bundle_folder::Layer;
use crate::overlay;

/// One thing that is made on the host.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Step {
    /// A layer is unpacked into the cache, where it stays.
    Unpack(Layer),
    /// The folder of a volume is made where it is missing, and stays.
    MakeVolume {
        /// The folder.
        folder: PathBuf,
    },
    /// A control group is made and given its limits.
    MakeCgroup {
        /// The group to make it in.
        parent: PathBuf,
        /// The group.
        folder: PathBuf,
        /// Whether it is of the unified hierarchy.
        unified: bool,
        /// Controllers that the parent must hand on.
        hand_on: Vec<String>,
        /// What is written into the group's files.
        values: Vec<FileValue>,
    },
    /// An empty layer over a disk takes what a machine writes, and is removed with its folder.
    MakeOverlay {
        /// The folder for it, which is made.
        folder: PathBuf,
        /// The disk below, which is only read.
        backing: PathBuf,
        /// In which format that is, in QEMU's words.
        format: String,
        /// The least size of the disk in bytes; absent for that of the disk below.
        size_bytes: Option<u64>,
        /// What is added to the size of the disk below.
        room_bytes: u64,
    },
    /// The disk of a volume is copied where it is missing, and stays. One machine at a time has it.
    MakeVolumeDisk {
        /// The disk.
        file: PathBuf,
        /// What it is a copy of.
        empty: PathBuf,
        /// Its least size in bytes, where it can be made larger.
        size_bytes: Option<u64>,
    },
    /// The container's first process is started in namespaces of its own, or the machine.
    Start,
}

/// A value for a file of a control group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FileValue {
    /// The file's name.
    pub name: String,
    /// What is written.
    pub value: String,
    /// Whether the run fails when it cannot be written.
    pub needed: bool,
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
#[error("{what} {path}")]
pub struct StepError {
    /// What was tried.
    what: &'static str,
    /// On what.
    path: PathBuf,
    /// Why.
    #[source]
    source: io::Error,
}

impl Step {
    /// Takes a step on folders; unpacking and starting belong to the supervisor.
    pub fn take(&self) -> Result<(), StepError> {
        match self {
            Self::Unpack(_) | Self::Start => Ok(()),
            Self::MakeVolume { folder } => std::fs::create_dir_all(folder).map_err(|source| StepError {
                what: "make the volume",
                path: folder.clone(),
                source,
            }),
            Self::MakeCgroup { parent, folder, hand_on, values, .. } => make_group(parent, folder, hand_on, values),
            Self::MakeOverlay { folder, backing, format, size_bytes, room_bytes } => {
                let made = DirBuilder::new().recursive(true).mode(0o700).create(folder);
                let layer = folder.join(OVERLAY);
                made.and_then(|()| overlay::make(&layer, backing, format, size_bytes.unwrap_or(0), *room_bytes))
                    .map_err(|source| StepError { what: "lay a file for writes over", path: backing.clone(), source })
            }
            Self::MakeVolumeDisk { file, empty, size_bytes } => {
                let folder = file.parent().unwrap_or(Path::new("/"));
                std::fs::create_dir_all(folder)
                    .and_then(|()| overlay::make_volume(file, empty, *size_bytes))
                    .map_err(|source| StepError { what: "make the volume's disk", path: file.clone(), source })
            }
        }
    }

    /// The control group that it makes.
    pub fn group(&self) -> Option<&Path> {
        match self {
            Self::MakeCgroup { folder, .. } => Some(folder),
            _ => None,
        }
    }

    /// The folder that it makes and that is gone at the end.
    pub fn folder(&self) -> Option<&Path> {
        match self {
            Self::MakeOverlay { folder, .. } => Some(folder),
            _ => None,
        }
    }

    /// Undoes it, also when it was taken by half or not at all. Says what was removed.
    pub fn undo(&self) -> Result<Option<String>, StepError> {
        match self {
            Self::Unpack(_) | Self::MakeVolume { .. } | Self::MakeVolumeDisk { .. } | Self::Start => Ok(None),
            Self::MakeCgroup { folder, .. } => remove_group(folder),
            Self::MakeOverlay { folder, .. } => match std::fs::remove_dir_all(folder) {
                Ok(()) => Ok(Some(format!("all that was written, in {}", folder.display()))),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                Err(source) => Err(StepError { what: "remove what was written, in", path: folder.clone(), source }),
            },
        }
    }
}

fn make_group(parent: &Path, folder: &Path, hand_on: &[String], values: &[FileValue]) -> Result<(), StepError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| StepError { what: "set up the control group", path, source }
    };
    if !hand_on.is_empty() {
        let file = parent.join("cgroup.subtree_control");
        let now = std::fs::read_to_string(&file).unwrap_or_default();
        let missing: Vec<String> = hand_on
            .iter()
            .filter(|name| !now.split_ascii_whitespace().any(|word| word == *name))
            .map(|name| format!("+{name}"))
            .collect();
        if !missing.is_empty() {
            std::fs::write(&file, missing.join(" ")).map_err(failed(&file))?;
        }
    }
    std::fs::create_dir(folder).map_err(failed(folder))?;
    for value in values {
        let file = folder.join(&value.name);
        match std::fs::write(&file, &value.value) {
            Err(error) if value.needed => return Err(failed(&file)(error)),
            _ => {}
        }
    }
    Ok(())
}

/// Processes in it have been killed before; the kernel may need a moment to be done with them.
fn remove_group(folder: &Path) -> Result<Option<String>, StepError> {
    // Of the unified hierarchy: kills what is still in it. Older ones have no such file.
    let _ = std::fs::write(folder.join("cgroup.kill"), "1");
    for _ in 0..200 {
        match std::fs::remove_dir(folder) {
            Ok(()) => return Ok(Some(format!("control group {}", folder.display()))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::ResourceBusy => std::thread::sleep(Duration::from_millis(2)),
            Err(source) => return Err(StepError { what: "remove the control group", path: folder.to_owned(), source }),
        }
    }
    Err(StepError {
        what: "remove the control group",
        path: folder.to_owned(),
        source: io::ErrorKind::ResourceBusy.into(),
    })
}
