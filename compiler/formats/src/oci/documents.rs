//! The JSON documents of an image: index, manifest and configuration (OCI image specification 1.1, `image-index.md`,
//! `manifest.md`, `config.md`), and the list in a `docker-archive`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::Value;

use super::date;

/// The largest document that is read: registries take manifests of 4 MiB (OCI distribution specification, "Push").
pub const MAX_DOCUMENT_BYTES: u64 = 4 << 20;

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";

/// The media types of layers that are read. What the type says of the compression is not relied on.
const LAYERS: [&str; 11] = [
    "application/vnd.oci.image.layer.v1.tar",
    "application/vnd.oci.image.layer.v1.tar+gzip",
    "application/vnd.oci.image.layer.v1.tar+zstd",
    "application/vnd.oci.image.layer.nondistributable.v1.tar",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip",
    "application/vnd.oci.image.layer.nondistributable.v1.tar+zstd",
    "application/vnd.docker.image.rootfs.diff.tar",
    "application/vnd.docker.image.rootfs.diff.tar.gzip",
    "application/vnd.docker.image.rootfs.diff.tar.zstd",
    "application/vnd.docker.image.rootfs.foreign.diff.tar",
    "application/vnd.docker.image.rootfs.foreign.diff.tar.gzip",
];

/// Why a document cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Larger than any.
    #[error("read the {0}: it is larger than {MAX_DOCUMENT_BYTES} bytes")]
    TooLarge(&'static str),
    /// No JSON, or other fields than such a document has.
    #[error("read the {0}")]
    Json(&'static str, #[source] serde_json::Error),
    /// Neither an index nor a manifest, or both.
    #[error("read the manifest: it {0}")]
    Shape(&'static str),
    /// A document or layer of a type that is not read.
    #[error("read the {what}: its media type is `{found}`{why}")]
    MediaType {
        /// What has the type.
        what: &'static str,
        /// The type, cut and escaped.
        found: String,
        /// What can be said about it.
        why: &'static str,
    },
    /// A digest that is none, or of another kind than every registry has.
    #[error("read the manifest: `{0}` is no SHA-256 digest")]
    Digest(String),
    /// The configuration and the manifest do not belong together.
    #[error("read the image: its configuration lists {diff_ids} layers, its manifest {layers}")]
    Layers {
        /// Layers by the configuration.
        diff_ids: usize,
        /// Layers by the manifest.
        layers: usize,
    },
}

/// What a manifest or index says of another document or of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Its media type.
    pub media_type: String,
    /// SHA-256, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// Its size.
    pub size_bytes: u64,
    /// What it runs on, where the index says it.
    pub platform: Option<Platform>,
    /// Its name in a layout (`org.opencontainers.image.ref.name`).
    pub name: Option<String>,
}

/// What an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Platform {
    /// Operating system (`linux`).
    #[serde(default)]
    pub os: String,
    /// Architecture by Go's names (`amd64`).
    #[serde(default)]
    pub architecture: String,
    /// Variant (`v8`).
    #[serde(default)]
    pub variant: Option<String>,
}

/// What names an image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Document {
    /// Images of several platforms.
    Index(Vec<Descriptor>),
    /// One image.
    Manifest(Manifest),
}

/// One image: its configuration and its layers, lowest first, each of a type that is read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The configuration.
    pub config: Descriptor,
    /// The layers.
    pub layers: Vec<Descriptor>,
}

/// The configuration of an image.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Operating system; empty where it is not said.
    pub os: String,
    /// Architecture by Go's names; empty where it is not said.
    pub architecture: String,
    /// When it was made, in seconds since 1970, where it says so.
    pub created_secs: Option<i64>,
    /// SHA-256 of each layer as plain tar, 64 hexadecimal digits, lowest first.
    pub diff_ids: Vec<String>,
    /// Environment, in its order; of two of one name the last.
    pub env: BTreeMap<String, String>,
    /// What starts, and its arguments: entry point, then command.
    pub command: Vec<String>,
    /// The user that it starts as, as written (`1000:1000`, `nobody`); empty for root.
    pub user: String,
    /// The folder that it starts in; empty for the root.
    pub working_dir: String,
    /// How the image came about, as written.
    pub history: Vec<Value>,
}

/// One image of a `docker-archive`: names of members of the tar file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct ArchivedImage {
    /// The member that holds the configuration.
    #[serde(rename = "Config")]
    pub config: String,
    /// Names with tags.
    #[serde(rename = "RepoTags", default, deserialize_with = "null_is_empty")]
    pub names: Vec<String>,
    /// The members that hold the layers, lowest first.
    #[serde(rename = "Layers", default, deserialize_with = "null_is_empty")]
    pub layers: Vec<String>,
}

/// There is no image for a platform; what there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NoPlatform(pub Vec<String>);

#[derive(Deserialize)]
struct RawDocument {
    #[serde(rename = "schemaVersion", default)]
    schema_version: u32,
    #[serde(rename = "mediaType")]
    media_type: Option<String>,
    config: Option<RawDescriptor>,
    #[serde(default, deserialize_with = "null_is_none")]
    layers: Option<Vec<RawDescriptor>>,
    #[serde(default, deserialize_with = "null_is_none")]
    manifests: Option<Vec<RawDescriptor>>,
}

#[derive(Deserialize)]
struct RawDescriptor {
    #[serde(rename = "mediaType", default)]
    media_type: String,
    digest: String,
    size: u64,
    platform: Option<Platform>,
    annotations: Option<BTreeMap<String, Value>>,
}

#[derive(Deserialize)]
struct RawConfig {
    #[serde(default)]
    os: String,
    #[serde(default)]
    architecture: String,
    created: Option<String>,
    rootfs: RawRootfs,
    #[serde(default, deserialize_with = "null_is_default")]
    config: RawRun,
    #[serde(default, deserialize_with = "null_is_empty")]
    history: Vec<Value>,
}

#[derive(Deserialize)]
struct RawRootfs {
    #[serde(default, deserialize_with = "null_is_empty")]
    diff_ids: Vec<String>,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
struct RawRun {
    #[serde(deserialize_with = "null_is_empty")]
    env: Vec<String>,
    #[serde(deserialize_with = "null_is_empty")]
    entrypoint: Vec<String>,
    #[serde(deserialize_with = "null_is_empty")]
    cmd: Vec<String>,
    #[serde(deserialize_with = "null_is_default")]
    user: String,
    #[serde(deserialize_with = "null_is_default")]
    working_dir: String,
}

/// Reads an index or a manifest. `stated` is the media type by which it was announced.
///
/// # Errors
/// When it is neither, says both, or is of a type or names a layer of a type that is not read.
pub fn read_document(bytes: &[u8], stated: Option<&str>) -> Result<Document, DocumentError> {
    let raw: RawDocument = json(bytes, "manifest")?;
    if raw.schema_version == 1 {
        let why = ": this form of 2014 carries no digests of layers that can be relied on; push the image again";
        return Err(DocumentError::MediaType { what: "manifest", found: "schema version 1".to_owned(), why });
    }
    let is_index = match (&raw.manifests, &raw.layers, &raw.config) {
        (Some(_), None, None) => true,
        (None, Some(_), Some(_)) => false,
        (Some(_), _, _) => return Err(DocumentError::Shape("says both that it is one image and that it is several")),
        _ => return Err(DocumentError::Shape("names no layers and no images")),
    };
    for media_type in [raw.media_type.as_deref(), stated].into_iter().flatten() {
        check_type(media_type, is_index)?;
    }
    if let Some(manifests) = raw.manifests {
        let all: Result<_, _> = manifests.into_iter().map(descriptor).collect();
        return all.map(Document::Index);
    }
    let config = raw.config.ok_or(DocumentError::Shape("names no configuration"))?;
    let layers: Vec<Descriptor> =
        raw.layers.unwrap_or_default().into_iter().map(descriptor).collect::<Result<_, _>>()?;
    match layers.iter().find(|layer| !is_layer(&layer.media_type)) {
        Some(layer) => {
            let why = ": this is no image of a file system, or one of a newer kind";
            Err(DocumentError::MediaType { what: "layer", found: shown(&layer.media_type), why })
        }
        None => Ok(Document::Manifest(Manifest { config: descriptor(config)?, layers })),
    }
}

/// Reads the configuration of an image with this many layers.
///
/// # Errors
/// When it is none, or lists another number of layers.
pub fn read_config(bytes: &[u8], layers: usize) -> Result<Config, DocumentError> {
    let raw: RawConfig = json(bytes, "configuration")?;
    let diff_ids: Vec<String> = raw.rootfs.diff_ids.into_iter().map(sha256).collect::<Result<_, _>>()?;
    if diff_ids.len() != layers {
        return Err(DocumentError::Layers { diff_ids: diff_ids.len(), layers });
    }
    let pair = |text: &String| text.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned()));
    Ok(Config {
        os: raw.os,
        architecture: raw.architecture,
        created_secs: raw.created.as_deref().and_then(date::secs),
        diff_ids,
        env: raw.config.env.iter().filter_map(pair).filter(|(name, _)| !name.is_empty()).collect(),
        command: raw.config.entrypoint.into_iter().chain(raw.config.cmd).collect(),
        user: raw.config.user,
        working_dir: raw.config.working_dir,
        history: raw.history,
    })
}

/// Reads `manifest.json` of a `docker-archive`.
///
/// # Errors
/// When it is none.
pub fn read_archive_manifest(bytes: &[u8]) -> Result<Vec<ArchivedImage>, DocumentError> {
    json(bytes, "list of images")
}

/// The image of an index for Linux on an architecture by Go's name; `name` restricts the choice to images of this name.
/// An entry that does not say its platform is taken only where it is the only one.
///
/// # Errors
/// When there is none: the platforms that there are.
pub fn choose<'a>(
    index: &'a [Descriptor],
    architecture: &str,
    name: Option<&str>,
) -> Result<&'a Descriptor, NoPlatform> {
    let named: Vec<&Descriptor> =
        index.iter().filter(|one| name.is_none_or(|name| one.name.as_deref() == Some(name))).collect();
    if let [one] = named[..]
        && one.platform.is_none()
    {
        return Ok(one);
    }
    let fits = |platform: &Platform| platform.os == "linux" && platform.architecture == architecture;
    let fitting = || named.iter().copied().filter(|one| one.platform.as_ref().is_some_and(fits));
    let variant = |one: &&Descriptor| one.platform.as_ref().and_then(|platform| platform.variant.clone());
    // What runs on every machine of the architecture comes before what needs a newer one.
    let plain = fitting().find(|one| matches!(variant(one).as_deref(), None | Some("" | "v1" | "v8")));
    plain.or_else(|| fitting().next()).ok_or_else(|| {
        NoPlatform(named.iter().filter_map(|one| one.platform.as_ref().map(ToString::to_string)).collect())
    })
}

/// Whether this is the media type of a layer that is read.
pub fn is_layer(media_type: &str) -> bool {
    LAYERS.contains(&media_type)
}

impl Descriptor {
    /// Whether the type says that this is one image or several.
    pub fn is_image(&self) -> bool {
        [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST].contains(&self.media_type.as_str())
    }
}

impl std::fmt::Display for Platform {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let [os, architecture] = [&self.os, &self.architecture].map(|text| shown(text));
        match self.variant.as_deref().filter(|variant| !variant.is_empty()) {
            Some(variant) => write!(f, "{os}/{architecture}/{}", shown(variant)),
            None => write!(f, "{os}/{architecture}"),
        }
    }
}

/// What a document is announced as must be what it is: two programs must not read one document as two things.
fn check_type(media_type: &str, is_index: bool) -> Result<(), DocumentError> {
    let media_type = media_type.split(';').next().unwrap_or_default().trim();
    let index = [OCI_INDEX, DOCKER_LIST].contains(&media_type);
    let manifest = [OCI_MANIFEST, DOCKER_MANIFEST].contains(&media_type);
    match (index, manifest) {
        (true, _) if !is_index => Err(DocumentError::Shape("is announced as several images and is one")),
        (_, true) if is_index => Err(DocumentError::Shape("is announced as one image and is several")),
        (false, false) if media_type.starts_with("application/vnd.") => {
            let why = ": this is no image";
            Err(DocumentError::MediaType { what: "manifest", found: shown(media_type), why })
        }
        _ => Ok(()),
    }
}

fn json<'a, T: Deserialize<'a>>(bytes: &'a [u8], what: &'static str) -> Result<T, DocumentError> {
    if bytes.len() as u64 > MAX_DOCUMENT_BYTES {
        return Err(DocumentError::TooLarge(what));
    }
    serde_json::from_slice(bytes).map_err(|error| DocumentError::Json(what, error))
}

fn descriptor(raw: RawDescriptor) -> Result<Descriptor, DocumentError> {
    let name = raw.annotations.and_then(|mut all| match all.remove("org.opencontainers.image.ref.name") {
        Some(Value::String(name)) => Some(name),
        _ => None,
    });
    Ok(Descriptor {
        media_type: raw.media_type,
        sha256: sha256(raw.digest)?,
        size_bytes: raw.size,
        platform: raw.platform,
        name,
    })
}

fn sha256(digest: String) -> Result<String, DocumentError> {
    let is_hex =
        |digits: &&str| digits.len() == 64 && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
    let digits = digest.strip_prefix("sha256:").filter(is_hex).map(str::to_owned);
    digits.ok_or_else(|| DocumentError::Digest(shown(&digest)))
}

/// A foreign text as it may be shown.
fn shown(text: &str) -> String {
    text.chars().take(100).flat_map(char::escape_debug).collect()
}

fn null_is_empty<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Vec<T>, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn null_is_default<'de, D: serde::Deserializer<'de>, T: Deserialize<'de> + Default>(from: D) -> Result<T, D::Error> {
    Ok(Option::deserialize(from)?.unwrap_or_default())
}

fn null_is_none<'de, D: serde::Deserializer<'de>, T: Deserialize<'de>>(from: D) -> Result<Option<T>, D::Error> {
    Option::deserialize(from)
}
