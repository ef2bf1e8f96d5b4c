//! What the loop of the agent does with the units: hears them, lets them go, sends them away.

use std::os::fd::AsFd;

use bundle::channel::{Event, ServiceState};

use super::units::{News, Units};
use crate::guest::Guest;
use crate::supervisor::Input;

impl Guest {
    /// Takes what the units tell.
    pub fn hear_units(&mut self) {
        let supervisor = &self.supervisor;
        let news = self.units.as_mut().map(|units| units.advance(|name| supervisor.find(name))).unwrap_or_default();
        for piece in news {
            match piece {
                News::Started { service, pid } => self.feed(Input::Started { service, pid }),
                News::NotStarted { service, reason, status } => {
                    let reason = self.why_not(service, &reason);
                    self.feed(Input::NotStarted { service, reason, status });
                }
                // A unit that never became its service ends too.
                News::Ended { service, status } if self.supervisor.pid(service).is_some() => {
                    self.service_ended(service, status);
                }
                News::Ended { .. } => {}
            }
        }
    }

    /// Lets those units go whose services are to start, and sends those away whose services will not.
    pub fn direct_units(&mut self) {
        while let Some(service) = self.units.as_ref().and_then(Units::next_to_go) {
            let streams = self.streams_of(service);
            let Some(units) = &mut self.units else { return };
            match streams {
                Ok(Some((out, err))) => units.go(service, out.as_fd(), err.as_fd()),
                Ok(None) => units.go(service, std::io::stdout().as_fd(), std::io::stderr().as_fd()),
                Err(errno) => {
                    self.logs.say(&format!("failed to make the streams of a service: {}", errno.desc()));
                    break;
                }
            }
        }
        if self.supervisor.is_stopping() {
            let withdrawn = self.units.as_mut().map(Units::withdraw).unwrap_or_default();
            withdrawn.into_iter().for_each(|service| self.feed(Input::Withdrawn { service }));
        }
        if let Some(units) = &mut self.units {
            units.dismiss(|service| self.supervisor.is_over(service));
        }
    }

    /// A unit is active once its service is ready.
    pub fn tell_systemd(&self, event: &Event) {
        let (Some(units), Event::Service { name, state: ServiceState::Ready }) = (&self.units, event) else { return };
        let pid = self.supervisor.find(name).and_then(|service| self.supervisor.pid(service));
        pid.into_iter().for_each(|pid| units.is_ready(pid));
    }
}
