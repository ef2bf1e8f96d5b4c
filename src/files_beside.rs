//! The files beside a spec as the language asks for them: how each stands on this host.

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::path::{Path, PathBuf};

use spec::{Beside, Head, Standing};

use crate::spec_file::Files;
use crate::user_files::Own;

/// The folder of a spec.
pub struct FilesBeside<'a> {
    /// The folder.
    pub folder: &'a Path,
    /// Whether links may lead out of it.
    pub allow_outside: bool,
    /// How much of it must be there.
    pub files: Files,
    /// What builds write there, which is never taken.
    pub own: Own,
}

impl Beside for FilesBeside<'_> {
    /// Links are followed: the folder may be reached by a link itself.
    fn standing(&self, path: &str) -> Standing {
        if self.files == Files::Later {
            return if self.is_outside(path) { Standing::Outside } else { Standing::There };
        }
        let place = self.folder.join(path);
        match place.canonicalize() {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Standing::Missing,
            Err(error) => unreadable(path, &error),
            Ok(_) if self.is_outside(path) => Standing::Outside,
            Ok(resolved) => self.found(path, &resolved),
        }
    }

    fn files_in(&self, folder: &str) -> Vec<String> {
        let mut found = Vec::new();
        if self.files != Files::Later {
            self.collect(&self.folder.join(folder), "", &mut found);
        }
        found
    }

    fn head(&self, path: &str) -> Option<Head> {
        let place = self.folder.join(path);
        if self.files == Files::Later || self.is_outside(path) {
            return None;
        }
        let meta = fs::metadata(&place).ok().filter(fs::Metadata::is_file)?;
        let mut bytes = Vec::new();
        File::open(place).ok()?.take(HEAD_BYTES).read_to_end(&mut bytes).ok()?;
        Some(Head { bytes, can_run: meta.permissions().mode() & 0o111 != 0 })
    }
}

/// The beginning of a file, as far as it shows what kind of program it is (System V gABI, "ELF Header").
const HEAD_BYTES: u64 = 20;

/// Whether links lead from a path below a folder to a place outside of it.
pub fn leads_outside(folder: &Path, path: &str) -> bool {
    let (file, folder) = (folder.join(path).canonicalize(), folder.canonicalize());
    file.is_ok_and(|file| folder.map_or(true, |folder| !file.starts_with(folder)))
}

impl FilesBeside<'_> {
    fn is_outside(&self, path: &str) -> bool {
        !self.allow_outside && leads_outside(self.folder, path)
    }

    fn found(&self, path: &str, resolved: &Path) -> Standing {
        match look_at(path, resolved) {
            Standing::Folder if self.files == Files::Whole => {
                self.problem_in(path, resolved).unwrap_or(Standing::Folder)
            }
            standing => standing,
        }
    }

    /// The first thing in a folder that cannot be taken.
    fn problem_in(&self, path: &str, resolved: &Path) -> Option<Standing> {
        self.entries(resolved).into_iter().find_map(|(name, place)| {
            let path = format!("{path}/{name}");
            // A link is taken as it is, wherever it leads.
            if place.is_symlink() {
                return None;
            }
            match look_at(&path, &place) {
                Standing::Folder => self.problem_in(&path, &place),
                Standing::File => None,
                problem => Some(problem),
            }
        })
    }

    fn collect(&self, folder: &Path, below: &str, found: &mut Vec<String>) {
        for (name, place) in self.entries(folder) {
            let path = format!("{below}{name}");
            match fs::symlink_metadata(&place) {
                Ok(meta) if meta.is_dir() => self.collect(&place, &format!("{path}/"), found),
                _ => found.push(path),
            }
        }
    }

    /// The entries of a folder, sorted, without what builds write.
    fn entries(&self, folder: &Path) -> Vec<(String, PathBuf)> {
        let entries = fs::read_dir(folder).into_iter().flatten().flatten();
        let named = entries.map(|entry| (entry.file_name().to_string_lossy().into_owned(), entry.path()));
        let mut named: Vec<_> = named.filter(|(_, place)| !self.own.holds(place)).collect();
        named.sort();
        named
    }
}

/// What stands at a place, and whether it can be taken. A pipe is not opened: that would wait for its other end.
fn look_at(path: &str, place: &Path) -> Standing {
    let meta = match fs::metadata(place) {
        Ok(meta) => meta,
        Err(error) => return unreadable(path, &error),
    };
    let special = |kind| Standing::Special { path: path.to_owned(), kind };
    match meta.file_type() {
        kind if kind.is_dir() => {
            fs::read_dir(place).map_or_else(|error| unreadable(path, &error), |_| Standing::Folder)
        }
        kind if kind.is_file() => File::open(place).map_or_else(|error| unreadable(path, &error), |_| Standing::File),
        kind if kind.is_fifo() => special("a named pipe"),
        kind if kind.is_socket() => special("a socket"),
        _ => special("a device"),
    }
}

fn unreadable(path: &str, error: &io::Error) -> Standing {
    // The number of the error tells a user nothing.
    let text = error.to_string();
    let reason = text.split(" (os error").next().unwrap_or(&text).to_owned();
    Standing::Unreadable { path: path.to_owned(), reason }
}
