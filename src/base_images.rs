//! The base images of this host: those that ship with the program, and the user's own, which are the same kind of data.
//!
//! A base of the user's own that is broken concerns those alone who name it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use spec::base::BaseImage;
use spec::{BaseFile, BaseFolder, BasePlace, KeyFile, Label, Language, Source, Sources};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::places;
use crate::ui::Ui;

/// Every base image, and the texts of the user's own.
#[derive(Debug, Default)]
pub struct BaseImages {
    /// Every release of every base that can be used. One of the user's own stands in place of a shipped one of its name.
    pub all: Vec<BaseImage>,
    /// The user's own, by name.
    own: BTreeMap<String, OwnBase>,
    /// The folders of the user's own that cannot be used, by each name that stands for them.
    broken: BTreeMap<String, PathBuf>,
}

/// A base image of the user's own.
#[derive(Debug)]
struct OwnBase {
    source: Source,
    places: BTreeMap<BasePlace, Label>,
}

impl BaseImages {
    /// The base images of this host; what keeps the user's own from being looked at is told.
    pub fn of_host(ui: &Ui) -> Self {
        let mut images = Self { all: spec::builtin_bases(), ..Self::default() };
        let folders = own_folders(&places::base_images()).unwrap_or_else(|why| {
            ui.warn(format!("no base images of your own are read: {why}"));
            Vec::new()
        });
        folders.iter().for_each(|folder| images.add(folder));
        // What a text calls itself counts only where no folder has that name: a folder is what a user sees.
        for (name, folder) in folders.iter().filter_map(|folder| Some((name_inside(folder)?, folder))) {
            if images.broken.values().any(|broken| broken == folder) && !images.own.contains_key(&name) {
                images.broken.entry(name).or_insert_with(|| folder.clone());
            }
        }
        images.all.retain(|base| !images.broken.contains_key(&base.name));
        images
    }

    fn add(&mut self, folder: &Path) {
        let name = folder_name(folder);
        match read(folder) {
            Err(_) => _ = self.broken.insert(name, folder.to_owned()),
            Ok((source, file)) => {
                self.all.retain(|base| base.name != name);
                self.all.extend(file.images);
                self.own.insert(name, OwnBase { source, places: file.places });
            }
        }
    }

    /// What is wrong with the first of these bases that is the user's own and broken.
    pub fn broken<'a>(&self, names: impl IntoIterator<Item = &'a str>) -> Option<Failure> {
        let folder = names.into_iter().find_map(|name| self.broken.get(name))?;
        read(folder).err()
    }

    /// The names of all bases, those that cannot be used too.
    pub fn names(&self) -> BTreeSet<&str> {
        self.all.iter().map(|base| base.name.as_str()).chain(self.broken.keys().map(String::as_str)).collect()
    }

    /// Where a base of the user's own says something, and the text that this is in.
    pub fn place(&self, base: &str, place: &BasePlace) -> Option<(Label, &Source)> {
        let own = self.own.get(base)?;
        Some((own.places.get(place)?.clone(), &own.source))
    }
}

/// The folders that hold a `base.kdl`, sorted.
fn own_folders(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let entries = match fs::read_dir(folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound && !places::names_base_images() => return Ok(Vec::new()),
        other => other.and_then(Iterator::collect::<Result<Vec<_>, _>>),
    };
    let entries = entries.map_err(|error| match (error.kind(), places::names_base_images()) {
        (io::ErrorKind::NotFound, _) => format!("APPLIANCE_BASE_IMAGES names {}, which is not there", folder.display()),
        (_, true) => format!("APPLIANCE_BASE_IMAGES names {}: {error}", folder.display()),
        (_, false) => format!("{}: {error}", folder.display()),
    })?;
    let mut folders: Vec<PathBuf> =
        entries.into_iter().map(|entry| entry.path()).filter(|path| path.join("base.kdl").is_file()).collect();
    folders.sort();
    Ok(folders)
}

fn folder_name(folder: &Path) -> String {
    folder.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

/// The name that the text in a folder gives its base, where it can be read so far.
fn name_inside(folder: &Path) -> Option<String> {
    spec::name_of_base(&text(folder).ok()?)
}

fn text(folder: &Path) -> Result<Source, Failure> {
    let path = folder.join("base.kdl");
    let bytes = fs::read(&path).map_err(|error| cannot(&path, error))?;
    spec::read_text(Language::BaseImage, &path.display().to_string(), &bytes).map_err(|text| Failure::Spec {
        found: text.diagnostics,
        sources: text.sources,
        exit: Exit::Spec,
    })
}

fn read(folder: &Path) -> Result<(Source, BaseFile), Failure> {
    let source = text(folder)?;
    let keys = keys(folder).map_err(|error| cannot(&folder.join("keys"), error))?;
    let name = folder_name(folder);
    let around = BaseFolder { name: Some(&name), keys: &keys, is_key: &store::check_key };
    match spec::read_base(&source, around) {
        Ok(file) => Ok((source, file)),
        Err(found) => {
            let sources = Sources::in_language(Language::BaseImage, source);
            Err(Failure::Spec { found, sources, exit: Exit::Spec })
        }
    }
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
    failure.help("let yourself read it, or name another base")
}
