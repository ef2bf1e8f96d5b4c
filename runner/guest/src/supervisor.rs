//! Decides what happens to the services: a pure state machine, told the time and what happened.
//!
//! ```text
//!            all of `after` ready            probe succeeds
//!  waiting ───────────────────────▶ starting ──────────────▶ ready
//!     ▲                               │  │ not in time          │
//!     │ delay over                    │  ▼                      │ stop
//!  restarting ◀──── ends, by policy ──┴─ stopping ◀─────────────┘
//!                                        │ ends
//!                                        ▼
//!                                      exited
//! ```
//!
//! Input: the settings, then one [`Input`] at a time. Output: [`Action`]s for the executor, in order.
//! It starts nothing, kills nothing and reads no clock.

use bundle::channel::{Event, ServiceState, ServiceStatus, Status};
use bundle::guest::{Restart, STATUS_NOT_READY, Service};

use crate::memory::Shortage;
use crate::words::{duration, how_it_ended};

/// The status of what was asked to stop and had nothing to say to it: 128 and the number of SIGTERM, as shells have it.
const STATUS_STOPPED: u8 = 143;

/// Failures in a row after which a service is given up and the appliance fails.
const MAX_FAILURES: u32 = 5;

/// A service that was ready and ran this long has recovered: earlier failures no longer count.
const RECOVERED_MS: u64 = 30_000;

/// The shortest time before a restart, so that a program that ends at once does not take a whole processor.
const MIN_DELAY_MS: u64 = 50;

/// What happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Input {
    /// Time has passed.
    Tick,
    /// The service's process exists.
    Started { service: usize, pid: u32 },
    /// The service's process could not be made; the reason is a fragment after "failed to".
    NotStarted { service: usize, reason: String, status: u8 },
    /// The service's process ended; with a shortage, because memory ran out.
    Ended { service: usize, status: u8, shortage: Option<Shortage> },
    /// The service was to start, but nothing of it has begun, and nothing will: all is asked to end.
    Withdrawn { service: usize },
    /// The readiness probe succeeded.
    Probed { service: usize },
    /// Someone asks for the end; after `within_ms` there is no more grace.
    Stop { within_ms: Option<u64> },
    /// Someone asks for the end without any grace.
    Kill,
}

/// What the executor must do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// Start the service's process, then report [`Input::Started`] or [`Input::NotStarted`].
    Start(usize),
    /// Begin to probe the service until it is ready or [`Action::EndProbe`].
    Probe(usize),
    /// Stop probing it.
    EndProbe(usize),
    /// Ask this process group to end.
    Terminate(u32),
    /// End this process group.
    Kill(u32),
    /// Tell the person who watches.
    Say(String),
    /// Tell this, and what its probe saw last.
    SayUnready { service: usize, text: String },
    /// Tell the host.
    Tell(Event),
}

/// How a service ended that was stopped because its probe did not succeed.
const NOT_IN_TIME: &str = "was not ready in time";

/// The services and how far each is.
#[derive(Debug)]
pub struct Supervisor {
    units: Vec<Unit>,
    main: Option<usize>,
    is_command: bool,
    stopping: bool,
    kill_at: Option<u64>,
    /// The time that everything together was given to stop.
    within_ms: Option<u64>,
    final_status: Option<u8>,
    was_ready: bool,
    actions: Vec<Action>,
}

#[derive(Debug)]
struct Unit {
    service: Service,
    after: Vec<usize>,
    state: State,
    pid: Option<u32>,
    was_ready: bool,
    missed_ready: bool,
    /// How its process ended last, as in "it …".
    how: String,
    /// It did not run when all was asked to stop, so it has no status of its own.
    was_idle: bool,
    failures: u32,
    restarts: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Waiting,
    Delayed {
        until: u64,
    },
    /// Without a time as long as there is no process.
    Starting {
        ready_by: Option<u64>,
    },
    Ready {
        since: u64,
    },
    Stopping {
        kill_at: u64,
    },
    Exited {
        status: u8,
    },
}

impl Supervisor {
    /// Takes services in start order; each names only earlier ones in `after`.
    pub fn new(services: Vec<Service>, main: Option<&str>) -> Self {
        let place = |name: &str| services.iter().position(|service| service.name == name);
        let main = main.and_then(place);
        let after: Vec<Vec<usize>> =
            services.iter().map(|service| service.after.iter().filter_map(|name| place(name)).collect()).collect();
        let units = services.into_iter().zip(after).map(|(service, after)| Unit::new(service, after)).collect();
        Self {
            units,
            main,
            is_command: false,
            stopping: false,
            kill_at: None,
            within_ms: None,
            final_status: None,
            was_ready: false,
            actions: Vec::new(),
        }
    }

    /// The same for a command, which is no service in the words that people read.
    #[must_use]
    pub fn of_command(self, is_command: bool) -> Self {
        Self { is_command, ..self }
    }

    /// Takes one input and gives what must be done now.
    pub fn handle(&mut self, now: u64, input: Input) -> Vec<Action> {
        match input {
            Input::Tick => {}
            Input::Started { service, pid } => self.started(now, service, pid),
            Input::NotStarted { service, reason, status } => {
                self.actions.push(Action::Say(format!("failed to {reason}")));
                self.ended(now, service, status, None);
            }
            Input::Ended { service, status, shortage } => self.ended(now, service, status, shortage),
            Input::Withdrawn { service } => self.rest(service),
            Input::Probed { service } => self.probed(now, service),
            Input::Stop { within_ms } => {
                self.stopping = true;
                self.within_ms = within_ms;
                self.kill_at = [self.kill_at, within_ms.map(|ms| now.saturating_add(ms))].into_iter().flatten().min();
            }
            Input::Kill => {
                self.stopping = true;
                self.within_ms = None;
                self.kill_at = Some(now);
            }
        }
        self.advance(now);
        std::mem::take(&mut self.actions)
    }

    /// When [`Input::Tick`] is needed next.
    pub fn deadline(&self) -> Option<u64> {
        self.units.iter().filter_map(|unit| unit.state.deadline()).chain(self.kill_at).min().filter(|at| *at < u64::MAX)
    }

    /// The exit status of the appliance, once everything has ended.
    pub fn outcome(&self) -> Option<u8> {
        let all_ended = self.units.iter().all(|unit| unit.state.is_over());
        let main = || self.main.and_then(|main| self.units.get(main)).filter(|unit| !unit.was_idle);
        let main_status = || main().and_then(Unit::status);
        (self.stopping && all_ended).then(|| self.final_status.or_else(main_status).unwrap_or(STATUS_STOPPED))
    }

    /// Whether the end was asked for or is under way.
    pub fn is_stopping(&self) -> bool {
        self.stopping
    }

    /// The state of everything, for the host.
    pub fn status(&self) -> Status {
        Status { ready: self.was_ready, services: self.units.iter().map(Unit::report).collect() }
    }

    /// The process id of a service that runs.
    pub fn pid(&self, service: usize) -> Option<u32> {
        self.units.get(service).and_then(|unit| unit.pid)
    }

    /// The service that has this process id.
    pub fn service_of(&self, pid: u32) -> Option<usize> {
        self.units.iter().position(|unit| unit.pid == Some(pid))
    }

    /// What was declared for a service.
    pub fn service(&self, service: usize) -> Option<&Service> {
        self.units.get(service).map(|unit| &unit.service)
    }

    /// The place of the service with this name.
    pub fn find(&self, name: &str) -> Option<usize> {
        self.units.iter().position(|unit| unit.service.name == name)
    }

    /// Whether a service has ended and will not start again.
    pub fn is_over(&self, service: usize) -> bool {
        self.units.get(service).is_some_and(|unit| unit.state.is_over())
    }

    /// How many services there are.
    pub fn len(&self) -> usize {
        self.units.len()
    }

    fn started(&mut self, now: u64, service: usize, pid: u32) {
        let Some(unit) = self.units.get_mut(service) else { return };
        unit.pid = Some(pid);
        match unit.state {
            State::Starting { .. } => match &unit.service.ready {
                Some(ready) => {
                    let ready_by = Some(now.saturating_add(ready.within_ms));
                    unit.state = State::Starting { ready_by };
                    self.actions.push(Action::Probe(service));
                }
                None => self.becomes_ready(now, service),
            },
            // It was to end before it had begun.
            _ => self.actions.push(Action::Terminate(pid)),
        }
    }

    fn probed(&mut self, now: u64, service: usize) {
        if self.units.get(service).is_some_and(|unit| matches!(unit.state, State::Starting { .. })) {
            self.becomes_ready(now, service);
        }
    }

    fn becomes_ready(&mut self, since: u64, service: usize) {
        if let Some(unit) = self.units.get_mut(service) {
            unit.was_ready = true;
        }
        self.enter(service, State::Ready { since });
        if !self.was_ready && self.units.iter().all(|unit| unit.was_ready) {
            self.was_ready = true;
            self.actions.push(Action::Tell(Event::Ready));
        }
    }

    fn ended(&mut self, now: u64, service: usize, status: u8, shortage: Option<Shortage>) {
        let Some(unit) = self.units.get_mut(service) else { return };
        let pid = unit.pid.take();
        if matches!(unit.state, State::Starting { .. }) {
            self.actions.push(Action::EndProbe(service));
        }
        let is_early = !self.stopping && status == 0 && unit.is_unready();
        unit.how = unit.how_now(status, is_early, shortage);
        if let Some(Shortage { limit_bytes }) = shortage {
            let name = Some(unit.service.name.clone());
            self.actions.push(Action::Tell(Event::OutOfMemory { name, limit_bytes }));
        }
        let status = if std::mem::take(&mut unit.missed_ready) { STATUS_NOT_READY } else { status };
        let again = !self.stopping && unit.wants_restart(status);
        unit.count_failure(now, status != 0 || is_early);
        if let Some(pid) = pid.filter(|_| self.stopping || again) {
            // What the service left behind in its group would be in the way of its next start.
            self.actions.push(Action::Kill(pid));
        }
        match again {
            true if unit.failures >= MAX_FAILURES => self.give_up(service, status),
            true => self.restart(now, service, status),
            false if is_early => self.ended_early(service),
            false => {
                if shortage.is_some() {
                    self.say_how(service);
                }
                self.ended_for_good(service, status);
            }
        }
    }

    /// Starts it again after its delay, and says so: a service that is never up for long must not look healthy.
    fn restart(&mut self, now: u64, service: usize, status: u8) {
        let Some(unit) = self.units.get(service) else { return };
        let (name, how, failures) = (unit.service.name.clone(), unit.how.clone(), unit.failures);
        let delay_ms = unit.service.restart_delay_ms.max(MIN_DELAY_MS);
        let of = if failures > 0 { format!(" (failure {failures} of {MAX_FAILURES})") } else { String::new() };
        self.actions
            .push(Action::Say(format!("service {name:?} {how}; it starts again in {}{of}", duration(delay_ms))));
        self.actions.push(Action::Tell(Event::Restart { name, status, delay_ms, failures, limit: MAX_FAILURES }));
        self.enter(service, State::Delayed { until: now.saturating_add(delay_ms) });
    }

    /// What the host does not find out by itself.
    fn say_how(&mut self, service: usize) {
        let Some(unit) = self.units.get(service) else { return };
        let what = if self.is_command { "the command".to_owned() } else { format!("service {:?}", unit.service.name) };
        self.actions.push(Action::Say(format!("{what} {}", unit.how)));
    }

    fn give_up(&mut self, service: usize, status: u8) {
        self.enter(service, State::Exited { status });
        let reason = format!(
            "keep service {:?} running: it failed {MAX_FAILURES} times in a row, and now it {}",
            self.name(service),
            self.units.get(service).map(|unit| unit.how.as_str()).unwrap_or_default()
        );
        self.fail(&reason, if status == 0 { STATUS_NOT_READY } else { status });
    }

    /// A service without a probe is ready at once; what one with a probe was there for has not come about.
    fn ended_early(&mut self, service: usize) {
        self.enter(service, State::Exited { status: 0 });
        let (name, how) = (self.name(service), how_it_ended(0));
        self.actions.push(Action::Say(format!("service {name:?} {how} before it was ready")));
        let reason = format!("get service {name:?} ready: it {how} before");
        self.end_with_failure(reason, STATUS_NOT_READY);
    }

    fn ended_for_good(&mut self, service: usize, status: u8) {
        self.enter(service, State::Exited { status });
        let all_ended = self.units.iter().all(|unit| unit.state.is_over());
        let is_end = self.main == Some(service) || (self.main.is_none() && all_ended);
        if is_end && !self.stopping {
            if status == 0 && !all_ended {
                self.say_why_all_stops(service);
            }
            self.stopping = true;
            self.final_status = Some(status);
        }
    }

    /// An end without a fault, which others might have outlived: who wrote the spec perhaps did not mean it.
    fn say_why_all_stops(&mut self, main: usize) {
        let name = self.name(main);
        // Without a word of the spec it is the last one.
        let hint = if main + 1 == self.units.len() { "; `main #true` on another service changes that" } else { "" };
        let text = format!("main service {name:?} ended with status 0, so the appliance stops{hint}");
        self.actions.push(Action::Say(text));
        self.actions.push(Action::Tell(Event::MainEnded { name, status: 0 }));
    }

    fn fail(&mut self, reason: &str, status: u8) {
        self.actions.push(Action::Say(format!("failed to {reason}")));
        self.end_with_failure(reason.to_owned(), status);
    }

    fn end_with_failure(&mut self, reason: String, status: u8) {
        self.actions.push(Action::Tell(Event::Failed { reason }));
        if !self.stopping {
            self.stopping = true;
            self.final_status = Some(status.max(1));
        }
    }

    /// Does everything that the time and the states of others ask for.
    fn advance(&mut self, now: u64) {
        if self.units.is_empty() && !self.was_ready {
            // There is nothing to wait for.
            self.was_ready = true;
            self.actions.push(Action::Tell(Event::Ready));
        }
        for service in 0..self.units.len() {
            self.advance_time(now, service);
        }
        for service in 0..self.units.len() {
            if !self.stopping {
                self.advance_start(now, service);
            }
        }
        if self.stopping {
            self.advance_stop(now);
        }
    }

    fn advance_time(&mut self, now: u64, service: usize) {
        let Some(unit) = self.units.get_mut(service) else { return };
        match unit.state {
            State::Starting { ready_by: Some(at) } if at <= now => {
                unit.missed_ready = true;
                let within_ms = unit.service.ready.as_ref().map_or(0, |ready| ready.within_ms);
                let name = self.name(service);
                let text = format!("service {name} was not ready within {}", duration(within_ms));
                self.actions.push(Action::SayUnready { service, text });
                self.terminate(now, service);
            }
            State::Stopping { kill_at } if kill_at <= now => {
                let within_ms = unit.service.stop_grace_ms;
                self.kill(service, Some(within_ms));
            }
            _ => {}
        }
    }

    fn advance_start(&mut self, now: u64, service: usize) {
        let Some(unit) = self.units.get(service) else { return };
        let is_due = match unit.state {
            State::Waiting => {
                unit.after.iter().all(|before| self.units.get(*before).is_some_and(|unit| unit.was_ready))
            }
            State::Delayed { until } => until <= now,
            _ => false,
        };
        let dead =
            unit.after.iter().find(|before| self.units.get(**before).is_some_and(Unit::can_never_be_ready)).copied();
        match dead {
            Some(before) if unit.state == State::Waiting => {
                let status = self.units.get(before).and_then(Unit::status).unwrap_or(1);
                let how = self.units.get(before).map(Unit::why_unready).unwrap_or_default();
                let (name, before) = (self.name(service), self.name(before));
                self.fail(&format!("start service {name}: it comes after {before}, which {how}"), status);
            }
            _ if is_due => self.start(service),
            _ => {}
        }
    }

    fn start(&mut self, service: usize) {
        let Some(unit) = self.units.get_mut(service) else { return };
        if unit.state != State::Waiting {
            unit.restarts += 1;
        }
        // Its time to get ready begins when its process is there.
        self.enter(service, State::Starting { ready_by: None });
        self.actions.push(Action::Start(service));
    }

    /// Stops each service once all that came after it have ended, and everything at the deadline.
    fn advance_stop(&mut self, now: u64) {
        let no_grace = self.kill_at.is_some_and(|at| at <= now);
        if no_grace {
            self.kill_at = None;
        }
        for service in (0..self.units.len()).rev() {
            let blocked = self.units.iter().any(|other| other.after.contains(&service) && !other.state.is_over());
            let Some(unit) = self.units.get_mut(service) else { continue };
            match unit.state {
                State::Waiting | State::Delayed { .. } => self.rest(service),
                State::Starting { .. } | State::Ready { .. } if !blocked || no_grace => self.terminate(now, service),
                _ => {}
            }
            if no_grace {
                self.kill(service, self.within_ms);
            }
        }
    }

    /// It does not run when all is to end.
    fn rest(&mut self, service: usize) {
        if let Some(unit) = self.units.get_mut(service) {
            unit.was_idle = true;
        }
        self.enter(service, State::Exited { status: 0 });
    }

    /// Kills its process, if there is one, and says so once; without a time it was asked for.
    fn kill(&mut self, service: usize, within_ms: Option<u64>) {
        let killed = State::Stopping { kill_at: u64::MAX };
        let Some(unit) = self.units.get(service) else { return };
        let Some(pid) = unit.pid else { return };
        if unit.state != killed {
            let name = unit.service.name.clone();
            let late = within_ms.map(|ms| format!("did not stop within {} and ", duration(ms))).unwrap_or_default();
            let what = if self.is_command { "the command".to_owned() } else { format!("service {name:?}") };
            self.actions.push(Action::Say(format!("{what} {late}was killed")));
            self.actions.push(Action::Tell(Event::Killed { name, within_ms }));
        }
        self.enter(service, killed);
        self.actions.push(Action::Kill(pid));
    }

    fn terminate(&mut self, now: u64, service: usize) {
        let Some(unit) = self.units.get(service) else { return };
        if matches!(unit.state, State::Starting { .. }) {
            self.actions.push(Action::EndProbe(service));
        }
        let kill_at = now.saturating_add(unit.service.stop_grace_ms);
        self.actions.extend(unit.pid.map(Action::Terminate));
        self.enter(service, State::Stopping { kill_at });
    }

    fn enter(&mut self, service: usize, state: State) {
        let Some(unit) = self.units.get_mut(service) else { return };
        let changed = unit.state.public() != state.public();
        unit.state = state;
        if changed {
            let name = unit.service.name.clone();
            self.actions.push(Action::Tell(Event::Service { name, state: state.public() }));
        }
    }

    fn name(&self, service: usize) -> String {
        self.units.get(service).map(|unit| unit.service.name.clone()).unwrap_or_default()
    }
}

impl Unit {
    fn new(service: Service, after: Vec<usize>) -> Self {
        let state = State::Waiting;
        Self {
            service,
            after,
            state,
            pid: None,
            was_ready: false,
            missed_ready: false,
            how: String::new(),
            was_idle: false,
            failures: 0,
            restarts: 0,
        }
    }

    /// Whether it is probed and never was ready.
    fn is_unready(&self) -> bool {
        !self.was_ready && !self.missed_ready && matches!(self.state, State::Starting { ready_by: Some(_) })
    }

    fn how_now(&self, status: u8, is_early: bool, shortage: Option<Shortage>) -> String {
        match self.missed_ready {
            _ if let Some(shortage) = shortage => format!("{} (status {status})", shortage.how()),
            true => NOT_IN_TIME.to_owned(),
            false if is_early => format!("{} before it was ready", how_it_ended(status)),
            false => how_it_ended(status),
        }
    }

    /// Why nothing that comes after it can start, as in "which …".
    fn why_unready(&self) -> String {
        if self.how == NOT_IN_TIME { self.how.clone() } else { format!("{} before it was ready", self.how) }
    }

    fn wants_restart(&self, status: u8) -> bool {
        match self.service.restart {
            Restart::Never => false,
            Restart::OnFailure => status != 0,
            Restart::Always => true,
        }
    }

    fn count_failure(&mut self, now: u64, is_failure: bool) {
        let recovered = matches!(self.state, State::Ready { since } if now.saturating_sub(since) >= RECOVERED_MS);
        if recovered || !is_failure {
            self.failures = 0;
        }
        self.failures += u32::from(is_failure);
    }

    fn can_never_be_ready(&self) -> bool {
        self.state.is_over() && !self.was_ready
    }

    fn status(&self) -> Option<u8> {
        match self.state {
            State::Exited { status } => Some(status),
            _ => None,
        }
    }

    fn report(&self) -> ServiceStatus {
        ServiceStatus {
            name: self.service.name.clone(),
            state: self.state.public(),
            pid: self.pid,
            restarts: self.restarts,
        }
    }
}

impl State {
    fn deadline(self) -> Option<u64> {
        match self {
            Self::Delayed { until } => Some(until),
            Self::Starting { ready_by } => ready_by,
            Self::Stopping { kill_at } => Some(kill_at),
            _ => None,
        }
    }

    fn is_over(self) -> bool {
        matches!(self, Self::Exited { .. })
    }

    fn public(self) -> ServiceState {
        match self {
            Self::Waiting => ServiceState::Waiting,
            Self::Delayed { .. } => ServiceState::Restarting,
            Self::Starting { .. } => ServiceState::Starting,
            Self::Ready { .. } => ServiceState::Ready,
            Self::Stopping { .. } => ServiceState::Stopping,
            Self::Exited { status } => ServiceState::Exited(status),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bundle::guest::{Probe, Ready, User};
    use proptest::prelude::*;

    use super::*;

    fn service(name: usize, after: &[usize], restart: Restart, within_ms: Option<u64>) -> Service {
        Service {
            name: name.to_string(),
            args: vec!["program".to_owned()],
            env: BTreeMap::new(),
            user: User { name: "root".to_owned(), uid: 0, gid: 0, groups: vec![], home: "/".to_owned() },
            after: after.iter().map(usize::to_string).collect(),
            restart,
            restart_delay_ms: 100,
            ready: within_ms.map(|within_ms| Ready { probe: Probe::File("/x".to_owned()), within_ms }),
            stop_grace_ms: 500,
        }
    }

    /// A world in which processes do what a list of numbers says.
    struct World {
        supervisor: Supervisor,
        now: u64,
        running: BTreeMap<u32, usize>,
        next_pid: u32,
    }

    impl World {
        fn new(services: Vec<Service>, main: Option<&str>) -> Self {
            let mut world =
                Self { supervisor: Supervisor::new(services, main), now: 0, running: BTreeMap::new(), next_pid: 2 };
            world.feed(Input::Tick);
            world
        }

        fn feed(&mut self, input: Input) -> Vec<Action> {
            let actions = self.supervisor.handle(self.now, input);
            for action in &actions {
                if let Action::Start(service) = action {
                    let unit = &self.supervisor.units[*service];
                    assert!(unit.pid.is_none(), "a service that runs is not started again");
                    assert!(unit.after.iter().all(|before| self.supervisor.units[*before].was_ready));
                    let pid = self.next_pid;
                    self.next_pid += 1;
                    self.running.insert(pid, *service);
                    self.feed(Input::Started { service: *service, pid });
                }
            }
            actions
        }

        fn end(&mut self, choice: usize, status: u8) {
            if let Some((pid, service)) =
                self.running.iter().nth(choice % self.running.len().max(1)).map(|(p, s)| (*p, *s))
            {
                self.running.remove(&pid);
                self.feed(Input::Ended { service, status, shortage: None });
            }
        }

        fn step(&mut self, (kind, choice, status): (u8, usize, u8)) {
            match kind {
                0 => self.end(choice, status),
                1 => drop(self.feed(Input::Probed { service: choice % self.supervisor.len() })),
                2 => self.now += 70,
                _ => self.now = self.supervisor.deadline().unwrap_or(self.now).max(self.now),
            }
            self.feed(Input::Tick);
        }

        /// Lets every process that is asked or forced to end do so, and time pass, until all is over.
        fn stop(&mut self) -> Option<u8> {
            self.feed(Input::Stop { within_ms: None });
            for _ in 0..100 {
                self.end(0, 143);
                self.now = self.supervisor.deadline().unwrap_or(self.now).max(self.now);
                assert!(!self.feed(Input::Tick).iter().any(|action| matches!(action, Action::Start(_))));
            }
            self.supervisor.outcome()
        }
    }

    fn any_services() -> impl Strategy<Value = Vec<Service>> {
        let restart = prop_oneof![Just(Restart::Never), Just(Restart::OnFailure), Just(Restart::Always)];
        let one = (any::<u8>(), restart, proptest::option::of(1_u64..1000));
        proptest::collection::vec(one, 1..6).prop_map(|list| {
            let after =
                |bits: u8, place: usize| (0..place).filter(|before| bits & (1 << before) != 0).collect::<Vec<_>>();
            let numbered = list.into_iter().enumerate();
            numbered
                .map(|(place, (bits, restart, ready))| service(place, &after(bits, place), restart, ready))
                .collect()
        })
    }

    proptest! {
        #[test]
        fn whatever_happens_it_can_be_stopped(
            services in any_services(), main in proptest::option::of(0_usize..6),
            steps in proptest::collection::vec((0_u8..4, any::<usize>(), 0_u8..2), 0..80),
        ) {
            let mut world = World::new(services, main.map(|main| main.to_string()).as_deref());
            for step in steps {
                world.step(step);
                let waits = world.running.is_empty() && world.supervisor.outcome().is_none();
                prop_assert!(!waits || world.supervisor.deadline().is_some(), "nothing runs and nothing is awaited");
            }
            prop_assert!(world.stop().is_some());
            prop_assert!(world.running.is_empty());
        }
    }

    #[test]
    fn each_restart_is_said_and_the_last_failure_too() {
        let mut world = World::new(vec![service(0, &[], Restart::Always, None)], None);
        let mut said = Vec::new();
        let mut end = |status: u8| {
            world.now += 100;
            world.feed(Input::Tick);
            world.running.clear();
            said.extend(world.feed(Input::Ended { service: 0, status, shortage: None }).into_iter().filter_map(
                |action| match action {
                    Action::Say(text) => Some(text),
                    Action::Tell(Event::Restart { delay_ms, failures, limit, .. }) => {
                        Some(format!("{delay_ms} {failures} {limit}"))
                    }
                    _ => None,
                },
            ));
        };
        [0, 3, 139].into_iter().for_each(&mut end);
        [1, 1, 7].into_iter().for_each(&mut end);
        assert_eq!(
            said,
            [
                "service \"0\" ended with status 0; it starts again in 100 ms",
                "100 0 5",
                "service \"0\" ended with status 3; it starts again in 100 ms (failure 1 of 5)",
                "100 1 5",
                "service \"0\" was ended by SIGSEGV (status 139); it starts again in 100 ms (failure 2 of 5)",
                "100 2 5",
                "service \"0\" ended with status 1; it starts again in 100 ms (failure 3 of 5)",
                "100 3 5",
                "service \"0\" ended with status 1; it starts again in 100 ms (failure 4 of 5)",
                "100 4 5",
                "failed to keep service \"0\" running: it failed 5 times in a row, and now it ended with status 7",
            ]
        );
        assert_eq!(world.supervisor.outcome(), Some(7));
    }

    fn said(actions: &[Action]) -> Vec<String> {
        let text = |action: &Action| match action {
            Action::Say(text) | Action::SayUnready { text, .. } => Some(text.clone()),
            Action::Tell(event @ (Event::Failed { .. } | Event::MainEnded { .. })) => Some(format!("{event:?}")),
            _ => None,
        };
        actions.iter().filter_map(text).collect()
    }

    #[test]
    fn a_stop_in_each_state_ends_with_the_status_of_a_stop() {
        let slow = || service(0, &[], Restart::OnFailure, Some(1000));
        let last = || service(1, &[0], Restart::Never, None);
        // The main service still waits; it is asked while it starts; it is to start again; there is none.
        for services in [vec![slow(), last()], vec![slow()], vec![]] {
            let mut world = World::new(services, Some("1"));
            assert_eq!(world.stop(), Some(STATUS_STOPPED));
        }
        let mut world = World::new(vec![slow(), service(1, &[], Restart::Always, None)], Some("1"));
        world.end(1, 3);
        assert!(matches!(world.supervisor.units[1].state, State::Delayed { .. }));
        assert_eq!(world.stop(), Some(STATUS_STOPPED));
        let mut world = World::new(vec![last()], Some("1"));
        world.feed(Input::Stop { within_ms: None });
        world.end(0, 7);
        assert_eq!(world.supervisor.outcome(), Some(7), "its own answer to a stop counts");
    }

    #[test]
    fn what_ends_well_before_it_is_ready_fails() {
        let services = |restart| vec![service(0, &[], restart, Some(1000)), service(1, &[0], Restart::Never, None)];
        let mut world = World::new(services(Restart::OnFailure), Some("1"));
        world.running.clear();
        assert_eq!(
            said(&world.feed(Input::Ended { service: 0, status: 0, shortage: None })),
            [
                "service \"0\" ended with status 0 before it was ready",
                "Failed { reason: \"get service \\\"0\\\" ready: it ended with status 0 before\" }",
            ]
        );
        assert_eq!(world.supervisor.outcome(), Some(STATUS_NOT_READY));
        let mut world = World::new(services(Restart::Always), Some("1"));
        for _ in 0..MAX_FAILURES {
            world.end(0, 0);
            world.now += 100;
            world.feed(Input::Tick);
        }
        assert_eq!(world.supervisor.outcome(), Some(STATUS_NOT_READY), "it is not started again for ever");
        let mut world = World::new(services(Restart::Never), Some("1"));
        world.feed(Input::Probed { service: 0 });
        world.end(0, 0);
        assert!(!world.supervisor.is_stopping(), "who was ready may end");
    }

    #[test]
    fn who_waits_for_what_is_late_is_told_so() {
        let mut world =
            World::new(vec![service(0, &[], Restart::Never, Some(2000)), service(1, &[0], Restart::Never, None)], None);
        world.now = 2000;
        assert_eq!(said(&world.feed(Input::Tick)), ["service 0 was not ready within 2 s"]);
        world.running.clear();
        let late = said(&world.feed(Input::Ended { service: 0, status: 143, shortage: None }));
        assert_eq!(late[0], "failed to start service 1: it comes after 0, which was not ready in time");
    }

    #[test]
    fn a_main_service_that_ends_well_says_why_all_stops() {
        let services = || vec![service(0, &[], Restart::Never, None), service(1, &[], Restart::Never, None)];
        let end = |main: usize, status: u8| {
            let mut world = World::new(services(), Some(&main.to_string()));
            said(&world.feed(Input::Ended { service: main, status, shortage: None }))
        };
        assert_eq!(
            end(1, 0),
            [
                "main service \"1\" ended with status 0, so the appliance stops; `main #true` on another service changes that",
                "MainEnded { name: \"1\", status: 0 }",
            ]
        );
        assert_eq!(end(0, 0)[0], "main service \"0\" ended with status 0, so the appliance stops");
        assert_eq!(end(1, 3), [""; 0]);
    }

    #[test]
    fn who_was_killed_because_memory_ran_out_is_told_so() {
        let end = |restart: Restart| {
            let mut world = World::new(vec![service(0, &[], restart, None)], None);
            let shortage = Some(Shortage { limit_bytes: Some(1 << 20) });
            let actions = world.feed(Input::Ended { service: 0, status: 137, shortage });
            let event = Event::OutOfMemory { name: Some("0".to_owned()), limit_bytes: Some(1 << 20) };
            assert!(actions.contains(&Action::Tell(event)), "{actions:?}");
            said(&actions).remove(0)
        };
        let how = "service \"0\" was killed because memory ran out, of which there may be 1 MiB (status 137)";
        assert_eq!(end(Restart::Never), how);
        assert_eq!(end(Restart::Always), format!("{how}; it starts again in 100 ms (failure 1 of 5)"));
    }

    #[test]
    fn without_services_there_is_nothing_to_wait_for() {
        let mut supervisor = Supervisor::new(Vec::new(), None);
        assert_eq!(supervisor.handle(0, Input::Tick), [Action::Tell(Event::Ready)]);
        assert_eq!(supervisor.handle(1, Input::Tick), []);
        assert_eq!(supervisor.outcome(), None);
    }

    #[test]
    fn a_service_that_recovered_may_fail_again() {
        let mut world = World::new(vec![service(0, &[], Restart::Always, None)], None);
        for _ in 0..20 {
            world.now += RECOVERED_MS;
            world.end(0, 1);
            world.now += 100;
            world.feed(Input::Tick);
        }
        assert_eq!((world.supervisor.outcome(), world.running.len()), (None, 1));
    }

    #[test]
    fn a_stop_with_a_deadline_ends_all_at_once() {
        let mut world =
            World::new(vec![service(0, &[], Restart::Never, None), service(1, &[0], Restart::Never, None)], None);
        assert!(world.feed(Input::Stop { within_ms: Some(50) }).contains(&Action::Terminate(3)));
        assert_eq!(world.supervisor.deadline(), Some(50));
        world.now = 50;
        let actions = world.feed(Input::Tick);
        assert!(actions.contains(&Action::Kill(2)) && actions.contains(&Action::Kill(3)), "{actions:?}");
    }
}
