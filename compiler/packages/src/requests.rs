//! What a lock is made for: everything of a spec and its base image that decides which packages are taken.

use std::collections::BTreeMap;

use spec::Appliance;
use spec::appliance::{Arch, Base, Init, PackageRequest};
use spec::base::BaseImage;

use crate::InstalledPackage;
use crate::rules::rules_of;

/// The part of an appliance and its base image that resolution depends on.
///
/// A change of anything else (a user's file, a service) leaves a lock current, and with it every derived id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Requests {
    /// Name of the appliance, so that two appliances never share derived ids.
    pub appliance: String,
    /// Name of the base.
    pub base: String,
    /// Codename of its release.
    pub release: String,
    /// Digest of the base image's files, 64 hexadecimal digits.
    pub base_digest: String,
    /// Architectures, sorted.
    pub arches: Vec<Arch>,
    /// Packages that the spec asks for, sorted.
    pub packages: Vec<PackageRequest>,
    /// Packages that the base image asks for, sorted.
    pub base_packages: Vec<String>,
    /// Whether packages of priority `required` are asked for.
    pub with_required: bool,
    /// Packages that must not be installed, sorted.
    pub excluded: Vec<String>,
    /// Further repositories, in the order written.
    pub repositories: Vec<RequestedRepository>,
    /// Another base that the packages in `boot` come from.
    pub boot_base: Option<RequestedBase>,
    /// Which init runs inside; one of the base's own needs its packages.
    pub init: Init,
    /// Packages that machines boot from, kernels and boot programs, by architecture; they are no part of a root. Sorted.
    pub boot: Vec<(Arch, String)>,
    /// What the image below has already: it stays, each at its version wherever that is possible. Sorted by name.
    pub installed: Vec<InstalledPackage>,
    /// Further choices of the caller that a lock should be made anew for, by name.
    pub facts: BTreeMap<String, String>,
}

/// A base that packages come from which are no part of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestedBase {
    /// Its name.
    pub name: String,
    /// Codename of its release.
    pub release: String,
    /// Digest of its files, 64 hexadecimal digits.
    pub digest: String,
}

/// A further repository, as far as resolution depends on it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct RequestedRepository {
    /// URL as the spec has it.
    pub url: String,
    /// Suite.
    pub suite: String,
    /// Components.
    pub components: Vec<String>,
    /// What a request must name for a package to be taken from it.
    pub tag: Option<String>,
}

impl Requests {
    /// What `appliance` and its base image ask for.
    pub fn of(appliance: &Appliance, base: &BaseImage) -> Self {
        let mut base_packages = base.packages.clone();
        base_packages.sort();
        base_packages.dedup();
        let release = match &appliance.base {
            Base::Distro { release, .. } => release.clone(),
            Base::Oci(_) | Base::Scratch => base.release.clone(),
        };
        Self {
            appliance: appliance.name.clone(),
            base: base.name.clone(),
            release,
            base_digest: base.digest.clone(),
            arches: appliance.arches.clone(),
            packages: appliance.packages.clone(),
            base_packages,
            with_required: base.with_required,
            excluded: appliance.excluded.clone(),
            boot_base: None,
            repositories: repositories(appliance),
            init: appliance.init,
            boot: boot_packages(appliance, base),
            installed: Vec::new(),
            facts: BTreeMap::new(),
        }
    }
}

impl Requests {
    /// What an appliance asks for that stands on something else than a distribution, of which this is name, version
    /// and digest: an empty root or an image.
    pub fn without_packages(appliance: &Appliance, base: &str, release: &str, base_digest: &str) -> Self {
        Self {
            appliance: appliance.name.clone(),
            base: base.to_owned(),
            release: release.to_owned(),
            base_digest: base_digest.to_owned(),
            arches: appliance.arches.clone(),
            packages: appliance.packages.clone(),
            base_packages: Vec::new(),
            with_required: false,
            boot_base: None,
            excluded: appliance.excluded.clone(),
            repositories: repositories(appliance),
            init: appliance.init,
            boot: Vec::new(),
            installed: Vec::new(),
            facts: BTreeMap::new(),
        }
    }

    /// The same with what boots taken from this other base, where anything boots.
    pub fn booting_from(mut self, appliance: &Appliance, base: &BaseImage) -> Self {
        self.boot = boot_packages(appliance, base);
        let from =
            RequestedBase { name: base.name.clone(), release: base.release.clone(), digest: base.digest.clone() };
        self.boot_base = (!self.boot.is_empty()).then_some(from);
        self
    }
}

/// The packages of the kernel for each architecture, where an output holds one: what the spec names, else the base's
/// own; and that of the boot program, where firmware starts it.
fn boot_packages(appliance: &Appliance, base: &BaseImage) -> Vec<(Arch, String)> {
    if !appliance.outputs.iter().any(|output| output.boots()) {
        return Vec::new();
    }
    let of_base = |arch: Arch| base.kernel(arch).map(str::to_owned);
    let of_spec = appliance.kernel.as_ref().and_then(|kernel| kernel.package.clone());
    let kernel = |arch: &Arch| Some((*arch, of_spec.clone().or_else(|| of_base(*arch))?));
    let mut packages: Vec<_> = appliance.arches.iter().filter_map(kernel).collect();
    if appliance.outputs.iter().any(|output| output.is_disk()) {
        let of_family = || rules_of(base.family).map(|rules| rules.efi_stub().to_owned());
        let stub = base.efi_stub.clone().or_else(of_family);
        packages.extend(stub.iter().flat_map(|stub| appliance.arches.iter().map(|arch| (*arch, stub.clone()))));
    }
    packages.sort();
    packages.dedup();
    packages
}

fn repositories(appliance: &Appliance) -> Vec<RequestedRepository> {
    let requested = |r: &spec::appliance::Repository| RequestedRepository {
        url: r.url.clone(),
        suite: r.suite.clone(),
        components: r.components.clone(),
        tag: r.tag.clone(),
    };
    appliance.repositories.iter().map(requested).collect()
}

/// The word for an init, as a spec writes it.
pub(crate) fn init_word(init: Init) -> &'static str {
    match init {
        Init::Builtin => "builtin",
        Init::Systemd => "systemd",
        Init::Openrc => "openrc",
    }
}
