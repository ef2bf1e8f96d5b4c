//! What an instance says of its files, as it may stand on a terminal.

/// A name without what a terminal would obey.
pub fn shown(name: &str) -> String {
    name.chars().map(|c| if c.is_control() { c.escape_default().to_string() } else { c.to_string() }).collect()
}

/// A path inside: one without a slash before it begins at the root.
pub fn absolute(path: &str) -> String {
    if path.starts_with('/') { path.to_owned() } else { format!("/{path}") }
}
