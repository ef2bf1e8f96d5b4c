//! What the host asks of PID 1 beside the services: answers, and programs that it runs.

use std::path::Path;

use bundle::channel::{Exec, Request, Response};
use bundle::guest::{STATUS_GUEST_FAILED, STATUS_NOT_EXECUTABLE};
use nix::sys::signal::Signal;
use nix::unistd::Pid;

use crate::exec::{self, Ends};
use crate::guest::Guest;
use crate::spawn::{self, Launch, SpawnError};
use crate::supervisor::Input;
use crate::{clock, environment, identity, metrics, signals};

impl Guest {
    /// Does what a request asks that is answered at once.
    pub fn answer(&mut self, request: Request) -> Response {
        let done = |result: Result<(), String>| result.map_or_else(Response::Failed, |()| Response::Done);
        match request {
            Request::Status => Response::Status(self.supervisor.status()),
            Request::Stop { within_ms } => {
                // Who stands still cannot be asked to end.
                signals::send_to_all(Signal::SIGCONT);
                self.feed(Input::Stop { within_ms });
                Response::Done
            }
            Request::Signal { number } => match Signal::try_from(number) {
                Ok(signal) => {
                    self.receive(signal);
                    Response::Done
                }
                Err(_) => Response::Failed(format!("take the signal {number}: there is none of this number")),
            },
            Request::Metrics => Response::Metrics(metrics::measure(&self.memory)),
            Request::SetTime { unix_ms } => done(clock::set(unix_ms)),
            Request::Reseed { seed } => done(clock::reseed(&seed)),
            Request::Pause | Request::Resume if Pid::this().as_raw() != 1 => {
                Response::Failed("pause: this is not the first process".to_owned())
            }
            Request::Pause => {
                signals::send_to_all(Signal::SIGSTOP);
                Response::Done
            }
            Request::Resume => {
                signals::send_to_all(Signal::SIGCONT);
                Response::Done
            }
            _ => Response::Unknown("answer: this guest does not know the verb".to_owned()),
        }
    }

    /// Runs a program beside the services, as the host asks.
    pub fn exec(&mut self, wanted: &Exec) -> Result<(u32, Ends), SpawnError> {
        let refused = |reason: String| SpawnError { reason, status: STATUS_NOT_EXECUTABLE };
        let name = wanted.args.first().map(String::as_str).unwrap_or_default();
        if !self.tools.is_empty() && !self.tools.iter().any(|tool| tool == name) {
            return Err(refused(format!(
                "start {name:?}: this appliance allows only its tools: {}",
                self.tools.join(", ")
            )));
        }
        let user = match &wanted.user {
            // In place of the services nothing of the appliance runs then.
            Some(name) => identity::find(name).map_err(|reason| SpawnError {
                reason,
                status: if self.holds { STATUS_GUEST_FAILED } else { STATUS_NOT_EXECUTABLE },
            })?,
            None => identity::root(),
        };
        let folder = match &wanted.cwd {
            Some(folder) if !Path::new(folder).is_dir() => {
                return Err(refused(format!("enter the folder {folder}: it does not exist in this appliance")));
            }
            Some(folder) => folder.clone(),
            None if wanted.user.is_some() => user.home.clone(),
            None => "/".to_owned(),
        };
        let (ends, given) = exec::streams(wanted.terminal)
            .map_err(|errno| refused(format!("make its standard streams: {}", errno.desc())))?;
        let env = environment::compose(&self.image_env, &self.engine_env, &user, &wanted.env);
        let launch = Launch {
            args: &wanted.args,
            env: &env,
            user: self.can_become(&user).then_some(&user),
            capabilities: self.capabilities,
            tolerate_groups: self.single_id,
            folder: Some(&folder),
            must_enter: wanted.cwd.is_some(),
            is_terminal: given.is_terminal,
            stdin: Some(given.stdin),
            output: Some(given.output),
        };
        spawn::spawn(&launch).map(|pid| (pid.as_raw().unsigned_abs(), ends))
    }
}
