//! The plan of an image build: layers, file systems and ids, all decided before a byte is written.

use std::collections::BTreeMap;

use spec::appliance::{Appliance, Arch, Output};
use thiserror::Error;
use tree::{Tree, TreePath};

use crate::above::{BaseLayer, BaseLayers, cut_above};
use crate::layers::{Layer, Part, cut};
use crate::machine_files::{self, MachinePlan};
use crate::oci::Process;
use crate::volumes::{self, VolumePlan};
use crate::wsl::{self, WslPlan};

/// What names and times in artifacts derive from.
#[derive(Debug, Clone)]
pub struct Identity {
    /// BLAKE3 of the lock's core: every id is derived from it and a role, never drawn.
    pub lock_core: tree::Digest,
    /// Seconds since 1970 UTC for every time that no file carries.
    pub epoch_secs: i64,
    /// The version of this program, for the manifest.
    pub tool_version: String,
}

impl Identity {
    /// The id of a role: the first 128 bits of BLAKE3(domain ‖ lock core ‖ role), stamped as a UUID of version 8 (RFC 9562, section 5.8).
    pub fn uuid(&self, role: &str) -> [u8; 16] {
        let mut hasher = blake3::Hasher::new_derive_key("appliance 2026 derived id");
        hasher.update(&self.lock_core.0);
        hasher.update(role.as_bytes());
        let mut id = [0; 16];
        hasher.finalize_xof().fill(&mut id);
        id[6] = id[6] & 0x0f | 0x80;
        id[8] = id[8] & 0x3f | 0x80;
        id
    }
}

/// The root of one architecture.
pub struct RootInput {
    /// The architecture.
    pub arch: Arch,
    /// The finished tree.
    pub tree: Tree,
    /// Which part each path belongs to.
    pub part_of: BTreeMap<TreePath, Part>,
    /// The image that the root stands on.
    pub image: Option<BaseLayers>,
}

/// Everything a build will write, decided.
pub struct ImagePlan {
    pub(crate) roots: Vec<RootPlan>,
    pub(crate) oci: bool,
    pub(crate) volumes: Vec<VolumePlan>,
    pub(crate) identity: Identity,
    pub(crate) process: Process,
}

/// What will be written for one architecture.
pub(crate) struct RootPlan {
    pub arch: Arch,
    pub tree: Tree,
    /// Empty without an OCI output.
    pub layers: Vec<Layer>,
    /// Layers below these that are taken as they are, and how they came about.
    pub below: Vec<BaseLayer>,
    pub history: Vec<serde_json::Value>,
    pub ext4: Option<Ext4Plan>,
    /// What boots from the same file system.
    pub machine: Option<MachinePlan>,
    pub wsl: Option<WslPlan>,
}

/// A file system to write and the name of its file.
pub(crate) struct Ext4Plan {
    pub path: String,
    pub layout: formats::ext4::Layout,
}

/// Why an image cannot be planned.
#[derive(Debug, Error)]
pub enum PlanError {
    /// The tree does not fit the file system's format.
    #[error("lay out the root for {arch} as an ext4 file system")]
    Ext4 {
        /// The architecture.
        arch: &'static str,
        /// What does not fit.
        #[source]
        source: formats::ext4::PlanError,
    },
    /// The empty file system of a volume.
    #[error("lay out the disk of the volume {name}")]
    Volume {
        /// The volume.
        name: String,
        /// What does not fit.
        #[source]
        source: formats::ext4::PlanError,
    },
    /// What WSL wants to find cannot be put into the root.
    #[error("put WSL's configuration into the root for {arch}")]
    Wsl {
        /// The architecture.
        arch: &'static str,
        /// What stands in its way.
        #[source]
        source: tree::InsertError,
    },
}

impl ImagePlan {
    /// A readable account of everything that will be written, for `-v` and for tests.
    pub fn dump(&self) -> String {
        let mut out = String::new();
        for root in &self.roots {
            out.push_str(&format!("root {} entries={}\n", root.arch.name(), root.tree.len()));
            for layer in &root.below {
                out.push_str(&format!("  layer below sha256:{} size={}\n", layer.digest, layer.size_bytes));
            }
            for layer in &root.layers {
                out.push_str(&format!(
                    "  layer {:?} entries={} key={}\n",
                    layer.part.name(),
                    layer.tree.len(),
                    layer.key
                ));
            }
            if let Some(ext4) = &root.ext4 {
                out.push_str(&format!("  ext4 {} size={}\n", ext4.path, ext4.layout.size_bytes()));
            }
            if let Some(wsl) = &root.wsl {
                out.push_str(&format!("  wsl {}\n", wsl.path));
            }
            for file in root.machine.iter().flat_map(|machine| &machine.files) {
                out.push_str(&format!("  {:?} {}\n", file.kind, file.path));
            }
        }
        out
    }
}

/// Decides what to write for these roots.
///
/// # Errors
/// When a tree does not fit a format that the spec asks for.
pub fn plan(
    appliance: &Appliance,
    args: Vec<String>,
    env: BTreeMap<String, String>,
    roots: Vec<RootInput>,
    identity: Identity,
) -> Result<ImagePlan, PlanError> {
    let oci = appliance.outputs.contains(&Output::Oci);
    let several = roots.len() > 1;
    let roots = roots
        .into_iter()
        .map(|root| {
            let layers = match &root.image {
                _ if !oci => Vec::new(),
                Some(image) => cut_above(&image.tree, &root.tree, &root.part_of, crate::ENCODER),
                None => cut(&root.tree, &root.part_of, crate::ENCODER),
            };
            let machine = machine_files::plan(appliance, root.arch, several);
            let ext4 = match machine.is_some() || appliance.outputs.contains(&Output::Ext4) {
                true => Some(crate::ext4::plan(appliance, &root, several, &identity)?),
                false => None,
            };
            let arch = root.arch;
            let wsl = appliance.outputs.contains(&Output::Wsl);
            let wsl = wsl.then(|| wsl::plan(appliance, arch, &root.tree, several, identity.epoch_secs)).transpose();
            let wsl = wsl.map_err(|source| PlanError::Wsl { arch: arch.name(), source })?;
            let (below, history) = root.image.map(|image| (image.layers, image.history)).unwrap_or_default();
            Ok(RootPlan { arch, tree: root.tree, layers, below, history, ext4, machine, wsl })
        })
        .collect::<Result<_, PlanError>>()?;
    let volumes = volumes::plan(appliance, &identity)?;
    Ok(ImagePlan { roots, oci, volumes, identity, process: Process { args, env } })
}
