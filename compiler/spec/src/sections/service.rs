//! Services: what is started, as whom, in which order, and when it counts as ready.

use super::{Body, env};
use crate::appliance::{Appliance, Probe, Ready, Restart, Service};
use crate::explain::{BUILT_IN, Page};
use crate::item::Item;
use crate::report::Report;
use crate::source::Place;
use crate::suggest::nearest;
use crate::table::{ArgRule, Count, Kind, NodeRule, Occurs, PropRule};
use crate::units::duration_text;

/// Time before a restart.
const DELAY_MS: u64 = 1_000;

/// Time within which a service must be ready: package defaults of slow starters fit, a hang is still noticed.
const WITHIN_MS: u64 = 30_000;

/// Time between the request to stop and the kill: a foreground run must end within three seconds of Ctrl-C.
const GRACE_MS: u64 = 2_000;

/// `service`
pub(crate) const SERVICE: NodeRule = NodeRule {
    name: "service",
    doc: "A program that runs while the appliance runs. Services start in the order of `after`, otherwise as written. \
          When the main service ends, the appliance ends with its status: the last in start order, unless one says `main #true`.",
    args: &[ArgRule::one("the name", Kind::Name)],
    props: &[PropRule::new("user", Kind::Line, "user that it runs as").default("root")],
    children: &[RUN, env::ENV, AFTER, RESTART, READY, STOP, MAIN],
    occurs: Occurs::Named,
    example: "service \"web\" user=\"luna\" {\n    run \"/opt/luna/start.sh\" \"--port\" \"8080\"\n    ready http=\"http://127.0.0.1:8080/health\" within=\"10s\"\n}",
    ..NodeRule::EMPTY
};

const RUN: NodeRule = NodeRule {
    name: "run",
    doc: "The program and its arguments. No shell is involved: one text is one argument.",
    args: &[ArgRule::one("the program", Kind::Text), ArgRule::any("arguments", Kind::Text)],
    example: "run \"/usr/bin/python3\" \"-m\" \"http.server\" \"8080\"",
    ..NodeRule::EMPTY
};

const AFTER: NodeRule = NodeRule {
    name: "after",
    doc: "Services that must be ready first.",
    args: &[ArgRule::some("names of services", Kind::Name)],
    occurs: Occurs::Many,
    example: "after \"display\"",
    ..NodeRule::EMPTY
};

const RESTART: NodeRule = NodeRule {
    name: "restart",
    doc: "What happens when it ends: `\"never\"`, `\"on-failure\"` (again unless it ended with status 0) or `\"always\"`. It is started again after `delay`, the same each time. After five failures in a row it is given up, and the appliance ends with its status; an end with status 0, or 30 s of being ready, begin the count anew. Each restart is told on the way.",
    args: &[ArgRule {
        default: Some("never"),
        ..ArgRule::one("the policy", Kind::Word(&["never", "on-failure", "always"]))
    }],
    props: &[PropRule::new("delay", Kind::Duration, "time before it is started again").default("1s")],
    example: "restart \"on-failure\" delay=\"1s\"",
    ..NodeRule::EMPTY
};

const READY: NodeRule = NodeRule {
    name: "ready",
    doc: "When it counts as ready; exactly one of the probes. Without `ready` it is ready as soon as it runs.",
    props: &[
        PropRule::new("http", Kind::Line, "a URL that answers with a status below 400"),
        PropRule::new("tcp", Kind::Line, "an address that takes connections: `127.0.0.1:5432`"),
        PropRule::new("file", Kind::Path, "a path that exists"),
        PropRule::new("exec", Kind::Text, "a program and its arguments that ends with status 0").list(),
        PropRule::new("within", Kind::Duration, "time that it may take; afterwards the start has failed")
            .default("30s"),
    ],
    example: "ready http=\"http://127.0.0.1:8080/health\" within=\"10s\"",
    ..NodeRule::EMPTY
};

const STOP: NodeRule = NodeRule {
    name: "stop",
    doc: "How it is stopped: it is asked with SIGTERM, and killed when the time is over. Without `stop` it has 2s.",
    props: &[PropRule::new("within", Kind::Duration, "time that it may take").required()],
    example: "stop within=\"10s\"",
    ..NodeRule::EMPTY
};

const MAIN: NodeRule = NodeRule {
    name: "main",
    doc: "Whether the appliance ends when this service ends.",
    args: &[ArgRule {
        count: Count::One,
        default: Some("#true for the last service"),
        ..ArgRule::one("yes or no", Kind::Flag)
    }],
    example: "main #true",
    ..NodeRule::EMPTY
};

/// Services in start order.
pub(crate) struct Services {
    /// In start order.
    pub list: Vec<Service>,
    /// Name of the main one.
    pub main: Option<String>,
}

/// Decodes the services and orders them.
pub(crate) fn decode(body: Body<'_>, report: &mut Report<'_>) -> Services {
    let items: Vec<&Item> = body.all("service").filter(|item| item.arg(0).is_some()).collect();
    refuse_unknown_after(&items, report);
    let list = start_order(items.iter().map(|item| service(item, report)).collect(), &items, report);
    let main = main_service(&items, report).or_else(|| list.last().map(|service| service.name.clone()));
    Services { list, main }
}

/// Prints the services.
pub(crate) fn explain(appliance: &Appliance, page: &mut Page<'_>) {
    for service in &appliance.services {
        page.node("service", &format!("service {}", service.name), BUILT_IN)
            .arg(&service.name)
            .prop("user", &service.user, BUILT_IN)
            .open();
        page.node("run", "run", BUILT_IN).args(&service.run).end();
        env::explain_env(&service.env, BUILT_IN, page);
        for name in &service.after {
            page.node("after", &format!("after {name}"), BUILT_IN).arg(name).end();
        }
        page.node("restart", "restart", BUILT_IN)
            .arg(restart_text(service.restart))
            .prop("delay", &duration_text(service.restart_delay_ms), BUILT_IN)
            .end();
        if let Some(ready) = &service.ready {
            explain_ready(ready, page);
        }
        page.node("stop", "stop", BUILT_IN).prop("within", &duration_text(service.stop_grace_ms), BUILT_IN).end();
        if appliance.main_service.as_ref() == Some(&service.name) {
            page.node("main", "main", "the last service in start order").bare("#true").end();
        }
        page.close();
    }
}

fn explain_ready(ready: &Ready, page: &mut Page<'_>) {
    let line = page.node("ready", "ready", BUILT_IN);
    let line = match &ready.probe {
        Probe::Http(url) => line.prop("http", url, BUILT_IN),
        Probe::Tcp(address) => line.prop("tcp", address, BUILT_IN),
        Probe::File(path) => line.prop("file", path, BUILT_IN),
        Probe::Exec(command) => line.list("exec", command),
    };
    line.prop("within", &duration_text(ready.within_ms), BUILT_IN).end();
}

fn service(item: &Item, report: &mut Report<'_>) -> Service {
    let restart = item.child("restart");
    let mut after: Vec<String> =
        item.all("after").flat_map(|after| after.texts_from(0)).map(|(name, _)| name.to_owned()).collect();
    after.sort_unstable();
    after.dedup();
    Service {
        name: item.arg(0).unwrap_or_default().to_owned(),
        user: item.text_or("user", "root"),
        run: run(item, report),
        env: env::decode(item.all("env"), report),
        after,
        restart: restart.and_then(|restart| restart.arg(0)).map_or(Restart::Never, restart_of),
        restart_delay_ms: restart.and_then(|restart| restart.number("delay")).unwrap_or(DELAY_MS),
        ready: item.child("ready").and_then(|ready| ready_of(ready, report)),
        stop_grace_ms: item.child("stop").and_then(|stop| stop.number("within")).unwrap_or(GRACE_MS),
    }
}

fn run(item: &Item, report: &mut Report<'_>) -> Vec<String> {
    let Some(run) = item.child("run") else {
        // It may be what was not understood.
        if item.has_unread {
            return Vec::new();
        }
        let error = report.error("missing-node", item.arg_place(0), "the service runs nothing", "has no `run`");
        error.help("write run \"/usr/bin/program\" \"argument\" into its block");
        return Vec::new();
    };
    let program = run.arg(0).unwrap_or_default();
    if run.args.len() == 1 && program.contains(' ') {
        let words: Vec<String> = program.split_whitespace().map(|word| format!("\"{word}\"")).collect();
        let error = report.error(
            "bad-value",
            run.arg_place(0),
            "the program has a blank in its name: there is no shell to split it",
            "one text is one argument",
        );
        error.help(match env::is_for_shell(program) {
            true => format!("write {}", env::run_by_shell(program)),
            false => format!("write run {}", words.join(" ")),
        });
    } else if run.arg(0).is_some() && (program.is_empty() || (program.contains('/') && !program.starts_with('/'))) {
        let error = report.error(
            "bad-path",
            run.arg_place(0),
            "the program is neither an absolute path nor a plain name",
            "cannot be found",
        );
        error.help("write \"/opt/app/start.sh\", or a name such as \"python3\" that is looked up in PATH");
    }
    if !program.contains(' ') {
        env::warn_of_shell_words(run, report);
    }
    run.texts_from(0).map(|(text, _)| text.to_owned()).collect()
}

fn ready_of(item: &Item, report: &mut Report<'_>) -> Option<Ready> {
    let probes: Vec<_> = ["http", "tcp", "file", "exec"].into_iter().filter_map(|name| item.prop(name)).collect();
    if probes.len() != 1 {
        let place = probes.get(1).map_or(item.place, |prop| prop.place);
        let error = report.error(
            "bad-value",
            place,
            "`ready` takes exactly one of http=, tcp=, file= and exec=",
            format!("{} of them", probes.len()),
        );
        error.help("write ready http=\"http://127.0.0.1:8080/\" or ready tcp=\"127.0.0.1:5432\"");
        return None;
    }
    let probe = match (item.text("http"), item.text("tcp"), item.text("file")) {
        (Some(url), _, _) => {
            refuse_bad_address(
                "http",
                url.strip_prefix("http://").map(|rest| rest.split('/').next().unwrap_or_default()),
                item,
                report,
            );
            Probe::Http(url.to_owned())
        }
        (_, Some(address), _) => {
            refuse_bad_address("tcp", Some(address).filter(|address| address.contains(':')), item, report);
            Probe::Tcp(address.to_owned())
        }
        (_, _, Some(path)) => Probe::File(path.to_owned()),
        _ => Probe::Exec(item.list("exec").map(|(text, _)| text.to_owned()).collect()),
    };
    Some(Ready { probe, within_ms: item.number("within").unwrap_or(WITHIN_MS) })
}

/// `address` is a host and perhaps a port, or None when the text had not even the form.
fn refuse_bad_address(name: &str, address: Option<&str>, item: &Item, report: &mut Report<'_>) {
    let good = address.is_some_and(|address| {
        let (host, port) = address.rsplit_once(':').unwrap_or((address, "80"));
        !host.is_empty() && !address.contains(char::is_whitespace) && port.parse::<u16>().is_ok_and(|port| port > 0)
    });
    if !good {
        let (what, example) = match name {
            "http" => ("an http:// address", "http=\"http://127.0.0.1:8080/\""),
            _ => ("a host and a port", "tcp=\"127.0.0.1:5432\""),
        };
        let error = report.error(
            "bad-value",
            item.prop_place(name),
            format!("`{name}` of `ready` takes {what}"),
            "cannot be tried",
        );
        error.help(format!("write {example}"));
    }
}

fn main_service(items: &[&Item], report: &mut Report<'_>) -> Option<String> {
    let says_main = |item: &&&Item| {
        item.child("main")
            .and_then(|main| main.args.first())
            .is_some_and(|arg| arg.value == crate::value::Value::Flag(true))
    };
    let mains: Vec<&&Item> = items.iter().filter(says_main).collect();
    if let [first, second, ..] = mains.as_slice() {
        let place = |item: &Item| item.child("main").map_or(item.place, |main| main.place);
        let error =
            report.error("repeated-node", place(second), "two services say that they are the main one", "again here");
        error.also(place(first), "first here").help("keep `main #true` in the service whose end ends the appliance");
    }
    mains.first().and_then(|item| item.arg(0)).map(str::to_owned)
}

fn refuse_unknown_after(items: &[&Item], report: &mut Report<'_>) {
    let names: Vec<&str> = items.iter().filter_map(|item| item.arg(0)).collect();
    for item in items {
        for (name, place) in item.all("after").flat_map(|after| after.texts_from(0)) {
            if !names.contains(&name) && !report.unread.may_hold(name) {
                let near = nearest(name, names.iter().copied()).map(|near| format!("did you mean \"{near}\"?"));
                let help = near.unwrap_or_else(|| format!("add: service \"{name}\" {{ run … }}"));
                report
                    .error(
                        "unknown-service",
                        place,
                        format!("there is no service \"{name}\""),
                        "not a service of this spec",
                    )
                    .help(help);
            }
        }
    }
}

/// Most circles told of at once: each stands for itself, and nobody mends more in one go.
const MAX_CIRCLES: usize = 20;

/// Services with every service behind those of its `after`, otherwise as written. Each circle among them is reported;
/// one that is left when a circle is taken apart is another circle.
fn start_order(mut waiting: Vec<Service>, items: &[&Item], report: &mut Report<'_>) -> Vec<Service> {
    let (mut started, mut circles): (Vec<Service>, usize) = (Vec::new(), 0);
    while !waiting.is_empty() && circles < MAX_CIRCLES {
        let blocked =
            |service: &Service| service.after.iter().any(|name| waiting.iter().any(|other| other.name == *name));
        match waiting.iter().position(|service| !blocked(service)) {
            Some(at) => started.push(waiting.remove(at)),
            None => {
                circles += 1;
                let round = circle(&waiting);
                report_circle(&round, items, report);
                for (from, to) in steps(&round) {
                    let waits = waiting.iter_mut().filter(|service| service.name == from);
                    waits.for_each(|service| service.after.retain(|name| *name != to));
                }
            }
        }
    }
    started
}

/// Every waiting service waits for another one, so following `after` from any of them must run into a circle. One that
/// waits for itself is the smallest circle there is.
fn circle(waiting: &[Service]) -> Vec<String> {
    if let Some(own) = waiting.iter().find(|service| service.after.contains(&service.name)) {
        return vec![own.name.clone()];
    }
    let mut round: Vec<&str> = Vec::new();
    let mut next = waiting.first().map(|service| service.name.as_str());
    while let Some(name) = next.filter(|name| !round.contains(name)) {
        round.push(name);
        let after = waiting.iter().find(|service| service.name == name).map(|service| &service.after);
        next = after
            .and_then(|after| after.iter().find(|name| waiting.iter().any(|other| other.name == **name)))
            .map(String::as_str);
    }
    let from = round.iter().position(|name| Some(*name) == next).unwrap_or(0);
    round.iter().skip(from).map(|name| (*name).to_owned()).collect()
}

/// Who waits for whom in a circle.
fn steps(round: &[String]) -> Vec<(String, String)> {
    round.iter().cloned().zip(round.iter().cycle().skip(1).cloned()).collect()
}

fn report_circle(round: &[String], items: &[&Item], report: &mut Report<'_>) {
    let place = |from: &str, to: &str| -> Option<Place> {
        let item = items.iter().find(|item| item.arg(0) == Some(from))?;
        item.all("after").flat_map(|after| after.texts_from(0)).find(|(name, _)| *name == to).map(|(_, place)| place)
    };
    let steps = steps(round);
    let mut places =
        steps.iter().filter_map(|(from, to)| place(from, to).map(|at| (at, format!("\"{from}\" waits for \"{to}\""))));
    let Some((first, label)) = places.next() else { return };
    if let [own] = round {
        let error = report.error("service-cycle", first, format!("the service \"{own}\" waits for itself"), label);
        error.help("remove this name from `after`");
        return;
    }
    let text = round.iter().chain(round.first()).map(String::as_str).collect::<Vec<_>>().join(" → ");
    let error =
        report.error("service-cycle", first, format!("services wait for each other in a circle: {text}"), label);
    places.fold(error, |error, (place, label)| error.also(place, label)).help("remove one `after` of the circle");
}

fn restart_of(word: &str) -> Restart {
    match word {
        "always" => Restart::Always,
        "on-failure" => Restart::OnFailure,
        _ => Restart::Never,
    }
}

fn restart_text(restart: Restart) -> &'static str {
    match restart {
        Restart::Never => "never",
        Restart::OnFailure => "on-failure",
        Restart::Always => "always",
    }
}
