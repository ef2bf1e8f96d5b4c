//! `appliance stats`: what instances use, as their guests see it.

use bundle::channel::{Metrics, Request};
use serde_json::{Value, json};

use crate::cli_instances::Many;
use crate::each::Failed;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::instances::{Instances, connect, talking};
use crate::ui::Ui;
use crate::verbs::build::size;

/// Prints one line for each instance.
pub fn stats(args: &Many, ui: &Ui) -> Result<Exit, Failure> {
    let instances = Instances::look(ui)?;
    let (mut rows, mut failed) = (Vec::<Value>::new(), Failed::default());
    for word in &args.instances {
        let Some((name, metrics)) = failed.take(word, measure(&instances, word)) else { continue };
        if !ui.json {
            ui.result(&line(&name, &metrics));
        }
        rows.push(json!({ "name": name, "metrics": metrics }));
    }
    failed.end(&args.instances, Exit::Success, json!({ "ok": true, "instances": rows }), ui)
}

fn measure(instances: &Instances, word: &str) -> Result<(String, Metrics), Failure> {
    let found = instances.live(word)?;
    let answer: Value = connect(&found)?.ask(&Request::Metrics).map_err(|error| talking(&found, error))?;
    let metrics = serde_json::from_value(answer["metrics"].clone())
        .map_err(|error| Failure::doing(Exit::Failure, format!("understand what {} uses", found.name), error))?;
    Ok((found.name, metrics))
}

fn line(name: &str, metrics: &Metrics) -> String {
    let Metrics { cpu_ms, memory_bytes, memory_limit_bytes, processes, disk_bytes, disk_used_bytes, .. } = metrics;
    let of_memory = memory_limit_bytes.map(|bytes| format!(" of {}", size(bytes))).unwrap_or_default();
    let (seconds, tenths) = (cpu_ms / 1000, cpu_ms % 1000 / 100);
    format!(
        "{name}: {seconds}.{tenths} s of processor, {}{of_memory} of memory in {processes} processes, {} of {} of the root written\n",
        size(*memory_bytes),
        size(*disk_used_bytes),
        size(*disk_bytes)
    )
}
