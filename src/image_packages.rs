//! Packages on top of an image: which distribution is in it, what it has installed, and what has to come.

use std::collections::BTreeMap;
use std::error::Error;

use assemble::Files;
use packages::{Database, Installed, Lock, Requests, Update, databases};
use spec::appliance::Arch;
use spec::base::BaseImage;
use store::Image;
use tree::Tree;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::image_refusals::{self, other_image, refuse};
use crate::images::failed;
use crate::misfits::{self, unsatisfiable};
use crate::spec_file::SpecFile;
use crate::workshop::Workshop;

impl Workshop<'_> {
    /// The lock of a spec that stands on images or on nothing: the packages that come on top.
    ///
    /// # Errors
    /// When the images cannot be had, no distribution in them is known, or no packages fit.
    pub fn resolve_on_images(
        &self,
        spec: &SpecFile,
        requests: &Requests,
        old: Option<&Lock>,
        update: &Update,
    ) -> Result<Lock, Failure> {
        let images = self.images_of(spec, &requests.base_digest)?;
        let created = images.iter().filter_map(|image| image.config.created_secs).fold(0, i64::max);
        let nothing = || Lock::without_packages(requests, image::encoders(&spec.appliance().outputs), created);
        if images.is_empty() || !image_refusals::is_about_packages(spec) {
            return Ok(nothing());
        }
        self.fetch_layers(spec, &images)?;
        let there = images.iter().map(|image| self.installed(spec, image)).collect::<Result<Vec<_>, _>>()?;
        image_refusals::excluded(spec, &there)?;
        if !image_refusals::asks_for_packages(spec) {
            return Ok(nothing());
        }
        let base = self.distribution(spec, &images)?;
        let (mut catalogs, indexes) = self.catalogs(spec, &base, old)?;
        misfits::warn_of_excluded(spec, &catalogs, self.ui);
        let mut roots = Vec::new();
        for ((_, installed), catalog) in there.iter().zip(&mut catalogs) {
            installed
                .add_to(catalog)
                .map_err(|error| Failure::doing(Exit::Build, "read what is installed in the base image", error))?;
            let wish = installed.requests(requests, catalog);
            let one = packages::resolve(
                &wish,
                std::slice::from_ref(catalog),
                indexes.clone(),
                image::encoders(&spec.appliance().outputs),
                old.map(|lock| (lock, update)),
            );
            let mut lock = one.map_err(|problems| unsatisfiable(spec, &problems))?;
            for root in &mut lock.roots {
                root.packages.retain(|package| installed.version_of(&package.name) != Some(&package.version));
            }
            roots.push(lock);
        }
        Ok(joined(requests, roots, created, image::encoders(&spec.appliance().outputs)))
    }

    /// The distribution that is in images, by what they say themselves; its layers are fetched for that.
    ///
    /// # Errors
    /// When they do not say, say differently, or it is one that no packages can be added to.
    pub fn distribution(&self, spec: &SpecFile, images: &[Image]) -> Result<BaseImage, Failure> {
        self.fetch_layers(spec, images)?;
        let mut found: Option<BaseImage> = None;
        for image in images {
            let one = self.distribution_of(spec, image)?;
            if found.as_ref().is_some_and(|known| (&known.name, &known.release) != (&one.name, &one.release)) {
                return Err(refuse(spec, "it is another distribution on each architecture", &other_image(spec)));
            }
            found = Some(one);
        }
        found.ok_or_else(|| refuse(spec, "there is none", &other_image(spec)))
    }

    fn distribution_of(&self, spec: &SpecFile, image: &Image) -> Result<BaseImage, Failure> {
        let mut tree = self.tree_of(image)?;
        let files = Files { root: &mut tree, blobs: &self.store, epoch_secs: 0 };
        let family = database(spec, &files)?.family;
        let text = files.read_text("/etc/os-release").map_err(|error| {
            refuse(spec, &format!("its /etc/os-release cannot be read: {error}"), &other_image(spec))
        })?;
        let says = os_release(&text);
        let get = |name: &str| says.get(name).map(String::as_str).unwrap_or_default();
        // Some write down a point release too: 3.20.3 is of 3.20.
        let is_version = |base: &BaseImage| {
            get("VERSION_ID").strip_prefix(&base.version).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
        };
        let fits = |base: &&BaseImage| {
            let release = base.release == get("VERSION_CODENAME") || is_version(base);
            base.family == family && base.name == get("ID") && release
        };
        let misfits = spec::misfits(&spec.checked, family, &format!("{}'s", get("ID").escape_debug()));
        if !misfits.is_empty() {
            return Err(spec.wrong(Exit::Build, misfits));
        }
        if let Some(broken) = spec.bases.broken([get("ID")]) {
            return Err(broken);
        }
        spec.bases.all.iter().find(fits).cloned().ok_or_else(|| {
            let release = [get("VERSION_CODENAME"), get("VERSION_ID")].into_iter().find(|word| !word.is_empty());
            let name = format!("{} {}", get("ID").escape_debug(), release.unwrap_or_default().escape_debug());
            let what = format!("its /etc/os-release says that it is `{}`, and no such base is known", name.trim());
            refuse(spec, &what, &other_image(spec))
        })
    }

    /// What an image has installed, by the one database that it has.
    fn installed(&self, spec: &SpecFile, image: &Image) -> Result<(Arch, Installed), Failure> {
        let mut tree = self.tree_of(image)?;
        let files = Files { root: &mut tree, blobs: &self.store, epoch_secs: 0 };
        let database = database(spec, &files)?;
        let bytes = files
            .read(database.path)
            .map_err(|error| Failure::doing(Exit::Build, format!("read {} of the base image", database.path), error))?;
        let installed = database.read(&bytes, image.arch).map_err(|error| {
            let cause = error.source().map(|cause| format!(": {cause}")).unwrap_or_default();
            refuse(spec, &format!("what is installed cannot be built on: {error}{cause}"), &other_image(spec))
        })?;
        Ok((image.arch, installed))
    }

    fn tree_of(&self, image: &Image) -> Result<Tree, Failure> {
        let tree = self.store.image_tree(image, &self.bar).map_err(failed)?;
        self.bar.clear();
        Ok(tree)
    }
}

/// The one database of installed packages that an image has.
fn database(spec: &SpecFile, files: &Files<'_>) -> Result<Database, Failure> {
    let exists = |path: &str| files.exists(path);
    match (databases(exists).as_slice(), packages::other_manager(exists)) {
        ([one], _) => Ok(*one),
        ([], Some(manager)) => {
            let what = format!("its packages are {manager}'s, which are not read");
            Err(refuse(spec, &what, &other_image(spec)))
        }
        ([], None) => Err(refuse(
            spec,
            "it has no package database that is known",
            &format!("put programs there with `file`, or {}", other_image(spec)),
        )),
        (many, _) => {
            let paths: Vec<&str> = many.iter().map(|one| one.path).collect();
            let what =
                format!("it has two package databases, {}, and nothing says which one counts", paths.join(" and "));
            Err(refuse(spec, &what, &other_image(spec)))
        }
    }
}

/// The locks of several architectures as one.
fn joined(requests: &Requests, locks: Vec<Lock>, created: i64, encoders: BTreeMap<String, u32>) -> Lock {
    let mut all = Lock { epoch_secs: created, encoders, ..Lock::for_requests(requests) };
    for lock in locks {
        all.epoch_secs = all.epoch_secs.max(lock.epoch_secs);
        all.indexes.extend(lock.indexes);
        all.roots.extend(lock.roots);
    }
    all.indexes.sort();
    all.indexes.dedup();
    all.roots.sort_by_key(|root| root.arch);
    all
}

/// The variables of os-release(5).
fn os_release(text: &str) -> BTreeMap<String, String> {
    let pair = |line: &str| {
        let (name, value) = line.trim().split_once('=')?;
        let value = value.trim().trim_matches(['"', '\'']);
        Some((name.to_owned(), value.to_owned()))
    };
    text.lines().filter_map(pair).collect()
}
