//! What is said where no mirror gives something: of the answers of several mirrors the one that says most.

use super::{CatalogFetchError, Source};
use crate::FetchError;

/// Why there is nothing yet.
#[derive(Debug, Default)]
pub(super) struct Refusal(Option<CatalogFetchError>);

impl Refusal {
    /// A mirror could not be asked, or does not have it: all such mirrors are named together.
    pub(super) fn not_fetched(&mut self, error: FetchError) {
        match &mut self.0 {
            Some(CatalogFetchError::Fetch(first)) => first.tried.extend(error.tried),
            // What came and was refused says more.
            Some(_) => {}
            None => self.0 = Some(error.into()),
        }
    }

    /// What a mirror gave is not what it must be: the first such answer is told.
    pub(super) fn refused(&mut self, error: CatalogFetchError) {
        if matches!(self.0, None | Some(CatalogFetchError::Fetch(_))) {
            self.0 = Some(error);
        }
    }

    /// What was wrong so far, and is forgotten from now on.
    pub(super) fn take(&mut self) -> Option<CatalogFetchError> {
        self.0.take()
    }

    /// The error; where no mirror was asked, that none is known for `what`, which is of this source.
    pub(super) fn into_error(self, what: String, source: &Source, component: Option<&str>) -> CatalogFetchError {
        match self.0.unwrap_or_else(|| FetchError::no_mirror(what).into()) {
            CatalogFetchError::Fetch(error) if error.is_absence() => CatalogFetchError::Absent {
                archive: source.archive.clone(),
                suite: source.suite.clone(),
                component: component.map(str::to_owned),
                error: Box::new(error),
            },
            other => other,
        }
    }
}
