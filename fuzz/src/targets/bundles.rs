//! What the engine reads of a bundle before anything runs: its documents with the image's, and filter profiles.

use std::fs;

use engine::Bundle;
use engine::seccomp::{foreign_profile, native_arch, programs};

use super::pieces::sections;

/// Writes the sections `bundle`, `plan`, `index` and any number of `blob` as the files of a bundle and opens it.
///
/// `@0@`, `@1@`, … stand for the digest of the blob of that number, counted from the last, and `@plan@` and `@index@`
/// for those of the other two, so that mutated documents still hold together.
pub fn bundle(data: &[u8]) -> bool {
    let mut known: Vec<(String, String)> = Vec::new();
    let folder = tempfile::tempdir().expect("a folder for the bundle");
    fs::create_dir_all(folder.path().join("oci/blobs/sha256")).expect("a folder for blobs");
    let mut blobs = 0;
    for (title, body) in sections(data).into_iter().take(16).rev() {
        let mut text = String::from_utf8_lossy(&body).into_owned();
        for (mark, digest) in &known {
            text = text.replace(mark.as_str(), digest);
        }
        let digest = packages::Sha256::of(text.as_bytes()).to_string();
        let (mark, file) = match title.as_str() {
            "bundle" => (String::new(), "bundle.json".to_owned()),
            "plan" => ("@plan@".to_owned(), "plan.json".to_owned()),
            "index" => ("@index@".to_owned(), "oci/index.json".to_owned()),
            _ => (format!("@{blobs}@"), format!("oci/blobs/sha256/{digest}")),
        };
        blobs += usize::from(file.contains("blobs"));
        fs::write(folder.path().join(file), &text).expect("a file of the bundle");
        known.extend((!mark.is_empty()).then_some((mark, digest)));
    }
    let opened = Bundle::open(folder.path(), "amd64");
    if let Ok(bundle) = &opened {
        for layer in &bundle.layers {
            let inside = layer.blob.strip_prefix(folder.path()).expect("a layer lies within its bundle");
            assert!(inside.components().all(|part| part.as_os_str() != ".."));
            assert!(layer.diff_id.len() == 64);
        }
    }
    opened.is_ok()
}

/// Reads a filter profile; what is read becomes programs.
pub fn seccomp(data: &[u8]) -> bool {
    let Ok(text) = std::str::from_utf8(data) else { return false };
    let profile = foreign_profile(text);
    if let (Ok(profile), Ok(arch)) = (&profile, native_arch()) {
        drop(programs(profile, arch));
    }
    profile.is_ok()
}
