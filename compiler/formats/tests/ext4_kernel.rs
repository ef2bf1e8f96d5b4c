//! The ext4 writer before the kernel: images are mounted in a mount namespace of their own, read back entry by entry,
//! and written to. Without the right to mount, these tests are skipped.

#![expect(clippy::disallowed_methods, clippy::disallowed_types, reason = "these tests mount images and read them")]
#![expect(clippy::unwrap_used, reason = "a test ends where something is not as it should be")]

use std::collections::BTreeMap;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use formats::ext4::{Options, Size};
use tree::{Content, Kind, Meta, Node, Tree};

mod ext4_support;
use ext4_support::{EPOCH, Image, path, run, skip, special, text};

/// Names the folder to read when this program runs again where the image is mounted.
const FOLDER: &str = "EXT4_TEST_MOUNTED_FOLDER";

#[test]
fn the_kernel_reads_the_tree_back() {
    if let Ok(folder) = std::env::var(FOLDER) {
        std::fs::write(format!("{folder}.dump"), tree::dump(&read(Path::new(&folder)))).unwrap();
        return;
    }
    // Extended attributes are read through Python.
    if run("kernel reads", "python3", &[&"--version"]).is_none() {
        return;
    }
    let (mut tree, made, options) = special();
    // Reading 4 GiB of zeros would show no more than the other sparse files do.
    tree.remove(&path("sparse/all-hole"));
    let image = Image::new(&tree, &made, &options);
    let program = std::env::current_exe().unwrap();
    let again = [program.to_str().unwrap(), "--exact", "the_kernel_reads_the_tree_back"];
    let Some(folder) = run_mounted("kernel reads", &image, "ro", &again) else { return };
    let seen = std::fs::read_to_string(folder.with_extension("dump")).unwrap();
    let expected = expected(tree, &made);
    for (seen, expected) in seen.lines().zip(expected.lines()) {
        assert_eq!(seen, expected);
    }
    assert_eq!(seen.lines().count(), expected.lines().count());
}

#[test]
fn the_kernel_writes_to_an_image_and_it_stays_clean() {
    let test = "kernel writes";
    let (tree, made, options) = special();
    let options = Options { size: Size::Minimal { free_bytes: 60 << 20, free_percent: 0 }, journal: true, ..options };
    let image = Image::new(&tree, &made, &options);
    let script = r#"
        cd "$1"
        for n in $(seq 400); do echo $n > folder/new-name-$n-$(printf 'x%.0s' $(seq 50)); done
        rm -r folder/a-name* deep
        head -c 20000000 /dev/zero > data
        cp -a xattr again
        cd /
        umount "$1"
    "#;
    if run_mounted(test, &image, "rw", &["sh", "-ec", script, "sh", "-"]).is_some() {
        image.check(test);
        assert!(image.debugfs(test, "ls folder").unwrap_or_default().contains("new-name-400-xxx"));
    }
}

/// Runs a command where the image is mounted; an argument `-` becomes the mount's folder.
fn run_mounted(test: &str, image: &Image, access: &str, command: &[&str]) -> Option<PathBuf> {
    let folder = image.folder("mounted");
    let script = r#"mount -t ext4 -o "loop,$0" "$1" "$2" || exit 99; shift 2; exec "$@""#;
    let mut unshare = std::process::Command::new("unshare");
    unshare.args(["-m", "sh", "-c", script, access]).arg(image.path()).arg(&folder);
    for argument in command {
        unshare.arg(if *argument == "-" { folder.as_os_str() } else { OsStr::new(argument) });
    }
    match unshare.env(FOLDER, &folder).output() {
        Ok(output) if output.status.success() => Some(folder),
        Ok(output) if output.status.code() == Some(99) || text(&output).contains("unshare failed") => {
            skip(test, &format!("cannot mount here: {}", text(&output).trim()));
            None
        }
        Ok(output) => panic!("{}", text(&output)),
        Err(error) => {
            skip(test, &format!("cannot run unshare: {error}"));
            None
        }
    }
}

/// The planned tree with `lost+found`, and with every content at hand so that its digest is the real one.
fn expected(mut tree: Tree, blobs: &dyn tree::Blobs) -> String {
    let mut lost_found = Node::dir(0o700);
    lost_found.meta.mtime_secs = EPOCH as i64;
    tree.insert(path("lost+found"), lost_found).unwrap();
    let files: BTreeMap<_, _> = tree.iter().map(|(path, id, _)| (id, path.clone())).collect();
    for path in files.into_values() {
        let node = tree.get_mut(&path).unwrap();
        if let Kind::File(content) = &mut node.kind {
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(blobs.reader(content).unwrap()).unwrap();
            *content = Content::Blob { digest: hasher.finalize().into(), size_bytes: content.size_bytes() };
        }
    }
    tree::dump(&tree)
}

fn read(folder: &Path) -> Tree {
    let mut tree = Tree::new(node(folder));
    let mut known = BTreeMap::new();
    read_folder(folder, folder, &mut tree, &mut known);
    for (file, xattrs) in xattrs(folder) {
        let name = path(file.strip_prefix(folder).unwrap().as_os_str().as_bytes());
        tree.get_mut(&name).unwrap().meta.xattrs = xattrs;
    }
    tree
}

fn read_folder(root: &Path, folder: &Path, tree: &mut Tree, known: &mut BTreeMap<u64, tree::TreePath>) {
    let mut entries: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    entries.sort();
    for entry in entries {
        let name = path(entry.strip_prefix(root).unwrap().as_os_str().as_bytes());
        let inode = entry.symlink_metadata().unwrap().ino();
        match known.get(&inode) {
            Some(first) => tree.hard_link(first, name).unwrap(),
            None => {
                tree.insert(name.clone(), node(&entry)).unwrap();
                known.insert(inode, name);
            }
        }
        if entry.symlink_metadata().unwrap().is_dir() {
            read_folder(root, &entry, tree, known);
        }
    }
}

fn node(file: &Path) -> Node {
    let metadata = file.symlink_metadata().unwrap();
    let (major, minor) = numbers(metadata.rdev());
    let kind = match metadata.file_type() {
        kind if kind.is_dir() => Kind::Dir,
        kind if kind.is_symlink() => Kind::Symlink(std::fs::read_link(file).unwrap().as_os_str().as_bytes().into()),
        kind if kind.is_char_device() => Kind::CharDevice { major, minor },
        kind if kind.is_block_device() => Kind::BlockDevice { major, minor },
        kind if kind.is_fifo() => Kind::Fifo,
        kind if kind.is_socket() => Kind::Socket,
        _ => {
            let mut hasher = blake3::Hasher::new();
            hasher.update_reader(std::fs::File::open(file).unwrap()).unwrap();
            Kind::File(Content::Blob { digest: hasher.finalize().into(), size_bytes: metadata.len() })
        }
    };
    let mode = (metadata.mode() & 0o7777) as u16;
    let (uid, gid, mtime_secs) = (metadata.uid(), metadata.gid(), metadata.mtime());
    assert_eq!((metadata.mtime_nsec(), metadata.atime(), metadata.ctime()), (0, mtime_secs, mtime_secs));
    Node { kind, meta: Meta { mode, uid, gid, mtime_secs, xattrs: BTreeMap::new() } }
}

/// Splits a device number as Linux's C libraries pack it.
fn numbers(device: u64) -> (u32, u32) {
    ((device >> 8 & 0xfff) as u32, (device & 0xff | device >> 12 & 0xf_ff00) as u32)
}

/// The extended attributes of all files, through Python, which has the system calls at hand.
fn xattrs(root: &Path) -> BTreeMap<PathBuf, BTreeMap<Vec<u8>, Vec<u8>>> {
    let script = "\
import os, sys
for folder, _, names in os.walk(os.fsencode(sys.argv[1])):
    for file in [folder] + [os.path.join(folder, name) for name in names + _]:
        for name in os.listxattr(file, follow_symlinks=False):
            print(file.hex(), os.fsencode(name).hex(), os.getxattr(file, name, follow_symlinks=False).hex(), sep=':')";
    let output = std::process::Command::new("python3").args(["-c", script]).arg(root).output().expect("python3 runs");
    assert!(output.status.success(), "{}", text(&output));
    let unhex = |text: &str| -> Vec<u8> {
        (0..text.len() / 2).map(|at| u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).unwrap()).collect()
    };
    let mut found: BTreeMap<PathBuf, BTreeMap<_, _>> = BTreeMap::new();
    for line in text(&output).lines() {
        let [file, name, value] = line.split(':').map(unhex).collect::<Vec<_>>().try_into().unwrap();
        found.entry(OsString::from_vec(file).into()).or_default().insert(name, value);
    }
    found
}
