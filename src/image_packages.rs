//! Packages on top of an image: which distribution is in it, what it has installed, and what has to come.

use std::collections::{BTreeMap, BTreeSet};

use assemble::Files;
use packages::deb::{Installed, read_installed};
use packages::{Lock, Origin, Requests, Update};
use spec::appliance::{PackageRequest, Relation, VersionRule};
use spec::base::{BaseImage, Family};
use store::Image;
use tree::Tree;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::images::failed;
use crate::lock_file::unsatisfiable;
use crate::spec_file::SpecFile;
use crate::workshop::Workshop;

/// dpkg's database.
const DPKG: &str = "/var/lib/dpkg/status";

/// Where apk keeps its database: before version 3.22 of Alpine, and since.
const APK: [&str; 2] = ["/lib/apk/db/installed", "/usr/lib/apk/db/installed"];

/// The archive that a lock never names: what comes from the image is in the image.
const IMAGE: &str = "image";

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
            let origin = Origin { archive: IMAGE.to_owned(), suite: String::new(), component: String::new() };
            catalog
                .add_index(origin, installed.index.as_bytes())
                .map_err(|error| Failure::doing(Exit::Build, "read dpkg's database of the base image", error))?;
            let wish = on_top_of(requests, &base, image, &installed);
            let one = packages::resolve(
                &wish,
                std::slice::from_ref(catalog),
                indexes.clone(),
                image::encoders(&spec.appliance().outputs),
                old.map(|lock| (lock, update)),
            );
            let mut lock = one.map_err(|problems| unsatisfiable(spec, &problems))?;
            let there: BTreeSet<&str> = installed.packages.iter().map(|package| package.name.as_str()).collect();
            for root in &mut lock.roots {
                root.packages.retain(|package| !there.contains(package.name.as_str()));
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
        let refuse = |what: &str| Failure::new(Exit::Build, format!("add packages to the base image: {what}"));
        match (files.exists(DPKG), APK.iter().any(|path| files.exists(path))) {
            (true, false) => {}
            (true, true) => return Err(refuse("it has two package databases, dpkg's and apk's")),
            (false, true) => {
                return Err(refuse("it is Alpine's, and packages are added to images of Debian and Ubuntu only")
                    .help("take base \"alpine\" instead, or put programs there with `file`"));
            }
            (false, false) => {
                return Err(refuse("it has no package database that is known")
                    .help("put programs there with `file`, or take a distribution as base"));
            }
        }
        let text = files.read_text("/etc/os-release").map_err(|error| {
            Failure::doing(Exit::Build, "add packages to the base image: read its /etc/os-release", error)
        })?;
        let says = os_release(&text);
        let get = |name: &str| says.get(name).map(String::as_str).unwrap_or_default();
        let fits = |base: &&BaseImage| {
            let release = base.release == get("VERSION_CODENAME") || base.version == get("VERSION_ID");
            base.family == Family::Deb && base.name == get("ID") && release
        };
        spec.bases.iter().find(fits).cloned().ok_or_else(|| {
            let name = format!("{} {}", get("ID").escape_debug(), get("VERSION_CODENAME").escape_debug());
            refuse(&format!("its /etc/os-release says that it is `{}`, and no such base is known", name.trim()))
        })
    }

    fn installed(&self, image: &Image) -> Result<Installed, Failure> {
        let mut tree = self.tree_of(image)?;
        let files = Files { root: &mut tree, blobs: &self.store, epoch_secs: 0 };
        let status = files
            .read_text(DPKG)
            .map_err(|error| Failure::doing(Exit::Build, format!("read {DPKG} of the base image"), error))?;
        read_installed(&status, image.arch.name()).map_err(|error| Failure::new(Exit::Build, error))
    }

    fn tree_of(&self, image: &Image) -> Result<Tree, Failure> {
        let tree = self.store.image_tree(image, &self.bar).map_err(failed)?;
        self.bar.clear();
        Ok(tree)
    }
}

/// What is asked of the solver: what the spec asks for, and everything that is there, as it is.
fn on_top_of(requests: &Requests, base: &BaseImage, image: &Image, installed: &Installed) -> Requests {
    let there: BTreeMap<&str, &str> =
        installed.packages.iter().map(|package| (package.name.as_str(), package.version.as_str())).collect();
    let asked = requests.packages.iter().filter(|one| one.rule.is_some() || !there.contains_key(one.name.as_str()));
    let kept = there.iter().map(|(name, version)| PackageRequest {
        name: (*name).to_owned(),
        rule: Some(VersionRule { relation: Relation::Equal, version: (*version).to_owned() }),
    });
    let mut packages: Vec<PackageRequest> = asked.cloned().chain(kept).collect();
    packages.sort();
    Requests { family: base.family, arches: vec![image.arch], packages, ..requests.clone() }
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
