//! Looking into the layers below the one that is unpacked: what a hard link means whose file lies there, and how a folder
//! is described that the layer leaves out. Input is folders of unpacked layers; nothing is changed.

use std::ffi::OsStr;
use std::fs::Metadata;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use host::RootDir;

/// An entry of an unpacked layer: directly in this folder.
pub struct Entry<'a> {
    pub folder: RootDir,
    pub name: &'a Path,
    pub meta: Metadata,
}

/// What the uppermost of these layers that says anything of the path has there, no link followed; `None` when it is hidden
/// or nowhere. The layers are given from the top.
pub fn find<'a, 'p>(layers: impl IntoIterator<Item = &'a RootDir>, path: &'p Path) -> io::Result<Option<Entry<'p>>> {
    for layer in layers {
        match look(layer, path)? {
            Look::Found(entry) => return Ok(Some(entry)),
            Look::Hidden => return Ok(None),
            Look::Below => {}
        }
    }
    Ok(None)
}

enum Look<'p> {
    Found(Entry<'p>),
    /// No lower layer counts.
    Hidden,
    /// This layer says nothing of it.
    Below,
}

/// Whiteouts are devices 0:0 and emptied folders have an attribute (kernel documentation, `overlayfs`).
fn look<'p>(layer: &RootDir, path: &'p Path) -> io::Result<Look<'p>> {
    let mut at = layer.folder(Path::new(""))?;
    let parts: Vec<&OsStr> = path.iter().collect();
    let mut hides = is_emptied(&at)?;
    for (depth, part) in parts.iter().enumerate() {
        let name = Path::new(*part);
        let meta = match std::fs::symlink_metadata(host::fd_path(&at).join(name)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Ok(if hides { Look::Hidden } else { Look::Below });
            }
            other => other?,
        };
        if meta.file_type().is_char_device() && meta.rdev() == 0 {
            return Ok(Look::Hidden);
        }
        if depth + 1 == parts.len() {
            return Ok(Look::Found(Entry { folder: at, name, meta }));
        }
        if !meta.is_dir() {
            return Ok(Look::Hidden);
        }
        at = at.folder(name)?;
        hides |= is_emptied(&at)?;
    }
    Ok(Look::Hidden)
}

fn is_emptied(folder: &RootDir) -> io::Result<bool> {
    Ok(folder.xattr(Path::new("."), "user.overlay.opaque")?.is_some_and(|value| value == b"y"))
}
