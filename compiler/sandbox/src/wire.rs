//! How the compiler and its helper talk: sections of length-prefixed chunks over a pipe.
//!
//! Both ends are this program in one version, started by the other, so the form may change at any time.
//! A tree travels as its dump, then the contents of its files in dump order.

use std::collections::BTreeMap;
use std::io::{self, Read, Write};

use tree::{Blobs, Content, Kind, Node, NodeId, Tree, TreePath};

/// Longest section that is held in memory: dumps, logs, lists.
const SECTION_LIMIT_BYTES: u64 = 256 << 20;

/// Writes one section.
pub(crate) fn send(out: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    out.write_all(&(bytes.len() as u64).to_le_bytes())?;
    out.write_all(bytes)
}

/// Reads one section.
pub(crate) fn receive(from: &mut impl Read) -> io::Result<Vec<u8>> {
    let mut length = [0; 8];
    from.read_exact(&mut length)?;
    let length = u64::from_le_bytes(length);
    if length > SECTION_LIMIT_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "a section is too long"));
    }
    let mut bytes = vec![0; length as usize];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Writes a list of texts as one section.
pub(crate) fn send_list<'a>(out: &mut impl Write, items: impl IntoIterator<Item = &'a [u8]>) -> io::Result<()> {
    let joined: Vec<u8> = items.into_iter().flat_map(|item| item.iter().copied().chain([0])).collect();
    send(out, &joined)
}

/// Reads a list of texts.
pub(crate) fn receive_list(from: &mut impl Read) -> io::Result<Vec<Vec<u8>>> {
    let joined = receive(from)?;
    Ok(joined.split_inclusive(|&byte| byte == 0).map(|item| item[..item.len() - 1].to_vec()).collect())
}

/// Writes a tree with all its contents.
pub(crate) fn send_tree(out: &mut impl Write, tree: &Tree, blobs: &dyn Blobs) -> io::Result<()> {
    send(out, tree::dump(tree).as_bytes())?;
    for (path, content) in contents(tree) {
        let copied = io::copy(&mut blobs.reader(content)?.take(content.size_bytes()), out)?;
        if copied != content.size_bytes() {
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, format!("the content of {path} ends early")));
        }
    }
    Ok(())
}

/// Reads a tree whose contents follow; the caller reads them, in the order of [`contents`].
pub(crate) fn receive_tree(from: &mut impl Read) -> io::Result<Tree> {
    let invalid = |error: Box<dyn std::error::Error + Send + Sync>| io::Error::new(io::ErrorKind::InvalidData, error);
    let text = String::from_utf8(receive(from)?).map_err(|error| invalid(error.into()))?;
    tree::parse_dump(&text).map_err(|error| invalid(error.into()))
}

/// The contents of a tree's files in canonical order, each once however many names it has.
pub(crate) fn contents(tree: &Tree) -> impl Iterator<Item = (&TreePath, &Content)> {
    first_names(tree).filter_map(|(path, node)| match &node.kind {
        Kind::File(content) => Some((path, content)),
        _ => None,
    })
}

/// The nodes of a tree in canonical order, each by its first name.
pub(crate) fn first_names(tree: &Tree) -> impl Iterator<Item = (&TreePath, &Node)> {
    let mut seen: BTreeMap<NodeId, ()> = BTreeMap::new();
    tree.iter().filter_map(move |(path, id, node)| seen.insert(id, ()).is_none().then_some((path, node)))
}

#[cfg(test)]
mod tests {
    use tree::NoBlobs;

    use super::*;

    #[test]
    fn a_tree_arrives_with_its_contents() {
        let path = |text| TreePath::new(text).unwrap();
        let mut tree = Tree::default();
        tree.insert(path("a"), Node::file(0o644, "one")).unwrap();
        tree.hard_link(&path("a"), path("b")).unwrap();
        tree.insert(path("c"), Node::file(0o600, "three")).unwrap();
        let mut pipe = Vec::new();
        send_tree(&mut pipe, &tree, &NoBlobs).unwrap();
        send_list(&mut pipe, [&b"x"[..], b"", b"y z"]).unwrap();
        let mut from = &pipe[..];
        let got = receive_tree(&mut from).unwrap();
        assert_eq!(tree::dump(&got), tree::dump(&tree));
        assert_eq!(contents(&got).count(), 2);
        assert_eq!(&from[..8], b"onethree");
        from = &from[8..];
        assert_eq!(receive_list(&mut from).unwrap(), [&b"x"[..], b"", b"y z"]);
    }
}
