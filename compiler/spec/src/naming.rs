//! How packages are asked for, by package family: this is where the language asks which family it is.

use crate::appliance::Appliance;
use crate::base::Family;

/// What a family lets a spec say of packages and repositories.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Naming {
    /// Whether a text can be the name of a package.
    pub is_name: fn(&str) -> bool,
    /// What to write, in words, where it cannot.
    pub names: &'static str,
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
            names: "a package of Alpine is named as `apk` names it: \"nginx\", \"so:libz.so.1\", \"cmd:sh\", \"name@tag\"",
            has_tags: true,
            has_suites: false,
        },
        Some(Family::Deb | Family::Rpm) | None => Naming {
            is_name: is_debian,
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
    Naming { is_name: |name| is_debian(name) || is_alpine(name), names, has_tags: true, has_suites: false }
}

/// What a spec says of packages that their family, known by now, does not let it say; in words, the first of it.
pub fn misfit(appliance: &Appliance, family: Family) -> Option<String> {
    let naming = of(Some(family));
    let wanted = appliance.packages.iter().map(|request| &request.name);
    if let Some(name) = wanted.chain(&appliance.excluded).find(|name| !(naming.is_name)(name)) {
        return Some(format!("`{}` is no package of its: {}", name.escape_debug(), naming.names));
    }
    let tilde = |request: &&crate::appliance::PackageRequest| {
        request.rule.as_ref().is_some_and(|rule| rule.version.starts_with('~'))
    };
    if let Some(request) = appliance.packages.iter().find(tilde).filter(|_| !naming.has_tags) {
        return Some(format!(
            "the rule of `{}` has a `~`, and its packages have `<`, `<=`, `=`, `>=` and `>`",
            request.name
        ));
    }
    let repositories = || appliance.repositories.iter();
    if let Some(one) = repositories().find(|one| naming.has_suites && one.suite.is_empty()) {
        return Some(format!("the repository {} needs a `suite=`", one.url));
    }
    let tagged = repositories().find(|one| !naming.has_tags && one.tag.is_some());
    tagged.map(|one| format!("the repository {} has a `tag=`, which means nothing for its packages", one.url))
}

/// Whether a name fits Debian Policy, section 5.6.7.
fn is_debian(name: &str) -> bool {
    name.len() >= 2
        && name.len() <= 200
        && name.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "+-.".contains(c))
}

/// Whether a name, with its kind before it and a tag behind it where it has them, fits apk-world(5).
fn is_alpine(name: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "+-._:/[]".contains(c);
    let part = |part: &str| !part.is_empty() && part.len() <= 200 && part.chars().all(plain) && !part.starts_with('-');
    match name.split_once('@') {
        Some((name, tag)) => part(name) && part(tag),
        None => part(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_name_their_packages() {
        let good = |family, name: &str| (of(family).is_name)(name);
        for name in ["nginx", "libstdc++", "so:libc.musl-x86_64.so.1", "cmd:[", "/bin/sh", "R", "py3-x_y", "nginx@edge"]
        {
            assert!(good(Some(Family::Apk), name), "{name}");
        }
        for name in ["", "-x", "a b", "a,b", "!a", "a@", "@a", "a@b@c", "a\"b"] {
            assert!(!good(Some(Family::Apk), name), "{name}");
        }
        assert!((of_image().is_name)("so:x") && (of_image().is_name)("libstdc++6") && !(of_image().is_name)("a b"));
        assert!(good(None, "libstdc++6") && !good(None, "so:x") && !good(Some(Family::Deb), "a_b"));
    }
}
