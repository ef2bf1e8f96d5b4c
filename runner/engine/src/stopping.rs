//! A stop under way: what has not ended yet, when that is worth a word, and when the grace is over.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bundle::channel::{Event, ServiceState};

/// How long a stop may take before something is said: most are over by then.
const SILENT: Duration = Duration::from_secs(1);

/// The guest kills what is left itself and says which services those were: it gets this much time for it.
const GUEST_KILLS: Duration = Duration::from_millis(500);

/// A stop that was asked for.
#[derive(Debug)]
pub struct Stopping {
    /// The signal that began it.
    pub signal: i32,
    /// The kill was ours, in place of this signal, which a first process without a handler never sees.
    pub in_place_of: Option<i32>,
    /// When all that is left is killed.
    pub deadline: Instant,
    /// When to say what is waited for; none once it was said.
    notice: Option<Instant>,
    killed: bool,
}

/// A stop that nobody outside asked for: of one service or, when one has failed, of all.
#[derive(Debug, Default)]
pub struct OwnStop {
    notice: Option<Instant>,
    is_told: bool,
}

/// The states of the services, as far as the guest has told them.
#[derive(Debug, Default)]
pub struct Services(BTreeMap<String, ServiceState>);

impl Stopping {
    /// A stop that begins now. `by_guest` says whether the guest was asked to see to it.
    pub fn new(signal: i32, in_place_of: Option<i32>, now: Instant, grace: Duration, by_guest: bool) -> Self {
        let (deadline, notice) = (now + grace, now + SILENT);
        // A word right before the kill would only be noise.
        let notice = Some(notice).filter(|at| *at < deadline);
        let deadline = if by_guest { deadline + GUEST_KILLS } else { deadline };
        Self { signal, in_place_of, deadline, notice, killed: false }
    }

    /// When to look at it next.
    pub fn wakes_at(&self) -> Instant {
        self.notice.map_or(self.deadline, |notice| notice.min(self.deadline))
    }

    /// Whether it is time to say what is waited for; true once.
    pub fn takes_long(&mut self, now: Instant) -> bool {
        self.notice.take_if(|at| *at <= now).is_some()
    }

    /// Notes that all is killed; whether that is news.
    pub fn kill(&mut self) -> bool {
        self.in_place_of.is_none() && !std::mem::replace(&mut self.killed, true)
    }
}

impl OwnStop {
    /// Takes up whether a service is stopping now.
    pub fn follow(&mut self, is_stopping: bool, now: Instant) {
        match is_stopping {
            false => *self = Self::default(),
            true if self.notice.is_none() && !self.is_told => self.notice = Some(now + SILENT),
            true => {}
        }
    }

    /// When to look at it next.
    pub fn wakes_at(&self) -> Option<Instant> {
        self.notice
    }

    /// Whether it is time to say what is waited for; true once.
    pub fn takes_long(&mut self, now: Instant) -> bool {
        let takes_long = self.notice.take_if(|at| *at <= now).is_some();
        self.is_told |= takes_long;
        takes_long
    }
}

impl Services {
    /// Takes up what the guest says.
    pub fn hear(&mut self, event: &Event) {
        if let Event::Service { name, state } = event {
            self.0.insert(name.clone(), *state);
        }
    }

    /// Those that are waited for: asked to stop, else not ended yet.
    pub fn waited_for(&self) -> Vec<String> {
        let those = |wanted: fn(&ServiceState) -> bool| -> Vec<String> {
            self.0.iter().filter(|(_, state)| wanted(state)).map(|(name, _)| name.clone()).collect()
        };
        let stopping = those(|state| *state == ServiceState::Stopping);
        if stopping.is_empty() { self.left() } else { stopping }
    }

    /// Whether one was asked to stop and has not ended.
    pub fn is_stopping(&self) -> bool {
        self.0.values().any(|state| *state == ServiceState::Stopping)
    }

    /// Those that have not ended.
    pub fn left(&self) -> Vec<String> {
        let is_left = |state: &ServiceState| {
            matches!(state, ServiceState::Starting | ServiceState::Ready | ServiceState::Stopping)
        };
        self.0.iter().filter(|(_, state)| is_left(state)).map(|(name, _)| name.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_stop_is_told_once_and_a_short_one_never() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut long = Stopping::new(2, None, now, 10 * second, false);
        assert_eq!((long.wakes_at(), long.takes_long(now)), (now + second, false));
        assert!(long.takes_long(now + second));
        assert!(!long.takes_long(now + 2 * second));
        assert_eq!(long.wakes_at(), now + 10 * second);
        assert!(long.kill() && !long.kill());
        let mut short = Stopping::new(2, None, now, second / 2, true);
        assert_eq!((short.wakes_at(), short.takes_long(now + second)), (now + second, false));
    }

    #[test]
    fn a_stop_of_its_own_is_told_once_too() {
        let (now, second) = (Instant::now(), Duration::from_secs(1));
        let mut own = OwnStop::default();
        own.follow(true, now);
        own.follow(true, now + second / 2);
        assert_eq!((own.wakes_at(), own.takes_long(now + second / 2)), (Some(now + second), false));
        assert!(own.takes_long(now + second));
        own.follow(true, now + 2 * second);
        assert!(own.wakes_at().is_none() && !own.takes_long(now + 9 * second));
        own.follow(false, now);
        own.follow(true, now);
        assert!(own.wakes_at().is_some());
    }

    #[test]
    fn what_is_waited_for_was_asked_to_stop() {
        let mut services = Services::default();
        let mut hear = |name: &str, state| services.hear(&Event::Service { name: name.to_owned(), state });
        hear("db", ServiceState::Ready);
        hear("job", ServiceState::Exited(0));
        hear("web", ServiceState::Stopping);
        assert_eq!(services.waited_for(), ["web"]);
        assert_eq!(services.left(), ["db", "web"]);
        services.hear(&Event::Service { name: "web".to_owned(), state: ServiceState::Exited(0) });
        assert_eq!(services.waited_for(), ["db"]);
    }
}
