//! `appliance plan`: how a bundle would run on this host, item by item, without running it.

use std::path::{Path, PathBuf};

use engine::{
    Bound, Bundle, BundleError, Held, Machine, PortState, RunOptions, Verdict, bind, facts_for, instance_name,
    look_at_port, why_machine,
};
use serde_json::json;

use crate::cli::Plan;
use crate::exit::Exit;
use crate::failure::Failure;
use crate::places;
use crate::spec_file::host_arch;
use crate::ui::Ui;

/// Prints the bound plan, or the OCI runtime configuration in it.
pub fn plan(args: &Plan, ui: &Ui) -> Result<Exit, Failure> {
    let bundle = open_bundle(&bundle_folder(&args.what)?)?;
    let options = RunOptions { vm: args.vm, ..options() };
    let bound = bind_here(&bundle, &options, ui)?;
    if args.oci {
        let Some(container) = bound.container() else {
            let failure = Failure::new(Exit::CannotRun, "print an OCI runtime configuration: it runs as a machine");
            return Err(failure.help("leave --oci out"));
        };
        ui.json(&json!(container.config));
    } else if ui.json {
        ui.json(&json!({ "ok": true, "plan": bound }));
    } else {
        ui.result(&describe(&bound, why_machine(&bundle, &options), ui));
    }
    Ok(Exit::Success)
}

/// The folder of the bundle: the one that was named, or the one beside the named spec, which must be there.
fn bundle_folder(what: &Path) -> Result<PathBuf, Failure> {
    let is_bundle = |folder: &Path| folder.join(bundle::manifest::FILE_NAME).is_file();
    if is_bundle(what) {
        return Ok(what.to_owned());
    }
    let spec = places::spec(what);
    let out = spec.with_file_name("out");
    if is_bundle(&out) && (spec.is_file() || what.is_dir()) {
        return Ok(out);
    }
    if !spec.is_file() {
        // A folder that was named as one of a bundle is judged as one.
        return if what.is_dir() && what != Path::new(".") { Ok(what.to_owned()) } else { Err(nothing_there(what)) };
    }
    Err(Failure::new(Exit::CannotRun, format!("plan {}: there is no bundle in {} yet", what.display(), out.display()))
        .help(format!("build it with: appliance build {}", what.display())))
}

fn nothing_there(what: &Path) -> Failure {
    let problem = match what.is_dir() {
        true => "there is neither a spec nor a bundle in this folder",
        false => "there is no such file or folder, so neither a spec nor a bundle",
    };
    Failure::new(Exit::CannotRun, format!("plan {}: {problem}", what.display()))
        .help("name a spec that was built, or the folder of a bundle")
}

/// Opens a bundle for this host's architecture.
///
/// # Errors
/// When it is none, or damaged, or for another architecture.
pub fn open_bundle(folder: &Path) -> Result<Bundle, Failure> {
    Bundle::open(folder, host_arch()?.name()).map_err(|error| {
        let help = unopened(&error);
        Failure::new(Exit::CannotRun, error).help(help)
    })
}

/// What to do about a bundle that cannot be opened.
fn unopened(error: &BundleError) -> String {
    match error {
        BundleError::OtherArch { wanted, built, .. } => {
            let arches: Vec<String> = built.iter().chain([wanted]).map(|arch| format!("\"{arch}\"")).collect();
            format!("add `arch \"{wanted}\"` to the spec, as `arch {}`, and build it again", arches.join(" "))
        }
        _ => "build it with: appliance build SPEC".to_owned(),
    }
}

/// The choices of every run on this host.
pub fn options() -> RunOptions {
    RunOptions { state_folder: places::state(), ..RunOptions::new(places::cache(), places::data().join("volumes")) }
}

/// Binds a bundle to this host.
///
/// # Errors
/// Every need that this host cannot meet, with its remedy.
pub fn bind_here(bundle: &Bundle, options: &RunOptions, ui: &Ui) -> Result<Bound, Failure> {
    bind(bundle, &facts_for(bundle, options), options, &instance_name(&bundle.plan.name)).map_err(|unmet| {
        for need in unmet.iter().skip(1) {
            ui.warn(need);
        }
        let (need, remedy) =
            unmet.first().map_or_else(Default::default, |first| (first.need.clone(), first.remedy.clone()));
        Failure::new(Exit::CannotRun, format!("run {} here: {need}", bundle.plan.name)).help(remedy)
    })
}

/// One line for each policy item.
pub fn verdict_line(verdict: &Verdict, ui: &Ui) -> String {
    let held = match verdict.held {
        Held::Enforced => ui.paint("32", "enforced    "),
        Held::Partial => ui.paint("33", "partly      "),
        Held::NotEnforced => ui.paint("31", "not enforced"),
    };
    let remedy = verdict.remedy.as_ref().map(|remedy| format!("; to have it: {remedy}")).unwrap_or_default();
    format!("  {held} {:22} {}{remedy}", verdict.item, verdict.how)
}

/// What the machine is and why, in one line.
pub fn machine_line(machine: &Machine) -> String {
    let Machine { board, acceleration, why, memory_mib, cpus, .. } = machine;
    format!("a machine: QEMU's {board} by {acceleration} ({why}), {memory_mib} MiB, processors: {cpus}")
}

/// What the machine is and why, then its program with all arguments, one option a line.
fn describe_machine(name: &str, machine: &Machine, why: Option<&str>) -> String {
    let Machine { program, arguments, .. } = machine;
    let why = why.map(|why| format!("not as a container: {why}\n")).unwrap_or_default();
    let mut text = format!("{name} would run as {}\n{why}  {}", machine_line(machine), program.display());
    for argument in arguments {
        let is_option = argument.starts_with('-');
        let quoted = if argument.contains([' ', '\'']) { format!("{argument:?}") } else { argument.clone() };
        text.push_str(if is_option { " \\\n    " } else { " " });
        text.push_str(&quoted);
    }
    text.push('\n');
    text
}

fn describe(bound: &Bound, why: Option<&str>, ui: &Ui) -> String {
    let name = &bound.about.appliance;
    let mut text = match bound.machine() {
        None => format!("{name} would run as a container of this host's kernel\n"),
        Some(machine) => describe_machine(name, machine, why),
    };
    for verdict in &bound.verdicts {
        text.push_str(&verdict_line(verdict, ui));
        text.push('\n');
    }
    for port in &bound.ports {
        let (inside, host) = (port.inside, port.host);
        text.push_str(&match look_at_port(*port, &bound.state_folder) {
            PortState::Free => format!("  port {inside} inside is reached at 127.0.0.1:{host}\n"),
            PortState::Moved { to, why } => {
                format!("  port {inside} inside is reached at 127.0.0.1:{to}: port {host} cannot be used now, {why}\n")
            }
            PortState::Unusable(why) => format!("  port {inside} inside cannot be reached now: {why}\n"),
        });
    }
    text
}
