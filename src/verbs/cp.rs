//! `appliance cp`: files and folders into an instance and out of it.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::cli_instances::Cp;
use crate::copy::{Copier, Place};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::instances::{Instances, connect};
use crate::ui::{Ui, counted};

/// Copies into an instance or out of it.
pub fn cp(args: &Cp, ui: &Ui) -> Result<Exit, Failure> {
    let usage = |what: &str| {
        Failure::new(Exit::Usage, what)
            .help("write appliance cp FILE INSTANCE:/PATH, or appliance cp INSTANCE:/PATH FILE")
    };
    let instances = Instances::look(ui)?;
    let (from, to) = (place(&args.from), place(&args.to));
    let (word, copied) = match (&from, &to) {
        (Place::Here(here), Place::Inside { instance, path }) => {
            let found = instances.live(instance)?;
            let mut copier = Copier::new(connect(&found)?, args.archive);
            (instance, copier.inward(here, path).map(|()| copier.count))
        }
        (Place::Inside { instance, path }, Place::Here(here)) => {
            let found = instances.live(instance)?;
            let mut copier = Copier::new(connect(&found)?, args.archive);
            (instance, copier.outward(path, here).map(|()| copier.count))
        }
        (Place::Here(_), Place::Here(_)) => return Err(usage("copy: neither place is in an instance")),
        _ => return Err(usage("copy: both places are in an instance")),
    };
    let count =
        copied.map_err(|error| Failure::doing(Exit::Failure, format!("copy {} to {}", args.from, args.to), error))?;
    let what = counted(count, "file, folder or link", "files, folders and links");
    ui.detail(format!("copied {what} of {word}"));
    if ui.json {
        ui.json(&json!({ "ok": true, "copied": count }));
    }
    Ok(Exit::Success)
}

/// `INSTANCE:PATH` is inside; a path of this host that holds a colon is written with a slash before it.
fn place(text: &str) -> Place {
    match text.split_once(':') {
        Some((instance, path)) if !instance.is_empty() && !instance.contains('/') => {
            let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
            Place::Inside { instance: instance.to_owned(), path }
        }
        _ => Place::Here(PathBuf::from(Path::new(text))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        let inside = |path: &str| Place::Inside { instance: "web".to_owned(), path: path.to_owned() };
        assert_eq!(place("web:/a:b"), inside("/a:b"));
        assert_eq!(place("web:a"), inside("/a"));
        for here in ["a", "./web:a", "/x:y", ":a", "."] {
            assert_eq!(place(here), Place::Here(here.into()), "{here}");
        }
    }
}
