//! `appliance store`: what the cache holds, what may go, whether it is sound.

use std::path::Path;
use std::time::Duration;

use serde_json::json;
use store::Garbage;

use crate::cli::{Store, StoreVerb};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::progress::Bar;
use crate::ui::{Ui, counted};
use crate::verbs::build::size;
use crate::workshop::open_store;

/// Does what was asked of the cache.
pub fn store(args: &Store, ui: &Ui) -> Result<Exit, Failure> {
    let store = open_store()?;
    let failed = |error| Failure::new(Exit::Failure, error);
    match &args.verb {
        StoreVerb::Path => ui.result(&format!("{}\n", store.root().display())),
        StoreVerb::Usage => {
            let mut rows = store.usage().map_err(failed)?;
            let roots = engine::roots_usage(store.root(), Path::new(HELPER)).map_err(unpacked)?;
            rows.push(store::Usage { kind: "roots", entries: roots.entries, size_bytes: roots.size_bytes });
            usage(&rows, ui);
        }
        StoreVerb::Clean { older_than } => {
            let unused_for = Duration::from_secs(u64::from(*older_than) * 86_400);
            let garbage = Garbage { unused_for: Some(unused_for), ..Garbage::default() };
            let gone = store.collect_garbage(&garbage).map_err(failed)?;
            let roots = engine::collect_roots(store.root(), unused_for, Path::new(HELPER)).map_err(unpacked)?;
            let left_young = gone.entries + roots.entries == 0 && *older_than > 0;
            let exit = cleaned(gone.entries + roots.entries, gone.size_bytes + roots.size_bytes, &roots.left, ui);
            if left_young && store.usage().map_err(failed)?.iter().any(|row| row.entries > 0) {
                ui.note(format!("all of it was used in the last {older_than} days; to remove that too: {CLEAN_ALL}"));
            }
            return Ok(exit);
        }
        StoreVerb::Verify => return verify(&store, ui),
    }
    Ok(Exit::Success)
}

/// This program, which is started again to look after unpacked layers with the ids they belong to.
const HELPER: &str = "/proc/self/exe";

/// The command that leaves nothing but what running builds need.
const CLEAN_ALL: &str = "appliance store clean --older-than 0";

fn unpacked(error: std::io::Error) -> Failure {
    Failure::doing(Exit::Failure, "look after unpacked layers", error)
}

fn cleaned(entries: u64, bytes: u64, left: &[String], ui: &Ui) -> Exit {
    if ui.json {
        ui.json(&json!({ "ok": left.is_empty(), "entries": entries, "bytes": bytes, "left": left }));
    }
    left.iter().for_each(|what| ui.warn(format!("could not remove {what}")));
    let what = counted(entries, "entry", "entries");
    ui.note(format!("removed {what}, {}", size(bytes)));
    if left.is_empty() { Exit::Success } else { Exit::Failure }
}

fn usage(usage: &[store::Usage], ui: &Ui) {
    if ui.json {
        let rows: Vec<_> = usage
            .iter()
            .map(|row| json!({ "kind": row.kind, "entries": row.entries, "bytes": row.size_bytes }))
            .collect();
        return ui.json(&json!({ "ok": true, "usage": rows }));
    }
    let row = |kind: &str, entries: u64, bytes: u64| format!("{kind:10} {entries:>6} {:>10}\n", size(bytes));
    let sum = |field: fn(&store::Usage) -> u64| usage.iter().map(field).sum();
    let rows: String = usage.iter().map(|one| row(one.kind, one.entries, one.size_bytes)).collect();
    ui.result(&(rows + &row("all", sum(|one| one.entries), sum(|one| one.size_bytes))));
}

fn verify(store: &store::Store, ui: &Ui) -> Result<Exit, Failure> {
    let damaged = store.verify(&Bar::new(ui)).map_err(|error| Failure::new(Exit::Failure, error))?;
    if ui.json {
        let paths: Vec<_> = damaged.iter().map(|damage| &damage.path).collect();
        ui.json(&json!({ "ok": damaged.is_empty(), "removed": paths }));
    }
    damaged.iter().for_each(|damage| ui.warn(format!("{} was damaged and has been removed", damage.path.display())));
    ui.note(if damaged.is_empty() { "everything is what it should be" } else { "the next build makes the rest again" });
    Ok(if damaged.is_empty() { Exit::Success } else { Exit::Failure })
}
