//! Contents by digest: from the packs of the packages that were loaded, and from single files.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, Read, Seek as _, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tree::{Blobs, Content, Digest};

use crate::Store;
use crate::disk::{self, DiskError, at};

/// Packs that are held open at once: fewer than the 1024 files that a process may usually have.
const OPEN_PACKS: usize = 256;

/// A pack file and where its contents lie.
#[derive(Debug)]
pub(crate) struct Pack {
    path: PathBuf,
    /// Digest, offset and size, sorted by digest.
    contents: Vec<(Digest, u64, u64)>,
}

impl Pack {
    /// A pack with these contents in their order.
    pub(crate) fn new(path: PathBuf, index: &[(Digest, u64)]) -> Self {
        let mut offset = 0;
        let mut contents: Vec<_> = Vec::with_capacity(index.len());
        for (digest, size) in index {
            contents.push((*digest, offset, *size));
            offset += size;
        }
        contents.sort_unstable();
        Self { path, contents }
    }
}

/// The packs of all packages that were loaded through a store.
#[derive(Debug, Default)]
pub(crate) struct Packs {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    packs: Vec<(Arc<Pack>, Option<Arc<File>>)>,
    /// Digest, pack, offset and size of every content, sorted; rebuilt when packs came since the last question.
    index: Vec<(Digest, usize, u64, u64)>,
    indexed_packs: usize,
    /// Open packs, the one opened longest ago first.
    open: VecDeque<usize>,
}

impl Packs {
    pub(crate) fn add(&self, packs: impl IntoIterator<Item = Arc<Pack>>) {
        let mut state = self.state();
        let known: std::collections::BTreeSet<PathBuf> =
            state.packs.iter().map(|(pack, _)| pack.path.clone()).collect();
        state.packs.extend(packs.into_iter().filter(|pack| !known.contains(&pack.path)).map(|pack| (pack, None)));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.state().packs.is_empty()
    }

    fn find(&self, digest: &Digest) -> io::Result<Option<Span>> {
        let mut state = self.state();
        state.build_index();
        let Ok(at) = state.index.binary_search_by(|(known, ..)| known.cmp(digest)) else { return Ok(None) };
        let (_, pack, offset, left_bytes) = state.index[at];
        Ok(Some(Span { file: state.file(pack)?, offset, left_bytes }))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change of the state is complete before anything can panic.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn build_index(&mut self) {
        if self.indexed_packs == self.packs.len() {
            return;
        }
        let packs = self.packs.iter().enumerate().skip(self.indexed_packs);
        self.index.extend(packs.flat_map(|(number, (pack, _))| {
            pack.contents.iter().map(move |(digest, offset, size)| (*digest, number, *offset, *size))
        }));
        self.index.sort_unstable();
        self.index.dedup_by_key(|(digest, ..)| *digest);
        self.indexed_packs = self.packs.len();
    }

    fn file(&mut self, number: usize) -> io::Result<Arc<File>> {
        let (pack, open) = &mut self.packs[number];
        if let Some(file) = open {
            return Ok(file.clone());
        }
        let file = Arc::new(File::open(&pack.path)?);
        *open = Some(file.clone());
        self.open.push_back(number);
        if self.open.len() > OPEN_PACKS
            && let Some(oldest) = self.open.pop_front()
        {
            self.packs[oldest].1 = None;
        }
        Ok(file)
    }
}

/// Reads a part of a file without moving anyone else's place in it.
struct Span {
    file: Arc<File>,
    offset: u64,
    left_bytes: u64,
}

impl Span {
    /// What of it stands from this offset on.
    fn from(self, offset_bytes: u64) -> Self {
        let skipped = offset_bytes.min(self.left_bytes);
        Self { offset: self.offset + skipped, left_bytes: self.left_bytes - skipped, ..self }
    }
}

impl Read for Span {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let want = usize::try_from(self.left_bytes).unwrap_or(usize::MAX).min(buffer.len());
        let Some(part) = buffer.get_mut(..want).filter(|part| !part.is_empty()) else { return Ok(0) };
        let count = self.file.read_at(part, self.offset)?;
        if count == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        self.offset += count as u64;
        self.left_bytes -= count as u64;
        Ok(count)
    }
}

impl Blobs for Store {
    fn open(&self, digest: &Digest) -> io::Result<Box<dyn Read + Send + '_>> {
        self.open_at(digest, 0)
    }

    fn open_at(&self, digest: &Digest, offset_bytes: u64) -> io::Result<Box<dyn Read + Send + '_>> {
        if *digest == Digest::of(b"") {
            return Ok(Box::new(io::empty()));
        }
        match self.packs.find(digest)? {
            Some(span) => Ok(Box::new(span.from(offset_bytes))),
            None => match File::open(self.blob_path(digest)) {
                Ok(mut file) => {
                    if offset_bytes > 0 {
                        file.seek(SeekFrom::Start(offset_bytes))?;
                    }
                    Ok(Box::new(file))
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {
                    Err(io::Error::new(io::ErrorKind::NotFound, format!("no content {digest} in the store")))
                }
                Err(error) => Err(error),
            },
        }
    }
}

/// Contents up to this size are not worth a file.
const INLINE_BYTES: u64 = 16 * 1024;

impl Store {
    /// Keeps a content (of a user's file, or what a script made): small ones inline, others in the store.
    ///
    /// # Errors
    /// When the content cannot be read or the store cannot be written.
    pub fn keep(&self, content: &mut dyn Read) -> Result<Content, DiskError> {
        let temporary = self.folders.temporary();
        let mut head = Vec::new();
        content.take(INLINE_BYTES + 1).read_to_end(&mut head).map_err(at("read the content for", &temporary))?;
        if head.len() as u64 <= INLINE_BYTES {
            return Ok(Content::inline(head));
        }
        let (digest, size_bytes) = copy_hashed(&head, content, &temporary)?;
        let path = self.blob_path(&digest);
        let _guard = self.folders.looking_up()?;
        if path.is_file() {
            disk::mark_used(&path);
            disk::remove(&temporary)?;
        } else {
            disk::make_folder(path.parent().unwrap_or(&path))?;
            disk::rename(&temporary, &path)?;
        }
        Ok(Content::Blob { digest, size_bytes })
    }

    pub(crate) fn blob_path(&self, digest: &Digest) -> PathBuf {
        let name = digest.to_string();
        let (shelf, _) = name.split_at(2);
        self.folders.path("blobs", shelf).join(&name)
    }
}

fn copy_hashed(head: &[u8], rest: &mut dyn Read, path: &Path) -> Result<(Digest, u64), DiskError> {
    let mut file = disk::create(path)?;
    let mut hasher = blake3::Hasher::new();
    hasher.update(head);
    file.write_all(head).map_err(at("write", path))?;
    let mut size = head.len() as u64;
    let mut buffer = vec![0; 256 * 1024];
    loop {
        let count = match rest.read(&mut buffer) {
            Ok(0) => return Ok((hasher.finalize().into(), size)),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(at("read the content for", path)(error)),
        };
        let bytes = buffer.get(..count).unwrap_or_default();
        hasher.update(bytes);
        file.write_all(bytes).map_err(at("write", path))?;
        size += count as u64;
    }
}
