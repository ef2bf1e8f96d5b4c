//! Finding instances by the words on a command line, after whatever was left by killed supervisors is cleaned up.

use std::path::PathBuf;

use engine::{
    Connection, ConnectionError, EndedInstance, Found, ended_instances, find_instance, live_instances, reconcile,
};

use crate::exit::Exit;
use crate::failure::Failure;
use crate::places;
use crate::ui::Ui;

/// The instances of this user.
#[derive(Debug)]
pub struct Instances {
    /// Where they are.
    pub state_folder: PathBuf,
    /// Those that live, sorted by name.
    pub live: Vec<Found>,
    /// Those that have ended and were not removed, sorted by name.
    pub ended: Vec<EndedInstance>,
}

/// What a word means.
#[derive(Debug)]
pub enum Meant {
    /// An instance that lives.
    Live(Found),
    /// One that has ended.
    Ended(Box<EndedInstance>),
}

impl Instances {
    /// Looks at the host, and repairs what a killed supervisor left.
    ///
    /// # Errors
    /// The folder of instances cannot be read.
    pub fn look(ui: &Ui) -> Result<Self, Failure> {
        let state_folder = places::state();
        let repaired = reconcile(&state_folder);
        repaired.instances.iter().for_each(|name| ui.note(format!("cleaned up after {name}, which was killed")));
        repaired.left.iter().for_each(|what| ui.warn(format!("could not remove {what}")));
        let failed = |error| Failure::doing(Exit::Failure, format!("read {}", state_folder.display()), error);
        let live = live_instances(&state_folder).map_err(failed)?;
        let mut ended = ended_instances(&state_folder).map_err(failed)?;
        // One that ends right now may be both; what it is in the end its supervisor says.
        ended.retain(|ended| live.iter().all(|found| found.name != ended.name));
        Ok(Self { state_folder, live, ended })
    }

    /// The instance that a word means: a name, of one that runs before one that has ended; or an appliance of which only
    /// one runs.
    ///
    /// # Errors
    /// There is none, or there are several; the help says which there are.
    pub fn meant(&self, word: &str) -> Result<Meant, Failure> {
        self.find(word)?.ok_or_else(|| self.unknown(word))
    }

    /// The same, for those who do not mind that there is none.
    ///
    /// # Errors
    /// There are several.
    pub fn find(&self, word: &str) -> Result<Option<Meant>, Failure> {
        let ended = self.ended.iter().find(|ended| ended.name == word);
        let ended = || ended.map(|ended| Meant::Ended(Box::new(ended.clone())));
        let mut found = find_instance(&self.live, word);
        if found.iter().all(|found| found.name != word) && ended().is_some() {
            // It has this very name; what runs is only of an appliance that is called so.
            return Ok(ended());
        }
        if found.len() > 1 {
            let names: Vec<&str> = found.iter().map(|found| found.name.as_str()).collect();
            let what = format!("tell which instance of {word} is meant: {} run", names.len());
            return Err(Failure::new(Exit::Failure, what).help(format!("name them: {}", names.join(", "))));
        }
        Ok(found.pop().map(Meant::Live))
    }

    /// The instance that lives and that a word means.
    ///
    /// # Errors
    /// There is none, or there are several, or it has ended.
    pub fn live(&self, word: &str) -> Result<Found, Failure> {
        match self.meant(word)? {
            Meant::Live(found) => Ok(found),
            Meant::Ended(ended) => match self.running_beside(&ended) {
                None => Err(has_ended(&ended)),
                Some(others) => Err(has_ended(&ended).help(others)),
            },
        }
    }

    /// What runs of the same appliance as one that has ended and bears its name, in words; none where nothing does.
    pub fn running_beside(&self, ended: &EndedInstance) -> Option<String> {
        let names: Vec<String> = find_instance(&self.live, &ended.name).into_iter().map(|found| found.name).collect();
        let first = names.first()?;
        Some(format!("of the same appliance runs {}; name it, such as: appliance logs {first}", names.join(", ")))
    }

    fn unknown(&self, word: &str) -> Failure {
        let live = self.live.iter().flat_map(|found| [found.name.as_str(), found.appliance.as_str()]);
        let names: Vec<&str> = live.chain(self.ended.iter().map(|ended| ended.name.as_str())).collect();
        let help = match spec::nearest(word, names.iter().copied()) {
            Some(near) => format!("did you mean {near}?"),
            None if names.is_empty() => "there are no instances; start one with: appliance run -d".to_owned(),
            None => "see what there is with: appliance ps --all".to_owned(),
        };
        Failure::new(Exit::Failure, format!("find the instance {word:?}: there is none")).help(help)
    }
}

/// Connects to an instance.
///
/// # Errors
/// It has ended meanwhile, or its supervisor does not answer.
pub fn connect(found: &Found) -> Result<Connection, Failure> {
    found.connect().map_err(|error| talking(found, error))
}

/// What went wrong while talking to an instance. One that ended meanwhile is told of as if it had ended before.
pub fn talking(found: &Found, error: ConnectionError) -> Failure {
    match error {
        ConnectionError::Gone => match found.ended() {
            Ok(Some(ended)) => has_ended(&ended),
            Ok(None) => Failure::new(Exit::Failure, format!("reach {}: it has ended", found.name))
                .help("how it ended was told where it was started; see what there is with: appliance ps --all"),
            Err(ConnectionError::Gone) => Failure::new(Exit::Failure, ConnectionError::Gone),
            Err(error) => talking(found, error),
        },
        ConnectionError::Paused => {
            let help = format!("let it go on with: appliance resume {}", found.name);
            Failure::new(Exit::Failure, format!("reach {}: it is paused", found.name)).help(help)
        }
        ConnectionError::Silent => {
            let help = format!("end it with: appliance kill {}", found.name);
            Failure::new(Exit::Failure, ConnectionError::Silent).help(help)
        }
        error => Failure::new(Exit::Failure, error),
    }
}

/// How an instance ended that ended before it answered; none where the answer was not kept for anybody.
///
/// # Errors
/// Anything else went wrong.
pub fn ended_meanwhile(found: &Found, error: ConnectionError) -> Result<Option<EndedInstance>, Failure> {
    match error {
        ConnectionError::Gone => found.ended().map_err(|error| talking(found, error)),
        error => Err(talking(found, error)),
    }
}

/// What is worth a warning of how an instance ended; none where it ended by itself or as it was asked to.
pub fn odd_end(ended: &EndedInstance) -> Option<String> {
    let EndedInstance { name, .. } = ended;
    match (ended.lost, &ended.failed, &ended.machine_lost) {
        (true, ..) => Some(lost(name)),
        (_, Some(reason), _) => Some(format!("{name} could not be started: {reason}")),
        (.., Some(machine)) => Some(format!("the machine of {name} was lost: {}", machine.why)),
        _ => None,
    }
}

/// What is said of an instance whose end nobody saw.
pub fn lost(name: &str) -> String {
    format!("the supervisor of {name} was killed, and everything in it with it")
}

fn has_ended(ended: &EndedInstance) -> Failure {
    let EndedInstance { name, status, .. } = ended;
    let how = odd_end(ended).unwrap_or_else(|| format!("it has ended with status {status}"));
    Failure::new(Exit::Failure, format!("reach {name}: {how}"))
        .help(format!("what it printed: appliance logs {name}; forget it: appliance rm {name}"))
}
