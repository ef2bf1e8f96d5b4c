//! `appliance ps`: what runs, by live facts: who holds the lock of a journal lives, and his socket answers.

use engine::{ConnectionError, EndedInstance, Found, Info, OutOfMemory, State};
use serde_json::{Value, json};

use crate::cli_instances::Ps;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::instances::Instances;
use crate::ui::Ui;

/// One row.
struct Row {
    name: String,
    appliance: String,
    state: String,
    ports: String,
    value: Value,
}

/// Lists instances.
pub fn ps(args: &Ps, ui: &Ui) -> Result<Exit, Failure> {
    let instances = Instances::look(ui)?;
    let ended = if args.all { instances.ended.as_slice() } else { &[] };
    if args.names {
        let live = instances.live.iter().map(|found| &found.name);
        let names: Vec<&String> = live.chain(ended.iter().map(|ended| &ended.name)).collect();
        if ui.json {
            ui.json(&json!({ "ok": true, "names": names }));
        } else {
            names.iter().for_each(|name| ui.result(&format!("{name}\n")));
        }
        return Ok(Exit::Success);
    }
    // One that ends between the look and the question has ended.
    let infos = instances.live.iter().filter_map(|found| match found.info() {
        Err(ConnectionError::Gone) => found.ended().ok().flatten().filter(|_| args.all).map(|ended| ended_row(&ended)),
        other => Some(live_row(found, other)),
    });
    let rows: Vec<Row> = infos.chain(ended.iter().map(ended_row)).collect();
    if ui.json {
        let values: Vec<&Value> = rows.iter().map(|row| &row.value).collect();
        ui.json(&json!({ "ok": true, "instances": values }));
        return Ok(Exit::Success);
    }
    if rows.is_empty() {
        ui.note(nothing(args.all, instances.ended.len()));
        return Ok(Exit::Success);
    }
    print(&rows, ui);
    Ok(Exit::Success)
}

/// A state, as people and programs read it.
pub fn state_name(state: State) -> &'static str {
    match state {
        State::Starting => "starting",
        State::Ready => "ready",
        State::Paused => "paused",
        State::Stopping => "stopping",
    }
}

fn live_row(found: &Found, info: Result<Info, ConnectionError>) -> Row {
    let (name, appliance) = (found.name.clone(), found.appliance.clone());
    let Ok(info) = info else {
        let value = json!({ "name": name, "appliance": appliance, "state": "silent" });
        return Row { name, appliance, state: "silent".to_owned(), ports: String::new(), value };
    };
    let up_secs = up_secs(info.start_time);
    let state = state_name(info.state);
    let ports: Vec<String> = info.ports.iter().map(|port| format!("{} at {}", port.inside, port.address)).collect();
    let value = json!({
        "name": name, "appliance": appliance, "version": info.about.version, "state": state, "up_secs": up_secs,
        "pid": info.pid, "supervisor": info.supervisor, "ports": info.ports, "detached": info.about.detached,
        "machine": info.machine, "command": info.about.command, "out_of_memory": info.out_of_memory,
    });
    let memory = memory_words(info.out_of_memory);
    Row { name, appliance, state: format!("{state}, {}{memory}", age(up_secs)), ports: ports.join(", "), value }
}

fn ended_row(ended: &EndedInstance) -> Row {
    let (name, appliance) = (ended.name.clone(), ended.about.appliance.clone());
    let value = json!({
        "name": name, "appliance": appliance, "version": ended.about.version, "state": "ended",
        "status": ended.status, "signal": ended.signal, "left": ended.left, "out_of_memory": ended.out_of_memory,
        "failed": ended.failed, "lost": ended.lost, "machine_lost": ended.machine_lost,
    });
    let memory = memory_words(ended.out_of_memory);
    let state = match ended {
        EndedInstance { lost: true, .. } => "its supervisor was killed".to_owned(),
        EndedInstance { failed: Some(_), .. } => "could not be started".to_owned(),
        EndedInstance { machine_lost: Some(_), status, .. } => format!("lost its machine, ended with {status}"),
        EndedInstance { status, .. } => format!("ended with {status}{memory}"),
    };
    Row { name, appliance, state, ports: String::new(), value }
}

/// What is worth a word beside the state.
fn memory_words(found: Option<OutOfMemory>) -> &'static str {
    if found.is_some() { ", memory ran out" } else { "" }
}

/// A start time counts clock ticks, hundredths of a second, since the machine's start (proc_pid_stat(5)).
fn up_secs(start_time: u64) -> u64 {
    let uptime = std::fs::read_to_string("/proc/uptime").unwrap_or_default();
    let seconds: u64 = uptime.split('.').next().and_then(|whole| whole.parse().ok()).unwrap_or(0);
    seconds.saturating_sub(start_time / 100)
}

fn age(seconds: u64) -> String {
    match seconds {
        0..120 => format!("{seconds} s"),
        120..7_200 => format!("{} min", seconds / 60),
        7_200..172_800 => format!("{} h", seconds / 3_600),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// What is said where there is nothing to list; so many have ended.
fn nothing(of_all: bool, ended: usize) -> String {
    match (of_all, ended) {
        (true, _) => "there are no instances".to_owned(),
        (false, 0) => "nothing runs".to_owned(),
        (false, 1) => "nothing runs; one has ended: appliance ps --all".to_owned(),
        (false, many) => format!("nothing runs; {many} have ended: appliance ps --all"),
    }
}

fn print(rows: &[Row], ui: &Ui) {
    let width = |text: fn(&Row) -> &str, title: &str| {
        rows.iter().map(|row| text(row).len()).max().unwrap_or(0).max(title.len())
    };
    let (name, appliance, state) = (
        width(|row| &row.name, "INSTANCE"),
        width(|row| &row.appliance, "APPLIANCE"),
        width(|row| &row.state, "STATE"),
    );
    ui.result(&format!("{:name$}  {:appliance$}  {:state$}  PORTS\n", "INSTANCE", "APPLIANCE", "STATE"));
    for row in rows {
        let line = format!("{:name$}  {:appliance$}  {:state$}  {}", row.name, row.appliance, row.state, row.ports);
        ui.result(&format!("{}\n", line.trim_end()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_short() {
        let seen: Vec<String> = [0, 119, 120, 7_199, 7_200, 172_800].into_iter().map(age).collect();
        assert_eq!(seen, ["0 s", "119 s", "2 min", "119 min", "2 h", "2 days"]);
    }
}
