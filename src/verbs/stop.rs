//! `appliance stop`: stops instances in order, and waits until nothing is left of them.

use engine::{Ask, Connection, ConnectionError, EndedInstance, Found};
use serde_json::json;

use crate::cli_instances::Stop;
use crate::each::Failed;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::instances::{Instances, Meant, ended_meanwhile};
use crate::ui::Ui;

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
            Some(Meant::Ended(already)) => ended.push(*already),
            None => {}
        }
    }
    for (found, waiting) in asked {
        ended.extend(failed.take(&found.name, end_of(&found, waiting)).flatten());
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
pub fn end_of(found: &Found, waiting: Waiting) -> Result<Option<EndedInstance>, Failure> {
    let told = waiting.and_then(|(mut connection, stream)| connection.answer_to(stream));
    told.map(Some).or_else(|error| ended_meanwhile(found, error))
}

/// Says how an instance ended, and what was made and is no longer there.
fn tell(one: &EndedInstance, ui: &Ui) {
    if one.left.is_empty() {
        ui.note(format!("{} ended with status {}; nothing of it is left", one.name, one.status));
        one.made.iter().for_each(|what| ui.detail(format!("  gone: {what}")));
    } else {
        ui.warn(format!("{} ended with status {}; left behind: {}", one.name, one.status, one.left.join(", ")));
    }
}
