//! Which packages of a catalogue fulfil a constraint, in the order in which they should be tried.

use std::collections::{BTreeMap, BTreeSet};

use crate::rules::{Constraint, Provided, Rules};
use crate::solve::Pins;
use crate::{Catalog, Package, PackageId, Requests};

/// A catalogue with its provided names at hand and the versions that should stay.
pub(crate) struct Offers<'a> {
    pub(crate) catalog: &'a Catalog,
    pins: &'a Pins,
    /// Virtual name → who provides it, in catalogue order.
    providers: BTreeMap<&'a str, Vec<(PackageId, Option<&'a str>)>>,
    /// Package → the tag of the index that a request takes it from.
    tags: BTreeMap<&'a str, &'a str>,
    /// Names that something asks for, for families whose packages may have to be asked for by name.
    named: BTreeSet<String>,
}

impl<'a> Offers<'a> {
    pub(crate) fn new(catalog: &'a Catalog, pins: &'a Pins, requests: &'a Requests) -> Self {
        let split = |request: &'a spec::appliance::PackageRequest| catalog.rules().split_request(&request.name);
        let tags = requests.packages.iter().map(split).filter_map(|(name, tag)| Some((name, tag?))).collect();
        let mut providers: BTreeMap<&str, Vec<_>> = BTreeMap::new();
        for (id, package) in catalog.packages() {
            // A package whose Provides cannot be read provides nothing.
            for Provided { name, version } in catalog.rules().provides(package).unwrap_or_default() {
                providers.entry(name).or_default().push((id, version));
            }
        }
        Self { catalog, pins, providers, tags, named: BTreeSet::new() }
    }

    pub(crate) fn rules(&self) -> &'static dyn Rules {
        self.catalog.rules()
    }

    /// Takes note of every name that these wishes ask for, and what fulfils them, and so on.
    pub(crate) fn name(&mut self, mut wishes: Vec<Constraint>) {
        if !self.rules().picks_providers() {
            return;
        }
        let mut seen = BTreeSet::new();
        while let Some(wish) = wishes.pop() {
            let newly = self.named.insert(wish.name.clone());
            for id in self.fulfilling(&wish) {
                if seen.insert(id) || newly && self.catalog.package(id).name() == wish.name {
                    let needs = self.rules().needs(self.catalog.package(id), self.catalog.arch());
                    wishes.extend(needs.unwrap_or_default().into_iter().flatten());
                }
            }
        }
    }

    /// Whether an index's tag allows this package: it was asked for by that tag, or nothing else has its name and the tag
    /// is asked for at all. A package that was asked for by a tag comes from nowhere else.
    fn is_visible(&self, package: Package<'_>) -> bool {
        match (self.tags.get(package.name()), package.tag()) {
            (Some(wanted), tag) => tag == Some(*wanted),
            (None, None) => true,
            (None, Some(tag)) => {
                let untagged = || self.catalog.named(package.name()).any(|(_, other)| other.tag().is_none());
                self.tags.values().any(|wanted| *wanted == tag) && !untagged()
            }
        }
    }

    /// The tag of the index that a request takes this package from.
    pub(crate) fn tag_of(&self, name: &str) -> Option<&'a str> {
        self.tags.get(name).copied()
    }

    /// Whether any package has or provides this name.
    pub(crate) fn knows(&self, name: &str) -> bool {
        self.catalog.named(name).any(|(_, package)| self.is_visible(package)) || self.providers.contains_key(name)
    }

    /// All real and provided names.
    pub(crate) fn names(&self) -> impl Iterator<Item = &'a str> {
        self.catalog.packages().map(|(_, package)| package.name()).chain(self.providers.keys().copied())
    }

    /// All versions of a real package, best first; a version that two indexes offer is taken from the first.
    pub(crate) fn versions(&self, name: &str) -> Vec<PackageId> {
        let mut ids: Vec<PackageId> = self.visible(name).map(|(id, _)| id).collect();
        ids.sort_by(|a, b| self.order(*b, *a));
        ids.dedup_by(|b, a| self.order(*a, *b).is_eq());
        ids
    }

    /// The version of a package that should stay, if it is still on offer.
    pub(crate) fn pinned(&self, name: &str) -> Option<PackageId> {
        let version = self.pins.get(name)?;
        self.visible(name).find(|(_, package)| package.version() == version).map(|(id, _)| id)
    }

    fn visible(&self, name: &str) -> impl Iterator<Item = (PackageId, Package<'a>)> {
        self.catalog.named(name).filter(|(_, package)| self.is_visible(*package))
    }

    /// Whether a package of this name is in the previous lock and should stay.
    pub(crate) fn is_pinned(&self, id: PackageId) -> bool {
        self.pins.contains_key(self.catalog.package(id).name())
    }

    /// What fulfils the constraint: the package of that name itself, best version first, then those that provide
    /// it, in the family's order of rank, then by name.
    pub(crate) fn fulfilling(&self, constraint: &Constraint) -> Vec<PackageId> {
        let rules = self.rules();
        let fits = |id: &PackageId| {
            constraint.rule.as_ref().is_none_or(|rule| rules.fulfils(self.catalog.package(*id).version(), rule))
        };
        let mut found: Vec<PackageId> = self.versions(&constraint.name).into_iter().filter(fits).collect();
        let provides = self.providers.get(constraint.name.as_str()).map(Vec::as_slice).unwrap_or_default().iter();
        let mut provides: Vec<_> = provides
            .filter(|(id, version)| {
                rules.provider_fulfils(constraint, *version) && self.is_visible(self.catalog.package(*id))
            })
            .collect();
        provides.sort_by(|a, b| self.by_preference(a, b));
        let mut provided: Vec<PackageId> = provides.into_iter().map(|(id, _)| *id).collect();
        provided.retain(|id| !found.contains(id));
        provided.dedup();
        found.append(&mut provided);
        found
    }

    /// What may be chosen for the constraint: of what fulfils it, without what must be asked for by its own name and is not.
    pub(crate) fn choices(&self, constraint: &Constraint) -> Vec<PackageId> {
        let mut choices = self.fulfilling(constraint);
        if !self.rules().picks_providers() {
            return choices;
        }
        choices.retain(|id| {
            let package = self.catalog.package(*id);
            package.name() == constraint.name
                || self.named.contains(package.name())
                || self.provided(*id, &constraint.name).any(|version| !self.rules().needs_naming(package, version))
        });
        choices
    }

    /// At which versions a package provides a name.
    fn provided(&self, id: PackageId, name: &str) -> impl Iterator<Item = Option<&'a str>> {
        let all = self.providers.get(name).map(Vec::as_slice).unwrap_or_default();
        all.iter().filter(move |(provider, _)| *provider == id).map(|(_, version)| *version)
    }

    fn by_preference(&self, a: &(PackageId, Option<&str>), b: &(PackageId, Option<&str>)) -> std::cmp::Ordering {
        let package = |id| self.catalog.package(id);
        let preferred = self.rules().prefer((package(a.0), a.1), (package(b.0), b.1));
        let names = || package(a.0).name().cmp(package(b.0).name());
        preferred.then_with(names).then_with(|| self.order(b.0, a.0)).then(a.0.cmp(&b.0))
    }

    fn order(&self, a: PackageId, b: PackageId) -> std::cmp::Ordering {
        self.rules().compare(self.catalog.package(a).version(), self.catalog.package(b).version())
    }
}
