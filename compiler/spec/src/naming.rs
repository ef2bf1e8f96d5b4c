//! How packages are asked for, by package family: this is where the language asks which family it is.

use crate::appliance::PackageRequest;
use crate::base::Family;
use crate::check::Checked;
use crate::diagnostic::{Diagnostic, Label};
use crate::written::Written;

/// What a family lets a spec say of packages and repositories.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Naming {
    /// Whether a text can be the name of a package.
    pub is_name: fn(&str) -> bool,
    /// What to write, in words, where it cannot.
    pub names: &'static str,
    /// Whether a text can be a version in a rule.
    pub is_version: fn(&str) -> bool,
    /// Whether a rule `~` asks for the versions that begin alike, and `name@tag` for a repository with that tag.
    pub has_tags: bool,
    /// Whether every repository has suites.
    pub has_suites: bool,
}

/// The naming of a family; Debian's where it is not known.
pub(crate) fn of(family: Option<Family>) -> Naming {
    match family {
        Some(Family::Apk) => Naming {
            is_name: is_alpine,
            is_version: is_alpine_version,
            names: "a package of Alpine is named as `apk` names it: \"nginx\", \"so:libz.so.1\", \"cmd:sh\", \"name@tag\"",
            has_tags: true,
            has_suites: false,
        },
        Some(Family::Deb | Family::Rpm) | None => Naming {
            is_name: is_debian,
            is_version: is_debian_version,
            names: "package names are lower-case letters, digits, `+`, `-` and `.`",
            has_tags: false,
            has_suites: true,
        },
    }
}

/// The naming of an image, whose family is known once it is there: what any family lets a spec say.
pub(crate) fn of_image() -> Naming {
    let names =
        "a package is named as the image's own package manager names it: \"nginx\", on Alpine also \"so:libz.so.1\"";
    Naming {
        is_name: |name| is_debian(name) || is_alpine(name),
        names,
        is_version: |version| is_debian_version(version) || is_alpine_version(version),
        has_tags: true,
        has_suites: false,
    }
}

/// What a spec says of packages that the family of its image, known by now, does not let it say, each at its place.
/// `image` is what the image is, in words (`debian's`).
pub fn misfits(checked: &Checked, family: Family, image: &str) -> Vec<Diagnostic> {
    let (naming, appliance) = (of(Some(family)), &checked.appliance);
    let tell = |code, label: Option<Label>, what: String, help: &str| {
        let found = Diagnostic::error(code, format!("the image is {image}, and {what}")).help(help);
        label.into_iter().fold(found, Diagnostic::at)
    };
    let names = appliance.packages.iter().map(|request| &request.name).chain(&appliance.excluded);
    let is_strange = |name: &&String| !(naming.is_name)(name);
    let strange = names.filter(is_strange).map(|name| {
        let what = format!("`{}` is no package of its", name.escape_debug());
        let label = checked.package_label(name.split('@').next().unwrap_or_default());
        tell("bad-name", label, what, naming.names)
    });
    let has_tilde = |request: &&PackageRequest| {
        !naming.has_tags && request.rule.as_ref().is_some_and(|rule| rule.version.starts_with('~'))
    };
    let tildes = appliance.packages.iter().filter(has_tilde).map(|request| {
        let what = format!("the rule of `{}` has a `~`, which means nothing for its packages", request.name);
        let help = "the signs of a version rule are <, <=, =, >= and >";
        tell("bad-version-rule", checked.package_label(&request.name), what, help)
    });
    let repositories = appliance.repositories.iter().flat_map(|repository| {
        let at = |what: String, help: &str| {
            tell(
                "bad-value",
                checked.label(&Written::Repository(repository.url.clone()), "this repository"),
                what,
                help,
            )
        };
        let url = &repository.url;
        let no_suite = (naming.has_suites && repository.suite.is_empty())
            .then(|| at(format!("the repository {url} needs a `suite=`"), "write suite=\"stable\", as below `dists/`"));
        let tag = (!naming.has_tags && repository.tag.is_some()).then(|| {
            at(format!("the repository {url} has a `tag=`, which means nothing for its packages"), "remove `tag=`")
        });
        [no_suite, tag].into_iter().flatten()
    });
    strange.chain(tildes).chain(repositories).collect()
}

/// Whether a name fits Debian Policy, section 5.6.7.
fn is_debian(name: &str) -> bool {
    name.len() >= 2
        && name.len() <= 200
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c))
}

/// Whether a version fits deb-version(7), with an epoch or without.
fn is_debian_version(version: &str) -> bool {
    let upstream = match version.split_once(':') {
        Some((epoch, rest)) if !epoch.is_empty() && epoch.bytes().all(|c| c.is_ascii_digit()) => rest,
        Some(_) => return false,
        None => version,
    };
    let plain = |c: char| c.is_ascii_alphanumeric() || ".+-~:_".contains(c);
    upstream.starts_with(|c: char| c.is_ascii_digit()) && upstream.chars().all(plain)
}

/// Whether a version fits apk-package(5): `digits{.digits}[letter]{_suffix[digits]}[-rN]`.
fn is_alpine_version(version: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|c| c.is_ascii_digit());
    let (main, revision) = match version.rsplit_once("-r") {
        Some((main, revision)) => (main, Some(revision)),
        None => (version, None),
    };
    let mut parts = main.split('_');
    let numbers = parts.next().unwrap_or_default();
    // A letter may stand behind a number, and a number behind it: 9.9p1.
    let is_number = |part: &str| {
        part.starts_with(|c: char| c.is_ascii_digit())
            && part.bytes().all(|c| c.is_ascii_digit() || c.is_ascii_lowercase())
    };
    let suffixes = ["alpha", "beta", "pre", "rc", "cvs", "svn", "git", "hg", "p"];
    let is_suffix = |part: &str| suffixes.contains(&part.trim_end_matches(|c: char| c.is_ascii_digit()));
    numbers.split('.').all(is_number) && parts.all(is_suffix) && revision.is_none_or(digits)
}

/// Whether a name, with its kind before it and a tag behind it where it has them, fits apk-world(5).
fn is_alpine(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-._:/[]".contains(c);
    let part =
        |part: &str| !part.is_empty() && part.len() <= 200 && part.chars().all(plain) && !part.starts_with(['-', '.']);
    match name.split_once('@') {
        Some((name, tag)) => part(name) && part(tag),
        None => part(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_write_their_versions() {
        for version in ["1", "1.36.1-r29", "1.2.3_git20230424-r0", "9.9p1-r2", "1.0a_rc1_p2", "3.12"] {
            assert!(is_alpine_version(version), "{version}");
        }
        for version in ["", "foo", "1.", "1..2", "1-2", "1-r", "1:2", "1_odd1", "1.36.*", "1A"] {
            assert!(!is_alpine_version(version), "{version}");
        }
        assert!(is_debian_version("1:2.3-4~deb12u1+b1") && is_debian_version("2024a"));
        assert!(!is_debian_version("foo") && !is_debian_version("x:1") && !is_debian_version("1 2"));
    }

    #[test]
    fn families_name_their_packages() {
        let good = |family, name: &str| (of(family).is_name)(name);
        for name in ["nginx", "libstdc++", "so:libc.musl-x86_64.so.1", "cmd:[", "/bin/sh", "R", "py3-x_y", "nginx@edge"]
        {
            assert!(good(Some(Family::Apk), name), "{name}");
        }
        for name in ["", "-x", ".virtual", "a b", "a,b", "!a", "a@", "@a", "a@b@c", "a\"b"] {
            assert!(!good(Some(Family::Apk), name), "{name}");
        }
        assert!((of_image().is_name)("so:x") && (of_image().is_name)("libstdc++6") && !(of_image().is_name)("a b"));
        assert!(good(None, "libstdc++6") && !good(None, "so:x") && !good(Some(Family::Deb), "a_b"));
    }
}
