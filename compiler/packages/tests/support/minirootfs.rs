//! Where tests find a published minirootfs of Alpine (`alpine-minirootfs-VERSION-ARCH.tar.gz`): in the folder that
//! `APPLIANCE_TEST_ALPINE` names, or where it lies among the data beside the checkout. Nothing depends on it.

use std::path::{Path, PathBuf};

/// The newest minirootfs for an architecture by Alpine's name, or why there is none.
pub fn minirootfs(arch: &str) -> Result<PathBuf, String> {
    let folder = folder().ok_or("APPLIANCE_TEST_ALPINE names no folder with a minirootfs of Alpine")?;
    let entries = std::fs::read_dir(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    let is_wanted = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        name.starts_with("alpine-minirootfs-") && name.ends_with(&format!("-{arch}.tar.gz"))
    };
    let found = entries.flatten().map(|entry| entry.path()).filter(is_wanted).max();
    found.ok_or_else(|| format!("there is no alpine-minirootfs-*-{arch}.tar.gz in {}", folder.display()))
}

fn folder() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("APPLIANCE_TEST_ALPINE") {
        return Some(folder.into());
    }
    let mut above = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors();
    let checkout = above.find(|folder| folder.join("Cargo.lock").exists())?;
    Some(checkout.parent()?.join("shared/data/alpine")).filter(|folder| folder.is_dir())
}
