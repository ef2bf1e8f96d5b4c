//! Files and folders with errors that name them, and the one way in which things get their final name.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// What went wrong with a file or folder of the store.
#[derive(Debug, thiserror::Error)]
#[error("{action} {}", path.display())]
pub struct DiskError {
    /// What was tried.
    pub action: &'static str,
    /// With which file or folder.
    pub path: PathBuf,
    /// What the system said.
    #[source]
    pub source: io::Error,
}

/// Turns the system's error into one that names the path.
pub(crate) fn at<'a>(action: &'static str, path: &'a Path) -> impl FnOnce(io::Error) -> DiskError + use<'a> {
    move |source| DiskError { action, path: path.to_owned(), source }
}

/// Makes a folder and those above it.
pub(crate) fn make_folder(path: &Path) -> Result<(), DiskError> {
    fs::create_dir_all(path).map_err(at("create the folder", path))
}

/// Opens a file that need not exist.
pub(crate) fn open_existing(path: &Path) -> Result<Option<File>, DiskError> {
    match File::open(path) {
        Ok(file) => Ok(Some(file)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at("open", path)(error)),
    }
}

/// Creates a file for writing and reading, replacing what stood there.
pub(crate) fn create(path: &Path) -> Result<File, DiskError> {
    let options = File::options().read(true).write(true).create(true).truncate(true).open(path);
    options.map_err(at("create", path))
}

/// Writes a whole small file under a temporary name and gives it its own.
pub(crate) fn write_whole(temporary: &Path, path: &Path, bytes: &[u8]) -> Result<(), DiskError> {
    fs::write(temporary, bytes).map_err(at("write", temporary))?;
    rename(temporary, path)
}

/// Gives a complete file or folder its final name, in one step.
pub(crate) fn rename(from: &Path, to: &Path) -> Result<(), DiskError> {
    fs::rename(from, to).map_err(at("move into place", to))
}

/// Removes a file or folder, whole; one that is not there is fine.
pub(crate) fn remove(path: &Path) -> Result<(), DiskError> {
    let result = match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => fs::remove_dir_all(path),
        Ok(_) => fs::remove_file(path),
        Err(error) => Err(error),
    };
    match result {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at("remove", path)(error)),
        _ => Ok(()),
    }
}

/// Members of a folder, sorted by name; none when the folder is not there.
pub(crate) fn list(folder: &Path) -> Result<Vec<PathBuf>, DiskError> {
    let failed = |error| at("list", folder)(error);
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(error)),
    };
    let mut paths = entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>().map_err(failed)?;
    paths.sort();
    Ok(paths)
}

/// The name of a path as text; empty when it is not UTF-8, which no name of the store is.
pub(crate) fn name(path: &Path) -> &str {
    path.file_name().and_then(|name| name.to_str()).unwrap_or_default()
}

/// Bytes of a file, or of all files of a folder.
pub(crate) fn size_bytes(path: &Path) -> Result<u64, DiskError> {
    match fs::symlink_metadata(path) {
        Ok(meta) if meta.is_dir() => list(path)?.iter().map(|member| size_bytes(member)).sum(),
        Ok(meta) => Ok(meta.len()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(error) => Err(at("look at", path)(error)),
    }
}

/// How stale the mark of last use may be, so that a warm build writes nothing.
pub(crate) const USE_MARK_SLACK: Duration = Duration::from_secs(3600);

/// Marks a file or folder as used now, by its time of modification, where the mark is stale.
/// A store that belongs to someone else cannot be marked, which is no reason to stop.
pub(crate) fn mark_used(path: &Path) {
    let fresh = last_used(path).is_some_and(|time| time.elapsed().is_ok_and(|age| age < USE_MARK_SLACK));
    if !fresh && let Ok(file) = File::open(path) {
        let _ = file.set_modified(SystemTime::now());
    }
}

/// When a file or folder was last marked as used.
pub(crate) fn last_used(path: &Path) -> Option<SystemTime> {
    fs::symlink_metadata(path).and_then(|meta| meta.modified()).ok()
}

/// Holds an advisory lock until dropped; the system drops it when the process dies, however it dies.
#[derive(Debug)]
pub(crate) struct Lock {
    _file: File,
}

impl Lock {
    /// Waits until nobody else holds the lock.
    pub(crate) fn exclusive(path: &Path) -> Result<Self, DiskError> {
        let file = Self::file(path)?;
        file.lock().map_err(at("lock", path))?;
        Ok(Self { _file: file })
    }

    /// Waits until nobody holds the lock exclusively.
    pub(crate) fn shared(path: &Path) -> Result<Self, DiskError> {
        let file = Self::file(path)?;
        file.lock_shared().map_err(at("lock", path))?;
        Ok(Self { _file: file })
    }

    /// Takes the lock if nobody else holds it.
    pub(crate) fn try_exclusive(path: &Path) -> Result<Option<Self>, DiskError> {
        let file = Self::file(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) => Err(at("lock", path)(error)),
        }
    }

    fn file(path: &Path) -> Result<File, DiskError> {
        let open = File::options().read(true).write(true).create(true).truncate(false).open(path);
        open.map_err(at("open", path))
    }
}
