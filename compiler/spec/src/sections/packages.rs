//! What is installed: packages with version rules, packages that must stay out, further repositories.

use super::Body;
use crate::appliance::{Appliance, PackageRequest, Relation, Repository, VersionRule};
use crate::explain::{BUILT_IN, Page};
use crate::item::Item;
use crate::report::Report;
use crate::source::Place;
use crate::table::{ArgRule, Kind, NodeRule, Occurs, PropRule};

/// `packages`
pub(crate) const PACKAGES: NodeRule = NodeRule {
    name: "packages",
    doc: "Packages to install, each a name or a name with a version rule: `<`, `<=`, `=`, `>=`, `>`. What they depend on comes by itself; what they only recommend does not.",
    args: &[ArgRule::some("packages", Kind::Line)],
    occurs: Occurs::Many,
    example: "packages \"python3\" \"nodejs>=18\"",
    ..NodeRule::EMPTY
};

/// `exclude`
pub(crate) const EXCLUDE: NodeRule = NodeRule {
    name: "exclude",
    doc: "Packages that must not be installed, not even because another package depends on them.",
    args: &[ArgRule::some("packages", Kind::Line)],
    occurs: Occurs::Many,
    example: "exclude \"systemd\"",
    ..NodeRule::EMPTY
};

/// `repository`
pub(crate) const REPOSITORY: NodeRule = NodeRule {
    name: "repository",
    doc: "A further signed repository. Nothing is taken from it that the named key did not sign.",
    args: &[ArgRule::one("the address", Kind::Line)],
    props: &[
        PropRule::new("suite", Kind::Line, "the suite, as below `dists/`").required(),
        PropRule::new("component", Kind::Line, "components to read").list().default("main"),
        PropRule::new("key", Kind::Beside, "the OpenPGP key file, armoured or binary, beside the spec").required(),
    ],
    occurs: Occurs::Named,
    example: "repository \"https://repo.example.com/debian\" suite=\"stable\" component=\"main\" key=\"keys/example.asc\"",
    ..NodeRule::EMPTY
};

/// What the sections about packages say.
pub(crate) struct Packages {
    /// Sorted by name.
    pub wanted: Vec<PackageRequest>,
    /// Sorted.
    pub excluded: Vec<String>,
    /// In the order written.
    pub repositories: Vec<Repository>,
}

/// Decodes packages, exclusions and repositories.
pub(crate) fn decode(body: Body<'_>, report: &mut Report<'_>) -> Packages {
    let mut excluded: Vec<(String, Place)> = Vec::new();
    for (text, place) in body.all("exclude").flat_map(|item| item.texts_from(0)) {
        if is_package_name(text) {
            excluded.push((text.to_owned(), place));
        } else {
            bad_name(text, place, report);
        }
    }
    let wanted = wanted(body, &excluded, report);
    let mut excluded: Vec<String> = excluded.into_iter().map(|(name, _)| name).collect();
    excluded.sort_unstable();
    excluded.dedup();
    Packages { wanted, excluded, repositories: body.all("repository").map(|item| repository(item, report)).collect() }
}

/// Prints packages, exclusions and repositories.
pub(crate) fn explain(appliance: &Appliance, page: &mut Page<'_>) {
    for request in &appliance.packages {
        let text = request_text(request);
        page.node("packages", &format!("packages {text}"), BUILT_IN).arg(&text).end();
    }
    for name in &appliance.excluded {
        page.node("exclude", &format!("exclude {name}"), BUILT_IN).arg(name).end();
    }
    for repository in &appliance.repositories {
        let line = page.node("repository", &format!("repository {}", repository.url), BUILT_IN).arg(&repository.url);
        line.prop("suite", &repository.suite, BUILT_IN)
            .list("component", &repository.components)
            .prop("key", &repository.key, BUILT_IN)
            .end();
    }
}

/// A request as it is written.
fn request_text(request: &PackageRequest) -> String {
    let rule = request.rule.as_ref().map(|rule| format!("{}{}", relation_text(rule.relation), rule.version));
    format!("{}{}", request.name, rule.unwrap_or_default())
}

fn wanted(body: Body<'_>, excluded: &[(String, Place)], report: &mut Report<'_>) -> Vec<PackageRequest> {
    let mut wanted: Vec<(PackageRequest, Place)> = Vec::new();
    for (text, place) in body.all("packages").flat_map(|item| item.texts_from(0)) {
        let Some(request) = request(text, place, report) else { continue };
        if let Some((_, out)) = excluded.iter().find(|(name, _)| *name == request.name) {
            let message = format!("\"{}\" is both asked for and excluded", request.name);
            report
                .error("excluded-package", place, message, "asked for here")
                .also(*out, "excluded here")
                .help("remove one of the two");
        }
        match wanted.iter().find(|(known, _)| known.name == request.name) {
            Some((known, _)) if *known == request => {}
            Some((known, first)) if known.rule.is_some() && request.rule.is_some() => {
                let message = format!("\"{}\" has two version rules", request.name);
                report
                    .error("conflict", place, message, "another rule here")
                    .also(*first, "first rule here")
                    .help("keep one of the two");
            }
            Some((known, _)) if known.rule.is_some() => {}
            _ => {
                wanted.retain(|(known, _)| known.name != request.name);
                wanted.push((request, place));
            }
        }
    }
    let mut wanted: Vec<PackageRequest> = wanted.into_iter().map(|(request, _)| request).collect();
    wanted.sort();
    wanted
}

fn request(text: &str, place: Place, report: &mut Report<'_>) -> Option<PackageRequest> {
    let at = text.find(['<', '>', '=', '!', '~', '^', ' ', '(']).unwrap_or(text.len());
    let (name, rule) = text.split_at(at);
    if !is_package_name(name) {
        bad_name(name, place, report);
        return None;
    }
    let rule = rule.trim();
    if rule.is_empty() {
        return Some(PackageRequest { name: name.to_owned(), rule: None });
    }
    let digits = rule.find(|c: char| !"<>=!~^( ".contains(c)).unwrap_or(rule.len());
    let (sign, version) = rule.split_at(digits);
    let version = version.trim();
    let good = !version.is_empty() && version.chars().all(|c| c.is_ascii_alphanumeric() || ".+-~:_".contains(c));
    match relation(sign.trim()).filter(|_| good) {
        Some(relation) => Some(PackageRequest {
            name: name.to_owned(),
            rule: Some(VersionRule { relation, version: version.to_owned() }),
        }),
        None => {
            let error =
                report.error("bad-version-rule", place, format!("\"{text}\" is no version rule"), "cannot be read");
            error.help(format!("write a name and one of < <= = >= > with a version: \"{name}>=1.2\""));
            None
        }
    }
}

fn repository(item: &Item, report: &mut Report<'_>) -> Repository {
    let url = item.arg(0).unwrap_or_default();
    let known =
        ["https://", "http://", "file://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
    if item.arg(0).is_some() && (!known || url.contains(char::is_whitespace)) {
        let error = report.error("bad-value", item.arg_place(0), "the address of a repository is a URL", "not a URL");
        error.help("write \"https://repo.example.com/debian\"");
    }
    let mut components: Vec<String> = item.list("component").map(|(text, _)| text.to_owned()).collect();
    if components.is_empty() {
        components.push("main".to_owned());
    }
    Repository {
        url: url.trim_end_matches('/').to_owned(),
        suite: item.text_or("suite", ""),
        components,
        key: item.text_or("key", ""),
    }
}

fn bad_name(name: &str, place: Place, report: &mut Report<'_>) {
    let lower = name.trim().to_lowercase();
    let help = if name.contains(',') || name.trim().contains(' ') {
        "each package stands in quotes of its own: packages \"a\" \"b\"".to_owned()
    } else if name.contains(':') {
        "packages of a foreign architecture cannot be named; write the name without `:arch`".to_owned()
    } else if is_package_name(&lower) {
        format!("write \"{lower}\"")
    } else {
        "package names are lower-case letters, digits, `+`, `-` and `.`".to_owned()
    };
    report
        .error("bad-name", place, format!("\"{name}\" cannot be the name of a package"), "not a package name")
        .help(help);
}

/// Whether a name fits Debian Policy, section 5.6.7, which is also what the other families allow in lower case.
fn is_package_name(name: &str) -> bool {
    name.len() >= 2
        && name.len() <= 200
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c))
}

fn relation(sign: &str) -> Option<Relation> {
    Some(match sign {
        "<" | "<<" => Relation::Less,
        "<=" => Relation::LessOrEqual,
        "=" | "==" => Relation::Equal,
        ">=" => Relation::GreaterOrEqual,
        ">" | ">>" => Relation::Greater,
        _ => return None,
    })
}

fn relation_text(relation: Relation) -> &'static str {
    match relation {
        Relation::Less => "<",
        Relation::LessOrEqual => "<=",
        Relation::Equal => "=",
        Relation::GreaterOrEqual => ">=",
        Relation::Greater => ">",
    }
}
