//! The signed release of each suite: the newest that a mirror gives, or the one that the store or a lock has.

use std::fs;

use packages::deb::{self, Expectation, Release, ReleaseError, verify_inrelease};

use super::memory::Memory;
use super::refusal::Refusal;
use super::trust::what_it_holds;
use super::{CatalogFetchError, CatalogRequest, Distrust, Source};
use crate::disk::{self, DiskError, at};
use crate::network::Job;
use crate::{Progress, Store};

/// Releases of the largest archives are under 1 MiB.
const MAX_RELEASE_BYTES: u64 = 16 << 20;

/// A release that has been verified, and the mirror that gave it.
pub(super) struct Found {
    pub(super) release: Release,
    /// Root URLs to ask for its indexes, the one that gave the release first.
    pub(super) mirrors: Vec<String>,
}

impl Store {
    pub(super) fn releases(
        &self,
        request: &CatalogRequest,
        progress: &dyn Progress,
    ) -> Result<Vec<Found>, CatalogFetchError> {
        if request.offline {
            return request.sources.iter().map(|source| self.release_at_hand(request, source)).collect();
        }
        let mut slots: Vec<Slot> = request
            .sources
            .iter()
            .map(|source| Slot::new(source, self.recall(&source.archive, &source.suite)))
            .collect();
        let rounds = request.sources.iter().map(|source| source.mirrors.len()).max().unwrap_or(0);
        for round in 0..rounds {
            self.ask_mirrors(request, &mut slots, round, progress)?;
        }
        slots.into_iter().map(Slot::finish).collect()
    }

    /// Asks the mirror of this number for every release that is still wanted.
    fn ask_mirrors(
        &self,
        request: &CatalogRequest,
        slots: &mut [Slot],
        round: usize,
        progress: &dyn Progress,
    ) -> Result<(), DiskError> {
        let mut open: Vec<_> =
            slots.iter_mut().filter(|slot| slot.found.is_none() && round < slot.source.mirrors.len()).collect();
        let jobs: Vec<_> = open.iter().map(|slot| self.release_job(slot, round)).collect();
        for ((slot, job), result) in open.iter_mut().zip(&jobs).zip(self.network.fetch(&jobs, progress)) {
            match result {
                Err(error) => slot.refusal.not_fetched(error),
                Ok(fetched) => {
                    let path = match slot.memory.sha256.filter(|_| fetched.not_modified) {
                        Some(sha256) => self.index_path(&sha256),
                        None => job.partial.clone(),
                    };
                    let bytes = fs::read(&path).map_err(at("read", &path))?;
                    match verified(request, slot.source, &bytes, request.now_secs, slot.memory.date_secs) {
                        Err(error) => slot.refusal.refused(refused(slot.source, &fetched.url, error)),
                        Ok(release) => {
                            if !fetched.not_modified {
                                let Source { archive, suite, .. } = slot.source;
                                let memory = Memory::of(&fetched, release.date_secs);
                                self.remember(archive, suite, &memory, &job.partial)?;
                            }
                            if let Some(error) = slot.refusal.take() {
                                self.tell_passed_over(error, &fetched.url, progress);
                            }
                            slot.take(release, round);
                        }
                    }
                }
            }
        }
        Ok(())
    }

    fn release_job(&self, slot: &Slot, round: usize) -> Job {
        let root = slot.source.mirrors.get(round).map_or("", String::as_str);
        let at_hand = slot.memory.sha256.is_some_and(|sha256| self.is_whole(sha256));
        Job {
            what: format!("the release of {} {}", slot.source.archive, slot.source.suite),
            urls: vec![format!("{root}/dists/{}/InRelease", slot.source.suite)],
            partial: self.folders.temporary(),
            size_bytes: None,
            limit_bytes: MAX_RELEASE_BYTES,
            digest: None,
            headers: Vec::new(),
            copy: at_hand.then(|| (slot.memory.url.clone(), slot.memory.validators.clone())),
        }
    }

    /// The release that a lock names, as it was when the lock was made, or the last one that was fetched.
    fn release_at_hand(&self, request: &CatalogRequest, source: &Source) -> Result<Found, CatalogFetchError> {
        let what = format!("the release of {} {}", source.archive, source.suite);
        let locked =
            request.locked.iter().find(|locked| locked.archive == source.archive && locked.suite == source.suite);
        let (sha256, now_secs) = match locked {
            Some(locked) => (Some(locked.sha256), locked.date_secs),
            None => (self.recall(&source.archive, &source.suite).sha256, request.now_secs),
        };
        let path = sha256.map(|sha256| self.index_path(&sha256)).filter(|path| path.is_file());
        let path = path.ok_or(CatalogFetchError::Offline { what })?;
        let bytes = fs::read(&path).map_err(at("read", &path))?;
        disk::mark_used(&path);
        match verified(request, source, &bytes, now_secs, None) {
            Ok(release) => Ok(Found { release, mirrors: Vec::new() }),
            Err(error) => Err(refused(source, "", error)),
        }
    }
}

fn verified(
    request: &CatalogRequest,
    source: &Source,
    bytes: &[u8],
    now_secs: i64,
    previous_date_secs: Option<i64>,
) -> Result<Release, ReleaseError> {
    let expected = Expectation {
        suite: &source.suite,
        codename: source.codename.as_deref(),
        components: &source.components,
        arches: request.arches,
        now_secs,
        previous_date_secs,
    };
    verify_inrelease(bytes, &source.keys, &expected)
}

fn refused(source: &Source, url: &str, error: ReleaseError) -> CatalogFetchError {
    let (archive, suite) = (source.archive.clone(), source.suite.clone());
    CatalogFetchError::Release { archive, suite, url: url.to_owned(), source: Box::new(error) }
}

/// Whether a file holds a key of Debian's kind.
pub(super) fn check_key(bytes: &[u8]) -> Result<(), String> {
    let refused = |_| format!("it should hold an OpenPGP public key, armoured or binary, and {}", what_it_holds(bytes));
    deb::check_key(bytes).map_err(refused)
}

/// What a release lacks to be trusted, where that is what is wrong with it.
pub(super) fn distrust(error: &ReleaseError) -> Option<Distrust> {
    Some(match error {
        ReleaseError::NotSigned { .. } => Distrust::Unsigned,
        ReleaseError::UnknownKey { signers, .. } => {
            Distrust::UnknownKey { wanted: format!("the OpenPGP key {}", signers.join(" or ")) }
        }
        ReleaseError::Tampered { key } => Distrust::NotByKey { key: key.clone() },
        ReleaseError::UnreadableKey { name, .. } => Distrust::NoKey { file: name.clone() },
        ReleaseError::KeyExpired { .. } | ReleaseError::KeyRevoked { .. } | ReleaseError::SignatureExpired { .. } => {
            Distrust::Outdated
        }
        ReleaseError::WeakHash { .. } | ReleaseError::KeyUnusable { .. } => Distrust::Weak,
        // What is wrong with the rest is the archive's or the mirror's matter, not that of a key.
        _ => return None,
    })
}

/// What a release does not have that is read from it, a component or itself, and what could stand in its place.
pub(super) fn lack(error: &ReleaseError) -> Option<(Option<&str>, Vec<String>)> {
    match error {
        ReleaseError::NoComponent { component, there } => Some((Some(component), there.clone())),
        ReleaseError::WrongSuite { suite, codename, .. } => Some((None, vec![suite.clone(), codename.clone()])),
        ReleaseError::NoArchitecture { .. } | ReleaseError::WrongCodename { .. } => Some((None, Vec::new())),
        _ => None,
    }
}

/// A suite on its way to a release.
struct Slot<'a> {
    source: &'a Source,
    memory: Memory,
    found: Option<Found>,
    refusal: Refusal,
}

impl<'a> Slot<'a> {
    fn new(source: &'a Source, memory: Memory) -> Self {
        Self { source, memory, found: None, refusal: Refusal::default() }
    }

    fn take(&mut self, release: Release, round: usize) {
        let mut mirrors = self.source.mirrors.clone();
        mirrors.rotate_left(round);
        self.found = Some(Found { release, mirrors });
    }

    fn finish(self) -> Result<Found, CatalogFetchError> {
        let what = format!("the release of {} {}", self.source.archive, self.source.suite);
        self.found.ok_or_else(|| self.refusal.into_error(what, self.source, None))
    }
}
