//! A tree on disk: puts entries into a folder, and reads back what an overlay collected on top of it.
//!
//! The folder mirrors a tree exactly, so no part of a path that is written below it is ever a link.

use std::collections::BTreeMap;
use std::ffi::CString;
use std::fs::{self, DirEntry, File, FileTimes, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use nix::sys::stat::{Mode, SFlag, major, makedev, minor, mknod};
use rustix::fs::{XattrFlags, lgetxattr, llistxattr, lsetxattr};
use tree::{Content, Digest, Kind, Meta, Node, NodeId, Tree, TreePath};

/// What an overlay collected: paths that went away, and entries with their contents' places on disk.
pub(crate) struct Collected {
    pub removed: Vec<TreePath>,
    pub put: Tree,
}

/// The place of a path below a folder.
pub(crate) fn place(folder: &Path, path: &TreePath) -> PathBuf {
    if path.is_root() {
        return folder.to_owned();
    }
    folder.join(std::ffi::OsStr::from_bytes(path.as_bytes()))
}

/// Removes paths, members before their folders. What is not there is fine.
pub(crate) fn remove(folder: &Path, paths: &[Vec<u8>]) -> io::Result<()> {
    for path in paths {
        let place = place(folder, &TreePath::new(path).map_err(io::Error::other)?);
        remove_one(&place)?;
    }
    Ok(())
}

/// Puts all entries of a tree; contents are read from `contents`, one after another in canonical order.
pub(crate) fn put(folder: &Path, tree: &Tree, contents: &mut impl Read) -> io::Result<()> {
    let mut first_names: BTreeMap<NodeId, PathBuf> = BTreeMap::new();
    for (path, id, node) in tree.iter() {
        let place = place(folder, path);
        let at = |error: io::Error| io::Error::new(error.kind(), format!("{path}: {error}"));
        if let Some(first) = first_names.get(&id) {
            remove_one(&place).and_then(|()| fs::hard_link(first, &place)).map_err(at)?;
            continue;
        }
        put_node(&place, node, contents).map_err(at)?;
        first_names.insert(id, place);
    }
    Ok(())
}

/// Reads what an overlay's upper folder holds over `base`.
pub(crate) fn collect(base: &Path, upper: &Path) -> io::Result<Collected> {
    let mut collected = Collected { removed: Vec::new(), put: Tree::default() };
    let mut inodes = BTreeMap::new();
    collect_folder(base, upper, &TreePath::root(), &mut inodes, &mut collected)?;
    Ok(collected)
}

fn put_node(place: &Path, node: &Node, contents: &mut impl Read) -> io::Result<()> {
    let is_dir = node.is_dir();
    if !is_dir {
        remove_one(place)?;
    }
    match &node.kind {
        Kind::Dir if fs::symlink_metadata(place).is_ok_and(|found| found.is_dir()) => {}
        Kind::Dir => fs::create_dir(place)?,
        Kind::File(content) => write_content(place, content, contents)?,
        Kind::Symlink(target) => symlink(std::ffi::OsStr::from_bytes(target), place)?,
        Kind::CharDevice { major, minor } => special(place, SFlag::S_IFCHR, *major, *minor)?,
        Kind::BlockDevice { major, minor } => special(place, SFlag::S_IFBLK, *major, *minor)?,
        Kind::Fifo => special(place, SFlag::S_IFIFO, 0, 0)?,
        Kind::Socket => special(place, SFlag::S_IFSOCK, 0, 0)?,
    }
    put_meta(place, node)
}

fn write_content(place: &Path, content: &Content, contents: &mut impl Read) -> io::Result<()> {
    let mut file = File::create_new(place)?;
    let copied = io::copy(&mut contents.take(content.size_bytes()), &mut file)?;
    if copied != content.size_bytes() {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// A user namespace may not make devices; scripts see a `/dev` of their own, so a missing node harms nothing.
fn special(place: &Path, kind: SFlag, major: u32, minor: u32) -> io::Result<()> {
    match mknod(place, kind, Mode::from_bits_truncate(0o600), makedev(major.into(), minor.into())) {
        Err(nix::errno::Errno::EPERM) if matches!(kind, SFlag::S_IFCHR | SFlag::S_IFBLK) => {
            File::create(place).map(drop)
        }
        outcome => outcome.map_err(io::Error::from),
    }
}

fn put_meta(place: &Path, node: &Node) -> io::Result<()> {
    let Meta { mode, uid, gid, mtime_secs, xattrs } = &node.meta;
    lchown(place, Some(*uid), Some(*gid))?;
    if matches!(node.kind, Kind::Symlink(_)) {
        return Ok(());
    }
    // Attributes before the mode, since changing the owner drops capabilities and the set-id bits.
    for (name, value) in xattrs {
        lsetxattr(place, CString::new(name.clone())?.as_c_str(), value, XattrFlags::empty())?;
    }
    fs::set_permissions(place, Permissions::from_mode((*mode).into()))?;
    if let (Kind::File(_), Ok(secs)) = (&node.kind, u64::try_from(*mtime_secs)) {
        let time = SystemTime::UNIX_EPOCH + Duration::from_secs(secs);
        File::open(place)?.set_times(FileTimes::new().set_modified(time))?;
    }
    Ok(())
}

fn remove_one(place: &Path) -> io::Result<()> {
    let outcome = match fs::symlink_metadata(place) {
        Ok(found) if found.is_dir() => fs::remove_dir(place),
        Ok(_) => fs::remove_file(place),
        Err(error) => Err(error),
    };
    outcome.or_else(|error| if error.kind() == io::ErrorKind::NotFound { Ok(()) } else { Err(error) })
}

type Inodes = BTreeMap<(u64, u64), TreePath>;

fn collect_folder(
    base: &Path,
    upper: &Path,
    folder: &TreePath,
    inodes: &mut Inodes,
    out: &mut Collected,
) -> io::Result<()> {
    let mut entries: Vec<DirEntry> = fs::read_dir(place(upper, folder))?.collect::<Result<_, _>>()?;
    entries.sort_by_key(DirEntry::file_name);
    for entry in entries {
        let path = folder.join(entry.file_name().as_bytes()).map_err(io::Error::other)?;
        let meta = entry.metadata()?;
        // An overlay marks what went away by a character device 0:0 (kernel documentation, overlayfs, "whiteouts").
        if meta.file_type().is_char_device() && meta.rdev() == 0 {
            out.removed.push(path);
            continue;
        }
        let place_on_disk = entry.path();
        let below = fs::symlink_metadata(place(base, &path)).ok();
        let hides = below.is_some_and(|below| below.file_type() != meta.file_type()) || is_opaque(&place_on_disk);
        if hides {
            out.removed.push(path.clone());
        }
        collect_entry(&path, &place_on_disk, &meta, inodes, out)?;
        if meta.is_dir() {
            collect_folder(base, upper, &path, inodes, out)?;
        }
    }
    Ok(())
}

fn collect_entry(
    path: &TreePath,
    place: &Path,
    meta: &fs::Metadata,
    inodes: &mut Inodes,
    out: &mut Collected,
) -> io::Result<()> {
    let inode = (meta.dev(), meta.ino());
    let outcome = match inodes.get(&inode).filter(|_| !meta.is_dir()) {
        Some(first) => out.put.hard_link(first, path.clone()),
        None => {
            inodes.insert(inode, path.clone());
            out.put.insert(path.clone(), read_node(place, meta)?)
        }
    };
    outcome.map_err(io::Error::other)
}

fn read_node(place: &Path, meta: &fs::Metadata) -> io::Result<Node> {
    let kind = meta.file_type();
    let (major, minor) = (major(meta.rdev()) as u32, minor(meta.rdev()) as u32);
    let kind = if kind.is_dir() {
        Kind::Dir
    } else if kind.is_symlink() {
        Kind::Symlink(fs::read_link(place)?.into_os_string().into_vec().into())
    } else if kind.is_char_device() {
        Kind::CharDevice { major, minor }
    } else if kind.is_block_device() {
        Kind::BlockDevice { major, minor }
    } else if kind.is_fifo() {
        Kind::Fifo
    } else if kind.is_socket() {
        Kind::Socket
    } else {
        let mut hasher = blake3::Hasher::new();
        let size_bytes = io::copy(&mut File::open(place)?, &mut hasher)?;
        Kind::File(Content::Blob { digest: Digest::from(hasher.finalize()), size_bytes })
    };
    let mode = (meta.mode() & 0o7777) as u16;
    let xattrs = read_xattrs(place)?;
    Ok(Node { kind, meta: Meta { mode, uid: meta.uid(), gid: meta.gid(), mtime_secs: meta.mtime(), xattrs } })
}

fn read_xattrs(place: &Path) -> io::Result<BTreeMap<Vec<u8>, Vec<u8>>> {
    let mut names = vec![0; 64 << 10];
    let length = match llistxattr(place, &mut names[..]) {
        Ok(length) => length,
        Err(rustix::io::Errno::OPNOTSUPP) => 0,
        Err(error) => return Err(error.into()),
    };
    let names = names[..length].split(|&byte| byte == 0).filter(|name| !name.is_empty());
    let ours = |name: &&[u8]| !name.starts_with(b"user.overlay.") && !name.starts_with(b"trusted.overlay.");
    names.filter(ours).map(|name| Ok((name.to_vec(), read_xattr(place, name)?))).collect()
}

fn read_xattr(place: &Path, name: &[u8]) -> io::Result<Vec<u8>> {
    let mut value = vec![0; 64 << 10];
    let length = lgetxattr(place, CString::new(name)?.as_c_str(), &mut value[..])?;
    value.truncate(length);
    Ok(value)
}

/// Whether an overlay marked this folder as hiding what lies below it (kernel documentation, overlayfs, "opaque directories").
fn is_opaque(place: &Path) -> bool {
    ["user.overlay.opaque", "trusted.overlay.opaque"]
        .iter()
        .any(|name| read_xattr(place, name.as_bytes()).is_ok_and(|value| value == b"y"))
}

/// Writes the contents of a collected tree, in canonical order.
pub(crate) fn send_contents(out: &mut impl Write, upper: &Path, tree: &Tree) -> io::Result<()> {
    for (path, content) in crate::wire::contents(tree) {
        let copied = io::copy(&mut File::open(place(upper, path))?.take(content.size_bytes()), out)?;
        if copied != content.size_bytes() {
            return Err(io::Error::other(format!("{path} changed after its script had ended")));
        }
    }
    Ok(())
}
