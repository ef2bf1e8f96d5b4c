//! Reads the host's apt configuration. What is missing or unreadable counts as nothing said.

use std::fs;
use std::path::Path;

use super::apt::{AptSource, parse_deb822, parse_one_line};
use crate::disk;

/// A source list larger than this is none.
const MAX_LIST_BYTES: u64 = 1 << 20;

/// The sources of the apt configuration in this folder (`/etc/apt`): `sources.list` and the files of
/// `sources.list.d` by name. Lists of mirrors (`mirror+file:`) are replaced by the mirrors in them.
pub fn host_sources(folder: &Path) -> Vec<AptSource> {
    let mut files = vec![folder.join("sources.list")];
    files.extend(disk::list(&folder.join("sources.list.d")).unwrap_or_default());
    files.iter().flat_map(|file| sources(file)).flat_map(mirrors_of).collect()
}

fn sources(file: &Path) -> Vec<AptSource> {
    let Some(text) = text(file) else { return Vec::new() };
    match file.extension().and_then(|extension| extension.to_str()) {
        Some("list") => parse_one_line(&text),
        Some("sources") => parse_deb822(&text),
        _ => Vec::new(),
    }
}

fn mirrors_of(source: AptSource) -> Vec<AptSource> {
    let list = source.uri.strip_prefix("mirror+file:").map(|path| format!("/{}", path.trim_start_matches('/')));
    let Some(list) = list else { return vec![source] };
    let text = text(Path::new(&list)).unwrap_or_default();
    let uris = text.lines().filter_map(|line| line.split('#').next()?.split_whitespace().next());
    uris.map(|uri| AptSource { uri: uri.to_owned(), suites: source.suites.clone() }).collect()
}

fn text(file: &Path) -> Option<String> {
    let small = fs::metadata(file).is_ok_and(|meta| meta.len() <= MAX_LIST_BYTES);
    small.then(|| fs::read_to_string(file).ok()).flatten()
}
