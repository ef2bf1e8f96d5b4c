//! Package indexes: by the digests that signed releases list, kept as fetched and once more for fast reading.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::PathBuf;

use formats::compression::{self, Bounds, Compression};
use packages::deb::{self, IndexCandidate};
use packages::{ArchiveDigest, Catalog, Origin, Sha256};

use super::releases::Found;
use super::{CatalogFetchError, CatalogRequest, Source};
use crate::disk::{self, DiskError, at};
use crate::network::Job;
use crate::{Progress, Store, Unit, parallel};

/// The largest index of a distribution is 60 MB once decompressed.
const MAX_INDEX_BYTES: u64 = 1 << 30;

/// An index that is wanted, and the catalogues it goes to.
pub(super) struct Wanted {
    what: String,
    origin: Origin,
    arch: usize,
    file: IndexCandidate,
    urls: Vec<String>,
}

/// Which indexes are wanted: every component of every suite for every architecture, in the order of the sources.
pub(super) fn wanted(request: &CatalogRequest, releases: &[Found]) -> Result<Vec<Wanted>, CatalogFetchError> {
    let mut out = Vec::new();
    for (source, found) in request.sources.iter().zip(releases) {
        for component in &source.components {
            for (number, arch) in request.arches.iter().enumerate() {
                let apart = found.release.all_apart.then_some("all");
                for arch in [arch.name()].into_iter().chain(apart) {
                    out.push(one(source, found, component, arch, number)?);
                }
            }
        }
    }
    Ok(out)
}

fn one(
    source: &Source,
    found: &Found,
    component: &str,
    arch: &str,
    number: usize,
) -> Result<Wanted, CatalogFetchError> {
    let Source { archive, suite, .. } = source;
    let file = found.release.index(component, arch).into_iter().next().ok_or_else(|| CatalogFetchError::NoIndex {
        archive: archive.clone(),
        suite: suite.clone(),
        component: component.to_owned(),
        arch: arch.to_owned(),
        there: found.release.components_for(arch),
    })?;
    let places = |root: &String| {
        let paths = file.by_hash_path.iter().chain([&file.path]);
        paths.map(move |path| format!("{root}/dists/{suite}/{path}")).collect::<Vec<_>>()
    };
    Ok(Wanted {
        what: format!("the index of {archive} {suite} {component} for {arch}"),
        origin: Origin { archive: archive.clone(), suite: suite.clone(), component: component.to_owned() },
        arch: number,
        urls: found.mirrors.iter().flat_map(places).collect(),
        file,
    })
}

impl Store {
    /// Fetches the indexes that are not in the store.
    pub(super) fn fetch_indexes(
        &self,
        wanted: &[Wanted],
        offline: bool,
        progress: &dyn Progress,
    ) -> Result<(), CatalogFetchError> {
        let mut missing: Vec<&Wanted> = wanted.iter().filter(|index| !self.has_index(index)).collect();
        missing.sort_by_key(|index| index.file.sha256);
        missing.dedup_by_key(|index| index.file.sha256);
        if let Some(first) = missing.first().filter(|_| offline) {
            return Err(CatalogFetchError::Offline { what: first.what.clone() });
        }
        if missing.is_empty() {
            return Ok(());
        }
        let locks = missing.iter().map(|index| self.folders.lock_key("indexes", &index.file.sha256.to_string()));
        let _locks = locks.collect::<Result<Vec<_>, _>>()?;
        missing.retain(|index| !self.has_index(index));
        progress.begin("download indexes", Unit::Bytes, missing.iter().map(|index| index.file.size_bytes).sum());
        let jobs: Vec<_> = missing.iter().map(|index| self.index_job(index)).collect();
        for (job, result) in jobs.iter().zip(self.network.fetch(&jobs, progress)) {
            let fetched = result?;
            let _guard = self.folders.looking_up()?;
            disk::rename(&job.partial, &self.index_path(&fetched.sha256))?;
        }
        Ok(())
    }

    /// Reads indexes into catalogues; decompression is spread over all cores.
    pub(super) fn read_indexes(
        &self,
        request: &CatalogRequest,
        wanted: &[Wanted],
    ) -> Result<Vec<Catalog>, CatalogFetchError> {
        let new = |arch: &spec::appliance::Arch| Catalog::new(request.family, *arch);
        let mut catalogs = request.arches.iter().map(new).collect::<Result<Vec<_>, _>>()?;
        // As many texts as there are cores are in memory at once, not all.
        for part in wanted.chunks(parallel::cores()) {
            let texts = parallel::map(part, parallel::cores(), |index| self.index_text(index));
            for (index, text) in part.iter().zip(texts) {
                if let Some(catalog) = catalogs.get_mut(index.arch) {
                    catalog.add_index(index.origin.clone(), &text?)?;
                }
            }
        }
        Ok(catalogs)
    }

    fn has_index(&self, index: &Wanted) -> bool {
        let path = self.index_path(&index.file.sha256);
        fs::metadata(&path).is_ok_and(|meta| meta.len() == index.file.size_bytes)
    }

    fn index_job(&self, index: &Wanted) -> Job {
        Job {
            what: index.what.clone(),
            urls: index.urls.clone(),
            partial: self.folders.path("partial", index.file.sha256.to_string()),
            size_bytes: Some(index.file.size_bytes),
            limit_bytes: index.file.size_bytes,
            digest: Some(ArchiveDigest::Sha256(index.file.sha256)),
            headers: Vec::new(),
            copy: None,
        }
    }

    /// The text of an index, from the copy for fast reading if there is one.
    fn index_text(&self, index: &Wanted) -> Result<Vec<u8>, CatalogFetchError> {
        let wrong = |source| CatalogFetchError::Index { what: index.what.clone(), source };
        let path = self.index_path(&index.file.sha256);
        disk::mark_used(&path);
        if let Some(text) = self.fast_text(&index.file.sha256) {
            return Ok(text);
        }
        let kind = match index.file.compression {
            deb::Compression::None => Compression::None,
            deb::Compression::Gzip => Compression::Gzip,
            deb::Compression::Xz => Compression::Xz,
        };
        let packed = fs::read(&path).map_err(at("read", &path))?;
        if Sha256::of(&packed) != index.file.sha256 {
            disk::remove(&path)?;
            let what = "its file in the store was damaged and has been removed; try again to fetch it";
            return Err(wrong(io::Error::new(io::ErrorKind::InvalidData, what)));
        }
        let text = plain(kind, &packed[..], index.file.plain.map(|plain| plain.size_bytes)).map_err(wrong)?;
        if let Some(plain) = index.file.plain.filter(|plain| plain.sha256 != Sha256::of(&text)) {
            let what = format!("its SHA-256 is not {} once decompressed", plain.sha256);
            return Err(wrong(io::Error::new(io::ErrorKind::InvalidData, what)));
        }
        if kind == Compression::Xz {
            self.keep_fast_text(&index.file.sha256, &text)?;
        }
        Ok(text)
    }

    /// xz takes half a second for the index of a whole distribution; zstd takes a twentieth of that.
    fn fast_text(&self, sha256: &Sha256) -> Option<Vec<u8>> {
        let path = self.fast_path(sha256);
        let file = File::open(&path).ok()?;
        disk::mark_used(&path);
        plain(Compression::Zstd, file, None).ok()
    }

    fn keep_fast_text(&self, sha256: &Sha256, text: &[u8]) -> Result<(), DiskError> {
        let temporary = self.folders.temporary();
        let encode = || -> io::Result<()> {
            let mut encoder = zstd::stream::write::Encoder::new(File::create(&temporary)?, 1)?;
            // The sum in the frame finds what a power cut left behind.
            encoder.include_checksum(true)?;
            io::Write::write_all(&mut encoder, text)?;
            encoder.finish().map(drop)
        };
        encode().map_err(at("write", &temporary))?;
        let _guard = self.folders.looking_up()?;
        disk::rename(&temporary, &self.fast_path(sha256))
    }

    pub(super) fn index_path(&self, sha256: &Sha256) -> PathBuf {
        self.folders.path("indexes", sha256.to_string())
    }

    fn fast_path(&self, sha256: &Sha256) -> PathBuf {
        self.folders.path("indexes", format!("{sha256}.zst"))
    }
}

fn plain(kind: Compression, packed: impl Read + Send, size_bytes: Option<u64>) -> io::Result<Vec<u8>> {
    let bounds =
        Bounds { total_bytes: size_bytes.unwrap_or(MAX_INDEX_BYTES).min(MAX_INDEX_BYTES), ..Bounds::default() };
    let mut text = Vec::with_capacity(size_bytes.map_or(0, |size| size.min(MAX_INDEX_BYTES) as usize));
    compression::open(kind, packed, bounds)?.read_to_end(&mut text)?;
    Ok(text)
}
