//! Where assembling asks which package family it is: the packages of a root go to the folder of their family.

use std::collections::BTreeMap;

use packages::{AllocatedId, LedgerLine, Unpacked};
use spec::Appliance;
use spec::appliance::Arch;
use spec::base::{BaseImage, Family};
use tree::TreePath;

use crate::error::AssembleError;
use crate::files::Files;
use crate::inputs::{Origin, ScriptPolicy, Source};
use crate::runner::ScriptRunner;
use crate::{apk, deb};

/// What to install.
pub(crate) struct Order<'a> {
    pub appliance: &'a Appliance,
    pub arch: Arch,
    pub base: &'a BaseImage,
    pub packages: Vec<Unpacked>,
    pub ids: &'a [AllocatedId],
    /// What the spec names beside itself.
    pub sources: &'a BTreeMap<String, Source>,
    pub scripts: ScriptPolicy,
}

/// What was decided while installing.
#[derive(Debug, Default)]
pub(crate) struct Installed {
    pub ledger: Vec<LedgerLine>,
    pub ids: Vec<AllocatedId>,
}

/// What a family's tools leave behind that differs from build to build and means nothing to anyone.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Debris {
    /// Files: backups, locks and logs.
    pub dropped: &'static [&'static str],
    /// Folders whose files are caches, lists or logs; the folders themselves stay.
    pub emptied: &'static [&'static str],
    /// How the names of half-written files end.
    pub endings: &'static [&'static str],
}

/// That of every family: an image may have been one family's before it became another's.
pub(crate) const DEBRIS: [Debris; 2] = [deb::DEBRIS, apk::DEBRIS];

/// Installs packages into an empty tree, as their family does it.
pub(crate) fn install(
    files: &mut Files<'_>,
    order: Order<'_>,
    runner: Option<&mut dyn ScriptRunner>,
    origins: &mut BTreeMap<TreePath, Origin>,
) -> Result<Installed, AssembleError> {
    match order.base.family {
        Family::Deb => deb::install(files, order, runner, origins),
        Family::Apk => apk::install(files, order, runner, origins),
        Family::Rpm => Err(AssembleError::Family { family: "RPM".to_owned() }),
    }
}
