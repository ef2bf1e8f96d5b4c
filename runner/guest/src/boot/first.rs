//! What an instance is told from others by, made where there is none yet: the id of the machine (machine-id(5)).
//!
//! Every appliance comes with an empty one. On a root that is kept it is made once; on memory it is a new one each time,
//! since nothing else of the instance is kept either.

use std::fs::{self, File};
use std::io::Read;
use std::path::Path;

/// Makes the id of the machine whose root is mounted here. A root that cannot be written to stays without.
pub fn make_machine_id(root: &str) {
    let path = Path::new(root).join("etc/machine-id");
    let is_empty = fs::symlink_metadata(&path).is_ok_and(|meta| meta.is_file() && meta.len() == 0);
    if is_empty && let Some(id) = draw() {
        let _ = fs::write(path, id);
    }
}

/// A random id of version 4 (RFC 9562, section 5.4) as 32 hexadecimal digits with a line end.
fn draw() -> Option<String> {
    let mut id = [0; 16];
    File::open("/dev/urandom").ok()?.read_exact(&mut id).ok()?;
    id[6] = id[6] & 0x0f | 0x40;
    id[8] = id[8] & 0x3f | 0x80;
    let digits: String = id.iter().map(|byte| format!("{byte:02x}")).collect();
    Some(format!("{digits}\n"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_empty_id_is_made() {
        let root = tempfile::tempdir().unwrap();
        let (folder, path) = (root.path().display().to_string(), root.path().join("etc/machine-id"));
        make_machine_id(&folder);
        assert!(!path.exists());
        fs::create_dir(root.path().join("etc")).unwrap();
        fs::write(&path, "").unwrap();
        make_machine_id(&folder);
        let made = fs::read_to_string(&path).unwrap();
        assert!(made.len() == 33 && made.trim().bytes().all(|byte| byte.is_ascii_hexdigit()), "{made}");
        make_machine_id(&folder);
        assert_eq!(fs::read_to_string(&path).unwrap(), made);
    }
}
