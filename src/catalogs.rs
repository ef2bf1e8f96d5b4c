//! Which suites a spec reads, with which keys and from which mirrors; and the catalogues that come of it.

use packages::{Catalog, Lock, LockedIndex};
use spec::appliance::{Arch, Repository};
use spec::base::{Archive, BaseImage, Family};
use store::mirrors::{Wanted, find};
use store::{CatalogFetchError, CatalogRequest, Mirrors, Source};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::misfits;
use crate::spec_file::SpecFile;
use crate::trust;
use crate::workshop::{Workshop, now_secs};

impl Workshop<'_> {
    /// The catalogues of a base and of the spec's own repositories, at the spec's architectures, and the releases they
    /// were read from.
    ///
    /// # Errors
    /// When a release or index cannot be had or is not what its signature says.
    pub fn catalogs(
        &self,
        spec: &SpecFile,
        base: &BaseImage,
        old: Option<&Lock>,
    ) -> Result<(Vec<Catalog>, Vec<LockedIndex>), Failure> {
        let locked = old.map(|lock| lock.indexes.as_slice()).unwrap_or_default();
        self.read(spec, base, &spec.appliance().repositories, locked)
    }

    /// The same of another base that what boots comes from. The spec's own repositories are of the root's family, so
    /// they are not asked.
    ///
    /// # Errors
    /// As [`Self::catalogs`].
    pub fn boot_catalogs(
        &self,
        spec: &SpecFile,
        base: &BaseImage,
        old: Option<&Lock>,
    ) -> Result<(Vec<Catalog>, Vec<LockedIndex>), Failure> {
        let old = old.and_then(|lock| lock.boot_base.as_ref());
        self.read(spec, base, &[], old.map(|boot| boot.indexes.as_slice()).unwrap_or_default())
    }

    fn read(
        &self,
        spec: &SpecFile,
        base: &BaseImage,
        repositories: &[Repository],
        locked: &[LockedIndex],
    ) -> Result<(Vec<Catalog>, Vec<LockedIndex>), Failure> {
        let (mut catalogs, mut indexes) = (Vec::new(), Vec::new());
        for arch in &spec.appliance().arches {
            let sources = self.sources(spec, base, repositories, *arch)?;
            let request = CatalogRequest {
                family: base.family,
                arches: std::slice::from_ref(arch),
                sources: &sources,
                now_secs: now_secs(),
                offline: self.offline,
                locked,
            };
            let read = self.store.catalog(&request, &self.bar).map_err(|error| no_catalog(spec, base, error))?;
            catalogs.extend(read.catalogs);
            indexes.extend(read.indexes);
        }
        self.bar.clear();
        indexes.sort();
        indexes.dedup();
        Ok((catalogs, indexes))
    }

    /// The mirrors of every archive that packages of a spec come from, by archive name.
    pub fn mirrors(&self, spec: &SpecFile) -> Mirrors {
        let archives = [spec.base(), spec.other_boot_base()].into_iter().flatten().flat_map(|base| &base.archives);
        let of_base = archives.map(|archive| (archive.name.clone(), self.mirrors_of(archive)));
        let of_spec = spec
            .appliance()
            .repositories
            .iter()
            .map(|repository| (archive_name(repository), vec![repository.url.clone()]));
        // Two releases of one base have archives of one name, and either's mirrors may have what the other's have not.
        let mut all = Mirrors::new();
        for (name, mirrors) in of_base.chain(of_spec) {
            let known = all.entry(name).or_default();
            known.extend(mirrors.into_iter().filter(|mirror| !known.contains(mirror)).collect::<Vec<_>>());
        }
        all
    }

    fn mirrors_of(&self, archive: &Archive) -> Vec<String> {
        let suites: Vec<&str> = archive.suites.iter().map(|suite| suite.path.as_str()).collect();
        find(
            Wanted { archive: &archive.name, suites: &suites, repository_url: None, listed: &archive.mirrors },
            &self.known,
        )
    }

    /// The base image's suites that exist for an architecture, then those of repositories of the spec.
    fn sources(
        &self,
        spec: &SpecFile,
        base: &BaseImage,
        repositories: &[Repository],
        arch: Arch,
    ) -> Result<Vec<Source>, Failure> {
        let archives = base.archives.iter().filter(|archive| archive.arches.contains(&arch));
        let of_base = archives.flat_map(|archive| {
            archive.suites.iter().map(|suite| Source {
                archive: archive.name.clone(),
                suite: suite.path.clone(),
                codename: suite.codename.clone(),
                components: suite.components.clone(),
                keys: archive.keys.clone(),
                mirrors: self.mirrors_of(archive),
                tag: None,
            })
        });
        let of_spec = repositories.iter().map(|repository| own_source(spec, repository, base.family));
        of_base.map(Ok).chain(of_spec).collect()
    }
}

/// What to do where no mirror gives what is wanted: all that are known were asked.
pub const OTHER_MIRROR: &str = "no other mirror is known: --mirror names one more, which is asked before all others";

fn no_catalog(spec: &SpecFile, base: &BaseImage, error: CatalogFetchError) -> Failure {
    if error.distrust().is_some() {
        return trust::refused(spec, base, error);
    }
    if let Some(failure) = error.misfit().and_then(|misfit| misfits::told(spec, base, &misfit, &error)) {
        return failure;
    }
    let help = match (&error, error.not_fetched()) {
        (CatalogFetchError::Offline { .. }, _) => "run it once without --offline".to_owned(),
        (_, Some(error)) if error.tried.is_empty() => "--mirror URL names a mirror".to_owned(),
        (_, Some(error)) if error.help().is_some() => error.help().unwrap_or_default().to_owned(),
        _ => format!("{OTHER_MIRROR}; --offline uses what the cache holds"),
    };
    Failure::new(Exit::Fetch, error).help(help)
}

fn own_source(spec: &SpecFile, repository: &Repository, family: Family) -> Result<Source, Failure> {
    let bytes = trust::key(spec, repository, family).map_err(|mistake| spec.mistakes(Exit::Spec, &[*mistake]))?;
    Ok(Source {
        archive: archive_name(repository),
        suite: repository.suite.clone(),
        codename: None,
        components: repository.components.clone(),
        keys: vec![(repository.key.clone(), bytes)],
        mirrors: vec![repository.url.trim_end_matches('/').to_owned()],
        tag: repository.tag.clone(),
    })
}

/// The archive of a spec's own repository is named by its URL, which the spec shows anyway.
pub fn archive_name(repository: &Repository) -> String {
    repository.url.trim_end_matches('/').to_owned()
}
