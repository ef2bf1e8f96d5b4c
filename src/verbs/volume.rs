//! `appliance volume`: what appliances keep on this host from run to run, and its removal.

use std::path::Path;

use engine::{HeldVolume, Removed, VolumeKind, remove_volumes, volumes};
use serde_json::{Value, json};

use crate::cli::{self, VolumeVerb};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::Ui;
use crate::verbs::build::size;
use crate::verbs::plan::options;

/// This program, which is started again to look after volumes with the ids they belong to.
const HELPER: &str = "/proc/self/exe";

/// What is meant by the words of a command line.
#[derive(Debug, Default)]
struct Chosen {
    volumes: Vec<HeldVolume>,
    /// Names that mean none.
    missing: Vec<String>,
}

/// Lists or removes volumes.
pub fn volume(verb: &VolumeVerb, ui: &Ui) -> Result<Exit, Failure> {
    let options = options();
    let all = volumes(&options.volumes_folder, &options.state_folder, Path::new(HELPER))
        .map_err(|error| Failure::new(Exit::Failure, error))?;
    match verb {
        VolumeVerb::Ls => Ok(ls(&all, ui)),
        VolumeVerb::Rm { names, all: of_appliances, kind } => {
            let of_kind = all.iter().filter(|volume| kind.is_none_or(|kind| is_of(volume, kind))).cloned();
            let of_kind: Vec<HeldVolume> = of_kind.collect();
            let chosen = choose(&of_kind, names, *of_appliances)?;
            if chosen.volumes.is_empty()
                && let [only] = chosen.missing.as_slice()
            {
                return Err(unknown(only, &of_kind, *of_appliances));
            }
            let done =
                remove_volumes(&options.volumes_folder, &options.state_folder, Path::new(HELPER), &chosen.volumes)
                    .map_err(|error| Failure::new(Exit::Failure, error).help("stop it first; nothing was removed"))?;
            let unknown = chosen.missing.iter().map(|name| unknown(name, &of_kind, *of_appliances)).collect();
            Ok(rm(&done, unknown, &chosen.missing, ui))
        }
    }
}

fn is_of(volume: &HeldVolume, kind: cli::VolumeKind) -> bool {
    volume.kind
        == match kind {
            cli::VolumeKind::Container => VolumeKind::Container,
            cli::VolumeKind::Machine => VolumeKind::Machine,
        }
}

/// The volumes that are meant, and the names that mean none. A name is `APPLIANCE/VOLUME`, or an appliance.
fn choose(all: &[HeldVolume], names: &[String], of_appliances: bool) -> Result<Chosen, Failure> {
    let mut chosen = Chosen::default();
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
        let is_meant = |volume: &&HeldVolume| name_of(volume, of_appliances) == *name;
        let meant: Vec<HeldVolume> = all.iter().filter(is_meant).cloned().collect();
        if meant.is_empty() {
            chosen.missing.push(name.clone());
        }
        let new: Vec<HeldVolume> = meant.into_iter().filter(|volume| !chosen.volumes.contains(volume)).collect();
        chosen.volumes.extend(new);
    }
    Ok(chosen)
}

/// The word that means it.
fn name_of(volume: &HeldVolume, of_appliances: bool) -> String {
    if of_appliances { volume.appliance.clone() } else { volume.full_name() }
}

fn unknown(name: &str, all: &[HeldVolume], of_appliances: bool) -> Failure {
    let what = if of_appliances {
        format!("remove the volumes of {name}: there are none")
    } else {
        format!("remove the volume {name}: there is none")
    };
    let names: Vec<String> = all.iter().map(|volume| name_of(volume, of_appliances)).collect();
    let help = match spec::nearest(name, names.iter().map(String::as_str)) {
        Some(near) => format!("did you mean {near}?"),
        None => "see which there are with: appliance volume ls".to_owned(),
    };
    Failure::new(Exit::Failure, what).help(help)
}

/// Whose it is, in a word.
fn kind_word(volume: &HeldVolume) -> &'static str {
    match volume.kind {
        VolumeKind::Container => "container",
        VolumeKind::Machine => "machine",
    }
}

fn as_json(volume: &HeldVolume) -> Value {
    json!({
        "appliance": volume.appliance, "name": volume.name, "kind": volume.kind, "path": volume.folder,
        "bytes": volume.size_bytes, "used_by": volume.used_by,
    })
}

fn ls(all: &[HeldVolume], ui: &Ui) -> Exit {
    if ui.json {
        ui.json(&json!({ "ok": true, "volumes": all.iter().map(as_json).collect::<Vec<_>>() }));
        return Exit::Success;
    }
    let width = all.iter().map(|volume| volume.full_name().len()).max().unwrap_or(0);
    for volume in all {
        let (name, kind) = (volume.full_name(), kind_word(volume));
        let bytes = volume.size_bytes.map_or_else(|| "?".to_owned(), size);
        let used =
            if volume.used_by.is_empty() { String::new() } else { format!("  used by {}", volume.used_by.join(", ")) };
        ui.result(&format!("{name:width$}  {kind:9} {bytes:>10}  {}{used}\n", volume.folder.display()));
    }
    if all.is_empty() {
        ui.note("there are no volumes");
    }
    Exit::Success
}

fn rm(done: &Removed, unknown: Vec<Failure>, missing: &[String], ui: &Ui) -> Exit {
    let ok = done.left.is_empty() && unknown.is_empty();
    if ui.json {
        let removed: Vec<Value> = done.removed.iter().map(as_json).collect();
        ui.json(&json!({ "ok": ok, "removed": removed, "missing": missing, "left": done.left }));
        return if ok { Exit::Success } else { Exit::Failure };
    }
    for volume in &done.removed {
        ui.note(format!("removed {}, which {}s had", volume.full_name(), kind_word(volume)));
    }
    unknown.iter().for_each(|failure| ui.failure(failure));
    done.left.iter().for_each(|what| ui.warn(format!("could not remove {what}")));
    if ok { Exit::Success } else { Exit::Failure }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(appliance: &str, name: &str, kind: VolumeKind) -> HeldVolume {
        let (appliance, name) = (appliance.to_owned(), name.to_owned());
        let folder = format!("/{appliance}/{name}").into();
        HeldVolume { appliance, name, kind, folder, size_bytes: None, used_by: Vec::new() }
    }

    fn all() -> [HeldVolume; 4] {
        use VolumeKind::{Container, Machine};
        [held("a", "one", Container), held("a", "one", Machine), held("a", "two", Container), held("b", "one", Machine)]
    }

    fn chosen(names: &[&str], of_appliances: bool) -> Result<(Vec<String>, Vec<String>), Exit> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let chosen = choose(&all(), &names, of_appliances).map_err(|failure| failure.exit())?;
        let shown = |volume: &HeldVolume| format!("{} {}", volume.full_name(), kind_word(volume));
        Ok((chosen.volumes.iter().map(shown).collect(), chosen.missing))
    }

    #[test]
    fn names_mean_volumes_or_with_all_appliances() {
        let texts = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        assert_eq!(chosen(&["a/two", "a/two", "b/none"], false), Ok((texts(&["a/two container"]), texts(&["b/none"]))));
        assert_eq!(chosen(&["a/one"], false), Ok((texts(&["a/one container", "a/one machine"]), texts(&[]))));
        let both = texts(&["a/one container", "a/one machine", "a/two container"]);
        assert_eq!(chosen(&["a", "c"], true), Ok((both, texts(&["c"]))));
        assert_eq!(chosen(&["a"], false), Err(Exit::Usage));
        assert_eq!(chosen(&["a/one"], true), Err(Exit::Usage));
    }

    #[test]
    fn an_unknown_name_is_told_with_the_nearest() {
        let help = |name, of_appliances| unknown(name, &all(), of_appliances).remedy().map(str::to_owned);
        assert_eq!(help("a/onn", false).as_deref(), Some("did you mean a/one?"));
        assert_eq!(help("far/away-from-it", false).as_deref(), Some("see which there are with: appliance volume ls"));
    }
}
