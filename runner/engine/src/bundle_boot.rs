//! What of a bundle boots a machine: kernel and root for direct boot, disks that firmware starts, disks of volumes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use bundle::manifest::{Artifact, ArtifactKind, Manifest};

use crate::bundle_folder::{BundleError, read_artifact};

/// Everything in a bundle that a machine of one architecture starts from.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct BootFiles {
    /// What a machine without firmware takes.
    pub direct: Option<Direct>,
    /// A disk that UEFI starts.
    pub disk: Option<DiskFile>,
    /// The empty disk of each volume, by the volume's name.
    pub volumes: BTreeMap<String, DiskFile>,
}

/// Kernel, initial file system, command line and root, each a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Direct {
    /// The kernel with its own loader.
    pub kernel: Checked,
    /// The initial file system.
    pub initrd: Checked,
    /// The command line.
    pub command_line: String,
    /// The root's file system.
    pub root: PathBuf,
    /// Its hash tree, where it is read-only.
    pub verity: Option<PathBuf>,
}

/// A file, and what it must hash to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checked {
    /// The file.
    pub path: PathBuf,
    /// SHA-256, 64 hexadecimal digits.
    pub sha256: String,
}

/// A file that holds a disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DiskFile {
    /// The file.
    pub path: PathBuf,
    /// In which format, in QEMU's words: `raw`, `qcow2`.
    pub format: String,
}

impl BootFiles {
    /// What the manifest lists for this architecture.
    ///
    /// # Errors
    /// When the command line cannot be read or was changed.
    pub fn find(folder: &Path, manifest: &Manifest, arch: &str) -> Result<Self, BundleError> {
        let fits = |artifact: &&Artifact| artifact.arch.as_deref().is_none_or(|built| built == arch);
        let all: Vec<&Artifact> = manifest.artifacts.iter().filter(fits).collect();
        let one = |kind| all.iter().find(|artifact| artifact.kind == kind).copied();
        let at = |artifact: &Artifact| folder.join(&artifact.path);
        let checked = |artifact: &Artifact| Checked { path: at(artifact), sha256: artifact.sha256.clone() };
        let line = one(ArtifactKind::CommandLine).map(|line| command_line(folder, line)).transpose()?;
        let parts = [ArtifactKind::Kernel, ArtifactKind::Initrd, ArtifactKind::Ext4].map(one);
        let direct = match (parts, line) {
            ([Some(kernel), Some(initrd), Some(root)], Some(command_line)) => Some(Direct {
                kernel: checked(kernel),
                initrd: checked(initrd),
                command_line,
                root: at(root),
                verity: one(ArtifactKind::Verity).map(at),
            }),
            _ => None,
        };
        let file = |artifact: &Artifact, format: &str| DiskFile { path: at(artifact), format: format.to_owned() };
        let raw = one(ArtifactKind::Raw).map(|disk| file(disk, "raw"));
        let disk = raw.or_else(|| one(ArtifactKind::Qcow2).map(|disk| file(disk, "qcow2")));
        let volumes = all.iter().filter(|artifact| artifact.kind == ArtifactKind::Volume);
        // In the order of paths `.raw` comes after `.qcow2` and takes its place: it is as small, and can be made larger.
        let volumes = volumes.filter_map(|artifact| volume(folder, artifact)).collect();
        Ok(Self { direct, disk, volumes })
    }

    /// Whether anything starts a machine.
    pub fn can_start(&self) -> bool {
        self.direct.is_some() || self.disk.is_some()
    }
}

fn command_line(folder: &Path, artifact: &Artifact) -> Result<String, BundleError> {
    let bytes = read_artifact(folder, artifact, &artifact.path)?;
    let text = String::from_utf8(bytes).ok().filter(|text| !text.contains(['\0', '\n']));
    text.ok_or_else(|| BundleError::Unusable {
        path: folder.to_owned(),
        reason: "its kernel command line is not one line of text".to_owned(),
    })
}

/// The name of a volume with its disk, where QEMU knows the format.
fn volume(folder: &Path, artifact: &Artifact) -> Option<(String, DiskFile)> {
    let (name, format) = artifact.path.strip_prefix("volumes/")?.rsplit_once('.')?;
    let disk = DiskFile { path: folder.join(&artifact.path), format: format.to_owned() };
    matches!(format, "raw" | "qcow2").then(|| (name.to_owned(), disk))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn artifact(kind: ArtifactKind, arch: Option<&str>, path: &str) -> Artifact {
        Artifact {
            kind,
            arch: arch.map(str::to_owned),
            path: path.to_owned(),
            size_bytes: 0,
            blake3: String::new(),
            sha256: "00".repeat(32),
        }
    }

    #[test]
    fn each_architecture_has_its_own_disk_and_volumes_are_for_all() {
        let manifest = Manifest {
            schema: 1,
            name: "toy".into(),
            version: "1".into(),
            arch: vec!["amd64".into(), "arm64".into()],
            artifacts: vec![
                artifact(ArtifactKind::Qcow2, Some("amd64"), "disk-amd64.qcow2"),
                artifact(ArtifactKind::Raw, Some("arm64"), "disk-arm64.raw"),
                artifact(ArtifactKind::Volume, None, "volumes/data.qcow2"),
                artifact(ArtifactKind::Volume, None, "volumes/data.raw"),
                artifact(ArtifactKind::Volume, None, "volumes/data.vhdx"),
            ],
            lock_blake3: String::new(),
            tool_version: String::new(),
        };
        let disk = |arch| BootFiles::find(Path::new("/b"), &manifest, arch).unwrap().disk.unwrap();
        assert_eq!((disk("amd64").path, disk("arm64").format), ("/b/disk-amd64.qcow2".into(), "raw".to_owned()));
        let found = BootFiles::find(Path::new("/b"), &manifest, "amd64").unwrap();
        assert_eq!(found.volumes["data"], DiskFile { path: "/b/volumes/data.raw".into(), format: "raw".into() });
        assert!(found.can_start() && found.direct.is_none());
    }
}
