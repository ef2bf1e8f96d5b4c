//! The kernel and the init.

use super::{Body, not_yet};
use crate::appliance::{Appliance, Init, Kernel};
use crate::base::BaseImage;
use crate::explain::{BUILT_IN, Page};
use crate::report::Report;
use crate::table::{ArgRule, Kind, NodeRule, PropRule};

/// `kernel`
pub(crate) const KERNEL: NodeRule = NodeRule {
    name: "kernel",
    doc: "The kernel package for outputs that boot. Default: the base image's.",
    args: &[ArgRule { default: Some("the base's"), ..ArgRule::one("the package", Kind::Name) }],
    props: &[PropRule::new("base", Kind::Name, "another base that it comes from; *has no effect yet*")
        .default("the appliance's")],
    example: "kernel \"linux-image-cloud-amd64\"",
    ..NodeRule::EMPTY
};

/// `init`
pub(crate) const INIT: NodeRule = NodeRule {
    name: "init",
    doc: "What runs as process 1: `\"builtin\"` starts the services itself; `\"systemd\"` is the base's own, has a unit for each service beside those that packages bring, and needs a machine, which `run` then takes, or a container engine that lets it run; `\"openrc\"` *has no effect yet*.",
    args: &[ArgRule {
        default: Some("builtin"),
        ..ArgRule::one("the init", Kind::Word(&["builtin", "systemd", "openrc"]))
    }],
    example: "init \"builtin\"",
    ..NodeRule::EMPTY
};

/// Decodes `kernel`.
pub(crate) fn decode(body: Body<'_>, report: &mut Report<'_>) -> Option<Kernel> {
    let item = body.one("kernel")?;
    if item.text("base").is_some() {
        not_yet(item, "`base=` of `kernel`", report);
    }
    Some(Kernel { package: item.arg(0)?.to_owned(), base: item.text("base").map(str::to_owned) })
}

/// Decodes `init`.
pub(crate) fn decode_init(body: Body<'_>, report: &mut Report<'_>) -> Init {
    let item = body.one("init");
    let init = match item.and_then(|item| item.arg(0)) {
        Some("systemd") => Init::Systemd,
        Some("openrc") => Init::Openrc,
        _ => Init::Builtin,
    };
    if let Some(item) = item.filter(|_| init == Init::Openrc) {
        not_yet(item, &format!("`init \"{}\"`", init_text(init)), report);
    }
    init
}

/// The base has the init.
pub(crate) fn check_init(appliance: &Appliance, body: Body<'_>, image: Option<&BaseImage>, report: &mut Report<'_>) {
    let Some(item) = body.one("init").filter(|_| appliance.init == Init::Systemd) else { return };
    let is_scratch = body.one("base").is_some_and(|item| item.arg(0) == Some("scratch"));
    let base = match image {
        Some(image) if !image.family.has_systemd() => image.name.as_str(),
        None if is_scratch => "scratch",
        _ => return,
    };
    let message = format!("the base \"{base}\" has no systemd");
    report.error("init-impossible", item.arg_place(0), message, "not there").help(
        "write `init \"builtin\"`, which needs nothing of the base, or take a base with systemd, such as \"debian\"",
    );
}

/// Prints kernel and init.
pub(crate) fn explain(appliance: &Appliance, page: &mut Page<'_>) {
    if let Some(kernel) = &appliance.kernel {
        page.node("kernel", "kernel", BUILT_IN).arg(&kernel.package).maybe("base", kernel.base.as_deref()).end();
    }
    page.node("init", "init", BUILT_IN).arg(init_text(appliance.init)).end();
}

fn init_text(init: Init) -> &'static str {
    match init {
        Init::Builtin => "builtin",
        Init::Systemd => "systemd",
        Init::Openrc => "openrc",
    }
}
