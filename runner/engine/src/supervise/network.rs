//! What an instance reaches, or may not, is told.

use host::Ready;

use super::Supervisor;
use crate::wire::{self, Report};

impl Supervisor<'_> {
    pub(super) fn network_ready(&mut self, ready: &[Ready]) {
        let Some(network) = self.network.as_mut().filter(|_| ready.first().is_some_and(|one| one.read)) else { return };
        let heard = network.hear();
        self.tell_of_network(heard);
    }

    /// What was refused is told, and kept beside what is printed.
    pub(super) fn tell_of_network(&mut self, reports: Vec<Report>) {
        for report in reports {
            match &report {
                Report::Refused(refused) => self.desk.say(&refused.text),
                Report::LookupFailed { name, why } => {
                    self.desk.say(&format!("the host could not look up {name}: {why}"))
                }
                Report::NetworkLost(why) => self.desk.say(&format!("nothing can be reached any more: {why}")),
                _ => {}
            }
            wire::report(self.socket, &report);
        }
    }
}
