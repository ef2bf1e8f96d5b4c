//! What the appliance may use of the host.

use super::Body;
use crate::appliance::{Appliance, Resources};
use crate::explain::{BUILT_IN, Page};
use crate::item::Item;
use crate::report::Report;
use crate::table::{ArgRule, Kind, NodeRule, Occurs, PropRule};
use crate::units::{size_text, thousandths_text};

/// `resources`
pub(crate) const RESOURCES: NodeRule = NodeRule {
    name: "resources",
    doc: "What it may use. What is not named is not limited.",
    children: &[
        NodeRule {
            name: "memory",
            doc: "Memory, fitted to the host at start between `min` and `max`. What is written outside of volumes counts too. When \
                  it runs out the kernel ends a process, which is said; a service that ends so follows its `restart`. A machine has \
                  512 MiB where nothing is said, and never less than 128.",
            args: &[ArgRule::one("the amount", Kind::Size)],
            props: &[
                PropRule::new("min", Kind::Size, "least that it can work with").default("the amount"),
                PropRule::new("max", Kind::Size, "most that it may get").default("the amount"),
            ],
            example: "memory \"1GiB\" min=\"512MiB\" max=\"2GiB\"",
            ..NodeRule::EMPTY
        },
        NodeRule {
            name: "cpus",
            doc: "Processors.",
            args: &[ArgRule::one("the number", Kind::Cpus)],
            example: "cpus 2",
            ..NodeRule::EMPTY
        },
        NodeRule {
            name: "pids",
            doc: "Processes and threads.",
            args: &[ArgRule::one("the number", Kind::Integer(1, 4_194_304))],
            example: "pids 512",
            ..NodeRule::EMPTY
        },
        NodeRule {
            name: "disk",
            doc: "Size of the disk and of what can be written to the root. In a container that is memory, and half of it where \
                  nothing is said.",
            args: &[ArgRule::one("the size", Kind::Size)],
            example: "disk \"4GiB\"",
            ..NodeRule::EMPTY
        },
        NodeRule {
            name: "scratch",
            doc: "A folder in memory, gone at stop.",
            args: &[ArgRule::one("the path", Kind::Path)],
            props: &[PropRule::new("size", Kind::Size, "most that it may hold").required()],
            occurs: Occurs::Named,
            example: "scratch \"/workspace\" size=\"2GiB\"",
            ..NodeRule::EMPTY
        },
    ],
    example: "resources {\n    memory \"1GiB\"\n    cpus 2\n}",
    ..NodeRule::EMPTY
};

/// Decodes `resources`.
pub(crate) fn decode(body: Body<'_>, report: &mut Report<'_>) -> Resources {
    let Some(item) = body.one("resources") else {
        return Resources::default();
    };
    let number = |name: &'static str| item.child(name).and_then(|child| child.arg_number(0));
    if let Some(memory) = item.child("memory") {
        refuse_memory_order(memory, report);
    }
    for child in item.children.iter().filter(|child| child.arg_number(0) == Some(0)) {
        let message = format!("`{}` of nothing is not enough to start", child.rule.name);
        report
            .error("bad-value", child.arg_place(0), message, "zero")
            .help("name an amount, or remove the line for no limit");
    }
    let memory = item.child("memory");
    Resources {
        memory_bytes: number("memory"),
        memory_min_bytes: memory.and_then(|memory| memory.number("min")),
        memory_max_bytes: memory.and_then(|memory| memory.number("max")),
        cpus_milli: number("cpus"),
        pids: number("pids"),
        disk_bytes: number("disk"),
        scratch: item
            .all("scratch")
            .filter_map(|child| Some((child.arg(0)?.to_owned(), child.number("size")?)))
            .collect(),
    }
}

/// Prints the resources.
pub(crate) fn explain(appliance: &Appliance, page: &mut Page<'_>) {
    let resources = &appliance.resources;
    page.node("resources", "resources", BUILT_IN).open();
    if let Some(bytes) = resources.memory_bytes {
        let (min, max) = (resources.memory_min_bytes.map(size_text), resources.memory_max_bytes.map(size_text));
        page.node("memory", "memory", BUILT_IN)
            .arg(&size_text(bytes))
            .maybe("min", min.as_deref())
            .maybe("max", max.as_deref())
            .end();
    }
    if let Some(milli) = resources.cpus_milli {
        page.node("cpus", "cpus", BUILT_IN).bare(&thousandths_text(milli)).end();
    }
    if let Some(pids) = resources.pids {
        page.node("pids", "pids", BUILT_IN).bare(&pids.to_string()).end();
    }
    if let Some(bytes) = resources.disk_bytes {
        page.node("disk", "disk", BUILT_IN).arg(&size_text(bytes)).end();
    }
    for (path, bytes) in &resources.scratch {
        page.node("scratch", &format!("scratch {path}"), BUILT_IN)
            .arg(path)
            .prop("size", &size_text(*bytes), BUILT_IN)
            .end();
    }
    page.close();
}

fn refuse_memory_order(memory: &Item, report: &mut Report<'_>) {
    let amount = memory.arg_number(0);
    let mut refuse = |name: &str, wrong: bool, word: &str| {
        if wrong {
            let (own, all) = (memory.number(name).unwrap_or_default(), amount.unwrap_or_default());
            let message = format!(
                "`{name}` of `memory` is {}, {word} than the memory itself ({})",
                size_text(own),
                size_text(all)
            );
            let error =
                report.error("bad-value", memory.prop_place(name), message, format!("{word} than {}", size_text(all)));
            error.also(memory.arg_place(0), "the memory").help("the order is min ≤ memory ≤ max");
        }
    };
    refuse("min", memory.number("min") > amount && amount.is_some(), "more");
    refuse("max", memory.number("max").is_some_and(|max| amount.is_some_and(|amount| max < amount)), "less");
}
