//! From packages and a checked appliance to its file system: `Appliance` + unpacked packages → [`Assembled`].
//!
//! [`assemble()`] reads as the ordered steps. What belongs to one package family lives in its own folder
//! (`deb`, `apk`). Nothing here does input or output: contents are read through [`tree::Blobs`], and a maintainer
//! script that cannot be emulated goes to a [`ScriptRunner`] that the caller provides.

mod accounts;
mod apk;
mod assemble;
mod attempt;
mod base_files;
mod canonical;
pub mod deb;
mod elsewhere;
mod entries;
mod error;
mod family;
mod files;
mod inputs;
mod journaled;
pub mod kernel;
mod mistake;
mod runner;
mod settings;
pub mod systemd;
mod volumes;

pub use assemble::assemble;
pub use error::{AssembleError, BlockedScript};
pub use files::{Files, PathProblem, Root};
pub use inputs::{Assembled, Inputs, Origin, ScriptPolicy, Source};
pub use mistake::Mistake;
pub use runner::{Change, ScriptRequest, ScriptRun, ScriptRunError, ScriptRunner};
