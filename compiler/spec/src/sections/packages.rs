//! What is installed: packages with version rules, packages that must stay out, further repositories.

use super::Body;
use crate::appliance::{Appliance, PackageRequest, Relation, Repository};
use crate::explain::{BUILT_IN, Page};
use crate::item::Item;
use crate::naming::Naming;
use crate::report::Report;
use crate::source::Place;
use crate::table::{ArgRule, Kind, NodeRule, Occurs, PropRule};
use crate::version_rules;

/// `packages`
pub(crate) const PACKAGES: NodeRule = NodeRule {
    name: "packages",
    doc: "Packages to install, each a name or a name with a version rule: `<`, `<=`, `=`, `>=`, `>`; on Alpine also `~`, for versions that begin alike (`>~` and `<~` for those and later or earlier ones), and `name@tag`, for a repository with that tag, with the rule behind the tag. What they depend on comes by itself; what they only recommend does not.",
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
        PropRule::new("suite", Kind::Line, "the suite, as below `dists/`; on Alpine the branch, if there is one"),
        PropRule::new("component", Kind::Line, "components to read, where there is a suite").list().default("main"),
        PropRule::new("key", Kind::Beside, "the key file beside the spec: OpenPGP, armoured or binary; on Alpine RSA in PEM, named as signatures name it").required(),
        PropRule::new("tag", Kind::Name, "on Alpine: packages are taken from it only as `name@tag`"),
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
pub(crate) fn decode(body: Body<'_>, naming: Naming, report: &mut Report<'_>) -> Packages {
    let mut excluded: Vec<(String, Place)> = Vec::new();
    for (text, place) in body.all("exclude").flat_map(|item| item.texts_from(0)) {
        let bare = text.trim_start_matches('!').split(['<', '>', '=', '~', '@', ' ']).next().unwrap_or_default();
        if (naming.is_name)(text) && !text.contains('@') {
            excluded.push((text.to_owned(), place));
        } else if bare != text && (naming.is_name)(bare) {
            let message = format!("`exclude` takes names alone, not \"{text}\"");
            let error = report.error("bad-name", place, message, "more than a name");
            error.help(format!("write \"{bare}\": no version of it is installed then"));
        } else {
            bad_name(text, naming, place, report);
        }
    }
    let wanted = wanted(body, &excluded, naming, report);
    let mut excluded: Vec<String> = excluded.into_iter().map(|(name, _)| name).collect();
    excluded.sort_unstable();
    excluded.dedup();
    Packages {
        wanted,
        excluded,
        repositories: body.all("repository").map(|item| repository(item, naming, report)).collect(),
    }
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
        let line = if repository.suite.is_empty() { line } else { line.prop("suite", &repository.suite, BUILT_IN) };
        let line = line.list("component", &repository.components).prop("key", &repository.key, BUILT_IN);
        repository.tag.iter().fold(line, |line, tag| line.prop("tag", tag, BUILT_IN)).end();
    }
}

/// A request as it is written.
fn request_text(request: &PackageRequest) -> String {
    let rule = request.rule.as_ref().map(|rule| format!("{}{}", relation_text(rule.relation), rule.version));
    format!("{}{}", request.name, rule.unwrap_or_default())
}

fn wanted(
    body: Body<'_>,
    excluded: &[(String, Place)],
    naming: Naming,
    report: &mut Report<'_>,
) -> Vec<PackageRequest> {
    let mut wanted: Vec<(PackageRequest, Place)> = Vec::new();
    for (text, place) in body.all("packages").flat_map(|item| item.texts_from(0)) {
        let Some(request) = request(text, naming, place, report) else { continue };
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

fn request(text: &str, naming: Naming, place: Place, report: &mut Report<'_>) -> Option<PackageRequest> {
    let at = text.find(['<', '>', '=', '!', '~', '^', ' ', '(']).unwrap_or(text.len());
    let (name, rule) = text.split_at(at);
    if let Some(unwanted) = text.strip_prefix('!').filter(|unwanted| (naming.is_name)(unwanted)) {
        let message = format!("\"{text}\" asks for a package that must stay out");
        report.error("bad-name", place, message, "not a package name").help(format!("write exclude \"{unwanted}\""));
        return None;
    }
    if !(naming.is_name)(name) {
        bad_name(name, naming, place, report);
        return None;
    }
    let rule = rule.trim();
    if rule.is_empty() {
        return Some(PackageRequest { name: name.to_owned(), rule: None });
    }
    let rule = version_rules::read(rule, naming);
    if let Err(slip) = &rule {
        slip.tell(text, name, naming, place, report);
    }
    rule.ok().map(|rule| PackageRequest { name: name.to_owned(), rule: Some(rule) })
}

fn repository(item: &Item, naming: Naming, report: &mut Report<'_>) -> Repository {
    let url = item.arg(0).unwrap_or_default();
    let known =
        ["https://", "http://", "file://"].iter().any(|scheme| url.len() > scheme.len() && url.starts_with(scheme));
    if item.arg(0).is_some() && (!known || url.contains(char::is_whitespace)) {
        let error = report.error("bad-value", item.arg_place(0), "the address of a repository is a URL", "not a URL");
        error.help("write \"https://repo.example.com/debian\"");
    }
    let suite = item.text_or("suite", "");
    if suite.is_empty() && naming.has_suites {
        let message = format!("`repository` needs `suite=`: {}", Kind::Line.what());
        let error = report.error("missing-property", item.place, message, "has no `suite=`");
        error.help(format!("write {}", REPOSITORY.example));
    }
    if !naming.has_tags && item.prop("tag").is_some() {
        let message = "`tag` of `repository` has no meaning for the packages of this base";
        report.error("bad-value", item.prop_place("tag"), message, "no meaning here").help("remove `tag=`");
    }
    let mut components: Vec<String> = item.list("component").map(|(text, _)| text.to_owned()).collect();
    if components.is_empty() && !suite.is_empty() {
        components.push("main".to_owned());
    }
    Repository {
        url: url.trim_end_matches('/').to_owned(),
        suite,
        components,
        key: item.text_or("key", ""),
        tag: item.text("tag").map(str::to_owned),
    }
}

fn bad_name(name: &str, naming: Naming, place: Place, report: &mut Report<'_>) {
    let lower = name.trim().to_lowercase();
    let help = if name.contains(',') || name.trim().contains(' ') {
        "each package stands in quotes of its own: packages \"a\" \"b\"".to_owned()
    } else if name.contains(':') && !naming.has_tags {
        "packages of a foreign architecture cannot be named; write the name without `:arch`".to_owned()
    } else if (naming.is_name)(&lower) {
        format!("write \"{lower}\"")
    } else {
        naming.names.to_owned()
    };
    report
        .error("bad-name", place, format!("\"{name}\" cannot be the name of a package"), "not a package name")
        .help(help);
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
