//! Why a tree cannot be assembled. Each text reads after "failed to".

use std::io;

use tree::{InsertError, TreePath};

use crate::files::PathProblem;
use crate::mistake::Mistake;
use crate::runner::ScriptRunError;

/// A script that stands in the way of a root.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BlockedScript {
    /// Its package.
    pub package: String,
    /// The script (`postinst`).
    pub script: String,
    /// Why it is not emulated: what is not understood and where, or how its emulation fails.
    pub why: String,
}

/// Why a tree cannot be assembled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum AssembleError {
    /// A package's control data is missing or malformed.
    #[error("read the control data of package {package}: {what}")]
    BadControl {
        /// The package, or its place in the list when it has no name.
        package: String,
        /// What is wrong.
        what: String,
    },
    /// The base's package family has no assembler.
    #[error("assemble a root of {family} packages: only those of Debian and Alpine are assembled so far")]
    Family {
        /// The family.
        family: String,
    },
    /// Two packages ship the same file and neither says that it replaces the other.
    #[error("unpack {path} of package {package}: package {other} ships it too and nothing says which one wins")]
    FileConflict {
        /// The path.
        path: TreePath,
        /// The package that comes later.
        package: String,
        /// The package that has it already.
        other: String,
    },
    /// A package's entry cannot be placed.
    #[error("unpack {path} of package {package}")]
    Unpack {
        /// The path as the package has it.
        path: TreePath,
        /// The package.
        package: String,
        /// Why.
        #[source]
        source: PathProblem,
    },
    /// A package ships a device file, which no package may (Debian Policy 10.6).
    #[error(
        "unpack {path} of package {package}: it is a {kind} device, and packages must not bring device files; \
        use another version of the package or exclude it"
    )]
    Device {
        /// The path as the package has it.
        path: TreePath,
        /// The package.
        package: String,
        /// `block` or `character`.
        kind: &'static str,
    },
    /// Scripts that can neither be emulated nor run: all of the root, in the order in which they are met.
    #[error("{}", blocked(scripts))]
    Blocked {
        /// Each of them.
        scripts: Vec<BlockedScript>,
        /// Why none can be run here, where they may be run.
        #[source]
        source: Option<ScriptRunError>,
    },
    /// A script ended with an error.
    #[error("run {script} of package {package}: it ended with status {status}{}", log_tail(log))]
    ScriptFailed {
        /// The package.
        package: String,
        /// The script.
        script: String,
        /// Its exit status.
        status: i32,
        /// What it printed.
        log: String,
    },
    /// The sandbox could not run a script.
    #[error("run {script} of package {package}")]
    Sandbox {
        /// The package.
        package: String,
        /// The script.
        script: String,
        /// Why.
        #[source]
        source: ScriptRunError,
    },
    /// A change that a script made cannot be applied.
    #[error("take up what {script} of package {package} changed")]
    Change {
        /// The package.
        package: String,
        /// The script.
        script: String,
        /// Why.
        #[source]
        source: InsertError,
    },
    /// A content cannot be read.
    #[error("read the content of {path}")]
    Content {
        /// The file.
        path: TreePath,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A path of the tree cannot be used as the step needs it.
    #[error("{doing} {path}")]
    Path {
        /// What was tried, as a verb phrase (`write`, `make the folder`).
        doing: &'static str,
        /// The path as asked for.
        path: String,
        /// Why.
        #[source]
        source: PathProblem,
    },
    /// The spec says what the packages show to be wrong; at least one.
    #[error("put what the spec says into the image: {}", messages(.0))]
    Mistakes(Vec<Mistake>),
    /// The init that the spec asks for is not in the image.
    #[error(
        "start with {init}: there is no {path} in the image; a base with packages brings it, or `init \"builtin\"` needs none"
    )]
    NoInit {
        /// The init.
        init: &'static str,
        /// Where it should be.
        path: &'static str,
    },
    /// A `from=` of the spec was not given.
    #[error("put {path}: its source {from:?} was not read")]
    NoSource {
        /// Where it should go.
        path: String,
        /// The source.
        from: String,
    },
}

fn blocked(scripts: &[BlockedScript]) -> String {
    let line = |one: &BlockedScript| format!("{} of package {}: {}", one.script, one.package, one.why);
    match scripts {
        [one] => format!("emulate {}", line(one)),
        many => {
            let lines: String = many.iter().map(|one| format!("\n    {}", line(one))).collect();
            format!("emulate {} maintainer scripts:{lines}", many.len())
        }
    }
}

/// The last lines that a script printed, as an addition to a message.
pub(crate) fn log_tail(log: &str) -> String {
    let lines: Vec<&str> = log.lines().rev().take(5).collect();
    if lines.is_empty() {
        String::new()
    } else {
        format!("; it printed: {}", lines.into_iter().rev().collect::<Vec<_>>().join(" / "))
    }
}

fn messages(mistakes: &[Mistake]) -> String {
    mistakes.iter().map(|mistake| mistake.message.as_str()).collect::<Vec<_>>().join("; ")
}

impl AssembleError {
    /// Nothing where there are no mistakes, else all of them.
    pub(crate) fn of(mistakes: Vec<Mistake>) -> Result<(), Self> {
        if mistakes.is_empty() { Ok(()) } else { Err(Self::Mistakes(mistakes)) }
    }
}
