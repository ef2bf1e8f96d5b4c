//! What an instance with a network may reach, as the spec says it, and the words for it.

use bundle::plan::{Network, NetworkMode};
use network::{BadEntry, Rules};
use serde::{Deserialize, Serialize};

/// What an instance with a network may reach.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reach {
    /// What is listed; every public address where nothing is.
    Listed(Vec<String>),
    /// Everything but the host itself.
    Full,
}

impl Reach {
    /// What the plan's network reaches; `None` without one.
    pub fn of(network: &Network) -> Option<Self> {
        match network.mode {
            NetworkMode::None => None,
            NetworkMode::Outbound => Some(Self::Listed(network.allow.clone())),
            NetworkMode::Full => Some(Self::Full),
        }
    }

    /// What decides about each destination.
    ///
    /// # Errors
    /// When an entry of the list is no destination.
    pub fn rules(&self) -> Result<Rules, BadEntry> {
        match self {
            Self::Listed(allow) => Rules::outbound(allow),
            Self::Full => Ok(Rules::full()),
        }
    }

    /// The item of the spec.
    pub fn item(&self) -> &'static str {
        match self {
            Self::Listed(_) => "network \"outbound\"",
            Self::Full => "network \"full\"",
        }
    }

    /// What holds it to that.
    pub fn how(&self) -> String {
        let reaches = match self {
            Self::Listed(allow) if allow.is_empty() => "public addresses".to_owned(),
            Self::Listed(allow) => allow.join(", "),
            Self::Full => "public and private addresses but the host's own, loopback and link-local ones".to_owned(),
        };
        format!("one wire, which ends in this instance's supervisor: that dials {reaches}, and nothing else")
    }
}
