//! Opening a bundle: its manifest, its plan and the image of one architecture, each checked against the digest that names it.
//!
//! Only the small documents are read. Layers are checked when they are unpacked, once.

use std::io::Read;
use std::path::{Path, PathBuf};

use bundle::manifest::{self, Artifact, ArtifactKind, Manifest};
use bundle::plan::{self, Plan};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::bundle_boot::BootFiles;

/// A bundle whose documents are present, readable and what the manifest says they are.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// The manifest.
    pub manifest: Manifest,
    /// What the appliance asks of its host.
    pub plan: Plan,
    /// The layers of its image, lowest first; none where it has no image.
    pub layers: Vec<Layer>,
    /// What of it starts a machine.
    pub boot: BootFiles,
}

/// One layer of the image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// The compressed file.
    pub blob: PathBuf,
    /// How it is compressed.
    pub compression: Compression,
    /// SHA-256 of the uncompressed tar, 64 hexadecimal digits.
    pub diff_id: String,
    /// SHA-256 of that and of all layers below, 64 hexadecimal digits (image-spec `config.md`, "Layer ChainID"): what the
    /// layer holds once it is unpacked also depends on those.
    pub chain_id: String,
}

/// How a layer is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Compression {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

/// Why a bundle cannot be opened.
#[derive(Debug, thiserror::Error)]
pub enum BundleError {
    /// A file cannot be read.
    #[error("read {path}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: std::io::Error,
    },
    /// A document is larger than any true one.
    #[error("read {path}: it is larger than {limit_bytes} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The limit.
        limit_bytes: u64,
    },
    /// A document is not what its name promises.
    #[error("understand {path}")]
    Malformed {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: serde_json::Error,
    },
    /// A file was changed after the build.
    #[error("trust {path}: its SHA-256 is not {expected}")]
    Digest {
        /// The file.
        path: PathBuf,
        /// The digest that was promised.
        expected: String,
    },
    /// The bundle was built for other processors only.
    #[error("use the bundle {path}: it has no image for {wanted}, only for {}", built.join(", "))]
    OtherArch {
        /// The bundle.
        path: PathBuf,
        /// The architecture that is wanted.
        wanted: String,
        /// Those that it was built for.
        built: Vec<String>,
    },
    /// The bundle lacks something or has something that this program cannot use.
    #[error("use the bundle {path}: {reason}")]
    Unusable {
        /// The bundle.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
}

/// Larger than any document that a build writes; a hostile one must not fill memory.
const MAX_DOCUMENT_BYTES: u64 = 8 << 20;

/// The media type of an index (image-spec `image-index.md`).
const INDEX_TYPE: &str = "application/vnd.oci.image.index.v1+json";

/// The layout's own index, and one of all architectures below it.
const MAX_INDEXES: usize = 2;

#[derive(Deserialize)]
struct Index {
    manifests: Vec<Descriptor>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Descriptor {
    #[serde(default)]
    media_type: String,
    digest: String,
    #[serde(default)]
    platform: Option<Platform>,
}

#[derive(Deserialize)]
struct Platform {
    architecture: String,
}

#[derive(Deserialize)]
struct ImageManifest {
    config: Descriptor,
    layers: Vec<Descriptor>,
}

#[derive(Deserialize)]
struct ImageConfig {
    rootfs: Rootfs,
}

#[derive(Deserialize)]
struct Rootfs {
    diff_ids: Vec<String>,
}

impl Bundle {
    /// Opens the bundle in this folder for this architecture (`amd64`, `arm64`).
    pub fn open(folder: &Path, arch: &str) -> Result<Self, BundleError> {
        let folder =
            &std::path::absolute(folder).map_err(|source| BundleError::Read { path: folder.to_owned(), source })?;
        let manifest: Manifest = parse(folder, manifest::FILE_NAME, &read(folder, manifest::FILE_NAME)?)?;
        if manifest.schema > manifest::SCHEMA {
            return Err(unusable(folder, "it was written by a newer version of this program"));
        }
        let plan = Self::plan(folder, &manifest)?;
        let boot = BootFiles::find(folder, &manifest, arch)?;
        // A bundle that is for machines alone needs no image.
        let layers = match manifest.artifacts.iter().find(|artifact| artifact.kind == ArtifactKind::OciLayout) {
            None if boot.can_start() => Vec::new(),
            _ => Self::image(folder, &manifest, arch)?,
        };
        Ok(Self { manifest, plan, layers, boot })
    }

    fn plan(folder: &Path, manifest: &Manifest) -> Result<Plan, BundleError> {
        let bytes = read_only_one(folder, manifest, ArtifactKind::Plan, plan::FILE_NAME)?;
        let plan: Plan = parse(folder, plan::FILE_NAME, &bytes)?;
        if plan.schema > plan::SCHEMA {
            return Err(unusable(folder, "its plan was written by a newer version of this program"));
        }
        Ok(plan)
    }

    /// From the layout's index to the layers (image-spec `manifest.md`, `config.md`).
    fn image(folder: &Path, manifest: &Manifest, arch: &str) -> Result<Vec<Layer>, BundleError> {
        let image = Self::image_manifest(folder, manifest, arch)?;
        let config: ImageConfig = blob(folder, &image.config)?;
        if image.layers.len() != config.rootfs.diff_ids.len() {
            return Err(unusable(folder, "its image lists other layers in the manifest than in the configuration"));
        }
        let pairs = image.layers.iter().zip(&config.rootfs.diff_ids);
        let mut chain = None;
        pairs
            .map(|(layer, diff_id)| {
                let layer = Layer::new(folder, layer, diff_id, chain.as_deref())?;
                chain = Some(layer.chain_id.clone());
                Ok(layer)
            })
            .collect()
    }

    /// The manifest for an architecture. The layout's index names it, or an index of its own that does (image-spec
    /// `image-index.md`).
    fn image_manifest(folder: &Path, manifest: &Manifest, arch: &str) -> Result<ImageManifest, BundleError> {
        let bytes = read_only_one(folder, manifest, ArtifactKind::OciLayout, "oci/index.json")?;
        let mut index: Index = parse(folder, "oci/index.json", &bytes)?;
        let fits = |entry: &&Descriptor| entry.platform.as_ref().is_none_or(|platform| platform.architecture == arch);
        for _ in 0..MAX_INDEXES {
            let chosen = index.manifests.iter().find(fits);
            let chosen = chosen.ok_or_else(|| other_arch(folder, manifest, arch))?;
            if chosen.media_type != INDEX_TYPE {
                return blob(folder, chosen);
            }
            index = blob(folder, chosen)?;
        }
        Err(unusable(folder, "the indexes of its image nest too deep"))
    }
}

impl Layer {
    fn new(folder: &Path, descriptor: &Descriptor, diff_id: &str, below: Option<&str>) -> Result<Self, BundleError> {
        let compression = match descriptor.media_type.rsplit_once('+').map(|(_, suffix)| suffix) {
            Some("zstd") => Compression::Zstd,
            Some("gzip") => Compression::Gzip,
            None if descriptor.media_type.ends_with("tar") => Compression::None,
            _ => return Err(unusable(folder, &format!("a layer is of the unknown kind {}", descriptor.media_type))),
        };
        let blob = folder.join(blob_path(folder, &descriptor.digest)?);
        let diff_id = digits(folder, diff_id)?.to_owned();
        let chained = |below: &str| crate::hex(&Sha256::digest(format!("sha256:{below} sha256:{diff_id}")));
        let chain_id = below.map_or_else(|| diff_id.clone(), chained);
        Ok(Self { blob, compression, diff_id, chain_id })
    }
}

fn read_only_one(folder: &Path, manifest: &Manifest, kind: ArtifactKind, file: &str) -> Result<Vec<u8>, BundleError> {
    let artifact = manifest.artifacts.iter().find(|artifact| artifact.kind == kind);
    let artifact = artifact.ok_or_else(|| unusable(folder, &format!("its manifest does not list {file}")))?;
    read_artifact(folder, artifact, file)
}

/// Reads a small file of a bundle, which must be what the manifest says.
pub fn read_artifact(folder: &Path, artifact: &Artifact, file: &str) -> Result<Vec<u8>, BundleError> {
    let bytes = read(folder, file)?;
    verify(folder, file, &bytes, &artifact.sha256)?;
    Ok(bytes)
}

fn blob<T: serde::de::DeserializeOwned>(folder: &Path, descriptor: &Descriptor) -> Result<T, BundleError> {
    let file = blob_path(folder, &descriptor.digest)?;
    let bytes = read(folder, &file)?;
    verify(folder, &file, &bytes, digits(folder, &descriptor.digest)?)?;
    parse(folder, &file, &bytes)
}

fn blob_path(folder: &Path, digest: &str) -> Result<String, BundleError> {
    Ok(format!("oci/blobs/sha256/{}", digits(folder, digest)?))
}

/// The digits of a SHA-256 digest; anything else could name a file elsewhere.
fn digits<'d>(folder: &Path, digest: &'d str) -> Result<&'d str, BundleError> {
    let digits = digest.strip_prefix("sha256:").filter(|text| text.len() == 64);
    let valid = digits.filter(|text| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')));
    valid.ok_or_else(|| unusable(folder, "a digest in its image is not a SHA-256"))
}

fn read(folder: &Path, file: &str) -> Result<Vec<u8>, BundleError> {
    let path = folder.join(file);
    let failed = |source| BundleError::Read { path: path.clone(), source };
    let mut bytes = Vec::new();
    let opened = std::fs::File::open(&path).map_err(failed)?;
    opened.take(MAX_DOCUMENT_BYTES + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(BundleError::TooLarge { path, limit_bytes: MAX_DOCUMENT_BYTES });
    }
    Ok(bytes)
}

fn verify(folder: &Path, file: &str, bytes: &[u8], expected: &str) -> Result<(), BundleError> {
    if crate::hex(&Sha256::digest(bytes)) == expected {
        return Ok(());
    }
    Err(BundleError::Digest { path: folder.join(file), expected: expected.to_owned() })
}

fn parse<T: serde::de::DeserializeOwned>(folder: &Path, file: &str, bytes: &[u8]) -> Result<T, BundleError> {
    serde_json::from_slice(bytes).map_err(|source| BundleError::Malformed { path: folder.join(file), source })
}

fn other_arch(folder: &Path, manifest: &Manifest, arch: &str) -> BundleError {
    match manifest.arch.iter().any(|built| built == arch) || manifest.arch.is_empty() {
        true => unusable(folder, &format!("it has no image for {arch}")),
        false => {
            BundleError::OtherArch { path: folder.to_owned(), wanted: arch.to_owned(), built: manifest.arch.clone() }
        }
    }
}

fn unusable(folder: &Path, reason: &str) -> BundleError {
    BundleError::Unusable { path: folder.to_owned(), reason: reason.to_owned() }
}
