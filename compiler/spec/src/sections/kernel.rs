//! The kernel and the init.

use super::base::{Found, Named, named};
use super::{Body, not_yet};
use crate::appliance::{Appliance, Arch, Base, Init, Kernel, KernelBase, Output};
use crate::base::BaseImage;
use crate::check::World;
use crate::explain::{BUILT_IN, Page};
use crate::item::Item;
use crate::report::Report;
use crate::table::{ArgRule, Count, Kind, NodeRule, PropRule};

/// `kernel`
pub(crate) const KERNEL: NodeRule = NodeRule {
    name: "kernel",
    doc: "What outputs that boot start. Default: the kernel that the base names for each architecture.\n\n\
          With `base=` it comes from another base, as bases without packages (`scratch`, `oci`) need it: its package is \
          resolved, locked and verified there, and so is the boot program of disks. Nothing of it is in the root: what the \
          machine needs of its modules is loaded before the root is there. Without a package it is that base's own kernel: \
          `kernel base=\"debian\"`.",
    args: &[ArgRule { count: Count::Optional, default: Some("the base's"), ..ArgRule::one("the package", Kind::Name) }],
    props: &[
        PropRule::new("base", Kind::Name, "another base that it comes from").default("the appliance's"),
        PropRule::new("release", Kind::Name, "codename or number of the release of that base")
            .default("that base's own, such as bookworm"),
    ],
    example: "kernel \"linux-image-cloud-amd64\" base=\"debian\"",
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
pub(crate) fn decode(
    body: Body<'_>,
    found: &Found<'_>,
    arches: &[Arch],
    world: &World<'_>,
    report: &mut Report<'_>,
) -> Option<Kernel> {
    let item = body.one("kernel")?;
    let package = item.arg(0).map(str::to_owned);
    let Some(name) = item.text("base") else {
        if item.prop("release").is_some() && item.prop("base").is_none() {
            let message = "`release=` of `kernel` is that of another base, and none is named";
            report
                .error("missing-property", item.prop_place("release"), message, "of which base?")
                .help("add `base=\"debian\"`, or remove `release=`");
        }
        if item.args.is_empty() && item.prop("base").is_none() {
            report
                .error("missing-argument", item.place, "`kernel` needs a package or `base=`", "missing behind this")
                .help("write kernel \"linux-image-cloud-amd64\", or remove the line");
        }
        return package.map(|package| Kernel { package: Some(package), base: None });
    };
    let image = other_base(item, name, found, world, report)?;
    if let Some(image) = image {
        has_kernels(item, image, arches, report);
    }
    let base = image.map(|image| KernelBase { name: image.name.clone(), release: image.release.clone() });
    Some(Kernel { package, base })
}

/// The other base that kernels come from; none within where it is the appliance's own; none where it is wrong.
fn other_base<'w>(
    item: &Item,
    name: &str,
    found: &Found<'_>,
    world: &World<'w>,
    report: &mut Report<'_>,
) -> Option<Option<&'w BaseImage>> {
    let place = item.prop_place("base");
    if matches!(name, "oci" | "scratch") {
        report
            .error("bad-value", place, format!("the base \"{name}\" has no kernel packages"), "no distribution")
            .help("name a distribution: base=\"debian\"");
        return None;
    }
    let release = item.text("release").map(|release| (release, item.prop_place("release")));
    let is_own = matches!(&found.base, Base::Distro { name: own, .. } if own == name);
    if is_own && release.is_none() {
        return Some(None);
    }
    let image = named(Named { name, place, release }, &[], world, report)?;
    let own = found.image.is_some_and(|own| (&own.name, &own.release) == (&image.name, &image.release));
    Some(Some(image).filter(|_| !own))
}

/// The other base exists for all architectures, and has a kernel where none is named.
fn has_kernels(item: &Item, image: &BaseImage, arches: &[Arch], report: &mut Report<'_>) {
    let place = item.prop_place("base");
    for arch in arches {
        if !image.arches.contains(arch) {
            let message = format!("the base \"{}\" of the kernel does not exist for {}", image.name, arch.name());
            report
                .error("arch-not-supported", place, message, "not for this architecture")
                .help("take the kernel from another base, or remove the architecture");
        } else if item.args.is_empty() && image.kernel(*arch).is_none() {
            let message = format!("the base \"{}\" names no kernel for {}", image.name, arch.name());
            report
                .error("missing-argument", item.place, message, "which package?")
                .help("write kernel \"PACKAGE\" base=…");
        }
    }
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

/// The base has the init, and something is built that it can start.
pub(crate) fn check_init(appliance: &Appliance, body: Body<'_>, image: Option<&BaseImage>, report: &mut Report<'_>) {
    let Some(item) = body.one("init").filter(|_| appliance.init == Init::Systemd) else { return };
    let is_scratch = body.one("base").is_some_and(|item| item.arg(0) == Some("scratch"));
    let base = match image {
        Some(image) if !image.family.has_systemd() => image.name.as_str(),
        None if is_scratch => "scratch",
        _ => return has_a_machine(appliance, body, item, report),
    };
    let message = format!("the base \"{base}\" has no systemd");
    report.error("init-impossible", item.arg_place(0), message, "not there").help(
        "write `init \"builtin\"`, which needs nothing of the base, or take a base with systemd, such as \"debian\"",
    );
}

/// systemd has a machine to start: a container of `run` does not give it what it wants.
fn has_a_machine(appliance: &Appliance, body: Body<'_>, init: &Item, report: &mut Report<'_>) {
    let has_one = appliance.outputs.iter().any(|output| output.boots() || *output == Output::Wsl);
    if has_one || body.one("output").is_none() || report.unread.may_hold_section("output") {
        return;
    }
    report
        .warning("no-machine", init.place, "`init \"systemd\"` needs a machine, and no output is one", "nothing to start")
        .help(
            "add \"microvm\" to `output`, and `run` takes that machine; a container engine can start the image where it \
             gives systemd control groups of its own",
        );
}

/// Prints kernel and init.
pub(crate) fn explain(appliance: &Appliance, page: &mut Page<'_>) {
    if let Some(kernel) = &appliance.kernel {
        let line = page.node("kernel", "kernel", BUILT_IN);
        let line = kernel.package.iter().fold(line, |line, package| line.arg(package));
        let of_base = "that base's default release";
        let line = kernel
            .base
            .iter()
            .fold(line, |line, base| line.prop("base", &base.name, BUILT_IN).prop("release", &base.release, of_base));
        line.end();
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
