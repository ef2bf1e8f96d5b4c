//! Instances by name, from live facts alone: who holds the lock of a journal lives, and his socket answers.

use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use crate::connection::{Connection, ConnectionError};
use crate::control::{Ask, EndedInstance, Info};
use crate::ended;
use crate::journal;
use crate::reconcile::reconcile;

/// What a name must be, in words.
pub const NAME_RULE: &str = "letters, digits, - and _, at most 64 of them, and a letter or digit first";

/// A name may not be that of a file of the folder itself.
const NOT_NAMES: [&str; 3] = ["lock", "user-namespaces", crate::facts::HARDWARE_HELP];

/// How long a supervisor that no longer listens may take to undo what is left.
const ENDING: Duration = Duration::from_secs(30);

/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(10);

/// An instance that lives.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its name.
    pub name: String,
    /// What it is an instance of.
    pub appliance: String,
    /// Its folder.
    pub folder: PathBuf,
}

/// Whether an instance may have this name.
pub fn is_name(text: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
    first && text.len() <= 64 && text.bytes().all(fits) && !NOT_NAMES.contains(&text)
}

/// All instances that live, sorted by name.
pub fn list(state_folder: &Path) -> io::Result<Vec<Found>> {
    let found = |name: String| {
        let appliance = journal::appliance_of(state_folder, &name).unwrap_or_else(|| name.clone());
        Found { folder: state_folder.join(&name), appliance, name }
    };
    Ok(journal::live(state_folder)?.into_iter().map(found).collect())
}

/// The instances that a word means: the one of this name, else all of the appliance of this name.
pub fn find(all: &[Found], word: &str) -> Vec<Found> {
    let named: Vec<Found> = all.iter().filter(|found| found.name == word).cloned().collect();
    if named.is_empty() { all.iter().filter(|found| found.appliance == word).cloned().collect() } else { named }
}

/// A name for an instance of this appliance that none that lives has: its own, or its own with a number.
pub fn free_name(all: &[Found], appliance: &str) -> String {
    let numbered = (2_u32..).map(|number| format!("{appliance}-{number}"));
    let mut names = std::iter::once(appliance.to_owned()).filter(|name| is_name(name)).chain(numbered);
    names.find(|name| all.iter().all(|found| found.name != *name)).unwrap_or_default()
}

impl Found {
    /// Connects to its supervisor.
    pub fn connect(&self) -> Result<Connection, ConnectionError> {
        Connection::open(&self.folder)
    }

    /// Waits until its supervisor is gone, and reads how it ended; none where nobody was to read that.
    ///
    /// # Errors
    /// [`ConnectionError::Silent`] when the supervisor lives on.
    pub fn ended(&self) -> Result<Option<EndedInstance>, ConnectionError> {
        let state_folder = self.folder.parent().unwrap_or(Path::new("/"));
        let begun = Instant::now();
        while begun.elapsed() <= ENDING {
            if !journal::lives(&self.folder)? {
                // One that was killed is told of by its journal, once nobody else looks at that.
                reconcile(state_folder);
                let ended = ended::of(state_folder, &self.name)?;
                if ended.is_some() || !self.folder.exists() {
                    return Ok(ended);
                }
            }
            std::thread::sleep(PAUSE);
        }
        Err(ConnectionError::Silent)
    }

    /// What its supervisor tells.
    pub fn info(&self) -> Result<Info, ConnectionError> {
        self.connect()?.ask(&Ask::Info)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_short_and_plain() {
        for good in ["a", "web-2", "My_box", "7"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "-a", "a.b", "a/b", "..", "lock", "user-namespaces", "hardware-help", "ä", &"x".repeat(65)] {
            assert!(!is_name(bad), "{bad}");
        }
    }

    #[test]
    fn a_word_is_a_name_before_it_is_an_appliance() {
        let found = |name: &str, appliance: &str| Found {
            name: name.to_owned(),
            appliance: appliance.to_owned(),
            folder: PathBuf::new(),
        };
        let all = [found("web", "other"), found("x", "web"), found("y", "box"), found("z", "box")];
        let names = |word: &str| find(&all, word).into_iter().map(|found| found.name).collect::<Vec<_>>();
        assert_eq!(
            (names("web"), names("box"), names("no")),
            (vec!["web".to_owned()], vec!["y".into(), "z".into()], vec![])
        );
        assert_eq!((free_name(&all, "web"), free_name(&all, "new")), ("web-2".to_owned(), "new".to_owned()));
    }
}
