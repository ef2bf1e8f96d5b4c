//! The base images of this host: those that ship with the program, and the user's own, which are the same kind of data.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use spec::KeyFile;
use spec::base::BaseImage;

use crate::exit::Exit;
use crate::failure::Failure;
use crate::places;

/// Every release of every base image. A base of the user's own replaces a shipped one of the same name.
///
/// # Errors
/// When a base image of the user's own cannot be read or is wrong.
pub fn base_images() -> Result<Vec<BaseImage>, Failure> {
    let mut all = spec::builtin_bases();
    let mut named: BTreeMap<String, PathBuf> = BTreeMap::new();
    for folder in own_folders()? {
        let own = read(&folder)?;
        let name = own.first().map(|base| base.name.clone()).unwrap_or_default();
        if let Some(other) = named.insert(name.clone(), folder.clone()) {
            let what = format!("read the base images: {} and {} both hold `{name}`", other.display(), folder.display());
            return Err(Failure::new(Exit::Spec, what).help("give one of them another name, or move it away"));
        }
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
    let bytes = fs::read(&path).map_err(|error| cannot(&path, error))?;
    let source = spec::read_text(&path.display().to_string(), &bytes).map_err(|text| Failure::Spec {
        found: text.diagnostics,
        sources: text.sources,
        exit: Exit::Spec,
    })?;
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
    let failure = Failure::doing(Exit::Spec, format!("read the base image {}", path.display()), error);
    failure.help("let yourself read it, or move it away from the folder of base images")
}
