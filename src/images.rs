//! Images of others that specs stand on: which one a reference means, and its parts in the store.

use std::collections::BTreeMap;
use std::path::PathBuf;

use assemble::Mistake;
use image::{BaseLayer, BaseLayers};
use packages::{Lock, Sha256};
use spec::appliance::Base;
use spec::{ImageReference, Written};
use store::{Image, ImageError, ImageLayer, ImageRequest};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::image_refusals;
use crate::places;
use crate::spec_file::SpecFile;
use crate::workshop::Workshop;

/// What a request for an image borrows from.
struct Wish<'a> {
    reference: &'a ImageReference,
    folder: PathBuf,
    mirrors: BTreeMap<String, Vec<String>>,
    auth_files: Vec<PathBuf>,
    certificates: Vec<PathBuf>,
    offline: bool,
}

impl Wish<'_> {
    fn request(&self) -> ImageRequest<'_> {
        let Self { reference, folder, mirrors, auth_files, certificates, offline } = self;
        ImageRequest { reference, folder, offline: *offline, mirrors, auth_files, certificates }
    }
}

impl Workshop<'_> {
    /// The digest of the image that a spec stands on, with `sha256:` in front: what the lock has for a tag, else what the
    /// reference names now. Empty with `locked` where the lock says nothing: that lock is stale in any case.
    ///
    /// # Errors
    /// When there is no such image, or it cannot be asked.
    pub fn base_digest(
        &self,
        spec: &SpecFile,
        reference: &ImageReference,
        old: Option<&Lock>,
        locked: bool,
    ) -> Result<String, Failure> {
        let is_tag = matches!(reference, ImageReference::Registry(registry) if registry.digest.is_none());
        let text = reference.to_string();
        let known = old.map(|lock| &lock.base).filter(|base| base.name == "oci" && base.release == text);
        match known {
            Some(base) if is_tag => Ok(base.digest.clone()),
            None if is_tag && locked => Ok(String::new()),
            _ => {
                let found = self.store.resolve_image(&self.wish(spec, reference).request());
                let digest = found.map_err(|error| not_had(spec, reference, error))?;
                Ok(format!("sha256:{digest}"))
            }
        }
    }

    /// The images that a lock names, one for each architecture; none where the spec stands on something else.
    ///
    /// # Errors
    /// When one cannot be had.
    pub fn images(&self, spec: &SpecFile, lock: &Lock) -> Result<Vec<Image>, Failure> {
        self.images_of(spec, &lock.base.digest)
    }

    /// A spec with what it has from the images it stands on: their environment, below its own. A variable that differs
    /// between architectures is left out, with a word about it.
    ///
    /// # Errors
    /// When packages are asked for and there is no distribution in the images that they could come from.
    pub fn standing_on(&self, mut spec: SpecFile, images: &[Image]) -> Result<SpecFile, Failure> {
        if !images.is_empty() && image_refusals::asks_for_packages(&spec) {
            spec.image_base = Some(self.distribution(&spec, images)?);
        }
        self.inherit_env(&mut spec, images);
        Ok(spec)
    }

    /// Puts the environment of images below that of a spec.
    pub fn inherit_env(&self, spec: &mut SpecFile, images: &[Image]) {
        let Some((first, rest)) = images.split_first() else { return };
        for (name, value) in &first.config.env {
            let env = &mut spec.checked.appliance.env;
            if rest.iter().all(|image| image.config.env.get(name) == Some(value)) {
                env.entry(name.clone()).or_insert_with(|| value.clone());
            } else if !env.contains_key(name) {
                self.ui.warn(format!("the base image has another {name} on each architecture; set it with `env`"));
            }
        }
    }

    /// Brings the layers of images into the store.
    ///
    /// # Errors
    /// When one cannot be had.
    pub fn fetch_layers(&self, spec: &SpecFile, images: &[Image]) -> Result<(), Failure> {
        let Base::Oci(reference) = &spec.appliance().base else { return Ok(()) };
        let wish = self.wish(spec, reference);
        let fetched = self.store.fetch_layers(&wish.request(), images, &self.bar);
        fetched.map_err(|error| not_had(spec, reference, error))?;
        self.bar.clear();
        Ok(())
    }

    /// The file system of an image whose layers were fetched, and these layers for an image that stands on it.
    ///
    /// # Errors
    /// When a layer is refused.
    pub fn base_layers(&self, image: &Image) -> Result<BaseLayers, Failure> {
        let tree = self.store.image_tree(image, &self.bar).map_err(failed)?;
        self.bar.clear();
        let layer = |layer: &ImageLayer| BaseLayer {
            // Media types are not always true, and whoever reads the result goes by them.
            media_type: self.store.layer_media_type(layer).map_or_else(|| layer.media_type.clone(), str::to_owned),
            digest: layer.sha256.to_string(),
            size_bytes: layer.size_bytes,
            diff_id: layer.diff_id.clone(),
        };
        let layers = image.layers.iter().map(layer).collect();
        Ok(BaseLayers { tree, layers, history: image.config.history.clone() })
    }

    /// The images below a digest, one for each architecture.
    ///
    /// # Errors
    /// When one cannot be had.
    pub fn images_of(&self, spec: &SpecFile, digest: &str) -> Result<Vec<Image>, Failure> {
        let Base::Oci(reference) = &spec.appliance().base else { return Ok(Vec::new()) };
        let root = digest.strip_prefix("sha256:").and_then(|digits| digits.parse::<Sha256>().ok());
        let root = root.ok_or_else(|| {
            Failure::new(Exit::Stale, format!("use the lock: `{}` is no digest of an image", digest.escape_debug()))
                .help("make it anew with: appliance lock --update")
        })?;
        let wish = self.wish(spec, reference);
        let images = self.store.images(&wish.request(), root, &spec.appliance().arches);
        let images = images.map_err(|error| not_had(spec, reference, error))?;
        self.bar.clear();
        Ok(images)
    }

    fn wish<'a>(&self, spec: &SpecFile, reference: &'a ImageReference) -> Wish<'a> {
        Wish {
            reference,
            folder: spec.folder(),
            mirrors: mirrors(self.known.given.iter().chain(&self.known.configured)),
            auth_files: places::registry_auth_files(),
            certificates: places::registry_certificates(),
            offline: self.offline,
        }
    }
}

/// Mirrors of registries: what is written as `REGISTRY=URL`.
fn mirrors<'a>(texts: impl Iterator<Item = &'a String>) -> BTreeMap<String, Vec<String>> {
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    let named = texts.filter_map(|text| text.split_once('='));
    for (registry, url) in named.filter(|(_, url)| url.starts_with("http://") || url.starts_with("https://")) {
        found.entry(registry.to_owned()).or_default().push(url.to_owned());
    }
    found
}

/// What a user is told of an image that is at hand and cannot be used.
pub fn failed(error: ImageError) -> Failure {
    match error {
        ImageError::Layer { .. } | ImageError::DiffId { .. } => Failure::new(Exit::Build, error).help(ANOTHER),
        _ => Failure::new(Exit::Fetch, error),
    }
}

/// What to do with an image that is not as images are.
const ANOTHER: &str = "take another image, or have this one made anew";

/// What a user is told of an image that cannot be had, at the line that names it.
fn not_had(spec: &SpecFile, reference: &ImageReference, error: ImageError) -> Failure {
    if matches!(error, ImageError::Disk(_)) {
        return Failure::new(Exit::Fetch, error);
    }
    let mistake = Mistake {
        at: Written::Image,
        code: "image-unusable",
        message: format!("failed to {}", store::in_one_line(&error)),
        label: "this image",
        help: help(reference, &error),
    };
    spec.mistakes(Exit::Fetch, &[mistake])
}

fn help(reference: &ImageReference, error: &ImageError) -> String {
    let local = reference.local_path().unwrap_or_default();
    match error {
        ImageError::Offline { .. } | ImageError::NotFetched { .. } => "run it once without --offline".to_owned(),
        ImageError::Pull { tried, .. } => tried.last().map(|(_, error)| error.help()).unwrap_or_default(),
        ImageError::NoPlatform { .. } => {
            "name the architectures that the image has with `arch`, or take another image".to_owned()
        }
        ImageError::NoFolder { .. } => format!("write \"oci-archive:{local}\" or \"docker-archive:{local}\""),
        ImageError::NoFile { .. } => format!("write \"oci:{local}\" where it is an image layout"),
        ImageError::OtherArchive { is_docker, .. } => {
            let scheme = if *is_docker { "docker-archive" } else { "oci-archive" };
            format!("write \"{scheme}:{local}\"")
        }
        _ if local.is_empty() => ANOTHER.to_owned(),
        _ => "correct the reference, or make the image anew, as with: skopeo copy docker://… oci:FOLDER".to_owned(),
    }
}
