//! The canonical text dump of a tree: one line an entry, sorted, complete, and equal for equal trees.
//!
//! A line is `TYPE PATH MODE UID GID MTIME [DETAIL] [XATTR=VALUE]…`, or `h PATH = FIRST-NAME` for a hard link.
//! Bytes outside printable ASCII, and space, `%` and `=`, are written as `%XX`, so a line splits at spaces.
//! Contents appear by digest; a dump therefore restores a tree whose contents a store holds.

use std::collections::BTreeMap;
use std::fmt;

use crate::{Content, Digest, InsertError, Kind, Meta, Node, NodeId, Tree, TreePath};

/// Writes the dump of a tree.
pub fn dump(tree: &Tree) -> String {
    let mut out = String::with_capacity(tree.len() * 128);
    let mut first_names: BTreeMap<NodeId, &TreePath> = BTreeMap::new();
    for (path, id, node) in tree.iter() {
        match first_names.get(&id) {
            Some(first) => {
                out.push_str(&format!("h {} = {}\n", escape_path(path), escape_path(first)));
            }
            None => {
                first_names.insert(id, path);
                write_node(&mut out, path, node);
            }
        }
    }
    out
}

fn write_node(out: &mut String, path: &TreePath, node: &Node) {
    let meta = &node.meta;
    let (letter, detail) = match &node.kind {
        Kind::Dir => ('d', String::new()),
        Kind::File(content) => ('f', format!(" {} {}", content.size_bytes(), content.digest())),
        Kind::Symlink(target) => ('l', format!(" {}", escape(target))),
        Kind::CharDevice { major, minor } => ('c', format!(" {major}:{minor}")),
        Kind::BlockDevice { major, minor } => ('b', format!(" {major}:{minor}")),
        Kind::Fifo => ('p', String::new()),
        Kind::Socket => ('s', String::new()),
    };
    let Meta { mode, uid, gid, mtime_secs, xattrs } = meta;
    out.push_str(&format!("{letter} {} {mode:04o} {uid} {gid} {mtime_secs}{detail}", escape_path(path)));
    for (name, value) in xattrs {
        out.push_str(&format!(" {}={}", escape(name), escape(value)));
    }
    out.push('\n');
}

/// Why a dump cannot be read: the line, from 1, and what is wrong with it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DumpError {
    /// Line number, from 1.
    pub line: usize,
    /// What is wrong with it.
    pub what: String,
}

impl fmt::Display for DumpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} of the tree dump: {}", self.line, self.what)
    }
}

impl std::error::Error for DumpError {}

/// Reads a dump back into a tree; contents become [`Content::Blob`].
///
/// # Errors
/// When a line is malformed, out of order, or places an entry where none can be.
pub fn parse_dump(text: &str) -> Result<Tree, DumpError> {
    let mut tree = Tree::default();
    for (index, line) in text.lines().enumerate() {
        parse_line(&mut tree, line).map_err(|what| DumpError { line: index + 1, what })?;
    }
    Ok(tree)
}

fn parse_line(tree: &mut Tree, line: &str) -> Result<(), String> {
    let mut words = line.split(' ');
    let mut word = || words.next().ok_or_else(|| "the line ends early".to_owned());
    let letter = word()?;
    let path = parse_path(word()?)?;
    if letter == "h" {
        if word()? != "=" {
            return Err("`=` expected between the names of a hard link".to_owned());
        }
        let first = parse_path(word()?)?;
        return tree.hard_link(&first, path).map_err(|error: InsertError| error.to_string());
    }
    let mode = u16::from_str_radix(word()?, 8).map_err(|_| "bad mode")?;
    let uid = number(word()?)?;
    let gid = number(word()?)?;
    let mtime_secs = number(word()?)?;
    let kind = match letter {
        "d" => Kind::Dir,
        "f" => {
            let size_bytes = number(word()?)?;
            let digest: Digest = word()?.parse().map_err(|_| "bad digest")?;
            Kind::File(Content::Blob { digest, size_bytes })
        }
        "l" => Kind::Symlink(unescape(word()?)?.into()),
        "c" | "b" => {
            let (major, minor) = word()?.split_once(':').ok_or("bad device number")?;
            let (major, minor) = (number(major)?, number(minor)?);
            if letter == "c" { Kind::CharDevice { major, minor } } else { Kind::BlockDevice { major, minor } }
        }
        "p" => Kind::Fifo,
        "s" => Kind::Socket,
        other => return Err(format!("unknown entry type `{other}`")),
    };
    let mut xattrs = BTreeMap::new();
    for pair in words {
        let (name, value) = pair.split_once('=').ok_or("bad extended attribute")?;
        xattrs.insert(unescape(name)?, unescape(value)?);
    }
    let node = Node { kind, meta: Meta { mode, uid, gid, mtime_secs, xattrs } };
    if path.is_root() && !node.is_dir() {
        return Err("the root is not a folder".to_owned());
    }
    tree.insert(path, node).map_err(|error| error.to_string())
}

fn number<T: std::str::FromStr>(word: &str) -> Result<T, String> {
    word.parse().map_err(|_| format!("`{word}` is not a number in range"))
}

fn escape_path(path: &TreePath) -> String {
    format!("/{}", escape(path.as_bytes()))
}

fn parse_path(word: &str) -> Result<TreePath, String> {
    TreePath::new(unescape(word)?).map_err(|error| error.to_string())
}

fn escape(bytes: &[u8]) -> String {
    let mut out = String::with_capacity(bytes.len());
    for &byte in bytes {
        match byte {
            b'!'..=b'~' if byte != b'%' && byte != b'=' => out.push(byte as char),
            _ => out.push_str(&format!("%{byte:02X}")),
        }
    }
    out
}

fn unescape(word: &str) -> Result<Vec<u8>, String> {
    let bytes = word.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        if bytes[at] == b'%' {
            let hex = word.get(at + 1..at + 3).ok_or("an escape ends early")?;
            out.push(u8::from_str_radix(hex, 16).map_err(|_| "bad escape")?);
            at += 3;
        } else {
            out.push(bytes[at]);
            at += 1;
        }
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Tree {
        let path = |text: &[u8]| TreePath::new(text).unwrap();
        let mut tree = Tree::default();
        tree.insert(path(b"dir"), Node::dir(0o1777)).unwrap();
        tree.insert(path(b"dir/a b%=\xff"), Node::file(0o4755, "hello")).unwrap();
        tree.get_mut(&path(b"dir/a b%=\xff")).unwrap().meta.xattrs.insert(b"user.x".to_vec(), vec![0, 1]);
        tree.hard_link(&path(b"dir/a b%=\xff"), path(b"dir/z")).unwrap();
        tree.insert(path(b"link"), Node::symlink("dir/z")).unwrap();
        tree.insert(path(b"tty"), Node { kind: Kind::CharDevice { major: 5, minor: 70000 }, meta: Meta::root(0o666) })
            .unwrap();
        tree
    }

    #[test]
    fn a_dump_reads_back_to_the_same_dump() {
        let text = dump(&sample());
        assert_eq!(dump(&parse_dump(&text).unwrap()), text);
        assert!(text.contains("h /dir/z = /dir/a%20b%25%3D%FF\n"), "{text}");
    }

    #[test]
    fn a_bad_line_is_named() {
        let error = parse_dump("d / 0755 0 0 0\nf /a 0644 0 0 0 5 zz\n").unwrap_err();
        assert_eq!(error, DumpError { line: 2, what: "bad digest".to_owned() });
        assert_eq!(parse_dump("l / 0777 0 0 0 x").unwrap_err().line, 1);
        assert_eq!(parse_dump("d /x/y 0777 0 0 0").unwrap_err().line, 1);
    }
}
