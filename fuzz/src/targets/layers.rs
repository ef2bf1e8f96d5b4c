//! Image layers: read as an archive, and unpacked into a folder that nothing may leave.

use std::fs::{self, Permissions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use engine::layers::{tar, unpack};

use super::archives::sealed;

/// Reads and unpacks. Whatever happens, the folder beside the root stays as it is.
pub fn layer(data: &[u8]) -> bool {
    let bytes = sealed(data);
    let mut archive = tar::Reader::new(&bytes[..]);
    while let Ok(Some(_)) = archive.next_entry() {
        let mut content = Vec::new();
        if archive.read_to_end(&mut content).is_err() {
            break;
        }
        assert!(content.len() <= bytes.len());
    }
    let outer = tempfile::tempdir().expect("a folder");
    let root = outer.path().join("root");
    fs::create_dir(&root).expect("the root");
    fs::write(outer.path().join("beside"), "untouched").expect("a file beside it");
    let unpacked = unpack(&bytes[..], &root, &[], true);
    let mut names: Vec<_> =
        fs::read_dir(outer.path()).expect("the folder").flatten().map(|one| one.file_name()).collect();
    names.sort();
    assert_eq!(names, ["beside", "root"], "something was made outside of the root");
    assert_eq!(fs::read(outer.path().join("beside")).expect("the file beside"), b"untouched");
    open_all(&root);
    unpacked.is_ok()
}

/// Folders may have any mode now; they must be removable again.
fn open_all(folder: &Path) {
    let _ = fs::set_permissions(folder, Permissions::from_mode(0o700));
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            open_all(&entry.path());
        }
    }
}
