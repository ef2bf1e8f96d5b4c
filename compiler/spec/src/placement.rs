//! Rules about where things are put: what stands in the way of each other, what a mount hides, and whether a volume can
//! be written by those who use it. What only the packages or the files beside the spec show is found later.

use crate::appliance::{Appliance, Base, EntryKind, User};
use crate::base::BaseImage;
use crate::item::Item;
use crate::report::Report;
use crate::rules::is_at_or_below;
use crate::sections::{Body, files};
use crate::source::Place;

/// Folders that every root has: they are made whatever the base is.
const ALWAYS: [&str; 9] = ["/dev", "/etc", "/proc", "/root", "/run", "/sys", "/tmp", "/var", "/var/tmp"];

/// Folders, or links to folders, of every distribution.
const OF_DISTRIBUTIONS: [&str; 7] = ["/bin", "/lib", "/sbin", "/usr", "/usr/bin", "/usr/lib", "/usr/sbin"];

/// Where the kernel shows what is no file of an appliance, when it runs.
const KERNEL: [&str; 3] = ["/dev", "/proc", "/sys"];

/// The folders at the root in which packages may bring something (Filesystem Hierarchy Standard 3.0, sections 3 and 6).
const OF_PACKAGES: [&str; 21] = [
    "bin", "boot", "dev", "etc", "home", "lib", "lib32", "lib64", "libx32", "media", "mnt", "opt", "proc", "root",
    "run", "sbin", "srv", "sys", "tmp", "usr", "var",
];

/// Checks all of them.
pub(crate) fn check(appliance: &Appliance, body: Body<'_>, image: Option<&BaseImage>, report: &mut Report<'_>) {
    entries_over_system_folders(body, image, report);
    mounts_on_files(body, report);
    volumes_in_volumes(body, report);
    hidden_entries(body, report);
    volumes_that_nobody_can_write(appliance, body, report);
}

/// Whether a path is a folder of every root on this base.
pub(crate) fn is_system_folder(path: &str, on_distribution: bool) -> bool {
    ALWAYS.contains(&path) || (on_distribution && OF_DISTRIBUTIONS.contains(&path))
}

/// Tells that a file would take the place of a folder.
pub(crate) fn refuse_file_over_folder(path: &str, item: &Item, report: &mut Report<'_>) {
    let link = item.rule.name == "link";
    let what = if link { "a link" } else { "a file" };
    let example = if link { "to=\"…\"" } else { "…" };
    let message = format!("\"{path}\" is a folder of the base, and {what} cannot take its place");
    report
        .error("bad-path", item.arg_place(0), message, "a folder")
        .help(format!("name what is to be in it: {} \"{path}/NAME\" {example}", item.rule.name));
}

fn entries(body: Body<'_>) -> impl Iterator<Item = &Item> {
    body.0.iter().filter(|item| files::NAMES.contains(&item.rule.name))
}

fn entries_over_system_folders(body: Body<'_>, image: Option<&BaseImage>, report: &mut Report<'_>) {
    // What comes from beside the spec may be a folder itself.
    for item in entries(body).filter(|item| item.rule.name == "link" || item.prop("text").is_some()) {
        if let Some(path) = item.arg(0).filter(|path| is_system_folder(path, image.is_some())) {
            refuse_file_over_folder(path, item, report);
        }
    }
}

/// A folder that something is mounted on or that can be written: what it is called, its path, its place.
type Claim<'a> = (&'static str, &'a str, Place);

/// Volumes and scratch folders.
pub(crate) fn mounts(body: Body<'_>) -> Vec<Claim<'_>> {
    let volumes = body.all("volume").filter_map(|item| Some(("the volume", item.text("at")?, item.prop_place("at"))));
    let scratch = body.all("resources").flat_map(|item| item.all("scratch"));
    volumes.chain(scratch.filter_map(|item| Some(("the scratch folder", item.arg(0)?, item.arg_place(0))))).collect()
}

/// Tells that something is mounted on a file, or below one.
pub(crate) fn refuse_mounts_on(file: &str, item: &Item, body: Body<'_>, report: &mut Report<'_>) {
    let writable = body.all("isolation").flat_map(|item| item.all("writable")).flat_map(|item| item.texts_from(0));
    // A file can be writable by itself.
    let writable =
        writable.map(|(path, place)| ("the writable path", path, place)).filter(|(_, path, _)| *path != file);
    for (what, path, place) in mounts(body).into_iter().chain(writable) {
        if !is_at_or_below(path, file) {
            continue;
        }
        let message = match path == file {
            true => format!("\"{path}\" is a file of the spec, and {what} needs a folder"),
            false => format!("\"{path}\" is below \"{file}\", which is a file of the spec"),
        };
        report
            .error("bad-path", place, message, "cannot be here")
            .also(item.arg_place(0), "the file")
            .help("name the folder that the file is in, or a folder of its own such as \"/data\"");
    }
}

fn mounts_on_files(body: Body<'_>, report: &mut Report<'_>) {
    for item in entries(body).filter(|item| item.prop("text").is_some() && item.prop("from").is_none()) {
        if let Some(path) = item.arg(0) {
            refuse_mounts_on(path, item, body, report);
        }
    }
}

/// Volumes are mounted behind scratch folders, the outer ones first; what is in another one stands on a folder of that.
fn volumes_in_volumes(body: Body<'_>, report: &mut Report<'_>) {
    let mounts = mounts(body);
    for (what, path, place) in &mounts {
        let Some((outer, at, first)) = mounts.iter().find(|(_, at, _)| is_below(path, at)) else { continue };
        let is_hidden = (*what, *outer) == ("the scratch folder", "the volume");
        let message = if is_hidden {
            format!("{what} \"{path}\" is never seen: {outer} \"{at}\" is mounted over it")
        } else {
            format!(
                "{what} \"{path}\" is mounted in {outer} \"{at}\": it takes owner and mode of a folder that is made \
                 there, root's, whatever `dir` says"
            )
        };
        report
            .warning("hidden", *place, message, "in another one")
            .also(*first, *outer)
            .help(format!("give it a path of its own, outside of \"{at}\""));
    }
}

fn is_below(path: &str, folder: &str) -> bool {
    path != folder && is_at_or_below(path, folder)
}

/// What is put below a place that something is mounted on is in the image, and nobody ever sees it.
fn hidden_entries(body: Body<'_>, report: &mut Report<'_>) {
    let mounts = mounts(body);
    for item in entries(body) {
        let Some(path) = item.arg(0) else { continue };
        if let Some((what, at, place)) = mounts.iter().find(|(_, at, _)| is_below(path, at)) {
            hidden_by_mount(path, item, (*what, at, *place), report);
        } else if let Some(at) = KERNEL.iter().find(|at| is_below(path, at)) {
            let message = format!("\"{path}\" is never seen: \"{at}\" shows the kernel's own files when it runs");
            report
                .warning("hidden", item.arg_place(0), message, "hidden when it runs")
                .help("remove this line, or name a path outside of /dev, /proc and /sys");
        }
    }
}

/// Tells that a mount hides what the spec puts below it.
pub(crate) fn hidden_by_mount(path: &str, item: &Item, mount: Claim<'_>, report: &mut Report<'_>) {
    let (what, at, place) = mount;
    let message = format!("\"{path}\" is never seen: {what} \"{at}\" is mounted over it and begins empty");
    report
        .warning("hidden", item.arg_place(0), message, "hidden when it runs")
        .also(place, what)
        .help(format!("put it outside of \"{at}\", and let the service that needs it there copy it at its start"));
}

/// Who may write to a folder.
struct Owner<'a> {
    user: &'a str,
    group: Option<&'a str>,
    mode: u16,
}

fn volumes_that_nobody_can_write(appliance: &Appliance, body: Body<'_>, report: &mut Report<'_>) {
    let sections = ["dir", "file", "user", "service"];
    if sections.iter().any(|section| report.unread.may_hold_section(section)) {
        return;
    }
    let services = &appliance.services;
    let Some(last) = services.last().filter(|_| services.iter().all(|service| service.user != "root")) else { return };
    let mounts = mounts(body);
    for item in body.all("volume") {
        let Some(at) = item.text("at").filter(|at| !is_deliberate(at, body)) else { continue };
        // That of one in another mount is told there.
        if mounts.iter().any(|(_, outer, _)| is_below(at, outer)) {
            continue;
        }
        let Some(owner) = owner_of(at, appliance) else { continue };
        if services.iter().any(|service| owner.lets_write(&service.user, &appliance.users)) {
            continue;
        }
        let user = &last.user;
        let message = format!("no service can write to the volume at \"{at}\", which belongs to {}", owner.user);
        let warning =
            report.warning("volume-not-writable", item.prop_place("at"), message, "takes owner and mode of its folder");
        let runs = body.all("service").find(|item| item.arg(0) == Some(&last.name)).map(|item| item.prop_place("user"));
        let warning = runs.into_iter().fold(warning, |warning, place| warning.also(place, format!("runs as {user}")));
        warning.help(match appliance.entries.iter().any(|entry| entry.path == at) {
            true => format!("write owner=\"{user}\" where \"{at}\" is made"),
            false => format!("add: dir \"{at}\" owner=\"{user}\""),
        });
    }
}

/// Whether the spec says in so many words that a folder belongs to root.
fn is_deliberate(path: &str, body: Body<'_>) -> bool {
    entries(body).any(|item| item.arg(0) == Some(path) && item.text("owner") == Some("root"))
}

/// Who owns the folder at a path; none where packages, the base or files beside the spec have a say in it.
fn owner_of<'a>(path: &str, appliance: &'a Appliance) -> Option<Owner<'a>> {
    if let Some(entry) = appliance.entries.iter().find(|entry| entry.path == path) {
        let mode = match &entry.kind {
            EntryKind::Dir => entry.mode?,
            EntryKind::From(_) => entry.mode.map_or(0o755, |mode| mode | (mode & 0o444) >> 2),
            EntryKind::Text(_) | EntryKind::Link(_) => return None,
        };
        return Some(Owner { user: &entry.owner, group: entry.group.as_deref(), mode });
    }
    if let Some(user) = appliance.users.iter().find(|user| user.home == path) {
        return Some(Owner { user: &user.name, group: None, mode: 0o755 });
    }
    let first = path.split('/').nth(1).unwrap_or_default();
    let may_be_there = match appliance.base {
        Base::Oci(_) => true,
        Base::Distro { .. } => OF_PACKAGES.contains(&first),
        Base::Scratch => false,
    };
    let brings = |kind: &EntryKind| !matches!(kind, EntryKind::Dir);
    let brought = appliance.entries.iter().any(|entry| brings(&entry.kind) && is_below(path, &entry.path));
    (!may_be_there && !brought).then_some(Owner { user: "root", group: None, mode: 0o755 })
}

impl Owner<'_> {
    /// Whether a user may write there; so it is taken where the groups of a user are not known.
    fn lets_write(&self, name: &str, users: &[User]) -> bool {
        let declared = |name: &str| users.iter().find(|user| user.name == name);
        let in_group = || match (declared(name), self.group.or(declared(self.user).map(|user| user.name.as_str()))) {
            (Some(user), Some(group)) => user.name == group || user.groups.iter().any(|own| own == group),
            (Some(user), None) => self.user != "root" || user.groups.iter().any(|own| own == "root"),
            (None, _) => true,
        };
        let own = self.user == name && self.mode & 0o200 != 0;
        own || self.mode & 0o002 != 0 || (self.mode & 0o020 != 0 && in_group())
    }
}
