//! What the unit of a service runs: it waits at the agent's door and becomes the service; later it tells how that ended.

use std::os::fd::{AsFd, OwnedFd};

use bundle::guest::{STATUS_GUEST_FAILED, STATUS_NOT_EXECUTABLE, Service, Settings, UNWANTED_SIGNAL};
use nix::sys::signal::Signal;

use super::agent::own_environment;
use super::door::{self, Heard, Word};
use crate::environment;
use crate::spawn::{self, Launch, SpawnError};

/// Waits until the service is to start, then becomes its program; gives an exit status when that fails.
pub fn run(name: &str, settings: &Settings) -> Result<u8, String> {
    let service = settings.services.iter().find(|service| service.name == name);
    let service = service.ok_or_else(|| format!("start the service {name}: the settings know none of this name"))?;
    let door = door::knock().map_err(|errno| format!("ask the agent to start {name}: {}", errno.desc()))?;
    let asked = door::say(door.as_fd(), &Word::Unit(name.to_owned()), &[]);
    asked.map_err(|errno| format!("ask the agent to start {name}: {}", errno.desc()))?;
    match wait(&door) {
        Heard::Word(Word::Go, streams) => {
            let SpawnError { reason, status } = become_service(service, settings, streams);
            let _ = door::say(door.as_fd(), &Word::Failed { status, reason }, &[]);
            Ok(status)
        }
        Heard::Word(Word::Over, _) => {
            // SAFETY: the call takes two numbers; the signal's usual effect is the end of this process.
            unsafe { libc::raise(UNWANTED_SIGNAL) };
            Ok(STATUS_GUEST_FAILED)
        }
        _ => Err(format!("start the service {name}: the agent has gone")),
    }
}

fn wait(door: &OwnedFd) -> Heard {
    loop {
        match door::hear(door.as_fd()) {
            Heard::Silence => {}
            heard => return heard,
        }
    }
}

fn become_service(service: &Service, settings: &Settings, streams: Vec<OwnedFd>) -> SpawnError {
    let mut streams = streams.into_iter();
    let (Some(out), Some(err)) = (streams.next(), streams.next()) else {
        let reason = "failed to take its standard streams from the agent".to_owned();
        return SpawnError { reason, status: STATUS_NOT_EXECUTABLE };
    };
    let env = environment::compose(&settings.env, &own_environment(), &service.user, &service.env);
    spawn::become_it(&Launch {
        args: &service.args,
        env: &env,
        user: Some(&service.user),
        capabilities: bundle::capability::set_of(&settings.capabilities),
        tolerate_groups: false,
        folder: Some(&service.user.home),
        must_enter: false,
        is_terminal: false,
        stdin: spawn::null().ok(),
        output: Some((out, err)),
    })
}

/// Tells the agent how the unit of this service ended, as systemd puts it into the environment of `ExecStopPost=`.
pub fn ended(name: &str) -> Result<u8, String> {
    let value = |name: &str| std::env::var(name).unwrap_or_default();
    let status = status_of(&value("EXIT_CODE"), &value("EXIT_STATUS"));
    let failed = |errno: nix::Error| format!("tell the agent that {name} ended: {}", errno.desc());
    let door = door::knock().map_err(failed)?;
    door::say(door.as_fd(), &Word::Ended { status, name: name.to_owned() }, &[]).map_err(failed)?;
    Ok(0)
}

/// `$EXIT_CODE` is `exited`, `killed` or `dumped`, and `$EXIT_STATUS` a number or the name of a signal without `SIG`
/// (systemd.exec(5)).
fn status_of(code: &str, status: &str) -> u8 {
    match code {
        "exited" => status.parse().unwrap_or(STATUS_NOT_EXECUTABLE),
        "killed" | "dumped" => {
            let signal = format!("SIG{status}").parse::<Signal>().map_or(0, |signal| signal as i32);
            128 + u8::try_from(signal).unwrap_or(0)
        }
        _ => STATUS_NOT_EXECUTABLE,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_systemd_says_is_a_status_as_in_shells() {
        let check = |code, status, expected| assert_eq!(status_of(code, status), expected, "{code} {status}");
        check("exited", "0", 0);
        check("exited", "203", 203);
        check("killed", "TERM", 143);
        check("dumped", "SEGV", 139);
        check("killed", "RTMIN+20", 128);
        check("", "", 126);
    }
}
