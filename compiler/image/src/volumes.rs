//! The empty disks of volumes, which a machine gets beside its own: one file system without a partition table, in each
//! container that the machine's disk has. The guest finds it by its id and lets it grow to the size of its disk.

use std::io;

use bundle::manifest::{Artifact, ArtifactKind};
use formats::ext4::{self, Options, Size};
use formats::qcow2::Compression;
use formats::region::{RegionSink, RegionSource};
use formats::vhdx;
use spec::appliance::{Appliance, Output, Volume};
use tree::{NoBlobs, Node, Tree};

use crate::machine_disk::{Container, Ext4Source, Format, write_containers};
use crate::plan::{Identity, PlanError};
use crate::{DISKS, FileDigests, Outputs, machine_files};

/// Size of a volume that names none.
const DEFAULT_BYTES: u64 = 1 << 30;

/// Free space that one begins with, half of its size where that is less, and the least share of its size that it begins with: a file system can grow to some
/// thousand times of what it was made as.
const FREE_BYTES: u64 = 32 << 20;
const LEAST_SHARE: u64 = 512;

/// The empty disk of one volume.
pub(crate) struct VolumePlan {
    name: String,
    size_bytes: u64,
    layout: ext4::Layout,
    tree: Tree,
    formats: Vec<(&'static str, Output)>,
    compression: Compression,
}

impl VolumePlan {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }
}

/// The id of a volume's file system.
pub fn volume_id(name: &str, identity: &Identity) -> [u8; 16] {
    identity.uuid(&format!("volume/{name}/uuid"))
}

/// Decides the disks of all volumes; none where nothing boots.
pub(crate) fn plan(appliance: &Appliance, identity: &Identity) -> Result<Vec<VolumePlan>, PlanError> {
    let asked = |output: Output| appliance.outputs.contains(&output);
    let formats: Vec<_> = [
        ("raw", Output::Raw, asked(Output::Raw) || asked(Output::Microvm)),
        ("qcow2", Output::Qcow2, asked(Output::Qcow2)),
        ("vhdx", Output::Vhdx, asked(Output::Vhdx)),
        ("vmdk", Output::Vmdk, asked(Output::Vmdk) || asked(Output::Ova)),
    ]
    .into_iter()
    .filter_map(|(end, output, wanted)| wanted.then_some((end, output)))
    .collect();
    let boots = asked(Output::Microvm) || DISKS.into_iter().any(asked);
    let volumes = appliance.volumes.iter().filter(|_| boots);
    let compression = machine_files::compression(appliance);
    volumes.map(|volume| plan_one(volume, formats.clone(), compression, identity)).collect()
}

fn plan_one(
    volume: &Volume,
    formats: Vec<(&'static str, Output)>,
    compression: Compression,
    identity: &Identity,
) -> Result<VolumePlan, PlanError> {
    let name = volume.name.clone();
    let epoch_secs = u64::try_from(identity.epoch_secs).unwrap_or(0);
    let hash_seed = identity.uuid(&format!("volume/{name}/hash-seed"));
    let size_bytes = volume.size_bytes.unwrap_or(DEFAULT_BYTES).next_multiple_of(1 << 20);
    let free_bytes = FREE_BYTES.max(size_bytes / LEAST_SHARE).min(size_bytes / 2);
    let mut options = Options::read_only(volume_id(&name, identity), hash_seed, epoch_secs);
    // A label has room for 16 bytes.
    options.label = name
        .chars()
        .scan(0, |bytes, c| {
            *bytes += c.len_utf8();
            (*bytes <= 16).then_some(c)
        })
        .collect();
    options.journal = true;
    options.size = Size::Minimal { free_bytes, free_percent: 0 };
    let mut root = Node::dir(0o755);
    root.meta.mtime_secs = identity.epoch_secs;
    let tree = Tree::new(root);
    let layout = ext4::plan(&tree, &options).map_err(|source| PlanError::Volume { name: name.clone(), source })?;
    let size_bytes = size_bytes.max(layout.size_bytes());
    Ok(VolumePlan { name, size_bytes, layout, tree, formats, compression })
}

/// Writes the disks of a volume and lists them.
pub(crate) fn write(plan: &VolumePlan, identity: &Identity, outputs: &dyn Outputs) -> io::Result<Vec<Artifact>> {
    let source = Ext4Source { layout: &plan.layout, tree: &plan.tree, blobs: &NoBlobs };
    let id = |role: &str| identity.uuid(&format!("volume/{}/{role}", plan.name));
    let mut artifacts = Vec::new();
    for (end, output) in &plan.formats {
        let path = format!("volumes/{}.{end}", plan.name);
        let format = match output {
            Output::Qcow2 => Format::Qcow2(plan.compression),
            Output::Vhdx => {
                Format::Vhdx(vhdx::Ids { file_write: id("file"), data_write: id("data"), disk: id("disk") })
            }
            Output::Vmdk => Format::Vmdk { content_id: id("content"), file_name: format!("{}.vmdk", plan.name) },
            _ => Format::Raw,
        };
        // A raw file grows when somebody lets it; the others say how large they are and take no room for it.
        let size_bytes = if matches!(format, Format::Raw) { source.size_bytes() } else { plan.size_bytes };
        let disk = Larger { source: &source, size_bytes };
        let mut storage = outputs.storage(&path)?;
        let digests = write_containers(&disk, vec![Container { format, output: &mut storage }], 1)?;
        let Some(FileDigests { size_bytes, blake3, sha256 }) = digests.into_iter().next() else { continue };
        artifacts.push(Artifact { kind: ArtifactKind::Volume, arch: None, path, size_bytes, blake3, sha256 });
    }
    Ok(artifacts)
}

/// A disk with room behind what is in it.
struct Larger<'a> {
    source: &'a Ext4Source<'a>,
    size_bytes: u64,
}

impl RegionSource for Larger<'_> {
    fn size_bytes(&self) -> u64 {
        self.size_bytes
    }

    fn data_ranges(&self) -> Vec<std::ops::Range<u64>> {
        self.source.data_ranges()
    }

    fn write(&self, sink: &mut dyn RegionSink) -> io::Result<()> {
        self.source.write(sink)
    }
}
