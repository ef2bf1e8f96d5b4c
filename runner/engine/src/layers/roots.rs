//! The cache of unpacked layers: `CHAIN_ID/` folders that appear whole or not at all, safe under runs at the same time.

use std::fs::{DirBuilder, File};
use std::io::{self, BufReader, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::stamp::InUse;
use super::unpack::{UnpackError, unpack};
use crate::bundle_folder::{Compression, Layer};

/// A folder of unpacked layers, for one way of mapping ids.
#[derive(Debug, Clone)]
pub struct Roots {
    folder: PathBuf,
}

/// Why a layer is not in the cache.
#[derive(Debug, thiserror::Error)]
pub enum RootsError {
    /// The cache cannot be used.
    #[error("use the layer cache {path}")]
    Cache {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The layer's file cannot be read.
    #[error("read the layer {path}")]
    Blob {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The layer holds what it must not, or does not fit.
    #[error("unpack the layer {path}")]
    Unpack {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: UnpackError,
    },
    /// The content is not what the image says.
    #[error("trust the layer {path}: its content's SHA-256 is not {expected}")]
    Digest {
        /// The file.
        path: PathBuf,
        /// What the image says.
        expected: String,
    },
}

impl Roots {
    /// The cache in this folder.
    pub fn new(folder: PathBuf) -> Self {
        Self { folder }
    }

    /// Whether the layer is there already.
    pub fn has(&self, layer: &Layer) -> bool {
        self.folder.join(&layer.chain_id).is_dir()
    }

    /// Keeps the layer from removal until the result is dropped, also when it is yet to be unpacked.
    pub fn mark_used(&self, layer: &Layer) -> Result<InUse, RootsError> {
        let failed = |source| RootsError::Cache { path: self.folder.clone(), source };
        InUse::mark(&self.folder, &layer.chain_id).map_err(failed)
    }

    /// Unpacks a layer unless it is there; `below` are the layers under it, lowest first, which must be there. Of two at the
    /// same time the second waits for the first.
    ///
    /// The folder is closed to other users, since layers hold set-id programs.
    pub fn ensure(&self, layer: &Layer, below: &[Layer], one_owner: bool) -> Result<(), RootsError> {
        if self.has(layer) {
            return Ok(());
        }
        let failed = |path: &Path, source| RootsError::Cache { path: path.to_owned(), source };
        let made = DirBuilder::new().recursive(true).mode(0o700).create(&self.folder);
        made.map_err(|source| failed(&self.folder, source))?;
        let lock_path = self.folder.join(format!("{}.lock", layer.chain_id));
        let lock = File::create(&lock_path).map_err(|source| failed(&lock_path, source))?;
        host::lock_exclusive(&lock).map_err(|source| failed(&lock_path, source))?;
        if self.has(layer) {
            return Ok(());
        }
        let partial = self.folder.join(format!("{}.partial", layer.chain_id));
        self.fill(layer, &partial, below, one_owner)?;
        let target = self.folder.join(&layer.chain_id);
        std::fs::rename(&partial, &target).map_err(|source| failed(&target, source))?;
        // A lock file that is gone while another process waits on it only costs that one a look.
        let _ = std::fs::remove_file(&lock_path);
        Ok(())
    }

    fn fill(&self, layer: &Layer, partial: &Path, below: &[Layer], one_owner: bool) -> Result<(), RootsError> {
        let failed = |source| RootsError::Cache { path: partial.to_owned(), source };
        if partial.exists() {
            std::fs::remove_dir_all(partial).map_err(failed)?;
        }
        DirBuilder::new().mode(0o755).create(partial).map_err(failed)?;
        std::fs::set_permissions(partial, std::os::unix::fs::PermissionsExt::from_mode(0o755)).map_err(failed)?;
        let unread = |source| RootsError::Blob { path: layer.blob.clone(), source };
        let file = File::open(&layer.blob).map_err(unread)?;
        let mut hashed = Hashed { source: decompress(file, layer.compression).map_err(unread)?, state: Sha256::new() };
        let below: Vec<PathBuf> = below.iter().map(|layer| self.folder.join(&layer.chain_id)).collect();
        let unpacked = unpack(&mut hashed, partial, &below, one_owner);
        unpacked.map_err(|source| RootsError::Unpack { path: layer.blob.clone(), source })?;
        if crate::hex(&hashed.state.finalize()) != layer.diff_id {
            let _ = std::fs::remove_dir_all(partial);
            return Err(RootsError::Digest { path: layer.blob.clone(), expected: layer.diff_id.clone() });
        }
        // After a power cut a folder under its final name must hold what it held.
        File::open(partial).and_then(|folder| host::sync_file_system(&folder)).map_err(failed)
    }
}

fn decompress(file: File, compression: Compression) -> io::Result<Box<dyn Read>> {
    Ok(match compression {
        Compression::None => Box::new(BufReader::new(file)),
        Compression::Gzip => Box::new(flate2::read::MultiGzDecoder::new(BufReader::new(file))),
        Compression::Zstd => Box::new(BufReader::with_capacity(128 * 1024, zstd::Decoder::new(file)?)),
    })
}

struct Hashed<R> {
    source: R,
    state: Sha256,
}

impl<R: Read> Read for Hashed<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.source.read(buffer)?;
        self.state.update(buffer.get(..read).unwrap_or_default());
        Ok(read)
    }
}
