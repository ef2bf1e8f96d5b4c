//! `appliance volume`: what appliances keep on this host from run to run, and its removal.

use std::path::Path;

use engine::{HeldVolume, Removed, remove_volumes, volumes};
use serde_json::json;

use crate::cli::VolumeVerb;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::Ui;
use crate::verbs::build::size;
use crate::verbs::plan::options;

/// This program, which is started again to look after volumes with the ids they belong to.
const HELPER: &str = "/proc/self/exe";

/// Lists or removes volumes.
pub fn volume(verb: &VolumeVerb, ui: &Ui) -> Result<Exit, Failure> {
    let options = options();
    let all = volumes(&options.volumes_folder, &options.state_folder, Path::new(HELPER))
        .map_err(|error| Failure::new(Exit::Failure, error))?;
    match verb {
        VolumeVerb::Ls => Ok(ls(&all, ui)),
        VolumeVerb::Rm { names, all: of_appliances } => {
            let (meant, missing) = choose(&all, names, *of_appliances)?;
            let done = remove_volumes(&options.volumes_folder, &options.state_folder, Path::new(HELPER), &meant)
                .map_err(|error| Failure::new(Exit::Failure, error).help("stop it first; nothing was removed"))?;
            Ok(rm(&done, &missing, ui))
        }
    }
}

/// The volumes that are meant, and the names that mean none. A name is `APPLIANCE/VOLUME`, or an appliance.
fn choose(
    all: &[HeldVolume],
    names: &[String],
    of_appliances: bool,
) -> Result<(Vec<HeldVolume>, Vec<String>), Failure> {
    let (mut meant, mut missing) = (Vec::<HeldVolume>::new(), Vec::new());
    for name in names {
        if name.contains('/') == of_appliances {
            let what = format!("understand the name {name:?}");
            let help = if of_appliances {
                "with --all each name is that of an appliance".to_owned()
            } else {
                format!("write APPLIANCE/VOLUME, as `appliance volume ls` does, or for all of {name}: --all {name}")
            };
            return Err(Failure::new(Exit::Usage, what).help(help));
        }
        let is_meant = |volume: &&HeldVolume| {
            if of_appliances { volume.appliance == *name } else { volume.full_name() == *name }
        };
        let before = meant.len();
        meant.extend(all.iter().filter(is_meant).filter(|volume| !meant.contains(volume)).cloned().collect::<Vec<_>>());
        if before == meant.len() && !all.iter().any(|volume| is_meant(&volume)) {
            missing.push(name.clone());
        }
    }
    Ok((meant, missing))
}

fn ls(all: &[HeldVolume], ui: &Ui) -> Exit {
    if ui.json {
        let row = |volume: &HeldVolume| {
            json!({
                "appliance": volume.appliance, "name": volume.name, "path": volume.folder,
                "bytes": volume.size_bytes, "used_by": volume.used_by,
            })
        };
        ui.json(&json!({ "ok": true, "volumes": all.iter().map(row).collect::<Vec<_>>() }));
        return Exit::Success;
    }
    let width = all.iter().map(|volume| volume.full_name().len()).max().unwrap_or(0);
    for volume in all {
        let bytes = volume.size_bytes.map_or_else(|| "?".to_owned(), size);
        let used =
            if volume.used_by.is_empty() { String::new() } else { format!("  used by {}", volume.used_by.join(", ")) };
        ui.result(&format!("{:width$} {bytes:>10}  {}{used}\n", volume.full_name(), volume.folder.display()));
    }
    if all.is_empty() {
        ui.note("there are no volumes");
    }
    Exit::Success
}

fn rm(done: &Removed, missing: &[String], ui: &Ui) -> Exit {
    let ok = done.left.is_empty();
    if ui.json {
        ui.json(&json!({ "ok": ok, "removed": done.removed, "missing": missing, "left": done.left }));
    }
    done.removed.iter().for_each(|name| ui.note(format!("removed {name}")));
    missing.iter().for_each(|name| ui.note(format!("there is no volume of {name}")));
    done.left.iter().for_each(|what| ui.warn(format!("could not remove {what}")));
    if ok { Exit::Success } else { Exit::Failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(appliance: &str, name: &str) -> HeldVolume {
        HeldVolume {
            appliance: appliance.to_owned(),
            name: name.to_owned(),
            folder: format!("/{appliance}/{name}").into(),
            size_bytes: None,
            used_by: Vec::new(),
        }
    }

    fn chosen(names: &[&str], of_appliances: bool) -> Result<(Vec<String>, Vec<String>), Exit> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let all = [held("a", "one"), held("a", "two"), held("b", "one")];
        let (meant, missing) = choose(&all, &names, of_appliances).map_err(|failure| failure.exit())?;
        Ok((meant.iter().map(HeldVolume::full_name).collect(), missing))
    }

    #[test]
    fn names_mean_volumes_or_with_all_appliances() {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(chosen(&["a/two", "a/two", "b/none"], false), Ok((texts(&["a/two"]), texts(&["b/none"]))));
        assert_eq!(chosen(&["a", "c"], true), Ok((texts(&["a/one", "a/two"]), texts(&["c"]))));
        assert_eq!(chosen(&["a"], false), Err(Exit::Usage));
        assert_eq!(chosen(&["a/one"], true), Err(Exit::Usage));
    }
}
