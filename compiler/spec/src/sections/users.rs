//! Users to make: names, ids, homes and groups.

use std::collections::BTreeSet;

use super::Body;
use crate::appliance::{Appliance, User};
use crate::base::BaseImage;
use crate::explain::{BUILT_IN, Page};
use crate::item::Item;
use crate::report::Report;
use crate::table::{ArgRule, Kind, NodeRule, Occurs, PropRule};

/// First id given to a user without one: below are the distributions' own.
const FIRST_UID: u64 = 1000;

/// Last id that may be used: above are the distributions' reserved ranges (Debian Policy, section 9.2.2).
const LAST_UID: u64 = 59999;

/// `user`
pub(crate) const USER: NodeRule = NodeRule {
    name: "user",
    doc: "A user to make, with a group of the same name and id. The user has no password.",
    args: &[ArgRule::one("the login name", Kind::Line)],
    props: &[
        PropRule::new("uid", Kind::Integer(1, LAST_UID), "user id, and id of the group")
            .default("the next free from 1000"),
        PropRule::new("home", Kind::Path, "home folder, made if it is not there").default("/home/NAME"),
        PropRule::new("groups", Kind::Line, "further groups").list(),
        PropRule::new("shell", Kind::Path, "login shell").default("/bin/sh"),
    ],
    occurs: Occurs::Named,
    example: "user \"luna\" uid=1000 home=\"/home/luna\" groups=\"video\" \"audio\"",
    ..NodeRule::EMPTY
};

/// Decodes users and gives each an id.
pub(crate) fn decode(body: Body<'_>, image: Option<&BaseImage>, report: &mut Report<'_>) -> Vec<User> {
    let items: Vec<&Item> = body.all("user").filter(|item| item.arg(0).is_some()).collect();
    let mut taken: BTreeSet<u64> = items.iter().filter_map(|item| item.number("uid")).collect();
    let mut users = Vec::new();
    for item in &items {
        let name = item.arg(0).unwrap_or_default();
        refuse_bad_name(name, item, image, report);
        let uid =
            item.number("uid").or_else(|| (FIRST_UID..=LAST_UID).find(|uid| !taken.contains(uid))).unwrap_or(LAST_UID);
        taken.insert(uid);
        users.push(User {
            name: name.to_owned(),
            uid: u32::try_from(uid).unwrap_or(u32::MAX),
            home: item.text_or("home", &format!("/home/{name}")),
            groups: groups(item),
            shell: item.text_or("shell", "/bin/sh"),
        });
    }
    refuse_shared_ids(&items, report);
    warn_of_unknown_groups(&items, image, report);
    users
}

/// Prints the users.
pub(crate) fn explain(appliance: &Appliance, page: &mut Page<'_>) {
    for user in &appliance.users {
        let line = page.node("user", &format!("user {}", user.name), BUILT_IN).arg(&user.name);
        let line = line.bare_prop("uid", &user.uid.to_string(), "next free id").prop("home", &user.home, BUILT_IN);
        line.list("groups", &user.groups).prop("shell", &user.shell, BUILT_IN).end();
    }
}

fn groups(item: &Item) -> Vec<String> {
    let mut groups: Vec<String> = Vec::new();
    for (group, _) in item.list("groups") {
        if !groups.iter().any(|known| known == group) {
            groups.push(group.to_owned());
        }
    }
    groups
}

fn refuse_bad_name(name: &str, item: &Item, image: Option<&BaseImage>, report: &mut Report<'_>) {
    let good = name.len() <= 32
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c == '_')
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-_".contains(c));
    if !good {
        let error = report.error(
            "bad-name",
            item.arg_place(0),
            format!("\"{name}\" cannot be a login name"),
            "not a login name",
        );
        error.help("lower-case letters, digits, `-` and `_`, beginning with a letter, at most 32");
    } else if name == "root" || image.is_some_and(|image| image.users.iter().any(|known| known == name)) {
        let error = report.error(
            "duplicate-name",
            item.arg_place(0),
            format!("the base has a user \"{name}\" already"),
            "exists already",
        );
        error.help("use it without a `user` line, or take another name");
    }
}

fn refuse_shared_ids(items: &[&Item], report: &mut Report<'_>) {
    for (index, item) in items.iter().enumerate() {
        let Some(uid) = item.number("uid") else { continue };
        if let Some(first) = items.iter().take(index).find(|other| other.number("uid") == Some(uid)) {
            let error =
                report.error("uid-clash", item.prop_place("uid"), format!("two users have the id {uid}"), "again here");
            error.also(first.prop_place("uid"), "first here").help("give each user its own id, or leave `uid=` out");
        }
    }
}

fn warn_of_unknown_groups(items: &[&Item], image: Option<&BaseImage>, report: &mut Report<'_>) {
    let Some(image) = image else { return };
    for item in items {
        for (group, place) in item.list("groups") {
            let user = items.iter().any(|other| other.arg(0) == Some(group));
            if !user && !image.groups.iter().any(|known| known == group) {
                let message = format!("the base has no group \"{group}\"");
                let warning = report.warning("unknown-group", place, message, "perhaps made by a package");
                warning.help("it is made with a free id unless one of the packages makes it");
            }
        }
    }
}
