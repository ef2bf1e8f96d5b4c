//! Indexes that are signed each by itself, Alpine's `APKINDEX.tar.gz`: one for every component and architecture of a suite.
//!
//! As with releases, the newest that a mirror gives is taken, or the one that the store or a lock has; an index that a mirror
//! refuses, or that does not verify, is asked of the next mirror.

use std::fs;

use formats::apk::{IndexError, KeyFile, SignatureError, SignedIndex, check_key as apk_key, open_index};
use packages::{Catalog, LockedIndex, Origin, Sha256, apk};

use super::memory::Memory;
use super::refusal::Refusal;
use super::trust::what_it_holds;
use super::{CatalogFetchError, CatalogRequest, Catalogs, Distrust, Source};
use crate::disk::{self, DiskError, at};
use crate::network::{Fetched, Job};
use crate::{Progress, Store};

/// Alpine's largest is 3 MB.
const MAX_INDEX_BYTES: u64 = 64 << 20;

/// An index that is wanted, on its way.
struct Slot<'a> {
    source: &'a Source,
    origin: Origin,
    /// The catalogue that it goes to, by its place.
    arch: usize,
    what: String,
    /// The folder that it lies in, below the archive's root.
    folder: String,
    keys: Vec<KeyFile>,
    memory: Memory,
    found: Option<Found>,
    refusal: Refusal,
}

/// An index that has been verified.
struct Found {
    index: SignedIndex,
    sha256: Sha256,
    date_secs: i64,
}

impl Store {
    pub(super) fn signed_indexes(
        &self,
        request: &CatalogRequest,
        progress: &dyn Progress,
    ) -> Result<Catalogs, CatalogFetchError> {
        let mut slots = self.slots(request);
        if request.offline {
            slots.iter_mut().try_for_each(|slot| self.take_at_hand(request, slot))?;
        } else {
            let rounds = slots.iter().map(|slot| slot.source.mirrors.len()).max().unwrap_or(0);
            for round in 0..rounds {
                self.ask_for_indexes(&mut slots, round, progress)?;
            }
        }
        let new = |arch: &spec::appliance::Arch| Catalog::new(request.family, *arch);
        let mut catalogs = request.arches.iter().map(new).collect::<Result<Vec<_>, _>>()?;
        let mut indexes = Vec::with_capacity(slots.len());
        for slot in slots {
            let (origin, tag, arch) = (slot.origin.clone(), slot.source.tag.clone(), slot.arch);
            let (locked, text) = slot.finish()?;
            indexes.push(locked);
            if let Some(catalog) = catalogs.get_mut(arch) {
                match tag {
                    Some(tag) => catalog.add_tagged_index(origin, &tag, &text)?,
                    None => catalog.add_index(origin, &text)?,
                }
            }
        }
        indexes.sort();
        Ok(Catalogs { catalogs, indexes })
    }

    /// Every component of every suite for every architecture, in the order of the sources.
    fn slots<'a>(&self, request: &CatalogRequest<'a>) -> Vec<Slot<'a>> {
        let mut slots = Vec::new();
        let whole = [String::new()];
        for source in request.sources {
            let parts = if source.components.is_empty() { &whole[..] } else { &source.components };
            for component in parts {
                for (arch, name) in request.arches.iter().map(|arch| apk::arch_name(*arch)).enumerate() {
                    slots.push(self.slot(source, component, arch, name));
                }
            }
        }
        slots
    }

    fn slot<'a>(&self, source: &'a Source, component: &str, arch: usize, arch_name: &str) -> Slot<'a> {
        let parts = [source.suite.as_str(), component, arch_name];
        let folder = parts.iter().filter(|part| !part.is_empty()).copied().collect::<Vec<_>>().join("/");
        // A signature names its key by the name of the key's file, without a folder.
        let key = |(name, bytes): &KeyFile| (name.rsplit('/').next().unwrap_or(name).to_owned(), bytes.clone());
        let Source { archive, suite, .. } = source;
        Slot {
            origin: Origin { archive: archive.clone(), suite: suite.clone(), component: component.to_owned() },
            what: format!("the index of {archive} {folder}"),
            keys: source.keys.iter().map(key).collect(),
            memory: self.recall(archive, &folder),
            source,
            arch,
            folder,
            found: None,
            refusal: Refusal::default(),
        }
    }

    /// Asks the mirror of this number for every index that is still wanted.
    fn ask_for_indexes(
        &self,
        slots: &mut [Slot<'_>],
        round: usize,
        progress: &dyn Progress,
    ) -> Result<(), CatalogFetchError> {
        let mut open: Vec<_> = slots
            .iter_mut()
            .filter_map(|slot| {
                let root = slot.source.mirrors.get(round).filter(|_| slot.found.is_none())?;
                Some((self.signed_index_job(slot, root), slot))
            })
            .collect();
        let jobs: Vec<Job> = open.iter().map(|(job, _)| job.clone()).collect();
        for ((job, slot), result) in open.iter_mut().zip(self.network.fetch(&jobs, progress)) {
            match result {
                Err(error) => slot.refusal.not_fetched(error),
                Ok(fetched) => {
                    self.take_fetched(job, slot, &fetched)?;
                    if let Some(error) = slot.found.is_some().then(|| slot.refusal.take()).flatten() {
                        self.tell_passed_over(error, &fetched.url, progress);
                    }
                }
            }
        }
        Ok(())
    }

    fn signed_index_job(&self, slot: &Slot<'_>, root: &str) -> Job {
        let at_hand = slot.memory.sha256.is_some_and(|sha256| self.is_whole(sha256));
        Job {
            what: slot.what.clone(),
            urls: vec![format!("{root}/{}/APKINDEX.tar.gz", slot.folder)],
            partial: self.folders.temporary(),
            size_bytes: None,
            limit_bytes: MAX_INDEX_BYTES,
            digest: None,
            headers: Vec::new(),
            copy: at_hand.then(|| (slot.memory.url.clone(), slot.memory.validators.clone())),
        }
    }

    fn take_fetched(&self, job: &Job, slot: &mut Slot<'_>, fetched: &Fetched) -> Result<(), DiskError> {
        let path = match slot.memory.sha256.filter(|_| fetched.not_modified) {
            Some(sha256) => self.index_path(&sha256),
            None => job.partial.clone(),
        };
        let bytes = fs::read(&path).map_err(at("read", &path))?;
        match slot.verify(&bytes) {
            Err(error) => slot.refused(&fetched.url, error),
            Ok(found) => {
                if !fetched.not_modified {
                    let memory = Memory::of(fetched, found.date_secs);
                    self.remember(&slot.source.archive, &slot.folder, &memory, &job.partial)?;
                }
                slot.found = Some(found);
            }
        }
        Ok(())
    }

    /// Takes the index that a lock names, or the last one that was fetched.
    fn take_at_hand(&self, request: &CatalogRequest, slot: &mut Slot<'_>) -> Result<(), CatalogFetchError> {
        let is_it = |locked: &&LockedIndex| locked.archive == slot.source.archive && locked.suite == slot.folder;
        let sha256 = request.locked.iter().find(is_it).map(|locked| locked.sha256).or(slot.memory.sha256);
        let path = sha256.map(|sha256| self.index_path(&sha256)).filter(|path| path.is_file());
        let path = path.ok_or_else(|| CatalogFetchError::Offline { what: slot.what.clone() })?;
        let bytes = fs::read(&path).map_err(at("read", &path))?;
        disk::mark_used(&path);
        match slot.verify(&bytes) {
            Err(error) => slot.refused("", error),
            Ok(found) => slot.found = Some(found),
        }
        Ok(())
    }
}

/// Whether a file holds a key of Alpine's kind.
pub(super) fn check_key(bytes: &[u8]) -> Result<(), String> {
    let named = ("it".to_owned(), bytes.to_vec());
    match apk_key(&named) {
        Ok(()) => Ok(()),
        Err(SignatureError::Weak { bits, .. }) => Err(format!("it holds an RSA key of only {bits} bits")),
        Err(_) => Err(format!("it should hold an RSA public key in PEM (`PUBLIC KEY`), and {}", what_it_holds(bytes))),
    }
}

/// What an index lacks to be trusted, where that is what is wrong with it.
pub(super) fn distrust(error: &IndexError) -> Option<Distrust> {
    let file = |name: &str| format!("the file `{name}` with its public key");
    let IndexError::Signature(error) = error else { return None };
    Some(match error {
        SignatureError::Unsigned => Distrust::Unsigned,
        SignatureError::UnknownKey { signed_by, .. } => {
            let wanted: Vec<String> = signed_by.iter().map(|name| file(name)).collect();
            Distrust::UnknownKey { wanted: wanted.join(" or ") }
        }
        SignatureError::OtherName { signed_by, key } => {
            Distrust::OtherName { file: key.clone(), name: signed_by.clone() }
        }
        SignatureError::Wrong { key } => Distrust::NotByKey { key: key.clone() },
        SignatureError::Key { key } => Distrust::NoKey { file: key.clone() },
        SignatureError::Weak { .. } | SignatureError::Collision => Distrust::Weak,
    })
}

impl Slot<'_> {
    fn verify(&self, bytes: &[u8]) -> Result<Found, IndexError> {
        let index = open_index(bytes, &self.keys)?;
        let date_secs = apk::newest_build_secs(&index.text);
        Ok(Found { index, sha256: Sha256::of(bytes), date_secs })
    }

    fn refused(&mut self, url: &str, error: IndexError) {
        let archive = self.source.archive.clone();
        let (what, url, source) = (self.what.clone(), url.to_owned(), Box::new(error));
        self.refusal.refused(CatalogFetchError::SignedIndex { archive, what, url, source });
    }

    /// What a lock says of it, and its text.
    fn finish(self) -> Result<(LockedIndex, Vec<u8>), CatalogFetchError> {
        let Some(Found { index, sha256, date_secs }) = self.found else {
            let component = Some(self.origin.component.as_str()).filter(|component| !component.is_empty());
            return Err(self.refusal.into_error(self.what, self.source, component));
        };
        let (archive, key) = (self.source.archive.clone(), index.signer.to_string());
        Ok((LockedIndex { archive, suite: self.folder, date_secs, sha256, key }, index.text))
    }
}
