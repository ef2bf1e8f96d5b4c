//! What lies in the store, what may go, and whether it is still what it was. Safe while builds run.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use packages::{Lock, Sha256};

use crate::disk::{self, DiskError, USE_MARK_SLACK};
use crate::family::ENDINGS;
use crate::folders::KINDS;
use crate::layers::{hash_file, parse_sum};
use crate::{Progress, Store, Unit, decoded, parallel};

/// How much of one kind there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Usage {
    /// What (`archives`, `decoded`, `layers`, …).
    pub kind: &'static str,
    /// How many entries.
    pub entries: u64,
    /// How many bytes.
    pub size_bytes: u64,
}

/// What may go.
#[derive(Debug, Clone, Default)]
pub struct Garbage {
    /// Names of entries that stay, from [`names_of`].
    pub keep: BTreeSet<String>,
    /// What was not used for this long goes.
    pub unused_for: Option<Duration>,
    /// Beyond this size of the store, what was used longest ago goes.
    pub limit_bytes: Option<u64>,
}

/// What went.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// How many entries.
    pub entries: u64,
    /// How many bytes.
    pub size_bytes: u64,
}

/// An entry that is not what its name or checksum says. It has been removed; what needs it makes it again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Damage {
    /// Where it was.
    pub path: PathBuf,
}

/// The names of all entries that a lock needs; what the documents of an image name is kept with them.
pub fn names_of(lock: &Lock) -> BTreeSet<String> {
    let archives = lock.packages().map(|package| package.digest.to_string());
    let decoded = lock.packages().filter_map(|package| package.blake3).map(|blake3| blake3.to_string());
    let image = lock.base.digest.strip_prefix("sha256:").map(str::to_owned);
    let indexes = lock.all_indexes().map(|index| index.sha256.to_string());
    archives.chain(decoded).chain(indexes).chain(image).collect()
}

/// One thing that is kept or goes as a whole.
#[derive(Debug)]
struct Entry {
    kind: &'static str,
    /// Its name without endings.
    name: String,
    paths: Vec<PathBuf>,
    size_bytes: u64,
    used: SystemTime,
}

impl Store {
    /// What lies in the store, by kind.
    ///
    /// # Errors
    /// When its folders cannot be read.
    pub fn usage(&self) -> Result<Vec<Usage>, DiskError> {
        let entries = self.entries()?;
        let of = |kind| {
            let of_kind = entries.iter().filter(move |entry| entry.kind == kind);
            Usage {
                kind,
                entries: of_kind.clone().count() as u64,
                size_bytes: of_kind.map(|entry| entry.size_bytes).sum(),
            }
        };
        Ok(KINDS.map(of).to_vec())
    }

    /// Removes what may go. What a living process may be using stays.
    ///
    /// # Errors
    /// When the store cannot be read or changed.
    pub fn collect_garbage(&self, garbage: &Garbage) -> Result<Collected, DiskError> {
        let in_use_since = self.in_use_since()?;
        let trash = self.folders.temporary();
        disk::make_folder(&trash)?;
        let mut collected = Collected::default();
        {
            let _lock = self.folders.collecting()?;
            for entry in choose(self.entries()?, &self.with_images(garbage), in_use_since) {
                for path in &entry.paths {
                    disk::rename(path, &trash.join(format!("{}-{}", entry.kind, disk::name(path))))?;
                }
                collected.entries += 1;
                collected.size_bytes += entry.size_bytes;
            }
        }
        disk::remove(&trash)?;
        Ok(collected)
    }

    /// Reads everything and removes what is damaged.
    ///
    /// # Errors
    /// When the store cannot be read or changed.
    pub fn verify(&self, progress: &dyn Progress) -> Result<Vec<Damage>, DiskError> {
        let entries = self.entries()?;
        progress.begin("verify the store", Unit::Bytes, entries.iter().map(|entry| entry.size_bytes).sum());
        let checked = parallel::map(&entries, parallel::cores(), |entry| {
            let good = is_good(entry);
            progress.advance(entry.size_bytes);
            good
        });
        let mut damaged = Vec::new();
        for (entry, good) in entries.iter().zip(checked) {
            match good {
                Ok(true) => {}
                // Someone collected it while it was read.
                Err(error) if error.source.kind() == std::io::ErrorKind::NotFound => {}
                Ok(false) => {
                    let _lock = self.folders.collecting()?;
                    entry.paths.iter().try_for_each(|path| disk::remove(path))?;
                    damaged.extend(entry.paths.first().map(|path| Damage { path: path.clone() }));
                }
                Err(error) => return Err(error),
            }
        }
        Ok(damaged)
    }

    /// What stays, with everything that documents of images among it name.
    fn with_images(&self, garbage: &Garbage) -> Garbage {
        let mut all = garbage.clone();
        let mut open: Vec<String> = garbage.keep.iter().cloned().collect();
        while let Some(name) = open.pop() {
            for below in self.named_by_image(&name) {
                if all.keep.insert(below.clone()) {
                    open.push(below);
                }
            }
        }
        all
    }

    /// Entries used since this time may be in use; `None` when nobody but this idle process has the store open.
    fn in_use_since(&self) -> Result<Option<SystemTime>, DiskError> {
        let (oldest, users) = self.folders.users()?;
        let idle = users <= 1 && self.packs.is_empty();
        Ok((!idle).then(|| oldest - USE_MARK_SLACK))
    }

    fn entries(&self) -> Result<Vec<Entry>, DiskError> {
        let mut found: BTreeMap<(&'static str, String), Vec<PathBuf>> = BTreeMap::new();
        for kind in KINDS {
            for path in disk::list(&self.root().join(kind))? {
                let members = if kind == "blobs" { disk::list(&path)? } else { vec![path] };
                for path in members {
                    let name = disk::name(&path).split('.').next().unwrap_or_default().to_owned();
                    found.entry((kind, name)).or_default().push(path);
                }
            }
        }
        let entry = |((kind, name), paths): (_, Vec<PathBuf>)| {
            let size_bytes = paths.iter().map(|path| disk::size_bytes(path)).sum::<Result<u64, _>>()?;
            let used = paths.iter().filter_map(|path| disk::last_used(path)).max().unwrap_or(SystemTime::UNIX_EPOCH);
            Ok(Entry { kind, name, paths, size_bytes, used })
        };
        found.into_iter().map(entry).collect()
    }
}

/// The entries that go.
fn choose(mut entries: Vec<Entry>, garbage: &Garbage, in_use_since: Option<SystemTime>) -> Vec<Entry> {
    let mut total_bytes: u64 = entries.iter().map(|entry| entry.size_bytes).sum();
    entries.retain(|entry| !garbage.keep.contains(&entry.name) && in_use_since.is_none_or(|since| entry.used < since));
    entries.sort_by_key(|entry| entry.used);
    let now = SystemTime::now();
    let mut chosen = Vec::new();
    for entry in entries {
        let age = now.duration_since(entry.used).unwrap_or_default();
        let too_old = garbage.unused_for.is_some_and(|limit| age >= limit);
        let too_much = garbage.limit_bytes.is_some_and(|limit| total_bytes > limit);
        if too_old || too_much {
            total_bytes -= entry.size_bytes;
            chosen.push(entry);
        }
    }
    chosen
}

fn is_good(entry: &Entry) -> Result<bool, DiskError> {
    let has = |ending: &str| entry.paths.iter().find(|path| disk::name(path).ends_with(ending));
    let [path, ..] = &entry.paths[..] else { return Ok(true) };
    match entry.kind {
        "archives" => match (ENDINGS.iter().find_map(|ending| has(&format!(".{ending}"))), has(".b3")) {
            (Some(archive), Some(blake3)) => is_archive(archive, blake3, &entry.name),
            // Without its archive a BLAKE3 still leads to the decoded package.
            (None, _) => Ok(true),
            (Some(_), None) => Ok(false),
        },
        "indexes" => entry
            .paths
            .iter()
            .filter(|path| !disk::name(path).contains('.'))
            .try_fold(true, |good, path| Ok(good && sha256_of(path)?.to_string() == entry.name)),
        "images" => Ok(sha256_of(path)?.to_string() == entry.name),
        "decoded" => decoded::verify(path),
        "blobs" => Ok(hash_file(path)?.0.to_string() == entry.name),
        "layers" => match (entry.paths.iter().find(|path| !disk::name(path).contains('.')), has(".sum")) {
            (Some(file), Some(sum)) => Ok(parse_sum(&text(sum)?) == Some(hash_file(file)?)),
            _ => Ok(false),
        },
        // What is fetched in part is verified when it is whole, and what a URL gave last is signed.
        _ => Ok(true),
    }
}

/// A digest of something else than all bytes was checked when the archive came; its BLAKE3 says that it is the same still.
fn is_archive(archive: &Path, blake3: &Path, name: &str) -> Result<bool, DiskError> {
    let is_named = name.parse::<Sha256>().is_err() || sha256_of(archive)?.to_string() == name;
    Ok(is_named && text(blake3)?.trim_end() == hash_file(archive)?.0.to_string())
}

fn text(path: &Path) -> Result<String, DiskError> {
    let bytes = std::fs::read(path).map_err(disk::at("read", path))?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

fn sha256_of(path: &Path) -> Result<Sha256, DiskError> {
    use sha2::Digest as _;
    let mut file = std::fs::File::open(path).map_err(disk::at("open", path))?;
    let mut hasher = sha2::Sha256::new();
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = std::io::Read::read(&mut file, &mut buffer).map_err(disk::at("read", path))?;
        if count == 0 {
            return Ok(Sha256(hasher.finalize().into()));
        }
        hasher.update(buffer.get(..count).unwrap_or_default());
    }
}
