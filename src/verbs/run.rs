//! `appliance run`: builds if a spec was named, then runs the bundle until it ends.

use std::io::{self, IsTerminal};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use engine::{Bound, Held, Outcome, PortChoice, Report, RunOptions, reconcile, run as run_bound};
use serde_json::json;

use crate::build::build;
use crate::cli::{Build, Run, Scripts, SpecArgs};
use crate::exit::Exit;
use crate::failure::Failure;
use crate::ui::Ui;
use crate::verbs::plan::{bind_here, open_bundle, options, verdict_line};

/// Runs a spec or a bundle; the exit code becomes that of what ran.
pub fn run(args: &Run, ui: &Ui) -> Result<Exit, Failure> {
    let options = run_options(args)?;
    let folder = bundle_folder(args, ui)?;
    let bundle = open_bundle(&folder)?;
    let leftovers = reconcile(&options.state_folder);
    leftovers.instances.iter().for_each(|instance| ui.note(format!("cleaned up after {instance}, which was killed")));
    let bound = bind_here(&bundle, &options, ui)?;
    warn_unenforced(&bound, ui);
    let outcome = start(&bound, &options, ui)?;
    finish(&outcome, ui)
}

/// The folder of the bundle: the one that was named, or the one that the named spec builds.
fn bundle_folder(args: &Run, ui: &Ui) -> Result<PathBuf, Failure> {
    if args.what.join(bundle::manifest::FILE_NAME).is_file() {
        return Ok(args.what.clone());
    }
    if !args.what.exists() {
        let what = format!("run {}: there is neither a spec nor a bundle", args.what.display());
        return Err(Failure::new(Exit::CannotRun, what).help("start a spec with: appliance new NAME"));
    }
    let build_args = Build {
        spec: SpecArgs { spec: args.what.clone(), allow_outside: args.allow_outside },
        output: None,
        locked: false,
        sources: args.sources.clone(),
        scripts: Scripts::Auto,
        strict: false,
    };
    let built = build(&build_args, ui)?;
    if !built.unchanged {
        crate::verbs::build::tell(&built, ui);
    }
    Ok(built.folder)
}

fn run_options(args: &Run) -> Result<RunOptions, Failure> {
    let ports = args.port.iter().map(|text| port_choice(text)).collect::<Result<_, _>>()?;
    let terminal = !args.command.is_empty() && io::stdin().is_terminal() && io::stdout().is_terminal();
    Ok(RunOptions { command: args.command.clone(), terminal, ports, ..options() })
}

fn port_choice(text: &str) -> Result<PortChoice, Failure> {
    let (inside, host) = text.split_once('=').unwrap_or((text, text));
    match (inside.parse(), host.parse()) {
        (Ok(inside), Ok(host)) => Ok(PortChoice { host, inside }),
        _ => Err(Failure::new(Exit::Usage, format!("understand the port {text:?}"))
            .help("write PORT or PORT=HOSTPORT, such as 8080=18080")),
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

fn start(bound: &Bound, options: &RunOptions, ui: &Ui) -> Result<Outcome, Failure> {
    let cannot = |error: io::Error| Failure::doing(Exit::CannotRun, "use the standard streams", error);
    let own = |stream: &dyn AsFd| -> io::Result<OwnedFd> { stream.as_fd().try_clone_to_owned() };
    let stdio =
        [own(&io::stdin()).map_err(cannot)?, own(&io::stdout()).map_err(cannot)?, own(&io::stderr()).map_err(cannot)?];
    // A command runs instead of the services, so nothing listens on the ports.
    let with_services = options.command.is_empty();
    run_bound(bound, &stdio, &options.helper, &mut |report| tell(report, with_services, ui))
        .map_err(|error| Failure::new(Exit::CannotRun, error))
}

fn tell(report: &Report, with_services: bool, ui: &Ui) {
    match report {
        Report::PortOpen { inside, address } if with_services => {
            ui.note(format!("port {inside} is at http://{address}/"))
        }
        Report::Guest(bundle::channel::Event::Ready) => ui.detail("ready"),
        // It also ends when the appliance does, so it is no reason to alarm anyone.
        Report::ChannelLost(why) => ui.detail(format!("ports no longer lead inside: {why}")),
        _ => {}
    }
}

fn finish(outcome: &Outcome, ui: &Ui) -> Result<Exit, Failure> {
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
            "verdicts": outcome.verdicts,
            "removed": outcome.removed,
            "left": outcome.left,
        }));
    }
    Ok(Exit::Appliance(u8::try_from(outcome.exit_status).unwrap_or(u8::MAX)))
}
