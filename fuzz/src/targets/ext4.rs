//! The ext4 writer, given any small tree: names, contents, attributes, ACLs and sizes come from the input.

use formats::ext4::{Options, Size, plan, write};
use formats::region::RegionSink;
use tree::{Kind, NoBlobs, Node, Tree, TreePath};

use super::pieces::Pieces;

/// Plans and writes: what is planned is written, in ascending regions that end within the image.
pub fn ext4(data: &[u8]) -> bool {
    let mut pieces = Pieces(data);
    let options = options(&mut pieces);
    let tree = tree_of(&mut pieces);
    let Ok(layout) = plan(&tree, &options) else { return false };
    let mut sink = Ascending { end: 0, size: layout.size_bytes() };
    write(&layout, &tree, &NoBlobs, &mut sink).expect("what was planned is written");
    tree.len() > 1
}

struct Ascending {
    end: u64,
    size: u64,
}

impl RegionSink for Ascending {
    fn data(&mut self, offset_bytes: u64, bytes: &[u8]) -> std::io::Result<()> {
        assert!(offset_bytes >= self.end && !bytes.is_empty(), "regions ascend");
        self.end = offset_bytes + bytes.len() as u64;
        assert!(self.end <= self.size, "a region lies beyond the end");
        Ok(())
    }
}

fn options(pieces: &mut Pieces<'_>) -> Options {
    let flags = pieces.byte();
    let mut options = Options::read_only([7; 16], [9; 16], u64::from(pieces.number()));
    options.journal = flags & 1 != 0;
    options.bytes_per_inode = pieces.number();
    if flags & 2 != 0 {
        options.size = Size::Fixed(u64::from(pieces.number()) % (64 << 20));
    } else {
        let free_bytes = u64::from(pieces.number()) % (64 << 20);
        options.size = Size::Minimal { free_bytes, free_percent: pieces.byte() };
    }
    options.label = String::from_utf8_lossy(pieces.chunk(usize::from(flags >> 4))).into_owned();
    options
}

fn tree_of(pieces: &mut Pieces<'_>) -> Tree {
    let mut tree = Tree::default();
    let mut folders = vec![TreePath::root()];
    let mut names = Vec::new();
    while !pieces.is_empty() && tree.len() < 3000 {
        let choice = pieces.byte();
        let folder = folders[usize::from(pieces.byte()) % folders.len()].clone();
        let length = usize::from(pieces.byte());
        let Ok(path) = folder.join(pieces.chunk(length)) else { continue };
        if path.is_root() || tree.get(&path).is_some() {
            continue;
        }
        if choice % 8 == 7 && !names.is_empty() {
            let first: &TreePath = &names[usize::from(choice / 8) % names.len()];
            let _ = tree.hard_link(first, path);
            continue;
        }
        if choice % 8 == 6 {
            many(&mut tree, &folder, pieces);
            continue;
        }
        let node = node(choice, pieces);
        let is_dir = node.is_dir();
        if tree.insert_with_parents(path.clone(), node).is_ok() {
            if is_dir { folders.push(path) } else { names.push(path) }
        }
    }
    tree
}

/// Enough names in one folder that it needs an index.
fn many(tree: &mut Tree, folder: &TreePath, pieces: &mut Pieces<'_>) {
    let padding = "x".repeat(usize::from(pieces.byte()) % 240);
    for number in 0..usize::from(pieces.byte()) {
        if let Ok(path) = folder.join(format!("{number}{padding}")) {
            let _ = tree.insert(path, Node::file(0o644, ""));
        }
    }
}

fn node(choice: u8, pieces: &mut Pieces<'_>) -> Node {
    let mut node = match choice % 8 {
        0 | 1 => Node::dir(0o755),
        2 => Node::file(0o644, vec![pieces.byte(); (pieces.number() % 300_000) as usize]),
        3 => {
            let length = pieces.number() % 5000;
            Node::symlink(vec![pieces.byte(); length as usize])
        }
        4 => Node::file(0o644, pieces.chunk(usize::from(choice))),
        _ => {
            let (major, minor) = (pieces.number(), pieces.number());
            let kind = if choice & 8 == 0 { Kind::CharDevice { major, minor } } else { Kind::Fifo };
            Node { kind, ..Node::dir(0o600) }
        }
    };
    node.meta.mode = pieces.number() as u16;
    node.meta.uid = pieces.number();
    node.meta.mtime_secs = i64::from(pieces.number()) << (choice % 8);
    for _ in 0..pieces.byte() % 4 {
        let prefixes =
            ["user.", "security.", "trusted.", "system.posix_acl_access", "system.posix_acl_default", "odd."];
        let prefix = prefixes[usize::from(pieces.byte()) % prefixes.len()];
        let name = if prefix.ends_with('.') { pieces.chunk(4) } else { b"" };
        let length = (pieces.number() % 5000) as usize;
        let value = if length > 200 { vec![pieces.byte(); length] } else { pieces.chunk(length).to_vec() };
        node.meta.xattrs.insert([prefix.as_bytes(), name].concat(), value);
    }
    node
}
