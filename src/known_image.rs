//! What is known of the image that a spec stands on without asking anybody: what the lock holds, and what the cache has of it.

use std::path::Path;

use packages::Lock;
use spec::ImageReference;
use spec::appliance::Base;
use store::Image;

use crate::cli::Sources;
use crate::failure::Failure;
use crate::lock_file;
use crate::places;
use crate::spec_file::{STDIN_NAME, SpecFile};
use crate::ui::{Ui, counted};
use crate::verbs::build::size;
use crate::workshop::Workshop;

/// Adds to a spec what is known of its image: words for who reads it expanded, and the environment that it inherits.
///
/// # Errors
/// When the cache or the user's settings cannot be read.
pub fn add(spec: &mut SpecFile, ui: &Ui) -> Result<(), Failure> {
    let Base::Oci(reference) = spec.appliance().base.clone() else { return Ok(()) };
    // Standard input has no lock beside it.
    if spec.path == Path::new(STDIN_NAME) {
        return Ok(());
    }
    let (mut said, digest) = match lock_file::read(spec) {
        Ok(lock) => locked(spec, &reference, lock.as_ref()),
        Err(_) => (vec![format!("{} cannot be read", spec.lock_path().display())], None),
    };
    if let Some(digest) = digest {
        said.extend(cached(spec, &digest, ui)?);
    }
    spec.checked.say_of_base(said);
    Ok(())
}

/// What the lock says of the image, and the digest where it has one.
fn locked(spec: &SpecFile, reference: &ImageReference, lock: Option<&Lock>) -> (Vec<String>, Option<String>) {
    let stated = match reference {
        ImageReference::Registry(registry) => registry.digest.clone(),
        _ => None,
    };
    let path = spec.lock_path();
    let Some(lock) = lock else {
        return (vec!["there is no lock yet: `appliance lock` writes down which image this is".to_owned()], stated);
    };
    let base = &lock.base;
    if base.name != "oci" || base.release != reference.to_string() {
        return (vec![format!("{} is of another base: `appliance lock` makes it anew", path.display())], stated);
    }
    let platforms: Vec<String> = lock.roots.iter().map(|root| format!("linux/{}", root.arch.name())).collect();
    let line = format!("{} has {} for {}", path.display(), base.digest, platforms.join(" and "));
    (vec![line], Some(base.digest.clone()))
}

/// What the cache has of the image. Nothing is fetched, and a cache that is not there is not made.
fn cached(spec: &mut SpecFile, digest: &str, ui: &Ui) -> Result<Vec<String>, Failure> {
    let not_there = || vec!["the image is not in the cache, so what it brings is not shown".to_owned()];
    if !places::cache().is_dir() {
        return Ok(not_there());
    }
    let shop = Workshop::open(&Sources { mirror: Vec::new(), offline: true }, ui)?;
    let Ok(images) = shop.images_of(spec, digest) else { return Ok(not_there()) };
    let mut said: Vec<String> = images.iter().map(parts).collect();
    if let Ok(base) = shop.distribution(spec, &images) {
        said.push(format!("its distribution is {} {}, by its /etc/os-release", base.name, base.release));
    }
    shop.inherit_env(spec, &images);
    Ok(said)
}

fn parts(image: &Image) -> String {
    let bytes = image.layers.iter().map(|layer| layer.size_bytes).sum();
    let layers = counted(image.layers.len() as u64, "layer", "layers");
    format!("its image for linux/{} has {layers} of {} in all", image.arch.name(), size(bytes))
}
