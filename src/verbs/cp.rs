//! `appliance cp`: files and folders into an instance and out of it.

use std::path::{Path, PathBuf};

use engine::ConnectionError;
use serde_json::json;

use crate::cli_instances::Cp;
use crate::copy::{Copier, CopyError, Place};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::instances::{Instances, connect, talking};
use crate::ui::{Ui, counted};

/// Copies into an instance or out of it.
pub fn cp(args: &Cp, ui: &Ui) -> Result<Exit, Failure> {
    let usage = |what: &str| {
        Failure::new(Exit::Usage, what)
            .help("write appliance cp FILE INSTANCE:/PATH, or appliance cp INSTANCE:/PATH FILE")
    };
    let instances = Instances::look(ui)?;
    let (from, to) = (place(&args.from), place(&args.to));
    let (found, copier, copied) = match (&from, &to) {
        (Place::Here(here), Place::Inside { instance, path }) => {
            let found = instances.live(instance)?;
            let mut copier = Copier::new(connect(&found)?, args.archive);
            let copied = copier.inward(here, path);
            (found, copier, copied)
        }
        (Place::Inside { instance, path }, Place::Here(here)) => {
            let found = instances.live(instance)?;
            let mut copier = Copier::new(connect(&found)?, args.archive);
            let copied = copier.outward(path, here);
            (found, copier, copied)
        }
        (Place::Here(_), Place::Here(_)) => return Err(usage("copy: neither place is in an instance")),
        _ => return Err(usage("copy: both places are in an instance")),
    };
    copied.map_err(|error| match error {
        CopyError::Connection(error @ ConnectionError::Paused) => talking(&found, error),
        error => Failure::doing(Exit::Failure, format!("copy {} to {}", args.from, args.to), error),
    })?;
    Ok(tell(&copier, ui))
}

/// Says what was copied, and what was not.
fn tell(copier: &Copier, ui: &Ui) -> Exit {
    let Copier { count, left_out, not_given, .. } = copier;
    ui.detail(format!("copied {}", counted(*count, "file, folder or link", "files, folders and links")));
    for path in left_out {
        ui.warn(format!("left out {path}: a device, a socket or a pipe is not copied"));
    }
    if *not_given > 0 {
        let what = counted(*not_given, "file, folder or link is", "files, folders and links are");
        ui.note(format!("{what} yours now: only root gives files to others"));
    }
    let ok = left_out.is_empty();
    if ui.json {
        ui.json(&json!({ "ok": ok, "copied": count, "left_out": left_out, "owners_not_kept": not_given }));
    }
    if ok { Exit::Success } else { Exit::Failure }
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
