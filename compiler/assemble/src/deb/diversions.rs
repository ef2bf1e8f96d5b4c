//! dpkg's diversions: `/var/lib/dpkg/diversions`, three lines each: path, where it goes, who diverted (`:` for the administrator).

use tree::TreePath;

use crate::files::{Files, PathProblem};

pub(crate) const PATH: &str = "/var/lib/dpkg/diversions";

/// One diversion.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Diversion {
    pub from: String,
    pub to: String,
    /// The package whose own file stays at `from`; `:` for none.
    pub package: String,
}

/// All diversions.
#[derive(Debug, Default)]
pub(crate) struct Diversions(pub Vec<Diversion>);

impl Diversions {
    pub fn load(files: &Files<'_>) -> Result<Self, PathProblem> {
        let text = files.read_text(PATH)?;
        let lines: Vec<&str> = text.lines().collect();
        let one = |lines: &[&str]| match lines {
            [from, to, package] => {
                Some(Diversion { from: (*from).to_owned(), to: (*to).to_owned(), package: (*package).to_owned() })
            }
            _ => None,
        };
        Ok(Self(lines.chunks(3).filter_map(one).collect()))
    }

    /// Writes the database, sorted by path.
    pub fn save(&mut self, files: &mut Files<'_>) -> Result<(), PathProblem> {
        self.0.sort();
        let text: String = self.0.iter().map(|one| format!("{}\n{}\n{}\n", one.from, one.to, one.package)).collect();
        files.write(PATH, 0o644, text)
    }

    /// The diversion of this path.
    pub fn of(&self, path: &str) -> Option<&Diversion> {
        self.0.iter().find(|one| one.from == path)
    }

    /// Where a file that `package` ships at `path` goes.
    pub fn place_of(&self, path: &TreePath, package: &str) -> TreePath {
        if self.0.is_empty() {
            return path.clone();
        }
        let diverted = self.of(&path.display()).filter(|one| one.package != package);
        diverted.and_then(|one| TreePath::new(&one.to).ok()).unwrap_or_else(|| path.clone())
    }
}
