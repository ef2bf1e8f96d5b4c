//! A bundle folder in the making: artifacts are written into a hidden sibling and appear under the
//! final name only when all of them are complete. A killed build leaves nothing under that name, and
//! the next build sweeps what it left beside it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use formats::region::RegionSink;
use image::{BaseLayer, FileDigests, Outputs, Storage, WrittenLayer};
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, Flock, FlockArg, RenameFlags, renameat2};
use store::Store;

use crate::{interrupt, output_folder};

/// A bundle folder that is being filled. Dropping it without [`BundleFolder::publish`] removes it.
pub struct BundleFolder<'a> {
    target: PathBuf,
    making: PathBuf,
    store: &'a Store,
    /// Held while this build lives; a sibling whose lock is free belongs to a dead build.
    _alive: Flock<File>,
}

impl<'a> BundleFolder<'a> {
    /// Starts a folder that will appear as `target`; finished layers are taken from `store`.
    ///
    /// # Errors
    /// What the file system reports.
    pub fn start(target: &Path, store: &'a Store) -> io::Result<Self> {
        let parent = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        fs::create_dir_all(parent)?;
        let name = target.file_name().ok_or_else(|| io::Error::other("the output has no name"))?.to_string_lossy();
        sweep(parent, &name)?;
        let making = parent.join(format!(".{name}.making-{}", std::process::id()));
        let alive = interrupt::begin(&making, || create_locked(&making))?;
        Ok(Self { target: target.to_owned(), making, store, _alive: alive })
    }

    /// Lets the folder appear under its final name, in one step where something stands there already. What is not of a
    /// build in a bundle that is replaced stays; its paths are given.
    ///
    /// # Errors
    /// What the file system reports; also when something other than a bundle stands there.
    pub fn publish(self) -> io::Result<Vec<PathBuf>> {
        // A folder whose removal has begun must not get the final name.
        interrupt::finish(|| self.take_final_name())
    }

    fn take_final_name(&self) -> io::Result<Vec<PathBuf>> {
        let rename = |flags| renameat2(AT_FDCWD, &self.making, AT_FDCWD, &self.target, flags);
        match rename(RenameFlags::RENAME_NOREPLACE) {
            Err(Errno::EEXIST) => {}
            // A file system that cannot promise it; two builds at once into a new folder may then fail there.
            Err(Errno::EINVAL | Errno::ENOSYS) if !self.target.try_exists()? => {
                return fs::rename(&self.making, &self.target).map(|()| Vec::new());
            }
            done => return Ok(done.map(|()| Vec::new())?),
        }
        if !output_folder::is_replaceable(&self.target) {
            return Err(io::Error::other(format!(
                "{} exists and is not a bundle; remove it or choose another --output",
                self.target.display()
            )));
        }
        let kept = output_folder::hand_over(&self.target, &self.making)?;
        rename(RenameFlags::RENAME_EXCHANGE)?;
        Ok(kept)
    }

    fn create(&self, path: &str) -> io::Result<File> {
        File::create(self.place(path)?)
    }

    /// Where a file of the bundle is made, with the folders above it. The bundle's own folder is never made again:
    /// when it is gone, an interruption removed it.
    fn place(&self, path: &str) -> io::Result<PathBuf> {
        let place = self.making.join(path);
        let between: Vec<&Path> =
            place.ancestors().skip(1).take_while(|folder| *folder != self.making.as_path()).collect();
        for folder in between.iter().rev() {
            fs::create_dir(folder).or_else(|error| if folder.is_dir() { Ok(()) } else { Err(error) })?;
        }
        Ok(place)
    }
}

impl BundleFolder<'_> {
    /// Puts a layer into the bundle, from the one that is replaced or from the cache. Two may be the same layer.
    fn take(&self, path: &str, size_bytes: u64, cached: impl FnOnce() -> Option<PathBuf>) -> io::Result<()> {
        let to = self.place(path)?;
        if to.exists() {
            return Ok(());
        }
        let kept = self.target.join(path);
        // A layer that the replaced bundle has too is the same bytes by name: a second name costs nothing.
        if fs::metadata(&kept).is_ok_and(|found| found.len() == size_bytes) && fs::hard_link(&kept, &to).is_ok() {
            return Ok(());
        }
        let cached = cached().ok_or_else(|| io::Error::other("the cache lost a layer while it was used"))?;
        fs::copy(cached, &to).map(drop)
    }
}

impl Drop for BundleFolder<'_> {
    fn drop(&mut self) {
        // After an exchange this is the bundle that was replaced; after a failure the unfinished one.
        let _ = fs::remove_dir_all(&self.making);
        interrupt::end(&self.making);
    }
}

impl Outputs for BundleFolder<'_> {
    fn file(&self, path: &str, fill: &mut dyn FnMut(&mut (dyn Write + Send)) -> io::Result<()>) -> io::Result<()> {
        let mut file = BufWriter::new(self.create(path)?);
        fill(&mut file)?;
        file.flush()
    }

    fn sparse_file(
        &self,
        path: &str,
        size_bytes: u64,
        fill: &mut dyn FnMut(&mut dyn RegionSink) -> io::Result<()>,
    ) -> io::Result<FileDigests> {
        let file = self.create(path)?;
        file.set_len(size_bytes)?;
        image::write_disk(file, size_bytes, fill)
    }

    fn storage(&self, path: &str) -> io::Result<Box<dyn Storage + '_>> {
        let file = File::options().read(true).write(true).create_new(true).open(self.place(path)?)?;
        Ok(Box::new(file))
    }

    fn take_layer(&self, layer: &WrittenLayer, path: &str) -> io::Result<()> {
        self.take(path, layer.size_bytes, || self.store.cached(&layer.key))
    }

    fn take_base_layer(&self, layer: &BaseLayer, path: &str) -> io::Result<()> {
        self.take(path, layer.size_bytes, || layer.digest.parse().ok().and_then(|digest| self.store.image_blob(digest)))
    }
}

/// Makes a folder and locks it. One that a sweeper met before it was locked is made again.
fn create_locked(making: &Path) -> io::Result<Flock<File>> {
    loop {
        fs::create_dir(making)?;
        let Some(folder) = unless_gone(File::open(making))? else { continue };
        let alive = Flock::lock(folder, FlockArg::LockExclusive).map_err(|(_, error)| error)?;
        if fs::metadata(making).is_ok_and(|there| alive.metadata().is_ok_and(|ours| ours.ino() == there.ino())) {
            return Ok(alive);
        }
    }
}

/// Removes what killed builds of this name left behind. Other builds may start, end and sweep meanwhile.
fn sweep(parent: &Path, name: &str) -> io::Result<()> {
    let prefix = format!(".{name}.making-");
    for entry in fs::read_dir(parent)? {
        let path = entry?.path();
        let file_name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !file_name.starts_with(&prefix) {
            continue;
        }
        // A builder locks its folder right after it made it; one without a lock belongs to no one.
        let Some(folder) = unless_gone(File::open(&path))? else { continue };
        if Flock::lock(folder, FlockArg::LockExclusiveNonblock).is_ok() {
            unless_gone(fs::remove_dir_all(&path))?;
        }
    }
    Ok(())
}

fn unless_gone<T>(result: io::Result<T>) -> io::Result<Option<T>> {
    match result {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => other.map(Some),
    }
}
