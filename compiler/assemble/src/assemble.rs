//! The ordered steps of assembling, on one screen.

use std::collections::BTreeMap;

use spec::appliance::Init;
use tree::Tree;

use crate::error::AssembleError;
use crate::family::{Installed, Order};
use crate::files::Files;
use crate::inputs::{Assembled, Inputs, Origin};
use crate::{base_files, canonical, entries, family, settings, systemd, volumes};

/// Makes the tree of an appliance.
///
/// # Errors
/// When packages conflict or are malformed, a script is refused or fails, or the spec names what is not in the image.
pub fn assemble(inputs: Inputs<'_>) -> Result<Assembled, AssembleError> {
    let Inputs { appliance, arch, base, image, packages, ids, blobs, sources, guest, epoch_secs, scripts, runner } =
        inputs;
    let of_image = image.iter().flat_map(Tree::iter).map(|(path, ..)| (path.clone(), Origin::Image));
    let mut origins: BTreeMap<_, _> = of_image.collect();
    let mut tree = image.unwrap_or_default();
    let mut installed = Installed::default();
    let mut files = Files { root: &mut tree, blobs, epoch_secs };

    if let Some(base) = base {
        let order = Order { appliance, arch, base, packages, ids, sources, scripts };
        installed = family::install(&mut files, order, runner, &mut origins)?;
    }
    base_files::make_folders(&mut files)?;
    base_files::write_names(&mut files, appliance)?;
    entries::add_users(&mut files, &appliance.users)?;
    let mistakes = entries::put_entries(&mut files, &appliance.entries, (arch, sources), &mut origins)?;
    base_files::make_claimed_folders(&mut files, appliance)?;
    AssembleError::of([mistakes, volumes::mistakes(&files, appliance, &origins)].concat())?;
    base_files::put_guest(&mut files, guest, &mut origins)?;
    let (settings, place) = settings::write_settings(&mut files, appliance)?;
    origins.insert(place, Origin::Appliance);
    if appliance.init == Init::Systemd {
        systemd::write(&mut files, &settings, &mut origins)?;
    }
    let warnings = volumes::warnings(&files, appliance, &settings);

    origins.retain(|path, _| tree.get(path).is_some());
    canonical::canonicalise(&mut tree, &origins, epoch_secs);
    Ok(Assembled { tree, ledger: installed.ledger, ids: installed.ids, settings, origins, warnings })
}
