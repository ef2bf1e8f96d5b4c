//! Instances that have ended and whose end nobody may have seen: how, and what they printed, until somebody removes it.
//!
//! `NAME.ended` is an [`EndedInstance`], `NAME.log` holds pieces; both beside the folders of running instances.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use crate::control::EndedInstance;

/// The largest file that is read back: what is kept of an instance's output, with room to spare.
const MAX_BYTES: u64 = 8 << 20;

/// How the two files end: the log comes first, so that an end that is told has one.
const ENDINGS: [&str; 2] = ["log", "ended"];

/// Their name in the folder of the next instance of that name.
const EARLIER: &str = "earlier";

/// Writes both down.
pub fn keep(state_folder: &Path, ended: &EndedInstance, printed: &[u8]) -> io::Result<()> {
    write(&path(state_folder, &ended.name, "log"), printed)?;
    write(&path(state_folder, &ended.name, "ended"), &serde_json::to_vec(ended)?)
}

/// Everything that has ended, sorted by name; what cannot be read is left out.
pub fn list(state_folder: &Path) -> io::Result<Vec<EndedInstance>> {
    let entries = match fs::read_dir(state_folder) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other?,
    };
    let paths = entries.filter_map(|entry| Some(entry.ok()?.path()));
    let ended = paths.filter(|path| path.extension().is_some_and(|ending| ending == "ended"));
    let mut all: Vec<EndedInstance> =
        ended.filter_map(|path| serde_json::from_slice(&read(&path).ok()?).ok()).collect();
    all.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(all)
}

/// How the instance of this name ended, if that is kept.
pub fn of(state_folder: &Path, name: &str) -> io::Result<Option<EndedInstance>> {
    match read(&path(state_folder, name, "ended")) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        other => Ok(Some(serde_json::from_slice(&other?)?)),
    }
}

/// What it printed, as pieces.
pub fn printed(state_folder: &Path, name: &str) -> io::Result<Vec<u8>> {
    read(&path(state_folder, name, "log"))
}

/// Moves both into a folder; nothing there is fine.
pub fn set_aside(state_folder: &Path, name: &str, folder: &Path) -> io::Result<()> {
    ENDINGS
        .iter()
        .try_for_each(|ending| moved(&path(state_folder, name, ending), &folder.join(EARLIER).with_extension(ending)))
}

/// Moves both back. What cannot be moved goes with the folder, as it would have gone anyway.
pub fn put_back(state_folder: &Path, name: &str, folder: &Path) {
    for ending in ENDINGS {
        let _ = moved(&folder.join(EARLIER).with_extension(ending), &path(state_folder, name, ending));
    }
}

fn moved(from: &Path, to: &Path) -> io::Result<()> {
    match fs::rename(from, to) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes both; nothing there is fine.
pub fn forget(state_folder: &Path, name: &str) -> io::Result<()> {
    for ending in ENDINGS {
        match fs::remove_file(path(state_folder, name, ending)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

fn path(state_folder: &Path, name: &str, ending: &str) -> PathBuf {
    state_folder.join(format!("{name}.{ending}"))
}

/// Whoever reads meanwhile finds all of it or nothing.
fn write(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".new");
    let _ = fs::remove_file(&unfinished);
    let mut file = File::options().write(true).create_new(true).mode(0o600).open(&unfinished)?;
    file.write_all(bytes)?;
    fs::rename(&unfinished, path)
}

fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(MAX_BYTES).read_to_end(&mut bytes)?;
    Ok(bytes)
}
