//! What the appliance stands on: the base operating system and the architectures.

use super::Body;
use crate::appliance::{Appliance, Arch, Base};
use crate::base::{Archive, BaseImage};
use crate::check::World;
use crate::explain::{BUILT_IN, Page};
use crate::image_reference::ImageReference;
use crate::item::Item;
use crate::report::Report;
use crate::source::Place;
use crate::suggest::nearest;
use crate::syntax::{Entry, Node};
use crate::table::{ArgRule, Count, Kind, NodeRule, PropRule, either};

/// Bases that the language knows; which of them can be built is up to the base images at hand.
const KNOWN: &[&str] = &["auto", "debian", "ubuntu", "alpine", "fedora", "oci", "scratch"];

/// The base that "auto" stands for.
const AUTO: &str = "debian";

/// `base`
pub(crate) const BASE: NodeRule = NodeRule {
    name: "base",
    doc: "The operating system underneath. `\"auto\"` takes Debian. A release is named by its codename or number. \
          `\"scratch\"` is an empty root, for static programs.\n\n\
          `\"oci\"` takes any image: `\"docker.io/library/debian:12\"` from a registry, by tag or by \
          `@sha256:…`; `\"oci:FOLDER:NAME\"` from an image layout, `\"oci-archive:FILE\"` from one in a tar file and \
          `\"docker-archive:FILE\"` from a tar file of `docker save`, all beside the spec. The registry is always written out; without a tag or digest `latest` is meant. A registry is spoken to over https, except on this machine \
          and where `http://` stands in front. What a tag means is kept in the lock until `appliance lock --update`; \
          `appliance lock --update base` moves the tag alone. The \
          image's environment comes below the spec's `env`; its entry point, user, ports and volumes are not taken over: a \
          `service` says what runs. `packages` are added to an image of a distribution that is a base here too, from the \
          archives of that base; what it has already stays at its version, unless one of \
          these needs a newer one.",
    args: &[
        ArgRule { default: Some("auto"), ..ArgRule::one("the base", Kind::Name) },
        ArgRule { count: Count::Optional, ..ArgRule::one("the image reference", Kind::Image) },
    ],
    props: &[PropRule::new("release", Kind::Name, "codename or number of the release")
        .default("the base's own, such as bookworm")],
    example: "base \"debian\" release=\"bookworm\"",
    ..NodeRule::EMPTY
};

/// `arch`
pub(crate) const ARCH: NodeRule = NodeRule {
    name: "arch",
    doc: "The processor architectures to build for. Default: the one of the machine that builds.",
    args: &[ArgRule { default: Some("the host's"), ..ArgRule::some("architectures", Kind::Line) }],
    example: "arch \"amd64\" \"arm64\"",
    ..NodeRule::EMPTY
};

/// The base, and its image when it is one that exists.
pub(crate) struct Found<'w> {
    /// As it goes into the appliance.
    pub base: Base,
    /// The base image at the release.
    pub image: Option<&'w BaseImage>,
}

/// The names of the bases that nodes of a spec ask for, whether or not there are such: its own and that of its kernel.
pub(crate) fn names(body: &[Node]) -> Vec<String> {
    let text = |entry: &Entry| entry.value.as_string().map(str::to_owned);
    let own = body.iter().find(|node| node.name == BASE.name);
    let own = own.map_or(Some("auto".to_owned()), |node| {
        node.entries.iter().find(|entry| entry.key.is_none()).map_or(Some("auto".to_owned()), text)
    });
    let is_base = |entry: &&Entry| entry.key.as_ref().is_some_and(|(name, _)| name == "base");
    let kernels = body.iter().filter(|node| node.name == "kernel");
    let of_kernel = kernels.flat_map(|node| node.entries.iter().filter(is_base)).filter_map(text);
    let all = own.into_iter().chain(of_kernel);
    all.map(|name| if name == "auto" { AUTO.to_owned() } else { name }).collect()
}

/// Decodes `base`.
pub(crate) fn decode<'w>(body: Body<'_>, world: &World<'w>, report: &mut Report<'_>) -> Found<'w> {
    let item = body.one("base");
    let written = item.and_then(|item| item.arg(0)).unwrap_or("auto");
    let name = if written == "auto" { AUTO } else { written };
    let image = image(name, item, world, report);
    if let Some(item) = item {
        refuse_stray(item, written, report);
    }
    let base = match name {
        // Where there is none, that was reported, and then no appliance comes of it.
        "oci" => item.and_then(|item| reference(item, report)).map_or(Base::Scratch, Base::Oci),
        "scratch" => Base::Scratch,
        _ => Base::Distro {
            name: name.to_owned(),
            release: image.map(|image| image.release.clone()).unwrap_or_default(),
        },
    };
    Found { base, image }
}

/// Decodes `arch`.
pub(crate) fn decode_arches(
    body: Body<'_>,
    world: &World<'_>,
    image: Option<&BaseImage>,
    report: &mut Report<'_>,
) -> Vec<Arch> {
    let mut arches: Vec<(Arch, Place)> = Vec::new();
    for (text, place) in body.one("arch").into_iter().flat_map(|item| item.texts_from(0)) {
        match Arch::from_name(text) {
            Some(arch) if image.is_some_and(|image| !image.arches.contains(&arch)) => {
                let message = format!("the base does not exist for {text}");
                report
                    .error("arch-not-supported", place, message, "not this one")
                    .help("remove it, or take another base");
            }
            Some(arch) => match arches.iter().find(|(known, _)| *known == arch) {
                Some((_, first)) => {
                    let error = report.error("duplicate-name", place, format!("{text} is named twice"), "again here");
                    error.also(*first, "first here").help("remove one of the two: each architecture is built once");
                }
                None => arches.push((arch, place)),
            },
            None => {
                let help = if text.contains([' ', ',', '/', '+']) {
                    "each stands in quotes of its own: arch \"amd64\" \"arm64\"".to_owned()
                } else {
                    let known = || "known are \"amd64\" and \"arm64\"".to_owned();
                    other_name(text).map_or_else(known, |arch| format!("write \"{}\"", arch.name()))
                };
                report.error("bad-value", place, format!("there is no architecture \"{text}\""), "unknown").help(help);
            }
        }
    }
    let mut arches: Vec<Arch> = arches.into_iter().map(|(arch, _)| arch).collect();
    if arches.is_empty() {
        if let (None, Some(image)) = (body.one("arch"), image) {
            check_default(body, world.host_arch, image, report);
        }
        arches.push(world.host_arch);
    }
    arches.sort_unstable();
    arches
}

/// A base that is not there for the machine that builds needs an `arch`.
fn check_default(body: Body<'_>, host: Arch, image: &BaseImage, report: &mut Report<'_>) {
    if image.arches.contains(&host) || report.unread.may_hold_section("arch") {
        return;
    }
    // Without a `base` there is no line to show but the beginning of the spec.
    let place = body.one("base").map_or(Place::new(0, 0, 0), |item| item.arg_place(0));
    let host = host.name();
    let message = format!("the base does not exist for {host}, which is built where no `arch` is named");
    let names: Vec<String> = image.arches.iter().map(|arch| format!("\"{}\"", arch.name())).collect();
    let error = report.error("arch-not-supported", place, message, format!("not for {host}"));
    error.help(format!("write arch {}", names.join(" ")));
}

/// Prints base and architectures.
pub(crate) fn explain(appliance: &Appliance, page: &mut Page<'_>) {
    match &appliance.base {
        Base::Distro { name, release } => {
            page.node("base", "base", BUILT_IN).arg(name).prop("release", release, "the base's default release").end()
        }
        Base::Oci(reference) => page.node("base", "base", BUILT_IN).arg("oci").arg(&reference.to_string()).end(),
        Base::Scratch => page.node("base", "base", BUILT_IN).arg("scratch").end(),
    }
    let names: Vec<String> = appliance.arches.iter().map(|arch| arch.name().to_owned()).collect();
    page.node("arch", "arch", "the host's").args(&names).end();
}

/// What a base image brings that is no section of a spec: its packages, where they come from, and its kernel.
pub(crate) fn brings(appliance: &Appliance, world: &World<'_>) -> Vec<String> {
    let find =
        |name: &str, release: &str| world.bases.iter().find(|image| image.name == name && image.release == release);
    let own = match &appliance.base {
        Base::Distro { name, release } => find(name, release),
        Base::Oci(_) | Base::Scratch => None,
    };
    let of_kernel = appliance.kernel.as_ref().and_then(|kernel| kernel.base.as_ref());
    let of_kernel = of_kernel.and_then(|base| find(&base.name, &base.release)).or(own);
    let is_named = appliance.kernel.as_ref().is_some_and(|kernel| kernel.package.is_some());
    let kernel = of_kernel.filter(|_| !is_named).and_then(|image| brings_kernel(appliance, image));
    own.map(|image| brings_packages(appliance, image)).into_iter().flatten().chain(kernel).collect()
}

fn brings_packages(appliance: &Appliance, image: &BaseImage) -> Vec<String> {
    let required = if image.with_required { ", and those that are essential or required" } else { "" };
    let mut lines = vec![format!("the base image's packages: {}{required}", image.packages.join(" "))];
    let here = |archive: &&Archive| appliance.arches.iter().any(|arch| archive.arches.contains(arch));
    for archive in image.archives.iter().filter(here) {
        let suites: String =
            archive.suites.iter().filter(|one| !one.path.is_empty()).map(|one| format!(" {}", one.path)).collect();
        let last = match archive.mirrors.join(" ") {
            none if none.is_empty() => "from the mirrors that you name".to_owned(),
            mirrors => format!("last of all from {mirrors}"),
        };
        let colon = if suites.is_empty() { "" } else { ":" };
        lines.push(format!("the base image's archive {}{colon}{suites}, {last}", archive.name));
    }
    lines
}

fn brings_kernel(appliance: &Appliance, image: &BaseImage) -> Option<String> {
    let mut kernels: Vec<&str> = appliance.arches.iter().filter_map(|arch| image.kernel(*arch)).collect();
    kernels.dedup();
    let whose = if appliance.kernel.is_some() { format!("{}'s", image.name) } else { "the base image's".to_owned() };
    (!kernels.is_empty()).then(|| format!("{whose} kernel, where one is booted: {}", kernels.join(" ")))
}

fn image<'w>(name: &str, item: Option<&Item>, world: &World<'w>, report: &mut Report<'_>) -> Option<&'w BaseImage> {
    let Some(item) = item else { return default_release(name, world) };
    if matches!(name, "oci" | "scratch") {
        refuse_release(item, name, report);
        return None;
    }
    let release = item.text("release").map(|release| (release, item.prop_place("release")));
    if release.is_none() && item.prop("release").is_some() {
        // What stands there is no name, which is told already.
        return default_release(name, world);
    }
    named(Named { name, place: item.arg_place(0), release }, &["oci", "scratch"], world, report)
}

/// A distribution as it is named somewhere.
pub(crate) struct Named<'i> {
    /// Its name and where that stands.
    pub name: &'i str,
    pub place: Place,
    /// The release, where one is named.
    pub release: Option<(&'i str, Place)>,
}

/// The base image of a distribution at the release that is named, or its default. `others` are bases that are no
/// distribution and could stand there too.
pub(crate) fn named<'w>(
    wanted: Named<'_>,
    others: &[&'static str],
    world: &World<'w>,
    report: &mut Report<'_>,
) -> Option<&'w BaseImage> {
    let Named { name, place, release } = wanted;
    let name = if name == "auto" { AUTO } else { name };
    let releases: Vec<&BaseImage> = world.bases.iter().filter(|image| image.name == name).collect();
    if releases.is_empty() {
        refuse_base(name, place, others, world, report);
        return None;
    }
    let Some((release, place)) = release else {
        let default = releases.iter().find(|image| image.is_default).copied();
        if default.is_none() {
            refuse_none(name, place, &releases, report);
        }
        return default;
    };
    let found = releases.iter().find(|image| image.release == release || image.version == release).copied();
    if found.is_none() {
        let names = releases.iter().flat_map(|image| [image.release.as_str(), image.version.as_str()]);
        let message = format!("{name} has no release \"{release}\" here");
        let error = report.error("unknown-release", place, message, "unknown release");
        let near = nearest(release, names).map(|near| format!("did you mean \"{near}\"? "));
        error.help(format!("{}{}", near.unwrap_or_default(), known_releases(&releases)));
    }
    found
}

fn default_release<'w>(name: &str, world: &World<'w>) -> Option<&'w BaseImage> {
    world.bases.iter().find(|image| image.name == name && image.is_default)
}

/// A base that has no default release, and of which none is named.
fn refuse_none(name: &str, place: Place, releases: &[&BaseImage], report: &mut Report<'_>) {
    let names: Vec<&str> = releases.iter().map(|image| image.release.as_str()).collect();
    let message = format!("`base \"{name}\"` needs `release=`: none of its releases is the default");
    let error = report.error("missing-property", place, message, "has no `release=`");
    let first = names.first().copied().unwrap_or_default();
    error.help(format!("write base \"{name}\" release=\"{first}\"; there are {}", either(&names)));
}

/// The releases of a base by codename and number, as advice.
fn known_releases(releases: &[&BaseImage]) -> String {
    let one = |image: &&BaseImage| match image.release.strip_prefix('v') == Some(&image.version) {
        true => format!("\"{}\"", image.release),
        false => format!("\"{}\" ({})", image.release, image.version),
    };
    let all: Vec<String> = releases.iter().map(one).collect();
    match all.as_slice() {
        [one] => format!("there is {one}"),
        [most @ .., last] => format!("there are {} and {last}", most.join(", ")),
        [] => String::new(),
    }
}

fn refuse_base(name: &str, place: Place, others: &[&'static str], world: &World<'_>, report: &mut Report<'_>) {
    let mut exist: Vec<&str> =
        world.bases.iter().map(|image| image.name.as_str()).chain(others.iter().copied()).collect();
    exist.sort_unstable();
    exist.dedup();
    if KNOWN.contains(&name) {
        let error =
            report.error("base-not-supported", place, format!("the base \"{name}\" cannot be built yet"), "not yet");
        error.help(format!("what can be built: {}", either(&exist)));
    } else {
        let near = nearest(name, KNOWN.iter().copied().chain(exist.iter().copied()))
            .map(|near| format!("did you mean \"{near}\"? "));
        let error = report.error("unknown-base", place, format!("there is no base \"{name}\""), "unknown base");
        error.help(format!("{}what can be built: {}", near.unwrap_or_default(), either(&exist)));
    }
}

/// The image that `base "oci"` names.
fn reference(item: &Item, report: &mut Report<'_>) -> Option<ImageReference> {
    let read = ImageReference::parse(item.arg(1)?);
    if let Err(problem) = &read {
        let message = format!("the image reference {}", problem.message);
        report.error("bad-value", item.arg_place(1), message, "not an image").help(problem.help.clone());
    }
    read.ok()
}

/// What is no distribution has no releases.
fn refuse_release(item: &Item, name: &str, report: &mut Report<'_>) {
    if item.prop("release").is_some() {
        let message = format!("`base \"{name}\"` has no releases");
        report
            .error("unknown-release", item.prop_place("release"), message, "has no meaning here")
            .help("remove `release=`");
    }
}

fn refuse_stray(item: &Item, name: &str, report: &mut Report<'_>) {
    if name == "scratch" && item.args.len() > 1 {
        let message = "`base \"scratch\"` takes no further value";
        report
            .error("unexpected-argument", item.arg_place(1), message, "one too many")
            .help("scratch is an empty root; an image is base \"oci\" \"registry.example.org/name:tag\"");
    } else if name != "oci" && item.args.len() > 1 {
        let place = item.arg_place(1);
        let text = item.arg(1).unwrap_or_default();
        let error =
            report.error("unexpected-argument", place, format!("`base \"{name}\"` takes one value"), "one too many");
        error.help(format!("a release is named so: base \"{name}\" release=\"{text}\""));
    }
    if name == "oci" && item.args.len() < 2 {
        let error = report.error(
            "missing-argument",
            item.place,
            "`base \"oci\"` needs an image reference",
            "missing behind this",
        );
        error.help("write base \"oci\" \"registry.example.org/image:tag\"");
    }
}

/// What other systems call the architectures.
fn other_name(text: &str) -> Option<Arch> {
    match text.to_ascii_lowercase().as_str() {
        // These are 32 bits wide.
        "armhf" | "armel" | "armv7" | "armv7l" | "armv6" => None,
        "x86_64" | "x86-64" | "x64" | "amd_64" => Some(Arch::Amd64),
        "aarch64" | "arm" | "armv8" | "arm_64" => Some(Arch::Arm64),
        lower => Arch::from_name(lower).or_else(|| nearest(lower, ["amd64", "arm64"]).and_then(Arch::from_name)),
    }
}
