//! `appliance run`: builds if a spec was named, then runs the bundle until it ends.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};

use engine::{
    Bound, Held, Ids, Machine, Outcome, PortChoice, RunError, RunOptions, Verdict, reconcile, run as run_bound,
    why_machine,
};
use serde_json::{Value, json};

use crate::build::build;
use crate::cli::{Build, Run, Scripts, SecureBoot, SpecArgs};
use crate::detached;
use crate::exit::Exit;
use crate::failed_service::FailedService;
use crate::failure::Failure;
use crate::listener::Listener;
use crate::tail::Tail;
use crate::ui::Ui;
use crate::verbs::plan::{bind_here, machine_line, open_bundle, options, verdict_line};

/// The status of what ended with its supervisor, which was killed: that of a killed one.
const LOST: u8 = 137;

/// Runs a spec or a bundle; the exit code becomes that of what ran.
pub fn run(args: &Run, ui: &Ui) -> Result<Exit, Failure> {
    let mut options = run_options(args)?;
    let folder = bundle_folder(args, ui)?;
    let bundle = open_bundle(&folder)?;
    let leftovers = reconcile(&options.state_folder);
    leftovers.instances.iter().for_each(|instance| ui.note(format!("cleaned up after {instance}, which was killed")));
    loop {
        options.name = detached::name(args, &bundle.plan.name, &options.state_folder)?;
        let bound = bind_here(&bundle, &options, ui)?;
        bound.machine().iter().for_each(|machine| ui.detail(machine_line(machine)));
        if let (Some(why), Some(machine)) = (why_machine(&bundle, &options), bound.machine()) {
            let Machine { board, acceleration, .. } = machine;
            ui.note(format!("running it as a machine, QEMU's {board} by {acceleration}: {why}"));
        }
        warn_unenforced(&bound, options.command.is_empty() || options.user.is_some(), ui);
        if !args.detach {
            let ended = start(&bound, &options, ui)?;
            return finish(&ended, &args.what.display().to_string(), ui);
        }
        if let Some(exit) = detached::run(&bound, &options, args.name.is_none(), &args.what, ui)? {
            return Ok(exit);
        }
    }
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
        return Err(nothing_to_run(&args.what));
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
        crate::verbs::build::tell(&built, false, ui);
    }
    Ok(built.folder)
}

fn nothing_to_run(what: &Path) -> Failure {
    let (folder, problem) = if what.is_dir() {
        (what, "there is neither a spec nor a bundle in this folder")
    } else {
        let folder = what.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        (folder, "there is no such file or folder, so neither a spec nor a bundle")
    };
    let help = match specs_in(folder).as_slice() {
        [] => "name a spec or the folder of a bundle, or start a spec with: appliance new NAME".to_owned(),
        [only] => format!("there is {only}: appliance run {only}"),
        all => format!("there are {}: appliance run FILE", all.join(", ")),
    };
    Failure::new(Exit::CannotRun, format!("run {}: {problem}", what.display())).help(help)
}

/// What in a folder looks like a spec, sorted.
fn specs_in(folder: &Path) -> Vec<String> {
    let paths = folder.read_dir().into_iter().flatten().flatten().map(|entry| entry.path());
    let specs = paths.filter(|path| path.is_file() && path.extension().is_some_and(|ending| ending == "kdl"));
    let shown = |path: PathBuf| path.strip_prefix("./").unwrap_or(&path).display().to_string();
    let mut names: Vec<String> = specs.map(shown).collect();
    names.sort();
    names
}

fn run_options(args: &Run) -> Result<RunOptions, Failure> {
    let ports: Vec<PortChoice> = args.port.iter().map(|text| port_choice(text)).collect::<Result<_, _>>()?;
    if let Some(twice) = ports.iter().find(|one| ports.iter().filter(|other| other.inside == one.inside).count() > 1) {
        let what = format!("lead two ports of this host to port {}", twice.inside);
        return Err(Failure::new(Exit::Usage, what).help("give --port once for each port inside"));
    }
    let terminal = !args.command.is_empty() && io::stdin().is_terminal() && io::stdout().is_terminal();
    let detached = args.detach;
    let (command, user, terminal) = (args.command.clone(), args.user.clone(), terminal && !detached);
    Ok(RunOptions { command, user, terminal, ports, detached, vm: args.vm, ..options() })
}

fn port_choice(text: &str) -> Result<PortChoice, Failure> {
    // Docker and podman write the host's port first.
    let turned = text.split_once(':').map(|(host, inside)| (inside, host));
    let (inside, host) = turned.or_else(|| text.split_once('=')).unwrap_or((text, text));
    match (inside.parse(), host.parse()) {
        (Ok(inside @ 1..), Ok(host @ 1..)) => Ok(PortChoice { host, inside }),
        _ => Err(Failure::new(Exit::Usage, format!("understand the port {text:?}: {}", port_problem(inside, host)))
            .help("write PORT, PORT=HOSTPORT or HOSTPORT:PORT, such as 8080=18080 or 18080:8080")),
    }
}

fn port_problem(inside: &str, host: &str) -> String {
    let is_number = |text: &&str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let is_port = |text: &&str| matches!(text.parse::<u16>(), Ok(1..));
    match [inside, host].iter().find(|text| is_number(text) && !is_port(text)) {
        Some(number) => format!("{number} is no port, they go from 1 to 65535"),
        None => "it is not a number from 1 to 65535, nor two of them".to_owned(),
    }
}

/// A policy that is not enforced is said before anything runs, also in quiet mode; what holds in part where it matters to
/// whom it runs as.
fn warn_unenforced(bound: &Bound, has_users: bool, ui: &Ui) {
    for verdict in bound.verdicts.iter().filter(|verdict| verdict.held != Held::Enforced) {
        let Verdict { item, how, remedy, .. } = verdict;
        let help = remedy.as_ref().map(|remedy| format!("; {remedy}")).unwrap_or_default();
        match verdict.held {
            Held::NotEnforced => ui.warn(format!("{item} is not enforced here: {how}{help}")),
            _ if has_users && bound.container().is_some_and(|one| one.ids == Ids::Single) && remedy.is_some() => {
                ui.note(format!("{item}, only in part: {how}{help}"))
            }
            _ => ui.detail(verdict_line(verdict, ui)),
        }
    }
}

fn start(bound: &Bound, options: &RunOptions, ui: &Ui) -> Result<Ended, Failure> {
    let cannot = |error: io::Error| Failure::doing(Exit::CannotRun, "use the standard streams", error);
    // A command's streams are its own.
    let with_services = options.command.is_empty();
    let (mut tail, mut listener) = (Tail::default(), Listener::new(ui, options, bound));
    let stdio = [
        io::stdin().as_fd().try_clone_to_owned().map_err(cannot)?,
        output(io::stdout(), with_services, &mut tail).map_err(cannot)?,
        output(io::stderr(), with_services, &mut tail).map_err(cannot)?,
    ];
    let outcome = run_bound(bound, &stdio, &options.helper, &mut |report| listener.hear(report));
    drop(stdio);
    let (printed, (services, ports)) = (tail.finish(), listener.end());
    let outcome = outcome.map_err(not_started)?;
    let services = services.with_volumes(volumes_inside(bound, options));
    let mut failed = if with_services { services.failed(outcome.exit_status, &printed) } else { None };
    if let Some(failed) = &mut failed {
        failed.is_unseen = io::stdout().is_terminal() && io::stderr().is_terminal();
    }
    Ok(Ended { outcome, failed, ports })
}

/// An appliance that could not be started, with what to do where that is known.
pub fn not_started(error: RunError) -> Failure {
    let remedy = match &error {
        RunError::Failed { remedy, .. } => remedy.clone(),
        RunError::NameTaken(name) => Some(detached::other_name(name)),
        _ => None,
    };
    // It ran, and nobody saw how it ended.
    let exit = if matches!(error, RunError::Lost { .. }) { Exit::Appliance(LOST) } else { Exit::CannotRun };
    let failure = Failure::new(exit, error);
    match remedy {
        Some(remedy) => failure.help(remedy),
        None => failure,
    }
}

/// The paths of the volumes inside.
fn volumes_inside(bound: &Bound, options: &RunOptions) -> Vec<String> {
    let mounts = bound.container().map(|container| container.config.mounts.as_slice()).unwrap_or_default();
    let of_volumes = mounts.iter().filter(|mount| Path::new(&mount.source).starts_with(&options.volumes_folder));
    of_volumes.map(|mount| mount.destination.clone()).collect()
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

fn finish(ended: &Ended, what: &str, ui: &Ui) -> Result<Exit, Failure> {
    let Ended { outcome, failed, ports } = ended;
    if let Some(failed) = failed {
        ui.failed_service(failed, &failed.help(what));
    }
    if !outcome.left.is_empty() {
        ui.warn(format!("left behind: {}", outcome.left.join(", ")));
    } else if outcome.removed.is_empty() {
        ui.detail("nothing is left");
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
