//! The JSON documents of an OCI image layout: configuration, manifest, index and layout file.
//!
//! Fields are named by the OCI image specification 1.1 (`config.md`, `manifest.md`, `image-index.md`,
//! `image-layout.md`). Bytes are canonical: compact JSON, keys sorted, no clock.

use std::collections::BTreeMap;

use bundle::guest::SYSTEM_INIT_PATH;
use oci_spec::image::MediaType;
use serde_json::{Value, json};
use spec::appliance::{Appliance, Arch, Base};

use crate::layers::Part;
use crate::plan::RootPlan;
use crate::{FileDigests, WrittenLayer};

/// The content of the file `oci-layout`.
pub(crate) const LAYOUT_FILE: &[u8] = br#"{"imageLayoutVersion":"1.0.0"}"#;

/// A document with the descriptor fields that name it.
pub(crate) struct Document {
    pub bytes: Vec<u8>,
    pub digests: FileDigests,
}

impl Document {
    fn new(value: &Value) -> Self {
        let mut bytes = Vec::new();
        write_canonical(value, &mut bytes);
        Self { digests: FileDigests::of(&bytes), bytes }
    }

    /// The path of this document in a layout.
    pub fn blob_path(&self) -> String {
        blob_path(&self.digests.sha256)
    }

    fn descriptor(&self, media_type: MediaType) -> Value {
        descriptor(media_type, &self.digests.sha256, self.digests.size_bytes)
    }
}

/// The path of a blob in a layout, from the digits of its SHA-256.
pub(crate) fn blob_path(sha256: &str) -> String {
    format!("oci/blobs/sha256/{sha256}")
}

/// systemd takes SIGTERM for a request to start itself anew, and this one for the end (systemd(1), "Signals").
fn stop_signal(process: &Process) -> &'static str {
    let is_system_init = process.args.first().is_some_and(|program| program == SYSTEM_INIT_PATH);
    if is_system_init { "SIGRTMIN+3" } else { "SIGTERM" }
}

/// The image configuration of one architecture.
pub(crate) fn config(
    appliance: &Appliance,
    arch: Arch,
    created: &str,
    process: &Process,
    root: &RootPlan,
    layers: &[(Part, WrittenLayer)],
) -> Document {
    let ports: BTreeMap<String, Value> =
        appliance.network.ports.iter().map(|port| (format!("{}/tcp", port.port), json!({}))).collect();
    let volumes: BTreeMap<&str, Value> =
        appliance.volumes.iter().map(|volume| (volume.at.as_str(), json!({}))).collect();
    let env: Vec<String> = process.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let mut run = json!({
        "Entrypoint": process.args,
        "Env": env,
        "Labels": annotations(appliance, created),
        "StopSignal": stop_signal(process),
        "User": "0:0",
        "WorkingDir": "/",
    });
    if !ports.is_empty() {
        run["ExposedPorts"] = json!(ports);
    }
    if !volumes.is_empty() {
        run["Volumes"] = json!(volumes);
    }
    let own = layers
        .iter()
        .map(|(part, _)| json!({ "created": created, "created_by": format!("appliance: {}", part.name()) }));
    let history: Vec<Value> = root.history.iter().cloned().chain(own).collect();
    let diff_ids = root.below.iter().map(|layer| &layer.diff_id).chain(layers.iter().map(|(_, layer)| &layer.diff_id));
    let diff_ids: Vec<String> = diff_ids.map(|diff_id| format!("sha256:{diff_id}")).collect();
    Document::new(&json!({
        "architecture": arch.name(),
        "config": run,
        "created": created,
        "history": history,
        "os": "linux",
        "rootfs": { "type": "layers", "diff_ids": diff_ids },
    }))
}

/// What PID 1 is started with.
pub(crate) struct Process {
    pub args: Vec<String>,
    pub env: BTreeMap<String, String>,
}

/// The manifest of one architecture.
pub(crate) fn manifest(
    appliance: &Appliance,
    created: &str,
    config: &Document,
    root: &RootPlan,
    layers: &[(Part, WrittenLayer)],
) -> Document {
    let below = root
        .below
        .iter()
        .map(|layer| descriptor(MediaType::from(layer.media_type.as_str()), &layer.digest, layer.size_bytes));
    let own = layers.iter().map(|(_, layer)| descriptor(MediaType::ImageLayerZstd, &layer.digest, layer.size_bytes));
    let layers: Vec<Value> = below.chain(own).collect();
    Document::new(&json!({
        "schemaVersion": 2,
        "mediaType": MediaType::ImageManifest.to_string(),
        "config": config.descriptor(MediaType::ImageConfig),
        "layers": layers,
        "annotations": annotations(appliance, created),
    }))
}

/// The index of the layout, which names one thing: the manifest of the one architecture, or an index of those of all.
///
/// Tools take a layout for one image and let the name choose it; they look for the architecture only in an index that is
/// a blob of its own.
pub(crate) struct LayoutIndex {
    /// The index of the manifests, where there are several.
    pub nested: Option<Document>,
    /// The file `index.json`.
    pub index: Document,
}

impl LayoutIndex {
    pub fn new(appliance: &Appliance, created: &str, manifests: &[(Arch, Document)]) -> Self {
        let mut entries: Vec<Value> = manifests
            .iter()
            .map(|(arch, manifest)| {
                let mut entry = manifest.descriptor(MediaType::ImageManifest);
                entry["platform"] = json!({ "architecture": arch.name(), "os": "linux" });
                entry
            })
            .collect();
        let nested = (entries.len() > 1).then(|| index(appliance, created, &entries));
        if let Some(nested) = &nested {
            entries = vec![nested.descriptor(MediaType::ImageIndex)];
        }
        let name = format!("{}:{}", appliance.name, appliance.version);
        for entry in &mut entries {
            entry["annotations"] = json!({ "org.opencontainers.image.ref.name": name });
        }
        Self { index: index(appliance, created, &entries), nested }
    }
}

fn index(appliance: &Appliance, created: &str, entries: &[Value]) -> Document {
    Document::new(&json!({
        "schemaVersion": 2,
        "mediaType": MediaType::ImageIndex.to_string(),
        "manifests": entries,
        "annotations": annotations(appliance, created),
    }))
}

/// Annotations by the keys that `annotations.md` defines.
fn annotations(appliance: &Appliance, created: &str) -> BTreeMap<String, String> {
    let base = match &appliance.base {
        Base::Distro { name, release } => format!("{name}:{release}"),
        Base::Oci(reference) => reference.to_string(),
        Base::Scratch => String::new(),
    };
    let pairs = [
        ("base.name", base.as_str()),
        ("created", created),
        ("description", &appliance.summary),
        ("title", &appliance.name),
        ("version", &appliance.version),
    ];
    pairs
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (format!("org.opencontainers.image.{key}"), value.to_owned()))
        .collect()
}

fn descriptor(media_type: MediaType, sha256: &str, size_bytes: u64) -> Value {
    json!({ "mediaType": media_type.to_string(), "digest": format!("sha256:{sha256}"), "size": size_bytes })
}

/// Compact JSON with sorted keys, whatever order the value's maps keep: a dependency's feature can change that order.
pub(crate) fn write_canonical(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(map) => {
            let sorted: BTreeMap<&String, &Value> = map.iter().collect();
            out.push(b'{');
            for (index, (key, value)) in sorted.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                out.extend_from_slice(Value::from(key.as_str()).to_string().as_bytes());
                out.push(b':');
                write_canonical(value, out);
            }
            out.push(b'}');
        }
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_canonical(item, out);
            }
            out.push(b']');
        }
        scalar => out.extend_from_slice(scalar.to_string().as_bytes()),
    }
}

/// A time in seconds since 1970 UTC as RFC 3339 text, as `config.md` asks.
pub(crate) fn rfc3339(epoch_secs: i64) -> String {
    let (days, secs) = (epoch_secs.div_euclid(86_400), epoch_secs.rem_euclid(86_400));
    // Civil date from days: years are counted from 1 March, so that the leap day comes last.
    let shifted = days + 719_468;
    let era = shifted.div_euclid(146_097);
    let day_of_era = shifted.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z", secs / 3600, secs / 60 % 60, secs % 60)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_written_in_utc() {
        assert_eq!(rfc3339(0), "1970-01-01T00:00:00Z");
        assert_eq!(rfc3339(951_782_399), "2000-02-28T23:59:59Z");
        assert_eq!(rfc3339(951_782_400), "2000-02-29T00:00:00Z");
        assert_eq!(rfc3339(1_783_765_017), "2026-07-11T10:16:57Z");
        assert_eq!(rfc3339(-1), "1969-12-31T23:59:59Z");
    }

    #[test]
    fn json_is_compact_and_sorted() {
        let mut out = Vec::new();
        write_canonical(&json!({ "b": [1, "x\"y"], "a": { "d": null, "c": true } }), &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), r#"{"a":{"c":true,"d":null},"b":[1,"x\"y"]}"#);
    }
}
