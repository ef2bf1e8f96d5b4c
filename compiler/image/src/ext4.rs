//! The bare ext4 root: its file name, its derived ids and its size.

use formats::ext4::{self, Options, Size};
use spec::Appliance;

use crate::plan::{Ext4Plan, Identity, PlanError, RootInput};

/// Free space of a root that is written to: enough to start with until it is grown where it runs.
const WRITABLE_FREE_BYTES: u64 = 64 << 20;

/// Decides the file system of one root. Its file is `root.ext4`, with the architecture in the name where there are several.
pub(crate) fn plan(
    appliance: &Appliance,
    root: &RootInput,
    several: bool,
    identity: &Identity,
) -> Result<Ext4Plan, PlanError> {
    let arch = root.arch.name();
    let path = if several { format!("root-{arch}.ext4") } else { "root.ext4".to_owned() };
    let uuid = identity.uuid(&format!("ext4/{arch}/uuid"));
    let hash_seed = identity.uuid(&format!("ext4/{arch}/hash-seed"));
    let epoch_secs = u64::try_from(identity.epoch_secs).unwrap_or(0);
    let mut options = Options { label: "root".to_owned(), ..Options::read_only(uuid, hash_seed, epoch_secs) };
    if !appliance.isolation.read_only_root {
        options.journal = true;
        options.size = Size::Minimal { free_bytes: WRITABLE_FREE_BYTES, free_percent: 10 };
    }
    let layout = ext4::plan(&root.tree, &options).map_err(|source| PlanError::Ext4 { arch, source })?;
    Ok(Ext4Plan { path, layout })
}
