//! What lies on the disk of a host: apt's source lists, and what the store keeps of a decoded package.

use store::mirrors::{parse_deb822, parse_one_line};
use tree::{Digest, dump, parse_dump};

/// Both forms of source lists.
pub fn apt_sources(data: &[u8]) -> bool {
    let text = String::from_utf8_lossy(data);
    parse_deb822(&text).iter().chain(&parse_one_line(&text)).any(|source| source.is_usable())
}

/// The `meta` file of a decoded package, as it is and with the checksum that it should have.
pub fn decoded(data: &[u8]) -> bool {
    drop(store::read_meta(data));
    let body = data.len().saturating_sub(32);
    let sum = Digest::of(&data[..body]);
    store::read_meta(&[&data[..body], &sum.0].concat()).is_ok()
}

/// A dump of a tree. What is read is written in a form that reads to the same.
pub fn tree_dump(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let tree = parse_dump(text);
    if let Ok(tree) = &tree {
        let written = dump(tree);
        let again = parse_dump(&written).unwrap_or_else(|error| panic!("{error}\n{written}"));
        assert_eq!(dump(&again), written);
    }
    tree.is_ok()
}
