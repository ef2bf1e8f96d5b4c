//! The initial file system: the guest as `/init`, modules, and the file that tells the guest what to do with them.

use bundle::boot::{BOOT_PATH, Boot, INIT_PATH, MODULES_FOLDER, SCHEMA, Volume};
use bundle::plan::Root;
use tree::{Content, Kind, Meta, Node, Tree, TreePath};

use super::ModulePlan;

/// Folders that the guest mounts over; `disk`, `memory` and `root` it makes itself.
const FOLDERS: [&str; 3] = ["dev", "proc", "sys"];

/// What an initial file system is made of.
pub struct Initramfs<'a> {
    /// The guest, a static program.
    pub guest: Content,
    /// The modules.
    pub modules: &'a ModulePlan,
    /// What can be written at run time.
    pub root: Root,
    /// Volumes.
    pub volumes: Vec<Volume>,
    /// The time of every entry, in seconds since 1970.
    pub epoch_secs: i64,
}

/// Makes the tree. Written with [`formats::cpio::write_tree`] it is what the kernel takes.
pub fn initramfs(parts: Initramfs<'_>) -> Tree {
    let Initramfs { guest, modules, root, volumes, epoch_secs } = parts;
    let meta = |mode| Meta { mtime_secs: epoch_secs, ..Meta::root(mode) };
    let node = |kind, mode| Node { kind, meta: meta(mode) };
    let mut entries: Vec<(String, Node)> = vec![
        ("appliance".to_owned(), node(Kind::Dir, 0o755)),
        (MODULES_FOLDER.to_owned(), node(Kind::Dir, 0o755)),
        (INIT_PATH.to_owned(), node(Kind::File(guest), 0o755)),
    ];
    entries.extend(FOLDERS.iter().map(|path| ((*path).to_owned(), node(Kind::Dir, 0o755))));
    // The kernel opens it for the first process, before anything is mounted.
    entries.push(("dev/console".to_owned(), node(Kind::CharDevice { major: 5, minor: 1 }, 0o600)));
    let names: Vec<String> = modules.load.iter().map(|module| format!("{}.ko", module.name)).collect();
    for (module, name) in modules.load.iter().zip(&names) {
        let content = Kind::File(Content::inline(module.elf.clone()));
        entries.push((format!("{MODULES_FOLDER}/{name}"), node(content, 0o644)));
    }
    let boot = Boot { schema: SCHEMA, modules: names, root, volumes };
    let mut json = serde_json::to_vec_pretty(&boot).expect("strings and numbers are JSON");
    json.push(b'\n');
    entries.push((BOOT_PATH.to_owned(), node(Kind::File(Content::inline(json)), 0o644)));

    let mut tree = Tree::new(node(Kind::Dir, 0o755));
    for (path, node) in entries {
        let path = TreePath::new(&path).expect("these paths are made of fixed parts and names of files");
        tree.insert(path, node).expect("folders come before what is in them");
    }
    tree
}
