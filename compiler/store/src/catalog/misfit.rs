//! What an archive does not have that a base image or a spec reads from it, in a form that all package families share.

use super::{CatalogFetchError, releases};

/// Something that an archive does not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Name of the archive.
    pub archive: String,
    /// The suite that was asked for, or the branch.
    pub suite: String,
    /// The component, where it is that alone which is not there.
    pub component: Option<String>,
    /// What could stand in its place, as far as the archive says so.
    pub there: Vec<String>,
}

/// What an archive does not have, where that is what is wrong.
pub(super) fn misfit(error: &CatalogFetchError) -> Option<Misfit> {
    let of = |archive: &str, suite: &str, component: Option<&str>, there: &[String]| Misfit {
        archive: archive.to_owned(),
        suite: suite.to_owned(),
        component: component.map(str::to_owned),
        there: there.to_vec(),
    };
    match error {
        CatalogFetchError::Absent { archive, suite, component, .. } => {
            Some(of(archive, suite, component.as_deref(), &[]))
        }
        CatalogFetchError::NoIndex { archive, suite, component, there, .. } => {
            Some(of(archive, suite, Some(component), there))
        }
        CatalogFetchError::Release { archive, suite, source, .. } => {
            let (component, there) = releases::lack(source)?;
            Some(of(archive, suite, component, &there))
        }
        _ => None,
    }
}
