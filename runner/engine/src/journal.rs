//! The journal of an instance: what is about to be made, written before it is made, so that anybody can undo it.
//!
//! One folder for each instance, `journal` in it with one JSON value a line. Its file lock is held as long as
//! the supervisor lives.

use std::fs::{DirBuilder, File};
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::control::{About, OpenPort};
use crate::steps::Step;

/// One line of a journal.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Line {
    /// What it is an instance of; the first line.
    Appliance(String),
    /// The same with all that is known of it.
    About(About),
    /// Ports of the host that it listens on.
    Ports(Vec<OpenPort>),
    /// This step is about to be taken.
    Step(Step),
    /// The container's first process.
    Init {
        /// Its number.
        pid: i32,
        /// When it started, in clock ticks since the machine's start.
        start_time: u64,
    },
}

/// A journal that is being written.
#[derive(Debug)]
pub struct Journal {
    folder: PathBuf,
    file: File,
}

/// The largest journal that is read back.
const MAX_BYTES: u64 = 4 << 20;

impl Journal {
    /// Makes the instance's folder and its journal, locked.
    ///
    /// # Errors
    /// `AlreadyExists` when an instance has this name.
    pub fn create(state_folder: &Path, instance: &str, about: &About) -> io::Result<Self> {
        let _guard = guard(state_folder)?;
        let folder = state_folder.join(instance);
        DirBuilder::new().mode(0o700).create(&folder)?;
        let file = File::create_new(folder.join("journal"))?;
        host::lock_exclusive(&file)?;
        let mut journal = Self { folder, file };
        journal.append(&Line::Appliance(about.appliance.clone()))?;
        journal.append(&Line::About(about.clone()))?;
        Ok(journal)
    }

    /// The instance's folder.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Adds a line.
    pub fn append(&mut self, line: &Line) -> io::Result<()> {
        let mut text = serde_json::to_vec(line)?;
        text.push(b'\n');
        self.file.write_all(&text)
    }

    /// Removes the instance's folder: nothing is left to undo.
    pub fn close(self) -> io::Result<()> {
        remove_folder(&self.folder)
    }
}

/// Whether the supervisor of the instance with this folder lives. Nothing is made or changed.
pub fn lives(folder: &Path) -> io::Result<bool> {
    // Without a journal nothing was made yet, or all is undone.
    let Ok(journal) = File::open(folder.join("journal")) else { return Ok(false) };
    host::try_lock_exclusive(&journal).map(|is_free| !is_free)
}

/// Journals whose supervisor is gone, each locked by the caller until it drops them.
pub fn orphans(state_folder: &Path) -> io::Result<Vec<Orphan>> {
    let entries = match std::fs::read_dir(state_folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let folders: Vec<PathBuf> =
        entries.filter_map(|entry| Some(entry.ok()?.path())).filter(|path| path.is_dir()).collect();
    if folders.is_empty() {
        return Ok(Vec::new());
    }
    let _guard = guard(state_folder)?;
    folders.into_iter().filter_map(|folder| Orphan::take(folder).transpose()).collect()
}

/// The names of the instances whose supervisors live, sorted. Nothing is made or changed.
pub fn live(state_folder: &Path) -> io::Result<Vec<String>> {
    let entries = match std::fs::read_dir(state_folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) && lives(&entry.path())? {
            names.extend(entry.file_name().into_string());
        }
    }
    names.sort();
    Ok(names)
}

/// The instance that lives and listens at this port of the host.
pub fn holder_of_port(state_folder: &Path, port: u16) -> Option<String> {
    let is_there = |line: &Line| matches!(line, Line::Ports(all) if all.iter().any(|one| one.address.port() == port));
    let lines = |name: &String| File::open(state_folder.join(name).join("journal")).and_then(|file| read_lines(&file));
    let mut names = live(state_folder).ok()?.into_iter();
    names.find(|name| lines(name).unwrap_or_default().iter().any(is_there))
}

/// The steps that an instance has taken so far, by its journal; a torn last line is left out.
pub fn steps(folder: &Path) -> Vec<Step> {
    let lines = File::open(folder.join("journal")).and_then(|file| read_lines(&file)).unwrap_or_default();
    lines.into_iter().filter_map(|line| if let Line::Step(step) = line { Some(step) } else { None }).collect()
}

fn read_lines(file: &File) -> io::Result<Vec<Line>> {
    let mut text = String::new();
    io::Read::read_to_string(&mut io::Read::take(file, MAX_BYTES), &mut text)?;
    Ok(text.lines().map_while(|line| serde_json::from_str(line).ok()).collect())
}

/// The appliance of an instance; none when its journal does not say.
pub fn appliance_of(state_folder: &Path, instance: &str) -> Option<String> {
    let file = File::open(state_folder.join(instance).join("journal")).ok()?;
    let mut first = String::new();
    io::BufRead::read_line(&mut io::BufReader::new(io::Read::take(file, MAX_BYTES)), &mut first).ok()?;
    match serde_json::from_str(&first) {
        Ok(Line::Appliance(name)) => Some(name),
        _ => None,
    }
}

/// The journal of an instance whose supervisor is gone.
#[derive(Debug)]
pub struct Orphan {
    /// The instance's folder.
    pub folder: PathBuf,
    /// What it wrote, in order; a torn last line is left out.
    pub lines: Vec<Line>,
    /// Held, so that two commands do not undo the same.
    _lock: Option<File>,
}

impl Orphan {
    fn take(folder: PathBuf) -> io::Result<Option<Self>> {
        let file = match File::open(folder.join("journal")) {
            // Killed between folder and journal: nothing was made yet.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(folder.exists().then_some(Self { folder, lines: Vec::new(), _lock: None }));
            }
            other => other?,
        };
        if !host::try_lock_exclusive(&file)? {
            return Ok(None);
        }
        let lines = read_lines(&file)?;
        Ok(Some(Self { folder, lines, _lock: Some(file) }))
    }

    /// Removes the folder: nothing is left to undo.
    pub fn close(self) -> io::Result<()> {
        remove_folder(&self.folder)
    }
}

/// By halves it would look like one whose supervisor was killed before it wrote anything.
fn remove_folder(folder: &Path) -> io::Result<()> {
    let _guard = folder.parent().map(guard).transpose()?;
    match std::fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Keeps the making of a journal and the search for orphans apart: a journal not yet locked is no orphan.
pub fn guard(state_folder: &Path) -> io::Result<File> {
    DirBuilder::new().recursive(true).mode(0o700).create(state_folder)?;
    let file = File::options().create(true).append(true).open(state_folder.join("lock"))?;
    host::lock_exclusive(&file)?;
    Ok(file)
}
