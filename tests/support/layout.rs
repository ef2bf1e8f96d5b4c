//! Images as layouts and in registries, made of raw layers: good ones, and those whose documents say what is not so.

#![allow(dead_code, clippy::allow_attributes, reason = "every kind of test uses its own part of this")]

use std::fs;
use std::io::Read;
use std::path::Path;

use packages::Sha256;
use serde_json::{Value, json};

use super::apks::{entry, file, gzip};

const TAR: &str = "application/vnd.oci.image.layer.v1.tar";
const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// An image to be: its layers, and what its documents say when they are changed.
pub struct Image {
    pub layers: Vec<Vec<u8>>,
    pub arches: &'static [&'static str],
    pub config: fn(&mut Value),
    pub manifest: fn(&mut Value),
    pub index: fn(&mut Value),
    /// What is done to the blobs once they have their names.
    pub blobs: fn(&Path),
}

impl Image {
    pub fn of(layers: Vec<Vec<u8>>) -> Self {
        let same = |_: &mut Value| ();
        Self { layers, arches: &["amd64"], config: same, manifest: same, index: same, blobs: |_| () }
    }

    pub fn good() -> Self {
        Self::of(vec![layer(&[file("etc/issue", b"an image\n")])])
    }

    /// One that has to be read with care, for two architectures: whiteouts, hard links, a folder that becomes a link.
    pub fn rich() -> Self {
        let lower = [
            entry(b'5', "etc/", "", b""),
            file("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n"),
            file("etc/group", b"root:x:0:\n"),
            file("etc/gone", b"below\n"),
            file("srv/old/a", b"below\n"),
            file("usr/bin/busybox", b"no program\n"),
            entry(b'1', "usr/bin/sh", "usr/bin/busybox", b""),
            entry(b'2', "bin", "usr/bin", b""),
        ];
        let upper = [
            file("etc/.wh.gone", b""),
            file("srv/.wh..wh..opq", b""),
            file("srv/new", b"above\n"),
            entry(b'1', "usr/bin/cat", "usr/bin/busybox", b""),
        ];
        let layers = vec![gzip(&layer(&lower)), zstd::encode_all(&layer(&upper)[..], 3).unwrap()];
        Self { arches: &["amd64", "arm64"], ..Self::of(layers) }
    }

    /// Writes it as a layout.
    pub fn write(&self, layout: &Path) {
        let _ = fs::remove_dir_all(layout);
        let blobs = layout.join("blobs/sha256");
        fs::create_dir_all(&blobs).unwrap();
        let manifests: Vec<Value> = self.arches.iter().map(|arch| self.manifest(&blobs, arch)).collect();
        let mut index = json!({ "schemaVersion": 2, "manifests": manifests });
        (self.index)(&mut index);
        fs::write(layout.join("index.json"), index.to_string()).unwrap();
        fs::write(layout.join("oci-layout"), r#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
        (self.blobs)(&blobs);
    }

    /// Writes the blobs for an architecture; what an index says of them.
    fn manifest(&self, blobs: &Path, arch: &str) -> Value {
        let put = |media_type: &str, bytes: &[u8]| {
            let sha256 = Sha256::of(bytes).to_string();
            fs::write(blobs.join(&sha256), bytes).unwrap();
            json!({ "mediaType": media_type, "digest": format!("sha256:{sha256}"), "size": bytes.len() })
        };
        let document = |media_type: &str, mut value: Value, change: fn(&mut Value)| {
            change(&mut value);
            put(media_type, value.to_string().as_bytes())
        };
        let layers: Vec<Value> = self.layers.iter().map(|layer| put(TAR, layer)).collect();
        let diff_id = |layer: &Vec<u8>| format!("sha256:{}", Sha256::of(&unpacked(layer)));
        let diff_ids: Vec<String> = self.layers.iter().map(diff_id).collect();
        let config =
            json!({ "os": "linux", "architecture": arch, "rootfs": { "type": "layers", "diff_ids": diff_ids } });
        let config = document(CONFIG, config, self.config);
        let manifest = json!({ "schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers });
        let mut manifest = document(MANIFEST, manifest, self.manifest);
        manifest["platform"] = json!({ "os": "linux", "architecture": arch });
        manifest
    }

    /// Puts it under a tag of a repository, where a registry has its files (distribution specification 1.1, "Pull").
    pub fn publish(&self, registry: &Path, repository: &str, tag: &str) {
        let (place, layout) = (registry.join("v2").join(repository), registry.join("layout"));
        self.write(&layout);
        for part in ["blobs", "manifests"] {
            fs::create_dir_all(place.join(part)).unwrap();
            for blob in fs::read_dir(layout.join("blobs/sha256")).unwrap().map(|blob| blob.unwrap()) {
                let name = format!("sha256:{}", blob.file_name().to_string_lossy());
                fs::copy(blob.path(), place.join(part).join(name)).unwrap();
            }
        }
        let index = fs::read(layout.join("index.json")).unwrap();
        let digest = format!("sha256:{}", Sha256::of(&index));
        [tag, &digest].iter().for_each(|name| fs::write(place.join("manifests").join(name), &index).unwrap());
    }
}

/// A layer of these raw entries.
pub fn layer(entries: &[Vec<u8>]) -> Vec<u8> {
    [entries.concat(), vec![0; 1024]].concat()
}

/// A layer without its compression.
pub fn unpacked(layer: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    if layer.starts_with(&[0x1f, 0x8b]) {
        // What is damaged on purpose has no plain form.
        let _ = flate2::read::MultiGzDecoder::new(layer).read_to_end(&mut bytes);
        return bytes;
    }
    if layer.starts_with(&[0x28, 0xb5, 0x2f, 0xfd]) { zstd::decode_all(layer).unwrap() } else { layer.to_vec() }
}
