//! The exit codes, all in one place. `docs/exit-codes.md` is this table in words.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// It did what was asked.
    Success,
    /// Something failed that has no code of its own.
    Failure,
    /// The command line is wrong (as clap has it).
    Usage,
    /// The spec has errors.
    Spec,
    /// The packages asked for cannot be had together.
    Unsatisfiable,
    /// The network, a mirror or a signature failed.
    Fetch,
    /// Assembling or writing failed.
    Build,
    /// The lock is stale or missing and `--locked` or `--offline` forbids to change it.
    Stale,
    /// The appliance could not be started; what was run never ran.
    CannotRun,
    /// The appliance's own status.
    Appliance(u8),
    /// Stopped by a signal (128 + its number).
    Signal(u8),
}

impl Exit {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Spec => 3,
            Self::Unsatisfiable => 4,
            Self::Fetch => 5,
            Self::Build => 6,
            Self::Stale => 7,
            Self::CannotRun => 125,
            Self::Appliance(status) => status,
            Self::Signal(number) => 128 + number,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        exit.code().into()
    }
}
