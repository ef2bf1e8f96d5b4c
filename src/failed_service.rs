//! Which service ended a run, how, and what to do about it: from what the guest said on the way and what was printed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use bundle::channel::{Event, ServiceState};
use bundle::guest::{STATUS_NOT_EXECUTABLE, STATUS_NOT_FOUND, STATUS_NOT_READY};
use nix::sys::signal::Signal;
use serde::Serialize;

use crate::last_words::{self, Cause};

/// Lines of its output that are shown.
const SHOWN_LINES: usize = 10;

/// Lines of its output in which a reason is looked for.
const READ_LINES: usize = 40;

/// What ends sooner than this after its start does not even begin its work, and will not another time.
const AT_ONCE: Duration = Duration::from_millis(500);

/// What the guest said about services, so far.
#[derive(Debug, Default)]
pub struct Services {
    states: BTreeMap<String, ServiceState>,
    /// Services that ended although nobody asked them to, with their statuses, first things first.
    fallen: Vec<(String, u8)>,
    /// Services that ended with 0 and were not ready: one without a probe is ready as soon as it is started.
    early: Vec<String>,
    /// Services that were started again.
    restarted: BTreeSet<String>,
    /// When each was started last.
    started: BTreeMap<String, Instant>,
    /// Services that ended right after their start.
    at_once: BTreeSet<String>,
    /// Services that the kernel killed because memory ran out.
    out_of_memory: BTreeSet<String>,
    /// The paths of volumes inside.
    volumes: Vec<String>,
}

/// The service that ended a run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedService {
    /// Its name.
    pub service: String,
    /// What it ended with.
    pub status: u8,
    /// The name of the signal that ended it.
    pub signal: Option<&'static str>,
    /// The last lines that it printed.
    pub lines: Vec<String>,
    /// What it printed went to a terminal, past this program: a person saw it, and nothing is known of it here.
    #[serde(skip)]
    pub is_unseen: bool,
    /// Whether the kernel killed it because memory ran out.
    pub out_of_memory: bool,
    /// What they tell about the reason.
    #[serde(skip)]
    cause: Option<Cause>,
    /// Whether it was started again before it was given up, or would fail again at once if it were.
    #[serde(skip)]
    restart_is_vain: bool,
}

impl Services {
    /// The same with the paths of the appliance's volumes.
    pub fn with_volumes(self, volumes: Vec<String>) -> Self {
        Self { volumes, ..self }
    }

    /// Takes up what the guest says.
    pub fn hear(&mut self, event: &Event) {
        match event {
            Event::Restart { name, .. } => drop(self.restarted.insert(name.clone())),
            Event::OutOfMemory { name: Some(name), .. } => drop(self.out_of_memory.insert(name.clone())),
            _ => {}
        }
        let Event::Service { name, state } = event else { return };
        let before = self.states.insert(name.clone(), *state);
        match state {
            ServiceState::Starting => drop(self.started.insert(name.clone(), Instant::now())),
            ServiceState::Exited(_) if self.started.get(name).is_some_and(|at| at.elapsed() < AT_ONCE) => {
                self.at_once.insert(name.clone());
            }
            _ => {}
        }
        if before == Some(ServiceState::Starting) && *state == ServiceState::Exited(0) {
            self.early.push(name.clone());
        }
        if let ServiceState::Exited(status @ 1..) = *state {
            // One that is not ready in time is stopped too, and its status says so.
            if before != Some(ServiceState::Stopping) || status == STATUS_NOT_READY {
                self.fallen.push((name.clone(), status));
            }
        }
    }

    /// The service that a run ended with; none when it ended well or as it was asked to.
    pub fn failed(&self, exit_status: i32, printed: &[String]) -> Option<FailedService> {
        let fallen = self.fallen.iter().find(|(_, status)| i32::from(*status) == exit_status).cloned();
        let early = self.early.first().filter(|_| exit_status == i32::from(STATUS_NOT_READY));
        let (service, status) = fallen.or_else(|| Some((early?.clone(), 0)))?;
        let all = self.lines_of(&service, printed);
        let last = |count: usize| all.get(all.len().saturating_sub(count)..).unwrap_or_default();
        let cause = last_words::cause(last(READ_LINES), &self.volumes);
        let restart_is_vain = self.restarted.contains(&service) || self.at_once.contains(&service);
        let lines = last(SHOWN_LINES).iter().map(|line| (*line).to_owned()).collect();
        Some(FailedService {
            out_of_memory: self.out_of_memory.contains(&service),
            signal: signal_name(status),
            service,
            status,
            lines,
            is_unseen: false,
            cause,
            restart_is_vain,
        })
    }

    /// With several services the guest puts the name before each line. Its own words are no service's.
    fn lines_of<'a>(&self, service: &str, printed: &'a [String]) -> Vec<&'a str> {
        let prefix = if self.states.len() > 1 { format!("{service}: ") } else { String::new() };
        let own = printed.iter().filter(|line| !line.starts_with("appliance: "));
        own.filter_map(|line| line.strip_prefix(&prefix)).collect()
    }
}

impl FailedService {
    /// What happened, in words.
    pub fn what(&self) -> String {
        let Self { service, status, .. } = self;
        match (self.signal, *status) {
            _ if self.out_of_memory => {
                format!("service \"{service}\" was killed because memory ran out (status {status})")
            }
            (Some(signal), _) => format!("service \"{service}\" was ended by {signal} (status {status})"),
            (None, 0) => format!("service \"{service}\" ended with status 0 before it was ready"),
            (None, STATUS_NOT_READY) => format!("service \"{service}\" was not ready in time (status {status})"),
            (None, STATUS_NOT_EXECUTABLE) => {
                format!("service \"{service}\" ended with status {status}: a program that cannot be executed")
            }
            (None, STATUS_NOT_FOUND) => {
                format!("service \"{service}\" ended with status {status}: a program that is not there")
            }
            (None, _) => format!("service \"{service}\" ended with status {status}"),
        }
    }

    /// What to do about it. `what` is what was run.
    pub fn help(&self, what: &str) -> String {
        let look = format!("look around inside with: appliance run {what} -- /bin/sh");
        if self.out_of_memory {
            return format!("give it more with `memory` of `resources`, or let it use less; {look}");
        }
        if let (None, Some(cause)) = (self.signal, &self.cause) {
            return format!("{}; {look}", cause.help());
        }
        match (self.signal, self.status) {
            (Some("SIGKILL"), _) => format!("perhaps it needed more than `memory` of `resources` gives; {look}"),
            (Some("SIGSYS"), _) => {
                format!("perhaps the filter of system calls, `seccomp`, forbids what it did; {look}")
            }
            (None, 0) => format!(
                "a service with `ready` stays until it is stopped; one that does its work and ends needs no `ready`; {look}"
            ),
            (None, STATUS_NOT_READY) => {
                format!("check that it does what `ready` waits for, or give it more time with `within=`; {look}")
            }
            (None, STATUS_NOT_FOUND | STATUS_NOT_EXECUTABLE) => {
                format!("check the path in `run`, and what its scripts call; {look}")
            }
            _ if self.is_unseen => format!(
                "where it said \"Read-only file system\", `writable \"/path\"` in `isolation` allows it; a port below 1024 \
                 takes `capabilities \"net_bind_service\"` there; {look}"
            ),
            _ if self.restart_is_vain => look,
            _ => format!("{look}; `restart \"on-failure\"` starts a service again"),
        }
    }
}

/// The name of the signal behind a status, as shells number them: 128 and the signal.
pub fn signal_name(status: u8) -> Option<&'static str> {
    Signal::try_from(i32::from(status.checked_sub(128)?)).ok().map(Signal::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(events: &[(&str, ServiceState)]) -> Services {
        let mut services = Services::default();
        for (name, state) in events {
            services.hear(&Event::Service { name: (*name).to_owned(), state: *state });
        }
        services
    }

    fn printed(lines: &[&str]) -> Vec<String> {
        lines.iter().map(|line| (*line).to_owned()).collect()
    }

    #[test]
    fn a_crash_is_told_with_its_own_last_lines() {
        let services = told(&[
            ("db", ServiceState::Ready),
            ("web", ServiceState::Ready),
            ("web", ServiceState::Exited(139)),
            ("db", ServiceState::Stopping),
            ("db", ServiceState::Exited(143)),
        ]);
        let failed = services.failed(139, &printed(&["web: one", "db: other", "appliance: x", "web: two"])).unwrap();
        assert_eq!((failed.signal, failed.lines.clone()), (Some("SIGSEGV"), printed(&["one", "two"])));
        assert_eq!(failed.what(), "service \"web\" was ended by SIGSEGV (status 139)");
        assert!(failed.help("out").contains("appliance run out -- /bin/sh"));
    }

    #[test]
    fn one_that_is_not_ready_in_time_is_told_although_it_was_stopped() {
        let services = told(&[
            ("web", ServiceState::Starting),
            ("web", ServiceState::Stopping),
            ("web", ServiceState::Exited(124)),
        ]);
        let many: Vec<String> = (0..30).map(|number| number.to_string()).collect();
        let failed = services.failed(124, &many).unwrap();
        assert_eq!((failed.lines.len(), failed.lines[0].as_str()), (SHOWN_LINES, "20"));
        assert!(failed.what().contains("not ready in time"), "{}", failed.what());
    }

    #[test]
    fn one_that_ends_well_before_it_is_ready_is_told() {
        let services = told(&[("job", ServiceState::Starting), ("job", ServiceState::Exited(0))]);
        let failed = services.failed(124, &[]).unwrap();
        assert_eq!(failed.what(), "service \"job\" ended with status 0 before it was ready");
        assert!(failed.help("out").contains("needs no `ready`"));
        assert_eq!(services.failed(143, &[]), None);
    }

    #[test]
    fn what_was_asked_to_stop_did_not_fail() {
        let asked =
            told(&[("web", ServiceState::Ready), ("web", ServiceState::Stopping), ("web", ServiceState::Exited(143))]);
        assert_eq!(asked.failed(143, &[]), None);
        let mut restarted = told(&[]);
        restarted.hear(&Event::Restart { name: "web".to_owned(), status: 3, delay_ms: 50, failures: 4, limit: 5 });
        restarted.hear(&Event::Service { name: "web".to_owned(), state: ServiceState::Exited(3) });
        assert!(!restarted.failed(3, &[]).unwrap().help("out").contains("restart"));
        let long_ago = told(&[("job", ServiceState::Exited(1)), ("web", ServiceState::Exited(0))]);
        assert_eq!(long_ago.failed(0, &[]), None);
        assert_eq!(long_ago.failed(143, &[]), None);
    }

    #[test]
    fn what_its_last_words_tell_comes_first() {
        let services = told(&[("web", ServiceState::Ready), ("web", ServiceState::Exited(1))]);
        let mut lines = vec!["httpd: bind: Permission denied".to_owned()];
        assert!(services.failed(1, &lines).unwrap().help("out").contains("`capabilities \"net_bind_service\"`"));
        lines.extend((0..20).map(|number| format!("line {number}")));
        let failed = services.failed(1, &lines).unwrap();
        assert_eq!((failed.lines.len(), failed.cause.clone()), (SHOWN_LINES, Some(Cause::LowPort)));
        let unseen = FailedService { is_unseen: true, ..services.failed(1, &[]).unwrap() };
        assert!(unseen.help("out").contains("net_bind_service") && unseen.help("out").contains("writable"));
    }

    #[test]
    fn who_was_killed_because_memory_ran_out_is_told_so() {
        let mut services = told(&[("web", ServiceState::Ready)]);
        services.hear(&Event::OutOfMemory { name: Some("web".to_owned()), limit_bytes: Some(1) });
        services.hear(&Event::Service { name: "web".to_owned(), state: ServiceState::Exited(137) });
        let failed = services.failed(137, &[]).unwrap();
        assert_eq!(failed.what(), "service \"web\" was killed because memory ran out (status 137)");
        assert!(failed.help("out").starts_with("give it more with `memory` of `resources`"), "{}", failed.help("out"));
    }

    #[test]
    fn signals_have_names() {
        assert_eq!(
            (signal_name(137), signal_name(128), signal_name(7), signal_name(255)),
            (Some("SIGKILL"), None, None, None)
        );
    }
}
