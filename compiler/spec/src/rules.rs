//! Rules that span sections, checked when every section is decoded: owners exist, ports of `open` are declared,
//! no path is claimed twice, outputs and platforms can be.

use crate::appliance::{Appliance, Arch, Base, GpuNeed, Level, Output};
use crate::base::BaseImage;
use crate::booting;
use crate::item::Item;
use crate::placement;
use crate::report::Report;
use crate::sections::output::{PLATFORMS, Platform};
use crate::sections::{Body, files, kernel};
use crate::source::Place;
use crate::suggest::nearest;
use crate::table::either;

/// Checks all of them.
pub(crate) fn check(appliance: &Appliance, body: Body<'_>, image: Option<&BaseImage>, report: &mut Report<'_>) {
    owners(body, image, report);
    opened_ports(body, report);
    claimed_paths(body, report);
    placement::check(appliance, body, image, report);
    gpu_platforms(appliance, body, report);
    possible_outputs(appliance, body, report);
    booting::check(appliance, body, image, report);
    possible_launches(appliance, body, report);
    packages_need_a_source(appliance, body, report);
    kernel::check_init(appliance, body, image, report);
}

/// Nothing can be installed where there is no package family.
fn packages_need_a_source(appliance: &Appliance, body: Body<'_>, report: &mut Report<'_>) {
    let is_scratch = body.one("base").is_some_and(|item| item.arg(0) == Some("scratch"));
    if appliance.base != Base::Scratch || !is_scratch {
        return;
    }
    for item in ["packages", "exclude", "repository"].into_iter().flat_map(|name| body.all(name)) {
        let message = format!("`{}` has no meaning on the base \"scratch\", which has no packages", item.rule.name);
        report
            .error("no-packages", item.place, message, "nothing to take packages from")
            .help("put programs there with `file`, or take a distribution as base");
    }
}

/// Users of services and owners of files are declared, or the base has them.
fn owners(body: Body<'_>, image: Option<&BaseImage>, report: &mut Report<'_>) {
    let is_scratch = body.one("base").is_some_and(|item| item.arg(0) == Some("scratch"));
    let own: Vec<&str> = body.all("user").filter_map(|item| item.arg(0)).collect();
    let known = |list: fn(&BaseImage) -> &Vec<String>, name: &str| {
        let of_base = || match image {
            Some(image) => list(image).iter().any(|known| known == name),
            // What an OCI image holds is known once it is there, and a base that is wrong may have been another one.
            None => !is_scratch,
        };
        name == "root" || own.contains(&name) || of_base()
    };
    let owned = body.0.iter().filter(|item| files::NAMES.contains(&item.rule.name)).map(|item| (item, "owner"));
    for (item, prop) in owned.chain(body.all("service").map(|item| (item, "user"))) {
        if let Some(name) =
            item.text(prop).filter(|name| !known(|image| &image.users, name) && !report.unread.may_hold(name))
        {
            let of_base = image.into_iter().flat_map(|image| &image.users).map(String::as_str);
            let near = nearest(name, own.iter().copied().chain(of_base).chain(["root"]));
            let near = near.map(|near| format!("did you mean \"{near}\"?"));
            let error = report.error(
                "unknown-user",
                item.prop_place(prop),
                format!("there is no user \"{name}\""),
                "not a user",
            );
            error.help(near.unwrap_or_else(|| format!("add the line: user \"{name}\"")));
        }
        if let Some(name) =
            item.text("group").filter(|name| !known(|image| &image.groups, name) && !report.unread.may_hold(name))
        {
            let error = report.error(
                "unknown-group",
                item.prop_place("group"),
                format!("there is no group \"{name}\""),
                "not a group",
            );
            let of_base = image.into_iter().flat_map(|image| &image.groups).map(String::as_str);
            let near =
                nearest(name, own.iter().copied().chain(of_base)).map(|near| format!("did you mean \"{near}\"?"));
            error.help(near.unwrap_or_else(|| "take the group of a declared user or one of the base's".to_owned()));
        }
    }
}

/// What opens is a declared port.
fn opened_ports(body: Body<'_>, report: &mut Report<'_>) {
    let ports: Vec<u64> =
        body.all("network").flat_map(|item| item.all("port")).filter_map(|port| port.arg_number(0)).collect();
    for item in body.all("open") {
        for prop in &item.props {
            let missing = |port: &u64| !ports.contains(port) && !report.unread.may_hold(&port.to_string());
            let Some(port) = prop.value.number().filter(missing) else { continue };
            let error = report.error(
                "undeclared-port",
                prop.value.place,
                format!("port {port} is not declared"),
                "cannot be reached",
            );
            match ports.as_slice() {
                [] => error.help(format!("add: network \"none\" {{ port {port} }}")),
                all => error.help(format!("declared are {}; or add `port {port}` to `network`", list(all))),
            };
        }
    }
}

fn list(ports: &[u64]) -> String {
    ports.iter().map(u64::to_string).collect::<Vec<_>>().join(", ")
}

/// Volumes, scratch folders and writable paths do not stand on each other.
fn claimed_paths(body: Body<'_>, report: &mut Report<'_>) {
    let volumes: Vec<(&str, Place)> =
        body.all("volume").filter_map(|item| Some((item.text("at")?, item.prop_place("at")))).collect();
    let scratch = body
        .all("resources")
        .flat_map(|item| item.all("scratch"))
        .filter_map(|item| Some((item.arg(0)?, item.arg_place(0))));
    let mounts: Vec<(&str, Place)> = volumes.iter().copied().chain(scratch).collect();
    for (index, (path, place)) in mounts.iter().enumerate() {
        if ["/", "/proc", "/sys", "/dev", "/usr", "/etc", "/bin", "/lib"].contains(path) {
            let message = format!("\"{path}\" cannot be covered: the appliance needs what is there");
            report
                .error("bad-path", *place, message, "would hide the system")
                .help("take a folder of its own, such as \"/data\"");
        }
        if let Some((_, first)) = mounts.iter().take(index).find(|(other, _)| other == path) {
            let error = report.error(
                "duplicate-name",
                *place,
                format!("two volumes or scratch folders are at \"{path}\""),
                "again here",
            );
            error.also(*first, "first here").help("give each a path of its own");
        }
    }
    for (path, place) in body.all("isolation").flat_map(|item| item.all("writable")).flat_map(|item| item.texts_from(0))
    {
        if let Some((volume, at)) = volumes.iter().find(|(volume, _)| is_at_or_below(path, volume)) {
            let error = report.error(
                "writable-below-volume",
                place,
                format!("\"{path}\" is in the volume at \"{volume}\""),
                "writable already",
            );
            error.also(*at, "the volume").help("remove it from `writable`: a volume can always be written");
        }
    }
}

/// Whether a path is a folder or something in it; both are absolute and normalised.
pub(crate) fn is_at_or_below(path: &str, folder: &str) -> bool {
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

/// A GPU that must be there can be had on a declared platform, at the declared isolation.
fn gpu_platforms(appliance: &Appliance, body: Body<'_>, report: &mut Report<'_>) {
    let Some(item) = body.one("gpu").filter(|_| appliance.gpu.need == GpuNeed::Required) else { return };
    let declared: Vec<&Platform> = declared(appliance).collect();
    let fits = |platform: &&&Platform| {
        appliance.isolation.level.is_none_or(|level| level == platform.level) && is_strong_enough(appliance, platform)
    };
    let sections_may_be = ["launch", "isolation"].iter().any(|section| report.unread.may_hold_section(section));
    let mut slips = slips(body, "launch", PLATFORMS.iter().map(|platform| platform.name));
    let would_do = |near: Option<&str>| {
        near.is_none_or(|near| PLATFORMS.iter().any(|one| one.name == near && one.gives_gpu && fits(&&one)))
    };
    if sections_may_be || slips.any(would_do) {
        return;
    }
    if declared.is_empty() || declared.iter().filter(fits).any(|platform| platform.gives_gpu) {
        return;
    }
    let names: Vec<&str> = declared.iter().map(|platform| platform.name).collect();
    let good: Vec<&str> = PLATFORMS
        .iter()
        .filter(|platform| platform.gives_gpu && fits(&platform))
        .map(|platform| platform.name)
        .collect();
    let message = format!("no declared platform can give the required GPU at this isolation: {}", names.join(", "));
    let error = report.error("gpu-impossible", item.arg_place(0), message, "required here");
    let error = body
        .one("isolation")
        .into_iter()
        .chain(body.one("launch"))
        .fold(error, |error, item| error.also(item.place, "declared here"));
    error.help(format!("add to `launch` one of {}, or write gpu \"optional\"", either(&good)));
}

/// For each word of these nodes that is no name, the name that was meant, where one is near.
fn slips<'a>(
    body: Body<'a>,
    node: &'static str,
    names: impl Iterator<Item = &'static str> + Clone + 'a,
) -> impl Iterator<Item = Option<&'static str>> + 'a {
    let words = body.all(node).flat_map(|item| item.texts_from(0)).map(|(text, _)| text);
    let wrong: Vec<&str> = words.filter(|text| names.clone().all(|name| name != *text)).collect();
    wrong.into_iter().map(move |text| nearest(text, names.clone()))
}

fn declared(appliance: &Appliance) -> impl Iterator<Item = &'static Platform> {
    PLATFORMS.iter().filter(|platform| appliance.launches.iter().any(|name| name == platform.name))
}

fn is_strong_enough(appliance: &Appliance, platform: &Platform) -> bool {
    let vm = appliance.isolation.level == Some(Level::Vm) || appliance.isolation.at_least == Level::Vm;
    !vm || platform.level == Level::Vm
}

/// The architectures allow each output.
fn possible_outputs(appliance: &Appliance, body: Body<'_>, report: &mut Report<'_>) {
    for (text, place) in body.all("output").flat_map(|item| item.texts_from(0)) {
        let Some(output) = Output::ALL.into_iter().find(|output| output.name() == text) else { continue };
        if matches!(output, Output::Vmdk | Output::Ova) && appliance.arches.contains(&Arch::Arm64) {
            let error = report.error(
                "output-impossible",
                place,
                format!("the output \"{text}\" exists for amd64 only"),
                "not for arm64",
            );
            let error = body.one("arch").into_iter().fold(error, |error, item| error.also(item.place, "declared here"));
            error.help("remove the output, or build arm64 from a spec of its own");
        }
    }
}

/// Each platform has an output that it can take, and gives the isolation that is asked for.
fn possible_launches(appliance: &Appliance, body: Body<'_>, report: &mut Report<'_>) {
    let slips: Vec<Option<&str>> = slips(body, "output", Output::ALL.iter().map(|output| output.name())).collect();
    let may_have = |platform: &Platform| {
        let needs = |name: &str| platform.needs.iter().any(|output| output.name() == name);
        slips.iter().any(|near| near.is_none_or(needs))
    };
    let outputs_are_known = !report.unread.may_hold_section("output");
    for (text, place) in body.all("launch").flat_map(|item| item.texts_from(0)) {
        let Some(platform) = PLATFORMS.iter().find(|platform| platform.name == text) else { continue };
        if outputs_are_known
            && !may_have(platform)
            && !platform.needs.iter().any(|output| appliance.outputs.contains(output))
        {
            let needs: Vec<&str> = platform.needs.iter().map(|output| output.name()).collect();
            let error = report.error(
                "launch-without-output",
                place,
                format!("\"{text}\" has no output that it can take"),
                "nothing to launch",
            );
            error.help(format!("add to `output`: {}", either(&needs)));
        }
        if !is_strong_enough(appliance, platform) {
            let item: Option<&Item> = body.one("isolation");
            let error = report.error(
                "level-conflict",
                place,
                format!("\"{text}\" gives a container, and the spec asks for a vm"),
                "too weak",
            );
            item.into_iter()
                .fold(error, |error, item| error.also(item.place, "asked for here"))
                .help("remove the platform, or ask for less");
        }
    }
}
