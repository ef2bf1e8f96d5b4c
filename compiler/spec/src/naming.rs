//! How packages are asked for, by package family: this is where the language asks which family it is.

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
        assert!(good(None, "libstdc++6") && !good(None, "so:x") && !good(Some(Family::Deb), "a_b"));
    }
}
