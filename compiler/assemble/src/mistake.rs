//! What the spec says and what is in the image, held against each other: mistakes that nobody could know before the
//! packages were there, in the form of the spec's own diagnostics.

use std::collections::BTreeMap;

use spec::{Checked, Diagnostic, Severity, Written};
use tree::{InsertError, Kind, TreePath};

use crate::files::{Files, PathProblem};
use crate::inputs::Origin;

/// A mistake of the spec, or something that is worth a thought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mistake {
    /// What the spec says.
    pub at: Written,
    /// Stable name of the kind of problem, one of [`spec::CODES`].
    pub code: &'static str,
    /// What is wrong, in the user's words.
    pub message: String,
    /// What to say at the place.
    pub label: &'static str,
    /// What to do about it.
    pub help: String,
}

impl Mistake {
    /// The mistake at its place in the spec.
    pub fn diagnostic(&self, severity: Severity, checked: &Checked) -> Diagnostic {
        Diagnostic {
            code: self.code,
            severity,
            message: self.message.clone(),
            labels: checked.label(&self.at, self.label).into_iter().collect(),
            help: Some(self.help.clone()),
        }
    }
}

/// What somebody wants to put somewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Put {
    /// A file.
    File,
    /// A folder.
    Folder,
    /// A symbolic link.
    Link,
}

impl Put {
    /// What a node is.
    pub fn of(kind: &Kind) -> Self {
        match kind {
            Kind::Dir => Self::Folder,
            Kind::Symlink(_) => Self::Link,
            _ => Self::File,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::File => "a file",
            Self::Folder => "a folder",
            Self::Link => "a link",
        }
    }

    fn node(self) -> &'static str {
        if self == Self::Link { "link" } else { "file" }
    }
}

/// The mistake of putting something at a path, if it is one of the spec: there is something else, or no folder on the way.
pub(crate) fn misplaced(
    files: &Files<'_>,
    at: Written,
    path: &str,
    put: Put,
    problem: &PathProblem,
    origins: &BTreeMap<TreePath, Origin>,
) -> Option<Mistake> {
    let (message, label, help) = match problem {
        PathProblem::NotDir(file) | PathProblem::Insert(InsertError::ParentNotDir(file)) => {
            let place = files.resolve(path, true);
            let whose = whose(file, origins);
            if place.is_ok_and(|place| place == *file) {
                let message = format!("\"{path}\" is a file{whose}, and {} cannot take its place", put.words());
                (message, "a file", format!("name another path; a file is replaced with: file \"{path}\" …"))
            } else {
                let message = format!("\"{path}\" is inside of \"{file}\", which is a file{whose}");
                (message, "cannot be here", "name a path in a folder".to_owned())
            }
        }
        PathProblem::Insert(InsertError::DirInTheWay(folder)) => over_folder(path, folder, put, origins),
        PathProblem::Loop => {
            let message = format!("the links on the way to \"{path}\" lead in a circle");
            (message, "cannot be reached", "name a path without these links, or correct the `link` lines".to_owned())
        }
        _ => return None,
    };
    Some(Mistake { at, code: "bad-path", message, label, help })
}

/// That a file or link would take the place of a folder.
pub(crate) fn over_folder(
    path: &str,
    folder: &TreePath,
    put: Put,
    origins: &BTreeMap<TreePath, Origin>,
) -> (String, &'static str, String) {
    let shown = folder.display();
    let link = if shown == path { String::new() } else { format!("a link to \"{shown}\", ") };
    let message =
        format!("\"{path}\" is {link}a folder{}, and {} cannot take its place", whose(folder, origins), put.words());
    (message, "a folder", format!("name what is to be in it: {} \"{path}/NAME\" …", put.node()))
}

/// Who brought an entry, in words behind it.
pub(crate) fn whose(path: &TreePath, origins: &BTreeMap<TreePath, Origin>) -> String {
    match origins.get(path) {
        Some(Origin::Base(package) | Origin::Package(package)) => format!(" of the package {package}"),
        Some(Origin::Image) => " of the base image".to_owned(),
        Some(Origin::Appliance) => " of the spec".to_owned(),
        None => " of the base".to_owned(),
    }
}
