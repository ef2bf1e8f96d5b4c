//! Where in a spec each thing is written, for what is found out about it after the check: by what the packages bring,
//! or on reading the files beside the spec.

use std::collections::BTreeMap;

use crate::diagnostic::Label;
use crate::item::Item;
use crate::sections::{Body, files};
use crate::source::{Place, Sources};

/// A thing that a spec says.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Written {
    /// The file, folder or link at this path inside.
    Entry(String),
    /// `owner=` of the entry at this path, or the entry itself.
    Owner(String),
    /// `group=` of the entry at this path, or the entry itself.
    Group(String),
    /// `from=` of the entry at this path, or the entry itself.
    Source(String),
    /// The user of this name.
    User(String),
    /// This user's membership in this group.
    Membership(String, String),
    /// The program of the service of this name.
    Program(String),
    /// `user=` of the service of this name, or the service itself.
    ServiceUser(String),
    /// The volume at this path.
    Volume(String),
    /// The scratch folder at this path.
    Scratch(String),
    /// This writable path.
    Writable(String),
    /// The repository of this address.
    Repository(String),
    /// The key of the repository of this address.
    Key(String),
    /// The first line of a section that is about packages: `packages`, `exclude`, `repository`, `init`.
    Section(&'static str),
    /// The profile of system calls.
    Seccomp,
    /// What boots.
    Kernel,
    /// The output of this name.
    Output(String),
    /// The size of the disk.
    Disk,
    /// The image that the base is.
    Image,
}

/// The sections that are about packages.
pub(crate) const ABOUT_PACKAGES: [&str; 4] = ["packages", "exclude", "repository", "init"];

/// The labels of everything in a merged body; what stands twice is where it stands first.
pub(crate) fn labels(body: &[Item], sources: &Sources) -> BTreeMap<Written, Label> {
    let mut found = BTreeMap::new();
    let mut put = |what: Written, place: Place| {
        found.entry(what).or_insert_with(|| sources.label(place, ""));
    };
    for item in body {
        let Some(name) = item.arg(0).map(str::to_owned) else { continue };
        match item.rule.name {
            entry if files::NAMES.contains(&entry) => {
                put(Written::Owner(name.clone()), item.prop_place("owner"));
                put(Written::Group(name.clone()), item.prop_place("group"));
                put(Written::Source(name.clone()), item.prop_place("from"));
                put(Written::Entry(name), item.arg_place(0));
            }
            "user" => {
                for (group, place) in item.list("groups") {
                    put(Written::Membership(name.clone(), group.to_owned()), place);
                }
                put(Written::User(name), item.arg_place(0));
            }
            "service" => {
                let program = item.child("run").map_or(item.place, |run| run.arg_place(0));
                put(Written::Program(name.clone()), program);
                put(Written::ServiceUser(name), item.prop("user").map_or(item.place, |user| user.value.place));
            }
            "repository" => {
                put(Written::Key(name.trim_end_matches('/').to_owned()), item.prop_place("key"));
                put(Written::Repository(name.trim_end_matches('/').to_owned()), item.arg_place(0));
            }
            _ => {}
        }
    }
    let body = Body(body);
    body.one("kernel").into_iter().for_each(|item| put(Written::Kernel, item.place));
    for (output, place) in body.all("output").flat_map(|item| item.texts_from(0)) {
        put(Written::Output(output.to_owned()), place);
    }
    for disk in body.all("resources").flat_map(|item| item.child("disk")) {
        put(Written::Disk, disk.arg_place(0));
    }
    for section in ABOUT_PACKAGES {
        body.all(section).for_each(|item| put(Written::Section(section), item.place));
    }
    body.all("base").for_each(|base| put(Written::Image, base.arg_place(1)));
    for item in body.all("volume") {
        item.text("at").into_iter().for_each(|at| put(Written::Volume(at.to_owned()), item.prop_place("at")));
    }
    for item in body.all("resources").flat_map(|item| item.all("scratch")) {
        item.arg(0).into_iter().for_each(|path| put(Written::Scratch(path.to_owned()), item.arg_place(0)));
    }
    for item in body.all("isolation") {
        for (path, place) in item.all("writable").flat_map(|item| item.texts_from(0)) {
            put(Written::Writable(path.to_owned()), place);
        }
        item.child("seccomp").into_iter().for_each(|profile| put(Written::Seccomp, profile.arg_place(0)));
    }
    found
}
