//! Carries an image plan out: layers from the cache or made anew, documents, file systems, and their digests.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write};
use std::thread;

use bundle::manifest::{Artifact, ArtifactKind};
use formats::tar;
use sha2::{Digest as _, Sha256};
use spec::appliance::{Appliance, Arch};
use thiserror::Error;
use tree::{Blobs, Kind, NodeId, Tree, TreePath};

use crate::artifact::{HashingWriter, hex};
use crate::compress::{Codec, compress_frames};
use crate::layers::Layer;
use crate::machine_files::{BootPrograms, Disk, MachineFile};
use crate::oci::{self, LayoutIndex, blob_path};
use crate::plan::{Ext4Plan, ImagePlan, RootPlan};
use crate::threads::joined;
use crate::volumes;
use crate::wsl::{self, WslPlan};
use crate::{DiskError, FileDigests, LayerCache, Outputs, Part, WrittenLayer};

/// Why an artifact could not be written.
#[derive(Debug, Error)]
pub enum WriteError {
    /// A layer of the OCI image.
    #[error("write the layer `{0}` of the OCI image")]
    Layer(&'static str, #[source] io::Error),
    /// Another file of the OCI layout.
    #[error("write {0}")]
    Document(String, #[source] io::Error),
    /// A file system.
    #[error("write {0}")]
    FileSystem(String, #[source] io::Error),
    /// A disk that cannot be planned.
    #[error(transparent)]
    Disk(DiskError),
    /// The disk of a volume.
    #[error("write the disk of the volume {0}")]
    Volume(String, #[source] io::Error),
    /// The files of a machine.
    #[error("write the disks for {0}")]
    Machine(&'static str, #[source] io::Error),
}

/// What was written.
#[derive(Debug)]
pub struct Written {
    /// Every artifact.
    pub artifacts: Vec<Artifact>,
    /// What each root that proves itself hashes to, 64 hexadecimal digits.
    pub root_hashes: BTreeMap<Arch, String>,
}

/// Writes all artifacts of a plan and lists them. Disks, file systems (those of each architecture too) and layers are
/// written side by side.
///
/// # Errors
/// The first that fails; what was written until then is in `outputs`, which its owner discards.
pub fn write(
    appliance: &Appliance,
    plan: &ImagePlan,
    programs: &BootPrograms<'_>,
    blobs: &dyn Blobs,
    cache: &dyn LayerCache,
    outputs: &dyn Outputs,
    workers: usize,
) -> Result<Written, WriteError> {
    let disks = plan_disks(plan, programs, blobs)?;
    thread::scope(|scope| {
        let machines = scope.spawn(|| {
            let mut written = Written { artifacts: Vec::new(), root_hashes: BTreeMap::new() };
            for disk in &disks {
                write_disk(disk, plan, outputs, workers, &mut written)?;
            }
            for volume in &plan.volumes {
                let failed = |error| WriteError::Volume(volume.name().to_owned(), error);
                written.artifacts.extend(volumes::write(volume, &plan.identity, outputs).map_err(failed)?);
            }
            Ok(written)
        });
        let alone = plan.roots.iter().filter(|root| root.machine.is_none()).filter_map(with_ext4);
        let alone: Vec<_> =
            alone.map(|(root, ext4)| scope.spawn(move || write_ext4(root, ext4, blobs, outputs))).collect();
        let distributions = plan.roots.iter().filter_map(|root| Some((root.arch, root.wsl.as_ref()?)));
        let distributions = distributions.map(|(arch, wsl)| write_wsl(arch, wsl, blobs, outputs, workers));
        let distributions = distributions.collect::<Result<Vec<_>, _>>()?;
        let layout = if plan.oci { Some(write_layout(appliance, plan, blobs, cache, outputs, workers)?) } else { None };
        let mut written: Written = joined(machines)?;
        for ext4 in alone {
            written.artifacts.push(joined(ext4)?);
        }
        written.artifacts.extend(distributions);
        written.artifacts.extend(layout);
        Ok(written)
    })
}

fn with_ext4(root: &RootPlan) -> Option<(&RootPlan, &Ext4Plan)> {
    root.ext4.as_ref().map(|ext4| (root, ext4))
}

fn plan_disks<'a>(
    plan: &'a ImagePlan,
    programs: &'a BootPrograms<'_>,
    blobs: &'a dyn Blobs,
) -> Result<Vec<Disk<'a>>, WriteError> {
    let machines = plan.roots.iter().filter_map(|root| root.machine.as_ref().map(|machine| (root, machine)));
    let disks = machines.map(|(root, machine)| Disk::plan(root, machine, programs, blobs, &plan.identity));
    disks.filter_map(Result::transpose).collect::<Result<_, _>>().map_err(WriteError::Disk)
}

fn write_disk(
    disk: &Disk<'_>,
    plan: &ImagePlan,
    outputs: &dyn Outputs,
    workers: usize,
    all: &mut Written,
) -> Result<(), WriteError> {
    let failed = |error| WriteError::Machine(disk.arch().name(), error);
    let written = disk.write(&plan.identity, outputs, workers).map_err(failed)?;
    let list = |(file, digests): (MachineFile, _)| artifact(file.kind, Some(disk.arch()), &file.path, digests);
    all.artifacts.extend(written.files.into_iter().map(list));
    all.root_hashes.extend(written.root_hash.map(|hash| (disk.arch(), hash)));
    Ok(())
}

fn write_ext4(
    root: &RootPlan,
    plan: &Ext4Plan,
    blobs: &dyn Blobs,
    outputs: &dyn Outputs,
) -> Result<Artifact, WriteError> {
    let digests = outputs
        .sparse_file(&plan.path, plan.layout.size_bytes(), &mut |sink| {
            formats::ext4::write(&plan.layout, &root.tree, blobs, sink).map_err(io::Error::other)
        })
        .map_err(|error| WriteError::FileSystem(plan.path.clone(), error))?;
    Ok(artifact(ArtifactKind::Ext4, Some(root.arch), &plan.path, digests))
}

fn write_wsl(
    arch: Arch,
    plan: &WslPlan,
    blobs: &dyn Blobs,
    outputs: &dyn Outputs,
    workers: usize,
) -> Result<Artifact, WriteError> {
    let mut digests = None;
    let mut fill = |file: &mut (dyn Write + Send)| {
        digests = Some(wsl::write(plan, blobs, workers, file)?);
        Ok(())
    };
    let failed = |error| WriteError::Document(plan.path.clone(), error);
    outputs.file(&plan.path, &mut fill).map_err(failed)?;
    let digests = digests.ok_or_else(|| failed(io::Error::other("the file was not filled")))?;
    Ok(artifact(ArtifactKind::Wsl, Some(arch), &plan.path, digests))
}

fn write_layout(
    appliance: &Appliance,
    plan: &ImagePlan,
    blobs: &dyn Blobs,
    cache: &dyn LayerCache,
    outputs: &dyn Outputs,
    workers: usize,
) -> Result<Artifact, WriteError> {
    let created = oci::rfc3339(plan.identity.epoch_secs);
    let (mut size_bytes, mut counted) = (0, BTreeSet::new());
    let mut manifests = Vec::new();
    for (root, layers) in plan.roots.iter().zip(make_layers(plan, blobs, cache, workers)?) {
        for (part, layer) in &layers {
            let taken = outputs.take_layer(layer, &blob_path(&layer.digest));
            taken.map_err(|error| WriteError::Layer(part.name(), error))?;
        }
        let config = oci::config(appliance, root.arch, &created, &plan.process, root, &layers);
        let manifest = oci::manifest(appliance, &created, &config, root, &layers);
        take_below(root, outputs)?;
        let all = layer_sizes(root, &layers);
        // What the roots of two architectures share is there once.
        size_bytes += all.iter().filter(|(digest, _)| !counted.contains(digest)).map(|(_, size)| size).sum::<u64>();
        counted.extend(all.into_iter().map(|(digest, _)| digest));
        for document in [&config, &manifest] {
            size_bytes += put(outputs, &document.blob_path(), &document.bytes)?;
        }
        manifests.push((root.arch, manifest));
    }
    let LayoutIndex { nested, index } = LayoutIndex::new(appliance, &created, &manifests);
    if let Some(nested) = &nested {
        size_bytes += put(outputs, &nested.blob_path(), &nested.bytes)?;
    }
    size_bytes += put(outputs, "oci/oci-layout", oci::LAYOUT_FILE)?;
    size_bytes += put(outputs, "oci/index.json", &index.bytes)?;
    Ok(artifact(ArtifactKind::OciLayout, None, "oci", FileDigests { size_bytes, ..index.digests }))
}

/// Takes the layers of a base image as they are.
fn take_below(root: &RootPlan, outputs: &dyn Outputs) -> Result<(), WriteError> {
    for layer in &root.below {
        let taken = outputs.take_base_layer(layer, &blob_path(&layer.digest));
        taken.map_err(|error| WriteError::Layer("of the base image", error))?;
    }
    Ok(())
}

/// The digest and the size of each layer of a root.
fn layer_sizes(root: &RootPlan, own: &[(Part, WrittenLayer)]) -> Vec<(String, u64)> {
    let own = own.iter().map(|(_, layer)| (layer.digest.clone(), layer.size_bytes));
    root.below.iter().map(|layer| (layer.digest.clone(), layer.size_bytes)).chain(own).collect()
}

/// The finished layers of a root, lowest first.
type RootLayers = Vec<(Part, WrittenLayer)>;

/// The layers of each root, in the cache. The roots share the workers, so that no more memory is used than for one.
fn make_layers(
    plan: &ImagePlan,
    blobs: &dyn Blobs,
    cache: &dyn LayerCache,
    workers: usize,
) -> Result<Vec<RootLayers>, WriteError> {
    let workers = workers.div_ceil(plan.roots.len().max(1));
    let one = |layer: &Layer| match cache.get(&layer.key) {
        Some(written) => Ok((layer.part, written)),
        None => {
            let made = cache.make(&layer.key, &mut |out| make_layer(layer, blobs, workers, out));
            made.map(|made| (layer.part, made)).map_err(|error| WriteError::Layer(layer.part.name(), error))
        }
    };
    let of_root = |root: &RootPlan| root.layers.iter().map(one).collect::<Result<RootLayers, _>>();
    thread::scope(|scope| {
        let all: Vec<_> = plan.roots.iter().map(|root| scope.spawn(|| of_root(root))).collect();
        all.into_iter().map(joined).collect()
    })
}

/// Writes a layer's compressed tar and tells what names it.
fn make_layer(
    layer: &Layer,
    blobs: &dyn Blobs,
    workers: usize,
    out: &mut (dyn Write + Send),
) -> io::Result<WrittenLayer> {
    let mut compressed = HashingWriter::new(out);
    let diff_id = compress_frames(&mut compressed, Codec::Zstd, workers, |frames| {
        let mut plain = Plain { frames, sha256: Sha256::new() };
        write_tar(&layer.tree, blobs, &mut plain)?;
        Ok(hex(&plain.sha256.finalize()))
    })?;
    let (_, digests) = compressed.finish();
    Ok(WrittenLayer { key: layer.key, diff_id, digest: digests.sha256, size_bytes: digests.size_bytes })
}

/// The uncompressed side of a layer: digested for the DiffID, then compressed.
struct Plain<'a> {
    frames: &'a mut dyn Write,
    sha256: Sha256,
}

impl Write for Plain<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let taken = self.frames.write(bytes)?;
        self.sha256.update(&bytes[..taken]);
        Ok(taken)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.frames.flush()
    }
}

/// Writes the entries of a tree in canonical order (OCI image specification, `layer.md`); the root itself has no entry.
pub(crate) fn write_tar(tree: &Tree, blobs: &dyn Blobs, out: &mut dyn Write) -> io::Result<()> {
    let mut tar = tar::Writer::new(out);
    let mut first_names: BTreeMap<NodeId, &TreePath> = BTreeMap::new();
    // Sockets have no form in a tar; they exist only while a program listens.
    let entries = tree.iter().filter(|(path, _, node)| !path.is_root() && !matches!(node.kind, Kind::Socket));
    for (path, id, node) in entries {
        let written = match (first_names.insert(id, path), &node.kind) {
            (Some(first), _) => {
                first_names.insert(id, first);
                tar.hard_link(path, &node.meta, first)
            }
            (None, Kind::File(content)) => tar.entry(path, node, &mut blobs.reader(content)?),
            (None, _) => tar.entry(path, node, &mut io::empty()),
        };
        written.map_err(io::Error::other)?;
    }
    tar.finish().map_err(io::Error::other)?;
    Ok(())
}

fn put(outputs: &dyn Outputs, path: &str, bytes: &[u8]) -> Result<u64, WriteError> {
    outputs
        .file(path, &mut |file| file.write_all(bytes))
        .map_err(|error| WriteError::Document(path.to_owned(), error))?;
    Ok(bytes.len() as u64)
}

fn artifact(kind: ArtifactKind, arch: Option<Arch>, path: &str, digests: FileDigests) -> Artifact {
    let arch = arch.map(|arch| arch.name().to_owned());
    let FileDigests { size_bytes, blake3, sha256 } = digests;
    Artifact { kind, arch, path: path.to_owned(), size_bytes, blake3, sha256 }
}
