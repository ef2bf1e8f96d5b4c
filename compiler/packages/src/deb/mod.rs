//! Everything that is Debian's: control stanzas, versions, relations, indexes, signed releases, install order.

mod date;
mod index;
mod installed;
mod order;
mod relation;
mod release;
mod rules;
mod signed;
mod stanza;
mod version;

pub use date::parse_date;
pub use index::read_packages;
pub use installed::read_installed;
pub use order::{Needs, OrderError};
pub use relation::{Dependency, RelationError, parse_relations};
pub use release::{Compression, IndexCandidate, Listed, Release, ReleaseTextError, parse_release};
pub use rules::DebRules;
pub use signed::{Expectation, ReleaseError, check_key, verify_inrelease};
pub use stanza::{Stanza, StanzaError, Stanzas};
pub use version::{compare_versions, is_version};
