//! Pulls an image into a store, for `tools/bench`: `pull_image REFERENCE STORE` resolves the name and fetches all of the
//! image for this machine, verified, as a build does before it unpacks anything.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use spec::ImageReference;
use spec::appliance::Arch;
use store::{ImageRequest, Silent, Store};

fn main() -> Result<(), Box<dyn Error>> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let [reference, folder] = args.as_slice() else { return Err("usage: pull_image REFERENCE STORE".into()) };
    let store = Store::open(Path::new(folder))?;
    let (reference, mirrors) =
        (ImageReference::parse(reference).map_err(|_| "no reference of an image")?, BTreeMap::new());
    let request = ImageRequest {
        reference: &reference,
        folder: Path::new("."),
        offline: false,
        mirrors: &mirrors,
        auth_files: &[],
        certificates: &[],
    };
    let root = store.resolve_image(&request)?;
    let arch = if cfg!(target_arch = "aarch64") { Arch::Arm64 } else { Arch::Amd64 };
    let images = store.images(&request, root, &[arch])?;
    Ok(store.fetch_layers(&request, &images, &Silent)?)
}
