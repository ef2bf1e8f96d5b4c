//! Why nobody who is trusted vouches for a repository, in a form that all package families share; and what a file holds
//! that should hold a key.

/// What keeps a signed repository from being trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Distrust {
    /// Nobody signed it.
    Unsigned,
    /// It is signed, and the key is not at hand.
    UnknownKey {
        /// The key that would be needed, in words that read after "put".
        wanted: String,
    },
    /// The key is at hand under another name than signatures call it, and a key counts under its name only.
    OtherName {
        /// The name of its file.
        file: String,
        /// The name that it must have.
        name: String,
    },
    /// It is not by the key of this name that is at hand; or it was changed afterwards.
    NotByKey {
        /// The key.
        key: String,
    },
    /// The key or its signature counts no more.
    Outdated,
    /// The key or its signature does not prove enough.
    Weak,
    /// A file that should hold a key holds none.
    NoKey {
        /// The file.
        file: String,
    },
}

/// What a file holds that should hold a key.
pub(super) fn what_it_holds(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes.get(..4096).unwrap_or(bytes));
    let text = text.trim_start();
    let label = text.lines().find_map(|line| line.strip_prefix("-----BEGIN ")?.split("-----").next());
    let is_page = ["<!doctype", "<html", "<?xml"].iter().any(|head| text.to_ascii_lowercase().starts_with(head));
    match label {
        _ if text.is_empty() => "it is empty".to_owned(),
        _ if is_page => "it is a web page".to_owned(),
        Some(label) if label.contains("PRIVATE KEY") => format!("it is a private key ({})", shown(label)),
        Some(label) => format!("it holds `{}`", shown(label)),
        None if text.contains('\u{fffd}') => "it is no text".to_owned(),
        None => format!("it starts with `{}`", shown(text.lines().next().unwrap_or_default())),
    }
}

fn shown(text: &str) -> String {
    text.chars().take(40).flat_map(char::escape_debug).collect()
}
