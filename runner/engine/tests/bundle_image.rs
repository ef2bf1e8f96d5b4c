//! Which image of a bundle is taken: by its architecture, through the index that names all.

#![allow(clippy::unwrap_used, clippy::allow_attributes, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;

use engine::{Bundle, BundleError};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a blob; the descriptor that names it.
fn put(bundle: &Path, media_type: &str, value: &Value) -> Value {
    let bytes = value.to_string().into_bytes();
    let digest = sha256(&bytes);
    fs::write(bundle.join("oci/blobs/sha256").join(&digest), &bytes).unwrap();
    json!({ "mediaType": media_type, "digest": format!("sha256:{digest}"), "size": bytes.len() })
}

/// The image of an architecture, with one layer that is told by this digit.
fn image(bundle: &Path, arch: &str, digit: &str) -> Value {
    let layer = format!("sha256:{}", digit.repeat(64));
    let config = put(bundle, "config", &json!({ "rootfs": { "diff_ids": [layer] } }));
    let layer = json!({ "mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", "digest": layer, "size": 1 });
    let mut entry = put(bundle, MANIFEST, &json!({ "config": config, "layers": [layer] }));
    entry["platform"] = json!({ "architecture": arch, "os": "linux" });
    entry
}

fn both(bundle: &Path) -> Vec<Value> {
    vec![image(bundle, "amd64", "a"), image(bundle, "arm64", "b")]
}

fn index(manifests: &[Value]) -> Value {
    json!({ "schemaVersion": 2, "mediaType": INDEX, "manifests": manifests })
}

/// A bundle whose layout has what this makes as its index.
fn bundle(make: impl Fn(&Path) -> Value) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let bundle = folder.path();
    fs::create_dir_all(bundle.join("oci/blobs/sha256")).unwrap();
    let index = make(bundle).to_string();
    fs::write(bundle.join("oci/index.json"), &index).unwrap();
    let plan = json!({
        "schema": 1, "name": "a", "version": "1", "hostname": "a",
        "process": { "args": ["/g"], "env": {}, "stop_grace_ms": 1 },
        "root": { "read_only": true, "writable": [], "scratch": [] },
        "isolation": { "level": "container", "at_least": "container", "capabilities": [], "seccomp": "default" },
        "network": { "mode": "none", "allow": [], "ports": [] },
        "resources": { "memory": { "bytes": 3, "min_bytes": 2, "max_bytes": 4 } },
        "volumes": [], "open": [], "gpu": { "need": "none", "vendors": [] },
    });
    let plan = plan.to_string();
    fs::write(bundle.join("plan.json"), &plan).unwrap();
    let artifact = |kind: &str, path: &str, text: &str| json!({ "kind": kind, "path": path, "size_bytes": text.len(), "blake3": "", "sha256": sha256(text.as_bytes()) });
    let manifest = json!({
        "schema": 1, "name": "a", "version": "1", "arch": ["amd64", "arm64"], "lock_blake3": "", "tool_version": "0",
        "artifacts": [artifact("oci-layout", "oci", &index), artifact("plan", "plan.json", &plan)],
    });
    fs::write(bundle.join("bundle.json"), manifest.to_string()).unwrap();
    folder
}

#[track_caller]
fn check(bundle: &tempfile::TempDir) {
    for (arch, digit) in [("amd64", "a"), ("arm64", "b")] {
        let opened = Bundle::open(bundle.path(), arch).unwrap();
        let layers: Vec<&str> = opened.layers.iter().map(|layer| layer.diff_id.as_str()).collect();
        assert_eq!(layers, [digit.repeat(64)], "{arch}");
    }
}

#[test]
fn an_index_of_its_own_leads_to_each_architecture() {
    check(&bundle(|bundle| index(&[put(bundle, INDEX, &index(&both(bundle)))])));
}

#[test]
fn manifests_beside_each_other_are_still_read() {
    check(&bundle(|bundle| index(&both(bundle))));
}

#[test]
fn an_index_without_the_architecture_or_without_an_end_is_told() {
    let only = bundle(|bundle| index(&[put(bundle, INDEX, &index(&[image(bundle, "arm64", "b")]))]));
    let told = Bundle::open(only.path(), "amd64").unwrap_err();
    assert!(told.to_string().contains("it has no image for amd64"), "{told}");
    let deep = bundle(|bundle| {
        let inner = index(&[put(bundle, INDEX, &index(&both(bundle)))]);
        index(&[put(bundle, INDEX, &inner)])
    });
    let told = Bundle::open(deep.path(), "amd64").unwrap_err();
    assert!(told.to_string().contains("nest too deep"), "{told}");
    // The inner index is held to its digest.
    let changed = bundle(|bundle| index(&[put(bundle, INDEX, &index(&both(bundle)))]));
    for blob in fs::read_dir(changed.path().join("oci/blobs/sha256")).unwrap().map(|blob| blob.unwrap().path()) {
        let text = fs::read_to_string(&blob).unwrap();
        fs::write(&blob, text.replace("arm64", "mips1")).unwrap();
    }
    assert!(matches!(Bundle::open(changed.path(), "amd64"), Err(BundleError::Digest { .. })));
}
