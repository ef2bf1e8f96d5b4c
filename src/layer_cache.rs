//! Finished OCI layers in the store: the compressed bytes under the layer's key, what names them under a second one.

use std::fs::{self, File};
use std::io::{self, Write};

use image::{LayerCache, LayerKey, WrittenLayer};
use store::{PutError, Store};
use tree::Digest;

/// The store as a cache of layers.
pub struct StoredLayers<'a>(pub &'a Store);

impl LayerCache for StoredLayers<'_> {
    fn get(&self, key: &LayerKey) -> Option<WrittenLayer> {
        self.0.cached(key)?;
        parse_names(*key, &fs::read_to_string(self.0.cached(&names_key(key))?).ok()?)
    }

    fn make(
        &self,
        key: &LayerKey,
        fill: &mut dyn FnMut(&mut (dyn Write + Send)) -> io::Result<WrittenLayer>,
    ) -> io::Result<WrittenLayer> {
        let mut made = None;
        let write = |file: &mut File| {
            let layer = fill(file)?;
            // The names come first: a layer that is found has them, also when a build is killed in between.
            self.put_names(&layer)?;
            made = Some(layer);
            Ok(())
        };
        self.0.put(key, write).map_err(io_error)?;
        if let Some(layer) = made.or_else(|| self.get(key)) {
            return Ok(layer);
        }
        // The names alone were damaged and removed: they are made again without the bytes.
        let layer = fill(&mut io::sink())?;
        self.put_names(&layer)?;
        Ok(layer)
    }
}

impl StoredLayers<'_> {
    fn put_names(&self, layer: &WrittenLayer) -> io::Result<()> {
        let names = format!("{} {} {}\n", layer.diff_id, layer.digest, layer.size_bytes);
        self.0.put(&names_key(&layer.key), |file: &mut File| file.write_all(names.as_bytes())).map_err(io_error)?;
        Ok(())
    }
}

fn names_key(key: &LayerKey) -> Digest {
    Digest::of(format!("names of layer {key}").as_bytes())
}

fn parse_names(key: LayerKey, text: &str) -> Option<WrittenLayer> {
    let mut words = text.split_whitespace().map(str::to_owned);
    let (diff_id, digest, size) = (words.next()?, words.next()?, words.next()?);
    Some(WrittenLayer { key, diff_id, digest, size_bytes: size.parse().ok()? })
}

/// The cause itself where the maker failed, so that a full disk is told as one.
fn io_error(error: PutError<io::Error>) -> io::Error {
    match error {
        PutError::Make(error) => error,
        disk => io::Error::other(disk),
    }
}
