//! Where artifacts go and where finished layers are kept: the outside world, as arguments.

use std::io::{self, Write};

use formats::region::RegionSink;

use crate::{BaseLayer, FileDigests, LayerKey, Storage};

/// The folder of a bundle that is being made. Paths are relative, with `/`.
pub trait Outputs: Sync {
    /// Creates a file and its folders, runs `fill` with it, and closes it.
    ///
    /// # Errors
    /// What the file system or `fill` report.
    fn file(&self, path: &str, fill: &mut dyn FnMut(&mut (dyn Write + Send)) -> io::Result<()>) -> io::Result<()>;

    /// Creates a sparse file of `size_bytes`, runs `fill` with it, and closes it; gives its digests, the holes read as zeros.
    ///
    /// # Errors
    /// What the file system or `fill` report.
    fn sparse_file(
        &self,
        path: &str,
        size_bytes: u64,
        fill: &mut dyn FnMut(&mut dyn RegionSink) -> io::Result<()>,
    ) -> io::Result<FileDigests>;

    /// Creates a file and its folders, to be written and read back at any place.
    ///
    /// # Errors
    /// What the file system reports.
    fn storage(&self, path: &str) -> io::Result<Box<dyn Storage + '_>>;

    /// Puts a finished layer from the cache as the file `path`.
    ///
    /// # Errors
    /// What the file system reports.
    fn take_layer(&self, layer: &WrittenLayer, path: &str) -> io::Result<()>;

    /// Puts a layer of a base image as the file `path`; the same may be asked twice.
    ///
    /// # Errors
    /// What the file system reports; `NotFound` where there is no such layer.
    fn take_base_layer(&self, layer: &BaseLayer, path: &str) -> io::Result<()>;
}

/// A finished layer: compressed bytes with what names them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WrittenLayer {
    /// What it was made from.
    pub key: LayerKey,
    /// SHA-256 of the uncompressed tar, 64 hexadecimal digits (OCI image specification, DiffID).
    pub diff_id: String,
    /// SHA-256 of the compressed bytes, 64 hexadecimal digits.
    pub digest: String,
    /// Size of the compressed bytes.
    pub size_bytes: u64,
}

/// Finished layers by key.
pub trait LayerCache: Sync {
    /// The layer of this key, if there is one.
    fn get(&self, key: &LayerKey) -> Option<WrittenLayer>;

    /// Makes the layer of this key: `fill` writes its compressed bytes and tells what names them.
    ///
    /// # Errors
    /// What the file system or `fill` report; then nothing is kept.
    fn make(
        &self,
        key: &LayerKey,
        fill: &mut dyn FnMut(&mut (dyn Write + Send)) -> io::Result<WrittenLayer>,
    ) -> io::Result<WrittenLayer>;
}
