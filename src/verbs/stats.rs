//! `appliance stats`: what instances use, as their guests see it.

use bundle::channel::{Metrics, Request};
use engine::{Ask, ConnectionError, Found, Info};
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
        let Some((name, used)) = failed.take(word, measure(&instances, word)) else { continue };
        if !ui.json {
            ui.result(&line(&name, &used));
        }
        rows.push(match used {
            Used::Inside(metrics) => json!({ "name": name, "metrics": metrics }),
            Used::Paused { memory_bytes } => {
                json!({ "name": name, "state": "paused", "metrics": null, "memory_bytes": memory_bytes })
            }
        });
    }
    failed.end(&args.instances, Exit::Success, json!({ "ok": true, "instances": rows }), ui)
}

/// What an instance uses.
enum Used {
    /// As its guest sees it.
    Inside(Box<Metrics>),
    /// A machine that stands still with its guest: as the host sees it.
    Paused {
        /// Memory of the host.
        memory_bytes: Option<u64>,
    },
}

fn measure(instances: &Instances, word: &str) -> Result<(String, Used), Failure> {
    let found = instances.live(word)?;
    let answer: Value = match connect(&found)?.ask(&Request::Metrics) {
        Err(ConnectionError::Paused) => return from_outside(found),
        other => other.map_err(|error| talking(&found, error))?,
    };
    let metrics = serde_json::from_value(answer["metrics"].clone())
        .map_err(|error| Failure::doing(Exit::Failure, format!("understand what {} uses", found.name), error))?;
    Ok((found.name, Used::Inside(Box::new(metrics))))
}

fn from_outside(found: Found) -> Result<(String, Used), Failure> {
    let info: Info = connect(&found)?.ask(&Ask::Info).map_err(|error| talking(&found, error))?;
    let memory_bytes =
        std::fs::read_to_string(format!("/proc/{}/status", info.pid)).ok().and_then(|text| resident(&text));
    Ok((found.name, Used::Paused { memory_bytes }))
}

/// Memory of the host that a process has, by the line `VmRSS` of proc_pid_status(5).
fn resident(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    line.trim().strip_suffix(" kB")?.parse().ok().map(|kibibytes: u64| kibibytes << 10)
}

fn line(name: &str, used: &Used) -> String {
    let metrics = match used {
        Used::Inside(metrics) => metrics,
        Used::Paused { memory_bytes } => {
            let memory = memory_bytes.map(|bytes| format!(", and holds {} of this host's memory", size(bytes)));
            return format!("{name}: paused; it uses no processor{}\n", memory.unwrap_or_default());
        }
    };
    let Metrics { cpu_ms, memory_bytes, memory_limit_bytes, processes, disk_bytes, disk_used_bytes, .. } =
        metrics.as_ref();
    let of_memory = memory_limit_bytes.map(|bytes| format!(" of {}", size(bytes))).unwrap_or_default();
    let (seconds, tenths) = (cpu_ms / 1000, cpu_ms % 1000 / 100);
    format!(
        "{name}: {seconds}.{tenths} s of processor, {}{of_memory} of memory in {processes} processes, {} of {} of the root written\n",
        size(*memory_bytes),
        size(*disk_used_bytes),
        size(*disk_bytes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_of_a_process_is_read() {
        assert_eq!(resident("Name:\tx\nVmRSS:\t  2048 kB\nThreads:\t1\n"), Some(2 << 20));
        assert_eq!((resident(""), resident("VmRSS:\tx kB\n")), (None, None));
    }
}
