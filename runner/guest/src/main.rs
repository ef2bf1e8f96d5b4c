//! PID 1 of an appliance: starts its services or one command, watches over them, ends with their status.
//!
//! Input: the settings in the image, the command line, signals and the guest channel. One thread, one loop;
//! what to do is decided by [`supervisor`], everything else carries it out.
#![cfg_attr(not(test), no_main)]

mod arguments;
mod boot;
mod capabilities;
mod channel;
mod clock;
mod connect;
mod environment;
mod exec;
mod files;
mod guest;
mod identity;
mod inherited;
mod link;
mod logs;
mod machine;
mod memory;
mod metrics;
mod near;
mod outputs;
mod ports;
mod probe;
mod program;
mod requests;
mod settings;
mod signals;
mod spawn;
mod streams;
mod supervisor;
mod systemd;
mod terminal;
mod watch;
mod watched;
mod words;

use std::collections::BTreeMap;
use std::ffi::c_int;
use std::time::{Duration, Instant};

use bundle::boot::{COMMAND_PORT_NAME, MACHINE_ENV, Machine, Transport};
use bundle::channel::Event;
use bundle::guest::{CHANNEL_END_ENV, CHANNEL_FD_ENV, Restart, SINGLE_ID_ENV, STATUS_GUEST_FAILED, Service, Settings};
use nix::unistd::Pid;

use crate::arguments::{Arguments, Role};
use crate::channel::Channel;
use crate::guest::Guest;
use crate::link::Link;
use crate::logs::Logs;
use crate::memory::Memory;
use crate::signals::Signals;
use crate::supervisor::Supervisor;

/// The grace time of a command in an appliance that has no services to take it from.
const COMMAND_GRACE_MS: u64 = 10_000;

/// Milliseconds for the host to take the last words of a machine that does not come up.
const LAST_WORDS_MS: u64 = 2_000;

/// What the C runtime calls. That of the standard library would add a handler for stacks that run over, and with it a
/// tenth of this program; its other duties are done here.
#[cfg_attr(not(test), unsafe(no_mangle))]
extern "C" fn main() -> c_int {
    spawn::open_standard_streams();
    signals::ignore_those_of_descriptors();
    c_int::from(run())
}

fn run() -> u8 {
    let booted = match boot::is_wanted().then(boot::run).transpose() {
        Ok(booted) => booted,
        Err(boot::Failure { reason, machine }) => {
            fail(Some(machine), &reason);
            machine::end(machine.end);
        }
    };
    // What the kernel hands to its first process is not meant for this one.
    let arguments = if booted.is_some() { Arguments::parse([]) } else { arguments() };
    let is_agent = arguments.as_ref().is_ok_and(|arguments| arguments.role == Role::Agent);
    let machine = booted.or_else(|| is_agent.then(machine_of_environment)?);
    let ended = arguments.and_then(|arguments| match &arguments.role {
        Role::Unit(name) => settings::read(&arguments.settings).and_then(|settings| systemd::run(name, &settings)),
        Role::Ended(name) => systemd::ended(name),
        Role::Init | Role::Agent => prepare(arguments, machine).map(Guest::run),
    });
    let status = ended.unwrap_or_else(|problem| fail(machine, &problem));
    match machine {
        Some(machine) if is_agent => {
            systemd::end_machine(machine.end);
            status
        }
        Some(machine) => machine::end(machine.end),
        None => status,
    }
}

fn fail(machine: Option<Machine>, problem: &str) -> u8 {
    eprintln!("appliance: failed to {problem}");
    machine.into_iter().for_each(|machine| say_last_words(machine, problem));
    STATUS_GUEST_FAILED
}

/// The machine that this process is the agent of.
fn machine_of_environment() -> Option<Machine> {
    let text = std::env::var(MACHINE_ENV).ok()?;
    Some(Machine::parse(&text).unwrap_or_default())
}

fn arguments() -> Result<Arguments, String> {
    let args: Vec<String> = std::env::args_os()
        .skip(1)
        .map(|arg| arg.into_string().map_err(|arg| format!("read the command line: {arg:?} is not UTF-8")))
        .collect::<Result<_, _>>()?;
    Arguments::parse(args)
}

/// Tells the host why nothing comes up, if it is there.
fn say_last_words(machine: Machine, reason: &str) {
    let Some(mut link) = Link::new(machine.channel) else { return };
    let started = Instant::now();
    let elapsed_ms = || u64::try_from(started.elapsed().as_millis()).unwrap_or(u64::MAX);
    let mut channel = None;
    while elapsed_ms() < LAST_WORDS_MS && !channel.as_ref().is_some_and(Channel::is_flushed) {
        if channel.is_none() {
            channel = link.try_now(elapsed_ms());
            if let Some(channel) = &mut channel {
                channel.tell(&Event::Failed { reason: reason.to_owned() });
                channel.tell(&Event::Exited { status: STATUS_GUEST_FAILED });
            }
        }
        if let Some(channel) = &mut channel {
            let _ = channel.flush();
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn prepare(arguments: Arguments, machine: Option<Machine>) -> Result<Guest, String> {
    let is_agent = arguments.role == Role::Agent;
    if is_agent {
        systemd::speak_on_console();
    }
    let mut engine_env = match machine {
        _ if is_agent => systemd::own_environment(),
        Some(_) => BTreeMap::new(),
        None => environment::own(),
    };
    if machine.is_some() {
        // The console's: nothing that is started here sits before it.
        engine_env.remove("TERM");
    }
    let channel = engine_env.get(CHANNEL_FD_ENV).map(|number| Channel::inherit(number)).transpose()?;
    let memory = Memory::inherit(&engine_env, machine.is_some());
    spawn::close_inherited(memory.descriptors().chain(channel.as_ref().map(Channel::number)));
    if machine.is_some_and(|machine| machine.channel == Transport::Serial) {
        outputs::take_over();
    }
    let holds = machine.is_some() && link::port_path(COMMAND_PORT_NAME).is_some();
    let settings = held(settings::read(&arguments.settings)?, holds);
    let signals = Signals::take().map_err(|errno| format!("take signals: {}", errno.desc()))?;
    let mut logs = Logs::default();
    become_init(&settings.hostname, &mut logs);
    if let Some(problem) = machine.and_then(|_| machine::raise_loopback().err()) {
        logs.say(&format!("failed to {problem}"));
    }
    let single_id = engine_env.get(SINGLE_ID_ENV).is_some_and(|value| value == "1");
    let is_command = !arguments.command.is_empty();
    let (services, main) = what_to_run(&arguments, &settings)?;
    say_what_is_unusual(&services, single_id, holds, &mut logs);
    Ok(Guest {
        supervisor: Supervisor::new(services, main.as_deref()).of_command(is_command),
        signals,
        units: is_agent.then(|| systemd::become_agent(holds)).transpose()?,
        channel,
        memory,
        link: machine.and_then(|machine| Link::new(machine.channel)),
        is_called: false,
        holds,
        capabilities: bundle::capability::set_of(&settings.capabilities),
        image_env: settings.env,
        tools: settings.tools,
        stops_with_channel: engine_env.get(CHANNEL_END_ENV).is_some_and(|value| value == "stop"),
        engine_env,
        logs,
        probers: Vec::new(),
        started: Instant::now(),
        is_command,
        keeps_folder: is_command && arguments.user.is_none(),
        single_id,
    })
}

/// The settings of an appliance whose host runs a command in place of the services: without them, and as in a container
/// without a list of the only commands.
fn held(settings: Settings, holds: bool) -> Settings {
    match holds {
        true => Settings { services: Vec::new(), main: None, tools: Vec::new(), ..settings },
        false => settings,
    }
}

/// Takes over the duties of PID 1; where another process is that, at least orphans come here.
fn become_init(hostname: &str, logs: &mut Logs) {
    if Pid::this().as_raw() == 1 {
        machine::prepare(hostname).iter().for_each(|problem| logs.say(&format!("failed to {problem}")));
    } else {
        let _ = nix::sys::prctl::set_child_subreaper(true);
    }
    nix::sys::stat::umask(nix::sys::stat::Mode::from_bits_truncate(0o022));
}

fn what_to_run(arguments: &Arguments, settings: &Settings) -> Result<(Vec<Service>, Option<String>), String> {
    if arguments.command.is_empty() {
        return Ok((settings.services.clone(), settings.main.clone()));
    }
    let user = match &arguments.user {
        Some(wanted) => identity::find(wanted)?,
        None => identity::root(),
    };
    let command = Service {
        name: "command".to_owned(),
        args: arguments.command.clone(),
        env: Default::default(),
        user,
        after: Vec::new(),
        restart: Restart::Never,
        restart_delay_ms: 0,
        ready: None,
        stop_grace_ms: settings.services.iter().map(|service| service.stop_grace_ms).max().unwrap_or(COMMAND_GRACE_MS),
    };
    Ok((vec![command], Some("command".to_owned())))
}

fn say_what_is_unusual(services: &[Service], single_id: bool, holds: bool, logs: &mut Logs) {
    if services.is_empty() && !holds {
        logs.say("there are no services: waiting until stopped; a command may be named after --");
    }
    for service in services.iter().filter(|service| single_id && !identity::is_mapped(&service.user)) {
        let (name, user) = (&service.name, &service.user.name);
        logs.say(&format!(
            "user {user} does not exist in this single-user container: {name} runs as the container's own user"
        ));
    }
}
