//! The file system that an image's layers make, made once and kept: contents in a pack, the tree beside it.

use std::fs::{self, File};
use std::io::{self, Read, Seek};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use formats::compression::{self, Bounds, Compression};
use formats::oci::{LayerError, Layering};
use formats::tar::{Limits, TarError};
use packages::Unpacked;
use sha2::Digest as _;
use tree::{Digest, Tree};

use super::{Image, ImageError, ImageLayer};
use crate::decoded::{Meta, PackWriter, load};
use crate::disk::{self, at};
use crate::folders::DECODED_VERSION;
use crate::{Progress, Store, Unit};

/// Moves when layers come to mean another tree.
const DOMAIN: &str = "appliance image tree 1";

/// Plain bytes pass from the thread that decompresses to the one that unpacks in pieces of this size.
const PIECE_BYTES: usize = 256 * 1024;

impl Store {
    /// The file system of an image whose layers were fetched; its contents are then readable through this store.
    ///
    /// # Errors
    /// When a layer is missing, is refused, or does not hold what the configuration says.
    pub fn image_tree(&self, image: &Image, progress: &dyn Progress) -> Result<Tree, ImageError> {
        let mut key = blake3::Hasher::new_derive_key(DOMAIN);
        image.layers.iter().for_each(|layer| _ = key.update(layer.diff_id.as_bytes()));
        let key = Digest::from(key.finalize());
        let folder = self.folders.path("decoded", format!("{key}.{DECODED_VERSION}"));
        let _lock = self.folders.lock_key("decoded", &key.to_string())?;
        if let Some(tree) = self.load_tree(&folder)? {
            return Ok(tree);
        }
        let total = image.layers.iter().map(|layer| layer.size_bytes).sum();
        progress.begin("unpack the base image", Unit::Bytes, total);
        let temporary = self.folders.temporary();
        let made = self.unpack_into(&temporary, image, progress).and_then(|()| {
            let _guard = self.folders.looking_up()?;
            disk::remove(&folder).and_then(|()| disk::rename(&temporary, &folder))?;
            Ok(())
        });
        if let Err(error) = made {
            // A full disk should not stay full until the process ends.
            let _ = disk::remove(&temporary);
            return Err(error);
        }
        let lost = || io::Error::new(io::ErrorKind::NotFound, "it was removed while it was made");
        self.load_tree(&folder)?.ok_or_else(|| ImageError::Disk(at("load", &folder)(lost())))
    }

    /// The OCI media type of a layer by its content, whatever was said of it; `None` when it is not in the store or is
    /// compressed in a way that images do not use.
    pub fn layer_media_type(&self, layer: &ImageLayer) -> Option<&'static str> {
        let compression = compression_of(&mut File::open(self.image_blob(layer.sha256)?).ok()?).ok()?;
        match compression {
            Compression::None => Some("application/vnd.oci.image.layer.v1.tar"),
            Compression::Gzip => Some("application/vnd.oci.image.layer.v1.tar+gzip"),
            Compression::Zstd => Some("application/vnd.oci.image.layer.v1.tar+zstd"),
            Compression::Xz => None,
        }
    }

    fn load_tree(&self, folder: &Path) -> Result<Option<Tree>, ImageError> {
        let _guard = self.folders.looking_up()?;
        // What cannot be read is made again.
        let Ok(Some(loaded)) = load(folder) else { return Ok(None) };
        self.packs.add([loaded.pack]);
        Ok(Some(loaded.unpacked.tree))
    }

    fn unpack_into(&self, folder: &Path, image: &Image, progress: &dyn Progress) -> Result<(), ImageError> {
        disk::make_folder(folder)?;
        let path = folder.join("pack");
        let mut pack = PackWriter::new(disk::create(&path)?);
        let mut layering = Layering::default();
        for layer in &image.layers {
            self.apply(layer, &mut layering, &mut pack)?;
            progress.advance(layer.size_bytes);
        }
        let (_, index) = pack.finish().map_err(at("write", &path))?;
        let unpacked = Unpacked { tree: layering.into_tree(), ..Unpacked::default() };
        let path = folder.join("meta");
        fs::write(&path, Meta { unpacked, index }.encode()).map_err(at("write", &path))?;
        Ok(())
    }

    /// One layer: a thread of its own decompresses and digests, this one unpacks.
    fn apply(&self, layer: &ImageLayer, layering: &mut Layering, pack: &mut PackWriter) -> Result<(), ImageError> {
        let not_here = || ImageError::NotFetched { layer: layer.sha256.to_string() };
        let path = self.image_blob(layer.sha256).ok_or_else(not_here)?;
        let file = disk::open_existing(&path)?.ok_or_else(not_here)?;
        let (send, receive) = sync_channel(16);
        let (applied, digest) = thread::scope(|scope| {
            let reader = scope.spawn(move || decompress(file, &send));
            let mut pieces = Pieces { receive, piece: Vec::new(), at: 0 };
            let applied = layering.apply(&mut pieces, Limits::default(), pack);
            // What is not asked for any more ends the other thread.
            drop(pieces);
            (applied, reader.join())
        });
        let refused = |source| ImageError::Layer { layer: layer.sha256.to_string(), source: Box::new(source) };
        applied.map_err(refused)?;
        let found = match digest {
            Ok(Ok(digest)) => digest,
            Ok(Err(error)) => return Err(refused(LayerError::Tar(TarError::Io(error)))),
            Err(panic) => std::panic::resume_unwind(panic),
        };
        if found == layer.diff_id {
            return Ok(());
        }
        Err(ImageError::DiffId { layer: layer.sha256.to_string(), found, expected: layer.diff_id.clone() })
    }
}

type Piece = io::Result<Vec<u8>>;

/// Sends the plain bytes of a layer piece by piece; gives their SHA-256, in hexadecimal digits.
fn decompress(mut file: File, send: &SyncSender<Piece>) -> io::Result<String> {
    let compression = compression_of(&mut file)?;
    let mut plain = compression::open(compression, file, Bounds::default())?;
    let mut hasher = sha2::Sha256::new();
    loop {
        let mut piece = vec![0; PIECE_BYTES];
        let mut filled = 0;
        while let Some(rest) = piece.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match plain.read(rest) {
                Ok(0) => break,
                Ok(count) => filled += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    let again = io::Error::new(error.kind(), error.to_string());
                    let _ = send.send(Err(error));
                    return Err(again);
                }
            }
        }
        piece.truncate(filled);
        if piece.is_empty() {
            return Ok(packages::Sha256(hasher.finalize().into()).to_string());
        }
        hasher.update(&piece);
        if send.send(Ok(piece)).is_err() {
            return Err(io::Error::other("unpacking ended before the layer did"));
        }
    }
}

/// The pieces of another thread as one stream.
struct Pieces {
    receive: Receiver<Piece>,
    piece: Vec<u8>,
    at: usize,
}

impl Read for Pieces {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.piece.len() {
            match self.receive.recv() {
                Ok(piece) => (self.piece, self.at) = (piece?, 0),
                Err(_) => return Ok(0),
            }
        }
        let rest = self.piece.get(self.at..).unwrap_or_default();
        let count = rest.len().min(buffer.len());
        if let (Some(to), Some(from)) = (buffer.get_mut(..count), rest.get(..count)) {
            to.copy_from_slice(from);
        }
        self.at += count;
        Ok(count)
    }
}

/// How a file is compressed, by its first bytes (RFC 1952, section 2.3.1; RFC 8878, section 3.1.1): media types of layers
/// are not always true. The file is then at its start again.
pub(super) fn compression_of(file: &mut File) -> io::Result<Compression> {
    let mut head = Vec::new();
    Read::by_ref(file).take(6).read_to_end(&mut head)?;
    file.rewind()?;
    Ok(match head[..] {
        [0x1f, 0x8b, ..] => Compression::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Compression::Zstd,
        // Frames that a decoder passes over may come first.
        [first, 0x2a, 0x4d, 0x18, ..] if first & 0xf0 == 0x50 => Compression::Zstd,
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Compression::Xz,
        _ => Compression::None,
    })
}
