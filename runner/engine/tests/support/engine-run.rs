//! Runs a bundle by the engine alone: `engine-run BUNDLE WORK-FOLDER [OPTION…] [-- COMMAND…]`. For tests and measurements.

use std::io::Write;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;

use engine::{Bundle, PortChoice, RunOptions};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if arguments.first().is_some_and(|first| first == engine::HELPER_ARG) {
        std::process::exit(engine::helper_main(&arguments[1..]));
    }
    std::process::exit(match run(&arguments) {
        Ok(status) => status,
        Err(reason) => {
            eprintln!("engine-run: {reason}");
            125
        }
    });
}

fn run(arguments: &[String]) -> Result<i32, String> {
    let [bundle, work, rest @ ..] = arguments else {
        return Err("usage: engine-run BUNDLE WORK [OPTION…] [-- COMMAND…]".into());
    };
    let work = PathBuf::from(work);
    let mut options = RunOptions::new(work.join("cache"), work.join("volumes"));
    options.state_folder = work.join("state");
    let split = rest.iter().position(|word| word == "--").unwrap_or(rest.len());
    options.command = rest.get(split + 1..).unwrap_or_default().to_vec();
    let (mut verbose, mut plan_only) = (false, false);
    for option in &rest[..split] {
        match option.split_once('=') {
            Some(("--collect", ms)) => return collect(ms, &options),
            None if option == "--usage" => return tell(engine::roots_usage(&options.cache_folder, &options.helper)),
            Some(("--port", pair)) => options.ports.push(port(pair)?),
            Some(("--grace", ms)) => options.grace_ms = ms.parse().ok(),
            None if option == "--tty" => options.terminal = true,
            None if option == "--verbose" => verbose = true,
            None if option == "--plan" => plan_only = true,
            _ => return Err(format!("unknown option {option}")),
        }
    }
    let cleaned = engine::reconcile(&options.state_folder);
    if verbose && !cleaned.instances.is_empty() {
        eprintln!("cleaned: {}", cleaned.instances.join(", "));
    }
    let bundle = Bundle::open(bundle.as_ref(), "amd64").map_err(|error| chain(&error))?;
    let facts = engine::facts_for(&bundle, &options);
    let bound = engine::bind(&bundle, &facts, &options, &engine::instance_name(&bundle.plan.name));
    let bound = bound.map_err(|unmet| unmet.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n"))?;
    if plan_only {
        println!("{}", serde_json::to_string_pretty(&bound).map_err(|error| error.to_string())?);
        return Ok(0);
    }
    let own = |fd: std::os::fd::BorrowedFd<'_>| fd.try_clone_to_owned().map_err(|error| error.to_string());
    let stdio: [OwnedFd; 3] =
        [own(std::io::stdin().as_fd())?, own(std::io::stdout().as_fd())?, own(std::io::stderr().as_fd())?];
    let mut on_report = |report: &engine::Report| {
        if verbose {
            let _ = writeln!(std::io::stderr(), "report: {report:?}");
        }
    };
    let outcome = engine::run(&bound, &stdio, &options.helper, &mut on_report).map_err(|error| chain(&error))?;
    if verbose {
        eprintln!("removed: {:?}", outcome.removed);
    }
    if !outcome.left.is_empty() {
        return Err(format!("left behind: {}", outcome.left.join(", ")));
    }
    Ok(outcome.exit_status)
}

fn collect(unused_for_ms: &str, options: &RunOptions) -> Result<i32, String> {
    let unused_for = std::time::Duration::from_millis(unused_for_ms.parse().map_err(|_| "--collect=MS")?);
    tell(engine::collect_roots(&options.cache_folder, unused_for, &options.helper))
}

fn tell(tally: std::io::Result<engine::RootsTally>) -> Result<i32, String> {
    let tally = tally.map_err(|error| chain(&error))?;
    println!("{}", serde_json::to_string(&tally).map_err(|error| error.to_string())?);
    Ok(0)
}

fn port(pair: &str) -> Result<PortChoice, String> {
    let (inside, host) = pair.split_once(':').ok_or("--port=INSIDE:HOST")?;
    let number = |text: &str| text.parse().map_err(|_| format!("{text} is no port"));
    Ok(PortChoice { inside: number(inside)?, host: number(host)? })
}

fn chain(error: &dyn std::error::Error) -> String {
    let source = error.source().map(|source| format!(": {}", chain(source))).unwrap_or_default();
    format!("{error}{source}")
}
