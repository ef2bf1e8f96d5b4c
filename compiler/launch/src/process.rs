//! What PID 1 is, and how long it may take to stop.

use std::collections::BTreeMap;

use bundle::guest::{DEFAULT_PATH, GUEST_PATH, SYSTEM_INIT_PATH};
use bundle::plan::Process;
use spec::Appliance;
use spec::appliance::Init;

/// What an appliance without services gets to stop in, for a command that runs in it.
const DEFAULT_STOP_GRACE_MS: u64 = 10_000;

pub(crate) fn process(appliance: &Appliance) -> Process {
    let program = match appliance.init {
        Init::Systemd => SYSTEM_INIT_PATH,
        Init::Builtin | Init::Openrc => GUEST_PATH,
    };
    let mut env = BTreeMap::from([("PATH".to_owned(), DEFAULT_PATH.to_owned())]);
    env.extend(appliance.env.clone());
    let graces = appliance.services.iter().map(|service| service.stop_grace_ms);
    let stop_grace_ms = graces.max().unwrap_or(DEFAULT_STOP_GRACE_MS);
    Process { args: vec![program.to_owned()], env, stop_grace_ms }
}
