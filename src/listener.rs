//! What is said while an appliance runs: where its ports are, once they lead to something, and whatever happens on the way.
//!
//! Input: the reports of a run, one at a time. At its end it gives what was heard of services and ports.

use bundle::channel::Event;
use engine::{Bound, ForeignVolume, MachineLost, Moved, Report, RunOptions};
use serde_json::{Value, json};

use crate::failed_service::Services;
use crate::ui::Ui;

/// The number of the signal that Ctrl-C sends, on Linux.
const SIGINT: i32 = 2;

/// Hears the reports of one run.
#[derive(Debug)]
pub struct Listener<'a> {
    ui: &'a Ui,
    /// A command runs instead of the services: nobody can know when it listens, or whether it ever does.
    is_command: bool,
    /// Whether the ports of a command are of interest: one was asked for, or a person sits before it.
    tells_ports_of_command: bool,
    is_ready: bool,
    services: Services,
    ports: Vec<Port>,
    /// The status of an earlier instance of the name, until that is told.
    replaces: Option<i32>,
    name: String,
    is_machine: bool,
    is_detached: bool,
}

/// A port of the host that leads inside.
#[derive(Debug)]
struct Port {
    line: String,
    event: Value,
}

impl<'a> Listener<'a> {
    /// For this run with these choices.
    pub fn new(ui: &'a Ui, options: &RunOptions, bound: &Bound) -> Self {
        Self {
            ui,
            is_command: !options.command.is_empty(),
            tells_ports_of_command: !options.ports.is_empty() || options.terminal,
            is_ready: false,
            services: Services::default(),
            ports: Vec::new(),
            replaces: None,
            name: bound.instance.clone(),
            is_machine: bound.machine().is_some(),
            is_detached: bound.about.detached,
        }
    }

    /// Takes up a report, and says what it is worth.
    pub fn hear(&mut self, report: &Report) {
        match report {
            Report::PortOpen { inside, address, moved } => {
                let port = Port::new(*inside, &address.to_string(), moved.as_ref());
                self.port_opened(port);
            }
            Report::Guest(event) => self.guest_said(event),
            Report::ForeignVolume(volume) => self.foreign(volume),
            Report::SharedVolume { volume, instances } => {
                self.ui.note(format!("volume {volume} is in use by {} too", instances.join(", ")));
                self.ui.event(&json!({ "event": "shared-volume", "volume": volume, "instances": instances }));
            }
            Report::Booting { within_ms } => {
                self.ui.note(format!("the machine has not come up yet (it gets {})", seconds(*within_ms)));
                self.ui.event(&json!({ "event": "booting", "within_ms": within_ms }));
            }
            Report::Waiting { services, signal, within_ms } => {
                let again = signal.map(|signal| if signal == SIGINT { "Ctrl-C again" } else { "a second signal" });
                let again = again.map(|again| format!("; {again} kills it")).unwrap_or_default();
                let whom = self.whom(services);
                let within = seconds(*within_ms);
                self.ui.note(format!("waiting for {whom} to stop (up to {within}{again})"));
                self.ui.event(&json!({ "event": "waiting", "services": services, "within_ms": within_ms }));
            }
            Report::Killed { services, within_ms } => {
                let late = within_ms.map(|ms| format!("did not stop within {} and ", seconds(ms))).unwrap_or_default();
                self.ui.note(format!("{} {late}was killed", self.whom(services)));
                self.ui.event(&json!({ "event": "killed", "services": services, "within_ms": within_ms }));
            }
            Report::OutOfMemory(found) => {
                self.ui.warn(format!("memory ran out: {found}"));
                self.ui.event(&json!({ "event": "out-of-memory", "limit_bytes": found.limit_bytes }));
            }
            Report::Refused(refused) => {
                self.ui.note(format!("the appliance {}", refused.text));
                self.ui.event(&json!({
                    "event": "network-refused", "words": refused.text, "destination": refused.destination,
                    "protocol": refused.protocol, "name": refused.name,
                }));
            }
            Report::LookupFailed { name, why } => {
                self.ui.note(format!("the host could not look up {name}: {why}"));
                self.ui.event(&json!({ "event": "lookup-failed", "name": name, "why": why }));
            }
            Report::NetworkLost(why) => {
                self.ui.warn(format!("nothing can be reached any more: {why}"));
                self.ui.event(&json!({ "event": "network-lost", "why": why }));
            }
            Report::Notice(words) => {
                self.ui.warn(words);
                self.ui.event(&json!({ "event": "notice", "words": words }));
            }
            Report::MachineLost(lost) => self.machine_lost(lost),
            // A machine may still not come up.
            Report::Started { .. } if !self.is_machine => self.tell_replaced(),
            Report::Replaces { status } => self.replaces = Some(*status),
            // It also ends when the appliance does, so it is no reason to alarm anyone.
            Report::ChannelLost(why) => self.ui.detail(format!("ports no longer lead inside: {why}")),
            _ => {}
        }
    }

    /// What was heard of the services, and all ports as data.
    pub fn end(self) -> (Services, Vec<Value>) {
        (self.services, self.ports.into_iter().map(|port| port.event).collect())
    }

    /// A port of services is told when they are ready: before, nobody answers there.
    fn port_opened(&mut self, port: Port) {
        match self.is_command {
            true if self.tells_ports_of_command => port.tell(self.ui),
            true => {}
            false => self.ui.detail(format!("once the services are ready, {}", port.line)),
        }
        self.ports.push(port);
    }

    fn foreign(&self, volume: &ForeignVolume) {
        let ForeignVolume { volume: name, folder, at, uid, wanted_uid, wanted_gid, why } = volume;
        let folder = folder.display();
        self.ui.warn(format!(
            "volume {name} belongs to user {uid} of this host, but {at} of the appliance to user {wanted_uid}: {why}, so \
             services may be refused what is in it; root hands it over with: chown -R {wanted_uid}:{wanted_gid} {folder} \
             (appliance volume rm {name}, which deletes what is in it, makes place for an empty one)"
        ));
        self.ui.event(&json!({
            "event": "foreign-volume", "volume": name, "path": folder.to_string(), "owner": uid,
            "wanted_owner": wanted_uid, "wanted_group": wanted_gid, "why": why,
        }));
    }

    fn machine_lost(&self, lost: &MachineLost) {
        self.ui.warn(format!("the machine was lost: {}", lost.why));
        if !lost.console.is_empty() {
            self.ui.note("the last lines of its console:");
        }
        lost.console.iter().for_each(|line| self.ui.note(format!("  {line}")));
        self.ui.event(&json!({ "event": "machine-lost", "why": lost.why, "console": lost.console }));
    }

    /// By which name other commands know it, where nobody gave it one and nobody is told by a result.
    fn tell_name(&self) {
        if !self.is_detached {
            self.ui.note(format!("it runs as {}", self.name));
        }
        self.ui.event(&json!({ "event": "ready", "name": self.name }));
    }

    /// Once something of it runs.
    fn tell_replaced(&mut self) {
        let Some(status) = self.replaces.take() else { return };
        let name = &self.name;
        self.ui.note(format!(
            "what an earlier instance {name} printed is forgotten with it; it had ended with status {status}"
        ));
        self.ui.event(&json!({ "event": "replaced", "name": name, "status": status }));
    }

    /// What is being stopped, in words.
    fn whom(&self, services: &[String]) -> String {
        let quoted: Vec<String> = services.iter().map(|name| format!("{name:?}")).collect();
        match quoted.as_slice() {
            _ if self.is_command => "the command".to_owned(),
            [] => "the appliance".to_owned(),
            [only] => format!("service {only}"),
            [all @ .., last] => format!("services {} and {last}", all.join(", ")),
        }
    }

    fn guest_said(&mut self, event: &Event) {
        self.services.hear(event);
        if matches!(event, Event::Service { .. } | Event::Ready) {
            self.tell_replaced();
        }
        if let Event::Killed { name, within_ms } = event {
            self.ui.event(&json!({ "event": "killed", "services": [name], "within_ms": within_ms }));
        }
        // The guest says all of these in words itself.
        if matches!(
            event,
            Event::Restart { .. } | Event::Failed { .. } | Event::MainEnded { .. } | Event::OutOfMemory { .. }
        ) {
            self.ui.event(&json!(event));
        }
        if *event == Event::Ready && !std::mem::replace(&mut self.is_ready, true) {
            self.ui.detail("ready");
            if !self.is_command {
                self.ports.iter().for_each(|port| port.tell(self.ui));
                self.tell_name();
            }
        }
    }
}

/// A time as people read it.
pub fn seconds(ms: u64) -> String {
    if ms.is_multiple_of(1000) { format!("{} s", ms / 1000) } else { format!("{ms} ms") }
}

impl Port {
    fn new(inside: u16, address: &str, moved: Option<&Moved>) -> Self {
        let mut event = json!({ "event": "port", "port": inside, "address": address });
        let mut line = format!("port {inside} is at http://{address}/");
        if let Some(Moved { wanted, why }) = moved {
            event["moved"] = json!({ "wanted": wanted, "why": why });
            line.push_str(&format!(
                " because port {wanted} of this host cannot be used: {why}; --port {inside}=HOSTPORT chooses one"
            ));
        }
        Self { line, event }
    }

    /// With JSON at once too, for who waits for it.
    fn tell(&self, ui: &Ui) {
        ui.note(&self.line);
        ui.event(&self.event);
    }
}
