//! The sections of the language: one file each with its table, its decoding and its part of `explain`. Here they
//! are put together: the whole table, and the appliance made of all sections.

pub(crate) mod base;
pub(crate) mod env;
pub(crate) mod files;
pub(crate) mod gpu;
pub(crate) mod identity;
pub(crate) mod isolation;
pub(crate) mod kernel;
pub(crate) mod lifecycle;
pub(crate) mod network;
pub(crate) mod open;
pub(crate) mod output;
pub(crate) mod packages;
pub(crate) mod resources;
pub(crate) mod service;
pub(crate) mod tools;
pub(crate) mod users;
pub(crate) mod volume;

use crate::appliance::{Appliance, Base};
use crate::check::World;
use crate::explain::{BUILT_IN, Page};
use crate::item::Item;
use crate::naming;
use crate::report::Report;
use crate::rules;
use crate::table::{ArgRule, Kind, NodeRule, Occurs};

/// The `appliance` node without its block.
pub(crate) const APPLIANCE: NodeRule = identity::APPLIANCE;

/// Every node of the block of `appliance`, in the order of the reference and of `explain`.
pub(crate) const BODY: &[NodeRule] = &[
    identity::SUMMARY,
    USE,
    base::BASE,
    base::ARCH,
    packages::PACKAGES,
    packages::EXCLUDE,
    packages::REPOSITORY,
    users::USER,
    files::FILE,
    files::DIR,
    files::LINK,
    env::ENV,
    identity::HOSTNAME,
    service::SERVICE,
    open::OPEN,
    kernel::KERNEL,
    kernel::INIT,
    isolation::ISOLATION,
    network::NETWORK,
    resources::RESOURCES,
    gpu::GPU,
    volume::VOLUME,
    lifecycle::LIFECYCLE,
    tools::TOOLS,
    output::OUTPUT,
    output::LAUNCH,
];

/// `use` is done away with before the table is asked; it stands here for did-you-mean and the reference.
const USE: NodeRule = NodeRule {
    name: "use",
    doc: "Takes in fragments: files that hold sections without an `appliance` around them. Paths are relative to \
          the file that uses them. Lists add up; a value that two files set differently is an error that names both.",
    args: &[ArgRule::some("paths", Kind::Beside)],
    occurs: Occurs::Many,
    example: "use \"common.kdl\"",
    ..NodeRule::EMPTY
};

/// The merged nodes of an appliance's block.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Body<'a>(pub &'a [Item]);

impl<'a> Body<'a> {
    /// The node of a name that stands once.
    pub fn one(self, name: &'static str) -> Option<&'a Item> {
        self.all(name).next()
    }

    /// The nodes of a name in the order written.
    pub fn all(self, name: &'static str) -> impl Iterator<Item = &'a Item> {
        self.0.iter().filter(move |item| item.rule.name == name)
    }
}

/// The appliance that the sections make. None when something without which there is no appliance is missing;
/// that was reported.
pub(crate) fn decode(head: &Item, body: &[Item], world: &World<'_>, report: &mut Report<'_>) -> Option<Appliance> {
    let body = Body(body);
    let identity = identity::decode(head, body, report);
    let base = base::decode(body, world, report);
    let services = service::decode(body, report);
    let naming = match base.base {
        Base::Oci(_) => naming::of_image(),
        Base::Distro { .. } | Base::Scratch => naming::of(base.image.map(|image| image.family)),
    };
    let packages = packages::decode(body, naming, report);
    let arches = base::decode_arches(body, world, base.image, report);
    let appliance = Appliance {
        name: identity.name,
        version: identity.version,
        summary: identity.summary,
        kernel: kernel::decode(body, &base, &arches, world, report),
        arches,
        base: base.base,
        packages: packages.wanted,
        excluded: packages.excluded,
        repositories: packages.repositories,
        users: users::decode(body, base.image, report),
        entries: files::decode(body, report),
        env: env::decode_with_base(body, base.image, report),
        hostname: identity.hostname,
        services: services.list,
        main_service: services.main,
        opens: open::decode(body, report),
        init: kernel::decode_init(body, report),
        isolation: isolation::decode(body, report),
        network: network::decode(body, report),
        resources: resources::decode(body, report),
        gpu: gpu::decode(body, report),
        volumes: volume::decode(body),
        lifecycle: lifecycle::decode(body, report),
        tools: tools::decode(body),
        outputs: output::decode(body, report),
        qcow2_compression: output::decode_compression(body, report),
        launches: output::decode_launches(body, report),
    };
    let image = base.image.filter(|_| !report.unread.may_hold_section("base"));
    rules::check(&appliance, body, image, report);
    (!appliance.name.is_empty()).then_some(appliance)
}

/// What the base of an appliance brings that no section shows, in words.
pub(crate) fn of_base(appliance: &Appliance, world: &World<'_>) -> Vec<String> {
    base::brings(appliance, world)
}

/// Prints every section of an appliance, and what its base brings beside them.
pub(crate) fn explain(appliance: &Appliance, of_base: &[String], page: &mut Page<'_>) {
    page.node("appliance", "appliance", BUILT_IN)
        .arg(&appliance.name)
        .prop("version", &appliance.version, BUILT_IN)
        .open_top();
    identity::explain_summary(appliance, page);
    base::explain(appliance, page);
    of_base.iter().for_each(|line| page.remark(line));
    packages::explain(appliance, page);
    users::explain(appliance, page);
    files::explain(appliance, page);
    env::explain(appliance, page);
    identity::explain_hostname(appliance, page);
    service::explain(appliance, page);
    open::explain(appliance, page);
    kernel::explain(appliance, page);
    isolation::explain(appliance, page);
    network::explain(appliance, page);
    resources::explain(appliance, page);
    gpu::explain(appliance, page);
    volume::explain(appliance, page);
    lifecycle::explain(appliance, page);
    tools::explain(appliance, page);
    output::explain(appliance, page);
    page.close();
}

/// The node in whose block a node of this name belongs, and how it is written, if one has it.
pub(crate) fn home_of(name: &str) -> Option<(&'static str, &'static str)> {
    if let Some(rule) = BODY.iter().find(|rule| rule.name == name) {
        return Some(("appliance", rule.example));
    }
    let all = BODY.iter().flat_map(|home| home.children.iter().map(move |child| (home, child)));
    all.into_iter().find(|(_, child)| child.name == name).map(|(home, child)| (home.name, child.example))
}

/// Says of a node that nothing comes of it yet.
pub(crate) fn not_yet(item: &Item, what: &str, report: &mut Report<'_>) {
    let warning = report.warning(
        "not-yet",
        item.place,
        format!("{what} has no effect yet"),
        "checked and kept, but nothing comes of it",
    );
    warning.help(LATER);
}

/// What to do about a section without effect.
pub(crate) const LATER: &str = "nothing needs to change in the spec: it takes effect in a later release";
