//! How the appliance is kept apart from the host.

use super::Body;
use crate::appliance::{Appliance, Isolation, Level, Seccomp};
use crate::explain::{BUILT_IN, Page};
use crate::item::Item;
use crate::report::Report;
use crate::rules::is_at_or_below;
use crate::suggest::nearest;
use crate::table::{ArgRule, Kind, NodeRule, Occurs};

/// `isolation`
pub(crate) const ISOLATION: NodeRule = NodeRule {
    name: "isolation",
    doc: "How it is kept apart: `\"container\"`, `\"vm\"` (a machine of its own, which needs an output that boots, such as `\"microvm\"`), or `\"auto\"`: a container, but never below `at-least`.",
    args: &[ArgRule {
        count: crate::table::Count::Optional,
        default: Some("auto"),
        ..ArgRule::one("the level", Kind::Word(&["auto", "container", "vm"]))
    }],
    children: &[
        NodeRule {
            name: "at-least",
            doc: "The level that `\"auto\"` never goes below.",
            args: &[ArgRule {
                default: Some("container"),
                ..ArgRule::one("the level", Kind::Word(&["container", "vm"]))
            }],
            example: "at-least \"container\"",
            ..NodeRule::EMPTY
        },
        NodeRule {
            name: "root",
            doc: "Whether the root file system can be written: `\"read-only\"`, but for `/run` and `/tmp`, which every program expects to write to; `\"sealed\"`, without even those; `\"writable\"`. What is written is kept in memory, at most `disk` of `resources`, and is gone at stop, except in volumes.",
            args: &[ArgRule {
                default: Some("read-only"),
                ..ArgRule::one("the kind", Kind::Word(&["read-only", "sealed", "writable"]))
            }],
            example: "root \"read-only\"",
            ..NodeRule::EMPTY
        },
        NodeRule {
            name: "writable",
            doc: "Further folders, or single files, that can be written although the root is read-only or sealed.",
            args: &[ArgRule::some("paths", Kind::Path)],
            occurs: Occurs::Many,
            example: "writable \"/var/lib/luna\" \"/var/cache/luna\"",
            ..NodeRule::EMPTY
        },
        NodeRule {
            name: "capabilities",
            doc: "Linux capabilities to keep, by their lower-case names without `cap_`, or `\"none\"`.",
            args: &[ArgRule { default: Some("none"), ..ArgRule::some("names", Kind::Line) }],
            occurs: Occurs::Many,
            example: "capabilities \"net_bind_service\"",
            ..NodeRule::EMPTY
        },
        NodeRule {
            name: "seccomp",
            doc: "The filter of system calls: `\"default\"`, `\"strict\"`, or a profile file beside the spec.",
            args: &[ArgRule { default: Some("default"), ..ArgRule::one("the filter", Kind::Beside) }],
            example: "seccomp \"default\"",
            ..NodeRule::EMPTY
        },
    ],
    example: "isolation \"auto\" {\n    root \"read-only\"\n    writable \"/var/lib/luna\"\n    capabilities \"none\"\n}",
    ..NodeRule::EMPTY
};

/// Every capability of Linux 6.12 (capabilities(7)), without `cap_`.
const CAPABILITIES: &[&str] = &[
    "audit_control",
    "audit_read",
    "audit_write",
    "block_suspend",
    "bpf",
    "checkpoint_restore",
    "chown",
    "dac_override",
    "dac_read_search",
    "fowner",
    "fsetid",
    "ipc_lock",
    "ipc_owner",
    "kill",
    "lease",
    "linux_immutable",
    "mac_admin",
    "mac_override",
    "mknod",
    "net_admin",
    "net_bind_service",
    "net_broadcast",
    "net_raw",
    "perfmon",
    "setfcap",
    "setgid",
    "setpcap",
    "setuid",
    "syslog",
    "sys_admin",
    "sys_boot",
    "sys_chroot",
    "sys_module",
    "sys_nice",
    "sys_pacct",
    "sys_ptrace",
    "sys_rawio",
    "sys_resource",
    "sys_time",
    "sys_tty_config",
    "wake_alarm",
];

/// What can be written in a read-only root without being named: programs keep sockets, locks and drafts there.
const TEMPORARY: [&str; 2] = ["/run", "/tmp"];

/// Decodes `isolation`.
pub(crate) fn decode(body: Body<'_>, report: &mut Report<'_>) -> Isolation {
    let item = body.one("isolation");
    let word = |name: &'static str| item.and_then(|item| item.child(name)).and_then(|child| child.arg(0));
    let level = item.and_then(|item| item.arg(0)).and_then(level_of);
    let at_least = word("at-least").and_then(level_of).unwrap_or(Level::Container);
    if let Some(child) = item.and_then(|item| item.child("at-least")) {
        warn_of_level(child, at_least, level, report);
    }
    let mut writable: Vec<String> = item
        .into_iter()
        .flat_map(|item| item.all("writable"))
        .flat_map(|child| child.texts_from(0))
        .map(|(path, _)| path.to_owned())
        .collect();
    if !matches!(word("root"), Some("sealed" | "writable")) {
        writable.extend(TEMPORARY.into_iter().filter(|path| !is_mounted_over(path, body)).map(str::to_owned));
    }
    writable.sort_unstable();
    writable.dedup();
    Isolation {
        level,
        at_least,
        read_only_root: word("root") != Some("writable"),
        writable,
        capabilities: capabilities(item, report),
        seccomp: match word("seccomp") {
            None | Some("default") => Seccomp::Default,
            Some("strict") => Seccomp::Strict,
            Some(path) => profile(path, item, report),
        },
    }
}

/// Prints the isolation.
pub(crate) fn explain(appliance: &Appliance, page: &mut Page<'_>) {
    let isolation = &appliance.isolation;
    page.node("isolation", "isolation", BUILT_IN).arg(isolation.level.map_or("auto", level_text)).open();
    page.node("at-least", "at-least", BUILT_IN).arg(level_text(isolation.at_least)).end();
    page.node("root", "root", BUILT_IN).arg(root_text(appliance)).end();
    for path in &isolation.writable {
        page.node("writable", &format!("writable {path}"), BUILT_IN).arg(path).end();
    }
    if isolation.capabilities.is_empty() {
        page.node("capabilities", "capabilities", BUILT_IN).arg("none").end();
    }
    for name in &isolation.capabilities {
        page.node("capabilities", &format!("capabilities {name}"), BUILT_IN).arg(name).end();
    }
    let seccomp = match &isolation.seccomp {
        Seccomp::Default => "default",
        Seccomp::Strict => "strict",
        Seccomp::File(path) => path,
    };
    page.node("seccomp", "seccomp", BUILT_IN).arg(seccomp).end();
    page.close();
}

/// A read-only root in which one of the temporary folders is neither writable nor covered is sealed.
fn root_text(appliance: &Appliance) -> &'static str {
    let Isolation { read_only_root, writable, .. } = &appliance.isolation;
    let volumes = appliance.volumes.iter().map(|volume| volume.at.as_str());
    let mounts: Vec<&str> = volumes.chain(appliance.resources.scratch.iter().map(|(path, _)| path.as_str())).collect();
    let open = |path: &&str| {
        writable.iter().any(|known| known == path) || mounts.iter().any(|mount| is_at_or_below(path, mount))
    };
    match read_only_root {
        false => "writable",
        true if TEMPORARY.iter().all(open) => "read-only",
        true => "sealed",
    }
}

/// Volumes and scratch folders can be written anyway.
fn is_mounted_over(path: &str, body: Body<'_>) -> bool {
    let volumes = body.all("volume").filter_map(|item| item.text("at"));
    let scratch = body.all("resources").flat_map(|item| item.all("scratch")).filter_map(|item| item.arg(0));
    volumes.chain(scratch).any(|mount| is_at_or_below(path, mount))
}

fn warn_of_level(child: &Item, at_least: Level, level: Option<Level>, report: &mut Report<'_>) {
    if at_least == Level::Vm && level == Some(Level::Container) {
        let error = report.error(
            "level-conflict",
            child.arg_place(0),
            "`at-least \"vm\"` forbids `isolation \"container\"`",
            "asks for more",
        );
        error.help("write isolation \"auto\" or \"vm\", or at-least \"container\"");
    }
}

fn capabilities(item: Option<&Item>, report: &mut Report<'_>) -> Vec<String> {
    let written: Vec<_> =
        item.into_iter().flat_map(|item| item.all("capabilities")).flat_map(|child| child.texts_from(0)).collect();
    let mut kept = Vec::new();
    for (text, place) in &written {
        let lower = text.to_ascii_lowercase();
        let name = lower.strip_prefix("cap_").unwrap_or(&lower);
        if name == "none" && written.len() > 1 {
            report
                .error("bad-value", *place, "\"none\" stands alone", "beside other capabilities")
                .help("remove it, or the others");
        } else if name != "none" && !CAPABILITIES.contains(&name) {
            let help = match nearest(name, CAPABILITIES.iter().copied()) {
                Some(near) => format!("did you mean \"{near}\"?"),
                None => "the names are those of capabilities(7) in lower case, such as \"net_bind_service\"".to_owned(),
            };
            report.error("bad-value", *place, format!("there is no capability \"{text}\""), "unknown").help(help);
        } else if name != "none" {
            kept.push(name.to_owned());
        }
    }
    kept.sort_unstable();
    kept.dedup();
    kept
}

/// A plain word without a dot or slash is a slip rather than a file.
fn profile(path: &str, item: Option<&Item>, report: &mut Report<'_>) -> Seccomp {
    if !path.contains(['/', '.']) {
        let place = item.and_then(|item| item.child("seccomp")).map(|child| child.arg_place(0));
        if let Some(place) = place {
            let near = nearest(path, ["default", "strict"]).map(|near| format!("did you mean \"{near}\"?"));
            let error = report.error(
                "bad-value",
                place,
                "`seccomp` takes \"default\", \"strict\" or a profile file such as \"seccomp.json\"",
                "none of them",
            );
            error.maybe_help(near);
        }
    }
    Seccomp::File(path.to_owned())
}

fn level_of(word: &str) -> Option<Level> {
    match word {
        "container" => Some(Level::Container),
        "vm" => Some(Level::Vm),
        _ => None,
    }
}

fn level_text(level: Level) -> &'static str {
    match level {
        Level::Container => "container",
        Level::Vm => "vm",
    }
}
