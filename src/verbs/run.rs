//! `appliance run`: builds if a spec was named, then runs the bundle until it ends.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use engine::{Bound, Held, Moved, Outcome, PortChoice, Report, RunError, RunOptions, reconcile, run as run_bound};
use serde_json::{Value, json};

use crate::build::build;
use crate::cli::{Build, Run, Scripts, SecureBoot, SpecArgs};
use crate::detached;
use crate::exit::Exit;
use crate::failed_service::{FailedService, Services};
use crate::failure::Failure;
use crate::tail::Tail;
use crate::ui::Ui;
use crate::verbs::plan::{bind_here, open_bundle, options, verdict_line};

/// Runs a spec or a bundle; the exit code becomes that of what ran.
pub fn run(args: &Run, ui: &Ui) -> Result<Exit, Failure> {
    let mut options = run_options(args)?;
    let folder = bundle_folder(args, ui)?;
    let bundle = open_bundle(&folder)?;
    let leftovers = reconcile(&options.state_folder);
    leftovers.instances.iter().for_each(|instance| ui.note(format!("cleaned up after {instance}, which was killed")));
    options.name = detached::name(args, &bundle.plan.name, &options.state_folder)?;
    let bound = bind_here(&bundle, &options, ui)?;
    warn_unenforced(&bound, ui);
    if args.detach {
        return detached::run(&bound, &options, &args.what, ui);
    }
    let ended = start(&bound, &options, ui)?;
    finish(&ended, &args.what.display().to_string(), ui)
}

/// How a run ended, and what was heard of it on the way.
struct Ended {
    outcome: Outcome,
    failed: Option<FailedService>,
    ports: Vec<Value>,
}

/// The folder of the bundle: the one that was named, or the one that the named spec builds.
fn bundle_folder(args: &Run, ui: &Ui) -> Result<PathBuf, Failure> {
    if args.what.join(bundle::manifest::FILE_NAME).is_file() {
        return Ok(args.what.clone());
    }
    if !crate::places::spec(&args.what).exists() {
        let within = if args.what.is_dir() { " in this folder" } else { "" };
        let what = format!("run {}: there is neither a spec nor a bundle{within}", args.what.display());
        return Err(Failure::new(Exit::CannotRun, what).help("start a spec with: appliance new NAME"));
    }
    let build_args = Build {
        spec: SpecArgs { spec: args.what.clone(), allow_outside: args.allow_outside },
        output: None,
        locked: false,
        sources: args.sources.clone(),
        scripts: Scripts::Auto,
        strict: false,
        secure_boot: SecureBoot::default(),
    };
    let built = build(&build_args, ui)?;
    if !built.unchanged {
        crate::verbs::build::tell(&built, ui);
    }
    Ok(built.folder)
}

fn run_options(args: &Run) -> Result<RunOptions, Failure> {
    let ports: Vec<PortChoice> = args.port.iter().map(|text| port_choice(text)).collect::<Result<_, _>>()?;
    if let Some(twice) = ports.iter().find(|one| ports.iter().filter(|other| other.inside == one.inside).count() > 1) {
        let what = format!("lead two ports of this host to port {}", twice.inside);
        return Err(Failure::new(Exit::Usage, what).help("give --port once for each port inside"));
    }
    let terminal = !args.command.is_empty() && io::stdin().is_terminal() && io::stdout().is_terminal();
    let detached = args.detach;
    Ok(RunOptions { command: args.command.clone(), terminal: terminal && !detached, ports, detached, ..options() })
}

fn port_choice(text: &str) -> Result<PortChoice, Failure> {
    // Docker and podman write the host's port first.
    let turned = text.split_once(':').map(|(host, inside)| (inside, host));
    let (inside, host) = turned.or_else(|| text.split_once('=')).unwrap_or((text, text));
    match (inside.parse(), host.parse()) {
        (Ok(inside @ 1..), Ok(host @ 1..)) => Ok(PortChoice { host, inside }),
        _ => Err(Failure::new(Exit::Usage, format!("understand the port {text:?}"))
            .help("write PORT, PORT=HOSTPORT or HOSTPORT:PORT, such as 8080=18080 or 18080:8080")),
    }
}

/// A policy that is not enforced is said before anything runs, also in quiet mode.
fn warn_unenforced(bound: &Bound, ui: &Ui) {
    for verdict in bound.verdicts.iter().filter(|verdict| verdict.held != Held::Enforced) {
        match verdict.held {
            Held::NotEnforced => ui.warn(format!("{} is not enforced here: {}", verdict.item, verdict.how)),
            _ => ui.detail(verdict_line(verdict, ui)),
        }
    }
}

fn start(bound: &Bound, options: &RunOptions, ui: &Ui) -> Result<Ended, Failure> {
    let cannot = |error: io::Error| Failure::doing(Exit::CannotRun, "use the standard streams", error);
    // A command runs instead of the services, so nothing listens on the ports, and its streams are its own.
    let with_services = options.command.is_empty();
    let (mut tail, mut services, mut ports) = (Tail::default(), Services::default(), Vec::new());
    let stdio = [
        io::stdin().as_fd().try_clone_to_owned().map_err(cannot)?,
        output(io::stdout(), with_services, &mut tail).map_err(cannot)?,
        output(io::stderr(), with_services, &mut tail).map_err(cannot)?,
    ];
    let outcome = run_bound(bound, &stdio, &options.helper, &mut |report| {
        if let Report::Guest(event) = report {
            services.hear(event);
        }
        if with_services {
            ports.extend(tell_port(report, ui));
        }
        tell(report, ui);
    });
    drop(stdio);
    let printed = tail.finish();
    let outcome = outcome.map_err(|error| match &error {
        RunError::Failed { remedy: Some(remedy), .. } => {
            let remedy = remedy.clone();
            Failure::new(Exit::CannotRun, error).help(remedy)
        }
        _ => Failure::new(Exit::CannotRun, error),
    })?;
    let failed = if with_services { services.failed(outcome.exit_status, &printed) } else { None };
    Ok(Ended { outcome, failed, ports })
}

/// An output stream of what runs. On a terminal it is the terminal itself, since programs look whether it is one;
/// elsewhere what services print is remembered on its way.
fn output(
    stream: impl AsFd + IsTerminal + io::Write + Send + 'static,
    with_services: bool,
    tail: &mut Tail,
) -> io::Result<OwnedFd> {
    if with_services && !stream.is_terminal() { tail.through(stream) } else { stream.as_fd().try_clone_to_owned() }
}

/// Says where a port is; with JSON at once too, for who waits for it. Gives it as data.
pub fn tell_port(report: &Report, ui: &Ui) -> Option<Value> {
    let Report::PortOpen { inside, address, moved } = report else { return None };
    let mut value = json!({ "event": "port", "port": inside, "address": address });
    if let Some(Moved { wanted, why }) = moved {
        value["moved"] = json!({ "wanted": wanted, "why": why });
        ui.note(format!(
            "port {inside} is at http://{address}/ because port {wanted} of this host cannot be used: {why}; \
             --port {inside}=HOSTPORT chooses one"
        ));
    } else {
        ui.note(format!("port {inside} is at http://{address}/"));
    }
    if ui.json {
        ui.json_aside(&value);
    }
    Some(value)
}

fn tell(report: &Report, ui: &Ui) {
    match report {
        Report::Guest(bundle::channel::Event::Ready) => ui.detail("ready"),
        // It also ends when the appliance does, so it is no reason to alarm anyone.
        Report::ChannelLost(why) => ui.detail(format!("ports no longer lead inside: {why}")),
        _ => {}
    }
}

fn finish(ended: &Ended, what: &str, ui: &Ui) -> Result<Exit, Failure> {
    let Ended { outcome, failed, ports } = ended;
    if let Some(failed) = failed {
        ui.failed_service(failed, &failed.help(what));
    }
    if !outcome.left.is_empty() {
        ui.warn(format!("left behind: {}", outcome.left.join(", ")));
    } else {
        ui.detail(format!("removed again: {}; nothing is left", outcome.removed.join(", ")));
    }
    if ui.json {
        // Standard output belongs to what ran.
        ui.json_aside(&json!({
            "ok": outcome.exit_status == 0,
            "status": outcome.exit_status,
            "signal": outcome.signal,
            "failed": failed,
            "help": failed.as_ref().map(|failed| failed.help(what)),
            "ports": ports,
            "verdicts": outcome.verdicts,
            "removed": outcome.removed,
            "left": outcome.left,
        }));
    }
    Ok(Exit::Appliance(u8::try_from(outcome.exit_status).unwrap_or(u8::MAX)))
}
