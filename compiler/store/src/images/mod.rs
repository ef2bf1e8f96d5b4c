//! Images of others as bases: which bytes a reference means, those bytes in the store, and the file system they make.
//!
//! ```text
//! reference ──resolve──► digest ──documents──► Image per architecture ──layers──► blobs ──tree──► Tree
//! ```
//!
//! Every document and layer is named by its SHA-256 and verified by it, wherever it came from: a registry, a mirror, an
//! image layout or a `docker-archive`. Only the step from a tag to a digest is taken on trust, and the lock keeps it.

mod archive;
mod authorization;
mod credentials;
mod error;
mod layers;
mod layout;
mod oci_archive;
mod registry;
mod registry_error;
mod tags;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use formats::oci::{self, Config, Descriptor, Document, MAX_DOCUMENT_BYTES, Manifest};
use packages::Sha256;
use spec::ImageReference;
use spec::appliance::Arch;

pub use authorization::{Challenge, read_challenge};
pub use credentials::{AuthFile, read_auth_file};
pub use error::ImageError;
pub use registry_error::RegistryError;
pub use tags::read_tags;

use crate::disk;
use crate::{Progress, Store};

/// An image that is wanted.
#[derive(Debug, Clone, Copy)]
pub struct ImageRequest<'a> {
    /// Which.
    pub reference: &'a ImageReference,
    /// The folder that paths of local images are relative to.
    pub folder: &'a Path,
    /// Whether only the store may be used.
    pub offline: bool,
    /// URLs of the mirrors of each registry, asked before the registry itself.
    pub mirrors: &'a BTreeMap<String, Vec<String>>,
    /// Files with credentials, the first that knows a registry counts; of several none need exist, a single one must.
    pub auth_files: &'a [PathBuf],
    /// Folders that may have one for a registry (`HOST[:PORT]`) with certificates for it: authorities `*.crt`, and a
    /// client's `*.cert` with `*.key`; the first that has one counts (containers-certs.d(5)).
    pub certificates: &'a [PathBuf],
}

/// The image of one architecture: verified documents.
#[derive(Debug, Clone)]
pub struct Image {
    /// The architecture.
    pub arch: Arch,
    /// SHA-256 of its manifest.
    pub manifest: Sha256,
    /// Its configuration.
    pub config: Config,
    /// Its layers, lowest first.
    pub layers: Vec<ImageLayer>,
}

/// One layer of an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageLayer {
    /// Media type, as the manifest has it.
    pub media_type: String,
    /// SHA-256 of its bytes.
    pub sha256: Sha256,
    /// Size of its bytes.
    pub size_bytes: u64,
    /// SHA-256 of it as plain tar, 64 hexadecimal digits.
    pub diff_id: String,
}

impl Store {
    /// The digest of what a reference names now: of its index, or of its manifest where it names one image.
    ///
    /// # Errors
    /// When there is nothing of that name, or it cannot be asked.
    pub fn resolve_image(&self, request: &ImageRequest<'_>) -> Result<Sha256, ImageError> {
        let text = || request.reference.to_string();
        match request.reference {
            ImageReference::Registry(reference) => match &reference.digest {
                Some(digest) => digest_of(digest.strip_prefix("sha256:").unwrap_or_default()),
                None if request.offline => Err(ImageError::Offline { reference: text() }),
                None => self.resolve_in_registry(request, reference),
            },
            ImageReference::Layout(local) => {
                self.resolve_layout(&text(), &request.folder.join(&local.path), local.name.as_deref())
            }
            ImageReference::OciArchive(local) => {
                self.resolve_oci_archive(&text(), &request.folder.join(&local.path), local.name.as_deref())
            }
            ImageReference::Archive(local) => {
                self.take_archive(&text(), &request.folder.join(&local.path), local.name.as_deref())
            }
        }
    }

    /// The image of each architecture below a digest; documents that are not in the store are fetched.
    ///
    /// # Errors
    /// When there is no image for one, a document cannot be had, or it is not what its digest says.
    pub fn images(&self, request: &ImageRequest<'_>, root: Sha256, arches: &[Arch]) -> Result<Vec<Image>, ImageError> {
        arches.iter().map(|arch| self.image(request, root, *arch)).collect()
    }

    /// Brings all layers of images into the store.
    ///
    /// # Errors
    /// When one cannot be had or is not what its digest says.
    pub fn fetch_layers(
        &self,
        request: &ImageRequest<'_>,
        images: &[Image],
        progress: &dyn Progress,
    ) -> Result<(), ImageError> {
        let mut wanted: Vec<Wanted> = images.iter().flat_map(|image| &image.layers).map(Wanted::layer).collect();
        wanted.sort_by_key(|one| one.sha256);
        wanted.dedup_by_key(|one| one.sha256);
        self.have(request, &wanted, progress)
    }

    /// The blobs that a document in the store names; none for what is no document.
    pub(crate) fn named_by_image(&self, name: &str) -> Vec<String> {
        let path = self.folders.path("images", name);
        let is_small = fs::metadata(&path).is_ok_and(|meta| meta.len() <= MAX_DOCUMENT_BYTES);
        let bytes = is_small.then(|| fs::read(&path).ok()).flatten();
        let digests = |all: Vec<Descriptor>| all.into_iter().map(|one| one.sha256).collect();
        match bytes.and_then(|bytes| oci::read_document(&bytes, None).ok()) {
            Some(Document::Index(index)) => digests(index),
            Some(Document::Manifest(Manifest { config, mut layers })) => {
                layers.push(config);
                digests(layers)
            }
            None => Vec::new(),
        }
    }

    /// The file of a blob in the store, if it is there.
    pub fn image_blob(&self, sha256: Sha256) -> Option<PathBuf> {
        let path = self.folders.path("images", sha256.to_string());
        path.is_file().then(|| {
            disk::mark_used(&path);
            path
        })
    }

    fn image(&self, request: &ImageRequest<'_>, root: Sha256, arch: Arch) -> Result<Image, ImageError> {
        let mut digest = root;
        let mut stated: Option<Descriptor> = None;
        // An index may name indexes; nothing real nests deeper.
        for _ in 0..4 {
            let bytes = self.document(request, digest, None)?;
            if let Some(stated) = &stated {
                check_size(&request.reference.to_string(), stated, bytes.len() as u64)?;
            }
            match document(request, &bytes, stated.as_ref().map(|stated| stated.media_type.as_str()))? {
                Document::Manifest(manifest) => return self.finish(request, digest, manifest, arch),
                Document::Index(index) => {
                    let chosen = self.choose(request, &index, arch)?;
                    digest = digest_of(&chosen.sha256)?;
                    stated = Some(chosen.clone());
                }
            }
        }
        Err(ImageError::TooDeep { reference: request.reference.to_string() })
    }

    fn choose<'a>(
        &self,
        request: &ImageRequest<'_>,
        index: &'a [Descriptor],
        arch: Arch,
    ) -> Result<&'a Descriptor, ImageError> {
        let name = match request.reference {
            ImageReference::Layout(local) | ImageReference::OciArchive(local) => local.name.as_deref(),
            _ => None,
        };
        // Below the first index nothing has a name.
        let name = name.filter(|name| index.iter().any(|one| one.name.as_deref() == Some(name)));
        oci::choose(index, arch.name(), name).map_err(|found| no_platform(request, arch, found.0))
    }

    fn finish(
        &self,
        request: &ImageRequest<'_>,
        manifest_digest: Sha256,
        manifest: Manifest,
        arch: Arch,
    ) -> Result<Image, ImageError> {
        let bytes = self.document(request, digest_of(&manifest.config.sha256)?, Some(manifest.config.size_bytes))?;
        let config = oci::read_config(&bytes, manifest.layers.len()).map_err(|source| bad(request, source))?;
        let fits = |stated: &str, wanted: &str| stated.is_empty() || stated == wanted;
        if !fits(&config.os, "linux") || !fits(&config.architecture, arch.name()) {
            let found = format!("{}/{}", config.os.escape_debug(), config.architecture.escape_debug());
            return Err(no_platform(request, arch, vec![found]));
        }
        let layer = |(layer, diff_id): (Descriptor, &String)| {
            Ok(ImageLayer {
                sha256: digest_of(&layer.sha256)?,
                media_type: layer.media_type,
                size_bytes: layer.size_bytes,
                diff_id: diff_id.clone(),
            })
        };
        let layers: Result<_, ImageError> = manifest.layers.into_iter().zip(&config.diff_ids).map(layer).collect();
        Ok(Image { arch, manifest: manifest_digest, layers: layers?, config })
    }

    /// The bytes of a document, from the store or fetched into it.
    fn document(
        &self,
        request: &ImageRequest<'_>,
        sha256: Sha256,
        size_bytes: Option<u64>,
    ) -> Result<Vec<u8>, ImageError> {
        if let Some(size) = size_bytes.filter(|size| *size > MAX_DOCUMENT_BYTES) {
            let what = format!("a document of {size} bytes: documents of images have at most {MAX_DOCUMENT_BYTES}");
            return Err(ImageError::Wrong { reference: request.reference.to_string(), what });
        }
        for _ in 0..2 {
            if let Some(path) = self.image_blob(sha256) {
                let bytes = fs::read(&path).map_err(disk::at("read", &path))?;
                if Sha256::of(&bytes) == sha256 {
                    return Ok(bytes);
                }
                disk::remove(&path)?;
            }
            let wanted = Wanted { sha256, size_bytes, is_manifest: size_bytes.is_none() };
            self.have(request, &[wanted], &crate::Silent)?;
        }
        Err(ImageError::Wrong {
            reference: request.reference.to_string(),
            what: "the store loses what it keeps".to_owned(),
        })
    }

    /// Makes sure that blobs are in the store.
    fn have(&self, request: &ImageRequest<'_>, wanted: &[Wanted], progress: &dyn Progress) -> Result<(), ImageError> {
        let missing: Vec<Wanted> = {
            let _guard = self.folders.looking_up()?;
            wanted.iter().filter(|one| !self.is_here(one)).copied().collect()
        };
        if missing.is_empty() {
            return Ok(());
        }
        match request.reference {
            ImageReference::Registry(_) if request.offline => {
                Err(ImageError::Offline { reference: request.reference.to_string() })
            }
            ImageReference::Registry(reference) => self.pull(request, reference, &missing, progress),
            ImageReference::Layout(local) => {
                self.take_from_layout(request, &request.folder.join(&local.path), &missing)
            }
            ImageReference::OciArchive(local) => {
                self.take_from_oci_archive(request, &request.folder.join(&local.path), &missing)
            }
            ImageReference::Archive(local) => {
                let reference = request.reference.to_string();
                self.take_archive(&reference, &request.folder.join(&local.path), local.name.as_deref())?;
                let lost = missing.iter().any(|one| !self.is_here(one));
                let what = "the archive holds another image than the lock says".to_owned();
                if lost { Err(ImageError::Wrong { reference, what }) } else { Ok(()) }
            }
        }
    }

    fn is_here(&self, wanted: &Wanted) -> bool {
        let here = self.image_blob(wanted.sha256).and_then(|path| fs::metadata(path).ok());
        here.is_some_and(|meta| wanted.size_bytes.is_none_or(|size| size == meta.len()))
    }

    /// Takes in a blob that is verified.
    fn place_blob(&self, from: &Path, sha256: Sha256) -> Result<(), disk::DiskError> {
        let _guard = self.folders.looking_up()?;
        disk::rename(from, &self.folders.path("images", sha256.to_string()))
    }

    /// Takes in a document that is at hand.
    fn place_document(&self, bytes: &[u8]) -> Result<Sha256, disk::DiskError> {
        let (temporary, sha256) = (self.folders.temporary(), Sha256::of(bytes));
        fs::write(&temporary, bytes).map_err(disk::at("write", &temporary))?;
        self.place_blob(&temporary, sha256)?;
        Ok(sha256)
    }
}

/// A blob that is wanted.
#[derive(Debug, Clone, Copy)]
struct Wanted {
    sha256: Sha256,
    size_bytes: Option<u64>,
    /// Manifests and indexes have a path of their own in registries.
    is_manifest: bool,
}

impl Wanted {
    fn layer(layer: &ImageLayer) -> Self {
        Self { sha256: layer.sha256, size_bytes: Some(layer.size_bytes), is_manifest: false }
    }
}

fn document(request: &ImageRequest<'_>, bytes: &[u8], stated: Option<&str>) -> Result<Document, ImageError> {
    oci::read_document(bytes, stated).map_err(|source| bad(request, source))
}

fn bad(request: &ImageRequest<'_>, source: oci::DocumentError) -> ImageError {
    ImageError::Document { reference: request.reference.to_string(), source }
}

fn no_platform(request: &ImageRequest<'_>, arch: Arch, found: Vec<String>) -> ImageError {
    ImageError::NoPlatform { reference: request.reference.to_string(), arch: arch.name(), found }
}

/// A document is as long as the index says that names it.
fn check_size(reference: &str, stated: &Descriptor, found: u64) -> Result<(), ImageError> {
    let Descriptor { sha256, size_bytes, .. } = stated;
    let what = || format!("its index says that the manifest sha256:{sha256} has {size_bytes} bytes; it has {found}");
    let wrong = || ImageError::Wrong { reference: reference.to_owned(), what: what() };
    if found == *size_bytes { Ok(()) } else { Err(wrong()) }
}

/// The digest that a checked document names.
fn digest_of(digits: &str) -> Result<Sha256, ImageError> {
    digits.parse().map_err(|_| ImageError::Wrong { reference: digits.to_owned(), what: "no SHA-256 digest".to_owned() })
}
