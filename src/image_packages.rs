//! Packages on top of an image: which distribution is in it, what it has installed, and what has to come.

use std::collections::BTreeMap;

use assemble::Files;
use packages::{Database, Installed, Lock, Requests, Update, databases};
use spec::base::BaseImage;
use store::Image;
use tree::Tree;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::images::failed;
use crate::lock_file::unsatisfiable;
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
        if spec.appliance().packages.is_empty() || images.is_empty() {
            return Ok(Lock::without_packages(requests, image::encoders(&spec.appliance().outputs), created));
        }
        let base = self.distribution(spec, &images)?;
        let (mut catalogs, indexes) = self.catalogs(spec, &base, old)?;
        let mut roots = Vec::new();
        for (image, catalog) in images.iter().zip(&mut catalogs) {
            let installed = self.installed(image)?;
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
                root.packages.retain(|package| !installed.has(&package.name));
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
                let what = "add packages to the base image: it is another distribution on each architecture";
                return Err(Failure::new(Exit::Build, what));
            }
            found = Some(one);
        }
        found.ok_or_else(|| Failure::new(Exit::Build, "add packages to the base image: there is none"))
    }

    fn distribution_of(&self, spec: &SpecFile, image: &Image) -> Result<BaseImage, Failure> {
        let mut tree = self.tree_of(image)?;
        let files = Files { root: &mut tree, blobs: &self.store, epoch_secs: 0 };
        let family = database(&files)?.family;
        let text = files.read_text("/etc/os-release").map_err(|error| {
            Failure::doing(Exit::Build, "add packages to the base image: read its /etc/os-release", error)
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
        if let Some(what) = spec::misfit(spec.appliance(), family) {
            return Err(refuse(&format!("it is {}'s, and {what}", get("ID").escape_debug())));
        }
        spec.bases.iter().find(fits).cloned().ok_or_else(|| {
            let release = [get("VERSION_CODENAME"), get("VERSION_ID")].into_iter().find(|word| !word.is_empty());
            let name = format!("{} {}", get("ID").escape_debug(), release.unwrap_or_default().escape_debug());
            refuse(&format!("its /etc/os-release says that it is `{}`, and no such base is known", name.trim()))
        })
    }

    fn installed(&self, image: &Image) -> Result<Installed, Failure> {
        let mut tree = self.tree_of(image)?;
        let files = Files { root: &mut tree, blobs: &self.store, epoch_secs: 0 };
        let database = database(&files)?;
        let bytes = files
            .read(database.path)
            .map_err(|error| Failure::doing(Exit::Build, format!("read {} of the base image", database.path), error))?;
        database.read(&bytes, image.arch).map_err(|error| Failure::new(Exit::Build, error))
    }

    fn tree_of(&self, image: &Image) -> Result<Tree, Failure> {
        let tree = self.store.image_tree(image, &self.bar).map_err(failed)?;
        self.bar.clear();
        Ok(tree)
    }
}

/// The one database of installed packages that an image has.
fn database(files: &Files<'_>) -> Result<Database, Failure> {
    match databases(|path| files.exists(path)).as_slice() {
        [one] => Ok(*one),
        [] => Err(refuse("it has no package database that is known")
            .help("put programs there with `file`, or take a distribution as base")),
        many => {
            let paths: Vec<&str> = many.iter().map(|one| one.path).collect();
            let what =
                format!("it has two package databases, {}, and nothing says which one counts", paths.join(" and "));
            Err(refuse(&what).help("take an image with one of the two"))
        }
    }
}

fn refuse(what: &str) -> Failure {
    Failure::new(Exit::Build, format!("add packages to the base image: {what}"))
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
