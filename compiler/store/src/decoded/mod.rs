//! Packages taken apart once and kept: a tree and control files to load, and a pack of contents to read from.
//!
//! In go packages of a lock whose archives are in the store (or were decoded before), out come [`Unpacked`] values;
//! their contents are then readable through the store. Archives are hashed again while they are decoded.

mod meta;
mod pack;

use std::fs::{self, File};
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use formats::compression::Bounds;
use packages::{ArchiveFacts, LockedPackage, Unpacked};
use tree::Digest;

pub(crate) use self::meta::Meta;
pub use self::meta::{MetaError, read_meta};
pub(crate) use self::pack::PackWriter;
use crate::blobs::Pack;
use crate::disk::{self, DiskError, at};
use crate::folders::DECODED_VERSION;
use crate::{ArchiveError, Progress, Store, Unit, family, parallel};

/// Why a package cannot be loaded or decoded.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// Its archive was never fetched, or was removed since.
    #[error("unpack {package}: its archive is not in the store; build without `--offline` to fetch it")]
    NotFetched {
        /// Name and version.
        package: String,
    },
    /// Its archive in the store is damaged; it has been removed.
    #[error("unpack {package}: its archive in the store was damaged and has been removed; build again to fetch it")]
    Damaged {
        /// Name and version.
        package: String,
    },
    /// Its archive is what the repository signed, and is refused all the same.
    #[error("unpack {package}")]
    Archive {
        /// Name and version.
        package: String,
        /// What is wrong with it.
        #[source]
        source: ArchiveError,
    },
    /// The store's disk.
    #[error("unpack {package}")]
    Disk {
        /// Name and version.
        package: String,
        /// What went wrong.
        #[source]
        source: DiskError,
    },
}

/// Memory that xz threads may use in all, beside what every decoder needs.
const XZ_MEMORY_BYTES: u64 = 160 << 20;

/// Archives of this size are decoded by several threads: one of them could otherwise take longer than all others.
const LARGE_ARCHIVE_BYTES: u64 = 8 << 20;

impl Store {
    /// Loads packages, decoding those that never were, on all cores. The result is in the order of `packages`.
    ///
    /// # Errors
    /// The first failure, in the order of `packages`; what was decoded is kept.
    pub fn unpack(&self, packages: &[LockedPackage], progress: &dyn Progress) -> Result<Vec<Unpacked>, UnpackError> {
        let loaded = self.load(packages)?;
        let mut missing: Vec<usize> = (0..packages.len()).filter(|&index| loaded[index].is_none()).collect();
        // Large ones first, or the last one runs alone.
        missing.sort_by_key(|&index| (std::cmp::Reverse(packages[index].size_bytes), index));
        if !missing.is_empty() {
            progress.begin("unpack packages", Unit::Items, missing.len() as u64);
        }
        let workers = parallel::cores().min(missing.len()).max(1);
        let decoded = parallel::map(&missing, workers, |&index| {
            let result = self.decode(&packages[index], workers);
            progress.advance(1);
            (index, result)
        });
        let mut out = loaded;
        let mut failed = None;
        for (index, result) in decoded {
            match result {
                Ok(one) => out[index] = Some(one),
                Err(error) if failed.as_ref().is_none_or(|(first, _)| index < *first) => failed = Some((index, error)),
                Err(_) => {}
            }
        }
        match failed {
            Some((_, error)) => Err(error),
            None => {
                let mut unpacked = self.register(out.into_iter().flatten());
                for (one, package) in unpacked.iter_mut().zip(packages) {
                    let LockedPackage { arch, digest, size_bytes, .. } = package;
                    one.archive = Some(ArchiveFacts { arch: arch.clone(), digest: *digest, size_bytes: *size_bytes });
                }
                Ok(unpacked)
            }
        }
    }

    /// Loads or decodes one package.
    ///
    /// # Errors
    /// As [`Store::unpack`].
    pub fn unpacked(&self, package: &LockedPackage) -> Result<Unpacked, UnpackError> {
        let all = self.unpack(std::slice::from_ref(package), &crate::Silent)?;
        all.into_iter().next().ok_or_else(|| UnpackError::NotFetched { package: title(package) })
    }

    /// Whether a package is at hand in decoded form, so that its archive is not needed.
    pub(crate) fn is_decoded(&self, package: &LockedPackage) -> bool {
        let blake3 = package.blake3.or_else(|| self.known_blake3(&package.digest));
        blake3.is_some_and(|blake3| self.decoded_folder(&blake3).join("meta").is_file())
    }

    fn load(&self, packages: &[LockedPackage]) -> Result<Vec<Option<Loaded>>, UnpackError> {
        let _guard = match packages.first() {
            None => return Ok(Vec::new()),
            Some(first) => self.folders.looking_up().map_err(|source| disk_error(first, source))?,
        };
        // An entry that cannot be used is made again; what ails it shows then.
        let one = |package: &LockedPackage| load(&self.decoded_folder(&self.blake3_of(package)?)).ok().flatten();
        Ok(parallel::map(packages, parallel::cores(), one))
    }

    fn decode(&self, package: &LockedPackage, workers: usize) -> Result<Loaded, UnpackError> {
        let disk = |source| disk_error(package, source);
        let archive = self.archive_path(&package.digest);
        let blake3 = self.blake3_of(package).ok_or_else(|| UnpackError::NotFetched { package: title(package) })?;
        let folder = self.decoded_folder(&blake3);
        let _lock = self.folders.lock_key("decoded", &blake3.to_string()).map_err(disk)?;
        let found = {
            let _guard = self.folders.looking_up().map_err(disk)?;
            load(&folder)
        };
        if let Ok(Some(loaded)) = found {
            return Ok(loaded);
        }
        let file = disk::open_existing(&archive).map_err(disk)?;
        let file = file.ok_or_else(|| UnpackError::NotFetched { package: title(package) })?;
        let temporary = self.folders.temporary();
        let result = decode_into(&temporary, file, blake3, package, workers).and_then(|()| {
            let _guard = self.folders.looking_up().map_err(disk)?;
            disk::remove(&folder).and_then(|()| disk::rename(&temporary, &folder)).map_err(disk)
        });
        if let Err(error) = result {
            // A full disk should not stay full until the process ends.
            let _ = disk::remove(&temporary);
            if let UnpackError::Damaged { .. } = error {
                self.forget_archive(&package.digest).map_err(disk)?;
            }
            return Err(error);
        }
        load(&folder).map_err(disk)?.ok_or_else(|| UnpackError::Damaged { package: title(package) })
    }

    fn decoded_folder(&self, blake3: &Digest) -> PathBuf {
        self.folders.path("decoded", format!("{blake3}.{DECODED_VERSION}"))
    }

    fn blake3_of(&self, package: &LockedPackage) -> Option<Digest> {
        package.blake3.or_else(|| self.known_blake3(&package.digest))
    }

    fn register(&self, loaded: impl Iterator<Item = Loaded>) -> Vec<Unpacked> {
        let (packs, unpacked): (Vec<_>, Vec<_>) = loaded.map(|one| (one.pack, one.unpacked)).unzip();
        self.packs.add(packs);
        unpacked
    }
}

/// A decoded package as loaded.
pub(crate) struct Loaded {
    pub(crate) unpacked: Unpacked,
    pub(crate) pack: Arc<Pack>,
}

/// Loads a decoded package; `None` when there is none or it cannot be used.
pub(crate) fn load(folder: &Path) -> Result<Option<Loaded>, DiskError> {
    let path = folder.join("meta");
    let Some(mut file) = disk::open_existing(&path)? else { return Ok(None) };
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes).map_err(at("read", &path))?;
    let Ok(meta) = Meta::decode(&bytes) else { return Ok(None) };
    let pack = folder.join("pack");
    if fs::metadata(&pack).map_err(at("look at", &pack))?.len() != meta.pack_bytes() {
        return Ok(None);
    }
    disk::mark_used(folder);
    Ok(Some(Loaded { unpacked: meta.unpacked, pack: Arc::new(Pack::new(pack, &meta.index)) }))
}

/// Decodes an archive into a new folder.
fn decode_into(
    folder: &Path,
    archive: File,
    blake3: Digest,
    package: &LockedPackage,
    workers: usize,
) -> Result<(), UnpackError> {
    let disk = |source| disk_error(package, source);
    disk::make_folder(folder).map_err(disk)?;
    let mut source = Hashed { inner: archive, hasher: blake3::Hasher::new() };
    let path = folder.join("pack");
    let mut pack = PackWriter::new(disk::create(&path).map_err(disk)?);
    let result = family::decode(&package.digest, &mut source, bounds(package, workers), &mut pack);
    // Whether the bytes are the ones that were signed is told first: damage of the disk is no fault of a package.
    let _ = io::copy(&mut source, &mut io::sink());
    if Digest::from(source.hasher.finalize()) != blake3 {
        return Err(UnpackError::Damaged { package: title(package) });
    }
    let unpacked = result.map_err(|source| UnpackError::Archive { package: title(package), source })?;
    let (_, index) = pack.finish().map_err(|error| disk(at("write", &path)(error)))?;
    let path = folder.join("meta");
    fs::write(&path, Meta { unpacked, index }.encode()).map_err(|error| disk(at("write", &path)(error)))
}

fn bounds(package: &LockedPackage, workers: usize) -> Bounds {
    let cores = parallel::cores();
    let threads = if package.size_bytes >= LARGE_ARCHIVE_BYTES || workers < cores { cores as u32 } else { 1 };
    let thread_memory_bytes = XZ_MEMORY_BYTES / workers.max(1) as u64;
    Bounds { threads, thread_memory_bytes, ..Bounds::default() }
}

fn disk_error(package: &LockedPackage, source: DiskError) -> UnpackError {
    UnpackError::Disk { package: title(package), source }
}

fn title(package: &LockedPackage) -> String {
    format!("{} {} ({})", package.name, package.version, package.arch)
}

/// Hashes what is read through it.
struct Hashed {
    inner: File,
    hasher: blake3::Hasher,
}

impl Read for Hashed {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let count = self.inner.read(buffer)?;
        self.hasher.update(buffer.get(..count).unwrap_or_default());
        Ok(count)
    }
}

/// Checks the contents of a decoded package against its digests, and gives the bytes read.
pub(crate) fn verify(folder: &Path) -> Result<bool, DiskError> {
    let path = folder.join("meta");
    let Ok(meta) = Meta::decode(&fs::read(&path).map_err(at("read", &path))?) else { return Ok(false) };
    let path = folder.join("pack");
    let mut pack = BufReader::with_capacity(256 * 1024, File::open(&path).map_err(at("open", &path))?);
    for (digest, size) in &meta.index {
        let mut hasher = blake3::Hasher::new();
        let copied = io::copy(&mut (&mut pack).take(*size), &mut hasher).map_err(at("read", &path))?;
        if copied != *size || Digest::from(hasher.finalize()) != *digest {
            return Ok(false);
        }
    }
    Ok(pack.read(&mut [0]).map_err(at("read", &path))? == 0)
}
