//! Version rules of packages: a sign and a version, by what each family has signs for, and what to say where one is neither.

use crate::appliance::{Relation, VersionRule};
use crate::naming::Naming;
use crate::report::Report;
use crate::source::Place;

/// Why a version rule cannot be read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum RuleSlip {
    /// The sign is none; one that may be meant.
    Sign(String, Option<&'static str>),
    /// The sign is one of the package manager's that no spec can say; what to do.
    NotHere(String, &'static str),
    /// Nothing stands behind this sign.
    NoVersion(String),
    /// What stands behind this sign is no version.
    Version(String),
}

/// Reads a sign and a version. What only has to begin like a version has a `~` before it.
pub(crate) fn read(text: &str, naming: Naming) -> Result<VersionRule, RuleSlip> {
    let digits = text.find(|c: char| !"<>=!~^( ".contains(c)).unwrap_or(text.len());
    let (sign, version) = text.split_at(digits);
    let (sign, version) = (sign.trim(), version.trim());
    let (relation, mark) = match sign {
        "~" | "=~" | "~=" if naming.has_tags => (Relation::Equal, "~"),
        ">~" | ">=~" if naming.has_tags => (Relation::GreaterOrEqual, "~"),
        "<~" | "<=~" if naming.has_tags => (Relation::LessOrEqual, "~"),
        "><" | "<>" if naming.has_tags => {
            let help = "`><` names the file that a package was installed from; a spec names a version, with `=`";
            return Err(RuleSlip::NotHere(sign.to_owned(), help));
        }
        "!=" => {
            let help = "say which versions are wanted: `<` and `>` leave one out, and `exclude` leaves out all";
            return Err(RuleSlip::NotHere(sign.to_owned(), help));
        }
        sign => (relation(sign).ok_or_else(|| RuleSlip::Sign(sign.to_owned(), meant(sign)))?, ""),
    };
    if version.is_empty() {
        return Err(RuleSlip::NoVersion(sign.to_owned()));
    }
    if !(naming.is_version)(version) {
        return Err(RuleSlip::Version(sign.to_owned()));
    }
    Ok(VersionRule { relation, version: format!("{mark}{version}") })
}

impl RuleSlip {
    /// Tells it at its place; `text` is the whole request, for the package `name`.
    pub fn tell(&self, text: &str, name: &str, naming: Naming, place: Place, report: &mut Report<'_>) {
        let signs = if naming.has_tags { "<, <=, =, >=, > or ~" } else { "<, <=, =, >= or >" };
        let write = |sign: &str| format!("write \"{name}{sign}1.2\": a name, one of {signs}, a version");
        let no_sign = |sign: &str| format!("`{sign}` in \"{text}\" is no sign of a version rule");
        let behind = |sign: &str| text.split_once(sign).map_or("", |(_, version)| version.trim());
        let (message, label, help) = match self {
            Self::Sign(sign, Some(meant)) => {
                let version = behind(sign).trim_end_matches(')').trim();
                (no_sign(sign), "not a sign", format!("write \"{name}{meant}{version}\"; the signs are {signs}"))
            }
            Self::Sign(sign, None) => (no_sign(sign), "not a sign", write(">=")),
            Self::NotHere(sign, help) => (no_sign(sign), "not a sign here", (*help).to_owned()),
            Self::NoVersion(sign) => {
                (format!("\"{text}\" has no version behind `{sign}`"), "a version is missing", write(sign))
            }
            Self::Version(sign) => {
                let help = better_version(name, sign, behind(sign), naming).unwrap_or_else(|| write(sign));
                (format!("\"{text}\" has no version behind `{sign}` that can be read"), "cannot be read", help)
            }
        };
        report.error("bad-version-rule", place, message, label).help(help);
    }
}

/// The request that is meant by a tag behind the version, or by a version with a star at its end.
fn better_version(name: &str, sign: &str, version: &str, naming: Naming) -> Option<String> {
    let fits = |version: &str| naming.has_tags && (naming.is_version)(version);
    if let Some((version, tag)) = version.split_once('@').filter(|(version, tag)| fits(version) && !tag.is_empty()) {
        return Some(format!("the tag stands before the rule: \"{name}@{tag}{sign}{version}\""));
    }
    let start = version.trim_end_matches(['*', 'x']).trim_end_matches('.');
    (version.ends_with(".*") && fits(start))
        .then(|| format!("versions that begin alike are asked for so: \"{name}~{start}\""))
}

/// The sign that is meant by another tool's, or by one whose halves are swapped.
fn meant(sign: &str) -> Option<&'static str> {
    Some(match sign {
        ">>" | "(>>" => ">",
        "<<" | "(<<" => "<",
        "==" | "===" | "(=" => "=",
        "=>" | "~>" | "^" | "(>=" => ">=",
        "=<" | "(<=" => "<=",
        _ => return None,
    })
}

fn relation(sign: &str) -> Option<Relation> {
    Some(match sign {
        "<" => Relation::Less,
        "<=" => Relation::LessOrEqual,
        "=" => Relation::Equal,
        ">=" => Relation::GreaterOrEqual,
        ">" => Relation::Greater,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Family;
    use crate::naming;

    fn check(family: Family, text: &str, want: &str) {
        let read = match read(text, naming::of(Some(family))) {
            Ok(rule) => format!("{:?} {}", rule.relation, rule.version),
            Err(slip) => format!("{slip:?}"),
        };
        assert!(read.starts_with(want), "{text}: {read}");
    }

    #[test]
    fn every_sign_of_apk_is_read_or_refused() {
        let check = |text, want| check(Family::Apk, text, want);
        check("=1.36.1-r29", "Equal 1.36.1-r29");
        check("<1", "Less 1");
        check("<=1", "LessOrEqual 1");
        check(">1", "Greater 1");
        check(">=1", "GreaterOrEqual 1");
        for same in ["~1.36", "~=1.36", "=~1.36", " ~ 1.36"] {
            check(same, "Equal ~1.36");
        }
        check(">~1.36", "GreaterOrEqual ~1.36");
        check(">=~1.36", "GreaterOrEqual ~1.36");
        check("<~1.36", "LessOrEqual ~1.36");
        check("<=~1.36", "LessOrEqual ~1.36");
        check("><Q1abc=", "NotHere(\"><\"");
        check("<>1", "NotHere(\"<>\"");
        check("!=1", "NotHere(\"!=\"");
        check("~~1", "Sign(\"~~\"");
        check("=1:2", "Version(\"=\"");
        check("=1.36.*", "Version(\"=\"");
        check(">=foo", "Version(\">=\"");
        check("=1-r", "Version(\"=\"");
        check("~", "NoVersion(\"~\"");
    }

    #[test]
    fn debian_has_five_signs() {
        let check = |text, want| check(Family::Deb, text, want);
        check("=1:2.3-4~deb12u1+b1", "Equal 1:2.3-4~deb12u1+b1");
        check(">=18", "GreaterOrEqual 18");
        check("~18", "Sign(\"~\", None)");
        check(">~18", "Sign(\">~\", None)");
        check("(>= 18)", "Sign(\"(>=\", Some(\">=\"))");
        check(">=foo", "Version(\">=\"");
    }
}
