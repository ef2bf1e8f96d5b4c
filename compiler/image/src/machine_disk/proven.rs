//! A root that proves itself, in one pass: the root is hashed while it is written, its hash tree stands behind it, and
//! the EFI program that names the root hash comes after both.
//!
//! So no content is read twice: a disk's table fixes every length before the first byte, and the hash is always as long.

use std::io;
use std::ops::Range;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::{iter, thread};

use formats::fat;
use formats::region::{RegionSink, RegionSource, Stretch};
use formats::verity::{self, HashTree, Hasher, VerityError};

use crate::threads::joined;

/// Buffers that may wait to be hashed; the containers take the same ones, so this bounds the memory.
const WAITING_STRETCHES: usize = 4;

/// Gives the bytes of an EFI program for the root hash of a proven root, or for none. It must be as long for one hash
/// as for any other, and the same bytes for the same hash.
pub type EfiProgram<'a> = dyn Fn(Option<&str>) -> io::Result<Vec<u8>> + Sync + 'a;

/// The hash tree of a root, once the root has passed.
pub struct Proof {
    options: verity::Options,
    data_bytes: u64,
    size_bytes: u64,
    tree: OnceLock<HashTree>,
}

impl Proof {
    /// For a root of this many bytes.
    ///
    /// # Errors
    /// When it is no whole number of blocks.
    pub fn new(options: verity::Options, data_bytes: u64) -> Result<Arc<Self>, VerityError> {
        let size_bytes = verity::size_bytes(data_bytes)?;
        Ok(Arc::new(Self { options, data_bytes, size_bytes, tree: OnceLock::new() }))
    }

    /// What the root hashes to; `None` before it was written.
    pub fn root_hash(&self) -> Option<String> {
        self.tree.get().map(HashTree::root_hash_text)
    }
}

/// A root that leaves its proof behind when it is written.
pub struct ProvenSource<S> {
    /// The root.
    pub source: S,
    /// Where the proof goes.
    pub proof: Arc<Proof>,
}

impl<S: RegionSource> RegionSource for ProvenSource<S> {
    fn size_bytes(&self) -> u64 {
        self.source.size_bytes()
    }

    fn data_ranges(&self) -> Vec<Range<u64>> {
        self.source.data_ranges()
    }

    fn write(&self, sink: &mut dyn RegionSink) -> io::Result<()> {
        let Proof { options, data_bytes, .. } = &*self.proof;
        let mut hasher = Hasher::new(options.clone(), *data_bytes).map_err(io::Error::other)?;
        let tree = thread::scope(|scope| {
            let (sender, stretches) = sync_channel::<Stretch>(WAITING_STRETCHES);
            let hashed = scope.spawn(move || {
                stretches.into_iter().try_for_each(|stretch| hasher.stretch(stretch)).map(|()| hasher.finish())
            });
            let written = self.source.write(&mut HashedSink { sink, sender });
            let hashed = joined(hashed);
            written.and(hashed)
        })?;
        // A disk that is written again gives the same tree.
        let _ = self.proof.tree.set(tree);
        Ok(())
    }
}

/// Passes regions on, and to the thread that hashes them.
struct HashedSink<'s> {
    sink: &'s mut dyn RegionSink,
    sender: SyncSender<Stretch>,
}

impl RegionSink for HashedSink<'_> {
    fn data(&mut self, offset_bytes: u64, bytes: &[u8]) -> io::Result<()> {
        let given = iter::once(0..bytes.len()).collect();
        self.stretch(Stretch { offset_bytes, bytes: Arc::new(bytes.to_vec()), given })
    }

    fn stretch(&mut self, stretch: Stretch) -> io::Result<()> {
        // The hasher ends early only when regions are out of order, and tells so.
        let _ = self.sender.send(stretch.clone());
        self.sink.stretch(stretch)
    }
}

/// The hash tree of a root that stands before it.
pub struct HashTreeSource(pub Arc<Proof>);

impl RegionSource for HashTreeSource {
    fn size_bytes(&self) -> u64 {
        self.0.size_bytes
    }

    fn data_ranges(&self) -> Vec<Range<u64>> {
        std::iter::once(0..self.0.size_bytes).collect()
    }

    fn write(&self, sink: &mut dyn RegionSink) -> io::Result<()> {
        let tree = self.0.tree.get().ok_or_else(|| io::Error::other("the hash tree comes before its root"))?;
        tree.write(sink)
    }
}

/// A system partition whose only file is an EFI program; it stands behind the root that the program vouches for.
pub struct EspSource<'a> {
    /// The planned volume of one file.
    pub layout: fat::Layout,
    /// The program.
    pub program: &'a EfiProgram<'a>,
    /// The root's proof.
    pub proof: Option<Arc<Proof>>,
}

impl RegionSource for EspSource<'_> {
    fn size_bytes(&self) -> u64 {
        self.layout.size_bytes()
    }

    fn data_ranges(&self) -> Vec<Range<u64>> {
        self.layout.data_ranges()
    }

    fn write(&self, sink: &mut dyn RegionSink) -> io::Result<()> {
        let early = || io::Error::other("the EFI program comes before the root that it vouches for");
        let hash = match &self.proof {
            Some(proof) => Some(proof.root_hash().ok_or_else(early)?),
            None => None,
        };
        let program = (self.program)(hash.as_deref())?;
        fat::write(&self.layout, &[&program], sink).map_err(io::Error::other)
    }
}
