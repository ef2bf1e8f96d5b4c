//! `appliance stop`: stops instances in order, and waits until nothing is left of them.

use std::time::Duration;

use engine::{Ask, Connection, ConnectionError, EndedInstance, Found, Info, Killed, Stop as Stopping};
use serde_json::json;

use crate::cli_instances::Stop;
use crate::each::Failed;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::instances::{Instances, Meant, ended_meanwhile, odd_end};
use crate::listener::seconds;
use crate::ui::Ui;

/// How long a stop may take before something is said: most are over by then.
const SILENT: Duration = Duration::from_secs(1);

/// Stops instances; one that has ended already is fine.
pub fn stop(args: &Stop, ui: &Ui) -> Result<Exit, Failure> {
    end(&args.instances, &Ask::Stop { within_ms: args.within }, ui)
}

/// Asks instances to end, all at once, and waits for each.
///
/// # Errors
/// The only one is not there or cannot be talked to.
pub fn end(names: &[String], ask: &Ask, ui: &Ui) -> Result<Exit, Failure> {
    let instances = Instances::look(ui)?;
    let (mut asked, mut ended, mut failed) = (Vec::new(), Vec::new(), Failed::default());
    for name in names {
        match failed.take(name, instances.meant(name)) {
            Some(Meant::Live(found)) => {
                let waiting = begin(&found, ask);
                asked.push((found, waiting));
            }
            Some(Meant::Ended(already)) => {
                instances.running_beside(&already).iter().for_each(|others| ui.warn(others));
                ended.push(*already);
            }
            None => {}
        }
    }
    for (found, waiting) in asked {
        ended.extend(failed.take(&found.name, end_of(&found, waiting, ui)).flatten());
    }
    ended.iter().for_each(|one| tell(one, ui));
    let ok = ended.iter().all(|one| one.left.is_empty());
    let exit = if ok { Exit::Success } else { Exit::Failure };
    failed.end(names, exit, json!({ "ok": ok, "ended": ended }), ui)
}

/// A connection, and the stream on which the end will be told.
type Waiting = Result<(Connection, u32), ConnectionError>;

/// Asks an instance to end; whoever asks for its end first hears of it however soon it comes.
pub fn begin(found: &Found, ask: &Ask) -> Waiting {
    let mut connection = found.connect()?;
    let wait = serde_json::to_string(&Ask::Wait).unwrap_or_default();
    let stream = connection.session().ask(wait)?;
    match connection.ask::<serde_json::Value>(ask) {
        // It ended by itself before it was asked; the answer to the first request may be there.
        Ok(_) | Err(ConnectionError::Gone) => Ok((connection, stream)),
        Err(error) => Err(error),
    }
}

/// Waits for the end; none where it had ended before it was asked, and nobody was to read how.
pub fn end_of(found: &Found, waiting: Waiting, ui: &Ui) -> Result<Option<EndedInstance>, Failure> {
    let told = waiting.and_then(|(mut connection, stream)| wait(found, &mut connection, stream, ui));
    told.map(Some).or_else(|error| ended_meanwhile(found, error))
}

/// Waits for the end; one that does not come at once is told with what it waits for.
fn wait(found: &Found, connection: &mut Connection, stream: u32, ui: &Ui) -> Result<EndedInstance, ConnectionError> {
    if let Some(ended) = connection.answer_within(stream, SILENT)? {
        return Ok(ended);
    }
    let stop = connection.ask::<Info>(&Ask::Info).ok().and_then(|info| info.stop);
    let whom = |stop: &Stopping| if stop.services.is_empty() { found.name.clone() } else { stop.services.join(", ") };
    if let Some(stop) = stop {
        let within = stop.within_ms.map(|ms| format!(", for {} at most", seconds(ms))).unwrap_or_default();
        ui.note(format!("waiting for {} to stop{within}", whom(&stop)));
    }
    connection.answer_to(stream)
}

/// What there still is of an instance of which nothing was left behind.
fn what_stays(one: &EndedInstance) -> String {
    match one.about.detached && one.failed.is_none() {
        true => format!("only what it printed is kept: appliance logs {0}, appliance rm {0}", one.name),
        false => "nothing of it is left".to_owned(),
    }
}

/// Says how an instance ended, and what was made and is no longer there.
fn tell(one: &EndedInstance, ui: &Ui) {
    odd_end(one).iter().for_each(|how| ui.warn(how));
    for Killed { service, within_ms } in &one.killed {
        let what =
            service.as_ref().map_or_else(|| one.name.clone(), |name| format!("service {name:?} of {}", one.name));
        let late = within_ms.map(|ms| format!("did not stop within {} and ", seconds(ms))).unwrap_or_default();
        ui.warn(format!("{what} {late}was killed"));
    }
    if one.left.is_empty() {
        ui.note(format!("{} ended with status {}; {}", one.name, one.status, what_stays(one)));
        one.made.iter().for_each(|what| ui.detail(format!("  gone: {what}")));
    } else {
        ui.warn(format!("{} ended with status {}; left behind: {}", one.name, one.status, one.left.join(", ")));
    }
}
