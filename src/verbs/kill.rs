//! `appliance kill`: ends instances at once, or sends them a signal.

use std::str::FromStr;

use engine::Ask;
use nix::sys::signal::Signal;
use serde_json::{Value, json};

use crate::cli_instances::Kill;
use crate::each::Failed;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::instances::{Instances, connect, talking};
use crate::ui::Ui;
use crate::verbs::stop::end;

/// Sends a signal; with KILL it waits until nothing is left.
pub fn kill(args: &Kill, ui: &Ui) -> Result<Exit, Failure> {
    let Some(signal) = signal(&args.signal) else {
        let failure = Failure::new(Exit::Usage, format!("understand the signal {:?}", args.signal));
        return Err(failure.help("write a name or a number, such as TERM, SIGHUP or 9"));
    };
    let ask = Ask::Signal { number: signal as i32 };
    if signal == Signal::SIGKILL {
        return end(&args.instances, &ask, ui);
    }
    let instances = Instances::look(ui)?;
    let send = |name: &str| -> Result<(), Failure> {
        let found = instances.live(name)?;
        connect(&found)?.ask::<Value>(&ask).map(drop).map_err(|error| talking(&found, error))
    };
    let (mut sent, mut failed) = (Vec::new(), Failed::default());
    for name in &args.instances {
        sent.extend(failed.take(name, send(name)).map(|()| name));
    }
    failed.end(&args.instances, Exit::Success, json!({ "ok": true, "sent": sent }), ui)
}

fn signal(text: &str) -> Option<Signal> {
    if let Ok(number) = text.parse::<i32>() {
        return Signal::try_from(number).ok();
    }
    let name = text.to_ascii_uppercase();
    let name = if name.starts_with("SIG") { name } else { format!("SIG{name}") };
    Signal::from_str(&name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_have_names_and_numbers() {
        for text in ["9", "KILL", "kill", "SIGKILL", "sigkill"] {
            assert_eq!(signal(text), Some(Signal::SIGKILL), "{text}");
        }
        assert_eq!((signal("0"), signal("NO"), signal("")), (None, None, None));
    }
}
