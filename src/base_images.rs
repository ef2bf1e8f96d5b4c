//! The base images of this host: those that ship with the program, and the user's own, which are the same kind of data.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use spec::base::BaseImage;
use spec::{KeyFile, Source};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::places;

/// Every release of every base image. A base of the user's own replaces a shipped one of the same name.
///
/// # Errors
/// When a base image of the user's own cannot be read or is wrong.
pub fn base_images() -> Result<Vec<BaseImage>, Failure> {
    let mut all = spec::builtin_bases();
    for folder in own_folders()? {
        let own = read(&folder)?;
        all.retain(|base| own.iter().all(|one| one.name != base.name));
        all.extend(own);
    }
    Ok(all)
}

/// The folders that hold a `base.kdl`, sorted.
fn own_folders() -> Result<Vec<PathBuf>, Failure> {
    let folder = places::base_images();
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.and_then(Iterator::collect::<Result<Vec<_>, _>>).map_err(|error| cannot(&folder, error))?,
    };
    let mut folders: Vec<PathBuf> =
        entries.into_iter().map(|entry| entry.path()).filter(|path| path.join("base.kdl").is_file()).collect();
    folders.sort();
    Ok(folders)
}

fn read(folder: &Path) -> Result<Vec<BaseImage>, Failure> {
    let path = folder.join("base.kdl");
    let text = fs::read_to_string(&path).map_err(|error| cannot(&path, error))?;
    let source = Source { name: path.display().to_string(), text };
    let keys = keys(folder).map_err(|error| cannot(&folder.join("keys"), error))?;
    spec::read_base(&source, &keys).map_err(|found| {
        let sources = spec::Sources::of(source);
        Failure::Spec { found, sources, exit: Exit::Spec }
    })
}

/// The files of `keys/`, by the names that `base.kdl` uses.
fn keys(folder: &Path) -> io::Result<Vec<KeyFile>> {
    let folder = folder.join("keys");
    let entries = match fs::read_dir(&folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut keys = Vec::new();
    for entry in entries {
        let entry = entry?;
        keys.push((format!("keys/{}", entry.file_name().to_string_lossy()), fs::read(entry.path())?));
    }
    keys.sort();
    Ok(keys)
}

fn cannot(path: &Path, error: io::Error) -> Failure {
    Failure::doing(Exit::Spec, format!("read the base image {}", path.display()), error)
}
